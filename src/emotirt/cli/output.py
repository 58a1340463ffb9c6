"""Where results may be written, and standard output for audio."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from emotirt.errors import OutputError
from emotirt.whole_file import replaced


def check_target(path: Path) -> None:
    """Find out before any work whether a file can be written.

    Raises: OutputError: a directory, a missing or unwritable parent, named.
    """
    try:
        reason = _obstacle(path)
    except OSError as exc:
        reason = exc.strerror or str(exc)
    if reason:
        raise OutputError(f"cannot write {str(path)!r}: {reason}")


def _obstacle(path: Path) -> str:
    if path.is_dir():
        return "it is a directory; name a file in it"
    parent = path.parent
    if not parent.exists():
        return f"directory {str(parent)!r} does not exist; make it first"
    if not parent.is_dir():
        return f"{str(parent)!r} is not a directory"
    if not os.access(path if _is_special(path) else parent, os.W_OK):
        return f"no permission to write in {str(parent)!r}"
    return ""


@contextmanager
def replaced_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes its place only when the block ends well.

    On any error what was at ``path`` stays (see ``emotirt.whole_file``). Devices and pipes are written directly.

    Raises: OutputError: not writable, disk full; the path and the reason are named.
    """
    check_target(path)
    try:
        if _is_special(path):
            with path.open("wb") as device:
                yield device
            return
        with replaced(Path(os.path.realpath(path))) as sink:
            yield sink
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise OutputError(f"cannot write {str(path)!r}: {exc.strerror or exc}") from exc


def write_file(path: Path, data: bytes) -> None:
    """Write a whole file, or leave what was there.

    Raises: OutputError: as ``replaced_file``.
    """
    with replaced_file(path) as sink:
        sink.write(data)


def make_directory(path: Path) -> None:
    """Make a directory and its parents unless it exists.

    Raises: OutputError: not possible, with the reason.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise OutputError(f"cannot make directory {str(path)!r}: {exc.strerror}") from exc


@contextmanager
def audio_stdout() -> Iterator[BinaryIO]:
    """Return standard output for audio bytes.

    Raises: OutputError: it is a terminal, or the disk behind it is full.
    """
    if sys.stdout.isatty():
        raise OutputError("audio would go to the terminal; pipe it somewhere, or name a file with --out FILE")
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise OutputError(f"cannot write to standard output: {exc.strerror or exc}") from exc


def _is_special(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()
