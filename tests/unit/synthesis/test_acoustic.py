"""The acoustic stages: batch-mates change nothing, lengths stay within bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper
from tests.unit.synthesis.conftest import Speaking

from emotirt.bundle.contract import DECODER, TEXT_ENCODER
from emotirt.bundle.store import Bundle
from emotirt.errors import BackendError
from emotirt.runtime.open import open_runner
from emotirt.runtime.ort import OrtRunner
from emotirt.synthesis import acoustic
from emotirt.synthesis.acoustic import AcousticStages, fitted_durations, outcomes_apart
from emotirt.synthesis.batch import BatchLimits, text_encoder_feeds
from emotirt.synthesis.pipeline import Pipeline
from emotirt.types import Prosody, Utterance
from emotirt.voices.condition import Condition


def test_durations_do_not_depend_on_batch_mates(
    opened_bundle: Bundle, utterances: list[Utterance], conditions: list[Condition]
) -> None:
    encoder = open_runner(opened_bundle, TEXT_ENCODER, threads=1)
    together = encoder.run(text_encoder_feeds(utterances, conditions))
    for index, (utterance, condition) in enumerate(zip(utterances, conditions, strict=True)):
        alone = encoder.run(text_encoder_feeds([utterance], [condition]))
        count = utterance.token_count
        np.testing.assert_array_equal(together["durations"][index, :count], alone["durations"][0])
        assert together["durations"][index, count:].sum() == 0
        np.testing.assert_allclose(together["hidden"][index, :count], alone["hidden"][0], atol=1e-5)


def test_audio_does_not_depend_on_batch_mates(
    pipeline: Pipeline, utterances: list[Utterance], conditions: list[Condition]
) -> None:
    together = pipeline.synthesize(utterances, conditions)
    for utterance, condition, wav in zip(utterances, conditions, together, strict=True):
        (alone,) = pipeline.synthesize([utterance], [condition])
        assert alone.shape == wav.shape
        assert np.abs(alone - wav).max() <= 1e-4


@pytest.mark.parametrize(
    "limits", [BatchLimits(1), BatchLimits(3), BatchLimits(100, 10**6, 10**6), BatchLimits(8, 1, 1)]
)
def test_any_limits_give_the_same(
    opened_bundle: Bundle,
    pipeline: Pipeline,
    utterances: list[Utterance],
    conditions: list[Condition],
    limits: BatchLimits,
) -> None:
    other = Pipeline(opened_bundle, threads=1, limits=limits)
    for mel, expected in zip(other.mels(utterances, conditions), pipeline.mels(utterances, conditions), strict=True):
        assert mel.dtype == np.float32
        np.testing.assert_allclose(mel, expected, atol=1e-4)
    other.close()


def test_order_in_the_batch_does_not_matter(
    pipeline: Pipeline, utterances: list[Utterance], conditions: list[Condition]
) -> None:
    forward = pipeline.mels(utterances, conditions)
    backward = pipeline.mels(utterances[::-1], conditions[::-1])[::-1]
    for mel, other in zip(forward, backward, strict=True):
        np.testing.assert_allclose(mel, other, atol=1e-4)


def test_nothing_to_speak_is_nothing(pipeline: Pipeline) -> None:
    assert pipeline.synthesize([], []) == []


@given(st.lists(st.integers(0, 60), min_size=1, max_size=50), st.integers(1, 300))
def test_fitted_durations(durations: Sequence[int], most: int) -> None:
    given_durations = np.array(durations, np.float32)
    fitted = fitted_durations(given_durations, most)
    assert fitted.dtype == np.float32
    assert fitted.shape == given_durations.shape
    assert (fitted >= 0).all()
    assert (fitted == np.rint(fitted)).all()
    assert fitted.sum() == max(1, min(sum(durations), most))
    if 1 <= sum(durations) <= most:
        np.testing.assert_array_equal(fitted, given_durations)


def test_utterances_too_long_are_sped_up_to_fit(
    pipeline: Pipeline, utterances: list[Utterance], speaking: Speaking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acoustic, "MAX_FRAMES", 50)
    mels = pipeline.mels(utterances, [speaking()] * len(utterances))
    assert max(map(len, mels)) == 50
    assert min(map(len, mels)) < 50


def test_even_the_fastest_speech_has_a_frame(
    pipeline: Pipeline, utterances: list[Utterance], speaking: Speaking
) -> None:
    (mel,) = pipeline.mels(utterances[:1], [replace(speaking(), prosody=Prosody(speed=10_000.0))])
    assert mel.shape == (1, 80)


def broken(bundle: Bundle, stage: str, weight: str) -> OrtRunner:
    """The stage's real graph with one bias that is not a number."""
    model = onnx.load_from_string(bundle.stage_bytes(stage))
    item = next(item for item in model.graph.initializer if item.name == weight)
    item.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(item) * np.float32("nan"), weight))
    good = open_runner(bundle, stage, threads=1)
    return OrtRunner(stage, model.SerializeToString(), good.inputs, good.outputs, 1)


def test_values_that_are_not_finite_are_an_error(
    opened_bundle: Bundle, utterances: list[Utterance], speaking: Speaking
) -> None:
    encoder, decoder = (open_runner(opened_bundle, stage, threads=1) for stage in (TEXT_ENCODER, DECODER))
    no_durations = AcousticStages(
        broken(opened_bundle, TEXT_ENCODER, "duration_predictor.out.bias"), decoder, BatchLimits()
    )
    with pytest.raises(BackendError, match=r"text encoder .* not finite for \d+ tokens"):
        no_durations.speak(utterances[:1], [speaking()])
    no_mel = AcousticStages(encoder, broken(opened_bundle, DECODER, "to_mel.bias"), BatchLimits())
    with pytest.raises(BackendError, match=r"decoder .* not finite for \d+ tokens"):
        no_mel.speak(utterances[:1], [speaking()])


def test_durations_add_up_to_the_mel(
    pipeline: Pipeline, utterances: list[Utterance], conditions: list[Condition]
) -> None:
    for utterance, made in zip(utterances, pipeline.acoustics(utterances, conditions), strict=True):
        assert made.durations_frames.dtype == np.int64
        assert made.durations_frames.shape == (utterance.token_count,)
        assert made.durations_frames.min() >= 0
        assert made.durations_frames.sum() == len(made.mel)


def test_one_that_fails_does_not_fail_the_others() -> None:
    runs: list[list[int]] = []

    def run(members: Sequence[int]) -> list[int | BackendError]:
        runs.append(list(members))
        if 2 in members:
            raise BackendError("two is too much")
        return [member * 10 for member in members]

    outcomes = outcomes_apart(run, [1, 2, 3])
    assert outcomes[0::2] == [10, 30]
    assert isinstance(outcomes[1], BackendError)
    assert runs == [[1, 2, 3], [1], [2], [3]]
