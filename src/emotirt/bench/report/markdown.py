"""Sections as Markdown in one language."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from emotirt.bench.report.parts import EN, Bullets, Paragraph, Picture, Section, Table, text

WIDTH = 120
PLOTS = "plots"


def markdown(title: str, intro: str, sections: Sequence[Section], language: str) -> str:
    """Return a document."""
    parts = [f"# {title}", _paragraph(intro, language)]
    for section in sections:
        parts.append(f"## {section.title.of(language)}")
        parts += [_block(block, language) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def table_lines(table: Table, language: str) -> list[str]:
    """Return a table as lines."""
    header = [text(cell, language) for cell in table.header]
    rows = [[text(cell, language).replace("|", "\\|") for cell in row] for row in table.rows]
    return [f"| {' | '.join(header)} |", "|" + "---|" * len(header), *(f"| {' | '.join(row)} |" for row in rows)]


def picture_file(picture: Picture, language: str) -> str:
    """Return the name of a picture's file."""
    return f"{picture.name}.svg" if language == EN else f"{picture.name}.{language}.svg"


def _block(block: Paragraph | Bullets | Table | Picture, language: str) -> str:
    if isinstance(block, Paragraph):
        return _paragraph(text(block.words, language), language)
    if isinstance(block, Bullets):
        return "\n".join(_bullet(text(item, language), language) for item in block.items)
    if isinstance(block, Table):
        return "\n".join(table_lines(block, language))
    return f"![{block.title.of(language)}]({PLOTS}/{picture_file(block, language)})"


def _paragraph(words: str, language: str) -> str:
    """Break English lines between words; Chinese, which a break would pull apart, stays on one line."""
    return _wrapped(words, "") if language == EN else words


def _bullet(words: str, language: str) -> str:
    return _wrapped(words, "  ", "- ") if language == EN else f"- {words}"


def _wrapped(words: str, indent: str, first: str = "") -> str:
    return textwrap.fill(
        words, WIDTH, initial_indent=first, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
