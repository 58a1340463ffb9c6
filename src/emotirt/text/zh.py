"""Mandarin words and their pronunciations: segmentation, readings by phrase, tone sandhi, erhua."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from emotirt.text.phonemes import Pronunciation
from emotirt.text.symbols import ERHUA
from emotirt.text.zh_neutral import apply_erhua, apply_neutral_tones
from emotirt.text.zh_sandhi import apply_sandhi
from emotirt.text.zh_sentence import Word, sentence_from_readings
from emotirt.text.zh_syllables import symbols_from_pinyin

__all__ = ["chinese_words", "symbols_from_pinyin"]


@lru_cache(maxsize=1)
def _libraries() -> tuple[Any, Any]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import jieba
        import pypinyin
    jieba.setLogLevel(60)
    jieba.initialize()
    return jieba, pypinyin


@lru_cache(maxsize=8192)
def _readings(word: str) -> tuple[str, ...]:
    _, pypinyin = _libraries()
    found = pypinyin.lazy_pinyin(
        word, style=pypinyin.Style.TONE3, neutral_tone_with_five=True, errors=lambda chars: [""] * len(chars)
    )
    base = {"一": "yi1", "不": "bu4"}
    return tuple(base.get(hanzi, reading) for hanzi, reading in zip(word, found, strict=True))


def chinese_words(text: str) -> list[Pronunciation]:
    """Segment Chinese text into words and read them.

    Characters that have no Mandarin reading are skipped.

    Args: text: a run of Chinese, already normalized (digits written out); anything else in it is ignored.
    Returns: one pronunciation per spoken word, in order, tone sandhi applied.
    """
    jieba, _ = _libraries()
    sentence = sentence_from_readings([(word, _readings(word)) for word in jieba.cut(text)])
    apply_neutral_tones(sentence)
    apply_erhua(sentence)
    apply_sandhi(sentence, lambda word: bool(jieba.dt.FREQ.get(word)))
    pronunciations = (Pronunciation(word.text, _symbols(word)) for word in sentence.words)
    return [pronunciation for pronunciation in pronunciations if pronunciation.symbols]


def _symbols(word: Word) -> tuple[str, ...]:
    symbols: list[str] = []
    for syllable in word.syllables:
        if not syllable.silent:
            symbols.extend(symbols_from_pinyin(f"{syllable.letters}{syllable.tone}"))
        elif syllable.hanzi == "儿" and symbols:
            symbols.append(ERHUA)
    return tuple(symbols)
