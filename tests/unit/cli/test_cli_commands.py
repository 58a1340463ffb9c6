"""The real commands on the tiny bundle: what they write, and one line for everything that can go wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from emotirt.audio.read import read_audio
from emotirt.cli.main import main


@pytest.fixture
def bundle_copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


@pytest.fixture
def say(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Run ``emotirt say`` in an empty directory with the tiny bundle; returns the exit code."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def run(*arguments: str) -> int:
        return main(["say", "--bundle", str(tiny_bundle), "--threads", "1", *arguments])

    return run


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("emotirt: error: ")
    return captured.err


def test_file_and_timing_line(say, capsys: pytest.CaptureFixture[str]) -> None:
    assert say("Hello there. 你好。") == 0
    audio = read_audio(Path("speech.wav"))
    assert audio.duration_s > 0.2
    line = capsys.readouterr().err
    assert line.startswith(f"speech.wav: {audio.duration_s:.2f} s of audio in ")
    for part in ("frontend", "acoustic", "vocoder", "first audio", "x real time", "loaded in"):
        assert part in line
    assert os.listdir() == ["speech.wav"]


@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "opus", "aac"])
def test_formats(say, name: str) -> None:
    assert say("Hello.", "--out", f"out.{name}", "--quiet") == 0
    assert read_audio(Path(f"out.{name}")).duration_s > 0.1


def test_format_and_rate_are_as_asked(say) -> None:
    assert say("Hello.", "--out", "a.wav", "--format", "pcm", "--sample-rate", "8000", "--quiet") == 0
    assert say("Hello.", "--out", "b.wav", "--quiet") == 0
    pcm_s, wav_s = Path("a.wav").stat().st_size / 2 / 8000, read_audio(Path("b.wav")).duration_s
    assert pcm_s == pytest.approx(wav_s, abs=0.01)


@pytest.mark.parametrize("target", ["long.pcm", "-"])
def test_a_text_past_the_limit_is_cut_as_the_server_does(
    say, capsysbinary: pytest.CaptureFixture[bytes], target: str
) -> None:
    Path("long.txt").write_text("Hi. " + " " * 30_000 + "Not this.", encoding="utf-8")
    assert say("--file", "long.txt", "--out", target, "--format", "pcm") == 0
    captured = capsysbinary.readouterr()
    assert captured.err.startswith(
        b"emotirt: warning: text has 30013 characters, the limit is 20000; spoken are the first 20000\n"
    )
    heard = captured.out if target == "-" else Path(target).read_bytes()
    assert say("Hi.", "--out", "short.pcm") == 0
    assert heard == Path("short.pcm").read_bytes()


def test_a_text_past_the_limit_may_be_refused(say, capsys: pytest.CaptureFixture[str]) -> None:
    for out in ("long.wav", "-"):
        assert say("a" * 30_000, "--strict", "--out", out) == 2
        error = capsys.readouterr().err
        assert error == "emotirt: error: text has 30000 characters, the limit is 20000; send it in parts\n"
    assert not Path("long.wav").exists()


def test_same_request_gives_the_same_bytes(say) -> None:
    assert say("Hello.", "--out", "a.wav") == say("Hello.", "--out", "b.wav") == 0
    assert Path("a.wav").read_bytes() == Path("b.wav").read_bytes()


def test_speed_changes_the_length(say) -> None:
    assert say("A somewhat longer sentence.", "--out", "slow.wav", "--speed", "0.5") == 0
    assert say("A somewhat longer sentence.", "--out", "fast.wav", "--speed", "2") == 0
    assert read_audio(Path("slow.wav")).duration_s > 1.5 * read_audio(Path("fast.wav")).duration_s


def test_text_from_a_file(say) -> None:
    Path("text.txt").write_text("第一句。\nSecond sentence.\n", encoding="utf-8")
    assert say("--file", "text.txt", "--out", "file.wav", "--quiet") == 0
    assert Path("file.wav").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["", "--out", "x.wav"], 2, ["nothing"]),
        (["?!…。", "--out", "x.wav"], 2, ["nothing"]),
        (["😀🎉", "--out", "x.wav"], 2, ["nothing"]),
        (["a" * 100_000, "--strict", "--out", "x.wav"], 2, ["100000", "20000"]),
        (["Hi", "--voice", "nobody"], 2, ["'nobody'"]),
        (["Hi", "--emotion", "hapy"], 2, ["'hapy'", "happy"]),
        (["Hi", "--speed", "0"], 2, ["speed", "0.25"]),
        (["Hi", "--speed", "nan"], 2, ["speed", "nan"]),
        (["Hi", "--intensity", "7"], 2, ["intensity", "7.0"]),
        (["Hi", "--pitch", "inf"], 2, ["pitch", "inf"]),
        (["Hi", "--sample-rate", "5"], 2, ["5 Hz", "8000"]),
        (["Hi", "--out", "x.opus", "--sample-rate", "22050"], 2, ["opus cannot hold 22050 Hz"]),
        (["Hi", "--out", "x.txt"], 2, ["'.txt'", ".wav"]),
        (["Hi", "--out", "."], 1, ["it is a directory"]),
        (["Hi", "--out", "no/where/x.wav"], 1, ["'no/where' does not exist"]),
        (["Hi", "--backend", "abacus"], 1, ["'abacus'", "onnxruntime"]),
        (["Hi", "there"], 2, ["unrecognized arguments: there", "in quotes"]),
        (["Hi", "--file", "also.txt"], 2, ["one of them"]),
        (["Hi", "--threads", "0"], 2, ["--threads", "at least 1"]),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    say, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: list[str]
) -> None:
    assert say(*arguments) == code
    line = error_line(capsys)
    for word in words:
        assert word in line
    assert os.listdir() == []


def test_full_disk_is_named(say, capsys: pytest.CaptureFixture[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs the Linux device that is always full")
    assert say("Hi", "--out", "/dev/full", "--format", "wav") == 1
    assert "No space left" in error_line(capsys)


def test_missing_bundle(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["say", "Hi", "--out", str(tmp_path / "x.wav"), "--bundle", str(tmp_path / "none")]) == 1
    assert "none" in error_line(capsys)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("damage", ["truncated", "flipped", "manifest", "missing"])
def test_damaged_bundle_is_named(bundle_copy: Path, capsys: pytest.CaptureFixture[str], damage: str) -> None:
    graph = bundle_copy / "vocoder.onnx"
    data = bytearray(graph.read_bytes())
    expected = ["vocoder.onnx", "SHA-256"]
    if damage == "truncated":
        graph.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        data[len(data) // 2] ^= 1
        graph.write_bytes(data)
    elif damage == "missing":
        graph.unlink()
        expected = ["vocoder.onnx", "is missing"]
    else:
        (bundle_copy / "manifest.json").write_text('{"name": "x"}')
        expected = ["manifest.json"]
    out = bundle_copy.parent / "x.wav"
    assert main(["say", "Hi", "--out", str(out), "--bundle", str(bundle_copy)]) == 1
    line = error_line(capsys)
    for word in expected:
        assert word in line
    assert not out.exists()
    assert main(["doctor", "--bundle", str(bundle_copy)]) == 1
    assert "broken" in capsys.readouterr().out


def test_debug_shows_the_traceback() -> None:
    from emotirt.errors import UnsupportedFormat

    with pytest.raises(UnsupportedFormat):
        main(["say", "--debug", "Hi", "--out", "x.txt"])


def test_voices_as_table_and_json(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["voices", "--bundle", str(tiny_bundle)]) == 0
    text = capsys.readouterr().out
    assert main(["voices", "--bundle", str(tiny_bundle), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert {voice["language"] for voice in content["voices"]} >= {"en", "zh"}
    for entry in (*content["voices"], *content["emotions"]):
        assert entry["name"] in text
    assert len(content["sha256"]) == 64


def test_doctor_reports_a_working_installation(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--bundle", str(tiny_bundle)]) == 0
    text = capsys.readouterr().out
    assert "EmotiRT can speak; it would use onnxruntime" in text
    assert "hashes verified" in text
    assert main(["doctor", "--bundle", str(tiny_bundle), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["usable"] is True
    areas = {"python", "package", "backend", "gpu", "player", "bundle", "plans", "speaking", "voices"}
    assert areas == {item["area"] for item in report["findings"]}


def test_demo_writes_every_kind(tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--bundle", str(tiny_bundle), "--out", str(tmp_path / "demo"), "--threads", "1"]) == 0
    names = {path.name for path in (tmp_path / "demo").iterdir()}
    assert {"en.wav", "zh.wav", "mixed.wav", "emotion-neutral.wav"} <= names
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(names) + 1
    assert all(" s of audio in " in line for line in lines[1:])


def test_bench_cpu_and_summary(tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results, summary = tmp_path / "results", tmp_path / "summary.json"
    quick = ["--repeats", "2", "--cold-starts", "0", "--no-streams", "--threads", "1"]
    assert main(["bench", "cpu", "--bundle", str(tiny_bundle), *quick, "--results", str(results)]) == 0
    (path,) = results.iterdir()
    content = json.loads(path.read_text(encoding="utf-8"))
    assert set(content["values"]) == {"cpu.rtfx", "cpu.ttfa_ms"}
    assert content["bundle"]["sha256"]
    assert content["details"]["ttfa_ms"]["count"] == 2
    assert main(["bench", "summary", "--results", str(results), "--out", str(summary)]) == 0
    assert (
        json.loads(summary.read_text(encoding="utf-8"))["cpu.rtfx"]["value"] == content["values"]["cpu.rtfx"]["value"]
    )
    assert "2 of " in capsys.readouterr().out


def command(tiny_bundle: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "emotirt", "say", "--bundle", str(tiny_bundle), "--threads", "1", *arguments]


def test_stdin_to_stdout(tiny_bundle: Path) -> None:
    text = "早上好。Good morning.".encode()
    done = subprocess.run(command(tiny_bundle, "-", "--out", "-"), input=text, capture_output=True, check=True)
    assert read_audio(done.stdout).duration_s > 0.2
    assert done.stderr.startswith(b"standard output: ")


def test_reader_that_leaves_is_quiet(tiny_bundle: Path) -> None:
    text = "A sentence that goes on for a while, and then some more. " * 20
    process = subprocess.Popen(
        command(tiny_bundle, text, "--out", "-"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heed_interrupts,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


SIGNALS = pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])


def heed_interrupts() -> None:
    """Undo what a shell does to processes that it starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@SIGNALS
