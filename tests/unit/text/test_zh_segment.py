"""Segmentation against the library whose dictionary and method it uses, and what it promises of any text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotirt.text.zh_lexicon import default_lexicon
from emotirt.text.zh_segment import words_from_text

CASES_PATH = Path(__file__).parents[2] / "assets" / "zh_segmentation.tsv"
CASES = [line.split("\t") for line in CASES_PATH.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(("text", "words"), CASES, ids=[text for text, _ in CASES])
def test_cuts_like_the_library(text: str, words: str) -> None:
    assert words_from_text(text) == words.split(" ")


@given(st.text(max_size=80) | st.text(alphabet=st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), max_size=40))
def test_loses_no_character(text: str) -> None:
    assert "".join(words_from_text(text)) == text


def test_barriers_keep_unknown_words_apart() -> None:
    assert words_from_text("高兴地笑了")[1] == "地笑"
    assert words_from_text("高兴地笑了", frozenset("地"))[1] == "地"


def test_readings_by_word_and_by_character() -> None:
    lexicon = default_lexicon()
    assert lexicon.readings("银行") == ("yin2", "hang2")
    assert lexicon.readings("行") == ("xing2",)
    assert lexicon.readings("か好") == ("", "hao3")
    assert "银行" in lexicon
    assert "" not in lexicon
    assert 7 not in lexicon
