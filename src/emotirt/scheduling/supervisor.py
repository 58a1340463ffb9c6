"""Keeps a worker process up: starts it, proves that it speaks, ends it when it hangs, starts it again with backoff."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from emotirt.errors import BackendError, WorkerLost
from emotirt.runtime.runner import Array
from emotirt.scheduling.channel import Arena
from emotirt.scheduling.handle import WorkerHandle
from emotirt.scheduling.worker import WorkerSpec

logger = logging.getLogger(__name__)

Call = Callable[[str, Mapping[str, Array]], dict[str, Array]]
"""Computes a stage by name."""
Tell = Callable[[str, str], None]
"""Receives an event's name and its detail, in any thread; must not raise."""

CALL_TIMEOUT_S = 2.0
"""On a GPU the largest batch takes tens of milliseconds; what takes seconds will not end well."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How a worker process is kept.

    Attributes:
        bundle_path: bundle that it opens, None for the engine's own; another may hold the same networks in another
            precision.
        speaks_meanwhile: whether ONNX Runtime on the CPU computes what the worker cannot; without it a call waits for
            the worker to come back and is tried again.
        start_timeout_s: to load every stage, which may include building plans.
        call_timeout_s: of one batch, None for the backend's; the worker is ended when it takes longer.
        hang_s: without a sign of life.
        beat_s: between two signs of life.
        backoff_s: before the second start in a row; doubles from one to the next.
        longest_backoff_s: it does not grow past this.
        steady_s: a worker that lived for so long is started again at once.
        failures: so many failed calls in a row end the worker.
        return_s: without a CPU in its place, how long a call waits for the worker to come back.
        arena_bytes: shared memory of a call in flight; larger calls take the slower way through the pipe.
        sabotage_path: a file that orders faults, for a fault campaign; see ``scheduling.sabotage``.
    """

    bundle_path: Path | None = None
    speaks_meanwhile: bool = True
    start_timeout_s: float = 600.0
    call_timeout_s: float | None = None
    hang_s: float = 2.0
    beat_s: float = 0.25
    backoff_s: float = 0.5
    longest_backoff_s: float = 30.0
    steady_s: float = 10.0
    failures: int = 3
    return_s: float = 30.0
    arena_bytes: int = 8 * 1024**2
    sabotage_path: Path | None = None


