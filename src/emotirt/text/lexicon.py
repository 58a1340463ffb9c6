"""English pronunciation lexicon: one sorted blob, looked up by binary search, so that opening it parses nothing.

File format (version 1), compressed as one xz stream: a first line with the phoneme names separated by spaces, then
one line per word, ``word`` (ASCII, lower case) followed by its phonemes as bytes ``0x80 + index`` into the first line;
lines in byte order (so ``hello`` precedes ``hell``). Words come from the Carnegie Mellon Pronouncing Dictionary, first
pronunciation each; its licence is ``data/cmudict.LICENSE``. It knows nothing of context, spelling rules or numbers.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.resources import files

from emotirt.text.symbols import EN_CONSONANTS, EN_STRESSES, EN_VOWELS

LEXICON_FILE = "cmudict.xz"
OWN_WORDS_FILE = "en_words.txt"
PHONES = tuple(vowel + stress for vowel in EN_VOWELS for stress in EN_STRESSES) + EN_CONSONANTS
_FIRST_CODE = 0x80
_LOWEST = bytes([_FIRST_CODE])


class Lexicon:
    """Read-only word list with one pronunciation a word."""

    def __init__(self, compressed: bytes) -> None:
        """Open a lexicon.

        Args:
            compressed: contents of a lexicon file.
        """
        blob = lzma.decompress(compressed)
        header_end = blob.index(b"\n")
        self._phones = tuple(blob[:header_end].decode("ascii").split(" "))
        self._blob = blob
        self._first = header_end + 1

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and self._find(word) is not None

    def get(self, word: str) -> tuple[str, ...] | None:
        """Return the phonemes of a lower-case word, or None when it is not listed."""
        found = self._find(word)
        return None if found is None else tuple(self._phones[code - _FIRST_CODE] for code in found)

    def words(self) -> list[str]:
        """Return all words in byte order (slow; for training and tests)."""
        lines = self._blob[self._first :].split(b"\n")
        return [bytes(code for code in line if code < _FIRST_CODE).decode("ascii") for line in lines if line]

    def _find(self, word: str) -> bytes | None:
        """Binary search over byte offsets; each probe widens to the line around it."""
        if not word.isascii() or not word:
            return None
        key, blob = word.encode("ascii") + _LOWEST, self._blob
        low, high = self._first, len(blob)
        while low < high:
            start = max(blob.rfind(b"\n", low, (low + high) // 2) + 1, low)
            end = blob.index(b"\n", start)
            if blob[start:end] < key:
                low = end + 1
            else:
                high = start
        size = len(key) - 1
        if blob[low : low + size] != key[:size] or not blob[low + size : low + size + 1] >= _LOWEST:
            return None
        return blob[low + size : blob.index(b"\n", low)]


def compile_lexicon(entries: Mapping[str, Iterable[str]]) -> bytes:
    """Pack words and phonemes into the file format above.

    Args:
        entries: lower-case ASCII word -> ARPAbet phonemes of PHONES.
    """
    code = {phone: bytes([_FIRST_CODE + index]) for index, phone in enumerate(PHONES)}
    lines = sorted(word.encode("ascii") + b"".join(code[phone] for phone in entries[word]) for word in entries)
    return lzma.compress(b"\n".join([" ".join(PHONES).encode("ascii"), *lines]) + b"\n", preset=9 | lzma.PRESET_EXTREME)


@lru_cache(maxsize=1)
def default_lexicon() -> Lexicon:
    """Open the packaged lexicon once."""
    return Lexicon((files("emotirt.text") / "data" / LEXICON_FILE).read_bytes())


@lru_cache(maxsize=1)
def own_words() -> Mapping[str, tuple[str, ...]]:
    """Read the packaged words that go before the lexicon: too new for it, or read otherwise today."""
    lines = (files("emotirt.text") / "data" / OWN_WORDS_FILE).read_text(encoding="utf-8").splitlines()
    entries = (line.split() for line in lines if line and not line.startswith("#"))
    return {word: tuple(symbols) for word, *symbols in entries}
