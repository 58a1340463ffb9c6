"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from emotirt.whole_file import replaced, write_new, write_whole

Write = Callable[[Path, bytes], None]


@contextmanager
def little_room(most_bytes: int) -> Iterator[None]:
    """Let this process write no file larger than so; the system refuses the rest as it does on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_takes_the_place_of_another(tmp_path: Path) -> None:
    path = tmp_path / "result"
    for data in (b"first", b"", b"second" * 100_000):
        write_whole(path, data)
        assert path.read_bytes() == data
    assert os.listdir(tmp_path) == ["result"]


def test_nothing_takes_its_place_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "result"
    path.write_bytes(b"old")
    with replaced(path) as sink:
        sink.write(b"new")
        sink.flush()
        assert path.read_bytes() == b"old"
        assert len(os.listdir(tmp_path)) == 2
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_what_goes_wrong_leaves_the_old_file_alone(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "result"
    path.write_bytes(b"old")

    def fail() -> None:
        with replaced(path) as sink:
            sink.write(b"new")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["result"]


def test_a_full_disk_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "result"
    path.write_bytes(b"old")
    with little_room(100_000), pytest.raises(OSError, match="too large"):
        write_whole(path, b"new" * 100_000)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["result"]


def test_a_full_disk_leaves_nothing_where_nothing_was(tmp_path: Path) -> None:
    with little_room(100_000), pytest.raises(OSError, match="too large"):
        write_new(tmp_path / "result", b"new" * 100_000)
    assert os.listdir(tmp_path) == []


def test_of_many_who_write_a_new_file_one_does(tmp_path: Path) -> None:
    path = tmp_path / "result"

    def attempt(number: int) -> bool:
        try:
            write_new(path, b"%d" % number * 1000)
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        written = list(pool.map(attempt, range(16)))
    assert written.count(True) == 1
    assert path.read_bytes() == b"%d" % written.index(True) * 1000
    assert os.listdir(tmp_path) == ["result"]


@pytest.mark.parametrize("write", [write_whole, write_new])
def test_a_folder_that_is_not_there_is_named_by_the_system(tmp_path: Path, write: Write) -> None:
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "no" / "result", b"x")


@pytest.mark.skipif(sys.platform == "win32", reason="there names may be no longer with their folder")
def test_the_longest_name_that_the_system_takes_is_written(tmp_path: Path) -> None:
    write_whole(tmp_path / ("x" * 255), b"data")
    assert (tmp_path / ("x" * 255)).read_bytes() == b"data"
