"""The asynchronous engine with its stages in a worker process that is killed, stopped and poisoned."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.assets.poison import poisoned_bundle
from tests.unit.engine.conftest import TEXTS, Oracle, Recorder, assert_equals_oracle
from tests.unit.engine.test_live import PATIENT, spoken

from emotirt.bundle.store import Bundle
from emotirt.engine import Engine, SpeechRequest
from emotirt.engine.live import AsyncEngine
from emotirt.engine.observe import HealthState
from emotirt.engine.settings import EngineSettings
from emotirt.errors import BackendUnavailable, BundleError
from emotirt.scheduling.supervisor import WorkerSettings

WAIT_S = 60.0
STATM = Path("/proc/self/statm")
ISOLATED = EngineSettings(
    isolation="worker",
    worker=WorkerSettings(hang_s=WAIT_S, beat_s=0.05, backoff_s=0.05, call_timeout_s=WAIT_S, return_s=WAIT_S),
)

Use = Callable[[AsyncEngine, Recorder], Awaitable[None]]


def with_worker(place: Path, use: Use, **changed: object) -> Recorder:
    """Open an engine whose worker has other settings, use it, close it."""
    recorder = Recorder()
    settings = replace(ISOLATED, worker=replace(ISOLATED.worker, **changed))  # type: ignore[arg-type]  # varied

    async def run() -> None:
        async with await AsyncEngine.open(place, threads=1, settings=settings, observers=[recorder]) as engine:
            await use(engine, recorder)
            stats = engine.stats()
            assert stats.accepted == stats.results + stats.errors + stats.cancelled
            assert (stats.running, stats.backlog_tokens) == (0, 0)

    asyncio.run(run())
    return recorder


async def until(is_so: Callable[[], bool]) -> None:
    ends_s = time.monotonic() + WAIT_S
    for _ in iter(lambda: time.monotonic() < ends_s and not is_so(), False):
        await asyncio.sleep(0.005)
    assert is_so()


def test_a_worker_speaks_as_the_oracle(tiny_bundle: Path, oracle: Oracle) -> None:
    async def use(engine: AsyncEngine, recorder: Recorder) -> None:
        assert engine.health().state is HealthState.READY
        assert engine.health().worker_pid not in (None, os.getpid())
        assert_equals_oracle(await spoken(engine, TEXTS[3]), oracle(TEXTS[3]), exactly=True)
        found = await asyncio.gather(*(spoken(engine, request) for request in TEXTS * 3))
        for chunks, request in zip(found, TEXTS * 3, strict=True):
            assert_equals_oracle(chunks, oracle(request))
        stats = engine.stats()
        assert (stats.fallbacks, stats.worker_starts, stats.worker_losses) == (0, 1, 0)

    with_worker(tiny_bundle, use)


@pytest.mark.parametrize("speaks_meanwhile", [True, False], ids=["cpu", "next worker"])
def test_killed_again_and_again_nothing_is_lost_or_changed(
    tiny_bundle: Path, oracle: Oracle, speaks_meanwhile: bool
) -> None:
    async def use(engine: AsyncEngine, recorder: Recorder) -> None:
        async def killer() -> None:
            for losses in range(3):
                await until(lambda: engine.health().worker_pid is not None)
                pid = engine.health().worker_pid
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
                await until(lambda: engine.stats().worker_losses > losses)  # noqa: B023  # awaited at once

        async def talker(index: int) -> None:
            while not killing.done():
                request = TEXTS[index % len(TEXTS)]
                assert_equals_oracle(await spoken(engine, request), oracle(request))

        killing = asyncio.create_task(killer())
        await asyncio.gather(killing, *map(talker, range(6)))
        await until(lambda: engine.health().state is HealthState.READY)
        stats = engine.stats()
        assert (stats.errors, stats.worker_losses) == (0, 3)
        assert (stats.fallbacks > 0) == speaks_meanwhile
        assert_equals_oracle(await spoken(engine, TEXTS[0]), oracle(TEXTS[0]))
        assert engine.stats().fallbacks == stats.fallbacks

    recorder = with_worker(tiny_bundle, use, speaks_meanwhile=speaks_meanwhile)
    names = [record.request_id for record in recorder.requests]
    assert len(names) == len(set(names))
    assert {record.event for record in recorder.backend} >= {"started", "lost"}


def test_a_stopped_worker_is_replaced_and_its_requests_are_spoken(tiny_bundle: Path, oracle: Oracle) -> None:
    async def use(engine: AsyncEngine, recorder: Recorder) -> None:
        pid = engine.health().worker_pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        for chunks, request in zip(
            await asyncio.gather(*(spoken(engine, request) for request in TEXTS)), TEXTS, strict=True
        ):
            assert_equals_oracle(chunks, oracle(request))
        await until(lambda: engine.health().worker_pid not in (None, pid))
        assert any("hung" in record.detail for record in recorder.backend)

    with_worker(tiny_bundle, use, hang_s=2.0)


@pytest.mark.parametrize("poison", ["nan", "silence", "clipping"])
def test_poison_reaches_nobody(
    tiny_bundle: Path, opened_bundle: Bundle, oracle: Oracle, tmp_path: Path, poison: str
) -> None:
    """The worker is sound in the short windows of its probe and spoilt in long ones."""
    bad = poisoned_bundle(opened_bundle, tmp_path / "bad", poison, from_frames=100)

    async def use(engine: AsyncEngine, recorder: Recorder) -> None:
        found = await asyncio.gather(*(spoken(engine, request) for request in TEXTS * 2))
        for chunks, request in zip(found, TEXTS * 2, strict=True):
            assert_equals_oracle(chunks, oracle(request))
        assert "poisoned" in {record.event for record in recorder.backend}
        assert engine.stats().fallbacks > 0
        await until(lambda: engine.health().state is HealthState.READY)

    with_worker(tiny_bundle, use, bundle_path=bad.path)


def test_a_worker_whose_bundle_changed_is_turned_away_until_it_is_put_back(
    tiny_bundle: Path, opened_bundle: Bundle, oracle: Oracle, tmp_path: Path
) -> None:
    place = Path(shutil.copytree(tiny_bundle, tmp_path / "worker"))

    async def use(engine: AsyncEngine, recorder: Recorder) -> None:
        pid = engine.health().worker_pid
        assert pid is not None
        poisoned_bundle(opened_bundle, place, "nan")
        os.kill(pid, signal.SIGKILL)
        await until(lambda: any(record.event == "start_failed" for record in recorder.backend))
        health = engine.health()
        assert health.state is HealthState.DEGRADED
        assert "has changed" in health.detail
        for request in TEXTS:
            assert_equals_oracle(await spoken(engine, request), oracle(request))
        shutil.rmtree(place)
        shutil.copytree(tiny_bundle, place)
        await until(lambda: engine.health().state is HealthState.READY)

    with_worker(tiny_bundle, use, bundle_path=place, longest_backoff_s=0.1)


def test_a_worker_that_is_poisoned_from_the_start_is_an_error_of_opening(
    tiny_bundle: Path, opened_bundle: Bundle, tmp_path: Path
) -> None:
    async def use(engine: AsyncEngine, recorder: Recorder) -> None:
        raise AssertionError("it opened")

    bad = poisoned_bundle(opened_bundle, tmp_path / "bad", "nan")
    with pytest.raises(BackendUnavailable, match="does not speak as it should"):
        with_worker(tiny_bundle, use, bundle_path=bad.path)
    with pytest.raises(BundleError, match="no bundle directory"):
        with_worker(tiny_bundle, use, bundle_path=tmp_path / "nowhere")


def test_without_a_worker_and_without_a_stand_in_it_says_so(tiny_bundle: Path, tmp_path: Path) -> None:
    place = Path(shutil.copytree(tiny_bundle, tmp_path / "worker"))

    async def use(engine: AsyncEngine, recorder: Recorder) -> None:
        pid = engine.health().worker_pid
        assert pid is not None
        shutil.rmtree(place)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(BackendUnavailable, match="nothing can speak at the moment"):
            await spoken(engine, TEXTS[0])
        assert engine.stats().errors == 1

    with_worker(tiny_bundle, use, bundle_path=place, speaks_meanwhile=False, return_s=0.3)


def resident_pages() -> int:
    return int(STATM.read_text(encoding="ascii").split()[1])


@pytest.mark.parametrize("isolation", ["inline", "worker"])
def test_prompts_and_contents_are_computed_where_the_stages_are(
    emotivoice_path: Path, emotivoice_engine: Engine, isolation: str
) -> None:
    """A bundle with a prompt encoder, whose untrained vocoder saturates, so that the guard compares with the CPU."""
    requests = [
        SpeechRequest("今天天气真不错！It works.", voice="8051", prompt="非常开心"),
        SpeechRequest("你好", emotion="悲伤", intensity=1.5),
    ]
    expected = [list(emotivoice_engine.stream(request)) for request in requests]

    async def run() -> None:
        settings = replace(ISOLATED, isolation=isolation)
        async with await AsyncEngine.open(emotivoice_path, threads=1, settings=settings) as engine:
            for request, wanted in zip(requests, expected, strict=True):
                chunks = await spoken(engine, request)
                assert [chunk.samples.shape for chunk in chunks] == [chunk.samples.shape for chunk in wanted]
                for found, oracle_chunk in zip(chunks, wanted, strict=True):
                    assert (np.abs(found.samples - oracle_chunk.samples) > 1e-4).mean() < 1e-3
            assert (engine.stats().fallbacks, engine.stats().worker_losses) == (0, 0)

    asyncio.run(run())


@pytest.mark.skipif(not STATM.exists(), reason="reads memory from Linux's /proc")
def test_memory_stays_where_it_was(tiny_bundle: Path, oracle: Oracle) -> None:
    """Requests by the hundred, killed workers and given-up streams leave no audio behind."""

    async def use(engine: AsyncEngine, recorder: Recorder) -> None:
        async def rush(count: int) -> int:
            for _ in range(count):
                await asyncio.gather(*(spoken(engine, request) for request in TEXTS))
                async with await engine.submit(TEXTS[0], PATIENT) as stream:
                    await anext(stream)
            recorder.requests.clear()
            recorder.batches.clear()
            return resident_pages()

        before_pages = await rush(15)
        after_pages = await rush(30)
        audio_bytes = 30 * sum(chunk.samples.nbytes for request in TEXTS for chunk in oracle(request))
        assert (after_pages - before_pages) * os.sysconf("SC_PAGE_SIZE") < audio_bytes / 2

    with_worker(tiny_bundle, use)


FORGETFUL = """
import asyncio, os, sys
from emotirt.engine.live import AsyncEngine
from emotirt.engine.settings import EngineSettings

async def main():
    engine = await AsyncEngine.open(sys.argv[1], threads=1, settings=EngineSettings(isolation="worker"))
    print(engine.health().worker_pid, flush=True)
    if sys.argv[2] == "wait":
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("end", ["exit", "wait"])
def test_a_worker_does_not_outlive_its_engine(tiny_bundle: Path, end: str) -> None:
    """Whether the process just ends without closing anything, or is killed."""
    command = [sys.executable, "-c", FORGETFUL, str(tiny_bundle), end]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        if end == "wait":
            process.kill()
        process.wait(WAIT_S)
    ends_s = time.monotonic() + WAIT_S
    while _is_alive(worker) and time.monotonic() < ends_s:
        time.sleep(0.01)
    assert not _is_alive(worker)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        return not state.exists() or state.read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
