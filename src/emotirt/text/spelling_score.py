"""How far the spelling model is from the dictionary, on words that its training never saw; nothing of PyTorch."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from emotirt.text.distance import edit_distance
from emotirt.text.g2p import SpellingModel
from emotirt.text.lexicon import Lexicon

Symbols = tuple[str, ...]

TEST_WORDS = 4000
VALID_WORDS = 1000


@dataclass(frozen=True, slots=True)
class Split:
    """Dictionary words of plain letters and their phonemes, divided at random by word."""

    train: dict[str, Symbols]
    valid: dict[str, Symbols]
    test: dict[str, Symbols]


@dataclass(frozen=True, slots=True)
class SpellingScore:
    """Errors against the dictionary's first pronunciation, in percent, and time.

    Attributes:
        phoneme_error_pct: substitutions, deletions and insertions over the dictionary's phonemes.
        phoneme_error_no_stress_pct: the same with stress digits left out.
        word_error_pct: words with any error.
        word_error_no_stress_pct: the same with stress digits left out.
        ms_per_word: mean time to read a word.
        words: how many were read.
    """

    phoneme_error_pct: float
    phoneme_error_no_stress_pct: float
    word_error_pct: float
    word_error_no_stress_pct: float
    ms_per_word: float
    words: int

    def to_dict(self) -> dict[str, float]:
        """Return plain numbers for JSON, to four digits."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def split_words(lexicon: Lexicon, seed: int = 0) -> Split:
    """Divide the words that are spelled with a-z only; abbreviations read by letter stay out.

    Args:
        lexicon: where the words come from.
        seed: the same seed gives the same division; the packaged model was trained on that of seed 0.
    """
    words = [word for word in lexicon.words() if word.isalpha() and len(word) > 1]
    entries = {word: lexicon.get(word) or () for word in words}
    words = [word for word in words if len(entries[word]) <= 2 * len(word)]
    order = [words[index] for index in np.random.default_rng(seed).permutation(len(words))]
    test, valid = order[:TEST_WORDS], order[TEST_WORDS : TEST_WORDS + VALID_WORDS]
    train, valid_words, test_words = (
        {word: entries[word] for word in part} for part in (order[TEST_WORDS + VALID_WORDS :], valid, test)
    )
    return Split(train, valid_words, test_words)


def without_stress(symbols: Symbols) -> Symbols:
    """Leave the stress digits out."""
    return tuple(symbol.rstrip("012") for symbol in symbols)


def score(model: SpellingModel, entries: Mapping[str, Symbols]) -> SpellingScore:
    """Read every word with the model and count the errors."""
    started_s = time.perf_counter()
    guesses = {word: model.read(word) for word in entries}
    elapsed_ms = 1000.0 * (time.perf_counter() - started_s)
    pairs = [(guesses[word], symbols) for word, symbols in entries.items()]
    plain = [(without_stress(guess), without_stress(symbols)) for guess, symbols in pairs]
    phoneme_error, word_error = error_pcts(pairs)
    plain_phoneme_error, plain_word_error = error_pcts(plain)
    return SpellingScore(
        phoneme_error, plain_phoneme_error, word_error, plain_word_error, elapsed_ms / len(pairs), len(pairs)
    )


def error_pcts(pairs: Sequence[tuple[Symbols, Symbols]]) -> tuple[float, float]:
    """Compare readings with the dictionary's.

    Args: pairs: what was read and what is right, at least one pair.
    Returns: phoneme error and word error in percent.
    """
    phonemes = sum(len(symbols) for _, symbols in pairs)
    errors = sum(edit_distance(guess, symbols) for guess, symbols in pairs)
    wrong = sum(guess != symbols for guess, symbols in pairs)
    return 100.0 * errors / phonemes, 100.0 * wrong / len(pairs)
