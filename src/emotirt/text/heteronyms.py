"""English words whose reading depends on their neighbours: articles, weak forms, and common heteronyms.

The rules look at one or two words on each side; they hold in most sentences, not in all. Readings are written by hand
in the lexicon's phoneme set; the first of a pair is the noun's or adjective's, the second the verb's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from emotirt.text.lexicon import default_lexicon

Symbols = tuple[str, ...]

_NOUN_OR_VERB = {
    "abuse": ("AH0 B Y UW1 S", "AH0 B Y UW1 Z"),
    "advocate": ("AE1 D V AH0 K AH0 T", "AE1 D V AH0 K EY2 T"),
    "alternate": ("AO1 L T ER0 N AH0 T", "AO1 L T ER0 N EY2 T"),
    "appropriate": ("AH0 P R OW1 P R IY0 AH0 T", "AH0 P R OW1 P R IY0 EY2 T"),
    "attribute": ("AE1 T R AH0 B Y UW2 T", "AH0 T R IH1 B Y UW2 T"),
    "close": ("K L OW1 S", "K L OW1 Z"),
    "conduct": ("K AA1 N D AH0 K T", "K AH0 N D AH1 K T"),
    "conflict": ("K AA1 N F L IH0 K T", "K AH0 N F L IH1 K T"),
    "contest": ("K AA1 N T EH0 S T", "K AH0 N T EH1 S T"),
    "contract": ("K AA1 N T R AE2 K T", "K AH0 N T R AE1 K T"),
    "contrast": ("K AA1 N T R AE0 S T", "K AH0 N T R AE1 S T"),
    "convert": ("K AA1 N V ER0 T", "K AH0 N V ER1 T"),
    "convict": ("K AA1 N V IH0 K T", "K AH0 N V IH1 K T"),
    "decrease": ("D IY1 K R IY2 S", "D IH0 K R IY1 S"),
    "defect": ("D IY1 F EH0 K T", "D IH0 F EH1 K T"),
    "delegate": ("D EH1 L AH0 G AH0 T", "D EH1 L AH0 G EY2 T"),
    "deliberate": ("D IH0 L IH1 B ER0 AH0 T", "D IH0 L IH1 B ER0 EY2 T"),
    "desert": ("D EH1 Z ER0 T", "D IH0 Z ER1 T"),
    "discount": ("D IH1 S K AW0 N T", "D IH0 S K AW1 N T"),
    "duplicate": ("D UW1 P L AH0 K AH0 T", "D UW1 P L AH0 K EY2 T"),
    "escort": ("EH1 S K AO0 R T", "EH0 S K AO1 R T"),
    "estimate": ("EH1 S T AH0 M AH0 T", "EH1 S T AH0 M EY2 T"),
    "excuse": ("IH0 K S K Y UW1 S", "IH0 K S K Y UW1 Z"),
    "export": ("EH1 K S P AO0 R T", "IH0 K S P AO1 R T"),
    "extract": ("EH1 K S T R AE2 K T", "IH0 K S T R AE1 K T"),
    "graduate": ("G R AE1 JH AH0 W AH0 T", "G R AE1 JH AH0 W EY2 T"),
    "house": ("HH AW1 S", "HH AW1 Z"),
    "import": ("IH1 M P AO2 R T", "IH0 M P AO1 R T"),
    "incline": ("IH1 N K L AY0 N", "IH0 N K L AY1 N"),
    "increase": ("IH1 N K R IY2 S", "IH0 N K R IY1 S"),
    "insert": ("IH1 N S ER2 T", "IH0 N S ER1 T"),
    "insult": ("IH1 N S AH2 L T", "IH0 N S AH1 L T"),
    "intimate": ("IH1 N T AH0 M AH0 T", "IH1 N T AH0 M EY2 T"),
    "moderate": ("M AA1 D ER0 AH0 T", "M AA1 D ER0 EY2 T"),
    "object": ("AA1 B JH EH0 K T", "AH0 B JH EH1 K T"),
    "perfect": ("P ER1 F IH0 K T", "P ER0 F EH1 K T"),
    "permit": ("P ER1 M IH2 T", "P ER0 M IH1 T"),
    "present": ("P R EH1 Z AH0 N T", "P R IY0 Z EH1 N T"),
    "produce": ("P R OW1 D UW0 S", "P R AH0 D UW1 S"),
    "progress": ("P R AA1 G R EH2 S", "P R AH0 G R EH1 S"),
    "project": ("P R AA1 JH EH0 K T", "P R AH0 JH EH1 K T"),
    "protest": ("P R OW1 T EH2 S T", "P R AH0 T EH1 S T"),
    "rebel": ("R EH1 B AH0 L", "R IH0 B EH1 L"),
    "record": ("R EH1 K ER0 D", "R IH0 K AO1 R D"),
    "refund": ("R IY1 F AH2 N D", "R IH0 F AH1 N D"),
    "refuse": ("R EH1 F Y UW2 Z", "R IH0 F Y UW1 Z"),
    "reject": ("R IY1 JH EH0 K T", "R IH0 JH EH1 K T"),
    "separate": ("S EH1 P R AH0 T", "S EH1 P ER0 EY2 T"),
    "subject": ("S AH1 B JH IH0 K T", "S AH0 B JH EH1 K T"),
    "survey": ("S ER1 V EY2", "S ER0 V EY1"),
    "suspect": ("S AH1 S P EH2 K T", "S AH0 S P EH1 K T"),
    "torment": ("T AO1 R M EH2 N T", "T AO0 R M EH1 N T"),
    "transfer": ("T R AE1 N S F ER0", "T R AE0 N S F ER1"),
    "transport": ("T R AE1 N S P AO0 R T", "T R AE0 N S P AO1 R T"),
    "use": ("Y UW1 S", "Y UW1 Z"),
    "wind": ("W IH1 N D", "W AY1 N D"),
}
_FIXED = {
    "an": "AH0 N", "bass": "B EY1 S", "dove": "D AH1 V",
    "invalid": "IH0 N V AE1 L AH0 D", "row": "R OW1", "sow": "S OW1", "Polish": "P OW1 L IH0 SH",
    "was": "W AH0 Z", "polish": "P AA1 L IH0 SH", "does": "D AH1 Z", "number": "N AH1 M B ER0", "sewer": "S UW1 ER0",
}  # fmt: skip


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PRONOUNS = frozenset({"i", "you", "we", "they", "he", "she", "it", "who", "people"})
_VERB_BEFORE = _words(
    "to will would can could shall should may might must do does did don't doesn't didn't won't can't cannot couldn't "
    "wouldn't shouldn't i'll you'll we'll they'll he'll she'll it'll i'd you'd we'd they'd let's please not never "
    "always i you we they who"
)
_OBJECTS_AFTER = _words("the a an this that these those my your his her its our their it them me him us you")
_NOUN_BEFORE = _words(
    "the a an this that these those my your his her its our their of no some any in on at by with for new each every "
    "very more most is are was were be as so too"
)
_PAST_HINTS = _words(
    "have has had having i've you've we've they've he's she's been be was were is are just already he she "
    "yesterday once ever"
)
_DETERMINERS = _words("the a an this that my your his her its our their open every each")
_PAST_TIMES = _words("yesterday ago last")
_STATES = _words("am are was were be been being feel feels felt very quite so perfectly i'm you're we're they're not")
_SINGULAR_SUBJECTS = _words("he she it who which that one")
_PARTICLES = _words("up down apart off open out away around back")
_MANY = _words("many several two three four five hundreds thousands few save saved saving lost human people's private")
_LIVES_DO = _words("were are saved lost matter matters and depend")
_LIVE_STATES = _words("it's we're they're you're i'm is are go goes went going")
_LIVE_THINGS = _words(
    "music stream streams show shows tv broadcast video wire wires concert concerts performance performances event "
    "events audience chat coverage recording album streaming updates ammunition"
)
_MINUTE_THINGS = _words("detail details amount amounts quantities differences particles traces")
_NEVER_AFTER_ARTICLE = _words("is was are and or to for in of on but minus plus")
_LETTER_BEFORE = _words("vitamin hepatitis plan grade")
_ADVERBS = _words("also always never often only really still just even then not")


@lru_cache(maxsize=512)
def _phones(reading: str) -> Symbols:
    return tuple(reading.split())


def _before(words: Sequence[str], index: int) -> str:
    """The word before, looking through an adverb."""
    previous = words[index - 1] if index else ""
    return words[index - 2] if previous in _ADVERBS and index > 1 else previous


def _after(words: Sequence[str], index: int) -> str:
    return words[index + 1] if index + 1 < len(words) else ""


def _is_verb(words: Sequence[str], index: int) -> bool:
    before = _before(words, index)
    after = _after(words, index)
    if before in _VERB_BEFORE or (index and words[index - 1] in _VERB_BEFORE):
        return True
    if before in _NOUN_BEFORE:
        return False
    return after in _OBJECTS_AFTER


def _read(words: Sequence[str], index: int) -> Symbols:
    before = _before(words, index)
    past = before in _PAST_HINTS or bool(_PAST_HINTS & set(words[max(0, index - 3) : index]) - {"is", "are", "be"})
    past = past or bool(_PAST_TIMES & set(words[index + 1 : index + 7]))
    if "to" in words[max(0, index - 2) : index] or before in _VERB_BEFORE - _PRONOUNS:
        past = False
    return _phones("R EH1 D" if past else "R IY1 D")


def _live(words: Sequence[str], index: int) -> Symbols:
    before, after = _before(words, index), _after(words, index)
    adjective = after in _LIVE_THINGS or before in _LIVE_STATES
    return _phones("L AY1 V" if adjective or (before in _NOUN_BEFORE and before != "to") else "L IH1 V")


def _lives(words: Sequence[str], index: int) -> Symbols:
    before, after = _before(words, index), _after(words, index)
    noun = not before or before in _NOUN_BEFORE | _MANY or after in _LIVES_DO
    return _phones("L AY1 V Z" if noun else "L IH1 V Z")


def _tear(words: Sequence[str], index: int) -> Symbols:
    verb = _is_verb(words, index) or _after(words, index) in _PARTICLES or _before(words, index) == "and"
    return _phones("T EH1 R" if verb else "T IH1 R")


def _tears(words: Sequence[str], index: int) -> Symbols:
    return _phones("T EH1 R Z" if _before(words, index) in _SINGULAR_SUBJECTS else "T IH1 R Z")


def _wound(words: Sequence[str], index: int) -> Symbols:
    before, after = _before(words, index), _after(words, index)
    turned = (after in _PARTICLES and before not in _DETERMINERS) or (
        after in _OBJECTS_AFTER and before not in _NOUN_BEFORE
    )
    return _phones("W AW1 N D" if turned else "W UW1 N D")


def _upset(words: Sequence[str], index: int) -> Symbols:
    noun = _before(words, index) in ("an", "the", "big", "huge", "major", "stunning") and not _after(words, index)
    return _phones("AH1 P S EH2 T" if noun else "AH0 P S EH1 T")


def _content(words: Sequence[str], index: int) -> Symbols:
    satisfied = _before(words, index) in _STATES or _after(words, index) == "with"
    return _phones("K AH0 N T EH1 N T" if satisfied else "K AA1 N T EH0 N T")


def _minute(words: Sequence[str], index: int) -> Symbols:
    return _phones("M AY0 N UW1 T" if _after(words, index) in _MINUTE_THINGS else "M IH1 N AH0 T")


def _bow(words: Sequence[str], index: int) -> Symbols:
    bends = words[max(0, index - 2) : index] in (["take", "a"], ["takes", "a"], ["took", "a"]) or (
        _after(words, index) in ("down", "to", "before", "out", "your") or _is_verb(words, index)
    )
    return _phones("B AW1" if bends else "B OW1")


def _elaborate(words: Sequence[str], index: int) -> Symbols:
    verb = _after(words, index) in ("on", "upon") or _is_verb(words, index)
    return _phones("IH0 L AE1 B ER0 EY2 T" if verb else "IH0 L AE1 B R AH0 T")


def _lead(words: Sequence[str], index: int) -> Symbols:
    after = words[index + 1 : index + 2]
    metal = after in (["pipe"], ["pipes"], ["poisoning"], ["paint"], ["pencil"], ["type"]) or (
        index > 0 and words[index - 1] in ("of", "with", "molten", "melted", "liquid")
    )
    return _phones("L EH1 D" if metal else "L IY1 D")


def _the(words: Sequence[str], index: int) -> Symbols:
    return _phones("DH IY0" if _starts_with_vowel(words, index + 1) else "DH AH0")


def _to(words: Sequence[str], index: int) -> Symbols:
    weak = index + 1 < len(words) and not _starts_with_vowel(words, index + 1)
    return _phones("T AH0" if weak else "T UW1")


def _a(words: Sequence[str], index: int) -> Symbols:
    after = _after(words, index)
    article = len(after) > 1 and after not in _NEVER_AFTER_ARTICLE and _before(words, index) not in _LETTER_BEFORE
    return _phones("AH0" if article else "EY1")


def _used(words: Sequence[str], index: int) -> Symbols:
    return _phones("Y UW1 S T" if words[index + 1 : index + 2] == ["to"] else "Y UW1 Z D")


def _starts_with_vowel(words: Sequence[str], index: int) -> bool:
    """Whether a word begins with a vowel sound; words the lexicon lacks go by their first letter."""
    if index >= len(words):
        return False
    symbols = default_lexicon().get(words[index])
    return symbols[0][-1].isdigit() if symbols else words[index][0] in "aeio"


_RULES: dict[str, Callable[[Sequence[str], int], Symbols]] = {
    "a": _a, "the": _the, "to": _to, "read": _read, "live": _live, "lead": _lead, "used": _used, "lives": _lives,
    "tear": _tear, "tears": _tears, "wound": _wound, "upset": _upset, "content": _content, "minute": _minute,
    "bow": _bow, "elaborate": _elaborate,
}  # fmt: skip


def contextual(words: Sequence[str], index: int) -> Symbols | None:
    """Return the reading that the context asks for, or None to keep the lexicon's.

    Args:
        words: a run of lower-case words with no punctuation between them.
        index: which of them is read.
    """
    word = words[index]
    if word in _RULES:
        return _RULES[word](words, index)
    if word in _FIXED:
        return _phones(_FIXED[word])
    if word in _NOUN_OR_VERB:
        return _phones(_NOUN_OR_VERB[word][_is_verb(words, index)])
    stem = word[:-1] if word.endswith("s") else ""
    if stem in _NOUN_OR_VERB and stem != "house":
        return _with_s(_phones(_NOUN_OR_VERB[stem][_is_verb_in_s(words, index)]))
    return None


def _is_verb_in_s(words: Sequence[str], index: int) -> bool:
    before = _before(words, index)
    return before in _SINGULAR_SUBJECTS or (before not in _NOUN_BEFORE and _after(words, index) in _OBJECTS_AFTER)


def _with_s(stem: Symbols) -> Symbols:
    if stem[-1] in ("S", "Z"):
        return (*stem, "IH0", "Z")
    return (*stem, "S" if stem[-1] in ("T", "K", "P") else "Z")
