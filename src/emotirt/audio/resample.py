"""Sample rate conversion by libsoxr (python-soxr), whole or streamed."""

from __future__ import annotations

import numpy as np
import soxr

from emotirt.errors import InvalidRequest
from emotirt.types import Audio, FloatArray

MIN_RATE_HZ = 8_000
MAX_RATE_HZ = 192_000


def resample(audio: Audio, sample_rate_hz: int) -> Audio:
    """Convert audio to another rate with soxr's high quality (20 bit).

    Returns: the same audio when the rate already matches; otherwise samples * ratio of them, rounded half up.
    Raises: InvalidRequest: a rate outside 8000..192000 Hz.
    """
    check_rate(sample_rate_hz)
    if sample_rate_hz == audio.sample_rate_hz:
        return audio
    samples = soxr.resample(audio.samples, audio.sample_rate_hz, sample_rate_hz, quality="HQ")
    return Audio(np.asarray(samples, dtype=np.float32), sample_rate_hz)


def check_rate(sample_rate_hz: int) -> None:
    """Refuse a sample rate that no listener has use for.

    Raises: InvalidRequest: outside 8000..192000 Hz.
    """
    if not MIN_RATE_HZ <= sample_rate_hz <= MAX_RATE_HZ:
        raise InvalidRequest(
            f"sample rate {sample_rate_hz} Hz is out of range; accepted: {MIN_RATE_HZ}..{MAX_RATE_HZ} Hz"
        )


class StreamResampler:
    """Converts consecutive blocks; the joined output equals one-shot conversion."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        """Prepare conversion; equal rates pass blocks through.

        Raises: InvalidRequest: a rate outside 8000..192000 Hz.
        """
        check_rate(to_hz)
        self._stream = (
            None if from_hz == to_hz else soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")
        )

    def write(self, samples: FloatArray) -> FloatArray:
        """Take float32 [samples] and return what is ready, possibly nothing."""
        return self._convert(samples, last=False)

    def finish(self) -> FloatArray:
        """Return the tail held back by the filter."""
        return self._convert(np.zeros(0, dtype=np.float32), last=True)

    def _convert(self, samples: FloatArray, last: bool) -> FloatArray:
        if self._stream is None:
            return samples
        return np.asarray(self._stream.resample_chunk(samples, last=last), dtype=np.float32)
