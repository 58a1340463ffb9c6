"""Sentences of the report, kept in ``text.txt`` in both languages."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files

from emotirt.bench.report.parts import LANGUAGES, Both

_PART = re.compile(r"^## (\S+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_LINE = re.compile(r"^(en|zh): (.+?)(?=^(?:en|zh): |\Z)", re.MULTILINE | re.DOTALL)


def both_by_name(text: str) -> dict[str, Both]:
    """Read parts of the form ``## name``, ``en: ...``, ``zh: ...``.

    Raises: ValueError: a part lacks a language, named.
    """
    found = {}
    for name, body in _PART.findall(text):
        said = {language: " ".join(words.split()) for language, words in _LINE.findall(body)}
        if set(said) != set(LANGUAGES):
            raise ValueError(f"part {name!r} needs a line 'en: ...' and a line 'zh: ...'")
        found[name] = Both(said["en"], said["zh"])
    return found


def say(name: str, **figures: str) -> Both:
    """Return a sentence with figures in their places."""
    said = _sentences()[name]
    return Both(said.en.format(**figures), said.zh.format(**figures))


def say_both(name: str, figures: dict[str, Both]) -> Both:
    """Return a sentence whose figures differ by language."""
    said = _sentences()[name]
    return Both(
        said.en.format(**{key: item.en for key, item in figures.items()}),
        said.zh.format(**{key: item.zh for key, item in figures.items()}),
    )


def joined(first: Both, second: Both) -> Both:
    """Return one sentence after the other."""
    return Both(f"{first.en} {second.en}", f"{first.zh}{second.zh}")


@lru_cache(maxsize=1)
def _sentences() -> dict[str, Both]:
    return both_by_name(files("emotirt.bench.report").joinpath("text.txt").read_text(encoding="utf-8"))
