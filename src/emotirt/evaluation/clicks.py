"""Finds clicks: samples that neither the speech before nor the speech after them explains.

Every 16 ms the spectral envelope is taken out by linear prediction (Makhoul 1975); what is left of a click stands far
above what is left of the speech around it, voice pulses and plosives included: the classical detector of Godsill and
Rayner (1998, "Digital Audio Restoration", chapter 5).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emotirt.types import FloatArray, SpokenUtterance

RATE_HZ = 16_000
ORDER = 16
FRAME_SAMPLES = 512
HOP_SAMPLES = 256
AROUND_SAMPLES = 400
"""The residual is compared with what is strong within 25 ms before or after: plosives and slow voices have company."""
QUIET_RESIDUAL = 2e-3
"""What stays below it is inaudible: about -54 dB of full scale."""
MOST_RATIO = 3.0
"""Most recordings of people exceed it somewhere."""
MOST_RELEASE_RATIO = 4.5
"""Where a plosive or an affricate opens, one sharp instant is the sound itself. In half of the recordings of people the
sharpest instant exceeds it (medians: kathleen 4.5, ljspeech 5.1, aishell 4.6; 25 recordings of each)."""
RELEASED = frozenset((
    "B", "P", "D", "T", "G", "K", "CH", "JH",
    "b", "p", "d", "t", "g", "k", "z", "c", "zh", "ch", "j", "q",
))  # fmt: skip

Floats = NDArray[np.float64]


def clicks_at_s(samples: FloatArray, spoken: Sequence[SpokenUtterance] = ()) -> tuple[float, ...]:
    """Find clicks.

    Args:
        samples: float32 [samples] mono at 16 kHz, finite.
        spoken: when the tokens sound, if that is known; plosives and affricates then may have a sharp release.

    Returns: seconds, clicks closer than 10 ms counted once.
    """
    spots = np.flatnonzero(click_ratio(samples) > _limits(len(samples), spoken))
    if not len(spots):
        return ()
    first = spots[np.concatenate(([True], np.diff(spots) > AROUND_SAMPLES))]
    return tuple(round(float(spot) / RATE_HZ, 4) for spot in first)


def _limits(count: int, spoken: Sequence[SpokenUtterance]) -> Floats:
    """Return the largest ratio that is no click, for each sample."""
    limits = np.full(count, MOST_RATIO)
    for one in spoken:
        ends = one.first_sample + np.cumsum(one.durations_frames) * one.hop_samples
        for symbol, end, frames in zip(one.utterance.symbols, ends, one.durations_frames, strict=True):
            if symbol in RELEASED:
                limits[end - frames * one.hop_samples : end] = MOST_RELEASE_RATIO
    return limits


def click_ratio(samples: FloatArray) -> Floats:
    """Return, for each sample, its prediction residual over that of its surroundings; float64 [samples]."""
    residual = np.abs(_residual(samples.astype(np.float64)))
    return residual / np.maximum(_surroundings(residual), QUIET_RESIDUAL)


def _residual(samples: Floats) -> Floats:
    """Predict every sample from the ``ORDER`` before it, with coefficients of the frame that it lies in."""
    count = max(1, -(-len(samples) // HOP_SAMPLES))
    edge = (FRAME_SAMPLES - HOP_SAMPLES) // 2
    padded = np.pad(samples, (edge, count * HOP_SAMPLES - len(samples) + edge))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME_SAMPLES)[::HOP_SAMPLES]
    coefficients = _predictors(frames * np.hanning(FRAME_SAMPLES))
    history = np.pad(samples, (ORDER, count * HOP_SAMPLES - len(samples)))
    past = np.lib.stride_tricks.sliding_window_view(history, ORDER + 1).reshape(count, HOP_SAMPLES, ORDER + 1)
    predicted = np.einsum("fso,fo->fs", past[:, :, ORDER - 1 :: -1], coefficients)
    return np.asarray((past[:, :, ORDER] - predicted).reshape(-1)[: len(samples)])


def _predictors(frames: Floats) -> Floats:
    """Solve the normal equations of every frame, [frames, ORDER]; a little white noise keeps them solvable."""
    spectrum = np.abs(np.fft.rfft(frames, 2 * FRAME_SAMPLES, axis=1)) ** 2
    correlation = np.fft.irfft(spectrum, axis=1)[:, : ORDER + 1]
    correlation[:, 0] = correlation[:, 0] * 1.0001 + 1e-7
    lags = np.abs(np.subtract.outer(np.arange(ORDER), np.arange(ORDER)))
    return np.asarray(np.linalg.solve(correlation[:, lags], correlation[:, 1:, None])[:, :, 0])


def _surroundings(residual: Floats) -> Floats:
    """Third strongest 1 ms before or after each sample, whichever is more, within reach; 1 ms beside it is left out."""
    block = RATE_HZ // 1000
    count = -(-len(residual) // block)
    peaks = np.pad(residual, (0, count * block - len(residual))).reshape(count, block).max(axis=1)
    reach = AROUND_SAMPLES // block
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(peaks, reach + 1), 2 * reach + 3)
    sides = np.stack((windows[:, :reach], windows[:, reach + 3 :]))
    scale = np.partition(sides, reach - 3, axis=2)[:, :, reach - 3].max(axis=0)
    return np.asarray(np.repeat(scale, block)[: len(residual)])
