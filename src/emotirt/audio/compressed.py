"""flac, mp3, opus and aac through PyAV; import it only when one of them is asked for."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import av
import numpy as np

from emotirt.audio.pcm import int16_from_float
from emotirt.errors import BackendUnavailable, OutputError
from emotirt.types import Audio, FloatArray


@dataclass(frozen=True, slots=True)
class _Codec:
    """How one format is made.

    Attributes:
        container: FFmpeg's muxer.
        encoder: FFmpeg's encoder.
        bits_per_s: target rate of a lossy encoder, transparent for wide-band speech; 0 where it has no meaning.
        options: of the muxer.
    """

    container: str
    encoder: str
    bits_per_s: int
    options: dict[str, str] = field(default_factory=dict)


_CODECS = {
    "flac": _Codec("flac", "flac", 0),
    "mp3": _Codec("mp3", "libmp3lame", 64_000),
    "opus": _Codec("ogg", "libopus", 32_000, {"page_duration": "20000"}),  # one 20 ms packet a page, so nothing waits
    "aac": _Codec("adts", "aac", 64_000),
}
_BLOCK_SAMPLES = 65_536  # one frame given to FFmpeg at most


class _Outbox:
    """A sink that cannot seek: what a muxer writes waits here until taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


class CompressedEncoder:
    """Stream encoder of one compressed format; each write returns every packet that is complete."""

    def __init__(self, format_name: str, sample_rate_hz: int) -> None:
        """Open encoder and muxer; ``format_name`` is one of flac, mp3, opus, aac."""
        self._outbox = _Outbox()
        self._packets = _PacketWriter(self._outbox, format_name, sample_rate_hz)

    def write(self, samples: FloatArray) -> bytes:
        """Take float32 [samples] and return the bytes that are ready, possibly none.

        Raises: InvalidAudio: NaN or infinite samples. OutputError: the encoder failed, or was finished before.
        """
        self._packets.write(samples)
        return self._outbox.take()

    def finish(self) -> bytes:
        """Flush the encoder and return the last bytes."""
        self._packets.finish()
        return self._outbox.take()


def encode_whole(audio: Audio, format_name: str) -> bytes:
    """Encode complete audio into a seekable buffer, so that headers carry the length and the encoder's delay."""
    buffer = io.BytesIO()
    packets = _PacketWriter(buffer, format_name, audio.sample_rate_hz)
    packets.write(audio.samples)
    packets.finish()
    return buffer.getvalue()


class _PacketWriter:
    """One encoder and its muxer, writing to a file object."""

    def __init__(self, sink: io.BytesIO | _Outbox, format_name: str, sample_rate_hz: int) -> None:
        codec = _CODECS[format_name]
        self._name = format_name
        self._sample_rate_hz = sample_rate_hz
        self._written_samples = 0
        self._finished = False
        with _encoder_errors(format_name):
            options = {"flush_packets": "1", **codec.options}
            self._container = av.open(sink, "w", format=codec.container, options=options)
            stream = self._container.add_stream(codec.encoder, rate=sample_rate_hz, layout="mono")
            self._stream = cast("av.AudioStream", stream)
            if codec.bits_per_s:
                self._stream.bit_rate = codec.bits_per_s

    def write(self, samples: FloatArray) -> None:
        if self._finished:
            raise OutputError(f"the {self._name} stream is finished; open a new encoder for more audio")
        values = int16_from_float(samples)
        for first in range(0, len(values), _BLOCK_SAMPLES):
            block = np.ascontiguousarray(values[None, first : first + _BLOCK_SAMPLES])
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate = self._sample_rate_hz
            frame.pts = self._written_samples
            self._written_samples += block.shape[1]
            with _encoder_errors(self._name):
                self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        if self._finished:
            return
        self._finished = True
        with _encoder_errors(self._name):
            if self._written_samples:
                self._container.mux(self._stream.encode(None))
            self._container.close()


@contextmanager
def _encoder_errors(format_name: str) -> Iterator[None]:
    try:
        yield
    except av.codec.codec.UnknownCodecError as exc:
        raise BackendUnavailable(
            f"this build of PyAV has no {format_name} encoder; reinstall it: pip install av"
        ) from exc
    except av.error.FFmpegError as exc:
        raise OutputError(f"encoding {format_name} failed: {exc.strerror}") from exc
