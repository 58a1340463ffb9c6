"""Signals for the audio tests."""

from __future__ import annotations

import numpy as np

from emotirt.types import Audio, FloatArray


def tone(frequency_hz: float = 220.0, duration_s: float = 1.0, sample_rate_hz: int = 16_000) -> Audio:
    """A harmonic tone with soft edges, peak below 0.7."""
    time_s = np.arange(round(duration_s * sample_rate_hz)) / sample_rate_hz
    wave = sum(np.sin(2 * np.pi * frequency_hz * k * time_s) / k for k in range(1, 5))
    envelope = np.minimum(1.0, np.minimum(time_s, time_s[::-1]) / 0.05)
    return Audio((0.3 * wave * envelope).astype(np.float32), sample_rate_hz)


def noise(count: int, level: float = 0.1, seed: int = 7) -> FloatArray:
    """White noise, float32 [count]."""
    return np.random.default_rng(seed).normal(0.0, level, count).astype(np.float32)


def blocks(samples: FloatArray, size: int) -> list[FloatArray]:
    """Cut samples into consecutive blocks."""
    return [samples[first : first + size] for first in range(0, len(samples), size)]
