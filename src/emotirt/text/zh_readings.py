"""Citation readings of segmented Chinese: by word, by phrase, by context; no sandhi yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache

from emotirt.text.zh_data import data_lines, data_words
from emotirt.text.zh_lexicon import Lexicon, default_lexicon
from emotirt.text.zh_polyphones import CONTEXT_CHARACTERS, is_polyphone, reading_in_context

# Characters read by the dictionary but for a neutral tone on the last one.
_LAST_NEUTRAL: tuple[str, ...] = ()
_Phrases = Mapping[str, Sequence[tuple[str, tuple[str, ...]]]]


@lru_cache(maxsize=1)
def _phrases() -> _Phrases:
    """Read the phrases with a reading of their own: first character -> (phrase, pinyin), longest first."""
    readings = dict.fromkeys(data_words("zh_neutral_words.txt"), _LAST_NEUTRAL)
    for line in data_lines("zh_phrases.txt"):
        phrase, *syllables = line.split()
        readings[phrase] = tuple(syllables)
    by_first: dict[str, list[tuple[str, tuple[str, ...]]]] = defaultdict(list)
    for phrase in sorted(readings, key=len, reverse=True):
        by_first[phrase[0]].append((phrase, readings[phrase]))
    return dict(by_first)


def _with_neutral_end(syllables: Sequence[str]) -> tuple[str, ...]:
    return (*syllables[:-1], syllables[-1][:-1] + "5")


def readings_of_words(words: Sequence[str], lexicon: Lexicon | None = None) -> list[tuple[str, ...]]:
    """Read each word as it is spoken in this company, in citation tones.

    Args: words: a segmentation; joined they are the text.
    Returns: per word one pinyin syllable per character, "" where a character has none.
    """
    source = lexicon or default_lexicon()
    text = "".join(words)
    syllables: list[str] = []
    starts: list[int] = []
    for word in words:
        starts.append(len(syllables))
        syllables.extend(source.readings(word))
    covered = _apply_phrases(text, {*starts, len(text)}, syllables, source)
    for word, start in zip(words, starts, strict=True):
        # Only the neighbours tell how a one-character word is read, or one that the dictionary does not have.
        if len(word) == 1 or word not in source:
            _apply_context(text, range(start, start + len(word)), covered, syllables)
    return [tuple(syllables[start : start + len(word)]) for word, start in zip(words, starts, strict=True)]


def _apply_context(text: str, indices: range, covered: set[int], syllables: list[str]) -> None:
    for index in indices:
        if index not in covered and is_polyphone(text[index]):
            before = text[max(0, index - CONTEXT_CHARACTERS) : index]
            found = reading_in_context(text[index], before, text[index + 1 : index + 1 + CONTEXT_CHARACTERS])
            syllables[index] = found or syllables[index]


def _apply_phrases(text: str, word_edges: set[int], syllables: list[str], lexicon: Lexicon) -> set[int]:
    """Overwrite syllables where a phrase stands; return the indices it covers."""
    phrases = _phrases()
    covered: set[int] = set()
    position = 0
    while position < len(text):
        step = 1
        for phrase, readings in phrases.get(text[position], ()):
            if text.startswith(phrase, position) and _fits(position, position + len(phrase), word_edges):
                step = len(phrase)
                syllables[position : position + step] = readings or _with_neutral_end(lexicon.readings(phrase))
                covered.update(range(position, position + step))
                break
        position += step
    return covered


def _fits(start: int, end: int, word_edges: set[int]) -> bool:
    """Whether a phrase covers whole words, or lies inside one word at either edge of it."""
    starts, ends = start in word_edges, end in word_edges
    if starts and ends:
        return True
    return (starts or ends) and not any(edge in word_edges for edge in range(start + 1, end))
