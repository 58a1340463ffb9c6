"""The worker process: owns the stages on the accelerated backend and computes one call after the other.

It dies with the process that started it, and leaves Ctrl-C and termination to that process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from emotirt.bundle.store import open_bundle
from emotirt.errors import BundleCorrupt, DeviceFault, EmotiRTError, OutOfProfile
from emotirt.runtime.open import is_gpu_backend, open_runners
from emotirt.runtime.runner import Runner
from emotirt.scheduling.channel import Arena, Beat, Done, Failed, Message, Ready, Run
from emotirt.scheduling.sabotage import SabotagedRunner

CALLS_AT_ONCE = 2
"""On a GPU: as many as it has slots, so that one call is copied while another is computed."""
FAULT_EXIT = 70
"""EX_SOFTWARE of sysexits.h: the GPU faulted."""


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What a worker loads.

    Attributes:
        bundle_path: directory of the bundle.
        digest: of the bundle that the supervisor knows.
        backend: a name of ``runtime.open.backends()``.
        threads: CPU threads.
        stages: to load.
        arenas: names of the shared memory that calls come in.
        beat_s: seconds between two signs of life.
        sabotage_path: see ``scheduling.sabotage``; None but in a fault campaign.
    """

    bundle_path: Path
    digest: str
    backend: str
    threads: int
    stages: tuple[str, ...]
    arenas: tuple[str, ...]
    beat_s: float
    sabotage_path: Path | None = None


class _Voice:
    """The sending end of the pipe, which two threads share."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def say(self, message: Message) -> None:
        with self._lock:
            self._connection.send(message)


def main(connection: Connection, spec: WorkerSpec) -> None:
    """Serve calls until the other end of ``connection`` says so or is gone."""
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)
    voice = _Voice(connection)
    finished = threading.Event()
    threading.Thread(target=_beat, args=(voice, spec.beat_s, finished), daemon=True).start()
    arenas = {name: Arena.attached(name) for name in spec.arenas}
    try:
        runners = _runners(spec)
        voice.say(Ready())
        lanes = ThreadPoolExecutor(CALLS_AT_ONCE if is_gpu_backend(spec.backend) else 1)
        while (message := connection.recv()) is not None:
            lanes.submit(_serve, voice, message, runners, arenas[message.arena])
        lanes.shutdown()
    except EmotiRTError as exc:
        voice.say(Failed(None, str(exc)))
    except (EOFError, OSError):  # the supervisor is gone, nobody is left to tell
        os._exit(1)
    finally:
        finished.set()
        for arena in arenas.values():
            arena.close()


def _runners(spec: WorkerSpec) -> dict[str, Runner]:
    bundle = open_bundle(spec.bundle_path)
    if bundle.digest != spec.digest:
        raise BundleCorrupt(f"bundle {spec.bundle_path} has changed since the engine opened it; open a new engine")
    runners = open_runners(bundle, spec.stages, spec.backend, spec.threads, falls_back=False, is_prepared=True)
    if spec.sabotage_path is None:
        return runners
    return {stage: SabotagedRunner(runner, spec.sabotage_path) for stage, runner in runners.items()}


def _serve(voice: _Voice, message: Run, runners: dict[str, Runner], arena: Arena) -> None:
    try:
        voice.say(_reply(message, runners, arena))
    except OSError:  # the supervisor is gone, nobody is left to tell
        os._exit(1)


def _reply(message: Run, runners: dict[str, Runner], arena: Arena) -> Done | Failed:
    try:
        outputs = runners[message.stage].run(arena.views(message.feeds))
        return Done(message.call, arena.put(outputs))
    except DeviceFault as exc:
        sys.stderr.write(f"the GPU's worker process ends: {exc}\n")
        sys.stderr.flush()
        os._exit(FAULT_EXIT)  # at once: whatever this process still asks of the GPU fails, or hangs
    except OutOfProfile as exc:
        return Failed(message.call, str(exc), is_of_shape=True)
    except Exception as exc:  # the edge of the call: the supervisor decides what it means
        return Failed(message.call, f"{type(exc).__name__}: {exc}" if not isinstance(exc, EmotiRTError) else str(exc))


def _beat(voice: _Voice, beat_s: float, finished: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while not finished.wait(beat_s):
            voice.say(Beat())
