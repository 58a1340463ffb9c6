"""English words and their pronunciations: lexicon, heteronyms, inflections, acronyms, then the spelling model.

Takes text whose numbers, symbols and abbreviations are already written out; punctuation never reaches it.
"""

from __future__ import annotations

import re
from functools import lru_cache

from emotirt.text.g2p import read_unlisted
from emotirt.text.heteronyms import contextual
from emotirt.text.lexicon import default_lexicon, own_words
from emotirt.text.phonemes import Pronunciation

_TOKEN = re.compile(r"[A-Za-z']+(?:(?<=\b[Rr]e)-(?=[A-Za-z]))?")
_VOWEL_LETTER = re.compile("[aeiouy]")
_CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
_ELISIONS = frozenset({"'em", "'til", "'tis", "'twas", "'cause", "'bout", "'kay"})
_SPELLED = frozenset({"US", "IT", "AI", "UK", "EU", "UN", "ID", "PM", "AM", "OS", "IP", "TV", "PC", "UI", "CEO", "ET"})
_SPELLED_EVEN_IN_CAPITALS = _SPELLED - {"US", "IT", "ID", "AM", "ET", "UN"}
_SPELLED_AMONG_SMALL = _SPELLED | {"AD", "LA", "MI", "PA", "MA", "AR", "ER", "DA", "LAX", "ORD"}
_DRAWN_OUT = re.compile(r"([a-z])\1{2,}")
_LONGEST_INITIALS = 4
_PREFIXES = {"re": ("R", "IY0")}
_VOICELESS = frozenset({"P", "T", "K", "F", "TH"})
_SIBILANTS = frozenset({"S", "Z", "SH", "ZH", "CH", "JH"})
_CLITICS = {
    "'re": ("ER0",), "'ve": ("AH0", "V"), "'ll": ("AH0", "L"), "'d": ("D",), "'m": ("M",), "n't": ("AH0", "N", "T"),
}  # fmt: skip
_SUFFIXES = {
    "ly": ("L", "IY0"), "ness": ("N", "AH0", "S"), "less": ("L", "AH0", "S"), "ful": ("F", "AH0", "L"),
    "like": ("L", "AY2", "K"), "ship": ("SH", "IH2", "P"), "hood": ("HH", "UH2", "D"), "ment": ("M", "AH0", "N", "T"),
}  # fmt: skip
_VOWEL_SUFFIXES = {"ing": ("IH0", "NG"), "er": ("ER0",), "able": ("AH0", "B", "AH0", "L")}
_LETTER_NAMES_SPELLED_APART = {"a": ("EY1",)}


def english_words(text: str) -> list[Pronunciation]:
    """Read a run of English words.

    Args:
        text: Latin letters, apostrophes, hyphens and spaces; anything else separates words.
    Returns: one pronunciation per spoken word, in order; words with a hyphen, and camel-case words that the lexicon
        lacks, come as several.
    """
    tokens = _TOKEN.findall(text.replace("\u2019", "'"))
    shouted = sum(len(token) > 1 for token in tokens) >= 2 and not any(c.islower() for c in text)
    words: list[tuple[str, tuple[str, ...]]] = []
    for token in tokens:
        words.extend(_read_token(_lowered(token) if shouted else token))
    spoken = [word.lower() if word != "Polish" or not index else word for index, (word, _) in enumerate(words)]
    return [
        Pronunciation(word, contextual(spoken, index) or symbols)
        for index, (word, symbols) in enumerate(words)
        if symbols
    ]


def _lowered(token: str) -> str:
    """Read a word of a text in capitals as a word, unless it is short and no word that we know."""
    if len(token) == 1 or token in _SPELLED_EVEN_IN_CAPITALS:
        return token
    return token.lower() if len(token) > _LONGEST_INITIALS or known(token.lower()) else token


