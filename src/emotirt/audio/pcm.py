"""Conversion between float samples and 16-bit little-endian PCM."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotirt.errors import InvalidAudio
from emotirt.types import FloatArray

FULL_SCALE = 32_768.0  # one least significant bit is 1 / 32768, so int16 -> float -> int16 is exact
SAMPLE_BYTES = 2


def int16_from_float(samples: FloatArray) -> NDArray[np.int16]:
    """Round to the nearest 16-bit step and clip.

    Args: samples: float32 [samples]; values beyond [-1, 1) are clipped.
    Returns: int16 [samples].
    Raises: InvalidAudio: a sample is NaN or infinite.
    """
    if not np.isfinite(samples).all():
        raise InvalidAudio("audio holds NaN or infinite samples and cannot be converted to 16-bit PCM")
    scaled = np.rint(np.asarray(samples, dtype=np.float64) * FULL_SCALE)
    return np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def s16le_from_float(samples: FloatArray) -> bytes:
    """Return 16-bit little-endian PCM, two bytes a sample; rounding, clipping and errors of ``int16_from_float``."""
    return int16_from_float(samples).astype("<i2", copy=False).tobytes()


def float_from_s16le(data: bytes) -> FloatArray:
    """Return float32 [samples] in [-1, 1) from 16-bit little-endian PCM.

    Raises: InvalidAudio: an odd number of bytes.
    """
    if len(data) % SAMPLE_BYTES:
        raise InvalidAudio(f"16-bit PCM needs an even number of bytes, got {len(data)}")
    samples: FloatArray = (np.frombuffer(data, dtype="<i2") / FULL_SCALE).astype(np.float32)
    return samples
