"""Every format decodes back, whole and streamed, checked with a second decoder where there is one."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from tests.unit.audio.signals import blocks, tone

from emotirt.audio.compare import snr_db
from emotirt.audio.encode import FORMATS, audio_format, encode, format_from_path, open_encoder
from emotirt.audio.pcm import float_from_s16le
from emotirt.audio.read import read_audio
from emotirt.errors import InvalidAudio, OutputError, UnsupportedFormat
from emotirt.types import Audio, FloatArray

COMPRESSED = ("flac", "mp3", "opus", "aac")
MEASURED_SNR_DB = {"flac": 80.0, "mp3": 25.0, "opus": 15.0, "aac": 25.0}  # tone of 220 Hz; measured values are higher


def best_shift(reference: FloatArray, decoded: FloatArray, limit: int = 4000) -> int:
    """Samples by which ``decoded`` lags."""
    size = len(reference) + len(decoded)
    product = np.fft.rfft(decoded, size) * np.conj(np.fft.rfft(reference, size))
    return int(np.fft.irfft(product, size)[:limit].argmax())


def streamed(audio: Audio, name: str, block_samples: int = 1600) -> list[bytes]:
    encoder = open_encoder(name, audio.sample_rate_hz)
    return [*(encoder.write(block) for block in blocks(audio.samples, block_samples)), encoder.finish()]


@pytest.mark.parametrize("name", COMPRESSED)
@pytest.mark.parametrize("rate_hz", [16_000, 24_000, 48_000])
def test_whole_file_has_the_right_length_and_sound(name: str, rate_hz: int) -> None:
    audio = tone(duration_s=1.5, sample_rate_hz=rate_hz)
    decoded = read_audio(encode(audio, name), rate_hz)
    slack = 0 if name in ("flac", "opus") else 2 * 1152
    assert len(audio.samples) <= len(decoded.samples) <= len(audio.samples) + slack
    shift = best_shift(audio.samples, decoded.samples)
    assert shift <= (FORMATS[name].unsignalled_delay_samples if name == "aac" else 1)
    aligned = decoded.samples[shift : shift + len(audio.samples)]
    assert snr_db(audio.samples[: len(aligned)], aligned) > MEASURED_SNR_DB[name]


@pytest.mark.parametrize("name", COMPRESSED)
def test_stream_decodes_and_delay_is_as_documented(name: str) -> None:
    audio = tone(duration_s=2.0)
    decoded = read_audio(b"".join(streamed(audio, name)))
    delay = FORMATS[name].unsignalled_delay_samples
    assert len(audio.samples) <= len(decoded.samples) <= len(audio.samples) + delay + 2 * 1152
    assert abs(best_shift(audio.samples, decoded.samples) - delay) <= 1


@pytest.mark.parametrize("name", FORMATS)
def test_stream_gives_bytes_before_the_end(name: str) -> None:
    parts = streamed(tone(duration_s=2.0), name)
    assert len(b"".join(parts[:4])) > 0
    assert sum(1 for part in parts if part) > len(parts) // 2


@pytest.mark.parametrize(("name", "kind"), [("flac", "FLAC"), ("mp3", "MP3"), ("opus", "OGG")])
def test_libsndfile_agrees(name: str, kind: str) -> None:
    data = encode(tone(duration_s=1.0), name)
    info = soundfile.info(io.BytesIO(data))
    assert info.format in (kind, "MPEG")
    assert info.channels == 1
    assert info.samplerate in (16_000, 48_000)
    assert info.duration == pytest.approx(1.0, abs=0.01)


def test_wav_and_pcm_stream_equal_the_whole() -> None:
    audio = tone(duration_s=0.5)
    assert b"".join(streamed(audio, "pcm")) == encode(audio, "pcm")
    assert b"".join(streamed(audio, "wav"))[44:] == encode(audio, "wav")[44:]
    assert snr_db(audio.samples, float_from_s16le(encode(audio, "pcm"))) > 80
    assert len(read_audio(b"".join(streamed(audio, "wav"))).samples) == len(audio.samples)


@pytest.mark.parametrize("name", FORMATS)
def test_empty_stream_ends_quietly(name: str) -> None:
    assert isinstance(open_encoder(name, 16_000).finish(), bytes)


@pytest.mark.parametrize("name", COMPRESSED)
def test_writing_after_the_end_is_an_error(name: str) -> None:
    encoder = open_encoder(name, 16_000)
    encoder.write(tone(duration_s=0.2).samples)
    encoder.finish()
    with pytest.raises(OutputError, match="finished"):
        encoder.write(tone(duration_s=0.2).samples)


@pytest.mark.parametrize("name", FORMATS)
def test_nan_is_refused(name: str) -> None:
    with pytest.raises(InvalidAudio, match="NaN"):
        encode(Audio(np.full(1600, np.nan, dtype=np.float32), 16_000), name)


def test_formats_by_name_and_ending() -> None:
    assert audio_format("MP3").name == "mp3"
    assert format_from_path("a/b.OGG").name == "opus"
    with pytest.raises(UnsupportedFormat, match=r"'m4b'; available: wav, flac, mp3, opus, aac, pcm"):
        audio_format("m4b")
    with pytest.raises(UnsupportedFormat, match=r"ending '.txt' of 'x.txt'; known: .wav"):
        format_from_path("x.txt")
    with pytest.raises(UnsupportedFormat, match="opus cannot hold 22050 Hz; choose one of 8000"):
        open_encoder("opus", 22_050)


def test_wav_needs_no_pyav() -> None:
    code = "import sys, emotirt.audio.encode as e; e.open_encoder('wav', 16000); assert 'av' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
