"""Signal comparison against values that are known beforehand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.unit.audio.signals import noise, tone

from emotirt.audio.compare import (
    SILENCE_SNR_DB,
    log_mel_l1,
    mel_cepstra,
    mel_cepstral_distortion_db,
    pitch_error,
    snr_db,
    warping_path,
)
from emotirt.audio.f0 import f0_track
from emotirt.errors import InvalidAudio
from emotirt.types import Audio


def test_snr_of_a_known_ratio() -> None:
    signal = noise(16_000)
    assert snr_db(signal, signal * 1.1) == pytest.approx(20.0, abs=1e-3)
    assert snr_db(signal, signal) == SILENCE_SNR_DB
    assert snr_db(np.zeros(10, np.float32), np.ones(10, np.float32)) < -100
    with pytest.raises(InvalidAudio, match="10 and 11"):
        snr_db(np.zeros(10, np.float32), np.zeros(11, np.float32))


def test_log_mel_distance_of_a_gain_is_its_logarithm() -> None:
    signal = noise(16_000)
    assert log_mel_l1(signal, signal) == 0.0
    assert log_mel_l1(signal, signal * math.e) == pytest.approx(1.0, abs=1e-2)


def test_cepstral_distortion_ignores_gain_and_orders_damage() -> None:
    speechlike = tone().samples + noise(16_000, 0.01)
    assert mel_cepstral_distortion_db(speechlike, speechlike) == 0.0
    assert mel_cepstral_distortion_db(speechlike, speechlike * 2) < 0.1
    small = mel_cepstral_distortion_db(speechlike, speechlike + noise(16_000, 0.01, seed=8))
    large = mel_cepstral_distortion_db(speechlike, speechlike + noise(16_000, 0.1, seed=8))
    assert 0 < small < large


def test_alignment_removes_a_change_of_timing() -> None:
    first, second = tone(200.0, 0.5).samples, tone(320.0, 0.5).samples
    reference = np.concatenate([first, second])
    stretched = np.concatenate([first, first[-4000:], second])
    aligned = mel_cepstral_distortion_db(reference, stretched, align=True)
    assert aligned < 0.7 * mel_cepstral_distortion_db(reference, stretched)
    assert mel_cepstra(reference).shape == (len(reference) // 256, 13)


def test_warping_path_is_the_cheapest() -> None:
    first = np.array([[0.0], [1.0], [2.0]])
    second = np.array([[0.0], [0.0], [1.0], [2.0], [2.0]])
    path = warping_path(first, second)
    assert path.tolist() == [[0, 0], [0, 1], [1, 2], [2, 3], [2, 4]]


@pytest.mark.parametrize("frequency_hz", [80.0, 110.0, 220.0, 331.0, 440.0])
def test_pitch_of_a_tone(frequency_hz: float) -> None:
    track = f0_track(tone(frequency_hz))
    inner = track[5:-5]
    assert (inner > 0).all()
    assert np.median(inner) == pytest.approx(frequency_hz, rel=0.005)
    assert np.abs(inner - frequency_hz).max() < 0.03 * frequency_hz


def test_noise_and_silence_are_unvoiced() -> None:
    assert (f0_track(Audio(noise(16_000), 16_000)) > 0).mean() < 0.05
    assert not f0_track(Audio(np.zeros(16_000, np.float32), 16_000)).any()
    assert len(f0_track(Audio(np.zeros(100, np.float32), 16_000))) == 0


def test_pitch_error_of_a_semitone() -> None:
    error = pitch_error(tone(200.0), tone(200.0 * 2 ** (1 / 12)))
    assert error.cents == pytest.approx(100.0, abs=3.0)
    assert error.voicing_error < 0.05
    silent = pitch_error(tone(200.0), Audio(np.zeros(16_000, np.float32), 16_000))
    assert math.isnan(silent.cents)
    assert silent.voicing_error > 0.8
