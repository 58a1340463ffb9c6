"""A bundle of a public checkpoint on ONNX Runtime against what the public code gave."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from tests.assets.emotivoice import CASES, arrays, tiny_model

from emotirt.bundle.contract import DECODER, PROMPT_ENCODER, TEXT_ENCODER, VOCODER
from emotirt.bundle.store import Bundle
from emotirt.runtime.open import open_runner
from emotirt.synthesis.batch import BatchLimits
from emotirt.synthesis.frontend import frontend_from_bundle
from emotirt.synthesis.pipeline import Pipeline
from emotirt.types import FloatArray, Prosody
from emotirt.voices.catalog import Catalog
from emotirt.voices.prompts import open_prompts

TOLERANCE = 1e-3
FLIPPED_SHARE = 1e-3
GOLDEN, PROMPTS = arrays("cases.npz"), arrays("prompts.npz")


@pytest.mark.parametrize("case", range(CASES))
def test_equals_the_public_code(emotivoice_bundle: Bundle, case: int) -> None:
    golden = {name: GOLDEN[f"case{case}_{name}"] for name in ("ids", "style", "content", "durations", "mel", "wav")}
    speaker = list(emotivoice_bundle.vectors().voices.values())[int(GOLDEN[f"case{case}_speaker"][0])]
    zero, one = np.zeros(1, dtype=np.float32), np.ones(1, dtype=np.float32)
    lengths = np.array([golden["ids"].shape[1]])
    encoded = open_runner(emotivoice_bundle, TEXT_ENCODER, threads=1).run(
        {
            "ids": golden["ids"], "lengths": lengths, "speaker": speaker[None], "emotion": golden["style"],
            "pitch_shift": zero, "pitch_range": one, "energy": zero, "speed": one, "content": golden["content"],
        }
    )  # fmt: skip
    assert np.array_equal(encoded["durations"], golden["durations"])
    mask = np.ones((1, int(golden["durations"].sum())), dtype=np.float32)
    mel = open_runner(emotivoice_bundle, DECODER, threads=1).run(encoded | {"lengths": lengths, "frame_mask": mask})[
        "mel"
    ]
    assert np.abs(mel - golden["mel"]).max() < TOLERANCE
    wav = open_runner(emotivoice_bundle, VOCODER, threads=1).run({"mel": np.ascontiguousarray(mel.transpose(0, 2, 1))})
    assert wav["wav"].shape == golden["wav"][0].shape
    assert (np.abs(wav["wav"] - golden["wav"][0]) > TOLERANCE).mean() < FLIPPED_SHARE


def test_wavs_below_full_scale_are_close() -> None:
    """The graph of the vocoder, made quiet as ``quiet.npz`` says, against the public wavs."""
    import torch

    from emotirt.build.export import dimensions, export_stage, prepare_networks
    from emotirt.bundle.contract import stage_contract
    from emotirt.runtime.ort import OrtRunner

    quiet, networks = arrays("quiet.npz"), tiny_model().networks
    with torch.no_grad():
        networks.vocoder.last.parametrizations.weight.original0 *= float(quiet["gain"])
        networks.vocoder.last.bias.zero_()
    contract = stage_contract(VOCODER, dimensions(networks))
    graph = export_stage(prepare_networks(networks, half=False), VOCODER, half=False)
    runner = OrtRunner(VOCODER, graph, contract.inputs, contract.outputs, 1)
    for case in (0, 2):
        mel = np.ascontiguousarray(GOLDEN[f"case{case}_mel"].transpose(0, 2, 1))
        assert np.abs(runner.run({"mel": mel})["wav"][0] - quiet[f"case{case}_wav"]).max() < TOLERANCE


def test_prompts_equal_the_public_ones(emotivoice_bundle: Bundle) -> None:
    prompts = open_prompts(emotivoice_bundle, "onnxruntime", 1)
    assert prompts is not None
    texts = [str(PROMPTS[f"prompt{index}_text"]) for index in range(3)]
    for index, (text, content) in enumerate(zip(texts, prompts.contents(texts), strict=True)):
        assert np.abs(prompts.style(text) - PROMPTS[f"prompt{index}_pooled"][0]).max() < 1e-5
        assert np.abs(content - PROMPTS[f"prompt{index}_pooled"][0]).max() < 1e-5


@pytest.mark.parametrize("stage", [PROMPT_ENCODER, TEXT_ENCODER, DECODER, VOCODER])
def test_torch_rebuilds_every_stage_from_its_graph(emotivoice_bundle: Bundle, stage: str) -> None:
    from emotirt.build.parity import ShapeCase, compare_stage

    reference, candidate = (open_runner(emotivoice_bundle, stage, name, 1) for name in ("torch", "onnxruntime"))
    pieces = 66
    cases = (ShapeCase("min", 1, 1, 1), ShapeCase("batch", 3, 40, 90), ShapeCase("max", 1, 64, 200))
    assert compare_stage(stage, reference, candidate, pieces, cases)


def test_a_batch_equals_its_singles(emotivoice_bundle: Bundle) -> None:
    texts = ("你好。", "今天天气真不错，我们一起去公园散步吧！", "It is fine, and 我们 go now.", "No.")
    frontend, catalog = frontend_from_bundle(emotivoice_bundle), Catalog(emotivoice_bundle)
    utterances = [frontend.utterances(text)[0] for text in texts]
    names, moods = [voice.name for voice in catalog.voices], ("neutral", "happy", "sad", "angry")
    conditions = [
        catalog.condition(names[index], moods[index], 1.0, Prosody(0.8 + 0.2 * index, index - 1.0))
        for index in range(len(texts))
    ]
    pipeline = Pipeline(emotivoice_bundle, threads=1, limits=BatchLimits(items=4))
    alone: list[FloatArray] = []
    for utterance, condition in zip(utterances, conditions, strict=True):
        alone += pipeline.mels([utterance], [condition])
    for order in list(permutations(range(len(texts))))[::7]:
        together = pipeline.mels([utterances[i] for i in order], [conditions[i] for i in order])
        for index, mel in zip(order, together, strict=True):
            assert mel.shape == alone[index].shape
            assert np.abs(mel - alone[index]).max() < 1e-4
