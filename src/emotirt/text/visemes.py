"""Phonemes to visemes: which shapes the mouth goes through while a symbol of either symbol table sounds; pure.

The set is the one of 15 that Meta's lip-sync SDK (OVRLipSync, now the OpenXR extension XR_META_face_tracking_visemes)
and most avatars use; names and numbers are that SDK's, and the numbers are those of ``viseme_select`` in MPEG-4 face
animation (ISO/IEC 14496-2), from which the set comes. Meta's viseme reference gives the sounds of English it was made
for: p b m, f v, th, t d, k g, tS dZ S, s z, n l, r, and the vowels of car, bed, tip, toe, book. Every other sound, and
all of Mandarin, stands here with its nearest in lips, jaw and visible tongue: glides, diphthongs and nasal finals go
through several shapes, a velar nasal counts as k, and h as k too, which leaves the lips alone.
"""

from __future__ import annotations

from functools import lru_cache

from emotirt.text.symbols import ERHUA

VISEMES = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou")
"""By number."""
SILENCE = VISEMES[0]

_ENGLISH = {
    "AA": "aa", "AE": "aa", "AH": "aa", "AH0": "E", "AO": "oh", "AW": "aa aa ou", "AY": "aa aa ih", "EH": "E",
    "ER": "RR", "EY": "E E ih", "IH": "ih", "IY": "ih", "OW": "oh oh ou", "OY": "oh oh ih", "UH": "ou", "UW": "ou",
    "B": "PP", "CH": "CH", "D": "DD", "DH": "TH", "F": "FF", "G": "kk", "HH": "kk", "JH": "CH", "K": "kk", "L": "nn",
    "M": "PP", "N": "nn", "NG": "kk", "P": "PP", "R": "RR", "S": "SS", "SH": "CH", "T": "DD", "TH": "TH", "V": "FF",
    "W": "ou", "Y": "ih", "Z": "SS", "ZH": "CH", "LAUGH": "aa",
}  # fmt: skip
_INITIALS = {
    "b": "PP", "p": "PP", "m": "PP", "f": "FF", "d": "DD", "t": "DD", "n": "nn", "l": "nn", "g": "kk", "k": "kk",
    "h": "kk", "j": "CH", "q": "CH", "x": "CH", "zh": "CH", "ch": "CH", "sh": "CH", "r": "RR", "z": "SS", "c": "SS",
    "s": "SS", "y": "ih", "w": "ou",
}  # fmt: skip
_FINALS = {
    "a": "aa", "o": "oh", "e": "E", "ai": "aa aa ih", "ei": "E E ih", "ao": "aa aa ou", "ou": "oh oh ou",
    "an": "aa aa nn", "en": "E E nn", "ang": "aa aa kk", "eng": "E E kk", "er": "E RR",
    "i": "ih", "ii": "ih", "iii": "ih", "ia": "ih aa aa", "ie": "ih E E", "iao": "ih aa aa ou", "iou": "ih oh oh ou",
    "ian": "ih E E nn", "in": "ih ih nn", "iang": "ih aa aa kk", "ing": "ih ih kk", "iong": "ih ou ou kk",
    "io": "ih oh oh",
    "u": "ou", "ua": "ou aa aa", "uo": "ou oh oh", "uai": "ou aa aa ih", "uei": "ou E E ih", "uan": "ou aa aa nn",
    "uen": "ou E E nn", "uang": "ou aa aa kk", "ueng": "ou E E kk", "ong": "ou ou kk",
    "v": "ou", "ue": "ou E E", "ve": "ou E E", "van": "ou E E nn", "vn": "ou ou nn",
}  # fmt: skip
"""Equal shares of the symbol's time; what stands twice holds twice as long."""
_ERHUA_SUFFIX = "r"


@lru_cache(maxsize=4096)
def visemes_from_symbol(symbol: str) -> tuple[str, ...]:
    """Return the shapes that a symbol goes through, in equal shares of its time.

    Args: symbol: of the default bundle's table or of an imported EmotiVoice list (``[AH0]``, ``uar1``, ``arr4``).
    Returns: at least one of ``VISEMES``; for what is no sound (edges, boundaries, pauses, punctuation), silence alone.
    """
    if symbol == ERHUA:
        return ("RR",)
    phone = symbol.removeprefix("[").removesuffix("]")
    if phone[:1].isupper():
        shapes = _ENGLISH.get(phone) or _ENGLISH.get(phone.rstrip("012"), SILENCE)
        return tuple(shapes.split())
    final = phone.rstrip("12345")
    if final == phone:  # a final carries its tone
        return tuple(_INITIALS.get(phone, SILENCE).split())
    if final in _FINALS:
        return tuple(_FINALS[final].split())
    stem = final.rstrip(_ERHUA_SUFFIX)
    return (*_FINALS[stem].split(), "RR") if stem in _FINALS else (SILENCE,)
