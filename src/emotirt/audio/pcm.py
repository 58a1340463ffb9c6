"""Conversion between float samples and 16-bit little-endian PCM."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emotirt.errors import InvalidAudio
from emotirt.types import FloatArray

FULL_SCALE = 32_768.0  # one least significant bit is 1 / 32768, so int16 -> float -> int16 is exact
SAMPLE_BYTES = 2
_BLOCK_SAMPLES = 16_384
"""Converted at once: little enough to stay in the caches of a core."""


def int16_from_float(samples: FloatArray) -> NDArray[np.int16]:
    """Round to the nearest 16-bit step and clip.

    Args: samples: float32 [samples]; values beyond [-1, 1) are clipped.
    Returns: int16 [samples].
    Raises: InvalidAudio: a sample is NaN or infinite.
    """
    made = np.empty(len(samples), dtype=np.int16)
    room = np.empty(min(len(samples), _BLOCK_SAMPLES), dtype=np.float32)
    for start in range(0, len(samples), _BLOCK_SAMPLES):
        part = samples[start : start + _BLOCK_SAMPLES]
        scaled = np.multiply(part, FULL_SCALE, out=room[: len(part)])  # by a power of two, and so exact
        if not np.isfinite(scaled.sum()) and not np.isfinite(part).all():  # the sum alone is quick, and may overflow
            raise InvalidAudio("audio holds NaN or infinite samples and cannot be converted to 16-bit PCM")
        np.rint(scaled, out=scaled)
        np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1, out=scaled)
        made[start : start + len(part)] = scaled
    return made


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
