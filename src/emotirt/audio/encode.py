"""Audio formats that EmotiRT writes, whole or as a stream.

``wav`` and ``pcm`` need numpy only, the rest import PyAV when used (libFLAC, LAME, libopus and FFmpeg's AAC come inside
its wheel; no ffmpeg program is needed). Lossy encoders add delay: an ``mp3`` made whole says so in its LAME header and
an ``opus`` in its pre-skip, so that players remove it; a streamed ``mp3`` and any ``aac`` (ADTS) have no place to say
so and start with that much silence (``AudioFormat.unsignalled_delay_samples``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import Protocol

from emotirt.audio.wav import PcmEncoder, WavEncoder, wav_from_audio
from emotirt.errors import UnsupportedFormat
from emotirt.types import Audio, FloatArray


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """What can be said about a format without encoding anything.

    Attributes:
        name: as given by the user.
        media_type: for HTTP.
        suffixes: file name endings, the first is the usual one.
        sample_rates_hz: rates that it can hold; empty for any.
        unsignalled_delay_samples: silence at the start of a stream that players cannot know of, at the encoder's rate.
    """

    name: str
    media_type: str
    suffixes: tuple[str, ...]
    sample_rates_hz: tuple[int, ...] = ()
    unsignalled_delay_samples: int = 0


_MPEG_RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)  # ISO 11172-3, 13818-3
_OPUS_RATES_HZ = (8_000, 12_000, 16_000, 24_000, 48_000)  # RFC 6716 section 2

FORMATS: dict[str, AudioFormat] = {
    item.name: item
    for item in (
        AudioFormat("wav", "audio/wav", (".wav",)),
        AudioFormat("flac", "audio/flac", (".flac",)),
        # LAME's analysis delay of 576 samples plus the decoder's 529.
        AudioFormat("mp3", "audio/mpeg", (".mp3",), _MPEG_RATES_HZ, 1_105),
        AudioFormat("opus", "audio/ogg", (".opus", ".ogg"), _OPUS_RATES_HZ),
        # One frame of 1024 samples, the overlap of the first transform (ISO 14496-3).
        AudioFormat("aac", "audio/aac", (".aac",), _MPEG_RATES_HZ, 1_024),
        AudioFormat("pcm", "audio/pcm", (".pcm", ".raw")),
    )
}


class StreamEncoder(Protocol):
    """Turns samples into bytes as they come."""

    def write(self, samples: FloatArray) -> bytes:
        """Take float32 [samples] and return what is ready, possibly nothing."""

    def finish(self) -> bytes:
        """Return the rest; the encoder is of no use afterwards."""


def audio_format(name: str, sample_rate_hz: int | None = None) -> AudioFormat:
    """Look up a format, and check that it can hold a sample rate.

    Raises: UnsupportedFormat: no such format, or not at that rate; lists what there is.
    """
    found = FORMATS.get(name.lower())
    if found is None:
        raise UnsupportedFormat(f"unknown audio format {name!r}; available: {', '.join(FORMATS)}")
    if sample_rate_hz is not None and found.sample_rates_hz and sample_rate_hz not in found.sample_rates_hz:
        rates = ", ".join(map(str, found.sample_rates_hz))
        raise UnsupportedFormat(f"{found.name} cannot hold {sample_rate_hz} Hz; choose one of {rates} Hz, or wav")
    return found


def format_from_path(path: str | PurePath) -> AudioFormat:
    """Return the format that a file name asks for by its ending.

    Raises: UnsupportedFormat: unknown ending.
    """
    suffix = PurePath(path).suffix.lower()
    for item in FORMATS.values():
        if suffix in item.suffixes:
            return item
    known = ", ".join(ending for item in FORMATS.values() for ending in item.suffixes)
    raise UnsupportedFormat(f"no audio format for the file ending {suffix!r} of {str(path)!r}; known: {known}")


def encode(audio: Audio, format: str) -> bytes:  # noqa: A002  # the word users type  # the word users type
    """Encode complete audio.

    Args: audio: mono. format: a key of FORMATS.
    Returns: a complete file; bare 16-bit little-endian samples for ``pcm``.
    Raises: UnsupportedFormat: unknown format or rate. InvalidAudio: NaN or infinite samples.
    """
    chosen = audio_format(format, audio.sample_rate_hz)
    if chosen.name == "wav":
        return wav_from_audio(audio)
    if chosen.name == "pcm":
        return PcmEncoder().write(audio.samples)
    from emotirt.audio.compressed import encode_whole  # PyAV takes 0.15 s to import

    return encode_whole(audio, chosen.name)


def open_encoder(format: str, sample_rate_hz: int) -> StreamEncoder:  # noqa: A002
    """Start a stream in a format.

    Raises: UnsupportedFormat: unknown format or rate.
    """
    chosen = audio_format(format, sample_rate_hz)
    if chosen.name == "wav":
        return WavEncoder(sample_rate_hz)
    if chosen.name == "pcm":
        return PcmEncoder()
    from emotirt.audio.compressed import CompressedEncoder

    return CompressedEncoder(chosen.name, sample_rate_hz)
