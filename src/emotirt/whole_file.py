"""Files that appear whole or not at all: a crash, a full disk or an interruption leaves what was there before.

The bytes go to a hidden file in the same directory, so that putting it in its place is one step of one file system, and
are forced to disk before that, so that the name never leads to an empty file after a power cut.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

SUFFIX = ".part"
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)


@contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of ``path`` when the block ends well, and is removed when it does not.

    A link is replaced as such; resolve it first to replace what it leads to.

    Raises: OSError: as the system says; ``path`` is as it was.
    """
    with _written_beside(path) as (temporary, sink):
        yield sink
        _finish(sink)
        os.replace(temporary, path)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, in the place of any that is there; errors of ``replaced``."""
    with replaced(path) as sink:
        sink.write(data)


def write_new(path: Path, data: bytes) -> None:
    """Write a file where there is none, also if several processes try at once.

    Raises: FileExistsError: there is one, and it stays. OSError: as the system says; nothing is left behind.
    """
    with _written_beside(path) as (temporary, sink):
        sink.write(data)
        _finish(sink)
        try:
            os.link(temporary, path)  # unlike a rename it fails where somebody else was faster
        except OSError as exc:
            if exc.errno not in _NO_LINKS:
                raise
            if path.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
            os.replace(temporary, path)


@contextmanager
def _written_beside(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    temporary = path.with_name(f".emotirt-{secrets.token_hex(6)}{SUFFIX}")
    try:
        with temporary.open("xb") as sink:
            yield temporary, sink
    finally:
        with suppress(OSError):  # mostly it is gone, to its place
            temporary.unlink()


def _finish(sink: BinaryIO) -> None:
    """Force everything to disk and let go of it: an open file takes nobody's place on Windows."""
    sink.flush()
    os.fsync(sink.fileno())
    sink.close()
