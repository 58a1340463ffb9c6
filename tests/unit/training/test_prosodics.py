"""Prosody is measured in its units: pitch, rate, pauses and tilt of speech made for the purpose."""

from __future__ import annotations

import numpy as np
import pytest

from emotirt.training.prosodics import FEATURE_NAMES, features, prosodics
from emotirt.types import FloatArray

RATE_HZ = 16_000


def syllables(
    hz: float = 150.0, each_s: float = 0.2, count: int = 8, tilt: float = 1.0, pause_s: float = 0.0
) -> FloatArray:
    """Say ``count`` syllables with a pause in the middle; ``tilt`` is the power by which harmonics fall."""
    times_s = np.arange(round(each_s * RATE_HZ)) / RATE_HZ
    wave = sum(np.cos(2 * np.pi * hz * n * times_s) / n**tilt for n in range(1, int(5000 / hz)))
    one = 0.1 * wave * (0.02 + np.sin(np.pi * times_s / each_s) ** 2)
    half = np.tile(one, count // 2)
    quiet = np.zeros(round(pause_s * RATE_HZ))
    edge = np.zeros(4000)
    noise = np.random.default_rng(0).normal(0, 1e-4, 2 * len(half) + len(quiet) + 8000)
    return (np.concatenate((edge, half, quiet, half, edge)) + noise).astype(np.float32)


def test_pitch_is_in_semitones() -> None:
    low, high = prosodics(syllables(120.0)), prosodics(syllables(240.0))
    assert low.pitch_semitones == pytest.approx(12 * np.log2(1.2), abs=0.3)
    assert high.pitch_semitones - low.pitch_semitones == pytest.approx(12.0, abs=0.3)
    assert low.pitch_spread_semitones < 0.5


def test_syllables_are_counted() -> None:
    assert prosodics(syllables(each_s=0.2)).syllables_per_s == pytest.approx(5.0, rel=0.25)
    ratio = prosodics(syllables(each_s=0.16)).syllables_per_s / prosodics(syllables(each_s=0.32)).syllables_per_s
    assert ratio == pytest.approx(2.0, rel=0.25)


def test_pauses_take_their_share() -> None:
    assert prosodics(syllables()).pause_share < 0.02
    assert prosodics(syllables(pause_s=0.5)).pause_share == pytest.approx(0.5 / 2.3, abs=0.06)


def test_a_pressed_voice_has_less_tilt() -> None:
    assert prosodics(syllables(tilt=0.5)).tilt_db < prosodics(syllables(tilt=2.0)).tilt_db - 5.0


def test_features_have_names_and_know_no_level() -> None:
    loud = syllables()
    found = features(loud)
    assert len(found) == len(FEATURE_NAMES)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(features(loud * np.float32(0.5)), found, atol=0.35)


def test_silence_and_noise_are_measured_without_complaint() -> None:
    for samples in (np.zeros(8000), np.random.default_rng(1).normal(0, 0.1, 8000)):
        assert np.isfinite(features(samples.astype(np.float32))).all()
