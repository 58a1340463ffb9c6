"""From a normalized sentence to items (words and punctuation), and from items to the symbols of one utterance."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from emotirt.text.control import FIRST_OVERRIDE, Override
from emotirt.text.en import english_words
from emotirt.text.normalize import HAN
from emotirt.text.phonemes import Pronunciation
from emotirt.text.symbols import BOUNDARY, END, START, SymbolTable
from emotirt.types import Word

_PIECE = re.compile(
    rf"(?P<han>[{HAN}](?:\s*[{HAN}])*)"
    r"|(?P<latin>[A-Za-z'](?:[A-Za-z'\-\s]*[A-Za-z'])?)"
    r"|(?P<override>[\U000f0000-\U000ffffd])"
    r"|(?P<dots>\.{2,}|[。．]{2,}|…+)"
    r"|(?P<mark>[^\w\s])"
)
_MARKS = {
    "?": "?", "？": "?", "!": "!", "！": "!", ".": ".", "。": ".", "｡": ".", ";": ";", "；": ";",
    ",": ",", "，": ",", "、": ",", ":": ",", "：": ",", "—": ",", "–": ",", "‒": ",", "―": ",", "~": ",", "～": ",",
}  # fmt: skip
_SOFT = frozenset('"“”„«»‘’‹›「」『』《》〈〉()（）[]【】{}〔〕〖〗')
_STRENGTH = {",": 1, ";": 2, ".": 3, "…": 4, "!": 5, "?": 6}


@dataclass(frozen=True, slots=True)
class Mark:
    """Punctuation between words.

    Attributes:
        symbol: one of the symbol table's punctuation symbols.
        soft: whether it comes from a quote or bracket, which says nothing about how a sentence ends.
    """

    symbol: str
    soft: bool = False


Item = Pronunciation | Mark


class Reader(Protocol):
    """How one family of models wants its sentences: what is read in them, and how that is laid out as symbols."""

    @property
    def spoken_table(self) -> SymbolTable:
        """Phonemes that a caller may give, in the spelling that a caller gives them in."""

    def items(self, text: str, overrides: Sequence[Override]) -> list[Item]:
        """Read a normalized sentence in which a character U+F0000 + i stands for overrides[i]."""

    def symbols(self, items: Sequence[Item]) -> tuple[tuple[str, ...], tuple[Word, ...]]:
        """Lay out one utterance, one symbol between two words; at most 3 symbols more stand at its edges."""


class OwnReader:
    """The default bundle's way."""

    def __init__(self, table: SymbolTable) -> None:
        """Read for ``table``."""
        self.spoken_table = table

    def items(self, text: str, overrides: Sequence[Override]) -> list[Item]:
        """Read a normalized sentence."""
        return items_from_text(text, overrides)

    def symbols(self, items: Sequence[Item]) -> tuple[tuple[str, ...], tuple[Word, ...]]:
        """Lay out one utterance."""
        return symbols_from_items(items)


def items_from_text(text: str, overrides: Sequence[Override] = ()) -> list[Item]:
    """Read a normalized sentence.

    Args:
        text: normalized; a character U+F0000 + i stands for overrides[i].
        overrides: phonemes given by the caller.
    """
    from emotirt.text.zh import chinese_words

    readers: dict[str, Callable[[str], list[Item]]] = {
        "han": lambda run: list(chinese_words("".join(run.split()))),
        "latin": lambda run: list(english_words(run)),
        "override": lambda run: _override_items(ord(run) - FIRST_OVERRIDE, overrides),
        "dots": lambda _: [Mark("…")],
        "mark": _mark_items,
    }
    items: list[Item] = []
    for match in _PIECE.finditer(text):
        items.extend(readers[match.lastgroup or "mark"](match.group()))
    return items


def _override_items(index: int, overrides: Sequence[Override]) -> list[Item]:
    if index >= len(overrides) or not overrides[index].symbols:
        return []
    return [Pronunciation(" ".join(overrides[index].symbols), overrides[index].symbols)]


def _mark_items(mark: str) -> list[Item]:
    if mark in _SOFT:
        return [Mark(",", soft=True)]
    return [Mark(_MARKS[mark])] if mark in _MARKS else []


def symbols_from_items(items: Sequence[Item]) -> tuple[tuple[str, ...], tuple[Word, ...]]:
    """Lay out one utterance: edges, words, boundaries, punctuation.

    Neighbouring marks merge into the strongest; marks before the first word are dropped; a sentence that ends in no
    mark, or in a quote or bracket only, ends in a full stop.

    Returns: symbols from ``^`` to ``$``, and the words with their token spans.
    """
    symbols: list[str] = [START]
    words: list[Word] = []
    pending: list[Mark] = []
    for item in items:
        if isinstance(item, Mark):
            pending.append(item)
            continue
        if words:
            symbols.append(_strongest(pending) or BOUNDARY)
        pending.clear()
        words.append(Word(item.word, len(symbols), len(item.symbols)))
        symbols.extend(item.symbols)
    symbols.append(_strongest([mark for mark in pending if not mark.soft]) or ".")
    symbols.append(END)
    return tuple(symbols), tuple(words)


def token_count(items: Sequence[Item]) -> int:
    """Number of tokens that ``symbols_from_items`` gives, 3 of them for no words at all."""
    word_sizes = [len(item.symbols) for item in items if isinstance(item, Pronunciation)]
    return sum(word_sizes) + max(len(word_sizes) - 1, 0) + 3


def _strongest(marks: Sequence[Mark]) -> str | None:
    return max((mark.symbol for mark in marks), key=lambda symbol: _STRENGTH[symbol], default=None)
