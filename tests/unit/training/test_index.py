"""What pack making measures: where speech lies, whatever hums below it."""

from __future__ import annotations

import numpy as np
import pytest

from emotirt.audio.speech_span import speech_span, without_hum
from emotirt.training.corpus import Row
from emotirt.training.index import Analysis, clips_from_rows, gains, unseen_speakers

RATE_HZ = 16_000


def burst(hum: float) -> np.ndarray:
    times_s = np.arange(3 * RATE_HZ) / RATE_HZ
    samples = hum * np.sin(2 * np.pi * 50.0 * times_s) + np.random.default_rng(0).normal(0, 1e-4, len(times_s))
    samples[RATE_HZ : 2 * RATE_HZ] += 0.2 * np.sin(2 * np.pi * 440.0 * times_s[:RATE_HZ])
    return samples.astype(np.float32)


@pytest.mark.parametrize("hum", [0.0, 0.01, 0.05])
def test_the_span_is_the_speech_with_its_margins_whatever_the_hum(hum: float) -> None:
    start, end, level_dbfs = speech_span(burst(hum))
    assert start == pytest.approx(RATE_HZ - 0.08 * RATE_HZ, abs=0.03 * RATE_HZ)
    assert end == pytest.approx(2 * RATE_HZ + 0.14 * RATE_HZ, abs=0.03 * RATE_HZ)
    assert level_dbfs == pytest.approx(20 * np.log10(0.2 / np.sqrt(2)), abs=0.3)


def test_hum_is_removed_and_speech_stays() -> None:
    cleaned = without_hum(burst(0.05))
    assert np.abs(cleaned[: RATE_HZ // 2]).max() < 2e-3
    assert (
        np.abs(cleaned[RATE_HZ + 800 : 2 * RATE_HZ - 800] - burst(0.0)[RATE_HZ + 800 : 2 * RATE_HZ - 800]).max() < 5e-3
    )


def test_gain_brings_speech_to_one_level_without_clipping() -> None:
    rows = [Row(f"kathleen/{i}", "en-US", "kathleen_f", "neutral", f"text {i}") for i in range(2)]
    f0 = np.zeros(100, dtype=np.float16)
    analyses = {
        "kathleen/0": Analysis("kathleen/0", 0, 25_600, -33.0, 0.1, f0),
        "kathleen/1": Analysis("kathleen/1", 0, 25_600, -40.0, 0.5, f0),
    }
    chosen = gains(rows, analyses)
    assert chosen["kathleen/0"] == pytest.approx(10 ** (10 / 20))
    assert chosen["kathleen/1"] == pytest.approx(0.95 / 0.5)
    clips = clips_from_rows(rows, analyses, lambda row: ("^", "M", ".", "$"))
    assert [clip.offset_samples for clip in clips] == [0, 25_600]
    assert {clip.language for clip in clips} == {"en"}


def test_ten_speakers_are_kept_unseen_and_always_the_same() -> None:
    rows = [Row(f"speechocean762/{i}", "en", f"so_{i % 40}", "neutral", "") for i in range(80)]
    assert len(unseen_speakers(rows)) == 10
    assert unseen_speakers(rows) == unseen_speakers(list(reversed(rows)))
