"""The supervisor's end of one worker process: calls in flight, signs of life, and a single end."""

from __future__ import annotations

import itertools
import multiprocessing
import queue
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from multiprocessing.connection import Connection, wait

from emotirt.errors import BackendError, OutOfProfile, WorkerLost
from emotirt.runtime.runner import Array
from emotirt.scheduling.channel import Arena, Done, Failed, Message, Ready, Run
from emotirt.scheduling.worker import WorkerSpec, main

JOIN_S = 5.0
"""A killed process that is not gone by then cannot be waited for; the kernel will finish it."""
_GUARD_HINT = "a script that starts it needs 'if __name__ == \"__main__\":' around what it does"


class WorkerHandle:
    """One worker process from its start to its end; ``call`` may be used from several threads."""

    def __init__(self, spec: WorkerSpec, arenas: list[Arena], hang_s: float) -> None:
        """Start the process.

        Args:
            spec: what it loads; names the arenas.
            arenas: as many calls may be in flight; the handle destroys them.
            hang_s: without a sign of life for so long, once loaded, it is taken to hang.
        """
        self.ended = threading.Event()
        self.is_ready = False
        self.settled = threading.Event()  # ready or ended
        self.reason = ""
        self._arenas = arenas
        self._hang_s = hang_s
        self._free: queue.SimpleQueue[Arena | None] = queue.SimpleQueue()
        for arena in arenas:
            self._free.put(arena)
        self._calls = itertools.count()
        self._pending: dict[int, Future[Done]] = {}
        self._callers = 0
        self._lock = threading.Lock()
        self._left = threading.Condition(self._lock)
        self._sending = threading.Lock()
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=main, args=(theirs, spec), name="emotirt-worker", daemon=True)
        self._process.start()
        theirs.close()
        self._receiver = threading.Thread(target=self._receive, name="emotirt-worker-replies", daemon=True)
        self._receiver.start()

    @property
    def pid(self) -> int | None:
        """Of the process."""
        return self._process.pid

    def call(self, stage: str, feeds: Mapping[str, Array], timeout_s: float) -> dict[str, Array]:
        """Compute a stage in the worker.

        Raises: WorkerLost: it is gone, or did not answer in time and is then ended. BackendError: the stage failed.
        """
        with self._lock:
            self._callers += 1
        try:
            return self._call(stage, feeds, timeout_s)
        finally:
            with self._lock:
                self._callers -= 1
                self._left.notify_all()

    def end(self, reason: str) -> None:
        """End the process whatever it does; calls in flight fail with WorkerLost. Only the first reason counts."""
        with self._lock:
            if self.ended.is_set():
                return
            self.reason = reason
            self.ended.set()
            pending, self._pending = self._pending, {}
        self.settled.set()
        self._process.kill()
        self._free.put(None)
        for future in pending.values():
            future.set_exception(WorkerLost(f"the worker process is gone: {reason}"))

    def close(self, timeout_s: float = JOIN_S) -> None:
        """End the process, asking first, and release what it had; not to be called by the receiving thread."""
        if not self.ended.is_set():
            try:
                with self._sending:
                    self._connection.send(None)
                self._process.join(timeout_s)
            except OSError:
                pass
            self.end("closed")
        self._process.join(JOIN_S)
        self._receiver.join(JOIN_S)
        self._connection.close()
        with self._left:
            self._left.wait_for(lambda: self._callers == 0, JOIN_S)
        for arena in self._arenas:
            arena.destroy()
        if not self._process.is_alive():
            self._process.close()

    def _call(self, stage: str, feeds: Mapping[str, Array], timeout_s: float) -> dict[str, Array]:
        arena = self._free.get()
        if arena is None:  # the mark that end() left, for everybody who waits
            self._free.put(None)
            raise WorkerLost(f"the worker process is gone: {self.reason}")
        number = next(self._calls)
        future: Future[Done] = Future()
        try:
            self._send(number, future, Run(number, arena.name, stage, arena.put(feeds)))
        except BaseException:  # also feeds that no arena and no message can hold
            with self._lock:
                self._pending.pop(number, None)
            self._give_back(arena)
            raise
        try:
            return arena.get(future.result(timeout_s).outputs)
        except FutureTimeout as exc:
            self.end(f"a call of stage {stage} took longer than {timeout_s:g} s")
            raise WorkerLost(f"the worker process was ended: {self.reason}") from exc
        finally:  # at once, unless the caller was interrupted: then once the worker is done with the arena
            future.add_done_callback(lambda _: self._give_back(arena))

    def _give_back(self, arena: Arena) -> None:
        if not self.ended.is_set():
            self._free.put(arena)

    def _send(self, number: int, future: Future[Done], message: Run) -> None:
        with self._lock:
            if self.ended.is_set():
                raise WorkerLost(f"the worker process is gone: {self.reason}")
            self._pending[number] = future
        try:
            with self._sending:
                self._connection.send(message)
        except OSError as exc:
            self.end("its pipe is broken")
            raise WorkerLost(f"the worker process is gone: {self.reason}") from exc

    def _receive(self) -> None:
        heard_s = time.monotonic()
        sentinel = self._process.sentinel
        while not self.ended.is_set():
            found = wait([self._connection, sentinel], self._hang_s / 4)
            if self._connection in found:
                message = _received(self._connection)
                if message is None:
                    return self._died()
                heard_s = time.monotonic()
                self._take(message)
            elif found:
                return self._died()
            elif self.is_ready and time.monotonic() - heard_s > self._hang_s:
                self.end(f"it hung: no sign of life for {self._hang_s:g} s")
        return None

    def _died(self) -> None:
        self._process.join(JOIN_S)
        code = self._process.exitcode
        reason = f"it was ended by signal {-code}" if code is not None and code < 0 else f"it exited with code {code}"
        self.end(reason if self.is_ready else f"{reason} before it was ready; {_GUARD_HINT}")

    def _take(self, message: Message) -> None:
        if isinstance(message, Ready):
            self.is_ready = True
            self.settled.set()
        elif isinstance(message, Failed) and message.call is None:
            self.end(message.message)
        elif isinstance(message, (Done, Failed)):
            with self._lock:
                future = self._pending.pop(message.call, None)  # type: ignore[arg-type]  # None was handled above
            if future is not None and isinstance(message, Done):
                future.set_result(message)
            elif future is not None and isinstance(message, Failed):
                future.set_exception((OutOfProfile if message.is_of_shape else BackendError)(message.message))


def _received(connection: Connection) -> Message:
    try:
        message: Message = connection.recv()
    except (EOFError, OSError):
        return None
    return message
