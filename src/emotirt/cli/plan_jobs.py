"""Plans built at the same time, each in a process of its own: TensorRT keeps one core busy with one plan."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event, Lock

from emotirt.errors import PlanFailed

Part = tuple[str, int]
"""A stage, and which of its plans, from 1."""


def build_parts(
    parts: Sequence[Part], options: Sequence[str], jobs: int, done: Callable[[Part], None] = lambda part: None
) -> None:
    """Build plans into the cache; after a failure nothing more is begun and what is under way is killed.

    Args:
        parts: which.
        options: of ``emotirt build``, all but those that choose parts.
        jobs: processes at once.
        done: called with every part that is built.

    Raises: PlanFailed: a process failed; with its last words.
    """
    running: set[subprocess.Popen[str]] = set()
    stopped = Event()
    starting = Lock()

    def build(part: Part) -> Part:
        command = [sys.executable, "-m", "emotirt", "build", *options, "--stage", part[0], "--part", str(part[1])]
        with starting:
            if stopped.is_set():
                return part
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            running.add(process)
        _, said = process.communicate()
        with starting:
            running.discard(process)
        if process.returncode != 0 and not stopped.is_set():
            words = said.strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
            raise PlanFailed(f"plan {part[1]} of stage {part[0]} could not be built: {words[0]}")
        return part

    with ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(build, part) for part in parts]
        try:
            for future in as_completed(waiting):
                done(future.result())
        except BaseException:
            with starting:
                stopped.set()
                for process in running:
                    process.kill()  # TensorRT answers nothing gentler while it builds
            raise
