"""Window by window the vocoder gives what it gives at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from emotirt.bundle.contract import VOCODER
from emotirt.bundle.store import Bundle
from emotirt.errors import BackendError
from emotirt.runtime.open import open_runner
from emotirt.runtime.ort import OrtRunner
from emotirt.synthesis.vocoder import BLOCK_FRAMES, FIRST_BLOCK_FRAMES, VocoderStage
from emotirt.types import FloatArray

CONTEXT, HOP = 13, 256
BORDERS = (FIRST_BLOCK_FRAMES, FIRST_BLOCK_FRAMES + BLOCK_FRAMES, FIRST_BLOCK_FRAMES + 2 * BLOCK_FRAMES)
LENGTHS = sorted(
    {1, 2, 3, 12, 13, 14, 26, 27} | {border + off for border in BORDERS for off in (-1, 0, 1, 12, 13, 14, 47, 48, 49)}
)


def mel(frames: int) -> FloatArray:
    return (-5 + 2 * np.random.default_rng(frames).standard_normal((frames, 80))).astype(np.float32)


@pytest.fixture(scope="module")
def stage(opened_bundle: Bundle) -> Iterator[VocoderStage]:
    made = VocoderStage(open_runner(opened_bundle, VOCODER, threads=1), HOP, CONTEXT)
    yield made
    made.close()


def test_the_bundle_says_13(opened_bundle: Bundle) -> None:
    assert opened_bundle.manifest.vocoder_context_frames == CONTEXT


@pytest.mark.parametrize("frames", LENGTHS)
def test_stream_equals_one_shot(stage: VocoderStage, frames: int) -> None:
    (whole,) = stage.waveforms([mel(frames)])
    streamed = np.concatenate(list(stage.stream(mel(frames))))
    assert streamed.shape == whole.shape == (frames * HOP,)
    assert np.abs(streamed - whole).max() <= 1e-4
    assert np.abs(whole).max() > 0.1  # the bound is about something that can be heard


@pytest.mark.parametrize(("block", "first"), [(1, 1), (5, 3), (13, 40), (1000, 7)])
def test_any_block_gives_the_same(stage: VocoderStage, block: int, first: int) -> None:
    (whole,) = stage.waveforms([mel(61)])
    assert np.abs(np.concatenate(list(stage.stream(mel(61), block, first))) - whole).max() <= 1e-4


def test_less_context_would_be_heard(opened_bundle: Bundle) -> None:
    """The comparison can tell: with a context far too small the same test fails."""
    starved = VocoderStage(open_runner(opened_bundle, VOCODER, threads=1), HOP, 3)
    (whole,) = starved.waveforms([mel(200)])
    assert np.abs(np.concatenate(list(starved.stream(mel(200)))) - whole).max() > 1e-3


def test_mels_of_any_number_and_length(stage: VocoderStage) -> None:
    assert stage.waveforms([]) == []
    assert [len(wav) for wav in stage.waveforms([mel(3), mel(1), mel(8)])] == [3 * HOP, HOP, 8 * HOP]


def test_pieces_are_made_when_asked_for(stage: VocoderStage) -> None:
    pieces = stage.stream(mel(400))
    assert len(next(pieces)) == FIRST_BLOCK_FRAMES * HOP
    assert len(next(pieces)) == BLOCK_FRAMES * HOP


def test_another_hop_than_the_manifest_says_is_named(opened_bundle: Bundle) -> None:
    wrong = VocoderStage(open_runner(opened_bundle, VOCODER, threads=1), 200, CONTEXT)
    with pytest.raises(BackendError, match="hop differs from the manifest"):
        wrong.waveforms([mel(2)])


def test_samples_that_are_not_finite_are_an_error(opened_bundle: Bundle) -> None:
    model = onnx.load_from_string(opened_bundle.stage_bytes(VOCODER))
    bias = next(item for item in model.graph.initializer if item.name == "last.bias")
    bias.CopyFrom(numpy_helper.from_array(np.array([np.nan], np.float32), "last.bias"))
    good = open_runner(opened_bundle, VOCODER, threads=1)
    broken = OrtRunner(VOCODER, model.SerializeToString(), good.inputs, good.outputs, 1)
    with pytest.raises(BackendError, match="not finite"):
        VocoderStage(broken, HOP, CONTEXT).waveforms([mel(2)])
