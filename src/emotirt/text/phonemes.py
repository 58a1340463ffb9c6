"""The pronunciation of one word, as the language front ends hand it to the sentence front end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pronunciation:
    """One word and how it is spoken.

    Attributes:
        word: the word as written.
        symbols: its phonemes, at least one, each a symbol of ``text/symbols.py``; no boundary and no punctuation.
    """

    word: str
    symbols: tuple[str, ...]
