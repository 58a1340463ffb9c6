"""Placeholder until the rules are in."""

from __future__ import annotations

from emotirt.errors import UnknownSymbol
from emotirt.text.phonemes import Pronunciation
from emotirt.text.zh_syllables import symbols_from_pinyin


def apply_sandhi(words: list[tuple[str, list[str]]]) -> list[Pronunciation]:
    """Turn words with readings into pronunciations."""
    result = []
    for word, readings in words:
        symbols: list[str] = []
        for reading in readings:
            try:
                symbols.extend(symbols_from_pinyin(reading))
            except UnknownSymbol:
                continue
        if symbols:
            result.append(Pronunciation(word, tuple(symbols)))
    return result
