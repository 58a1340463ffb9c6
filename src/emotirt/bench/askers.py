"""One request each, of every kind a server meets: whole replies, events, WebSockets, and clients that misbehave."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from emotirt.bench.http_stream import ServerAddress, read_body, read_head, speech_request

OK, ACCEPTED = 200, 101
LEFT = "left"
"""The client's own doing."""
BROKEN = (OSError, EOFError, asyncio.LimitOverrunError, ValueError, LookupError)
"""What a connection that is cut, or an answer that is none, raises; IncompleteReadError is an EOFError."""
LONG_TEXT = "One, two, three, four, five. " * 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client got.

    Attributes:
        status: of HTTP, 0 if none came, 101 for an open WebSocket.
        audio: bytes of it.
        problem: empty if it came to its end; ``LEFT``; the code of an error event; or what went wrong.
        headers: names in lower case.
    """

    status: int = 0
    audio: bytes = b""
    problem: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_lost(self) -> bool:
        """Whether it was neither spoken to its end nor answered with an error, nor given up by the client."""
        return self.problem.startswith("cut off")


async def ask(
    server: ServerAddress,
    body: Mapping[str, Any],
    leave_after_bytes: int | None = None,
    on_begin: Callable[[], None] = lambda: None,
) -> Answer:
    """Ask over HTTP for audio or events.

    Args:
        server: where.
        body: of the request.
        leave_after_bytes: of the reply's body; with 0 before its head, with None not at all.
        on_begin: called when the reply's head is there.
    """
    reader, writer = await asyncio.open_connection(server.host, server.port)
    status, received, headers = 0, bytearray(), dict[str, str]()
    try:
        writer.write(speech_request(server, body))
        await writer.drain()
        if leave_after_bytes == 0:
            return Answer(0, b"", LEFT)
        status, headers = await read_head(reader)
        on_begin()
        async for piece in read_body(reader, headers):
            received += piece
            if leave_after_bytes is not None and len(received) >= leave_after_bytes:
                return Answer(status, bytes(received), LEFT, headers)
    except BROKEN as exc:
        return Answer(status, bytes(received), f"cut off ({type(exc).__name__})", headers)
    finally:
        writer.close()
    if status != OK:
        return Answer(status, b"", _code(received), headers)
    if headers.get("content-type", "").startswith("text/event-stream"):
        return _from_events(bytes(received), headers)
    return Answer(status, bytes(received), "", headers)


async def ask_by_half(server: ServerAddress, body: Mapping[str, Any], waits: bool) -> Answer:
    """Send half of a request's body, then wait for the server's answer, or leave."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        request = speech_request(server, body)
        writer.write(request[: -len(json.dumps(body)) // 2])
        await writer.drain()
        if not waits:
            return Answer(0, b"", LEFT)
        status, headers = await read_head(reader)
        data = b"".join([piece async for piece in read_body(reader, headers)])
        return Answer(status, b"", _code(data), headers)
    except BROKEN as exc:
        return Answer(0, b"", f"cut off ({type(exc).__name__})")
    finally:
        writer.close()


async def ask_by_pieces(
    server: ServerAddress, style: Mapping[str, Any], text: str, cancels_before: bool = False, leaves: bool = False
) -> Answer:
    """Ask over a WebSocket, the text in two pieces.

    Args:
        server: where.
        style: fields of ``start``.
        text: what to say.
        cancels_before: begin with a long text and cancel it once it is heard.
        leaves: go once the first audio is there.
    """
    from websockets.asyncio.client import connect
    from websockets.exceptions import WebSocketException

    audio = bytearray()
    status = 0
    try:
        url = f"ws://{server.authority}{server.path}/v1/audio/stream"
        async with connect(url, proxy=None, max_size=None, close_timeout=1.0) as socket:
            status = ACCEPTED
            await socket.send(json.dumps({"type": "start", **style}))
            if cancels_before:
                await socket.send(json.dumps({"type": "text", "text": LONG_TEXT}))
                await _heard(socket, "")
                await socket.send(json.dumps({"type": "cancel"}))
                await _heard(socket, "cancelled")
            for piece in (text[: len(text) // 2], text[len(text) // 2 :]):
                await socket.send(json.dumps({"type": "text", "text": piece}))
            await socket.send(json.dumps({"type": "flush"}))
            if leaves:
                await _heard(socket, "")
                return Answer(status, b"", LEFT)
            audio += await _heard(socket, "flushed")
    except _ToldError as exc:
        return Answer(status, bytes(audio), str(exc))
    except (WebSocketException, *BROKEN) as exc:
        return Answer(status, bytes(audio), f"cut off ({type(exc).__name__})")
    return Answer(status, bytes(audio))


class _ToldError(Exception):
    """The server said what went wrong."""


async def _heard(socket: Any, until: str) -> bytes:
    """Collect audio up to an event; with an empty name, up to the first audio."""
    audio = bytearray()
    async for message in socket:
        if isinstance(message, bytes):
            audio += message
            if not until:
                return bytes(audio)
            continue
        event = json.loads(message)
        if event["type"] == "error":
            raise _ToldError(event["error"]["code"])
        if event["type"] == until:
            return bytes(audio)
    raise EOFError(f"the connection ended before {until or 'any audio'}")


def _from_events(data: bytes, headers: Mapping[str, str]) -> Answer:
    audio = bytearray()
    for line in data.decode().split("\n\n"):
        if not line.startswith("data: "):
            continue
        event = json.loads(line[len("data: ") :])
        if event["type"] == "speech.audio.delta":
            audio += base64.b64decode(event["audio"])
        elif event["type"] == "speech.audio.done":
            return Answer(OK, bytes(audio), "", headers)
        elif event["type"] == "error":
            return Answer(OK, bytes(audio), event["error"]["code"], headers)
    return Answer(OK, bytes(audio), "cut off (no speech.audio.done)", headers)


def _code(data: bytes | bytearray) -> str:
    try:
        return str(json.loads(data)["error"]["code"])
    except (ValueError, LookupError, TypeError):
        return "no error body"
