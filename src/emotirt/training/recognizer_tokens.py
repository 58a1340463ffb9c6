"""What the phoneme recognizer writes: its tokens and their factors.

Tokens are the bundle's phonemes without stress digits, boundaries and punctuation: Mandarin initials, finals with
their tone, erhua, and the 39 ARPAbet phonemes. Pure Python and numpy; shared by training and scoring.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from emotirt.text.symbols import ERHUA, SPECIALS, default_symbols, factors
from emotirt.types import FloatArray, IntArray

BLANK = "<blank>"
"""CTC blank (Graves et al. 2006); always id 0."""
LANGUAGES = ("en", "zh")


def spoken_tokens(symbols: Iterable[str]) -> tuple[str, ...]:
    """Drop edges, boundaries, punctuation and stress digits from phoneme symbols; tones stay."""
    return tuple(
        symbol[:-1] if symbol[0].isupper() and symbol[-1].isdigit() else symbol
        for symbol in symbols
        if symbol not in SPECIALS
    )


def recognizer_tokens() -> tuple[str, ...]:
    """Return the recognizer's tokens in id order; id 0 is the blank."""
    return (BLANK, *dict.fromkeys(spoken_tokens(default_symbols())))


TOKENS = recognizer_tokens()
TOKEN_IDS = {token: index for index, token in enumerate(TOKENS)}


def ids_from_symbols(symbols: Iterable[str]) -> IntArray:
    """Map phoneme symbols of the default set to recognizer ids, int64 [tokens]."""
    return np.array([TOKEN_IDS[token] for token in spoken_tokens(symbols)], dtype=np.int64)


def factor_matrix() -> FloatArray:
    """Say which factors (base phoneme, tone, language) each token has; rows share what they have in common.

    Returns: float32 [tokens, factors], zeros and ones.
    """
    rows = [
        tuple(f"{kind}:{value}" for kind, value in zip("btl", factors(token), strict=True))
        if token != BLANK
        else (BLANK,)
        for token in TOKENS
    ]
    names = {name: index for index, name in enumerate(dict.fromkeys(name for row in rows for name in row))}
    matrix = np.zeros((len(TOKENS), len(names)), dtype=np.float32)
    for index, row in enumerate(rows):
        matrix[index, [names[name] for name in row]] = 1.0
    return matrix


def language_bias(language: str) -> FloatArray:
    """Forbid the other language's tokens.

    Args:
        language: ``en`` or ``zh``; anything else forbids nothing.

    Returns: float32 [tokens], 0 or -1e4, to be added to log probabilities.
    """
    if language not in LANGUAGES:
        return np.zeros(len(TOKENS), dtype=np.float32)
    own = [token == BLANK or (token == ERHUA and language == "zh") or factors(token)[2] == language for token in TOKENS]
    return np.where(own, 0.0, -1e4).astype(np.float32)


def collapse(best: Sequence[int] | IntArray) -> tuple[int, ...]:
    """Turn the best id of every frame into a CTC output: repeats merged, blanks dropped."""
    merged = np.asarray(best)
    keep = np.ones(len(merged), dtype=bool)
    keep[1:] = merged[1:] != merged[:-1]
    return tuple(int(index) for index in merged[keep & (merged != 0)])


def steps_needed(ids: Sequence[int] | IntArray) -> int:
    """Return the fewest CTC steps that can write the ids: one each, and a blank between two equal neighbours."""
    array = np.asarray(ids)
    return len(array) + int((array[1:] == array[:-1]).sum())
