"""Pinyin to the phonemes of the public EmotiVoice checkpoint, with the quirks it was trained with.

They differ from ``text/zh_syllables.py``: ``ri`` has ``ii``, ``yue`` keeps the initial ``y``, erhua is a suffix ``r``
of the final, and a syllable without initial has an empty first field.
"""

from __future__ import annotations

import re

_VOWELLESS = frozenset(("n", "ng", "m"))
_WHOLE = {
    "zi": ("z", "ii"), "ci": ("c", "ii"), "si": ("s", "ii"), "ri": ("r", "ii"),
    "zhi": ("zh", "iii"), "chi": ("ch", "iii"), "shi": ("sh", "iii"),
    "yi": ("", "i"), "yin": ("", "in"), "ying": ("", "ing"),
    "ya": ("", "ia"), "yan": ("", "ian"), "yang": ("", "iang"), "yao": ("", "iao"), "ye": ("", "ie"),
    "yong": ("", "iong"), "you": ("", "iou"), "yu": ("", "v"), "yuan": ("", "van"), "yun": ("", "vn"), "wu": ("", "u"),
}  # fmt: skip
_FULL_FINALS = {"ui": "uei", "iu": "iou", "un": "uen", "ue": "ve"}
_CONSONANTS_THEN_FINAL = re.compile("([^aeiouv]*)([aeiouv].*)")


def emotivoice_syllable(pinyin: str) -> tuple[str, str]:
    """Split a syllable into EmotiVoice's (initial, final with tone); the initial is "" where there is none.

    Args: pinyin: letters (``v`` for u-umlaut) and a tone digit 1-5.
    """
    letters, tone = pinyin[:-1], pinyin[-1]
    if letters in _VOWELLESS:
        letters = "e" + letters
    suffix = "r" if letters.endswith("r") else ""
    letters = letters.removesuffix("r").replace("ê", "e")
    initial, final = _WHOLE.get(letters) or _initial_and_final(letters)
    return initial, final + suffix + tone


def _initial_and_final(letters: str) -> tuple[str, str]:
    if letters[0] == "w":
        return "", "u" + letters[1:]
    if letters[0] in "jqx" and letters[1:2] == "u":
        return letters[0], "v" + letters[2:]
    match = _CONSONANTS_THEN_FINAL.fullmatch(letters)
    # A syllable with no vowel (hm) is spoken as a schwa; EmotiVoice's own front end has no answer for it.
    initial, final = (match[1], match[2]) if match else (letters[0], "e")
    return initial, _FULL_FINALS.get(final, final)
