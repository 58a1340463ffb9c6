"""Mono 16-bit WAV files, whole or streamed.

Layout: RIFF header, 16-byte ``fmt `` chunk, ``data`` chunk (Multimedia Programming Interface and Data
Specifications 1.0, IBM and Microsoft, 1991). A stream whose length is unknown carries the largest 32-bit sizes,
which players read as "until the end of the file".
"""

from __future__ import annotations

import struct

from emotirt.audio.pcm import SAMPLE_BYTES, s16le_from_float
from emotirt.errors import OutputError
from emotirt.types import Audio, FloatArray

HEADER_BYTES = 44
UNKNOWN_BYTES = 0xFFFF_FFFF
_PCM_TAG = 1
_RIFF_OVERHEAD_BYTES = HEADER_BYTES - 8


def wav_header(sample_rate_hz: int, sample_count: int | None = None) -> bytes:
    """Return the 44 bytes before the samples of a mono 16-bit WAV.

    Args:
        sample_rate_hz: samples per second.
        sample_count: number of samples that follow, or None while unknown.

    Raises: OutputError: more samples than a WAV can hold.
    """
    data_bytes = UNKNOWN_BYTES if sample_count is None else sample_count * SAMPLE_BYTES
    if sample_count is not None and data_bytes > UNKNOWN_BYTES - HEADER_BYTES:
        raise OutputError(f"{sample_count} samples do not fit a WAV file (4 GiB); write flac or several files")
    riff_bytes = UNKNOWN_BYTES if sample_count is None else data_bytes + _RIFF_OVERHEAD_BYTES
    return b"".join(
        (
            struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE"),
            struct.pack("<4sIHHII", b"fmt ", 16, _PCM_TAG, 1, sample_rate_hz, sample_rate_hz * SAMPLE_BYTES),
            struct.pack("<HH4sI", SAMPLE_BYTES, 8 * SAMPLE_BYTES, b"data", data_bytes),
        )
    )


def wav_from_audio(audio: Audio) -> bytes:
    """Return a complete WAV file.

    Raises: OutputError: longer than 4 GiB. InvalidAudio: NaN or infinite samples.
    """
    return wav_header(audio.sample_rate_hz, len(audio.samples)) + s16le_from_float(audio.samples)


class WavEncoder:
    """Stream encoder: header of unknown length before the first samples."""

    def __init__(self, sample_rate_hz: int) -> None:
        """Prepare the header for ``sample_rate_hz``."""
        self._pending = wav_header(sample_rate_hz)

    def write(self, samples: FloatArray) -> bytes:
        """Return the bytes of float32 [samples]."""
        return self._take_pending() + s16le_from_float(samples)

    def finish(self) -> bytes:
        """Return what is left: the header when nothing was written."""
        return self._take_pending()

    def _take_pending(self) -> bytes:
        pending, self._pending = self._pending, b""
        return pending


class PcmEncoder:
    """Stream encoder: bare 16-bit little-endian samples."""

    def write(self, samples: FloatArray) -> bytes:
        """Return the bytes of float32 [samples]."""
        return s16le_from_float(samples)

    def finish(self) -> bytes:
        """Return nothing: PCM has no trailer."""
        return b""
