"""Edges of streamed audio: fades against clicks, silence, joining."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from emotirt.types import Audio, Chunk, FloatArray

EDGE_FADE_S = 0.002  # 32 samples at 16 kHz: too short to hear, long enough to remove a step


def fade_in(samples: FloatArray, fade_samples: int) -> FloatArray:
    """Return a copy whose first ``fade_samples`` rise from zero along a raised cosine."""
    count = min(fade_samples, len(samples))
    faded: FloatArray = samples.copy()
    faded[:count] *= _ramp(count)
    return faded


def fade_out(samples: FloatArray, fade_samples: int) -> FloatArray:
    """Return a copy whose last ``fade_samples`` fall to zero along a raised cosine."""
    return fade_in(samples[::-1], fade_samples)[::-1]


def silence(duration_s: float, sample_rate_hz: int) -> FloatArray:
    """Return zeros, float32 [round(duration_s * sample_rate_hz)]."""
    return np.zeros(max(0, round(duration_s * sample_rate_hz)), dtype=np.float32)


def faded_edges(chunks: Iterable[Chunk], fade_s: float = EDGE_FADE_S) -> Iterator[Chunk]:
    """Fade the first chunk in and the last one out; nothing is held back, so nothing comes later than it must."""
    is_first = True
    for chunk in chunks:
        samples, fade_samples = chunk.samples, round(fade_s * chunk.sample_rate_hz)
        if is_first:
            samples = fade_in(samples, fade_samples)
        if chunk.is_last:
            samples = fade_out(samples, fade_samples)
        is_first = False
        yield replace(chunk, samples=samples)


def joined(chunks: Iterable[Chunk], sample_rate_hz: int) -> Audio:
    """Join chunks into one audio; no chunks give empty audio at ``sample_rate_hz``."""
    parts = [chunk.samples for chunk in chunks]
    samples = np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)
    return Audio(samples, sample_rate_hz)


def _ramp(count: int) -> FloatArray:
    phase = np.pi * np.arange(count) / max(count, 1)
    ramp: FloatArray = (0.5 - 0.5 * np.cos(phase)).astype(np.float32)
    return ramp
