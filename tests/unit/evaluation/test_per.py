"""Phoneme error rates and their intervals."""

from __future__ import annotations

import pytest

from emotirt.evaluation.per import SentenceErrors, compare_phonemes, error_rate, rate_estimate, ratio_estimate


def test_stress_and_punctuation_are_no_errors_but_tones_are() -> None:
    assert compare_phonemes(["^", "HH", "AH0", "#", "L", "OW1", ".", "$"], ["HH", "AH1", "L", "OW"]).errors == 0
    assert compare_phonemes(["n", "i3"], ["n", "i2"]) == SentenceErrors(1, 2)


def test_a_reference_without_phonemes_is_refused() -> None:
    with pytest.raises(ValueError, match="no phoneme"):
        compare_phonemes(["^", ".", "$"], ["B"])


def test_the_rate_weighs_sentences_by_their_length() -> None:
    assert error_rate([SentenceErrors(1, 1), SentenceErrors(0, 9)]) == pytest.approx(0.1)


def test_intervals_hold_the_value_and_narrow_with_more_sentences() -> None:
    few = rate_estimate([SentenceErrors(errors, 20) for errors in (0, 5, 2, 3)])
    many = rate_estimate([SentenceErrors(errors, 20) for errors in (0, 5, 2, 3)] * 25)
    assert few.low <= few.value <= few.high
    assert many.value == pytest.approx(few.value)
    assert many.high - many.low < few.high - few.low


def test_equal_speech_has_a_ratio_of_one_without_spread() -> None:
    human = [SentenceErrors(errors, 20) for errors in (1, 5, 2, 3)]
    ratio = ratio_estimate(human, human)
    assert (ratio.value, ratio.low, ratio.high) == (1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="pair them"):
        ratio_estimate(human, human[:2])
