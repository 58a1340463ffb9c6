"""``emotirt clone``, ``emotirt voices`` and recordings for ``emotirt say``: what they print, keep and refuse."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.assets.recordings import RATE_HZ, clip, not_speech, speech, wav

from emotirt.audio.read import read_audio
from emotirt.bundle.store import default_bundle_path
from emotirt.cli.main import main
from emotirt.environment import voices_directory
from emotirt.server.settings import settings_from_environment

Run = Callable[..., int]


class Terminal(io.StringIO):
    """Standard input with a person behind it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def run(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty directory with recordings in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("linda", "kathleen", "sad"):
        Path(f"{name}.opus").write_bytes(clip(name))
    Path("tune.wav").write_bytes(wav(not_speech("tune")))
    Path("quiet.wav").write_bytes(wav(0.05 * speech("kathleen")))
    Path("silence.wav").write_bytes(wav(np.zeros(4 * RATE_HZ, np.float32)))

    def command(*arguments: str) -> int:
        return main([*arguments, "--voices", "kept", "--bundle", str(tiny_bundle)])

    return command


def test_clone_reports_keeps_and_speaks(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("clone", "Anna", "linda.opus", "quiet.wav", "--consent", "--language", "en") == 0
    captured = capsys.readouterr()
    head, first, second, last = captured.out.splitlines()
    assert head.split()[:3] == ["recording", "length", "speech"]
    assert first.split()[0] == "'linda.opus'"
    assert first.endswith("good")
    assert second.endswith("usable, could be better")
    assert last == (
        "voice 'Anna' kept in kept; the recordings are not kept. "
        "Try: emotirt say --voice Anna \"Hello, 你好\""
    )  # fmt: skip
    assert captured.err.startswith("emotirt: warning: recording 'quiet.wav': it is quiet (")
    assert run("say", "Hello.", "--voice", "anna", "--out", "anna.wav", "--quiet", "--threads", "1") == 0
    assert (
        run("say", "Hello.", "--reference", "linda.opus", "--reference", "quiet.wav", "--out", "same.wav", "--quiet")
        == 0
    )
    np.testing.assert_allclose(read_audio(Path("anna.wav")).samples, read_audio(Path("same.wav")).samples, atol=1e-3)
    assert (
        run("say", "Hello.", "--voice", "anna+bo:3", "--emotion-reference", "sad.opus", "--out", "x.wav", "--quiet")
        == 0
    )
    assert Path("x.wav").read_bytes() != Path("anna.wav").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("linda.opus",), "cloning needs the agreement of the person in the recording; confirm it with --consent"),
        (("tune.wav", "--consent"), "recording 'tune.wav' cannot be used: it does not sound like one person"),
        (("silence.wav", "--consent"), "recording 'silence.wav' cannot be used: it is silent"),
        (("nowhere.wav", "--consent"), "cannot read recording 'nowhere.wav': No such file or directory"),
        (("linda.opus", "--consent", "--language", "English"), "language 'English' is not a code"),
    ],
)
def test_clone_refuses_in_one_line(
    run: Run, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    assert run("clone", "Anna", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"emotirt: error: {words}")
    assert error.count("\n") == 1
    assert not Path("kept").exists()


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("是\n", 0), ("n\n", 2), ("", 2)])
def test_clone_asks_who_is_there(run: Run, monkeypatch: pytest.MonkeyPatch, answer: str, code: int) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert run("clone", "Anna", "linda.opus") == code
    assert Path("kept").exists() == (code == 0)


