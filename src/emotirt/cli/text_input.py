"""Where the text of a command comes from: an argument, a file, or standard input; always UTF-8."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

from emotirt.errors import InvalidRequest, TextTooLong

MAX_INPUT_BYTES = 8 * 1024 * 1024  # far above any limit on characters; keeps an endless pipe from filling memory


def read_text(argument: str | None, file: Path | None) -> str:
    """Return the text to speak.

    Args:
        argument: the text itself, ``-`` for standard input, or None.
        file: a text file, or None; ``-`` for standard input too.

    Raises: InvalidRequest: no text, two texts, an unreadable file, or bytes that are no UTF-8. TextTooLong.
    """
    if argument is not None and file is not None:
        raise InvalidRequest("both a text and --file are given; give one of them")
    if file is not None and str(file) != "-":
        return _read_file(file)
    if argument is not None and argument != "-":
        return argument
    if argument is None and file is None and sys.stdin.isatty():
        raise InvalidRequest('no text given; try: emotirt say "Hello." (or --file FILE, or a pipe)')
    return _decoded(_bounded(sys.stdin.buffer, "standard input"), "standard input")


def _read_file(path: Path) -> str:
    name = f"text file {str(path)!r}"
    try:
        with path.open("rb") as source:
            return _decoded(_bounded(source, name), name)
    except OSError as exc:
        raise InvalidRequest(f"cannot read {name}: {exc.strerror}") from exc


def _bounded(source: BinaryIO, name: str) -> bytes:
    data = source.read(MAX_INPUT_BYTES + 1)
    if len(data) > MAX_INPUT_BYTES:
        raise TextTooLong(f"{name} holds more than {MAX_INPUT_BYTES} bytes; split it into several files")
    return data


def _decoded(data: bytes, name: str) -> str:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as exc:
        raise InvalidRequest(
            f"{name} is not UTF-8 (byte 0x{data[exc.start]:02x} at offset {exc.start}); "
            "save it as UTF-8, or convert it: iconv -f GB18030 -t UTF-8"
        ) from exc
