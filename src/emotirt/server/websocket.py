"""``/v1/audio/stream``: text in as it comes, audio out; for agents that speak while they think.

The client sends JSON: ``start`` with the style first, then ``text`` pieces, ``flush``, ``cancel`` and ``end`` as it
likes. The server sends audio as binary messages and everything else as JSON. Whole sentences are spoken as soon as they
are there; the rest waits for its end or for ``flush``. From one flush to the next is a *turn*: one complete stream in
the format asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, WebSocket
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect

from emotirt.engine.live import AsyncEngine
from emotirt.errors import EmotiRTError
from emotirt.server.errors import AGAIN, Problem, problem_from_error, problem_from_validation
from emotirt.server.messages import Cancel, End, Flush, Start, TextPiece, message_from_text
from emotirt.server.speech import request_from_style, target_from_style
from emotirt.server.turn import Turn, spoken_part

logger = logging.getLogger(__name__)

START_TIMEOUT_S = 30.0
WAITING_CHARACTERS = 20_000
WAITING_ITEMS = 1024
"""Text, and pieces and flushes, that were sent and are not spoken yet; more ends the connection."""
NORMAL = 1000


class Refused(Exception):
    """The client broke the protocol."""

    def __init__(self, problem: Problem) -> None:
        """End the connection with ``problem``."""
        super().__init__(problem.message)
        self.problem = problem


class Session:
    """One connection: reads messages, and speaks what they bring in order, one piece of text after the other."""

    def __init__(self, socket: WebSocket, engine: AsyncEngine, idle_timeout_s: float) -> None:
        """Belong to an accepted connection, which may be idle for a while."""
        self._socket = socket
        self._idle_timeout_s = idle_timeout_s
        self._engine = engine
        self._text = ""
        self._waiting = 0
        self._work: asyncio.Queue[str | Flush | End] = asyncio.Queue()
        self._speaker: asyncio.Task[None] | None = None
        self._failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Serve until the client ends; raises what goes wrong."""
        try:
            first = await asyncio.wait_for(self._receive(), START_TIMEOUT_S)
        except asyncio.TimeoutError:
            raise Refused(Problem(408, f"no 'start' within {START_TIMEOUT_S:g} s", code="start_timeout")) from None
        if not isinstance(first, Start):
            raise Refused(Problem(400, "the first message must have type 'start'", code="out_of_order"))
        target = target_from_style(first, first.response_format, self._engine)
        request = request_from_style("", first, self._engine)  # unknown models and voices are refused before any text
        if request.voice is not None:
            self._engine.check_voice(request.voice)
        turn = Turn(self._socket, self._engine, first, target)
        echoed = {} if first.seed is None else {"seed": first.seed}
        await self._send("started", sample_rate=target.sample_rate_hz, response_format=target.format_name, **echoed)
        self._begin(turn)
        reader = asyncio.create_task(self._read(turn))
        try:
            waited: set[asyncio.Future[Any]] = {reader, self._failure}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if self._failure.done():
                raise self._failure.result()
            await reader
            if self._speaker is not None:
                await self._speaker
        finally:
            for task in (reader, self._speaker):
                if task is not None:
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError, Exception):
                        await task

    def _begin(self, turn: Turn) -> None:
        self._speaker = asyncio.create_task(self._speak(turn))
        self._speaker.add_done_callback(self._ended)

    def _ended(self, speaker: asyncio.Task[None]) -> None:
        if not speaker.cancelled() and not self._failure.done() and (error := speaker.exception()) is not None:
            self._failure.set_result(error)

    async def _read(self, turn: Turn) -> None:
        while True:
            message = await self._next_message()
            if isinstance(message, Start):
                raise Refused(Problem(400, "'start' comes once; open another connection", code="out_of_order"))
            if isinstance(message, Cancel):
                await self._cancel(turn)
            elif isinstance(message, TextPiece):
                self._take(message.text)
            else:
                self._put(self._text)
                self._text = ""
                if self._work.qsize() >= WAITING_ITEMS:
                    raise Refused(_too_much(f"{WAITING_ITEMS} pieces and flushes wait to be spoken"))
                self._work.put_nowait(message)
                if isinstance(message, End):
                    return

    async def _next_message(self) -> Start | TextPiece | Flush | Cancel | End:
        """Wait for a message; a client for whom nothing is left to be spoken may not let it wait for ever."""
        heard = asyncio.create_task(self._receive())
        try:
            is_idle = False
            while not heard.done():
                if is_idle:
                    what = f"no message for {self._idle_timeout_s:g} s; connect again when there is something to say"
                    raise Refused(Problem(408, what, code="idle"))
                await asyncio.wait({heard}, timeout=self._idle_timeout_s)
                is_idle = self._waiting <= len(self._text)
            return await heard
        finally:
            heard.cancel()

    def _take(self, text: str) -> None:
        self._waiting += len(text)
        if self._waiting > WAITING_CHARACTERS:
            raise Refused(_too_much(f"more than {WAITING_CHARACTERS} characters wait to be spoken"))
        ready, self._text = spoken_part(self._text, text)
        self._put(ready)

    def _put(self, text: str) -> None:
        if text.strip():
            self._work.put_nowait(text)
        else:
            self._waiting -= len(text)

    async def _cancel(self, turn: Turn) -> None:
        """Stop speaking at once: what was sent before ``cancelled`` is the last of the old audio."""
        assert self._speaker is not None
        old = self._speaker
        self._text, self._waiting, self._work = "", 0, asyncio.Queue()
        old.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await old
        turn.reset()
        await self._send("cancelled")
        self._begin(turn)

    async def _speak(self, turn: Turn) -> None:
        work = self._work
        while True:
            item = await work.get()
            if isinstance(item, str):
                await turn.speak(item)
                self._waiting -= len(item)
                continue
            await turn.finish()
            if isinstance(item, End):
                await self._send("done")
                return
            await self._send("flushed")

    async def _receive(self) -> Start | TextPiece | Flush | Cancel | End:
        received = await self._socket.receive()
        if received["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(received.get("code", NORMAL))
        text = received.get("text")
        if text is None:
            raise Refused(Problem(400, "binary messages are not accepted; send JSON as text", code="invalid_json"))
        return message_from_text(text)

    async def _send(self, kind: str, **fields: object) -> None:
        await self._socket.send_text(json.dumps({"type": kind, **fields}, ensure_ascii=False))


def _too_much(what: str) -> Problem:
    message = f"{what}; send text as it is spoken"
    return Problem(429, message, "rate_limit_error", "rate_limit_exceeded", close_code=AGAIN)


def websocket_router(engine: AsyncEngine, idle_timeout_s: float) -> APIRouter:
    """Return the route; a connection may be idle for so long."""
    router = APIRouter()

    @router.websocket("/v1/audio/stream")
    async def stream(socket: WebSocket) -> None:
        """Speak text as it comes."""
        await socket.accept()
        try:
            await Session(socket, engine, idle_timeout_s).run()
            await socket.close(NORMAL)
        except WebSocketDisconnect:
            return
        except Exception as exc:  # the request edge: told to the client, and the connection ends
            problem = _problem(exc)
            if not isinstance(exc, (EmotiRTError, Refused, ValidationError)):
                logger.error("%s failed: %s", socket.scope["emotirt_id"], type(exc).__name__)
                logger.debug("%s failed", socket.scope["emotirt_id"], exc_info=exc)
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # the client may have left
                await socket.send_text(json.dumps(_event(problem)))
                await socket.close(problem.close_code, problem.code or "")

    return router


def _problem(error: Exception) -> Problem:
    if isinstance(error, Refused):
        return error.problem
    if isinstance(error, ValidationError):
        return _problem_from_message(error)
    return problem_from_error(error)


def _problem_from_message(error: ValidationError) -> Problem:
    first = error.errors(include_url=False)[0]
    if first["type"].startswith("union_tag") or len(first["loc"]) < 2:
        kinds = "start, text, flush, cancel, end"
        return Problem(400, f"a message is a JSON object whose type is one of {kinds}", code="invalid_json")
    return problem_from_validation([{**first, "loc": first["loc"][1:]}])  # the first part is the type


def _event(problem: Problem) -> Mapping[str, object]:
    return {"type": "error", **problem.body}
