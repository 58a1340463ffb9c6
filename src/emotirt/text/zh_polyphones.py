"""Readings of common one-character words that the neighbouring characters decide (``data/zh_polyphones.txt``)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from emotirt.text.zh_data import data_lines

# How many characters on each side a rule may look at.
CONTEXT_CHARACTERS = 6


@dataclass(frozen=True, slots=True)
class _Rule:
    before: re.Pattern[str]
    after: re.Pattern[str]
    reading: str


@lru_cache(maxsize=1)
def _rule_lines() -> Mapping[str, Sequence[tuple[str, str, str]]]:
    lines: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for line in data_lines("zh_polyphones.txt"):
        hanzi, before, after, reading = line.split(" ")
        lines[hanzi].append((before.removeprefix("-"), after.removeprefix("-"), reading))
    return dict(lines)


@lru_cache(maxsize=256)
def _rules(hanzi: str) -> tuple[_Rule, ...]:
    """Compile a character's rules when it is first met."""
    return tuple(
        _Rule(re.compile(f"(?:{before})$"), re.compile(after), reading)
        for before, after, reading in _rule_lines().get(hanzi, ())
    )


@lru_cache(maxsize=4096)
def reading_in_context(hanzi: str, before: str, after: str) -> str | None:
    """Choose the reading of a one-character word.

    Args:
        hanzi: the word.
        before: up to ``CONTEXT_CHARACTERS`` characters before it.
        after: up to as many after it.

    Returns: pinyin with tone digit, or None where no rule applies.
    """
    for rule in _rules(hanzi):
        if rule.before.search(before) and rule.after.match(after):
            return rule.reading
    return None


def is_polyphone(hanzi: str) -> bool:
    """Whether ``reading_in_context`` has rules for a character."""
    return hanzi in _rule_lines()
