"""Split text into sentences, clauses, or halves; the pieces of a text always join to the text again."""

from __future__ import annotations

import re
from itertools import pairwise

from emotirt.text.normalize import HAN

_CLOSERS = r"""["'”’»)\]）」』】》]*"""
_SENTENCE_END = re.compile(
    rf"(?P<wide>[。！？｡…]+[.!?。！？…]*{_CLOSERS}\s*)"
    rf"|(?P<narrow>(?<![.!?])[.!?]+{_CLOSERS}(?:\s+|$|(?=[{HAN}])))"
    r"|(?P<paragraph>\n[^\S\n]*\n\s*)"
    rf"|(?P<line>(?<=[{HAN}，、；：”」』）])[^\S\n]*\n\s*)"
)
_CLAUSE_END = re.compile(
    rf"[，、；：—…]+{_CLOSERS}\s*|(?<![,;:])[,;:]+{_CLOSERS}(?:\s+|(?=[{HAN}]))|\.{{2,}}\s*|\s[-–]+\s+|–\s*|\n+"
)
_ABBREVIATION = re.compile(
    r"(?<![A-Za-z])(?:(?:Mr|Mrs|Ms|Dr|Prof|St|Gen|Capt|Lt|Sgt|Gov|Rev|Hon|Col|Mt|Ft|Sen|Rep|Pres|Messrs|vs|approx|[Ff]ig|Nos?|cf"
    r"|[Pp]p?|[Vv]ol|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec"
    r"|Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)|[A-Z])$"
)
_MAYBE_LAST = re.compile(r"(?<![A-Za-z])(?:[A-Za-z]\.)+[A-Za-z]$")
_OPENERS = re.compile(
    r"(?:I|He|She|It|We|You|They|The|This|That|These|Those|There|A|An|My|His|Her|Our|Their|But|And|So|Then|If|When|After"
    r"|What|Who|Why|How|Now|No|Yes|Please|In|On|At|For|To|With|By|Do|Did|Is|Are|Was|Not|Let|Some|All|Even|Once)\b"
)
_BREAK = re.compile(r"\s+")


def split_sentences(text: str) -> list[str]:
    """Split after sentences, at blank lines, and at line ends in Chinese.

    A full stop ends a sentence only before space or hanzi, not after an abbreviation or initial, and not before a word
    in lower case; after p.m. or U.S. only before a word that opens sentences. Spaces and closing quotes
    stay with the sentence they follow.

    Returns: pieces, none empty, that join to ``text``.
    """
    return _cut(text, [match.end() for match in _SENTENCE_END.finditer(text) if _ends_sentence(text, match)])


def split_clauses(text: str) -> list[str]:
    """Split after commas, colons, semicolons, dashes and ellipses.

    Returns: pieces, none empty, that join to ``text``.
    """
    return _cut(text, [match.end() for match in _CLAUSE_END.finditer(text)])


def split_half(text: str) -> list[str]:
    """Split once, at the space nearest the middle, or in the middle where there is none.

    Returns: two pieces that join to ``text``; one if it has fewer than two characters.
    """
    middle = len(text) // 2
    spaces = [match.end() for match in _BREAK.finditer(text) if 0 < match.end() < len(text)]
    return _cut(text, [min(spaces, key=lambda end: abs(end - middle)) if spaces else middle])


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    following = text[match.end() : match.end() + 1]
    if match.lastgroup == "wide":
        return not (match.group().startswith("…") and (following.islower() or following in "，、,"))
    if match.lastgroup != "narrow":
        return True
    if following.islower():
        return False
    if not match.group().startswith(".") or not following:
        return True
    start = max(0, match.start() - 12)
    if _MAYBE_LAST.search(text, start, match.start()):  # p.m., U.S.: the next word tells
        return _OPENERS.match(text, match.end()) is not None
    return _ABBREVIATION.search(text, start, match.start()) is None


def _cut(text: str, ends: list[int]) -> list[str]:
    bounds = [0, *ends, len(text)]
    return [text[start:end] for start, end in pairwise(bounds) if start < end]
