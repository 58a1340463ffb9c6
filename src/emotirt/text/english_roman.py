"""Roman numerals after a name or a title: Henry VIII, World War II, Chapter IV."""

from __future__ import annotations

import re

from emotirt.text import english_numbers as en

_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50}
_PEOPLE = (
    "King|Queen|Pope|Emperor|Tsar|Louis|Henry|Charles|Edward|George|James|William|Elizabeth|Richard|Paul|John|Benedict"
    "|Nicholas|Philip|Alexander|Catherine|Frederick|Francis|Leo|Pius|Gregory|Ramses|Wilhelm|Mary|Napoleon|Darius|Felipe"
)
_TITLES = "Chapter|Part|Act|Volume|Section|War|Phase|Book|Episode|Scene|Appendix|Stage|Bowl"
_NO_NAMES = "The|A|An|This|That|His|Her|My|Your|Our|Their|Its|In|On|At|And|Or|If|Is|No|Size"
_ROMAN = r"(?=[IVXL])(?:XL|L?X{0,3})(?:IX|IV|V?I{0,3})(?<=[IVXL])"
NUMERAL = re.compile(
    rf"\b(?:{_TITLES})\s{_ROMAN}\b"
    rf"|\b(?:{_PEOPLE})\s(?=[IVX]{{2}}|[VX]\b){_ROMAN}\b"
    rf"|\b(?!(?:{_NO_NAMES})\s)[A-Z][a-z]+\s(?=[IVX]{{2}}){_ROMAN}\b"
)
_IS_PERSON = re.compile(_PEOPLE)


def roman_text(match: re.Match[str]) -> str:
    """Write out a match of ``NUMERAL``: people get an ordinal, everything else a plain number."""
    name, numeral = match.group().split()
    values = [_VALUES[char] for char in numeral]
    total = sum(-v if v < after else v for v, after in zip(values, [*values[1:], 0], strict=True))
    return f"{name} the {en.ordinal(total)}" if _IS_PERSON.fullmatch(name) else f"{name} {en.cardinal(total)}"
