"""The edge of the server: origins, keys, bodies, request ids, one log line a request, no error without its answer."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emotirt.errors import Overloaded
from emotirt.server.body import BodyLimits, read_body
from emotirt.server.errors import POLICY, Problem, problem_from_error
from emotirt.server.keys import Keys
from emotirt.server.origins import ANY, Origins
from emotirt.server.page import PAGE_PATHS
from emotirt.server.settings import ServerSettings

logger = logging.getLogger(__name__)

OPEN_PATHS = frozenset(("/healthz", "/readyz", *PAGE_PATHS))
"""Answered without a key: for those who watch over the process, and the page that asks for the key."""
UPLOAD_PATH = "/v1/audio/voices"
UPLOAD_FRAME_BYTES = 64 * 1024
"""For what stands around the recordings in a multipart body."""
MOST_UPLOADS = 8
"""Bodies with recordings that are held in memory at once."""

SHARED_METHODS = ("GET", "POST", "DELETE")
SHARED_HEADERS = (
    "openai-processing-ms",
    "retry-after",
    "server-timing",
    "x-emotirt-sample-rate",
    "x-emotirt-seed",
    "x-emotirt-voice",
    "x-emotirt-warning",
    "x-request-id",
    "x-should-retry",
)
"""What a page of an allowed origin may use and read."""

Note = Callable[[str, int], None]


class RequestFailed(Exception):
    """A reply that had begun cannot be finished; the connection is cut so that the client notices."""


class Edge:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, settings: ServerSettings, note: Note) -> None:
        """Guard ``app``; ``note`` is told path and status of every HTTP answer."""
        self._app = app
        self._settings = settings
        self._keys = Keys(settings.keys, settings.requests_per_key)
        self._origins = Origins(settings.origins, settings.is_open_to_this_machine_only)
        self._welcomed = _shared(self._serve, settings.origins)
        self._note = note
        self._uploads = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        scope["emotirt_id"] = request_id = f"req_{secrets.token_hex(12)}"
        reply = _Reply(send, request_id)
        started_s = time.perf_counter()
        try:
            refusal = "" if scope["path"] in OPEN_PATHS else self._origins.refusal(scope)
            if refusal:
                logger.warning("%s: %s", request_id, refusal)  # a browser does not show it
                await _answer(Problem(403, refusal, code="origin_not_allowed"), scope, receive, reply)
            else:
                await self._welcomed(scope, receive, reply)
        except Exception as exc:  # the request edge: every error is answered, none takes the server along
            cause = exc.__cause__ or exc  # the framework wraps what comes after the status
            logger.error("%s failed: %s", request_id, type(cause).__name__)
            logger.debug("%s failed", request_id, exc_info=exc)
            if reply.is_begun and not reply.is_complete:
                raise RequestFailed(f"{request_id} failed after its reply had begun") from None
            if not reply.is_begun:
                await _answer(problem_from_error(exc), scope, receive, reply)
        finally:
            if scope["type"] == "http":
                path = getattr(scope.get("route"), "path", "other")
                self._note(path, reply.status)
                elapsed_ms = 1000 * (time.perf_counter() - started_s)
                logger.info("%s %s %s %d %.0f ms", request_id, scope["method"], path, reply.status, elapsed_ms)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = await self._served(scope, receive, send)
        if problem is not None:
            await _answer(problem, scope, receive, send)

    async def _served(self, scope: Scope, receive: Receive, reply: Send) -> Problem | None:
        if scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, reply)
            return None
        try:
            key = self._keys.entered(_header(scope, b"authorization"))
        except Overloaded as exc:
            return problem_from_error(exc)
        if key is None:
            return Problem(
                401,
                "no accepted API key; send Authorization: Bearer KEY",
                code="invalid_api_key",
                headers={"www-authenticate": "Bearer"},
            )
        try:
            if scope["type"] == "websocket":
                await self._app(scope, receive, reply)
                return None
            return await self._answered(scope, receive, reply)
        finally:
            self._keys.left(key)

    async def _answered(self, scope: Scope, receive: Receive, reply: Send) -> Problem | None:
        is_upload = scope["path"] == UPLOAD_PATH and scope["method"] == "POST"
        if is_upload and self._uploads >= MOST_UPLOADS:
            return problem_from_error(Overloaded(f"{self._uploads} recordings are being sent, the most at once", 1.0))
        self._uploads += is_upload
        try:
            body = await read_body(receive, self._limits_of(is_upload), _header(scope, b"content-length"))
            if isinstance(body, Problem):
                return body
            await self._app(scope, _replayed(body, receive), reply)
        finally:
            self._uploads -= is_upload
        return None

    def _limits_of(self, is_upload: bool) -> BodyLimits:
        settings = self._settings
        return BodyLimits(
            settings.max_upload_bytes + UPLOAD_FRAME_BYTES if is_upload else settings.max_body_bytes,
            settings.body_timeout_s,
            settings.body_bytes_per_s,
            "a shorter recording" if is_upload else "less text, or a shorter recording",
        )


class _Reply:
    """Sends, remembers the status, and adds the request's id."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status = 0
        self.is_begun = self.is_complete = False

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] in ("http.response.start", "websocket.accept", "websocket.http.response.start"):
            self.is_begun, self.status = True, message.get("status", 101)
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self._request_id.encode())]
        elif message["type"] == "websocket.close":
            self.is_begun = self.is_complete = True
            self.status = self.status or 403
        elif message["type"] in ("http.response.body", "websocket.http.response.body"):
            self.is_complete = not message.get("more_body", False)
        await self._send(message)


def _shared(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """Wrap the application so that browsers let allowed pages read its answers; unchanged if none are allowed."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=SHARED_METHODS,
        allow_headers=(ANY,),
        expose_headers=SHARED_HEADERS,
        allow_private_network=True,
    )


async def _answer(problem: Problem, scope: Scope, receive: Receive, reply: Send) -> None:
    if scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
        await problem.response()(scope, receive, reply)  # to a WebSocket: its handshake is answered as any request is
    else:
        await reply({"type": "websocket.close", "code": POLICY, "reason": problem.message[:100]})


def _replayed(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")
