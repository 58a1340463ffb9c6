"""Just enough HTTP over asyncio's streams to time single chunks, and to leave in the middle of one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a server listens.

    Attributes:
        host: name or address.
        port: of TCP.
        path: before ``/v1``.
    """

    host: str
    port: int
    path: str = ""

    @property
    def authority(self) -> str:
        """Host and port as they stand in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def speech_request(server: ServerAddress, body: Mapping[str, Any]) -> bytes:
    """Return a request for speech, after which the connection closes."""
    data = json.dumps(body).encode()
    head = (
        f"POST {server.path}/v1/audio/speech HTTP/1.1\r\nHost: {server.authority}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


def plain_request(server: ServerAddress, path: str) -> bytes:
    """Return a GET of ``path``, after which the connection closes."""
    return f"GET {server.path}{path} HTTP/1.1\r\nHost: {server.authority}\r\nConnection: close\r\n\r\n".encode()


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Read the status and the headers, whose names come in lower case.

    Raises: OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, LookupError: there is none.
    """
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return int(first.split()[1]), {name.strip().lower(): value.strip() for name, value in pairs}


async def read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
    """Give the pieces of a body as the server sent them; raises as ``read_head`` does if it is cut short."""
    if headers.get("transfer-encoding", "").lower() != "chunked":
        yield await reader.readexactly(int(headers["content-length"]))
        return
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")


async def get(server: ServerAddress, path: str) -> tuple[int, bytes]:
    """Get ``path``; raises as ``read_head`` does."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        writer.write(plain_request(server, path))
        status, headers = await read_head(reader)
        return status, b"".join([piece async for piece in read_body(reader, headers)])
    finally:
        writer.close()
