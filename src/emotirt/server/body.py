"""The body of a request: of a bounded size, in a bounded time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.types import Receive

from emotirt.server.errors import Problem

DRAINED_BODIES = 16
"""A body too large is read and thrown away up to so many times the limit: who is still sending does not hear us."""
_CLOSE = {"connection": "close"}


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """What a body may cost.

    Attributes:
        most_bytes: largest size.
        timeout_s: how long a client may take, whatever it sends.
        bytes_per_s: for every so many bytes that came it may take a second more, so that a large body may come over a
            slow line; who sends slower than this is cut, however long he keeps sending.
        remedy: what to send instead of a body too large.
    """

    most_bytes: int
    timeout_s: float
    bytes_per_s: int
    remedy: str

    def allowed_s(self, received_bytes: int) -> float:
        """Return how long a body may have taken by now; what is thrown away earns no time."""
        return self.timeout_s + min(received_bytes, self.most_bytes) / self.bytes_per_s


async def read_body(receive: Receive, limits: BodyLimits, declared: str) -> bytes | Problem:
    """Read a body.

    Args:
        receive: of the request.
        limits: of its size and time.
        declared: its ``Content-Length``, empty for none.

    Returns: all of it, empty where the client left; or why it is refused.
    """
    too_large = Problem(
        413, f"the body is larger than {limits.most_bytes} bytes; send {limits.remedy}", code="body_too_large",
        headers=_CLOSE,
    )  # fmt: skip
    if declared.isdecimal() and int(declared[:20]) > limits.most_bytes * DRAINED_BODIES:
        return too_large
    clock = asyncio.get_running_loop().time
    started_s = clock()
    parts: list[bytes] = []
    size = 0
    while size <= limits.most_bytes * DRAINED_BODIES:
        left_s = started_s + limits.allowed_s(size) - clock()
        try:
            message = await asyncio.wait_for(receive(), left_s)
        except asyncio.TimeoutError:
            return _too_late(clock() - started_s, size)
        if message["type"] == "http.disconnect":
            return b""
        part = message.get("body", b"")
        size += len(part)
        if size <= limits.most_bytes:
            parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts) if size <= limits.most_bytes else too_large
    return too_large


def _too_late(waited_s: float, received_bytes: int) -> Problem:
    message = f"the body did not arrive within {waited_s:.3g} s, only {received_bytes} bytes of it; send it faster"
    return Problem(408, message, code="body_timeout", headers=_CLOSE)
