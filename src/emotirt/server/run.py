"""Runs the server until it is told to stop, and lets what is running end."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys

import uvicorn

from emotirt.engine.live import AsyncEngine
from emotirt.errors import InvalidRequest
from emotirt.server.app import create_app
from emotirt.server.metrics import Metrics
from emotirt.server.origins import ANY, NULL
from emotirt.server.settings import ServerSettings
from emotirt.server.wire import http_protocol, websocket_protocol

logger = logging.getLogger("emotirt.server")

BACKLOG = 2048
FORCE_S = 0.1
"""How soon a second Ctrl-C is noticed."""
SENDING_S = 5
"""For what was made to reach its clients, once the engine is closed."""


REFUSED_HANDSHAKE = "ASGI callable returned without completing handshake."
"""What uvicorn says of a handshake that was answered with a refusal, as an error."""


class ClientMistakes(logging.Filter):
    """Makes at most one line of what uvicorn logs as our failure though only the client is to blame."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop what the edge has logged already, and the traceback where text from a client was no UTF-8."""
        if record.msg == REFUSED_HANDSHAKE:
            return False
        if record.exc_info and isinstance(record.exc_info[1], UnicodeDecodeError):
            record.exc_info, record.levelno, record.levelname = None, logging.WARNING, "WARNING"
        return True


_CLIENT_MISTAKES = ClientMistakes()


def run_server(settings: ServerSettings) -> None:
    """Serve until SIGINT or SIGTERM; running requests get ``drain_s`` to end.

    Raises: InvalidRequest: the address cannot be listened on, or only with a key. BundleError, BackendError: no engine.
    """
    settings.check_bind()
    logging.getLogger("emotirt").setLevel(settings.log_level.upper())
    for origin in {ANY, NULL}.intersection(settings.origins):
        logger.warning("--allow-origin %s lets every web page that a browser here opens use this server", origin)
    with bound_socket(settings) as listener:
        asyncio.run(_serve(settings, listener))


async def _serve(settings: ServerSettings, listener: socket.socket) -> None:
    metrics = Metrics()
    engine = await AsyncEngine.open(
        settings.bundle,
        settings.backend,
        settings.threads,
        settings.engine,
        observers=(metrics,),
        voices_path=settings.voices,
    )
    async with engine:
        server = DrainingServer(uvicorn_config(engine, settings, metrics), engine, settings.drain_s)
        host, port = listener.getsockname()[:2]
        sys.stderr.write(f"emotirt: listening on http://{f'[{host}]' if ':' in host else host}:{port}\n")
        await server.serve(sockets=[listener])


class DrainingServer(uvicorn.Server):
    """Told to stop, it lets running requests end and meanwhile says to whoever asks that it takes no more."""

    def __init__(self, config: uvicorn.Config, engine: AsyncEngine, drain_s: float) -> None:
        """Serve ``engine``, which it closes at the end."""
        super().__init__(config)
        self._engine = engine
        self._drain_s = drain_s

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the engine, still listening, then every connection; being told twice cuts what is running."""
        logger.info("told to stop: running requests have %g s to end", self._drain_s)
        closing = asyncio.create_task(self._engine.close(self._drain_s))
        while not (closing.done() or self.force_exit):
            await asyncio.wait({closing}, timeout=FORCE_S)
        await super().shutdown(sockets)
        await closing


def uvicorn_config(engine: AsyncEngine, settings: ServerSettings, metrics: Metrics) -> uvicorn.Config:
    """Return how uvicorn serves the application; it logs no request, we do."""
    logging.getLogger("uvicorn.error").addFilter(_CLIENT_MISTAKES)
    return uvicorn.Config(
        create_app(engine, settings, metrics),
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        http=http_protocol(settings.send_timeout_s, settings.body_timeout_s),
        ws=websocket_protocol(settings.send_timeout_s),
        ws_max_size=settings.max_body_bytes,
        timeout_graceful_shutdown=SENDING_S,
    )


def bound_socket(settings: ServerSettings) -> socket.socket:
    """Listen on the settings' address.

    Returns: a socket that says it is TCP: only on those does asyncio send small pieces at once (TCP_NODELAY), and
        without it the first audio waits up to 40 ms for the client's acknowledgement of the headers.
    Raises: InvalidRequest: not possible, with the reason.
    """
    host = settings.host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, settings.port))
        listener.listen(BACKLOG)
    except OSError as exc:
        listener.close()
        reason = exc.strerror or exc
        raise InvalidRequest(
            f"cannot listen on {settings.host}:{settings.port}: {reason}; choose another --host or --port"
        ) from exc
    return listener
