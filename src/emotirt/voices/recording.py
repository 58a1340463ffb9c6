"""Recordings that users bring: read whole, of bounded size and length, from a file or from memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emotirt.audio.read import read_audio
from emotirt.errors import InvalidAudio
from emotirt.types import FloatArray

MAX_RECORDING_S = 30.0
MAX_RECORDING_BYTES = 64 * 1024**2
"""30 s at 192 kHz in stereo of 32 bits are 46 MB."""
MAX_RECORDINGS = 16

Source = Path | str | bytes
"""A path, or the bytes of a file."""
Sources = Source | Sequence[Source]
"""One recording or several of the same voice."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording in memory.

    Attributes:
        name: for messages.
        data: the file as it came.
        sha256: of the data.
    """

    name: str
    data: bytes
    sha256: str

    def samples(self, sample_rate_hz: int) -> FloatArray:
        """Decode, float32 [samples] in [-1, 1].

        Raises: InvalidAudio: not audio, nothing in it, or too long, found out without decoding more than 30 s.
        """
        try:
            return read_audio(self.data, sample_rate_hz, MAX_RECORDING_S).samples
        except InvalidAudio as exc:
            raise InvalidAudio(str(exc).replace("the uploaded audio", self.name, 1)) from exc


def recordings_from_sources(sources: Sources) -> tuple[Recording, ...]:
    """Read files, at least one.

    Raises: InvalidAudio: none, too many, not readable, or too large.
    """
    if isinstance(sources, (str, bytes, Path)):
        return (_recording(sources, 0, 1),)
    if not isinstance(sources, (list, tuple)) or not all(isinstance(item, (str, bytes, Path)) for item in sources):
        raise InvalidAudio(f"recording is {type(sources).__name__}; give a path, bytes, or several of them")
    if not 1 <= len(sources) <= MAX_RECORDINGS:
        raise InvalidAudio(f"{len(sources)} recordings are not accepted; give 1 to {MAX_RECORDINGS}")
    return tuple(_recording(item, index, len(sources)) for index, item in enumerate(sources))


def _recording(source: Source, index: int, count: int) -> Recording:
    if isinstance(source, bytes):
        name, data = "the recording" if count == 1 else f"recording {index + 1}", source
    else:
        name, data = f"recording {str(source)!r}", _file_bytes(source)
    if len(data) > MAX_RECORDING_BYTES:
        limit = MAX_RECORDING_BYTES // 1024**2
        raise InvalidAudio(f"{name} is larger than {limit} MiB; cut it to {MAX_RECORDING_S:g} s of speech")
    if not data:
        raise InvalidAudio(f"{name} is empty; give a wav, flac, mp3, ogg or m4a file")
    return Recording(name, data, hashlib.sha256(data).hexdigest())


def _file_bytes(path: Path | str) -> bytes:
    try:
        with Path(path).open("rb") as stream:
            return stream.read(MAX_RECORDING_BYTES + 1)  # a device or a pipe may never end
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        raise InvalidAudio(f"cannot read recording {str(path)!r}: {reason}") from exc
