"""One speech request over HTTP as a listener lives it; needs no HTTP library and works with any OpenAI-like server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from emotirt.bench.http_stream import ServerAddress, read_body, read_head, speech_request
from emotirt.bench.workload import Playback
from emotirt.errors import InvalidRequest

PCM_RATE_HZ = 24_000
"""Of bare samples, where the server's headers do not say."""
SAMPLE_BYTES = 2
TIMEOUT_S = 60.0
LIVE, BULK = "live", "bulk"
"""Priorities."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request; times by ``time.perf_counter``.

    Attributes:
        scheduled_s: when it should have been sent; delays count from here.
        sent_s: when it was.
        ended_s: when the last byte came, or it failed.
        problem: empty when all audio came; else the HTTP status or what went wrong.
        playback: of the audio that came.
        steps_ms: the server's own account of the time to its first audio, by step; empty where it gives none.
    """

    scheduled_s: float
    sent_s: float
    ended_s: float
    problem: str
    playback: Playback
    steps_ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def ttfa_s(self) -> float | None:
        """From the scheduled time to the first audio, None if there was none."""
        return None if self.playback.first_s is None else self.playback.first_s - self.scheduled_s


def address_from_url(url: str) -> ServerAddress:
    """Read an address.

    Raises: InvalidRequest: not an http URL with a host.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 80
    except ValueError as exc:
        raise InvalidRequest(f"URL {url!r} cannot be read: {exc}; give one like http://127.0.0.1:8880") from exc
    if parts.scheme != "http" or not parts.hostname:
        raise InvalidRequest(f"URL {url!r} is not accepted; give one like http://127.0.0.1:8880")
    return ServerAddress(parts.hostname, port, parts.path.rstrip("/").removesuffix("/v1"))


async def speak(
    server: ServerAddress, text: str, scheduled_s: float, timeout_s: float = TIMEOUT_S, priority: str = LIVE
) -> Outcome:
    """Ask for a text as soon as its time has come, and hear it to the end; failures become part of the outcome."""
    wait_s = scheduled_s - time.perf_counter()
    if wait_s > 0.0:
        await asyncio.sleep(wait_s)
    sent_s = time.perf_counter()
    playback = Playback()
    steps_ms: dict[str, float] = {}
    body = {"model": "tts-1", "voice": "alloy", "input": text, "response_format": "pcm"}
    body |= {} if priority == LIVE else {"priority": priority}  # other servers do not know the field
    try:
        problem = await asyncio.wait_for(_exchange(server, body, playback, steps_ms), timeout_s)
    except asyncio.TimeoutError:
        problem = "timed out"
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, LookupError) as exc:
        problem = "cut off" if playback.first_s is not None else f"no answer ({type(exc).__name__})"
    return Outcome(scheduled_s, sent_s, time.perf_counter(), problem, playback, steps_ms)


async def _exchange(
    server: ServerAddress, body: Mapping[str, str], playback: Playback, steps_ms: dict[str, float]
) -> str:
    """Send the request, hear the answer; returns the problem, empty for none."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        writer.write(speech_request(server, body))
        status, headers = await read_head(reader)
        if status != 200:
            return str(status)
        steps_ms.update(_steps_ms(headers.get("server-timing", "")))
        rate_hz = int(headers.get("x-emotirt-sample-rate", PCM_RATE_HZ))
        async for piece in read_body(reader, headers):
            playback.hear(time.perf_counter(), len(piece) / (SAMPLE_BYTES * rate_hz))
        return "" if playback.audio_s else "no audio"
    finally:
        writer.close()


def _steps_ms(header: str) -> dict[str, float]:
    """Read ``name;dur=1.5, name;dur=2``; raises ValueError."""
    pairs = (part.strip().partition(";dur=") for part in header.split(",") if ";dur=" in part)
    return {name: float(duration) for name, _, duration in pairs}
