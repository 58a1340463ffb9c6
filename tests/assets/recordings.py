"""Recordings for the tests of cloning: four real clips (NOTICE says whose), and sounds that are no speech."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import av
import numpy as np

from emotirt.audio.read import read_audio
from emotirt.audio.wav import wav_from_audio
from emotirt.types import Audio, FloatArray

RATE_HZ = 16_000
SPEECH = ("kathleen", "linda", "sad", "angry")
SECONDS = 6.0
_TIMES_S = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ


def clip(name: str) -> bytes:
    """One of ``SPEECH`` as an opus file."""
    return (Path(__file__).parent / "speech" / f"{name}.opus").read_bytes()


@lru_cache(maxsize=8)
def speech(name: str) -> FloatArray:
    """The same as samples at 16 kHz."""
    return read_audio(clip(name)).samples


def wav(samples: FloatArray, rate_hz: int = RATE_HZ) -> bytes:
    """Samples as a wav file."""
    return wav_from_audio(Audio(np.asarray(samples, dtype=np.float32), rate_hz))


def wav_header(rate_hz: int, channels: int, data: bytes, bits: int = 16) -> bytes:
    """A wav file that says what it likes."""
    frame = channels * bits // 8
    head = struct.pack("<IHHIIHH", 16, 1, channels, rate_hz, rate_hz * frame, frame, bits)
    return (
        b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + head + b"data" + struct.pack("<I", len(data)) + data
    )


@lru_cache(maxsize=2)
def silence_flac(seconds: int, channels: int) -> bytes:
    """Much silence in few bytes."""
    buffer, rate_hz = io.BytesIO(), 48_000
    layout = {1: "mono", 2: "stereo", 8: "7.1"}[channels]
    with av.open(buffer, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=rate_hz)
        stream.layout = layout
        frame = av.AudioFrame.from_ndarray(np.zeros((1, rate_hz * channels), np.int16), format="s16", layout=layout)
        frame.sample_rate = rate_hz
        for _ in range(seconds):
            frame.pts = None
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _tone(hertz: float, harmonics: int) -> FloatArray:
    return sum(np.sin(2 * np.pi * hertz * part * _TIMES_S) / part for part in range(1, harmonics + 1))


def _noise() -> FloatArray:
    return np.random.default_rng(0).standard_normal(len(_TIMES_S))


def _pink() -> FloatArray:
    spectrum = np.fft.rfft(_noise())
    return np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 1.0), len(_TIMES_S))


def _tune(notes_hz: tuple[float, ...], note_s: float, vibrato: float = 0.0) -> FloatArray:
    pieces = []
    for hertz in np.resize(notes_hz, int(SECONDS / note_s)):
        times_s = np.arange(round(note_s * RATE_HZ)) / RATE_HZ
        phase = 2 * np.pi * np.cumsum(hertz * (1 + vibrato * np.sin(2 * np.pi * 5.5 * times_s))) / RATE_HZ
        shape = np.minimum(times_s / 0.02, 1.0) * np.exp(-2 * times_s) * np.minimum((note_s - times_s) / 0.02, 1.0)
        pieces.append(sum(np.sin(part * phase) / part for part in range(1, 9)) * shape)
    return np.concatenate(pieces)


def _accompanied() -> FloatArray:
    tune, bass = _tune((523, 587, 659, 784, 440), 0.3), _tune((131, 165, 98), 0.6)
    return 0.4 * tune + 0.5 * bass + 0.3 * (_tone(196, 8) + _tone(247, 8) + _tone(294, 8)) / 3


NOT_SPEECH: dict[str, Callable[[], FloatArray]] = {
    "tone": lambda: _tone(440, 1),
    "buzz": lambda: _tone(120, 12),
    "chord": lambda: _tone(220, 6) + _tone(277, 6) + _tone(330, 6),
    "organ": lambda: _tone(131, 8) + _tone(165, 8) + _tone(196, 8) + _tone(262, 8),
    "dial tone": lambda: _tone(350, 1) + _tone(440, 1),
    "tune": lambda: _tune((262, 294, 330, 349, 392), 0.4),
    "fast tune": lambda: _tune((262, 330, 392, 523), 0.18),
    "vibrato": lambda: _tune((262, 330, 392, 294), 0.6, 0.01),
    "accompanied tune": _accompanied,
    "white noise": _noise,
    "pink noise": _pink,
    "beating noise": lambda: _noise() * (1 + np.sin(2 * np.pi * 4 * _TIMES_S)),
    "siren": lambda: np.sin(2 * np.pi * np.cumsum(600 + 200 * np.sin(np.pi * _TIMES_S)) / RATE_HZ),
    "beeps": lambda: _tone(1000, 1) * (_TIMES_S % 1 < 0.5),
    "clicks": lambda: _noise() * (np.arange(len(_TIMES_S)) % 4000 < 20),
}


def not_speech(name: str) -> FloatArray:
    """One of ``NOT_SPEECH``, as a microphone hears it: with a little hiss."""
    samples = NOT_SPEECH[name]()
    hiss = np.random.default_rng(1).standard_normal(len(samples)) * 1e-4
    return (0.5 * samples / np.abs(samples).max() + hiss).astype(np.float32)
