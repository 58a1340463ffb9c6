"""A real worker process: what it computes, and what happens when it is killed, stopped or poisoned."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from pickle import PicklingError

import numpy as np
import pytest
from tests.assets.poison import poisoned_bundle

from emotirt.bundle.contract import SPEAKING_STAGES, VOCODER
from emotirt.bundle.store import Bundle
from emotirt.errors import BackendError, OutOfProfile, OutputPoisoned, WorkerLost
from emotirt.runtime.open import open_runner
from emotirt.runtime.runner import Runner
from emotirt.scheduling import worker as worker_process
from emotirt.scheduling.channel import Arena, Failed, Run
from emotirt.scheduling.guard import Guard, GuardedRunner, trouble_in
from emotirt.scheduling.supervisor import Call, Supervisor, WorkerSettings
from emotirt.scheduling.worker import WorkerSpec
from emotirt.types import FloatArray

WAIT_S = 60.0
SETTINGS = WorkerSettings(hang_s=WAIT_S, beat_s=0.05, backoff_s=0.05, call_timeout_s=30.0, return_s=WAIT_S)


class Events(list[tuple[str, str]]):
    """What a supervisor told, in order."""

    def tell(self, event: str, detail: str) -> None:
        self.append((event, detail))

    def names(self) -> list[str]:
        return [event for event, _ in self]

    def wait_for(self, event: str) -> str:
        ends_s = time.monotonic() + WAIT_S
        while time.monotonic() < ends_s:
            for name, detail in list(self):
                if name == event:
                    return detail
            time.sleep(0.005)
        raise AssertionError(f"no {event} in {self}")


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def mel(opened_bundle: Bundle) -> FloatArray:
    return np.random.default_rng(3).standard_normal((2, opened_bundle.manifest.mel.n_mels, 40)).astype(np.float32)


@pytest.fixture(scope="module")
def vocoder(opened_bundle: Bundle) -> Iterator[Runner]:
    runner = open_runner(opened_bundle, VOCODER, threads=1)
    yield runner
    runner.close()


def spec_of(bundle: Bundle) -> WorkerSpec:
    return WorkerSpec(bundle.path, bundle.digest, "onnxruntime", 1, SPEAKING_STAGES, (), SETTINGS.beat_s)


def trust(call: Call) -> None:
    """A probe that finds nothing wrong."""


Start = Callable[..., Supervisor]


@pytest.fixture
def start(opened_bundle: Bundle, events: Events) -> Iterator[Start]:
    started: list[Supervisor] = []

    def make(
        bundle: Bundle = opened_bundle,
        settings: WorkerSettings = SETTINGS,
        probe: Callable[[Call], None] = trust,
        spec: WorkerSpec | None = None,
    ) -> Supervisor:
        started.append(Supervisor(spec or spec_of(bundle), settings, 2, probe, events.tell))
        started[-1].wait_first()
        return started[-1]

    yield make
    for supervisor in started:
        supervisor.close()


def test_it_computes_what_a_runner_here_computes(start: Start, vocoder: Runner, mel: FloatArray) -> None:
    supervisor = start()
    assert supervisor.pid not in (None, os.getpid())
    expected = vocoder.run({"mel": mel})["wav"]
    np.testing.assert_array_equal(supervisor.call(VOCODER, {"mel": mel})["wav"], expected)
    wide = np.tile(mel, (1, 1, 3))  # 3.75 s twice, more than an arena of one page holds
    small = start(settings=replace(SETTINGS, arena_bytes=4096))
    np.testing.assert_array_equal(small.call(VOCODER, {"mel": wide})["wav"], vocoder.run({"mel": wide})["wav"])


def test_calls_of_several_threads_do_not_mix(start: Start, vocoder: Runner, mel: FloatArray) -> None:
    supervisor = start()
    feeds = [np.roll(mel, shift, axis=2) for shift in range(8)]
    found: list[FloatArray | None] = [None] * 8

    def call(index: int) -> None:
        found[index] = supervisor.call(VOCODER, {"mel": feeds[index]})["wav"]

    threads = [threading.Thread(target=call, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for feed, wav in zip(feeds, found, strict=True):
        np.testing.assert_array_equal(wav, vocoder.run({"mel": feed})["wav"])


def test_an_error_in_a_call_is_told_and_the_worker_lives_on(start: Start, mel: FloatArray) -> None:
    supervisor = start()
    pid = supervisor.pid
    with pytest.raises(BackendError, match="stage vocoder takes"):
        supervisor.call(VOCODER, {"melody": mel})
    with pytest.raises(BackendError, match="KeyError"):
        supervisor.call("organ", {"mel": mel})
    supervisor.call(VOCODER, {"mel": mel})
    assert supervisor.pid == pid


def test_feeds_that_cannot_be_sent_cost_no_place(start: Start, vocoder: Runner, mel: FloatArray) -> None:
    """There are two arenas; each of these errors would keep one for ever."""
    supervisor = start(settings=replace(SETTINGS, call_timeout_s=5.0))
    for _ in range(3):
        with pytest.raises(AttributeError):
            supervisor.call(VOCODER, {"mel": None})  # type: ignore[dict-item]  # what a bug would give
        with pytest.raises((AttributeError, PicklingError)):
            supervisor.call(lambda: None, {"mel": mel})  # type: ignore[arg-type]
    np.testing.assert_array_equal(supervisor.call(VOCODER, {"mel": mel})["wav"], vocoder.run({"mel": mel})["wav"])


def test_a_killed_worker_fails_its_calls_at_once_and_comes_back(
    start: Start, events: Events, vocoder: Runner, mel: FloatArray
) -> None:
    supervisor = start()
    pid = supervisor.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # so that the call is in flight when the kill comes
    threading.Timer(1.0, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(WorkerLost, match="signal 9"):
        supervisor.call(VOCODER, {"mel": mel})
    assert "signal 9" in events.wait_for("lost")
    assert supervisor.wait_up(WAIT_S)
    assert supervisor.pid != pid
    np.testing.assert_array_equal(supervisor.call(VOCODER, {"mel": mel})["wav"], vocoder.run({"mel": mel})["wav"])


def test_a_stopped_worker_is_found_out(start: Start, events: Events, mel: FloatArray) -> None:
    supervisor = start(settings=replace(SETTINGS, hang_s=2.0))
    pid = supervisor.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(WorkerLost, match=r"hung: no sign of life for 2 s"):
        supervisor.call(VOCODER, {"mel": mel})
    assert supervisor.wait_up(WAIT_S)
    assert supervisor.pid != pid
    assert events.names()[:2] == ["started", "lost"]


def test_a_call_that_takes_too_long_ends_the_worker(start: Start, mel: FloatArray) -> None:
    supervisor = start(settings=replace(SETTINGS, call_timeout_s=0.2))
    pid = supervisor.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(WorkerLost, match=r"stage vocoder took longer than 0\.2 s"):
        supervisor.call(VOCODER, {"mel": mel})
    assert supervisor.wait_up(WAIT_S)


def test_a_worker_that_cannot_load_says_why_and_is_tried_again(
    start: Start, opened_bundle: Bundle, events: Events
) -> None:
    supervisor = start(spec=replace(spec_of(opened_bundle), digest="0" * 64))
    assert not supervisor.is_up
    assert "has changed" in supervisor.last_error
    ends_s = time.monotonic() + WAIT_S
    while events.names().count("start_failed") < 2 and time.monotonic() < ends_s:
        time.sleep(0.01)
    assert events.names() == ["start_failed"] * events.names().count("start_failed")
    with pytest.raises(WorkerLost, match="has changed"):
        supervisor.call(VOCODER, {})


def test_a_worker_that_fails_its_probe_does_not_come_up(start: Start, mel: FloatArray) -> None:
    trials: list[int] = []

    def strict_at_first(call: Call) -> None:
        trials.append(call(VOCODER, {"mel": mel})["wav"].size)
        if len(trials) < 2:
            raise OutputPoisoned("hoarse")

    supervisor = start(probe=strict_at_first)
    assert not supervisor.is_up or len(trials) > 1
    assert supervisor.wait_up(WAIT_S)
    assert len(trials) == 2
    assert trials[0] > 0


def test_a_probe_that_breaks_in_an_unforeseen_way_ends_that_try_only(start: Start, events: Events) -> None:
    trials: list[int] = []

    def broken_at_first(call: Call) -> None:
        trials.append(1)
        if len(trials) < 2:
            raise KeyError("wav")

    supervisor = start(probe=broken_at_first)
    assert "KeyError" in events.wait_for("start_failed")
    assert supervisor.wait_up(WAIT_S)
    assert len(trials) == 2


def test_a_lack_of_shared_memory_is_told_and_leaves_nothing(start: Start, events: Events) -> None:
    before = shared_memory()
    supervisor = start(settings=replace(SETTINGS, arena_bytes=2**60))
    assert "could not be started" in events.wait_for("start_failed")
    assert not supervisor.is_up
    assert shared_memory() == before
    with pytest.raises(WorkerLost, match="no worker process is up"):
        supervisor.call(VOCODER, {})


def shared_memory() -> set[str]:
    """Names of the shared memory that this process sees."""
    return set(re.findall(r"/dev/shm/(\S+)", Path("/proc/self/maps").read_text(encoding="ascii")))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks for what is left in Linux's /proc")
def test_closing_leaves_nothing_behind(start: Start) -> None:
    start().close()  # the first one starts Python's resource tracker, which stays
    before = (threading.active_count(), len(os.listdir("/proc/self/fd")), shared_memory())
    for _ in range(2):
        supervisor = start()
        pid = supervisor.pid
        assert pid is not None
        named = shared_memory() - before[2]
        assert len(named) == 2
        supervisor.close()
        assert not [name for name in named if Path("/dev/shm", name).exists()]
        assert not Path(f"/proc/{pid}").exists()
        supervisor.close()
    assert (threading.active_count(), len(os.listdir("/proc/self/fd")), shared_memory()) == before


def guarded(
    supervisor: Supervisor, vocoder: Runner, events: Events, meanwhile: bool = True, settings: WorkerSettings = SETTINGS
) -> GuardedRunner:
    guard = Guard(supervisor, {VOCODER: vocoder} if meanwhile else {}, settings, events.tell)
    return GuardedRunner(guard, VOCODER, vocoder.inputs, vocoder.outputs)


def test_a_guarded_call_survives_the_worker(start: Start, vocoder: Runner, mel: FloatArray, events: Events) -> None:
    supervisor = start()
    runner = guarded(supervisor, vocoder, events)
    expected = vocoder.run({"mel": mel})["wav"]
    np.testing.assert_array_equal(runner.run({"mel": mel})["wav"], expected)
    assert "fallback" not in events.names()
    assert supervisor.pid is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    for _ in range(20):
        np.testing.assert_array_equal(runner.run({"mel": mel})["wav"], expected)
    assert "fallback" in events.names()
    assert supervisor.wait_up(WAIT_S)
    count = events.names().count("fallback")
    np.testing.assert_array_equal(runner.run({"mel": mel})["wav"], expected)
    assert events.names().count("fallback") == count


def test_without_a_stand_in_a_call_waits_for_the_next_worker(
    start: Start, vocoder: Runner, mel: FloatArray, events: Events
) -> None:
    supervisor = start()
    runner = guarded(supervisor, vocoder, events, meanwhile=False)
    pid = supervisor.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    np.testing.assert_array_equal(runner.run({"mel": mel})["wav"], vocoder.run({"mel": mel})["wav"])
    with pytest.raises(BackendError, match="stage vocoder takes"):
        runner.run({"melody": mel})
    assert supervisor.pid not in (None, pid)


@pytest.mark.parametrize(("poison", "word"), [("nan", "not finite"), ("silence", "silence"), ("clipping", "clipping")])
def test_poisoned_output_reaches_nobody(
    start: Start, vocoder: Runner, mel: FloatArray, events: Events, opened_bundle: Bundle, tmp_path: Path,
    poison: str, word: str,
) -> None:  # fmt: skip
    supervisor = start(poisoned_bundle(opened_bundle, tmp_path / poison, poison))
    pid = supervisor.pid
    assert word in trouble_in(supervisor.call(VOCODER, {"mel": mel}))
    runner = guarded(supervisor, vocoder, events)
    np.testing.assert_array_equal(runner.run({"mel": mel})["wav"], vocoder.run({"mel": mel})["wav"])
    assert word in events.wait_for("poisoned")
    assert word in events.wait_for("lost")
    assert supervisor.pid != pid
    assert supervisor.wait_up(WAIT_S)
    with pytest.raises(OutputPoisoned, match=word):
        guarded(supervisor, vocoder, events, meanwhile=False).run({"mel": mel})


def test_output_that_is_odd_because_the_input_is_stands(
    start: Start, vocoder: Runner, mel: FloatArray, events: Events
) -> None:
    runner = guarded(start(), vocoder, events)
    odd = mel * np.float32("nan")
    assert np.isnan(runner.run({"mel": odd})["wav"]).all()
    assert events.names() == ["started"]


def test_failures_in_a_row_end_the_worker(start: Start, vocoder: Runner, mel: FloatArray, events: Events) -> None:
    supervisor = start()
    runner = guarded(supervisor, vocoder, events)
    for _ in range(2):
        with pytest.raises(BackendError):
            runner.run({"melody": mel})
    runner.run({"mel": mel})  # begins the count anew
    for _ in range(2):
        with pytest.raises(BackendError):
            runner.run({"melody": mel})
    assert "lost" not in events.names()
    with pytest.raises(BackendError):
        runner.run({"melody": mel})
    assert "3 calls failed in a row" in events.wait_for("lost")
    assert supervisor.wait_up(WAIT_S)


def test_what_is_heard_as_trouble() -> None:
    speech = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 4000)).astype(np.float32)
    assert trouble_in({"wav": speech}) == ""
    assert trouble_in({"wav": speech * np.float32([[1.0], [1e-6]])}) == "silence"
    assert trouble_in({"mel": speech * 0}) == ""
    assert trouble_in({"wav": np.clip(speech * np.float32([[1.0], [9.0]]), -1, 1)}) == "clipping"
    assert "'mel'" in trouble_in({"mel": np.array([[np.inf]], np.float32), "wav": speech})


def test_an_arena_holds_what_fits_and_sends_the_rest() -> None:
    arena = Arena.made(4096)
    other = Arena.attached(arena.name)
    arrays = {
        "a": np.arange(100, dtype=np.int64),
        "big": np.ones((3, 5000), np.float32),
        "b": np.float32([[1.5, np.nan]]),
        "scalar": np.array(7, np.int64),
    }
    places = arena.put(arrays)
    assert [place.data is None for place in places] == [True, False, True, True]
    for name, array in other.get(places).items():
        np.testing.assert_array_equal(array, arrays[name])
        assert array.dtype == arrays[name].dtype
    other.close()
    arena.destroy()


class Refusing:
    """A runner that raises."""

    inputs = outputs = ()

    def __init__(self, error: Exception) -> None:
        self._error = error

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        raise self._error

    def close(self) -> None:
        """Nothing to release."""


def test_a_shape_out_of_reach_is_no_failure_of_the_worker() -> None:
    arena = Arena.made(1024)
    try:
        message = Run(1, arena.name, "vocoder", arena.put({"mel": np.zeros(4, dtype=np.float32)}))
        refused = worker_process._reply(message, {"vocoder": Refusing(OutOfProfile("too long"))}, arena)
        failed = worker_process._reply(message, {"vocoder": Refusing(BackendError("broken"))}, arena)
    finally:
        arena.destroy()
    assert refused == Failed(1, "too long", is_of_shape=True)
    assert failed == Failed(1, "broken")


def test_a_fault_of_the_device_ends_the_worker_at_once() -> None:
    code = """
import numpy as np
from emotirt.errors import DeviceFault
from emotirt.scheduling import worker
from emotirt.scheduling.channel import Arena, Run
class Faulting:
    def run(self, feeds):
        raise DeviceFault("cudaErrorIllegalAddress")
arena = Arena.made(64)
arena._memory.unlink()
worker._reply(Run(1, arena.name, "vocoder", ()), {"vocoder": Faulting()}, arena)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == worker_process.FAULT_EXIT
    assert "cudaErrorIllegalAddress" in done.stderr
