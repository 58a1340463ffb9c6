"""What is not speech is named; something that moves like speech passes."""

from __future__ import annotations

import numpy as np
import pytest

from emotirt.evaluation.soundness import measure, problems
from emotirt.types import FloatArray

RATE_HZ = 16_000
TIMES_S = np.arange(3 * RATE_HZ) / RATE_HZ


def vowels() -> FloatArray:
    """Make a harmonic signal whose two formants and level move four times a second, silent at both ends."""
    first_hz = 500 + 250 * np.sin(2 * np.pi * 2.0 * TIMES_S)
    second_hz = 1600 + 700 * np.sin(2 * np.pi * 3.1 * TIMES_S + 1.0)
    wave = np.zeros_like(TIMES_S)
    for harmonic in range(1, 40):
        hz = 120.0 * harmonic
        gain = np.exp(-(((hz - first_hz) / 150) ** 2)) + 0.5 * np.exp(-(((hz - second_hz) / 250) ** 2)) + 0.002
        wave += gain * np.cos(2 * np.pi * hz * TIMES_S)
    syllables = np.clip(np.sin(2 * np.pi * 4.0 * TIMES_S), 0.01, 1.0)
    noise = np.random.default_rng(0).normal(0, 1e-4, len(wave))
    return (0.1 * wave * syllables * np.sin(np.pi * TIMES_S / 3.0) + noise).astype(np.float32)


def buzz(level: np.ndarray | float = 1.0) -> FloatArray:
    return (0.1 * level * np.sign(np.sin(2 * np.pi * 120 * TIMES_S))).astype(np.float32)


def test_a_speech_like_signal_has_no_problem() -> None:
    assert problems(vowels()) == ()


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.zeros(16_000, dtype=np.float32), "silent"),
        (vowels() * 1e-3, "silent"),
        (buzz(), "buzz"),
        (buzz(1.0 + np.sin(2 * np.pi * 4 * TIMES_S)), "buzz"),
        (np.random.default_rng(0).normal(0, 0.1, 48_000).astype(np.float32), "noise"),
        (np.clip(vowels() * 50, -1, 1), "clipped"),
        (vowels()[: 24_000 + 1_000], "cut off"),
        (np.concatenate(([0.5], vowels())).astype(np.float32), "click"),
        (np.full(16_000, np.nan, dtype=np.float32), "NaN"),
        (np.zeros(100, dtype=np.float32), "too short"),
    ],
)
def test_each_defect_is_named(samples: FloatArray, expected: str) -> None:
    assert any(expected in problem for problem in problems(samples))


def test_measurements_are_in_their_units() -> None:
    found = measure(vowels())
    assert found.duration_s == pytest.approx(3.0)
    assert -40.0 < found.active_dbfs < 0.0
    assert 0.0 < found.flatness < 1.0
    assert set(found.to_dict()) >= {"change_db", "level_range_db"}
