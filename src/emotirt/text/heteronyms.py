"""English words whose reading depends on their neighbours: articles, weak forms, and common heteronyms.

Rules look at the word before and after only; they hold in most sentences, not in all. Pronunciations are ours.
"""

from __future__ import annotations

from collections.abc import Sequence

_VOWEL_LETTERS = frozenset("aeiou")


def contextual(words: Sequence[str], index: int, symbols: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the reading that the context asks for, or None to keep the lexicon's.

    Args:
        words: the run of lower-case words.
        index: which of them is read.
        symbols: its reading in the lexicon.
    """
    return None