class Supervisor:
    """Owns one worker process at a time; every method may be called from any thread."""

    def __init__(
        self,
        spec: WorkerSpec,
        settings: WorkerSettings,
        calls: int,
        probe: Callable[[Call], None],
        tell: Tell,
    ) -> None:
        """Begin to start the first worker; ``wait_up`` waits for it.

        Args:
            spec: what workers load; the supervisor fills in the arenas.
            settings: how they are kept.
            calls: most calls in flight.
            probe: raises BackendError if a new worker does not speak as it should.
            tell: told what happens.
        """
        self.last_error = ""
        self._spec = spec
        self._settings = settings
        self._calls = calls
        self._probe = probe
        self._tell = tell
        self._changed = threading.Condition()
        self._handle: WorkerHandle | None = None
        self._starting: WorkerHandle | None = None
        self._attempts = 0
        self._closing = threading.Event()
        atexit.register(self.close)  # before multiprocessing joins its children, which wait for the supervisor
        self._thread = threading.Thread(target=self._keep_up, name="emotirt-supervisor", daemon=True)
        self._thread.start()

    @property
    def is_up(self) -> bool:
        """Whether a worker is there that has proved itself."""
        handle = self._handle
        return handle is not None and not handle.ended.is_set()

    @property
    def pid(self) -> int | None:
        """Of the worker that is up."""
        handle = self._handle
        return handle.pid if handle is not None and not handle.ended.is_set() else None

    def call(self, stage: str, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute a stage in the worker.

        Raises: WorkerLost: there is none, or it was lost. BackendError: the stage failed.
        """
        handle = self._handle
        if handle is None:
            raise WorkerLost(f"no worker process is up: {self.last_error or 'it is starting'}")
        return handle.call(stage, feeds, self._settings.call_timeout_s or CALL_TIMEOUT_S)

    def wait_up(self, timeout_s: float) -> bool:
        """Wait for a worker to be up; False when it took too long or the supervisor is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_up or self._closing.is_set(), timeout_s)
            return self.is_up

    def wait_first(self) -> bool:
        """Wait for the first start to succeed or fail; whether it succeeded. ``last_error`` says why not."""
        with self._changed:
            self._changed.wait_for(lambda: self._attempts > 0 or self._closing.is_set())
            return self.is_up

    def discard(self, reason: str) -> None:
        """End the worker that is up; another is started."""
        handle = self._handle
        if handle is not None:
            handle.end(reason)

    def close(self) -> None:
        """End the worker and start no other."""
        atexit.unregister(self.close)
        self._closing.set()
        with self._changed:
            handles = [self._handle, self._starting]
            self._changed.notify_all()
        for handle in handles:
            if handle is not None:
                handle.end("closed")
        self._thread.join()

    def _keep_up(self) -> None:
        failures = 0
        while not self._closing.is_set():
            started_s = time.monotonic()
            try:
                handle = self._started()
            except Exception as exc:  # no memory for arenas, no process: whatever it is, the next try may go better
                handle = None
                self._not_started(f"it could not be started: {type(exc).__name__}: {exc}")
            self._note(handle)
            if handle is not None:
                started_s = time.monotonic()
                self._tell("started", f"process {handle.pid}")
                handle.ended.wait()
                self._note(None, handle.reason)
                if not self._closing.is_set():
                    logger.warning("worker process %s is lost: %s", handle.pid, handle.reason)
                    self._tell("lost", handle.reason)
                handle.close()
            is_steady = handle is not None and time.monotonic() - started_s > self._settings.steady_s
            failures = 0 if is_steady else failures + 1
            self._closing.wait(self._backoff_s(failures))

    def _backoff_s(self, failures: int) -> float:
        if failures == 0:
            return 0.0
        return min(self._settings.backoff_s * 2.0 ** min(failures - 1, 16), self._settings.longest_backoff_s)

    def _note(self, handle: WorkerHandle | None, error: str | None = None) -> None:
        with self._changed:
            self._handle = handle
            self._attempts += 1
            if error is not None:
                self.last_error = error
            self._changed.notify_all()

    def _not_started(self, reason: str) -> None:
        handle, self._starting = self._starting, None
        if handle is not None:
            handle.end(reason)
            handle.close()
        self.last_error = reason
        if not self._closing.is_set():
            logger.warning("a worker process did not come up: %s", reason)
            self._tell("start_failed", reason)

    def _started(self) -> WorkerHandle | None:
        """Start a worker and let it prove itself; None if it does not."""
        arenas: list[Arena] = []
        try:
            for _ in range(self._calls):
                arenas.append(Arena.made(self._settings.arena_bytes))  # noqa: PERF401  # what was made is known on failure
            handle = self._begun(arenas)
        except Exception:
            for arena in arenas:
                arena.destroy()
            raise
        self._starting = handle
        if self._closing.is_set():
            handle.end("closed")
        if not handle.settled.wait(self._settings.start_timeout_s):
            handle.end(f"it was not ready within {self._settings.start_timeout_s:g} s")
        try:
            if not handle.ended.is_set():
                self._probe(lambda stage, feeds: handle.call(stage, feeds, self._settings.start_timeout_s))
        except BackendError as exc:
            handle.end(f"it does not speak as it should: {exc}")
        if handle.ended.is_set():
            self._not_started(handle.reason)
            return None
        self._starting = None
        return handle

    def _begun(self, arenas: list[Arena]) -> WorkerHandle:
        spec = WorkerSpec(
            self._spec.bundle_path,
            self._spec.digest,
            self._spec.backend,
            self._spec.threads,
            self._spec.stages,
            tuple(arena.name for arena in arenas),
            self._settings.beat_s,
            self._settings.sabotage_path,
        )
        return WorkerHandle(spec, arenas, self._settings.hang_s)
