"""Pinyin syllables to phoneme symbols."""

from __future__ import annotations

import pytest

from emotirt.errors import UnknownSymbol
from emotirt.text.zh_syllables import symbols_from_pinyin


@pytest.mark.parametrize(
    ("pinyin", "symbols"),
    [
        ("he3", "h e3"), ("lv4", "l v4"), ("lü4", "l v4"), ("lu:4", "l v4"), ("er5", "er5"), ("er0", "er5"),
        ("er", "er5"),
        ("zhi1", "zh iii1"), ("zi3", "z ii3"), ("ri4", "r iii4"), ("ju2", "j v2"), ("xue2", "x ve2"),
        ("quan2", "q van2"),
        ("jun1", "j vn1"), ("nve4", "n ve4"), ("nue4", "n ve4"), ("liu2", "l iou2"), ("gui4", "g uei4"),
        ("lun2", "l uen2"),
        ("yi1", "i1"), ("you3", "iou3"), ("yuan2", "van2"), ("yue4", "ve4"), ("yun2", "vn2"), ("wu3", "u3"),
        ("wo3", "uo3"),
        ("wen4", "uen4"), ("weng1", "ueng1"), ("yong4", "iong4"), ("a1", "a1"), ("ang2", "ang2"), ("huar1", "h ua1 rr"),
        ("zher4", "zh e4 rr"), ("dianr3", "d ian3 rr"), ("ng5", "eng5"), ("Bei3", "b ei3"),
    ],
)  # fmt: skip
def test_symbols(pinyin: str, symbols: str) -> None:
    assert " ".join(symbols_from_pinyin(pinyin)) == symbols


@pytest.mark.parametrize("wrong", ["", "3", "hello1", "zhong9", "b1", "你", "zh-1", "ma 3"])
def test_what_is_not_pinyin_is_named(wrong: str) -> None:
    with pytest.raises(UnknownSymbol, match="pinyin syllable"):
        symbols_from_pinyin(wrong)
