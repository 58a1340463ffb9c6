"""Words and stresses for a string of phones that was heard without them.

A unigram: a word is one of the transcripts or of the dictionary, as frequent as in both the transcripts and the
language, or any string of phones, by a bigram of the dictionary's phones. The last takes names and what the recognizer
misheard. Stress comes with the word.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from emotirt.text.symbols import EN_STRESSES, EN_VOWELS, SPECIALS
from emotirt.training.recognizer_tokens import spoken_tokens

Word = tuple[str, ...]
"""English symbols, vowels with a stress digit."""

GENERAL_SHARE = 0.5
"""What the language's own frequencies count beside the transcripts'."""
STRANGE_SHARE = 0.2
"""Share of running words that are in no list or were misheard."""
SMOOTHING = 0.1
"""Of the bigram: share of the plain frequencies."""
EDGE = ""
"""Before the first and after the last phone of a word."""


def words_of(symbols: Iterable[str]) -> Iterator[Word]:
    """Divide symbols at boundaries, punctuation and edges."""
    for special, word in groupby(symbols, lambda symbol: symbol in SPECIALS):
        if not special:
            yield tuple(word)


def stresses(token: str) -> tuple[str, ...]:
    """Return the symbols that a recognizer token may stand for."""
    return tuple(token + digit for digit in EN_STRESSES) if token in EN_VOWELS else (token,)


class PhoneBigram:
    """How likely a string of phones is a word of the language, and with which stress."""

    def __init__(self, words: Iterable[Word]) -> None:
        pairs: Counter[tuple[str, str]] = Counter()
        for word in words:
            pairs.update(zip((EDGE, *word), (*word, EDGE), strict=True))
        before: Counter[str] = Counter()
        after: Counter[str] = Counter()
        for (first, second), count in pairs.items():
            before[first] += count
            after[second] += count
        total = sum(after.values())
        self._plain = {name: math.log(SMOOTHING * count / total) for name, count in after.items()}
        self._pairs = {
            pair: math.log((1.0 - SMOOTHING) * count / before[pair[0]] + SMOOTHING * after[pair[1]] / total)
            for pair, count in pairs.items()
        }
        self._floor = math.log(SMOOTHING / (total + 1))

    def step(self, first: str, second: str) -> float:
        """Return the log probability of a phone after another."""
        found = self._pairs.get((first, second))
        return self._plain.get(second, self._floor) if found is None else found

    def grow(self, tokens: Sequence[str]) -> Iterator[tuple[float, Word]]:
        """Yield log probability and stresses of the word that the first 1, 2, 3 ... tokens make."""
        paths: dict[str, tuple[float, Word]] = {EDGE: (0.0, ())}
        for token in tokens:
            paths = {
                symbol: max((score + self.step(last, symbol), (*word, symbol)) for last, (score, word) in paths.items())
                for symbol in stresses(token)
            }
            yield max((score + self.step(last, EDGE), word) for last, (score, word) in paths.items())


class WordModel:
    """Log probabilities of words, and their stresses."""

    def __init__(self, spoken: Iterable[Word], general: Mapping[Word, float]) -> None:
        """Count.

        Args:
            spoken: the words of transcripts, each as often as it occurs; English ones only.
            general: pronunciations of a dictionary, and how frequent they are in the language, in any unit.
        """
        counts = Counter(spoken)
        shares = ((counts, 1.0 - GENERAL_SHARE), (general, GENERAL_SHARE))
        self._strange = PhoneBigram(general)
        likelihood: dict[Word, float] = {}
        forms: dict[Word, Word] = {}
        for words, share in shares:
            every = sum(words.values())
            for word in sorted(words, key=lambda word: (-words[word], word)):
                plain = spoken_tokens(word)
                gain = (1.0 - STRANGE_SHARE) * share * words[word] / every
                likelihood[plain] = likelihood.get(plain, 0.0) + gain
                forms.setdefault(plain, word)
        self._known = {plain: (math.log(value), forms[plain]) for plain, value in likelihood.items()}

    @property
    def likelihoods(self) -> dict[tuple[str, ...], float]:
        """Log probability of each known word, by its recognizer tokens."""
        return {plain: score for plain, (score, _) in self._known.items()}

    def strange_steps(self, tokens: Sequence[str]) -> NDArray[np.float32]:
        """Return the bigram of words in no list, stresses summed up.

        Returns: float32 [1 + tokens, 1 + tokens], row: before, column: after; the edge first, into which the share of
            such words is put.
        """
        names = ["", *tokens]
        table = np.full((len(names), len(names)), -np.inf)
        for row, first in enumerate(names):
            for column, second in enumerate(names):
                options = [max(self._strange.step(a, b) for b in stresses(second)) for a in stresses(first)]
                table[row, column] = max(options)
        table[0] += math.log(STRANGE_SHARE)
        found: NDArray[np.float32] = table.astype(np.float32)
        return found

    def stressed(self, tokens: Sequence[str]) -> Word:
        """Return a word's symbols: as the transcripts or the dictionary stress it, else as likely as any."""
        known = self._known.get(tuple(tokens))
        return known[1] if known else max(list(self._strange.grow(tokens))[-1:])[1]
