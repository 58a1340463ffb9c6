"""What a client asks for in the engine's terms, and the engine's chunks as bytes of a format."""

from __future__ import annotations

import asyncio
import base64
import math
from dataclasses import dataclass, replace

from emotirt.audio.encode import audio_format, open_encoder
from emotirt.audio.resample import StreamResampler
from emotirt.bundle.manifest import NEUTRAL
from emotirt.engine.live import AsyncEngine
from emotirt.engine.request import SpeechOptions, SpeechRequest
from emotirt.errors import InvalidAudio, UnknownModel
from emotirt.server.schemas import Style
from emotirt.types import FloatArray, Priority, Prosody
from emotirt.voices.instructions import InstructedStyle, combined, style_from_instructions

OPENAI_VOICES = frozenset((
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse",
))  # fmt: skip
"""Names that OpenAI's clients send; unless the bundle has such a voice they mean the default of the text's language."""
OPENAI_MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
PCM_RATE_HZ = 24_000
"""OpenAI's clients expect bare samples at this rate."""
_CHEAP_FORMATS = ("pcm", "wav")


@dataclass(frozen=True, slots=True)
class AudioTarget:
    """The audio that the client gets.

    Attributes:
        format_name: a key of ``audio.encode.FORMATS``.
        sample_rate_hz: of the audio.
        media_type: for HTTP.
    """

    format_name: str
    sample_rate_hz: int
    media_type: str


def model_names(engine: AsyncEngine) -> tuple[str, ...]:
    """Return the accepted models: the bundle, and OpenAI's names for it."""
    return tuple(dict.fromkeys((engine.bundle.manifest.name, *OPENAI_MODELS)))


def is_model(name: str, engine: AsyncEngine) -> bool:
    """Return whether a model is accepted; dated names of OpenAI's are."""
    return name in model_names(engine) or name.startswith(tuple(f"{model}-" for model in OPENAI_MODELS))


def request_from_style(text: str, style: Style, engine: AsyncEngine) -> SpeechRequest:
    """Turn a text and a style into a request.

    Raises: UnknownModel: lists the models. The engine checks everything else.
    """
    if style.model is not None and not is_model(style.model, engine):
        raise UnknownModel(f"no model {style.model!r}; available: {', '.join(model_names(engine))}")
    instructed, prompt = _instructed(style, engine)
    if style.emotion_audio is not None:
        instructed, prompt = replace(instructed, emotion=None, intensity=1.0), None
    intensity = style.intensity
    if intensity is None:
        intensity = instructed.intensity if style.emotion is None else 1.0
    return SpeechRequest(
        text,
        _voice(style.voice_name, engine),
        style.emotion or instructed.emotion or NEUTRAL,
        intensity,
        combined(Prosody(style.speed, style.pitch, style.pitch_range, style.energy), instructed.prosody),
        prompt,
        recording_from_text("reference_audio", style.reference_audio),
        recording_from_text("emotion_audio", style.emotion_audio),
    )


def recording_from_text(field: str, text: str | None) -> bytes | None:
    """Decode base64, bare or in a data URL.

    Raises: InvalidAudio: it is neither.
    """
    if text is None:
        return None
    _, comma, rest = text.partition(",") if text[:5].casefold() == "data:" else ("", ",", text)
    try:
        data = base64.b64decode("".join(rest.split()), validate=True) if comma else b""
    except ValueError:
        data = b""
    if not data:
        raise InvalidAudio(f"{field} is not base64; send the bytes of a wav, flac, mp3, ogg or m4a file as base64")
    return data


def options_from_style(style: Style, request_id: str, strict: bool = False, is_later: bool = False) -> SpeechOptions:
    """Turn a style's urgency into options; ``is_later`` says that audio before it is still being heard."""
    deadline_s = None if style.deadline_ms is None else style.deadline_ms / 1000
    return SpeechOptions(Priority(style.priority), math.inf if is_later else deadline_s, request_id, strict)


def target_from_style(style: Style, format_name: str, engine: AsyncEngine) -> AudioTarget:
    """Settle format and rate.

    Raises: UnsupportedFormat: the format cannot hold the rate; lists the rates it can.
    """
    rate_hz = style.sample_rate or (PCM_RATE_HZ if format_name == "pcm" else engine.sample_rate_hz)
    return AudioTarget(format_name, rate_hz, audio_format(format_name, rate_hz).media_type)


class AudioWriter:
    """Samples to bytes of one complete stream in a format, at the client's rate."""

    def __init__(self, target: AudioTarget, from_hz: int) -> None:
        """Open the encoder; raises UnsupportedFormat."""
        self._is_cheap = target.format_name in _CHEAP_FORMATS
        self._resampler = StreamResampler(from_hz, target.sample_rate_hz)
        self._encoder = open_encoder(target.format_name, target.sample_rate_hz)

    async def write(self, samples: FloatArray, is_last: bool = False) -> bytes:
        """Take float32 [samples] and return what is ready, possibly nothing; everything with ``is_last``."""
        if self._is_cheap:
            return self._written(samples, is_last)
        return await asyncio.to_thread(self._written, samples, is_last)  # the event loop has others to serve

    async def finish(self) -> bytes:
        """Return the rest."""
        return await asyncio.to_thread(self._rest)

    def _written(self, samples: FloatArray, is_last: bool) -> bytes:
        data = self._encoder.write(self._resampler.write(samples))
        return data + self._rest() if is_last else data

    def _rest(self) -> bytes:
        return self._encoder.write(self._resampler.finish()) + self._encoder.finish()


def _voice(name: str | None, engine: AsyncEngine) -> str | None:
    if name is None or name.casefold() not in OPENAI_VOICES:
        return name
    return name if engine.has_voice(name) else None


def _instructed(style: Style, engine: AsyncEngine) -> tuple[InstructedStyle, str | None]:
    """Return what the instructions ask for, and the prompt where the bundle reads prompts itself."""
    words = (style.instructions or "").strip()
    if not words:
        return InstructedStyle(), None
    if engine.bundle.manifest.prompt is not None and style.emotion is None:
        return InstructedStyle(), words
    return style_from_instructions(words, (emotion.name for emotion in engine.emotions)), None
