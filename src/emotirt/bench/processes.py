"""What a process holds, from Linux's ``/proc``: memory, open files, threads, children."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from emotirt.errors import BackendUnavailable

PROC = Path("/proc")
POOL_THREADS = 6
"""asyncio's pool for what would hold up its loop starts its threads one by one, when all before are busy, up to a bound
(4 more than cores); so many more are no leak."""
WORKER_MARK = b"spawn_main"
"""Stands in the command line of a process that multiprocessing started."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one process holds.

    Attributes:
        memory_mib: resident.
        open_files: file descriptors.
        threads: of it.
    """

    memory_mib: float
    open_files: int
    threads: int

    def keeps_more_than(self, before: Footprint) -> bool:
        """Whether it holds files or threads that it did not hold before."""
        return self.open_files > before.open_files or self.threads > before.threads + POOL_THREADS


def footprint(pid: int) -> Footprint | None:
    """Measure a process; None if it is gone.

    Raises: BackendUnavailable: this system has no ``/proc``.
    """
    if not (PROC / "self" / "statm").exists():
        raise BackendUnavailable("memory and files of processes are read from /proc; run this on Linux")
    place = PROC / str(pid)
    try:
        pages = int((place / "statm").read_text(encoding="ascii").split()[1])
        files = len(os.listdir(place / "fd"))
        threads = len(os.listdir(place / "task"))
    except (OSError, IndexError):
        return None
    return Footprint(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, files, threads)


def worker_of(pid: int) -> int | None:
    """Return the worker process of a server, None while there is none."""
    for place in PROC.iterdir():
        if place.name.isdecimal():
            try:
                parent = int(
                    (place / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]
                )
                if parent == pid and WORKER_MARK in (place / "cmdline").read_bytes():
                    return int(place.name)
            except (OSError, IndexError):
                continue
    return None
