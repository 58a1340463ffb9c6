"""The phoneme inventory of the default bundle, and the table that maps symbols to ids.

Mandarin symbols are lower case (initials, and finals with a tone digit 1-5, 5 being the neutral tone; the names of
the finals follow the extended set with ``ii`` after z c s, ``iii`` after zh ch sh r, ``v`` for u-umlaut, and full
forms ``iou uei uen``). English symbols are upper-case ARPAbet, vowels with a stress digit 0-2 (CMUdict's set).
Specials: ``_`` pad, ``^`` utterance start, ``$`` utterance end, ``#`` word boundary (its duration may be 0),
``rr`` erhua after a final, and the punctuation that carries prosody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from emotirt.errors import UnknownSymbol
from emotirt.types import IntArray

PAD = "_"
START = "^"
END = "$"
BOUNDARY = "#"
ERHUA = "rr"
PUNCTUATION = (",", ".", "?", "!", ";", "…")
SPECIALS = (PAD, START, END, BOUNDARY, *PUNCTUATION)

ZH_INITIALS = (
    "b", "p", "m", "f", "d", "t", "n", "l", "g", "k", "h", "j", "q", "x", "zh", "ch", "sh", "r", "z", "c", "s",
)  # fmt: skip
ZH_FINALS = (
    "a", "o", "e", "ai", "ei", "ao", "ou", "an", "en", "ang", "eng", "er",
    "i", "ii", "iii", "ia", "ie", "iao", "iou", "ian", "in", "iang", "ing", "iong", "io",
    "u", "ua", "uo", "uai", "uei", "uan", "uen", "uang", "ueng", "ong",
    "v", "ve", "van", "vn",
)  # fmt: skip
ZH_TONES = ("1", "2", "3", "4", "5")

EN_VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
EN_STRESSES = ("0", "1", "2")
EN_CONSONANTS = (
    "B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N",
    "NG", "P", "R", "S", "SH", "T", "TH", "V", "W", "Y", "Z", "ZH",
)  # fmt: skip


def default_symbols() -> tuple[str, ...]:
    """Return the default bundle's symbols in id order; id 0 is the pad."""
    zh_finals = tuple(final + tone for final in ZH_FINALS for tone in ZH_TONES)
    en_vowels = tuple(vowel + stress for vowel in EN_VOWELS for stress in EN_STRESSES)
    return SPECIALS + ZH_INITIALS + zh_finals + (ERHUA,) + en_vowels + EN_CONSONANTS


@lru_cache(maxsize=8192)
def factors(symbol: str) -> tuple[str, str, str]:
    """Split a symbol of the default set into (base, tone or stress, language).

    Returns: base phone; ``t1``-``t5``, ``s0``-``s2`` or ``-``; ``zh``, ``en`` or ``-``. Used to tie embeddings.
    """
    if symbol in SPECIALS:
        return symbol, "-", "-"
    if symbol[-1].isdigit():
        if symbol[0].isupper():
            return symbol[:-1], "s" + symbol[-1], "en"
        return symbol[:-1], "t" + symbol[-1], "zh"
    return symbol, "-", "en" if symbol[0].isupper() else "zh"


@dataclass(frozen=True, slots=True)
class SymbolTable:
    """Maps symbols to ids; a symbol's id is its index.

    Attributes:
        symbols: all symbols, unique, the pad first.
    """

    symbols: tuple[str, ...]
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ids = {symbol: index for index, symbol in enumerate(self.symbols)}
        if len(ids) != len(self.symbols):
            repeated = sorted({symbol for symbol in self.symbols if self.symbols.count(symbol) > 1})
            raise UnknownSymbol(f"symbol table repeats {repeated}; every symbol must be unique")
        object.__setattr__(self, "_ids", ids)

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._ids

    def __len__(self) -> int:
        return len(self.symbols)

    def ids_from_symbols(self, symbols: Iterable[str]) -> IntArray:
        """Map symbols to ids.

        Returns: int64 [tokens].
        Raises: UnknownSymbol: names the first symbol that the table lacks.
        """
        try:
            return np.asarray([self._ids[symbol] for symbol in symbols], dtype=np.int64)
        except KeyError as exc:
            symbol = exc.args[0]
            raise UnknownSymbol(
                f"phoneme {symbol!r} is not in this bundle's table of {len(self)} symbols; "
                f"Mandarin looks like 'zh ong1', English like 'HH AH0 L OW1'"
            ) from exc

    def symbols_from_ids(self, ids: Sequence[int] | IntArray) -> tuple[str, ...]:
        """Map ids back to symbols."""
        return tuple(self.symbols[int(index)] for index in ids)


DEFAULT_TABLE = SymbolTable(default_symbols())
