"""Durations as the text encoder gives them: where the length becomes data."""

from __future__ import annotations

import numpy as np

from emotirt.types import FloatArray

MAX_FRAMES = 4096
"""Longest utterance, 65 s at the default hop; the memory of the decoder's attention grows with the square of it."""


def fitted_durations(durations: FloatArray, most_frames: int) -> FloatArray:
    """Shorten durations proportionally until they add up to ``most_frames``; shorter ones stay as they are.

    Returns: float32 [tokens], integer-valued, at least 1 frame in total.
    """
    total = float(durations.sum(dtype=np.float64))
    if total < 1.0:
        return np.concatenate((np.ones(1, dtype=np.float32), np.zeros(len(durations) - 1, dtype=np.float32)))
    if total <= most_frames:
        return durations
    ends = np.rint(np.cumsum(durations, dtype=np.float64) * (most_frames / total))
    return np.diff(ends, prepend=0.0).astype(np.float32)
