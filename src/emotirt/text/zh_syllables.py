"""Mandarin syllables: from pinyin spelling with a tone digit to phoneme symbols.

The symbol names are those of ``text/symbols.py``; the spelling rules are those of Hanyu Pinyin (GB/T 16159).
"""

from __future__ import annotations

import re
from functools import lru_cache

from emotirt.errors import UnknownSymbol
from emotirt.text.symbols import ERHUA, ZH_FINALS, ZH_INITIALS

NEUTRAL_TONE = "5"

# Spelled finals whose symbol differs from the spelling, after an initial.
_FULL_FINALS = {"iu": "iou", "ui": "uei", "un": "uen", "ue": "ve"}
# Syllables spelled without an initial: y and w only mark the start, so they are replaced as a whole.
_ZERO_INITIAL = {
    "yi": "i", "ya": "ia", "yo": "io", "ye": "ie", "yai": "ai", "yao": "iao", "you": "iou", "yan": "ian", "yin": "in",
    "yang": "iang", "ying": "ing", "yong": "iong", "yu": "v", "yue": "ve", "yuan": "van", "yun": "vn",
    "wu": "u", "wa": "ua", "wo": "uo", "wai": "uai", "wei": "uei", "wan": "uan", "wen": "uen", "wang": "uang",
    "weng": "ueng", "wong": "ueng",
    # Interjections that pinyin writes without a vowel letter.
    "m": "en", "n": "en", "ng": "eng", "hm": "en", "hng": "eng", "ê": "e",
}  # fmt: skip
_INITIALS_LONG_FIRST = tuple(sorted(ZH_INITIALS, key=len, reverse=True))
_SYLLABLE = re.compile(r"([a-zê]+)([0-5])?")


def _split(letters: str) -> tuple[str, str] | None:
    """Split toneless pinyin into (initial or "", final symbol without tone), or None when it is not pinyin."""
    if letters in _ZERO_INITIAL:
        return "", _ZERO_INITIAL[letters]
    for initial in _INITIALS_LONG_FIRST:
        if letters.startswith(initial):
            final = letters[len(initial) :]
            break
    else:
        initial, final = "", letters
    if final == "i" and initial in ("z", "c", "s"):
        final = "ii"
    elif final == "i" and initial in ("zh", "ch", "sh", "r"):
        final = "iii"
    elif initial in ("j", "q", "x") and final.startswith("u"):
        final = "v" + final[1:]
    elif initial:
        final = _FULL_FINALS.get(final, final)
    # "er" stands alone; after an initial its letters are e and erhua.
    return (initial, final) if final in ZH_FINALS and not (initial and final == "er") else None


def normalized_pinyin(text: str) -> str:
    """Lower the case and write u-umlaut as ``v`` (``ü`` and ``u:`` are accepted)."""
    return text.strip().lower().replace("u:", "v").replace("ü", "v").replace("yv", "yu")


@lru_cache(maxsize=4096)
def symbols_from_pinyin(syllable: str) -> tuple[str, ...]:
    """Turn one pinyin syllable into phoneme symbols.

    A missing tone digit, and 0, mean the neutral tone. A final ``r`` that does not belong to ``er`` is erhua.

    Args: syllable: for example ``he3``, ``lv4``, ``er5``, ``huar1``.
    Returns: initial (if there is one), final with tone, ``rr`` (if erhua): ``("h", "e3")``.
    Raises: UnknownSymbol: it is not a Mandarin syllable.
    """
    match = _SYLLABLE.fullmatch(normalized_pinyin(syllable))
    if match is not None:
        letters, digit = match[1], match[2] or NEUTRAL_TONE
        tone = NEUTRAL_TONE if digit == "0" else digit
        parts = _split(letters)
        erhua: tuple[str, ...] = ()
        if parts is None and letters.endswith("r"):
            parts = _split(letters[:-1])
            erhua = (ERHUA,)
        if parts is not None:
            initial, final = parts
            return ((initial,) if initial else ()) + (final + tone,) + erhua
    raise UnknownSymbol(f"{syllable!r} is not a pinyin syllable; write letters and a tone digit 1-5, as in 'zhong1'")
