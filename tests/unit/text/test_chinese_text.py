"""How Chinese notation is written out, against expectations written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from emotirt.text.normalize import normalize

CASES_PATH = Path(__file__).parents[2] / "assets" / "zh_spoken_text.tsv"
CASES = [line.split("\t") for line in CASES_PATH.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(("text", "written_out"), CASES)
def test_written_out_as_a_speaker_says_it(text: str, written_out: str) -> None:
    assert "".join(normalize(text).split()) == written_out


@pytest.mark.parametrize("text", ["今天天气很好。", "他说：“不行！”", "第一，第二；（第三）……", "《红楼梦》——曹雪芹"])
def test_text_without_notation_stays_as_it_is(text: str) -> None:
    assert normalize(text) == text


@pytest.mark.parametrize(
    ("text", "written_out"),
    [
        ("１２３个", "一百二十三个"), ("③号", "三号"), ("5㎡大", "五平方米大"), ("10㎏米", "十千克米"),
        ("你好🙂朋友", "你好朋友"), ("全角ＡＢＣ", "全角ABC"), ("零\u200b宽", "零宽"),
    ],
)  # fmt: skip
def test_forms_are_folded(text: str, written_out: str) -> None:
    assert "".join(normalize(text).split()) == written_out
