"""Any recording -> mono float32 at the model's rate, through PyAV (FFmpeg's decoders, no ffmpeg program).

Files come from users, so only plain audio and video containers are opened: playlist formats, which could make the
decoder open other files or addresses, are shut out, and length is bounded while decoding.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from emotirt.errors import InvalidAudio
from emotirt.types import Audio, FloatArray

DEFAULT_RATE_HZ = 16_000
MAX_DURATION_S = 3_600.0
MAX_CHANNELS = 64
MIN_SOURCE_HZ, MAX_SOURCE_HZ = 4_000, 768_000
"""What recorders write; at a rate made up, a short recording could fill the memory."""

_CONTAINERS = "wav,w64,aiff,au,caf,flac,mp3,ogg,aac,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,amr,asf,avi,mpegts"


def read_audio(
    source: Path | str | bytes, sample_rate_hz: int = DEFAULT_RATE_HZ, max_duration_s: float = MAX_DURATION_S
) -> Audio:
    """Decode a recording, mix it down to mono and resample it.

    Args:
        source: a file, or the bytes of one.
        sample_rate_hz: rate of the result.
        max_duration_s: longer recordings are refused.

    Returns: mono audio, at least one sample.
    Raises: InvalidAudio: no such file, not audio, empty, too long, NaN inside, an odd rate or number of channels; the
        message says which.
    """
    name, data = _contents(source)
    if not data:
        raise InvalidAudio(f"{name} is empty; give a recording such as a wav, flac, mp3, ogg or m4a file")
    samples, source_rate_hz = _decode(name, data, max_duration_s)
    if not np.isfinite(samples).all():
        raise InvalidAudio(f"{name} holds NaN or infinite samples; export the recording again as 16-bit wav")
    from emotirt.audio.resample import resample

    return resample(Audio(samples, source_rate_hz), sample_rate_hz)


def _contents(source: Path | str | bytes) -> tuple[str, bytes]:
    if isinstance(source, bytes):
        return "the uploaded audio", source
    try:
        return f"audio file {str(source)!r}", Path(source).read_bytes()
    except OSError as exc:
        raise InvalidAudio(f"cannot read audio file {str(source)!r}: {exc.strerror}") from exc


def _decode(name: str, data: bytes, max_duration_s: float) -> tuple[FloatArray, int]:
    import av

    with _decoder_errors(name), av.open(io.BytesIO(data), "r", options={"format_whitelist": _CONTAINERS}) as container:
        if not container.streams.audio:
            raise InvalidAudio(f"{name} has no audio track")
        blocks: list[FloatArray] = []
        resampler: av.AudioResampler | None = None
        rate_hz, total_samples = 0, 0
        for frame in container.decode(container.streams.audio[0]):
            _check_frame(name, frame.sample_rate, frame.layout.nb_channels)
            if resampler is None:
                rate_hz = frame.sample_rate
                # Interleaved: of eight planes PyAV reads a ninth that is not there, and the process dies (14 to 19).
                resampler = av.AudioResampler(format="flt", rate=rate_hz)
            for packed in resampler.resample(frame):
                channel_count = packed.layout.nb_channels
                block = packed.to_ndarray().reshape(-1, channel_count).mean(axis=1, dtype=np.float32)
                blocks.append(block)
                total_samples += len(block)
            if total_samples > max_duration_s * rate_hz:
                raise InvalidAudio(f"{name} is longer than {max_duration_s:g} s; cut it shorter")
    if not total_samples:
        raise InvalidAudio(f"{name} holds no sound")
    return np.concatenate(blocks), rate_hz


def _check_frame(name: str, rate_hz: int, channel_count: int) -> None:
    if not 1 <= channel_count <= MAX_CHANNELS:
        raise InvalidAudio(f"{name} has {channel_count} channels, at most {MAX_CHANNELS} are read; mix it down")
    if not MIN_SOURCE_HZ <= rate_hz <= MAX_SOURCE_HZ:
        raise InvalidAudio(
            f"{name} has a sample rate of {rate_hz} Hz; {MIN_SOURCE_HZ} to {MAX_SOURCE_HZ} are read, save it at 48000"
        )


@contextmanager
def _decoder_errors(name: str) -> Iterator[None]:
    import av

    try:
        yield
    except (av.error.FFmpegError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        raise InvalidAudio(f"{name} cannot be decoded: {reason}; use wav, flac, mp3, ogg, opus, aac or m4a") from exc
