"""Inline control in a request's text: ``[pause:0.5]`` and ``[[HH AH0 L OW1]]``.

Phonemes given by the caller become one private-use character each, U+F0000 + index, so that splitting and
normalization carry them as they are; ``plain_text`` puts the source back.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass

from emotirt.errors import InvalidRequest, TextTooLong, UnknownSymbol
from emotirt.text.normalize import HAN
from emotirt.text.symbols import BOUNDARY, END, PAD, PUNCTUATION, START, SymbolTable

MAX_PAUSE_S = 10.0
SHOWN_CHARACTERS = 40
FIRST_OVERRIDE = 0xF0000
LAST_OVERRIDE = 0xFFFFD
_RESERVED = re.compile("[\U000f0000-\U000ffffd]")
_HANZI = re.compile(f"[{HAN}]")
_PAUSE = re.compile(r"\[pause:([^\[\]]*)\]", re.IGNORECASE)
_OVERRIDE = re.compile(r"\[\[([A-Za-z0-9#\s]+)\]\]|[\U000f0000-\U000ffffd]")
_PHONEME_SHAPE = re.compile(r"[A-Z]{1,3}[0-9]?|[a-z]{1,4}[0-9]|[a-z]{1,2}")
_NOT_PHONEMES = frozenset({PAD, START, END, BOUNDARY, *PUNCTUATION})


@dataclass(frozen=True, slots=True)
class Override:
    """Phonemes given by the caller.

    Attributes:
        source: as written, brackets included.
        symbols: the phonemes; none for a private-use character of the caller's own.
    """

    source: str
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """Text up to a pause or the end.

    Attributes:
        text: with overrides as private-use characters.
        pause_after_s: silence asked for behind it, in seconds.
    """

    text: str
    pause_after_s: float


@dataclass(frozen=True, slots=True)
class ControlledText:
    """A request's text, controls taken out.

    Attributes:
        passages: in order; the last one's pause is 0 unless the text ends in a pause.
        overrides: override i stands in the passages as the character U+F0000 + i.
        has_hanzi: whether there is Chinese anywhere in the text.
    """

    passages: tuple[Passage, ...]
    overrides: tuple[Override, ...]
    has_hanzi: bool = False

    def plain_text(self, text: str) -> str:
        """Put the source of overrides back into a piece of a passage."""
        if not self.overrides:
            return text
        return _RESERVED.sub(lambda match: self.overrides[ord(match.group()) - FIRST_OVERRIDE].source, text)


def controls_from_text(text: str, table: SymbolTable) -> ControlledText:
    """Take the inline controls out of a text.

    Brackets that hold no phonemes and no ``pause:`` are left in the text and spoken.

    Args:
        text: the caller's text.
        table: which phonemes there are.

    Raises:
        InvalidRequest: a pause that is not a number of seconds from 0 to 10.
        TextTooLong: more than 65,534 overrides.
        UnknownSymbol: brackets with phonemes of which one is not in the table.
    """
    overrides: list[Override] = []

    def mask(match: re.Match[str]) -> str:
        symbols = _phonemes(match[1], table) if match[1] else ()
        if match[1] and not symbols:
            return match[0]
        if FIRST_OVERRIDE + len(overrides) > LAST_OVERRIDE:
            raise TextTooLong(f"text has more than {len(overrides)} [[phonemes]]; send it in parts")
        overrides.append(Override(match[0], symbols))
        return chr(FIRST_OVERRIDE + len(overrides) - 1)

    masked = _OVERRIDE.sub(mask, text)
    parts = _PAUSE.split(masked)
    pauses = [*(pause_from_text(part) for part in parts[1::2]), 0.0]
    passages = tuple(Passage(part, pause) for part, pause in zip(parts[::2], pauses, strict=True))
    return ControlledText(passages, tuple(overrides), _HANZI.search(text) is not None)


def pause_from_text(text: str) -> float:
    """Read the value of a pause.

    Returns: seconds.
    Raises: InvalidRequest: not a number, or out of range.
    """
    try:
        seconds = float(text.strip().removesuffix("s"))
    except ValueError:
        seconds = math.nan
    if not 0.0 <= seconds <= MAX_PAUSE_S:
        raise InvalidRequest(
            f"[pause:{shown(text)}] is not a pause; give seconds from 0 to {MAX_PAUSE_S:g}, as in [pause:0.5]"
        )
    return seconds


def shown(text: str) -> str:
    """Shorten a piece of the caller's text, and escape what is not printable, for one line of an error message."""
    cut = text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in cut)


def _phonemes(body: str, table: SymbolTable) -> tuple[str, ...]:
    """Read the inside of double brackets; empty when it does not look like phonemes."""
    tokens = tuple(token for token in body.split() if token != BOUNDARY)
    known = [token in table and token not in _NOT_PHONEMES for token in tokens]
    shaped = all(_PHONEME_SHAPE.fullmatch(token) for token in tokens)
    if not tokens or not (any(known) or (shaped and any(token[-1].isdigit() for token in tokens))):
        return ()
    for token, is_known in zip(tokens, known, strict=True):
        if not is_known:
            near = ", ".join(nearest_symbols(token, table)) or "none"
            raise UnknownSymbol(
                f"phoneme {shown(token)!r} in [[{shown(body)}]] is not in this bundle's table; nearest: {near} "
                "(English looks like [[HH AH0 L OW1]], Mandarin like [[zh ong1]])"
            )
    return tokens


def nearest_symbols(token: str, table: SymbolTable, count: int = 3) -> list[str]:
    """Return the phonemes of the table most like a token, same letter case first."""
    names = [symbol for symbol in table.symbols if symbol not in _NOT_PHONEMES]
    near = difflib.get_close_matches(token, names, n=count, cutoff=0.5)
    if near:
        return near
    folded = {name.casefold(): name for name in names}
    return [folded[name] for name in difflib.get_close_matches(token.casefold(), list(folded), n=count, cutoff=0.3)]
