"""The EmotiVoice-compatible Mandarin front end against output of the public one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotirt.text.emotivoice import emotivoice_phonemes
from emotirt.text.emotivoice_numbers import chinese_number
from emotirt.text.emotivoice_syllables import emotivoice_syllable

GOLDEN_PATH = Path(__file__).parents[2] / "assets" / "emotivoice_g2p_zh.tsv"
GOLDEN = [line.split("\t") for line in GOLDEN_PATH.read_text(encoding="utf-8").splitlines()[1:]]


@pytest.mark.parametrize(("text", "phonemes"), GOLDEN, ids=[text for text, _ in GOLDEN])
def test_equals_the_public_front_end(text: str, phonemes: str) -> None:
    assert emotivoice_phonemes(text) == phonemes


@pytest.mark.parametrize(
    ("digits", "spoken"),
    [
        ("0", "零"), ("10", "十"), ("19", "十九"), ("21", "二十一"), ("101", "一百零一"), ("110", "一百一十"),
        ("1001", "一千零一"), ("1010", "一千零一十"), ("10010", "一万零一十"), ("12000", "一万二千"),
        ("100000", "十万"), ("1000001", "一百万零一"), ("110000000", "一亿一千万"), ("10000000000", "一百亿"),
        ("1000010000", "十亿零一万"), ("10100000", "一千零一十万"), ("007", "七"), ("3.14", "三点一四"),
        ("10.05", "十点零五"), ("1.2.3", "一点二点三"), ("12345678901234567", "一二三四五六七八九零一二三四五六七"),
        ("1234567890123456", "一千二百三十四万五千六百七十八亿九千零一十二万三千四百五十六"),
    ],
)  # fmt: skip
def test_numbers(digits: str, spoken: str) -> None:
    assert chinese_number(digits) == spoken


@pytest.mark.parametrize(
    ("pinyin", "parts"),
    [
        ("ri4", ("r", "ii4")), ("yue4", ("y", "ve4")), ("er2", ("", "er2")), ("huar1", ("h", "uar1")),
        ("n2", ("", "en2")), ("lve4", ("l", "ve4")), ("que4", ("q", "ve4")), ("wen4", ("", "uen4")),
        ("hm5", ("h", "e5")),
    ],
)  # fmt: skip
def test_syllables(pinyin: str, parts: tuple[str, str]) -> None:
    assert emotivoice_syllable(pinyin) == parts


def test_leading_pauses_and_other_scripts_are_dropped() -> None:
    assert emotivoice_phonemes("“你好") == emotivoice_phonemes("你好")
    assert emotivoice_phonemes("") == "<sos/eos> <sos/eos>"
    assert emotivoice_phonemes("🙂か") == "<sos/eos> <sos/eos>"


@given(st.text(max_size=40))
def test_any_unicode_is_accepted(text: str) -> None:
    fields = emotivoice_phonemes(text).split()
    assert fields[0] == fields[-1] == "<sos/eos>"
