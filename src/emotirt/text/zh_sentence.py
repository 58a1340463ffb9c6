"""The syllables of one run of Chinese, as the reading, neutral-tone, sandhi and erhua rules see and change them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

NEUTRAL = 5


@dataclass(slots=True)
class Syllable:
    """One hanzi and its reading.

    Attributes:
        hanzi: the character.
        letters: toneless pinyin, ``v`` for u-umlaut; "" when the character cannot be spoken.
        tone: 1-4, or 5 for the neutral tone.
        erhua: whether a following 儿 has merged into this syllable.
        silent: whether it is not spoken by itself (unreadable, or a 儿 that merged into the one before).
    """

    hanzi: str
    letters: str
    tone: int
    erhua: bool = False
    silent: bool = False


@dataclass(slots=True)
class Word:
    """One word of the segmentation: a slice of the sentence's syllables.

    Attributes:
        text: as written.
        start: index of its first syllable in the sentence.
        syllables: its syllables, shared with the sentence.
    """

    text: str
    start: int
    syllables: list[Syllable]

    @property
    def end(self) -> int:
        """Index one past the last syllable."""
        return self.start + len(self.syllables)


@dataclass(slots=True)
class Sentence:
    """A run of Chinese: its words, and all their syllables in a row.

    Attributes:
        text: all words joined; ``text[i]`` is ``syllables[i].hanzi``.
        words: in order.
        syllables: in order.
    """

    text: str
    words: list[Word] = field(default_factory=list)
    syllables: list[Syllable] = field(default_factory=list)


def sentence_from_readings(words: Sequence[tuple[str, Sequence[str]]]) -> Sentence:
    """Build a sentence from words and their pinyin.

    Args: words: each word with one pinyin syllable and tone digit per character, "" where there is no reading.
    """
    sentence = Sentence("".join(word for word, _ in words))
    for word, readings in words:
        syllables = [
            Syllable(hanzi, reading[:-1], int(reading[-1])) if reading else Syllable(hanzi, "", NEUTRAL, silent=True)
            for hanzi, reading in zip(word, readings, strict=True)
        ]
        sentence.words.append(Word(word, len(sentence.syllables), syllables))
        sentence.syllables.extend(syllables)
    return sentence
