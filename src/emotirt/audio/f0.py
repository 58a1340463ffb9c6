"""Fundamental frequency of speech by normalized autocorrelation.

The correlation of a frame with its lagged self, divided by the energy of both stretches, peaks at the period
(Boersma 1993 describes the method and its bias towards sub-harmonics, which the octave cost counters). Good enough to
compare two renderings of the same sentence; training measures pitch with its own extractor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotirt.types import Audio, FloatArray

LOWEST_HZ = 60.0
HIGHEST_HZ = 500.0
HOP_S = 0.010
VOICED_CORRELATION = 0.6  # below it a frame is unvoiced; between the 0.45 and 0.8 commonly used for clean speech
_OCTAVE_COST = 0.02  # taken off per octave of longer period
_FRAME_S = 2.0 / LOWEST_HZ
_SILENT_POWER = 1e-7  # mean square below -70 dB of full scale


def f0_track(audio: Audio) -> FloatArray:
    """Track the pitch.

    Args: audio: mono speech.
    Returns: float32 [frames], hertz every 10 ms, 0 where unvoiced; no frames for less than 34 ms of audio.
    """
    rate_hz = audio.sample_rate_hz
    frame_samples, hop_samples = round(_FRAME_S * rate_hz), round(HOP_S * rate_hz)
    if len(audio.samples) < frame_samples:
        return np.zeros(0, dtype=np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(audio.samples, frame_samples)[::hop_samples]
    lags = np.arange(int(rate_hz / HIGHEST_HZ), int(rate_hz / LOWEST_HZ) + 1)
    correlation = _normalized_correlation(frames.astype(np.float64), lags)
    scored = correlation - _OCTAVE_COST * np.log2(lags / lags[0])
    best = scored.argmax(axis=1)
    rows = np.arange(len(frames))
    voiced = (correlation[rows, best] >= VOICED_CORRELATION) & ((frames**2).mean(axis=1) > _SILENT_POWER)
    periods = lags[best] + _parabolic_offset(correlation, best)
    return np.where(voiced, rate_hz / periods, 0.0).astype(np.float32)


def _normalized_correlation(frames: NDArray[np.float64], lags: NDArray[np.int64]) -> NDArray[np.float64]:
    centred = frames - frames.mean(axis=1, keepdims=True)
    size = centred.shape[1]
    spectrum = np.fft.rfft(centred, 2 * size, axis=1)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, lags]
    energy = np.concatenate([np.zeros((len(centred), 1)), np.cumsum(centred**2, axis=1)], axis=1)
    head, tail = energy[:, size - lags], energy[:, -1:] - energy[:, lags]
    normalized: NDArray[np.float64] = correlation / np.sqrt(head * tail + 1e-12)
    return normalized


def _parabolic_offset(correlation: NDArray[np.float64], best: NDArray[np.int64]) -> NDArray[np.float64]:
    rows = np.arange(len(best))
    inner = np.clip(best, 1, correlation.shape[1] - 2)
    left, middle, right = (correlation[rows, inner + step] for step in (-1, 0, 1))
    curvature = left - 2.0 * middle + right
    offset = 0.5 * (left - right) / np.where(curvature < 0, curvature, -1.0)
    return np.where((inner == best) & (curvature < 0), np.clip(offset, -0.5, 0.5), 0.0)
