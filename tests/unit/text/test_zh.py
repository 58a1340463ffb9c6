"""Mandarin pronunciations against hand-written ones, and robustness to any text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotirt.text.symbols import DEFAULT_TABLE
from emotirt.text.zh import chinese_words, symbols_from_pinyin

CASES_PATH = Path(__file__).parents[2] / "assets" / "zh_pronunciations.tsv"
CASES = [line.split("\t") for line in CASES_PATH.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
HANZI = st.characters(min_codepoint=0x3400, max_codepoint=0x9FFF)


def spoken(text: str) -> str:
    return " ".join(symbol for word in chinese_words(text) for symbol in word.symbols)


def expected(pinyin: str) -> str:
    return " ".join(symbol for syllable in pinyin.split() for symbol in symbols_from_pinyin(syllable))


@pytest.mark.parametrize(("text", "pinyin"), CASES, ids=[text for text, _ in CASES])
def test_says_what_a_speaker_says(text: str, pinyin: str) -> None:
    assert spoken(text) == expected(pinyin)


def test_words_join_to_the_text() -> None:
    text = "今天天气真不错我们一起去公园散步吧"
    assert "".join(word.word for word in chinese_words(text)) == text


def test_unreadable_characters_are_skipped() -> None:
    assert spoken("你ひ好") == expected("ni3 hao3")
    assert chinese_words("ひらがな🙂") == []
    assert chinese_words("") == []


@given(st.text(max_size=60))
def test_any_unicode_gives_known_symbols(text: str) -> None:
    for word in chinese_words(text):
        assert word.symbols
        assert all(symbol in DEFAULT_TABLE for symbol in word.symbols)


@given(st.text(alphabet=HANZI, max_size=40) | st.text(alphabet="一不了儿得地着还三十百好看你我，。", max_size=30))
def test_any_hanzi_give_known_symbols(text: str) -> None:
    for word in chinese_words(text):
        assert all(symbol in DEFAULT_TABLE for symbol in word.symbols)
