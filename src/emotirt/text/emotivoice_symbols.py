"""Symbols of the public EmotiVoice model, as far as its token list is expected to hold them."""

from __future__ import annotations

from emotirt.text.symbols import EN_CONSONANTS, EN_STRESSES, EN_VOWELS, ZH_INITIALS, ZH_TONES

EDGE = "<sos/eos>"
IN_WORD = "sp0"
AFTER_WORD = "sp1"
PAUSE = "sp3"
AFTER_ENGLISH_WORD = "engsp1"
ENGLISH_PAUSE = "engsp4"
TO_ENGLISH = "cn_eng_sp"
TO_CHINESE = "eng_cn_sp"
PAUSES = (IN_WORD, AFTER_WORD, PAUSE, AFTER_ENGLISH_WORD, ENGLISH_PAUSE, TO_ENGLISH, TO_CHINESE)
_PAD = "_"
_FINALS = (
    "a", "o", "e", "ai", "ei", "ao", "ou", "an", "en", "ang", "eng", "er",
    "i", "ii", "iii", "ia", "ie", "iao", "iou", "ian", "in", "iang", "ing", "iong",
    "u", "ua", "uo", "uai", "uei", "uan", "uen", "uang", "ong", "v", "ve", "van", "vn",
)  # fmt: skip


def english_symbol(phoneme: str) -> str:
    """Write an ARPAbet phoneme as the list does: ``AH0`` -> ``[AH0]``."""
    return f"[{phoneme}]"


def expected_symbols() -> tuple[str, ...]:
    """Return the symbols that every published token list holds, the pad first."""
    english = [vowel + stress for vowel in EN_VOWELS for stress in EN_STRESSES] + list(EN_CONSONANTS)
    finals = [final + tone for final in _FINALS for tone in ZH_TONES]
    return (_PAD, EDGE, *PAUSES, *map(english_symbol, english), *ZH_INITIALS, *finals)


def rare_symbols() -> tuple[str, ...]:
    """Return what the front end may write besides ``expected_symbols``: published lists hold a part of these.

    They are the initial of ``yue``, the syllable ``weng``, and finals with erhua.
    """
    finals = [f"{final}r{tone}" for final in _FINALS for tone in ZH_TONES]
    return ("y", *(f"ueng{tone}" for tone in ZH_TONES), *finals)
