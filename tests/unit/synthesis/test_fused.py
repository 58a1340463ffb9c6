"""Fused stages make what the stages make one by one, and keep the members of a batch apart."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from tests.unit.synthesis.conftest import Speaking

from emotirt.bundle.contract import VOCODER
from emotirt.bundle.store import Bundle
from emotirt.engine.stages import AcousticBatches
from emotirt.errors import BackendError
from emotirt.runtime.fused import ACOUSTIC, SPEECH
from emotirt.runtime.host_device import host_pool
from emotirt.runtime.open import open_runners
from emotirt.runtime.pool import runner_on
from emotirt.runtime.runner import Array, Runner
from emotirt.scheduling.policy import StageLimits
from emotirt.synthesis.batch import BatchLimits
from emotirt.synthesis.fused import FusedAcoustic, FusedSpeech
from emotirt.synthesis.pipeline import Pipeline
from emotirt.synthesis.speech import SpeechPlan, speak_whole
from emotirt.types import Utterance
from emotirt.voices.condition import Condition

LIMITS = BatchLimits(items=3)


@pytest.fixture(scope="module")
def runners(opened_bundle: Bundle) -> dict[str, Runner]:
    """``acoustic`` and ``speech`` in buckets, on ONNX Runtime."""
    exact = open_runners(opened_bundle, ("text_encoder", "decoder", VOCODER), threads=1)
    pool = host_pool(opened_bundle.manifest, exact, slots=2)
    return {stage: runner_on(pool, stage, opened_bundle.manifest) for stage in (ACOUSTIC, SPEECH)}


def test_acoustic_in_one_call_equals_two_stages(
    pipeline: Pipeline, runners: dict[str, Runner], utterances: list[Utterance], conditions: list[Condition]
) -> None:
    fused = FusedAcoustic(runners[ACOUSTIC], LIMITS).speak(utterances, conditions)
    for found, expected in zip(fused, pipeline.acoustics(utterances, conditions), strict=True):
        np.testing.assert_array_equal(found.durations_frames, expected.durations_frames)
        np.testing.assert_allclose(found.mel, expected.mel, atol=2e-4)


def test_speech_in_one_call_equals_three_stages(
    pipeline: Pipeline, runners: dict[str, Runner], utterances: list[Utterance], conditions: list[Condition]
) -> None:
    fused = FusedSpeech(runners[SPEECH], LIMITS, pipeline.hop_samples).speak(utterances, conditions)
    for found, expected in zip(fused, pipeline.synthesize(utterances, conditions), strict=True):
        np.testing.assert_allclose(found.samples, expected, atol=1e-3)


def test_a_plan_spoken_at_once_sounds_the_same(
    opened_bundle: Bundle, runners: dict[str, Runner], utterances: list[Utterance], speaking: Speaking
) -> None:
    plan = SpeechPlan(tuple(utterances[:4]), speaking("bo", "happy"), "bo", 0.001)
    pipeline = Pipeline(opened_bundle, threads=1)
    expected, by_stages = speak_whole(pipeline, plan)
    pipeline._speech = FusedSpeech(runners[SPEECH], LIMITS, pipeline.hop_samples)
    found, at_once = speak_whole(pipeline, plan)
    np.testing.assert_allclose(found.samples, expected.samples, atol=1e-3)
    assert [item.first_sample for item in at_once.spoken] == [item.first_sample for item in by_stages.spoken]
    assert at_once.timings.vocoder_s > 0.0
    assert at_once.timings.audio_s == by_stages.timings.audio_s


class Spoiled:
    """A runner one of whose rows is not finite."""

    def __init__(self, runner: Runner, name: str) -> None:
        self.inputs, self.outputs = runner.inputs, runner.outputs
        self._runner, self._name = runner, name

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        made = self._runner.run(feeds)
        made[self._name][0] = np.nan
        return made

    def close(self) -> None:
        self._runner.close()


@pytest.mark.parametrize(("name", "culprit"), [("mel", "decoder"), ("durations", "text encoder")])
def test_a_row_that_is_not_finite_fails_alone(
    opened_bundle: Bundle,
    runners: dict[str, Runner],
    utterances: list[Utterance],
    conditions: list[Condition],
    name: str,
    culprit: str,
) -> None:
    spoiled: dict[str, Runner] = {ACOUSTIC: Spoiled(runners[ACOUSTIC], name)}
    batches = AcousticBatches(opened_bundle, spoiled, StageLimits(4, 960))
    first, *others = batches.run(list(zip(utterances[1:4], conditions[1:4], strict=True)))
    outcomes = [first, *others]
    failed = [item for item in outcomes if isinstance(item, BackendError)]
    assert len(failed) == 1
    assert culprit in str(failed[0])
    with pytest.raises(BackendError, match=culprit):
        FusedAcoustic(spoiled[ACOUSTIC], LIMITS).speak(utterances[:1], conditions[:1])


def test_speech_that_is_not_finite_is_refused(
    runners: dict[str, Runner], utterances: list[Utterance], conditions: list[Condition]
) -> None:
    with pytest.raises(BackendError, match="vocoder gave values that are not finite"):
        FusedSpeech(Spoiled(runners[SPEECH], "wav"), LIMITS, 256).speak(utterances[:1], conditions[:1])
