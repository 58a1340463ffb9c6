"""Where speech lies in a recording and how loud it is; the same for training, cloning and evaluation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotirt.types import FloatArray

FRAMES_PER_S = 100
SPEECH_FROM_HZ = (80.0, 130.0)
"""What is below the first does not count as speech, what is above the second does in full: hum hid silences."""
TRIM_BELOW_PEAK_DB = 38.0
TRIM_ABOVE_FLOOR_DB = 9.0
TRIM_LEAST_DB = 18.0
"""Frames count as speech that are within 38 dB of the loud ones and 9 dB above the noise floor; noisy recordings keep
at least what is within 18 dB of the loud ones."""
LOUD_BELOW_PEAK_DB = 25.0
"""The level of speech is that of the frames so close to the loud ones."""
KEEP_BEFORE_S = 0.08
KEEP_AFTER_S = 0.14
SPEECH_LEVEL_DBFS = -23.0
"""Level of the active part of speech that recordings are set to."""
PEAK_LIMIT = 0.95


def without_hum(samples: FloatArray, sample_rate_hz: int = 16_000) -> FloatArray:
    """Remove what lies below speech, float32 [samples]."""
    spectrum = np.fft.rfft(samples)
    frequencies_hz = np.fft.rfftfreq(len(samples), 1.0 / sample_rate_hz)
    low_hz, high_hz = SPEECH_FROM_HZ
    kept = spectrum * np.clip((frequencies_hz - low_hz) / (high_hz - low_hz), 0.0, 1.0)
    return np.fft.irfft(kept, len(samples)).astype(np.float32)


def frame_levels_db(samples: FloatArray, sample_rate_hz: int = 16_000) -> NDArray[np.float32]:
    """Return the level of every whole 10 ms, hum left out, float32 [frames], at least one, in dBFS."""
    step = sample_rate_hz // FRAMES_PER_S
    count = max(1, len(samples) // step)
    padded = np.pad(without_hum(samples, sample_rate_hz), (0, max(0, step - len(samples))))
    power = np.square(padded[: count * step].reshape(count, step)).mean(axis=1)
    levels: NDArray[np.float32] = 10.0 * np.log10(power + 1e-10)
    return levels


def active_frames(levels_db: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mark the frames that count as speech; at least one does."""
    floor, peak = np.percentile(levels_db, [3, 95])
    threshold = min(max(peak - TRIM_BELOW_PEAK_DB, floor + TRIM_ABOVE_FLOOR_DB), peak - TRIM_LEAST_DB)
    marked: NDArray[np.bool_] = levels_db > threshold
    return marked


def active_level_dbfs(levels_db: NDArray[np.float32]) -> float:
    """Return the mean power of the loud frames, in dBFS."""
    loud = levels_db[levels_db > np.percentile(levels_db, 95) - LOUD_BELOW_PEAK_DB]
    return float(10.0 * np.log10(np.mean(10.0 ** (loud / 10.0))))


def speech_span(samples: FloatArray, sample_rate_hz: int = 16_000) -> tuple[int, int, float]:
    """Find where speech starts and ends, with margins, and the active level.

    Returns: first sample, end sample, level of speech in dBFS.
    """
    step = sample_rate_hz // FRAMES_PER_S
    levels_db = frame_levels_db(samples, sample_rate_hz)
    active = np.flatnonzero(active_frames(levels_db))
    start = max(0, int(active[0] * step - KEEP_BEFORE_S * sample_rate_hz))
    end = min(len(samples), int((active[-1] + 1) * step + KEEP_AFTER_S * sample_rate_hz))
    return start, end, active_level_dbfs(levels_db)
