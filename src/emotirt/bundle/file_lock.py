"""A lock between processes that its holder cannot leave behind: the system frees it when the process ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from emotirt.errors import OutputError

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, block: bool) -> None:
        if not block:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            return
        while not _locked_within_ten_seconds(descriptor):
            pass

    def _locked_within_ten_seconds(descriptor: int) -> bool:
        """Wait as long as this system call does, which is too short for a build."""
        try:
            msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(descriptor: int, block: bool) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if block else fcntl.LOCK_NB))


@contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a lock file, which stays on the disk, for the length of the block.

    Args:
        path: in an existing directory.
        waiting: called once if somebody else holds it.

    Raises: OutputError: the file cannot be opened or locked.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as exc:
        raise OutputError(f"lock file {path} cannot be opened: {exc.strerror or exc}") from exc
    try:
        _take(descriptor, path, waiting)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path, waiting: Callable[[], None]) -> None:
    try:
        _lock(descriptor, block=False)
        return
    except OSError:
        waiting()
    try:
        _lock(descriptor, block=True)
    except OSError as exc:
        raise OutputError(f"lock file {path} cannot be locked: {exc.strerror or exc}") from exc
