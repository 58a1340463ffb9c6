"""Text sources and output files of the command line."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from emotirt.cli.output import check_target, make_directory, replaced_file, write_file
from emotirt.cli.text_input import MAX_INPUT_BYTES, read_text
from emotirt.errors import InvalidRequest, OutputError, TextTooLong


class Stdin:
    """Standard input holding given bytes."""

    def __init__(self, data: bytes, terminal: bool = False) -> None:
        self.buffer = io.BytesIO(data)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize(
    "data", ["早上好。".encode(), b"\xef\xbb\xbf" + "早上好。".encode(), "\ufeff早上好。".encode("utf-16-le")]
)
def test_text_from_stdin_and_file(data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(data)
    assert read_text(None, path) == "早上好。"
    for argument, file in ((None, None), ("-", None), (None, Path("-"))):
        monkeypatch.setattr("sys.stdin", Stdin(data))
        assert read_text(argument, file) == "早上好。"


def test_argument_is_taken_as_it_is() -> None:
    assert read_text("Hello", None) == "Hello"


def test_wrong_encoding_names_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "gb.txt"
    path.write_bytes("ab早".encode("gb18030"))
    with pytest.raises(InvalidRequest, match=r"gb.txt' is not UTF-8 \(byte 0xd4 at offset 2\); save it as UTF-8"):
        read_text(None, path)


def test_missing_text_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Stdin(b"", terminal=True))
    with pytest.raises(InvalidRequest, match="no text given; try: emotirt say"):
        read_text(None, None)
    with pytest.raises(InvalidRequest, match="give one of them"):
        read_text("a", tmp_path)
    with pytest.raises(InvalidRequest, match=r"none.txt': No such file"):
        read_text(None, tmp_path / "none.txt")
    with pytest.raises(InvalidRequest, match="Is a directory"):
        read_text(None, tmp_path)


def test_endless_input_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Stdin(b"a" * (MAX_INPUT_BYTES + 10)))
    with pytest.raises(TextTooLong, match="standard input"):
        read_text("-", None)


def test_file_replaces_only_when_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    path.write_bytes(b"before")

    def fail() -> None:
        with replaced_file(path) as sink:
            sink.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == b"before"
    write_file(path, b"after")
    assert path.read_bytes() == b"after"
    assert os.listdir(tmp_path) == ["out.wav"]


def test_new_file_has_ordinary_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write_file(tmp_path / "out.wav", b"x")
    assert (tmp_path / "out.wav").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.wav").write_bytes(b"old")
    (tmp_path / "link.wav").symlink_to(tmp_path / "real.wav")
    write_file(tmp_path / "link.wav", b"new")
    assert (tmp_path / "link.wav").is_symlink()
    assert (tmp_path / "real.wav").read_bytes() == b"new"


def test_impossible_targets_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path, reason in (
        (tmp_path, "it is a directory"),
        (tmp_path / "none" / "out.wav", "none' does not exist; make it first"),
        (tmp_path / "file" / "out.wav", "file' is not a directory"),
        (Path("/proc/out.wav"), "/proc"),
        (tmp_path / ("x" * 300), "too long"),
    ):
        with pytest.raises(OutputError, match=reason):
            write_file(path, b"x")


def test_directories_are_made_or_the_reason_is_named(tmp_path: Path) -> None:
    make_directory(tmp_path / "a" / "b")
    make_directory(tmp_path / "a" / "b")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="file"):
        make_directory(tmp_path / "file" / "b")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the Linux device that is always full")
def test_full_disk_is_an_output_error() -> None:
    check_target(Path("/dev/full"))
    with pytest.raises(OutputError, match=r"/dev/full': No space left"):
        write_file(Path("/dev/full"), b"x" * 100_000)


def test_devices_are_written_directly() -> None:
    write_file(Path(os.devnull), b"x")
    assert not Path(os.devnull).is_file()
