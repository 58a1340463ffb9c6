"""Float16 graphs: one type a tensor, float32 where half precision fails, and the emulation that measures them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.assets.make_tiny_bundle import TINY_STAGES
from tests.unit.build.graphs import model, residual_block, run, types

from emotirt.build.fold import folded
from emotirt.build.fp16 import to_fp16
from emotirt.build.half_emulation import emulated
from emotirt.build.islands import ISLANDS, Islands, float32_nodes
from emotirt.bundle.contract import DECODER, PROMPT_ENCODER, TEXT_ENCODER
from emotirt.bundle.store import Bundle
from emotirt.errors import BuildError
from emotirt.runtime.open import open_runner
from emotirt.runtime.ort import OrtRunner

HALF, WIDE = TensorProto.FLOAT16, TensorProto.FLOAT
MAKES_TYPES = {"Cast", "QuantizeLinear", "DequantizeLinear", "Shape", "ConstantOfShape", "Where", "Equal", "Less"}


def check_typing(graph: bytes) -> None:
    """Every operator reads floats of one type only, constants have no Cast, boundaries are float32."""
    loaded, kinds = onnx.load_from_string(graph).graph, types(graph)
    stored = {item.name for item in loaded.initializer}
    for node in loaded.node:
        floats = {kinds[name] for name in node.input if kinds.get(name) in (HALF, WIDE)}
        assert len(floats) <= 1, node.name
        if node.op_type == "Cast":
            assert node.input[0] not in stored, node.name
    assert all(kinds[item.name] != HALF for item in (*loaded.input, *loaded.output))


def ancestors(graph: bytes, output: str) -> set[str]:
    producers = {name: node for node in onnx.load_from_string(graph).graph.node for name in node.output}
    found, waiting = set(), [output]
    while waiting:
        name = waiting.pop()
        if name in producers and name not in found:
            found.add(name)
            waiting += producers[name].input
    return found


@pytest.mark.parametrize("stage", TINY_STAGES)
def test_every_stage_is_strongly_typed(opened_bundle: Bundle, stage: str) -> None:
    graph = to_fp16(opened_bundle.stage_bytes(stage))
    check_typing(graph)
    assert HALF in types(graph).values()
    assert [item.version for item in onnx.load_from_string(graph).opset_import] == [17]


@pytest.mark.parametrize("stage", [PROMPT_ENCODER, TEXT_ENCODER, DECODER, "vocoder"])
def test_stages_of_the_other_family_too(emotivoice_bundle: Bundle, stage: str) -> None:
    graph = to_fp16(emotivoice_bundle.stage_bytes(stage))
    check_typing(graph)
    tables = [node.input[0] for node in onnx.load_from_string(graph).graph.node if node.op_type == "Gather"]
    assert all(types(graph).get(name) != WIDE for name in tables) or stage != PROMPT_ENCODER  # words are most of it


def test_nothing_before_the_durations_is_float16(opened_bundle: Bundle) -> None:
    graph = opened_bundle.stage_bytes(TEXT_ENCODER)
    for islands, expected in ((ISLANDS, False), (replace(ISLANDS, cones=frozenset()), True)):
        made = to_fp16(graph, islands)
        kinds = types(made)
        assert any(kinds.get(name) == HALF for name in ancestors(made, "durations")) == expected


def test_long_utterances_overflow_without_the_islands(opened_bundle: Bundle) -> None:
    runner = open_runner(opened_bundle, DECODER, threads=1)
    rng = np.random.default_rng(0)
    frames, tokens = 900, 9
    feeds = {
        "hidden": rng.standard_normal((1, tokens, opened_bundle.manifest.hidden_dim)).astype(np.float32),
        "durations": np.full((1, tokens), frames / tokens, np.float32),
        "lengths": np.array([tokens]),
        "frame_mask": np.ones((1, frames), np.float32),
    }
    expected = runner.run(feeds)["mel"]
    graph = opened_bundle.stage_bytes(DECODER)
    errors = []
    for islands in (ISLANDS, Islands(kinds=frozenset({"Range"}))):
        half = OrtRunner(DECODER, emulated(to_fp16(graph, islands)), runner.inputs, runner.outputs, 1)
        with np.errstate(all="ignore"):
            errors.append(np.abs(half.run(feeds)["mel"] - expected).max())
    assert errors[0] < 0.01
    assert not errors[1] < 0.05  # also where it is NaN


def test_known_sizes_become_constants(opened_bundle: Bundle) -> None:
    graph = folded(opened_bundle.stage_bytes(DECODER)).graph
    assert "Sqrt" not in {node.op_type for node in graph.node}  # of the width of a head


def test_one_cast_serves_all_readers_and_large_constants_stay_wide() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("MatMul", ["x", "v"], ["b"]),
        helper.make_node("Mul", ["a", "large"], ["c"]),
        helper.make_node("Add", ["c", "b"], ["y"]),
    ]
    weights = {"w": np.eye(4, dtype=np.float32), "v": np.eye(4, dtype=np.float32) * 2, "large": np.float32(1e6)}
    graph = model(nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, weights)
    loaded = onnx.load_from_string(to_fp16(graph))
    check_typing(loaded.SerializeToString())
    casts = [node for node in loaded.graph.node if node.op_type == "Cast" and node.input[0] == "x"]
    assert len(casts) == 1
    assert "/Mul/c" in float32_nodes(folded(graph))
    x = np.array([[1.0, -2.0, 0.5, 0.25]], np.float32)
    np.testing.assert_array_equal(run(emulated(loaded.SerializeToString()), x=x), run(graph, x=x))


def test_the_emulation_rounds_after_every_operator() -> None:
    rng = np.random.default_rng(1)
    weight, bias = rng.standard_normal((8, 8)).astype(np.float32), rng.standard_normal(8).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("Add", ["a", "b"], ["y"])]
    graph = to_fp16(model(nodes, {"x": ["n", 8]}, {"y": ["n", 8]}, {"w": weight, "b": bias}), Islands())
    x = rng.standard_normal((16, 8)).astype(np.float32)

    def half(values: np.ndarray) -> np.ndarray:
        return values.astype(np.float16).astype(np.float32)

    wide = half(x) @ half(weight)
    expected = half(half(wide) + half(bias))
    assert not np.array_equal(expected, half(wide + half(bias)))  # what dropping the rounding between them gives
    np.testing.assert_array_equal(run(emulated(graph), x=x), expected)


def test_tanh_is_an_island_and_the_vocoder_stays_close() -> None:
    rng = np.random.default_rng(2)
    graph = residual_block(rng)
    mel = rng.standard_normal((1, 4, 50)).astype(np.float32)
    expected, found = run(graph, mel=mel), run(emulated(to_fp16(graph)), mel=mel)
    ratio = 10 * np.log10((expected**2).sum() / ((expected - found) ** 2).sum())
    assert 50 < ratio < 90  # rounded, and not much


def test_no_model_is_refused() -> None:
    with pytest.raises(BuildError, match="not a valid ONNX model"):
        to_fp16(b"not a model")
