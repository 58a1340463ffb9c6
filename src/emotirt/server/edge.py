"""The edge of the server: keys, body limits, request ids, one log line a request, and no error without its answer."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emotirt.errors import Overloaded
from emotirt.server.errors import POLICY, Problem, problem_from_error
from emotirt.server.page import PAGE_PATHS
from emotirt.server.settings import ServerSettings

logger = logging.getLogger(__name__)

OPEN_PATHS = frozenset(("/healthz", "/readyz", *PAGE_PATHS))
"""Answered without a key: for those who watch over the process, and the page that asks for the key."""
UPLOAD_PATH = "/v1/audio/voices"
UPLOAD_FRAME_BYTES = 64 * 1024
"""For what stands around the recordings in a multipart body."""
FOREIGN_SITES = frozenset(("cross-site", "same-site"))
"""Of ``Sec-Fetch-Site``: a form is sent by any page in a browser without asking first, and here it would be kept."""
MOST_UPLOADS = 8
"""Bodies with recordings that are held in memory at once."""
RETRY_KEY_S = 1.0
DRAINED_BODIES = 16
"""A body too large is read and thrown away up to so many times the limit: who is still sending does not hear us."""

Note = Callable[[str, int], None]


class RequestFailed(Exception):
    """A reply that had begun cannot be finished; the connection is cut so that the client notices."""


class Keys:
    """The accepted API keys, and how many requests each has running."""

    def __init__(self, settings: ServerSettings) -> None:
        """Remember digests only."""
        self._digests = tuple(_digest(key) for key in settings.keys)
        self._most = settings.requests_per_key
        self._running: Counter[bytes] = Counter()

    def entered(self, authorization: str) -> bytes | None:
        """Take on a request; give what is returned to ``left``.

        Args: authorization: value of that header.
        Returns: the key's digest, empty where no keys are needed; None for a key that is not accepted.
        Raises: Overloaded: the key has enough requests running.
        """
        if not self._digests:
            return b""
        scheme, _, key = authorization.partition(" ")
        given = _digest(key.strip())
        matches = [hmac.compare_digest(given, digest) for digest in self._digests]
        if scheme.lower() != "bearer" or not any(matches):
            return None
        if self._most and self._running[given] >= self._most:
            raise Overloaded(f"this key has {self._most} requests running, its limit; wait for one to end", RETRY_KEY_S)
        self._running[given] += 1
        return given

    def left(self, digest: bytes) -> None:
        """Note that a request has ended."""
        if digest:
            self._running[digest] -= 1


class Edge:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, settings: ServerSettings, note: Note) -> None:
        """Guard ``app``; ``note`` is told path and status of every HTTP answer."""
        self._app = app
        self._settings = settings
        self._keys = Keys(settings)
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
            problem = await self._served(scope, receive, reply)
            if problem is not None:
                await _answer(problem, scope, receive, reply)
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

    async def _served(self, scope: Scope, receive: Receive, reply: _Reply) -> Problem | None:
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

    async def _answered(self, scope: Scope, receive: Receive, reply: _Reply) -> Problem | None:
        is_upload = scope["path"] == UPLOAD_PATH and scope["method"] == "POST"
        if is_upload and _header(scope, b"sec-fetch-site") in FOREIGN_SITES:
            return Problem(
                403, "a page of another site may not send recordings; use the server's own", code="foreign_site"
            )
        if is_upload and self._uploads >= MOST_UPLOADS:
            return problem_from_error(Overloaded(f"{self._uploads} recordings are being sent, the most at once", 1.0))
        self._uploads += is_upload
        try:
            body = await self._body(scope, receive)
            if isinstance(body, Problem):
                return body
            await self._app(scope, _replayed(body, receive), reply)
        finally:
            self._uploads -= is_upload
        return None

    async def _body(self, scope: Scope, receive: Receive) -> bytes | Problem:
        """Read the body, of a bounded size in a bounded time."""
        is_upload = scope["path"] == UPLOAD_PATH
        most = self._settings.max_upload_bytes + UPLOAD_FRAME_BYTES if is_upload else self._settings.max_body_bytes
        what = "a shorter recording" if is_upload else "less text, or a shorter recording"
        too_large = Problem(
            413, f"the body is larger than {most} bytes; send {what}", code="body_too_large",
            headers={"connection": "close"},
        )  # fmt: skip
        declared = _header(scope, b"content-length")
        if declared.isdecimal() and int(declared[:20]) > most * DRAINED_BODIES:
            return too_large
        try:
            body = await asyncio.wait_for(_read(receive, most), self._settings.body_timeout_s)
        except asyncio.TimeoutError:
            return Problem(
                408,
                f"the body did not arrive within {self._settings.body_timeout_s:g} s",
                code="body_timeout",
                headers={"connection": "close"},
            )
        return too_large if body is None else body


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


async def _answer(problem: Problem, scope: Scope, receive: Receive, reply: _Reply) -> None:
    if scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
        await problem.response()(scope, receive, reply)  # to a WebSocket: its handshake is answered as any request is
    else:
        await reply({"type": "websocket.close", "code": POLICY, "reason": problem.message[:100]})


async def _read(receive: Receive, most_bytes: int) -> bytes | None:
    """Return the whole body, None when it is too large."""
    parts: list[bytes] = []
    size = 0
    while size <= most_bytes * DRAINED_BODIES:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        part = message.get("body", b"")
        size += len(part)
        if size <= most_bytes:
            parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts) if size <= most_bytes else None
    return None


def _replayed(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
