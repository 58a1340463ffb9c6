"""Where spoken chunks go: a file, standard output, the loudspeaker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

import numpy as np

from emotirt.audio.encode import StreamEncoder, encode, open_encoder
from emotirt.audio.resample import StreamResampler
from emotirt.cli.output import audio_stdout, write_file
from emotirt.cli.play import player
from emotirt.types import Audio, FloatArray


class Sink(Protocol):
    """Takes samples in order."""

    def write(self, samples: FloatArray) -> None:
        """Take float32 [samples]."""


class PipeSink:
    """Encodes chunks as they come and flushes each, so that the reader hears them at once."""

    def __init__(self, pipe: IO[bytes], encoder: StreamEncoder) -> None:
        """Write to ``pipe`` what ``encoder`` makes."""
        self._pipe = pipe
        self._encoder = encoder

    def write(self, samples: FloatArray) -> None:
        """Encode, write and flush float32 [samples]."""
        self._send(self._encoder.write(samples))

    def finish(self) -> None:
        """Write the encoder's last bytes."""
        self._send(self._encoder.finish())

    def _send(self, data: bytes) -> None:
        if data:
            self._pipe.write(data)
            self._pipe.flush()


class FileSink:
    """Keeps chunks and writes a complete file at the end, whose header knows its length."""

    def __init__(self) -> None:
        """Start empty."""
        self._parts: list[FloatArray] = []

    def write(self, samples: FloatArray) -> None:
        """Keep float32 [samples]."""
        self._parts.append(samples)

    def audio(self, sample_rate_hz: int) -> Audio:
        """Return everything kept, as audio at ``sample_rate_hz``."""
        return Audio(np.concatenate([np.zeros(0, dtype=np.float32), *self._parts]), sample_rate_hz)


class ResampledSink:
    """Changes the rate on the way to another sink."""

    def __init__(self, sink: Sink, from_hz: int, to_hz: int) -> None:
        """Convert from the engine's rate to the one asked for; equal rates pass through."""
        self._sink = sink
        self._resampler = StreamResampler(from_hz, to_hz)

    def write(self, samples: FloatArray) -> None:
        """Convert float32 [samples] and hand on what is ready."""
        self._sink.write(self._resampler.write(samples))

    def finish(self) -> None:
        """Hand on the tail of the conversion."""
        self._sink.write(self._resampler.finish())


@contextmanager
def open_sink(target: Path | str, format_name: str, from_hz: int, to_hz: int) -> Iterator[Sink]:
    """Open where the audio goes; it is complete when the block ends well, and a file appears only then.

    Args:
        target: a file, ``-`` for standard output or ``play`` for the loudspeaker.
        format_name: a key of FORMATS; the loudspeaker takes no notice.
        from_hz: rate of the samples that will be written.
        to_hz: rate of the result.

    Raises: OutputError, UnsupportedFormat, BackendError: as the target says.
    """
    if isinstance(target, Path):
        kept = FileSink()
        with _resampled(kept, from_hz, to_hz) as sink:
            yield sink
        write_file(target, encode(kept.audio(to_hz), format_name))
        return
    channel = player(to_hz) if target == "play" else audio_stdout()
    with channel as pipe:
        piped = PipeSink(pipe, open_encoder("pcm" if target == "play" else format_name, to_hz))
        with _resampled(piped, from_hz, to_hz) as sink:
            yield sink
        piped.finish()


@contextmanager
def _resampled(sink: Sink, from_hz: int, to_hz: int) -> Iterator[Sink]:
    if from_hz == to_hz:
        yield sink
        return
    resampled = ResampledSink(sink, from_hz, to_hz)
    yield resampled
    resampled.finish()
