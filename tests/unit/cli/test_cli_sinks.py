"""Sinks of the command line, with a real process for each pipe."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emotirt.audio.pcm import float_from_s16le
from emotirt.audio.read import read_audio
from emotirt.cli.main import COMMANDS
from emotirt.cli.play import PLAYERS, find_player
from emotirt.cli.sinks import open_sink
from emotirt.errors import BackendError, BackendUnavailable, OutputError

SAMPLES = (0.5 * np.sin(np.arange(16_000) * 0.05)).astype(np.float32)


class Stdout:
    """Standard output kept in memory."""

    def __init__(self) -> None:
        self.buffer = io.BytesIO()

    def isatty(self) -> bool:
        return False


def feed(target: Path | str, format_name: str, to_hz: int = 16_000) -> None:
    with open_sink(target, format_name, 16_000, to_hz) as sink:
        for first in range(0, 16_000, 3_000):
            sink.write(SAMPLES[first : first + 3_000])


@pytest.mark.parametrize(("format_name", "to_hz"), [("wav", 16_000), ("wav", 44_100), ("flac", 8_000), ("mp3", 24_000)])
def test_file_is_complete_and_at_the_asked_rate(tmp_path: Path, format_name: str, to_hz: int) -> None:
    path = tmp_path / f"out.{format_name}"
    feed(path, format_name, to_hz)
    audio = read_audio(path, to_hz)
    assert audio.duration_s == pytest.approx(1.0, abs=0.15)
    assert os.listdir(tmp_path) == [path.name]


def test_nothing_is_left_when_speaking_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with open_sink(tmp_path / "out.wav", "wav", 16_000, 16_000) as sink:
            sink.write(SAMPLES)
            raise BackendError("the vocoder failed")

    with pytest.raises(BackendError):
        fail()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("format_name", ["wav", "pcm", "opus"])
def test_stdout_gets_the_stream(monkeypatch: pytest.MonkeyPatch, format_name: str) -> None:
    stdout = Stdout()
    monkeypatch.setattr("sys.stdout", stdout)
    feed("-", format_name)
    data = stdout.buffer.getvalue()
    samples = float_from_s16le(data) if format_name == "pcm" else read_audio(data).samples
    assert len(samples) == pytest.approx(16_000, abs=400)


def test_terminal_gets_no_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = Stdout()
    stdout.isatty = lambda: True  # type: ignore[method-assign]  # pretend to be a terminal
    monkeypatch.setattr("sys.stdout", stdout)
    with pytest.raises(OutputError, match="name a file with --out"):
        feed("-", "wav")


def fake_player(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program named ``aplay`` on an otherwise empty PATH; it is real, only quiet."""
    program = folder / "aplay"
    program.write_text(f"#!{sys.executable}\nimport sys, pathlib\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_player_hears_every_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = tmp_path / "heard.pcm"
    script = f"pathlib.Path({str(heard)!r}).write_bytes(sys.stdin.buffer.read()); assert '16000' in sys.argv"
    fake_player(tmp_path, script, monkeypatch)
    assert find_player() == "aplay"
    feed("play", "wav")
    assert np.abs(float_from_s16le(heard.read_bytes()) - SAMPLES).max() <= 1 / 32768


def test_failing_player_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_player(tmp_path, "sys.exit('no sound card')", monkeypatch)
    with pytest.raises(BackendError, match="'aplay' failed with code 1: no sound card; write a file with --out"):
        feed("play", "wav")


def test_missing_player_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendUnavailable, match="install one of pw-cat, paplay, aplay"):
        feed("play", "wav")


def test_player_options_name_the_rate() -> None:
    assert all("{rate}" in options for options in PLAYERS.values())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, ""),
        (
            ["sya"],
            2,
            f"unknown command 'sya'; available: {', '.join(COMMANDS)}; did you mean 'say'?",
        ),
        (["say", "--speed", "fast", "Hi"], 2, "argument --speed: invalid float value: 'fast' (see emotirt say --help)"),
        (["say", "--nonsense", "Hi"], 2, "unrecognized arguments: --nonsense (see emotirt say --help)"),
    ],
)
def test_usage_errors_are_one_line(arguments: list[str], code: int, message: str) -> None:
    done = subprocess.run([sys.executable, "-m", "emotirt", *arguments], capture_output=True, text=True)
    assert done.returncode == code
    assert done.stderr == (f"emotirt: error: {message}\n" if message else "")
