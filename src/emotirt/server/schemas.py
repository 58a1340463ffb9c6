"""Bodies that clients send: strict, unknown fields refused, turned at once into the engine's own values."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_INPUT_CHARACTERS = 100_000
"""Longer is refused unread; the engine's own limit, past which a text is cut with a warning, is lower."""
MAX_NAME_CHARACTERS = 200
MAX_RECORDING_CHARACTERS = 14 * 1024**2
"""10 MiB as base64; the limit of bodies is lower by default."""
_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]
Recording = Annotated[str, Field(min_length=1, max_length=MAX_RECORDING_CHARACTERS)]
TimestampKind = Literal["word", "phoneme", "viseme"]


class VoiceById(BaseModel):
    """A voice as an object, as OpenAI names custom voices."""

    model_config = _STRICT

    id: Name


class Style(BaseModel):
    """How to speak: what the HTTP body and the first WebSocket message share.

    Attributes:
        model: a name of ``GET /v1/models``.
        voice: a name of ``GET /v1/audio/voices``; OpenAI's names mean the default voice of the text's language.
        instructions: the way of speaking in words, English or Chinese.
        speed: speaking rate, 1 is the voice's own.
        emotion: a name or alias, English or Chinese; goes before one in the instructions.
        intensity: of the emotion, 0 to 1.5.
        pitch: shift of the voice's pitch in semitones.
        pitch_range: how far pitch departs from its mean, 1 is the voice's own, 0 a monotone.
        energy: change of loudness in decibels.
        sample_rate: of the audio in Hz; the default is 24000 for pcm and the bundle's own for the rest.
        priority: ``live`` goes before ``bulk``.
        deadline_ms: to the first audio.
        reference_audio: a recording of the speaker, in place of a voice: a file as base64, or as a data URL.
        emotion_audio: a recording that sounds as this should, of any speaker, in place of an emotion; likewise.
        timestamps: when words, phonemes, visemes or several of them sound.
        seed: nothing is random, so that every seed gives the same speech; it is sent back as it came.
    """

    model_config = _STRICT

    model: Name | None = None
    voice: Name | VoiceById | None = None
    instructions: Annotated[str, Field(max_length=4096)] | None = None
    speed: Annotated[float, Field(ge=0.25, le=4.0)] = 1.0
    emotion: Name | None = None
    intensity: Annotated[float, Field(ge=0.0, le=1.5)] | None = None
    pitch: Annotated[float, Field(ge=-12.0, le=12.0)] = 0.0
    pitch_range: Annotated[float, Field(ge=0.0, le=3.0)] = 1.0
    energy: Annotated[float, Field(ge=-20.0, le=20.0)] = 0.0
    sample_rate: Annotated[int, Field(ge=8_000, le=192_000)] | None = None
    priority: Literal["live", "bulk"] = "live"
    deadline_ms: Annotated[float, Field(gt=0)] | None = None
    reference_audio: Recording | None = None
    emotion_audio: Recording | None = None
    timestamps: TimestampKind | Annotated[list[TimestampKind], Field(max_length=3)] | None = None
    seed: Annotated[int, Field(gt=-(2**53), lt=2**53)] | None = None

    @property
    def voice_name(self) -> str | None:
        """The voice asked for."""
        return self.voice.id if isinstance(self.voice, VoiceById) else self.voice

    @property
    def timestamp_kinds(self) -> frozenset[str]:
        """The timestamps asked for."""
        if self.timestamps is None:
            return frozenset()
        return frozenset([self.timestamps] if isinstance(self.timestamps, str) else self.timestamps)


class SpeechBody(Style):
    """Body of ``POST /v1/audio/speech``.

    Attributes:
        input: what to say.
        response_format: of the audio.
        stream_format: bare audio, or events that carry it.
        strict: refuse a text past the engine's limit instead of cutting it with a warning.
    """

    input: Annotated[str, Field(min_length=1, max_length=MAX_INPUT_CHARACTERS)]
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    stream_format: Literal["audio", "sse"] = "audio"
    strict: bool = False
