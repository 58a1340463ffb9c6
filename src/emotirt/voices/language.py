"""Which language an utterance is mostly in; used only to choose a voice when none is asked for."""

from __future__ import annotations

from collections.abc import Iterable

from emotirt.text.emotivoice_symbols import PAUSES
from emotirt.text.symbols import factors

DEFAULT_LANGUAGE = "en"


def spoken_language(symbols: Iterable[str]) -> str:
    """Compare Mandarin syllables with English stressed syllables, which stand for one word each.

    Returns: ``zh`` or ``en``; ``zh`` if both weigh the same and there are any.
    """
    chinese = english = 0
    for symbol in symbols:
        if symbol in PAUSES:
            continue
        _, tone, language = factors(symbol.strip("[]"))  # EmotiVoice writes English in brackets
        chinese += language == "zh" and tone != "-"
        english += language == "en" and tone == "s1"
    return "zh" if chinese and chinese >= english else DEFAULT_LANGUAGE
