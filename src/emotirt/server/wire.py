"""Connections that are cut: whose client takes nothing of what is sent, or does not finish asking.

uvicorn waits until there is room before it sends more, for ever, and closing a connection waits for what was not sent.
So a client that keeps its connection and reads nothing would keep its place. Room is watched here, below HTTP, events
and WebSocket alike.
"""

from __future__ import annotations

import asyncio
import logging

from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

logger = logging.getLogger(__name__)


class Stall:
    """Cuts a connection of whose unsent bytes none was taken for a while."""

    def __init__(self, transport: asyncio.Transport, timeout_s: float) -> None:
        """Watch nothing until ``begin``."""
        self._transport = transport
        self._timeout_s = timeout_s
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Bytes wait to be taken from now on."""
        self._arm(self._transport.get_write_buffer_size())

    def end(self) -> None:
        """Everything was taken, or the connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, unsent_bytes: int) -> None:
        self.end()
        self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._check, unsent_bytes)

    def _check(self, before_bytes: int) -> None:
        unsent_bytes = self._transport.get_write_buffer_size()
        if unsent_bytes >= before_bytes > 0:
            logger.warning("a connection is cut: its client took nothing for %g s", self._timeout_s)
            self._transport.abort()
        elif unsent_bytes:
            self._arm(unsent_bytes)


class _Watched(asyncio.Protocol):
    """What both protocols have in common; comes before uvicorn's among the bases."""

    _stall: Stall

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch the connection no longer."""
        self._stall.end()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Begin to wait for room."""
        super().pause_writing()
        self._stall.begin()

    def resume_writing(self) -> None:
        """Find room."""
        self._stall.end()
        super().resume_writing()


class HttpProtocol(_Watched, AutoHTTPProtocol):  # type: ignore[misc,valid-type]  # whichever parser is installed
    """uvicorn's protocol for HTTP, with a timeout to take some of an answer, and one to send the head of a request."""

    send_timeout_s = head_timeout_s = 30.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Watch the connection."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=0)  # what the kernel does not take at once makes the sender wait
        self._stall = Stall(self.transport, self.send_timeout_s)
        self._head_timer: asyncio.TimerHandle | None = None
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing of it any more."""
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, and wait no longer than so for the rest of a head."""
        super().data_received(data)
        if not self._is_amid_head():
            self._expect_nothing()
        elif self._head_timer is None:
            self._expect_head()

    def _is_amid_head(self) -> bool:
        """Whether a request has not come as a whole, and the connection has not become a WebSocket."""
        return (self.cycle is None or self.cycle.response_complete) and self.transport.get_protocol() is self

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_timeout_s, self._cut_amid_head)

    def _expect_nothing(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _cut_amid_head(self) -> None:
        self._head_timer = None
        if self._is_amid_head():
            self.transport.abort()


class WebSocketProtocol(_Watched, WebSocketsSansIOProtocol):
    """uvicorn's protocol for WebSockets, with a timeout to take some of what is sent."""

    send_timeout_s = 30.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Watch the connection."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=0)
        self._stall = Stall(self.transport, self.send_timeout_s)


def http_protocol(send_timeout_s: float, head_timeout_s: float) -> type[asyncio.Protocol]:
    """Return the protocol for HTTP with these timeouts."""
    return type("HttpProtocol", (HttpProtocol,), {"send_timeout_s": send_timeout_s, "head_timeout_s": head_timeout_s})


def websocket_protocol(send_timeout_s: float) -> type[asyncio.Protocol]:
    """Return the protocol for WebSockets with this timeout."""
    return type("WebSocketProtocol", (WebSocketProtocol,), {"send_timeout_s": send_timeout_s})
