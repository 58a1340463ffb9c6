"""The classifier of emotions: what is relative, what is left out, what it learns."""

from __future__ import annotations

import numpy as np
import pytest

from emotirt.errors import TrainingError
from emotirt.evaluation.emotion_classifier import (
    balanced_accuracy,
    confusions,
    relative_to_neutral,
    speakers_left_out,
    train,
)

EMOTIONS = ("angry", "happy", "neutral")


def actors(seed: int = 0, speakers: int = 4, each: int = 6) -> tuple[np.ndarray, list[str], list[str], list[str]]:
    """Every speaker has an own place; emotions move it by the same steps."""
    rng = np.random.default_rng(seed)
    moves = {"neutral": np.zeros(5), "happy": np.array([3.0, 0, 0, 0, 0]), "angry": np.array([0, 3.0, 0, 0, 0])}
    rows, who, how, what = [], [], [], []
    for speaker in range(speakers):
        place = rng.normal(0, 20, 5)
        for emotion in EMOTIONS:
            for sentence in range(each):
                rows.append(place + moves[emotion] + rng.normal(0, 0.5, 5))
                who.append(f"s{speaker}")
                how.append(emotion)
                what.append(f"t{sentence}")
    return np.array(rows), who, how, what


def test_what_is_relative_generalizes_to_speakers_never_heard() -> None:
    values, who, how, what = actors()
    relative = relative_to_neutral(values, who, how, what)
    assert balanced_accuracy(how, speakers_left_out(relative, who, how)) > 0.95
    assert balanced_accuracy(how, speakers_left_out(values, who, how)) < 0.8


def test_the_own_sentence_is_no_part_of_its_baseline() -> None:
    values = np.array([[1.0], [5.0], [9.0]])
    found = relative_to_neutral(values, ["a"] * 3, ["neutral"] * 3, ["x", "y", "y"])
    np.testing.assert_allclose(found[:, 0], [1.0 - 7.0, 5.0 - 1.0, 9.0 - 1.0])


def test_a_speaker_without_neutral_is_named() -> None:
    with pytest.raises(TrainingError, match="'b' has no neutral"):
        relative_to_neutral(np.zeros((3, 1)), ["a", "a", "b"], ["neutral", "neutral", "sad"], ["x", "y", "x"])


def test_the_held_out_speaker_is_not_learned_from() -> None:
    values, who, how, what = actors()
    relative = relative_to_neutral(values, who, how, what)
    wrong = [
        ("happy" if emotion == "angry" else emotion) if name == "s0" else emotion
        for name, emotion in zip(who, how, strict=True)
    ]
    decided = speakers_left_out(relative, who, wrong)
    assert [found for found, name in zip(decided, who, strict=True) if name == "s0"] == [
        truth for truth, name in zip(how, who, strict=True) if name == "s0"
    ]


def test_probabilities_add_up_and_training_repeats() -> None:
    values, who, how, what = actors()
    relative = relative_to_neutral(values, who, how, what)
    first, second = train(relative, how), train(relative, how)
    assert first.emotions == EMOTIONS
    np.testing.assert_allclose(first.probabilities(relative).sum(axis=1), 1.0)
    np.testing.assert_array_equal(first.weights, second.weights)


def test_one_emotion_is_not_enough() -> None:
    with pytest.raises(TrainingError, match="two emotions"):
        train(np.zeros((3, 2)), ["sad"] * 3)


def test_confusions_are_counted_by_what_was_wanted() -> None:
    assert confusions(["a", "a", "b"], ["a", "b", "b"]) == {"a": {"a": 1, "b": 1}, "b": {"b": 1}}
    assert balanced_accuracy(["a", "a", "a", "b"], ["a", "a", "a", "a"]) == pytest.approx(0.5)
