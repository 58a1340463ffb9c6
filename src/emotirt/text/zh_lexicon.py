"""The Mandarin dictionary: word counts, readings, and the character model for unknown words.

Reads ``data/zh_lexicon.xz`` (layout and sources: ``scripts/build_zh_lexicon.py``). Opening it costs one decompression;
the words that start with a character are parsed when that character is first met.
"""

from __future__ import annotations

import lzma
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from emotirt.text.zh_data import data_bytes

STATES = "BMES"

_LEADING_SYLLABLE = re.compile("[^0-9]+[0-9]")
# More than there are hanzi; a bound for text of other scripts.
_REMEMBERED_CHARACTERS = 100_000


@dataclass(frozen=True, slots=True)
class WordBlock:
    """The words that start with one character.

    Attributes:
        log_counts: natural logarithm of each word's count; the whole word is the key.
        lengths: the lengths in characters that occur among them, ascending.
        readings: words that are not read as their characters are by themselves -> pinyin per character.
    """

    log_counts: Mapping[str, float]
    lengths: tuple[int, ...]
    readings: Mapping[str, tuple[str, ...]]


_EMPTY = WordBlock({}, (), {})


class Lexicon:
    """Word counts and readings, parsed on demand; safe to share (a block parsed twice is the same block)."""

    def __init__(self, payload: bytes) -> None:
        """Open the dictionary.

        Args: payload: the xz stream that scripts/build_zh_lexicon.py writes.
        """
        head, characters, words, counts, readings, self._model = lzma.decompress(payload).decode().split("\f")
        self.log_total = math.log(int(head.split("\n")[1]))
        self._raw = {
            line[0]: (line, count_line, reading_line)
            for line, count_line, reading_line in zip(
                words.split("\n"), counts.split("\n"), readings.split("\n"), strict=True
            )
        }
        self._blocks: dict[str, WordBlock] = {}
        # One line a syllable, searched when a character is first met: most of 44 thousand never are.
        self._characters_by_syllable = characters
        self._characters: dict[str, str] = {}

    def block(self, hanzi: str) -> WordBlock:
        """Return the words that start with a character."""
        found = self._blocks.get(hanzi)
        if found is None:
            raw = self._raw.get(hanzi)
            found = self._blocks[hanzi] = _EMPTY if raw is None else _parse_block(*raw)
        return found

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and word != "" and word in self.block(word[0]).log_counts

    def words(self) -> list[str]:
        """Return all words of more than one character (slow; for benchmarks and tests)."""
        return [line[0] + rest for line, _, _ in self._raw.values() for rest in line[1:].split(" ") if rest]

    def readings(self, word: str) -> tuple[str, ...]:
        """Return one pinyin syllable with tone digit per character, "" for a character without a reading."""
        if len(word) > 1:
            found = self.block(word[0]).readings.get(word)
            if found is not None:
                return found
        known = self._characters
        return tuple([known[hanzi] if hanzi in known else self._look_up(hanzi) for hanzi in word])

    def _look_up(self, hanzi: str) -> str:
        reading = ""
        position = self._characters_by_syllable.find(hanzi) if hanzi > "\u02ff" else -1
        if position > 0:
            line_start = self._characters_by_syllable.rfind("\n", 0, position) + 1
            reading = _LEADING_SYLLABLE.match(self._characters_by_syllable, line_start)[0]  # type: ignore[index]
        if len(self._characters) < _REMEMBERED_CHARACTERS:
            self._characters[hanzi] = reading
        return reading

    def emission_log_probabilities(self) -> dict[str, dict[str, float]]:
        """Return, per state of ``STATES``, the log probability of each character known in that state."""
        lines = self._model.split("\n")
        result = {}
        for state, hanzi, numbers in zip(STATES, lines[::2], lines[1::2], strict=True):
            total, *counts = map(int, numbers.split(" "))
            log_total = math.log(total)
            result[state] = {key: math.log(count) - log_total for key, count in zip(hanzi, counts, strict=True)}
        return result


def _parse_block(line: str, count_line: str, reading_line: str) -> WordBlock:
    first = line[0]
    words = [first + rest for rest in line[1:].split(" ")]
    log = math.log
    # A word counted zero times is no word; jieba treats it so too.
    log_counts = {
        word: log(int(count)) for word, count in zip(words, count_line.split(" "), strict=True) if count != "0"
    }
    readings = {}
    for item in reading_line.split(" ") if reading_line else ():
        index, _, syllables = item.partition(":")
        readings[words[int(index)]] = tuple(syllables.split("'"))
    return WordBlock(log_counts, tuple(sorted({len(word) for word in log_counts})), readings)


@lru_cache(maxsize=1)
def default_lexicon() -> Lexicon:
    """Open the dictionary that comes with the package, once."""
    return Lexicon(data_bytes("zh_lexicon.xz"))
