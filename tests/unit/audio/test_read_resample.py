"""Reading recordings and changing their rate."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose
from tests.unit.audio.signals import blocks, noise, tone

from emotirt.audio.compare import snr_db
from emotirt.audio.encode import encode
from emotirt.audio.read import read_audio
from emotirt.audio.resample import StreamResampler, resample
from emotirt.audio.wav import wav_from_audio
from emotirt.errors import InvalidAudio, InvalidRequest
from emotirt.types import Audio


def wav_bytes(samples: np.ndarray, rate_hz: int, subtype: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format="WAV", subtype=subtype)
    return buffer.getvalue()


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_wav_subtypes(subtype: str) -> None:
    audio = tone()
    decoded = read_audio(wav_bytes(audio.samples, 16_000, subtype))
    assert decoded.sample_rate_hz == 16_000
    assert snr_db(audio.samples, decoded.samples) > 75


def test_stereo_is_averaged(tmp_path: Path) -> None:
    left, right = tone(200.0).samples, tone(300.0).samples
    path = tmp_path / "stereo.wav"
    path.write_bytes(wav_bytes(np.stack([left, right], axis=1), 16_000, "FLOAT"))
    assert_allclose(read_audio(path).samples, (left + right) / 2, atol=1e-6)


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000])
def test_rate_becomes_sixteen_kilohertz(rate_hz: int) -> None:
    decoded = read_audio(wav_bytes(tone(sample_rate_hz=rate_hz).samples, rate_hz, "PCM_16"))
    assert decoded.sample_rate_hz == 16_000
    assert decoded.duration_s == pytest.approx(1.0, abs=0.001)
    assert snr_db(tone().samples, decoded.samples) > 35


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"not audio at all, " * 50, "cannot be decoded"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n/etc/passwd\n#EXT-X-ENDLIST\n", "cannot be decoded"),
        (wav_bytes(np.full(100, np.nan), 16_000, "FLOAT"), "NaN"),
        (wav_from_audio(Audio(np.zeros(0, np.float32), 16_000)), "no sound"),
        (encode(tone(), "flac")[:60], "no sound|cannot be decoded"),
    ],
)
def test_unusable_recordings_say_why(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidAudio, match=reason):
        read_audio(data)


def test_missing_file_and_directory_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidAudio, match=r"nowhere.wav': No such file"):
        read_audio(tmp_path / "nowhere.wav")
    with pytest.raises(InvalidAudio, match="Is a directory"):
        read_audio(tmp_path)


def test_long_recordings_are_refused() -> None:
    with pytest.raises(InvalidAudio, match=r"longer than 0\.5 s"):
        read_audio(wav_from_audio(tone()), max_duration_s=0.5)


def test_picture_has_no_sound() -> None:
    import struct
    import zlib

    def part(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    png = b"\x89PNG\r\n\x1a\n" + part(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    png += part(b"IDAT", zlib.compress(b"\0\0")) + part(b"IEND", b"")
    with pytest.raises(InvalidAudio):
        read_audio(png)


@pytest.mark.parametrize("to_hz", [8_000, 22_050, 24_000, 44_100, 48_000])
def test_streamed_resampling_equals_one_shot(to_hz: int) -> None:
    audio = Audio(noise(20_000), 16_000)
    stream = StreamResampler(16_000, to_hz)
    parts = [stream.write(block) for block in blocks(audio.samples, 777)]
    joined = np.concatenate([*parts, stream.finish()])
    whole = resample(audio, to_hz).samples
    assert len(joined) == len(whole) == int(20_000 * to_hz / 16_000 + 0.5)
    assert_allclose(joined, whole, atol=1e-6)


def test_equal_rates_change_nothing() -> None:
    audio = tone()
    assert resample(audio, 16_000) is audio
    stream = StreamResampler(16_000, 16_000)
    assert stream.write(audio.samples) is audio.samples
    assert len(stream.finish()) == 0


@pytest.mark.parametrize("rate_hz", [0, -1, 7_999, 192_001])
def test_senseless_rates_are_refused(rate_hz: int) -> None:
    with pytest.raises(InvalidRequest, match=r"accepted: 8000\.\.192000"):
        resample(tone(), rate_hz)


@pytest.mark.parametrize("channels", [2, 6, 8, 12, 16])
def test_many_channels_are_averaged(channels: int) -> None:
    one = tone().samples
    decoded = read_audio(wav_bytes(np.stack([one] * channels, axis=1), 16_000, "FLOAT"))
    assert snr_db(one, decoded.samples) > 75


@pytest.mark.parametrize(
    ("rate_hz", "channels", "words"), [(1, 1, "1 Hz"), (2_000_000, 1, "2000000 Hz"), (16_000, 65, "65 channels")]
)
def test_made_up_rates_and_channels_are_refused(rate_hz: int, channels: int, words: str) -> None:
    from tests.assets.recordings import wav_header

    with pytest.raises(InvalidAudio, match=words):
        read_audio(wav_header(rate_hz, channels, b"\1\2" * channels * 4000))
