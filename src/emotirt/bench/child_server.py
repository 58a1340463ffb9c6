"""``emotirt serve`` as a child process on a free port, for a benchmark that is given no server."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from emotirt.errors import BackendError

START_S = 120.0
STOP_S = 40.0
_LISTENING = "emotirt: listening on "


@dataclass(frozen=True, slots=True)
class ChildServer:
    """A server that runs.

    Attributes:
        url: of it.
        process: itself.
        said_path: what it wrote to its standard error, its log among it.
    """

    url: str
    process: subprocess.Popen[bytes]
    said_path: Path


@contextmanager
def child_server(options: Sequence[str]) -> Iterator[str]:
    """Run a server with more options of ``emotirt serve`` as long as the context lasts.

    Yields: its URL.
    Raises: BackendError: it did not come up, with what it said.
    """
    with child_process(options) as child:
        yield child.url


@contextmanager
def child_process(options: Sequence[str]) -> Iterator[ChildServer]:
    """Do the same for those who look after the process too, and may end it."""
    command = [sys.executable, "-m", "emotirt", "serve", "--port", "0", "--log-level", "error", *options]
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "stderr"
        with said.open("wb") as sink, subprocess.Popen(command, stderr=sink, stdin=subprocess.DEVNULL) as child:
            try:
                yield ChildServer(_url(child, said), child, said)
            finally:
                _stop(child)


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()


def _url(child: subprocess.Popen[bytes], said: Path) -> str:
    give_up_s = time.monotonic() + START_S
    while time.monotonic() < give_up_s:
        is_running = child.poll() is None
        text = said.read_text(encoding="utf-8", errors="replace")
        for line in text.splitlines(keepends=True):
            if line.startswith(_LISTENING) and line.endswith("\n"):
                return line.split()[-1]
        if not is_running:
            raise BackendError(f"'emotirt serve' ended with code {child.returncode}: {text.strip()}")
        time.sleep(0.05)
    raise BackendError(f"'emotirt serve' was not up after {START_S:g} s; try it by hand to see why")
