"""What the server answers with, as the OpenAPI document describes it; nothing here checks an answer while serving."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from emotirt.audio.encode import FORMATS

SSE_MEDIA_TYPE = "text/event-stream"
_WHY = {
    400: "a value of the request is not accepted",
    401: "no accepted API key",
    403: "a page of another origin sent it, which is not allowed to",
    404: "there is no such thing",
    408: "the body did not come in time",
    409: "there is a voice of this name already",
    413: "the body is too large",
    429: "too much is waiting; retry-after says when to come again",
    500: "the server failed",
    503: "the server is shutting down, or has no backend",
    504: "no audio before the deadline; x-should-retry is false",
}
EVERYWHERE = (401, 403, 408, 413, 429, 500, 503)
"""What the edge of the server may answer in place of any route that wants a key."""


class ErrorDetail(BaseModel):
    """What failed.

    Attributes:
        message: one line for people.
        type: ``invalid_request_error``, ``rate_limit_error`` or ``server_error``.
        param: field of the request that is to blame.
        code: for programs.
    """

    message: str
    type: Literal["invalid_request_error", "rate_limit_error", "server_error"]
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """OpenAI's error body."""

    error: ErrorDetail


class ModelObject(BaseModel):
    """A model, as OpenAI describes one."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(BaseModel):
    """All accepted names of models."""

    object: Literal["list"]
    data: list[ModelObject]


class VoiceObject(BaseModel):
    """A voice.

    Attributes:
        custom: whether it was made here, and can be deleted.
        created_at: when it was made, in seconds since 1970; custom voices only.
    """

    id: str
    object: Literal["audio.voice"]
    name: str
    language: str
    sex: str
    description: str
    licence: str
    custom: bool
    created_at: int = 0


class RecordingObject(BaseModel):
    """What was found in a recording."""

    duration_s: float
    speech_s: float
    level_dbfs: float
    clipped_ratio: float
    snr_db: float
    bandwidth_hz: int


class CreatedVoice(VoiceObject):
    """A voice that was just made."""

    recordings: list[RecordingObject]
    warnings: list[str]


class DeletedVoice(BaseModel):
    """A voice that is no more."""

    id: str
    object: Literal["audio.voice.deleted"]
    deleted: Literal[True]


class EmotionObject(BaseModel):
    """An emotion."""

    name: str
    aliases: list[str]


class VoiceList(BaseModel):
    """All voices and emotions."""

    object: Literal["list"]
    data: list[VoiceObject]
    emotions: list[EmotionObject]


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"]


class Readiness(BaseModel):
    """Whether requests are taken, and what speaks them."""

    status: Literal["ready", "degraded", "closed"]
    backend: str
    detail: str
    bundle: str
    sample_rate: int


Responses = dict[int | str, dict[str, Any]]


def errors_of(*statuses: int) -> Responses:
    """Describe errors for a route or a router."""
    return {status: {"model": ErrorBody, "description": _WHY[status]} for status in statuses}


def reply_of(model: type[BaseModel], *errors: int) -> Responses:
    """Describe an answer in JSON, and the errors in its place."""
    return {200: {"model": model}, **errors_of(*errors)}


def speech_responses() -> Responses:
    """Describe what the speech endpoint answers."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    content: dict[str, Any] = {audio.media_type: binary for audio in FORMATS.values()}
    content[SSE_MEDIA_TYPE] = {"schema": _EVENT}
    headers = {
        name: {"description": what, "schema": {"type": "string"}, "required": False} for name, what in _HEADERS.items()
    }
    return {
        200: {"description": "audio while it is being made, or events that carry it", "content": content,
              "headers": headers},
        **errors_of(400, 404, 504),
    }  # fmt: skip


_HEADERS = {
    "x-request-id": "of this request, as in the server's log",
    "x-emotirt-voice": "the voice that speaks",
    "x-emotirt-sample-rate": "of the audio, in Hz",
    "x-emotirt-seed": "the request's seed",
    "x-emotirt-warning": "what was not done as asked",
    "server-timing": "milliseconds of every step before the first audio",
    "openai-processing-ms": "milliseconds from the request to the first audio",
}
_EVENT = {
    "type": "object",
    "description": "one event; its data is JSON of type speech.audio.delta (audio in base64), speech.audio.timestamps, "
    "speech.audio.done (usage), or error",
    "properties": {"data": {"type": "string", "contentMediaType": "application/json"}},
    "required": ["data"],
}
