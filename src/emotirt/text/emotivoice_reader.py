"""Sentences for the imported EmotiVoice model: words of both languages in its symbols, its pauses between them.

The layout follows the public front end: ``sp0`` within a Chinese word, ``sp1`` after it or ``sp3`` at punctuation,
``engsp1`` and ``engsp4`` likewise in English, ``eng_cn_sp`` from English to Chinese; from Chinese to English the pause
of the Chinese word stands. Nothing of that stands before the closing edge.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from emotirt.text.control import FIRST_OVERRIDE, Override
from emotirt.text.emotivoice import PAUSING, word_symbols
from emotirt.text.emotivoice_symbols import (
    AFTER_ENGLISH_WORD,
    AFTER_WORD,
    EDGE,
    ENGLISH_PAUSE,
    PAUSE,
    TO_CHINESE,
    english_symbol,
)
from emotirt.text.en import english_words
from emotirt.text.phonemes import Pronunciation
from emotirt.text.sequence import Item, Mark
from emotirt.text.symbols import SymbolTable
from emotirt.text.zh_segment import HANZI, words_from_text
from emotirt.types import Word

_PIECE = re.compile(
    rf"(?P<han>[{HANZI}]+)"
    r"|(?P<latin>[A-Za-z'](?:[A-Za-z'\-\s]*[A-Za-z'])?)"
    r"|(?P<override>[\U000f0000-\U000ffffd])"
    rf"|(?P<mark>[{PAUSING}])"
)
_SILENT = frozenset('"()[]{}<>')
"""ASCII quotes and brackets: the public front end takes them for English, where they are no pause."""
_SOFT = frozenset("“”‘’《》〈〉【】『』（）")
"""Quotes and brackets that are a pause in Chinese only."""
_TONES = "45123"
"""In this order another tone stands in for a syllable that the list lacks in one tone."""


class EmotiVoiceReader:
    """Reads sentences into the symbols of one token list."""

    def __init__(self, table: SymbolTable) -> None:
        """Read for ``table``."""
        self._table = table
        self.spoken_table = SymbolTable(tuple(symbol.strip("[]") for symbol in table.symbols))

    def items(self, text: str, overrides: Sequence[Override]) -> list[Item]:
        """Read a normalized sentence; see ``text.sequence.Reader``."""
        readers: dict[str, Callable[[str], list[Item]]] = {
            "han": self._chinese,
            "latin": self._english,
            "override": lambda run: self._override(ord(run) - FIRST_OVERRIDE, overrides),
            "mark": lambda run: [] if run in _SILENT else [Mark(",", run in _SOFT)],
        }
        items: list[Item] = []
        for match in _PIECE.finditer(text):
            items.extend(readers[match.lastgroup or "mark"](match.group()))
        return items

    def symbols(self, items: Sequence[Item]) -> tuple[tuple[str, ...], tuple[Word, ...]]:
        """Lay out one utterance from edge to edge; see ``text.sequence.Reader``."""
        symbols: list[str] = [EDGE]
        words: list[Word] = []
        marks: list[Mark] = []
        for item in items:
            if isinstance(item, Mark):
                marks.append(item)
                continue
            if words:
                symbols.append(_between(symbols[-1], item.symbols[0], marks))
            marks.clear()
            words.append(Word(item.word, len(symbols), len(item.symbols)))
            symbols.extend(item.symbols)
        return (*symbols, EDGE), tuple(words)

    def _chinese(self, run: str) -> list[Item]:
        read = ((word, word_symbols(word)) for word in words_from_text(run))
        return [Pronunciation(word, self._listed(symbols)) for word, symbols in read if symbols]

    def _english(self, run: str) -> list[Item]:
        return [
            Pronunciation(item.word, tuple(english_symbol(phoneme) for phoneme in item.symbols))
            for item in english_words(run)
        ]

    def _override(self, index: int, overrides: Sequence[Override]) -> list[Item]:
        if index >= len(overrides) or not overrides[index].symbols:
            return []
        given = overrides[index].symbols
        symbols = tuple(item if item in self._table else english_symbol(item) for item in given)
        return [Pronunciation(" ".join(given), symbols)]

    def _listed(self, symbols: tuple[str, ...]) -> tuple[str, ...]:
        """Replace what the list lacks by its nearest relative; what has none stays, to be named in the error."""
        return tuple(symbol if symbol in self._table else self._relative(symbol) for symbol in symbols)

    def _relative(self, symbol: str) -> str:
        stem, tone = symbol[:-1], symbol[-1]
        plain = stem.removesuffix("r") or stem
        candidates = [plain + tone, *(stem + other for other in _TONES), *(plain + other for other in _TONES)]
        return next((candidate for candidate in candidates if candidate in self._table), symbol)


def _between(before: str, after: str, marks: Sequence[Mark]) -> str:
    if not before.startswith("["):
        return PAUSE if marks else AFTER_WORD
    if not after.startswith("["):
        return TO_CHINESE
    return ENGLISH_PAUSE if any(not mark.soft for mark in marks) else AFTER_ENGLISH_WORD
