"""What a report consists of, in two languages at once, so that both say the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

EN, ZH = "en", "zh"
LANGUAGES = (EN, ZH)


class Both(NamedTuple):
    """A text in English and in Chinese."""

    en: str
    zh: str

    def of(self, language: str) -> str:
        """Return it in one of them."""
        return self.en if language == EN else self.zh


Words = Both | str
"""A text; a bare string is the same in both languages."""
NOT_MEASURED = Both("not measured", "未测量")
NOTHING = "–"


def text(words: Words, language: str) -> str:
    """Return words in a language."""
    return words.of(language) if isinstance(words, Both) else words


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph.

    Attributes:
        words: Markdown without line breaks.
    """

    words: Words


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list.

    Attributes:
        items: one a line.
    """

    items: Sequence[Words]


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        header: names of the columns.
        rows: as many cells each.
    """

    header: Sequence[Words]
    rows: Sequence[Sequence[Words]]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in a file of its own.

    Attributes:
        name: of the file, without its ending.
        title: what it shows.
        draw: makes SVG in a language.
    """

    name: str
    title: Both
    draw: Callable[[str], str]


Block = Paragraph | Bullets | Table | Picture


@dataclass(frozen=True, slots=True)
class Section:
    """A section under a heading.

    Attributes:
        title: the heading.
        blocks: what stands under it.
    """

    title: Both
    blocks: Sequence[Block]
