"""A real server: uvicorn in a thread on a free port, its engine on the tiny bundle."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import uvicorn

from emotirt.engine.live import AsyncEngine
from emotirt.engine.observe import EngineStats
from emotirt.engine.settings import EngineSettings
from emotirt.scheduling.admission import AdmissionLimits
from emotirt.server.metrics import Metrics
from emotirt.server.run import bound_socket, uvicorn_config
from emotirt.server.settings import ServerSettings


@dataclass(slots=True)
class Running:
    """A server that runs in a thread."""

    settings: ServerSettings
    engine_settings: EngineSettings
    listener: socket.socket
    is_up: threading.Event = field(default_factory=threading.Event)
    engine: AsyncEngine | None = None
    server: uvicorn.Server | None = None
    loop: asyncio.AbstractEventLoop | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def stats(self) -> EngineStats:
        assert self.engine is not None
        return self.engine.stats()

    def close_engine(self) -> None:
        """Close the engine under its running requests."""
        assert self.engine is not None
        assert self.loop is not None
        asyncio.run_coroutine_threadsafe(self.engine.close(), self.loop).result(30)

    def cut_connections(self) -> None:
        """End all connections as a broken network does."""
        assert self.server is not None
        assert self.loop is not None
        for connection in list(self.server.server_state.connections):
            self.loop.call_soon_threadsafe(connection.transport.abort)  # type: ignore[union-attr]

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        metrics = Metrics()
        self.loop = asyncio.get_running_loop()
        async with await AsyncEngine.open(
            self.settings.bundle,
            threads=1,
            settings=self.engine_settings,
            observers=(metrics,),
            voices_path=self.settings.voices,
        ) as self.engine:
            self.server = uvicorn.Server(uvicorn_config(self.engine, self.settings, metrics))
            self.is_up.set()
            await self.server.serve(sockets=[self.listener])


@contextmanager
def running(settings: ServerSettings, engine_settings: EngineSettings | None = None) -> Iterator[Running]:
    with bound_socket(settings) as listener:
        chosen = engine_settings or EngineSettings(
            live_deadline_s=60.0, warm_up=False, admission=AdmissionLimits(feeds_listeners=False)
        )
        server = Running(settings, chosen, listener)
        thread = threading.Thread(target=server.run)
        thread.start()
        assert server.is_up.wait(60)
        try:
            yield server
        finally:
            assert server.server is not None
            server.server.should_exit = True
            thread.join(30)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def server_settings(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> ServerSettings:
    return ServerSettings(bundle=tiny_bundle, voices=tmp_path_factory.mktemp("voices"), port=0, drain_s=5.0)


@pytest.fixture(scope="session")
def server(server_settings: ServerSettings) -> Iterator[Running]:
    with running(server_settings) as started:
        yield started


@pytest.fixture(scope="session")
def client(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as opened:
        yield opened
