"""Recordings are judged: speech is taken, and everything else refused with what to do."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from tests.assets.recordings import NOT_SPEECH, RATE_HZ, SPEECH, not_speech, speech

from emotirt.voices.recording_check import check_recording

LOUD = 0.9


@pytest.mark.parametrize("name", SPEECH)
def test_people_speaking_are_taken(name: str) -> None:
    report = check_recording(name, speech(name))
    assert (report.refusal, report.warnings) == ("", ())
    assert report.duration_s == pytest.approx(len(speech(name)) / RATE_HZ)
    assert 0.6 * report.duration_s < report.speech_s < report.duration_s
    assert report.bandwidth_hz > 7000
    assert report.snr_db > 30


@pytest.mark.parametrize("name", NOT_SPEECH)
def test_music_tones_and_noise_are_refused(name: str) -> None:
    refusal = check_recording(name, not_speech(name)).refusal
    assert refusal.startswith("it does not sound like one person speaking: ")
    assert refusal.endswith("record a voice alone, without music or noise")


@pytest.mark.parametrize("scale", [0.0, 1e-4])
def test_silence_is_refused(scale: float) -> None:
    samples = (scale * np.random.default_rng(0).standard_normal(4 * RATE_HZ)).astype(np.float32)
    assert "silent" in check_recording("quiet", samples).refusal


@pytest.mark.parametrize("count", [1, 100, RATE_HZ // 4])
def test_a_moment_is_refused(count: int) -> None:
    assert "record at least 3 s" in check_recording("short", np.full(count, 0.1, np.float32)).refusal


def noisy(snr_db: float) -> np.ndarray:
    clean = speech("linda")
    level = np.sqrt(np.mean(np.square(clean)))
    noise = np.random.default_rng(3).standard_normal(len(clean)) * level * 10 ** (-snr_db / 20)
    return (clean + noise).astype(np.float32)


def test_noise_is_measured_warned_of_and_at_last_refused() -> None:
    figures = {snr_db: check_recording("noisy", noisy(snr_db)) for snr_db in (30, 12, 0)}
    assert figures[30].snr_db > figures[12].snr_db > figures[0].snr_db
    assert figures[12].snr_db == pytest.approx(12, abs=4)
    assert figures[30].refusal == figures[12].refusal == ""
    assert any("above the background" in text for text in figures[12].warnings)
    assert figures[0].refusal


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: 0.05 * x, "it is quiet"),
        (lambda x: np.clip(3 * x / np.abs(x).max(), -LOUD, LOUD), "is clipped"),
        (lambda x: soxr.resample(soxr.resample(x, 16_000, 8_000), 8_000, 16_000), "nothing above 4.0 kHz"),
        (lambda x: np.concatenate([x, np.zeros(12 * RATE_HZ, np.float32)]), "are speech; cut the silence"),
    ],
)  # fmt: skip
def test_what_makes_a_voice_worse_is_said(change: object, words: str) -> None:
    assert callable(change)
    report = check_recording("changed", change(speech("kathleen")).astype(np.float32))
    assert report.refusal == ""
    assert any(words in text for text in report.warnings), report


def test_a_recording_that_is_mostly_clipped_is_refused() -> None:
    samples = np.sign(speech("linda")) * np.minimum(np.abs(speech("linda")), 0.004) * 200
    assert "clipped; lower the recording level" in check_recording("clipped", samples.astype(np.float32)).refusal