@lru_cache(maxsize=16384)
def _read_token(token: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Read one token; several words when it has to be split."""
    if token.lower() not in _ELISIONS:
        token = token.lstrip("'")
    bare = token.rstrip("'-")
    if not bare:
        return ()
    if token.endswith("-"):
        return ((bare, _PREFIXES[bare.lower()]),)
    found = _acronym(bare) or known(token.lower()) or known(bare.lower())
    if found:
        return ((bare, found),)
    parts = _CAMEL.findall(bare)
    if len(parts) > 1 and "'" not in bare and not _is_plural_acronym(bare):
        return tuple(item for part in parts for item in _read_token(part))
    are_initials = bare.isupper() and len(bare) <= _LONGEST_INITIALS
    return ((bare, spelled(bare) if are_initials else unknown(bare.lower())),)


def _is_plural_acronym(word: str) -> bool:
    return len(word) > 2 and word[-1] == "s" and word[:-1].rstrip("'").isupper()


def _acronym(word: str) -> tuple[str, ...] | None:
    """Spell what is written as initials; None leaves the decision to the lexicon."""
    if word in _SPELLED_AMONG_SMALL:
        return spelled(word)
    if _is_plural_acronym(word):
        stem = word[:-1].rstrip("'")
        return sibilant_ending((None if stem in _SPELLED else default_lexicon().get(stem.lower())) or spelled(stem))
    return None


def spelled(word: str) -> tuple[str, ...]:
    """Read a word letter by letter; characters other than a-z are skipped."""
    names: list[str] = []
    for letter in word.lower():
        name = _LETTER_NAMES_SPELLED_APART.get(letter) or default_lexicon().get(letter)
        names.extend(name if name and letter.isalpha() else ())
    return tuple(names)


def known(word: str) -> tuple[str, ...] | None:
    """Look up a lower-case word, then its stem if it is an inflection or contraction of a listed word."""
    return own_words().get(word) or default_lexicon().get(word) or _contraction(word) or _inflection(word)


def unknown(word: str) -> tuple[str, ...]:
    """Read a lower-case word that the lexicon lacks; one without a vowel letter is spelled."""
    if "'" in word:
        return tuple(symbol for part in word.split("'") if part for symbol in known(part) or unknown(part))
    if _DRAWN_OUT.search(word):  # sooo, aaargh, brrr
        once, twice = _DRAWN_OUT.sub(r"\1", word), _DRAWN_OUT.sub(r"\1\1", word)
        return known(once) or known(twice) or unknown(once)
    return read_unlisted(word) if _VOWEL_LETTER.search(word) else spelled(word)


def _contraction(word: str) -> tuple[str, ...] | None:
    if "'" not in word:
        return None
    if word.endswith("'s"):
        stem = known(word[:-2])
        return sibilant_ending(stem) if stem else None
    for clitic, symbols in _CLITICS.items():
        if word.endswith(clitic):
            stem = known(word[: -len(clitic)])
            return stem + symbols if stem else None
    return None


def _inflection(word: str) -> tuple[str, ...] | None:
    get = default_lexicon().get
    if word.endswith("s") and not word.endswith("ss"):
        stem = get(word[:-1]) or (get(word[:-2]) if word.endswith("es") else None)
        stem = stem or (get(word[:-3] + "y") if word.endswith("ies") else None)
        return sibilant_ending(stem) if stem else None
    if word.endswith("ed"):
        stem = _stem_before_vowel(word[:-2]) or (get(word[:-3] + "y") if word.endswith("ied") else None)
        return dental_ending(stem) if stem else None
    for suffix, symbols in _VOWEL_SUFFIXES.items():
        if word.endswith(suffix) and (stem := _stem_before_vowel(word[: -len(suffix)])):
            return stem + symbols
    for suffix, symbols in _SUFFIXES.items():
        if word.endswith(suffix) and len(word) > len(suffix) + 2 and (stem := get(word[: -len(suffix)])):
            return stem + symbols
    return None


def _stem_before_vowel(stem: str) -> tuple[str, ...] | None:
    """Undo a dropped ``e`` or a doubled consonant; stems under three letters are left alone."""
    if len(stem) < 3:
        return None
    get = default_lexicon().get
    doubled = stem[-1] == stem[-2] and stem[-1] not in "aeiouls"
    return (get(stem[:-1]) if doubled else None) or get(stem) or get(stem + "e")


def sibilant_ending(stem: tuple[str, ...]) -> tuple[str, ...]:
    """Append the plural or possessive ending, by the stem's last phoneme (CMUdict writes AH0 Z after sibilants)."""
    if stem[-1] in _SIBILANTS:
        return (*stem, "AH0", "Z")
    return (*stem, "S" if stem[-1] in _VOICELESS else "Z")


def dental_ending(stem: tuple[str, ...]) -> tuple[str, ...]:
    """Append the past ending, by the stem's last phoneme."""
    if stem[-1] in ("T", "D"):
        return (*stem, "AH0", "D")
    return (*stem, "T" if stem[-1] in _VOICELESS | {"S", "SH", "CH"} else "D")
