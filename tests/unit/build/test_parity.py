"""The comparison itself: it passes equal graphs and refuses really different ones, naming where."""

from __future__ import annotations

import numpy as np
import pytest
from tests.assets.make_tiny_bundle import TINY_STAGES
from tests.unit.build.perturbed import perturbed

from emotirt.build.parity import TOLERANCES, ShapeCase, compare_stage
from emotirt.bundle.contract import DECODER, REFERENCE_ENCODER, TEXT_ENCODER, VOCODER
from emotirt.bundle.store import Bundle
from emotirt.errors import ParityFailed
from emotirt.runtime.open import open_runner

CASES = (ShapeCase("one", 1, 9, 40), ShapeCase("batch", 3, 20, 90))


@pytest.mark.parametrize(
    ("stage", "weight", "output"),
    [
        (REFERENCE_ENCODER, "speaker_out.weight.half", "speaker"),
        (TEXT_ENCODER, "merge.bias", "hidden"),
        (TEXT_ENCODER, "duration_predictor.out.bias", "durations"),
        (DECODER, "to_mel.bias", "mel"),
        (VOCODER, "upsamplers.1.weight.half", "wav"),
    ],
)
def test_a_perturbed_graph_is_refused(opened_bundle: Bundle, stage: str, weight: str, output: str) -> None:
    reference = open_runner(opened_bundle, stage, "torch", threads=1)
    bad = perturbed(opened_bundle, stage, weight, 0.02)
    with pytest.raises(ParityFailed) as caught:
        compare_stage(stage, reference, bad, len(opened_bundle.symbols), CASES)
    for word in (f"stage {stage}", "case one", f"output {output!r}", "differs by", "allowed is"):
        assert word in str(caught.value)


@pytest.mark.parametrize("stage", TINY_STAGES)
def test_differences_are_measured(opened_bundle: Bundle, stage: str) -> None:
    runner = open_runner(opened_bundle, stage, threads=1)
    differences = compare_stage(stage, runner, runner, len(opened_bundle.symbols), CASES)
    assert {item.largest for item in differences} == {0.0}
    assert {item.stage for item in differences} == {stage}
    assert {item.output for item in differences} <= {*TOLERANCES, "durations"}


def test_a_graph_that_gives_nothing_finite_is_refused(opened_bundle: Bundle) -> None:
    bad = perturbed(opened_bundle, VOCODER, "last.bias", float("nan"))
    with pytest.raises(ParityFailed, match="not finite"):
        compare_stage(VOCODER, open_runner(opened_bundle, VOCODER, threads=1), bad, 10, CASES)
    with pytest.raises(ParityFailed, match="nan"):
        compare_stage(VOCODER, bad, open_runner(opened_bundle, VOCODER, threads=1), 10, CASES)


def test_inputs_are_seeded(opened_bundle: Bundle) -> None:
    """Reports of two runs can be compared, because both saw the same inputs."""
    reference = open_runner(opened_bundle, DECODER, "torch", threads=1)
    candidate = open_runner(opened_bundle, DECODER, threads=1)
    first, second = (compare_stage(DECODER, reference, candidate, 10, CASES) for _ in range(2))
    assert np.array_equal([item.largest for item in first], [item.largest for item in second])
