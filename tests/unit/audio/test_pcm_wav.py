"""16-bit PCM and WAV."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from emotirt.audio.pcm import float_from_s16le, int16_from_float, s16le_from_float
from emotirt.audio.wav import HEADER_BYTES, wav_from_audio, wav_header
from emotirt.errors import InvalidAudio, OutputError
from emotirt.types import Audio


@given(st.binary(max_size=400).filter(lambda data: len(data) % 2 == 0))
def test_every_pcm_value_survives_a_round_trip(data: bytes) -> None:
    assert s16le_from_float(float_from_s16le(data)) == data


def test_conversion_rounds_and_clips() -> None:
    samples = np.array([0.0, 0.6 / 32768, -0.6 / 32768, 1.0, -1.0, 5.0, -5.0], dtype=np.float32)
    assert_array_equal(int16_from_float(samples), [0, 1, -1, 32767, -32768, 32767, -32768])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(bad: float) -> None:
    with pytest.raises(InvalidAudio, match="NaN or infinite"):
        int16_from_float(np.array([0.0, bad], dtype=np.float32))


def test_odd_byte_count_is_refused() -> None:
    with pytest.raises(InvalidAudio, match="got 3"):
        float_from_s16le(b"abc")


def test_wav_is_read_by_the_standard_library() -> None:
    audio = Audio(np.linspace(-1, 1, 999, dtype=np.float32), 22_050)
    with wave.open(io.BytesIO(wav_from_audio(audio))) as reader:
        assert (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) == (1, 2, 22_050)
        assert reader.readframes(2000) == s16le_from_float(audio.samples)


def test_unknown_length_is_the_largest() -> None:
    header = wav_header(16_000)
    assert len(header) == HEADER_BYTES
    assert header[4:8] == header[40:44] == b"\xff\xff\xff\xff"


def test_more_than_four_gigabytes_is_refused() -> None:
    with pytest.raises(OutputError, match="4 GiB"):
        wav_header(16_000, 2**31)
