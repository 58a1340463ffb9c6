"""Recognizers from outside: commands and functions, their failures, and what is counted."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from emotirt.errors import BackendUnavailable
from emotirt.evaluation.transcribe import open_transcriber, score_transcripts, transcription_errors, units
from emotirt.training.corpus import Clip

SAMPLES = np.zeros(8000, dtype=np.float32)
LENGTH = f'{sys.executable} -c "import sys,wave; w=wave.open(sys.argv[1]); print(w.getnframes(), sys.argv[2:])"'


def clip(text: str, language: str) -> Clip:
    return Clip(f"{language}/{text}", "x", "s", language, "neutral", text, None, 0, 1.0, 0, 8000, "test")


def test_a_command_reads_the_wav() -> None:
    assert open_transcriber(LENGTH)(SAMPLES, "en") == "8000 []"
    assert open_transcriber(LENGTH + " {wav} {language}")(SAMPLES, "zh") == "8000 ['zh']"


def test_a_function_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plugged_in.py").write_text("def hear(samples, language):\n    return f'{language} {len(samples)}'\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert open_transcriber("plugged_in:hear")(SAMPLES, "en") == "en 8000"
    with pytest.raises(BackendUnavailable, match="module:function"):
        open_transcriber("plugged_in:nothing")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (f"{sys.executable} -c \"import sys; sys.exit('no model')\"", "status 1: no model"),
        ("no-such-recognizer-here", "could not be run"),
    ],
)
def test_a_failing_recognizer_is_one_clear_error(command: str, message: str) -> None:
    with pytest.raises(BackendUnavailable, match=message):
        open_transcriber(command)(SAMPLES, "en")


def test_words_and_characters_are_counted_without_case_and_punctuation() -> None:
    assert units("Don't stop, NOW!", "en") == ["don't", "stop", "now"]
    assert units("他说：１２ 好。", "zh") == list("他说12好")
    assert transcription_errors("The cat sat.", "the bat sat down", "en").errors == 2
    assert transcription_errors("你好吗", "你好", "zh").tokens == 3
    with pytest.raises(ValueError, match="nothing to count"):
        transcription_errors("...", "x", "en")


def test_both_sides_are_scored() -> None:
    clips = [clip("one two", "en"), clip("three", "en"), clip("好", "zh")]
    human = [np.full(10, index, dtype=np.float32) for index in range(3)]
    ours = [np.full(20, index, dtype=np.float32) for index in range(3)]

    def hear(samples: np.ndarray, language: str) -> str:
        text = clips[int(samples[0])].text
        return text if len(samples) == 10 else text.replace("two", "too")

    found = score_transcripts(hear, clips, human, ours)
    assert found.details["languages"]["en"]["people"]["value"] == 0.0
    assert found.details["languages"]["en"]["synthesized"]["value"] == pytest.approx(1 / 3, abs=1e-3)
    assert found.details["languages"]["zh"]["synthesized"]["value"] == 0.0
