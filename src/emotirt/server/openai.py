"""OpenAI's speech endpoints: ``POST /v1/audio/speech``, ``GET /v1/models``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from emotirt.engine.live import AsyncEngine
from emotirt.engine.stream import AsyncSpeechStream
from emotirt.errors import InvalidRequest, UnknownModel
from emotirt.server.events import EventWriter
from emotirt.server.replies import (
    EVERYWHERE,
    SSE_MEDIA_TYPE,
    ModelList,
    ModelObject,
    errors_of,
    reply_of,
    speech_responses,
)
from emotirt.server.schemas import SpeechBody
from emotirt.server.speech import (
    AudioWriter,
    is_model,
    model_names,
    options_from_style,
    request_from_style,
    target_from_style,
)
from emotirt.types import Chunk

GONE = 499
"""Status in our log for a client that left before there was anything to send."""


@dataclass(slots=True)
class _Reply:
    """Chunks of an accepted request on their way into a response, the first one already here."""

    stream: AsyncSpeechStream
    first: Chunk
    writer: AudioWriter
    events: EventWriter | None = field(default=None)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give the bytes of the response."""
        async with self.stream:
            async for chunk in self._chunks():
                audio = await self.writer.write(chunk.samples, chunk.is_last)
                if self.events is None:
                    if audio:
                        yield audio
                    continue
                for event in self.events.of_chunk(chunk, audio):
                    yield event
            if self.events is not None:
                yield self.events.done(self.stream.warnings)

    async def guarded(self) -> AsyncIterator[bytes]:
        """Do the same, and say as an event what goes wrong where the client reads events."""
        try:
            async for piece in self.pieces():
                yield piece
        except Exception as exc:  # the request edge, once the status has been sent
            if self.events is None:
                raise
            yield self.events.failed(exc)

    async def _chunks(self) -> AsyncIterator[Chunk]:
        yield self.first
        async for chunk in self.stream:
            yield chunk


def openai_router(engine: AsyncEngine) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1", tags=["speech"], responses=errors_of(*EVERYWHERE))

    @router.post("/audio/speech", response_class=Response, responses=speech_responses())
    async def create_speech(body: SpeechBody, request: Request) -> Response:
        """Speak a text, streamed while it is being made."""
        return await _speech(body, request, engine)

    @router.get("/models", responses=reply_of(ModelList))
    async def list_models() -> dict[str, object]:
        """List the bundle, and OpenAI's names that stand for it."""
        return {"object": "list", "data": [_model(name) for name in model_names(engine)]}

    @router.get("/models/{model}", responses=reply_of(ModelObject, 404))
    async def show_model(model: str) -> dict[str, object]:
        """Describe one model."""
        if not is_model(model, engine):
            raise UnknownModel(f"no model {model!r}; available: {', '.join(model_names(engine))}")
        return _model(model)

    return router


async def _speech(body: SpeechBody, request: Request, engine: AsyncEngine) -> Response:
    is_sse = body.stream_format == "sse"
    kinds = body.timestamp_kinds
    if kinds and not is_sse:
        raise InvalidRequest("timestamps come as events; send stream_format 'sse' with them")
    target = target_from_style(body, body.response_format, engine)
    writer = AudioWriter(target, engine.sample_rate_hz)
    options = options_from_style(body, request.scope["emotirt_id"], body.strict)
    stream = await engine.submit(request_from_style(body.input, body, engine), options)
    first = await _first_chunk(stream, request)
    if first is None:
        return Response(status_code=GONE)
    events = EventWriter(kinds, engine.sample_rate_hz, body.seed) if is_sse else None
    headers = _headers(stream, first, target.sample_rate_hz)
    if body.seed is not None:
        headers["x-emotirt-seed"] = str(body.seed)
    reply = _Reply(stream, first, writer, events)
    return StreamingResponse(
        reply.guarded(), media_type=SSE_MEDIA_TYPE if is_sse else target.media_type, headers=headers
    )


async def _first_chunk(stream: AsyncSpeechStream, request: Request) -> Chunk | None:
    """Wait for audio; give the request up and return None when the client leaves before there is any."""
    audio = asyncio.ensure_future(stream.__anext__())
    gone = asyncio.ensure_future(_until_gone(request))
    try:
        await asyncio.wait({audio, gone}, return_when=asyncio.FIRST_COMPLETED)
        if audio.done():
            return await audio
        await stream.aclose()
        return None
    finally:
        for task in (audio, gone):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _headers(stream: AsyncSpeechStream, first: Chunk, sample_rate_hz: int) -> dict[str, str]:
    timings = first.timings
    headers = {"x-emotirt-voice": _ascii(stream.voice), "x-emotirt-sample-rate": str(sample_rate_hz)}
    if timings is not None:
        steps = (
            ("queue", timings.queue_s),
            ("frontend", timings.frontend_s),
            ("acoustic", timings.acoustic_s),
            ("vocoder", timings.vocoder_s),
            ("first_audio", timings.since_request_s),
        )
        headers["server-timing"] = ", ".join(f"{name};dur={1000 * seconds:.1f}" for name, seconds in steps)
        headers["openai-processing-ms"] = f"{1000 * timings.since_request_s:.0f}"
    if stream.warnings:
        headers["x-emotirt-warning"] = _ascii("; ".join(stream.warnings))
    return headers


def _ascii(text: str) -> str:
    """Write what a header cannot hold as escapes."""
    return "".join(char if 32 <= ord(char) < 127 else char.encode("unicode_escape").decode() for char in text)


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "emotirt"}
