"""Mandarin words and their pronunciations: segmentation, readings by phrase, tone sandhi, erhua."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from emotirt.text.phonemes import Pronunciation
from emotirt.text.zh_sandhi import apply_sandhi
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
    return jieba, pypinyin


@lru_cache(maxsize=8192)
def _readings(word: str) -> tuple[str, ...]:
    _, pypinyin = _libraries()
    return tuple(
        pypinyin.lazy_pinyin(
            word, style=pypinyin.Style.TONE3, neutral_tone_with_five=True, errors=lambda chars: ["?"] * len(chars)
        )
    )


def chinese_words(text: str) -> list[Pronunciation]:
    """Segment Chinese text into words and read them.

    Characters that have no Mandarin reading are skipped.

    Args: text: a run of Chinese, already normalized (digits written out); anything else in it is ignored.
    Returns: one pronunciation per spoken word, in order, tone sandhi applied.
    """
    jieba, _ = _libraries()
    words = [(word, list(_readings(word))) for word in jieba.cut(text)]
    return apply_sandhi(words)
