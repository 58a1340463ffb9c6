"""Wrong feeds are refused with the stage, the tensor and what is expected, before any backend sees them."""

from __future__ import annotations

import numpy as np
import pytest

from emotirt.bundle.contract import DECODER, STAGES, VOCODER, Dimensions, stage_contract
from emotirt.errors import BackendError
from emotirt.runtime.runner import Array, check_feeds

DIMENSIONS = Dimensions(n_mels=80, hidden=16, speaker=256, emotion=256)
DECODER_INPUTS = stage_contract(DECODER, DIMENSIONS).inputs


def decoder_feeds() -> dict[str, Array]:
    return {
        "hidden": np.zeros((2, 3, 16), np.float32),
        "durations": np.ones((2, 3), np.float32),
        "lengths": np.array([3, 2]),
        "frame_mask": np.ones((2, 7), np.float32),
    }


def test_fitting_feeds_pass() -> None:
    check_feeds(DECODER, DECODER_INPUTS, decoder_feeds())
    check_feeds(VOCODER, stage_contract(VOCODER, DIMENSIONS).inputs, {"mel": np.zeros((1, 80, 1), np.float32)})


@pytest.mark.parametrize("stage", STAGES)
def test_every_tensor_of_the_contract_has_a_known_type(stage: str) -> None:
    contract = stage_contract(stage, DIMENSIONS)
    assert {spec.dtype for spec in (*contract.inputs, *contract.outputs)} <= {"float32", "int64"}
    assert contract.inputs
    assert contract.outputs


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lengths": None}, ["takes", "'lengths'"]),
        ({"extra": np.zeros(1)}, ["takes", "'extra'"]),
        ({"hidden": np.zeros((2, 3, 16))}, ["'hidden'", "float64", "float32"]),
        ({"lengths": np.array([3, 2], np.int32)}, ["'lengths'", "int32", "int64"]),
        ({"hidden": np.zeros((2, 3, 17), np.float32)}, ["'hidden'", "17", "= 16"]),
        ({"hidden": np.zeros((3, 16), np.float32)}, ["'hidden'", "(3, 16)"]),
        ({"durations": np.ones((2, 4), np.float32)}, ["'durations'", "(2, 4)", "'tokens' = 3"]),
        ({"frame_mask": np.ones((1, 7), np.float32)}, ["'frame_mask'", "'batch' = 2"]),
        ({"frame_mask": np.ones((2, 0), np.float32)}, ["'frame_mask'", "'frames' = 1"]),
    ],
)
def test_wrong_feeds_are_named(changes: dict[str, Array | None], words: list[str]) -> None:
    feeds = {name: array for name, array in (decoder_feeds() | changes).items() if array is not None}
    with pytest.raises(BackendError) as caught:
        check_feeds(DECODER, DECODER_INPUTS, feeds)
    assert [word for word in ["stage decoder", *words] if word not in str(caught.value)] == []
