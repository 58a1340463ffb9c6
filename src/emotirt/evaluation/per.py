"""Phoneme error rate: normalization, counting, and how sure a rate or a ratio of two rates is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from emotirt.text.distance import edit_distance
from emotirt.training.recognizer_tokens import spoken_tokens

RESAMPLINGS = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class SentenceErrors:
    """Errors of one sentence.

    Attributes:
        errors: substitutions, deletions and insertions.
        tokens: phonemes of the reference, at least 1.
    """

    errors: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its confidence interval (percentile bootstrap over sentences, Efron 1979)."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Return plain numbers, rounded to four digits."""
        return {"value": round(self.value, 4), "low": round(self.low, 4), "high": round(self.high, 4)}


def compare_phonemes(reference: Iterable[str], hypothesis: Iterable[str]) -> SentenceErrors:
    """Count errors between two symbol sequences; edges, boundaries, punctuation and stress digits do not count.

    Raises: ValueError: the reference holds no phoneme.
    """
    wanted, given = spoken_tokens(reference), spoken_tokens(hypothesis)
    if not wanted:
        raise ValueError("the reference holds no phoneme; leave such sentences out")
    return SentenceErrors(edit_distance(wanted, given), len(wanted))


def error_rate(sentences: Sequence[SentenceErrors]) -> float:
    """Return all errors over all phonemes."""
    return sum(one.errors for one in sentences) / sum(one.tokens for one in sentences)


def together(errors: Sequence[SentenceErrors], sentences: Sequence[object]) -> list[SentenceErrors]:
    """Add up the recordings of each sentence, so that repetitions are not resampled as if they were independent.

    Args:
        errors: one a recording.
        sentences: which sentence each is of.
    """
    sums: dict[object, list[int]] = {}
    for one, sentence in zip(errors, sentences, strict=True):
        total = sums.setdefault(sentence, [0, 0])
        total[0] += one.errors
        total[1] += one.tokens
    return [SentenceErrors(*total) for total in sums.values()]


def rate_estimate(sentences: Sequence[SentenceErrors], seed: int = 0) -> Estimate:
    """Return the error rate with its 95 % interval."""
    drawn = _resampled(sentences, seed)
    rates = drawn[:, 0] / drawn[:, 1]
    return Estimate(error_rate(sentences), *_interval(rates))


def ratio_estimate(synthesized: Sequence[SentenceErrors], human: Sequence[SentenceErrors], seed: int = 0) -> Estimate:
    """Return synthesized over human error rate with its 95 % interval; both hold the same sentences, in order.

    Raises: ValueError: the two differ in length.
    """
    if len(synthesized) != len(human):
        raise ValueError(f"{len(synthesized)} synthesized sentences stand against {len(human)} human ones; pair them")
    ours, theirs = _resampled(synthesized, seed), _resampled(human, seed)
    ratios = (ours[:, 0] / ours[:, 1]) / np.maximum(theirs[:, 0] / theirs[:, 1], 1e-9)
    return Estimate(error_rate(synthesized) / max(error_rate(human), 1e-9), *_interval(ratios))


def _resampled(sentences: Sequence[SentenceErrors], seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    table = np.array([[one.errors, one.tokens] for one in sentences], dtype=np.float64)
    picks = np.random.default_rng(seed).integers(0, len(table), (RESAMPLINGS, len(table)))
    return np.asarray(table[picks].sum(axis=1))


def _interval(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, float]:
    edge = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(values, [edge, 100.0 - edge])
    return float(low), float(high)