def test_check_only_reports(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("clone", "Anna", "linda.opus", "--check") == 0
    assert run("clone", "Anna", "linda.opus", "tune.wav", "--check") == 2
    assert "recording 'tune.wav' cannot be used" in capsys.readouterr().err
    assert not Path("kept").exists()


def test_voices_are_listed_moved_blended_and_removed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("voices", "add", "Anna", "linda.opus", "--consent-note", "Anna, on paper", "--description", "calm") == 0
    assert run("voices", "blend", "half", "anna+chen:3") == 0
    assert run("voices", "export", "anna", "anna.json") == 0
    capsys.readouterr()
    for action in ((), ("list",)):
        assert run("voices", *action, "--json") == 0
        own = json.loads(capsys.readouterr().out)["custom_voices"]
        assert [(item["name"], item["language"], item["usable"]) for item in own] == [
            ("Anna", "und", True),
            ("half", "zh", True),
        ]
        assert own[0]["consent"] == "Anna, on paper"
    assert run("voices", "remove", "ANNA") == 0
    assert run("voices", "import", "anna.json", "--name", "Again") == 0
    capsys.readouterr()
    assert run("voices") == 0
    table = capsys.readouterr().out
    assert ["Again", "any", "yours", "calm"] in [line.split() for line in table.splitlines()]
    assert "Anna" not in table


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("remove", "nobody"), "no voice 'nobody' of your own to remove; yours: none"),
        (("remove", "ada"), "voice 'ada' belongs to bundle 'tiny' and stays"),
        (("export", "ada", "x.json"), "no voice 'ada' of your own to export; yours: none"),
        (("import", "nowhere.json"), "no file 'nowhere.json'; give one that 'emotirt voices export' wrote"),
        (("import", "linda.opus"), "linda.opus is not a voice: JSON: "),
        (("blend", "x", "ada+nobody"), "no voice 'nobody'; "),
        (("blend", "ada", "ada+bo"), "bundle 'tiny' has a voice 'ada'"),
    ],
)
def test_voices_refuses_in_one_line(
    run: Run, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    assert run("voices", *arguments) == 2
    assert capsys.readouterr().err.startswith(f"emotirt: error: {words}")


def test_a_voice_of_another_encoder_is_named_and_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("clone", "Anna", "linda.opus", "--consent") == 0
    assert run("voices", "export", "Anna", "anna.json") == 0
    capsys.readouterr()
    other = ["--voices", "kept", "--bundle", str(default_bundle_path())]
    assert main(["voices", "import", "anna.json", "--name", "Bea", *other]) == 2
    assert "made with the encoder of bundle 'tiny', which bundle 'default' does not have" in capsys.readouterr().err
    assert main(["say", "Hello.", "--voice", "Anna", "--out", "x.wav", *other]) == 2
    assert "remove it and clone it again from its recordings" in capsys.readouterr().err
    assert main(["voices", *other]) == 0
    assert "cannot be spoken with here: made with the encoder of bundle 'tiny'" in capsys.readouterr().out


def test_every_command_keeps_voices_where_the_server_does(
    tiny_bundle: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EMOTIRT_VOICES", "shared")
    bundle = ("--bundle", str(tiny_bundle))
    assert main(["clone", "Anna", "linda.opus", "--consent", *bundle]) == 0
    assert [path.parent.name for path in Path().glob("*/*.voice.json")] == ["shared"]
    assert settings_from_environment().voices == Path("shared")
    assert main(["say", "Hello.", "--voice", "Anna", "--out", "a.wav", "--quiet", "--threads", "1", *bundle]) == 0
    assert main(["voices", "blend", "Mix", "Anna+bo", *bundle]) == 0
    capsys.readouterr()
    assert main(["voices", "--json", *bundle]) == 0
    assert [voice["name"] for voice in json.loads(capsys.readouterr().out)["custom_voices"]] == ["Anna", "Mix"]
    assert main(["doctor", "--json", *bundle]) == 0
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [item["detail"] for item in found if item["area"] == "voices"] == ["2 in shared, as EMOTIRT_VOICES says"]
    assert run("say", "Hello.", "--voice", "Anna", "--out", "b.wav") == 2  # the option goes before
    monkeypatch.setenv("EMOTIRT_VOICES", "")
    assert settings_from_environment().voices is voices_directory() is None


def test_an_action_uses_what_stands_before_it(tiny_bundle: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("clone", "Anna", "linda.opus", "--consent") == 0
    before = ["voices", "--voices", "kept", "--bundle", str(tiny_bundle)]
    capsys.readouterr()
    assert main([*before, "list", "--json"]) == 0
    assert [voice["name"] for voice in json.loads(capsys.readouterr().out)["custom_voices"]] == ["Anna"]
    assert main([*before, "remove", "Anna"]) == 0
    assert not list(Path("kept").iterdir())