def test_signals_leave_nothing_behind(tiny_bundle: Path, tmp_path: Path, number: int, code: int) -> None:
    process = subprocess.Popen(
        command(tiny_bundle, "-", "--out", str(tmp_path / "x.wav")),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heed_interrupts,
    )
    assert process.stdin is not None
    process.stdin.write(b"more than a pipe holds, " * 4000)  # returns when the command reads, and waits for more
    process.stdin.flush()
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == code
    assert b"Traceback" not in errors
    assert os.listdir(tmp_path) == []


@SIGNALS
def test_signals_end_speaking_at_once(tiny_bundle: Path, number: int, code: int) -> None:
    text = "A sentence that goes on for a while, and then some more. " * 150
    process = subprocess.Popen(
        command(tiny_bundle, text, "--out", "-"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heed_interrupts,
    )
    assert process.stdout is not None
    process.stdout.read(10)  # it speaks, and the rest is more than a pipe holds
    process.send_signal(number)
    rest, errors = process.communicate()
    assert process.returncode == code
    assert b"Traceback" not in errors
    assert len(rest) < 10_000_000  # all of it would be 16 MB


def test_bench_frontend_keeps_its_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results"
    assert main(["bench", "frontend", "--repeats", "4", "--results", str(results)]) == 0
    (path,) = results.iterdir()
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["values"]["frontend.p50_ms"]["value"] > 0
    printed = capsys.readouterr().out
    assert "warm-up" in printed
    assert "p50" in printed
    assert printed.endswith(f"{path}\n")


@pytest.mark.parametrize("target", ["times.wav", "-"])
def test_timestamps(say, capsysbinary: pytest.CaptureFixture[bytes], target: str) -> None:
    assert say("One two. 你好。", "--out", target, "--quiet", "--timestamps", "times.json") == 0
    times = json.loads(Path("times.json").read_text(encoding="utf-8"))
    assert [word["word"] for item in times["utterances"] for word in item["words"]] == ["One", "two", "你好"]
    assert times["utterances"][0]["phonemes"][0]["phoneme"] == "W"
    shapes = [item["viseme"] for item in times["utterances"][0]["visemes"]]
    assert (shapes[0], shapes[-1]) == ("sil", "sil")
    assert set(shapes) & {"ou", "aa", "nn", "DD"}
    assert 0.0 < times["utterances"][-1]["end_s"] <= times["duration_s"] + 1e-6
    if target != "-":
        assert read_audio(Path(target)).duration_s == pytest.approx(times["duration_s"], abs=1e-3)


def test_kinds_of_timestamps(say, capsys: pytest.CaptureFixture[str]) -> None:
    assert say("One.", "--quiet", "--timestamps", "times.json", "--timestamp-kinds", "viseme,word") == 0
    (spoken,) = json.loads(Path("times.json").read_text(encoding="utf-8"))["utterances"]
    assert set(spoken) == {"text", "start_s", "end_s", "words", "visemes"}
    assert spoken["visemes"][0]["start_s"] == spoken["start_s"]
    assert spoken["visemes"][-1]["end_s"] == spoken["end_s"]
    assert say("One.", "--timestamps", "times.json", "--timestamp-kinds", "lips") == 2
    assert "'lips' is unknown; give some of word,phoneme,viseme" in capsys.readouterr().err
    assert say("One.", "--timestamp-kinds", "word") == 2
    assert "give --timestamps FILE" in capsys.readouterr().err


def test_timestamps_that_cannot_be_written_are_refused_first(say, capsys: pytest.CaptureFixture[str]) -> None:
    assert say("Hi.", "--timestamps", "missing/times.json") == 1
    assert "missing" in error_line(capsys)
    assert not os.listdir()
