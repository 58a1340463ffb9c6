"""Rewrites of vocoder graphs give what the original gives, and change what they say they change."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional

from emotirt.build.floors import layers
from emotirt.build.polyphase import cropped_phases, spread_phases
from emotirt.build.rewrites import REWRITES, rewritten, with_stage_graph
from emotirt.build.shapes import sized_graph
from emotirt.build.variants import make_variant
from emotirt.bundle.contract import VOCODER
from emotirt.bundle.store import Bundle
from emotirt.engine import Engine, SpeechRequest
from emotirt.errors import BuildError

COMBINATIONS = (
    *((name,) for name in REWRITES),
    ("polyphase", "planar"),
    ("polyphase-cropped", "merge-narrow-branches", "planar"),
)


@pytest.fixture(scope="module")
def graph(opened_bundle: Bundle) -> bytes:
    return opened_bundle.stage_bytes(VOCODER)


def run(graph: bytes, feeds: dict[str, np.ndarray]) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, feeds)[0]
    return result


def kinds(graph: bytes) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load_from_string(graph).graph.node)


def flop(graph: bytes) -> int:
    return sum(layer.flop for layer in layers(sized_graph(graph, {"batch": 1, "frames": 50})))


@pytest.mark.parametrize("names", COMBINATIONS, ids="+".join)
@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (2, 41)])
def test_audio_stays_the_same(graph: bytes, names: tuple[str, ...], batch: int, frames: int) -> None:
    mel = np.random.default_rng(frames).normal(-5.0, 2.0, (batch, 80, frames)).astype(np.float32)
    wanted = run(graph, {"mel": mel})
    given = run(rewritten(graph, names), {"mel": mel})
    assert np.abs(wanted).max() > 0.01
    np.testing.assert_allclose(given, wanted, rtol=0, atol=1e-5)


def test_transposed_convolutions_and_changes_of_rank_go(graph: bytes) -> None:
    before = kinds(graph)
    assert before["ConvTranspose"] == 4
    for name in ("polyphase", "polyphase-cropped"):
        after = kinds(rewritten(graph, [name]))
        assert after["ConvTranspose"] == 0
        assert after["Conv"] == before["Conv"] + 4
    planar = kinds(rewritten(graph, ["planar"]))
    assert planar["Unsqueeze"] == 1
    assert planar["Squeeze"] == before["Squeeze"] + 1
    weights = onnx.load_from_string(rewritten(graph, ["planar"])).graph.initializer
    assert not [item.name for item in weights if len(item.dims) == 3]


def test_what_the_rewrites_cost_in_arithmetic(graph: bytes) -> None:
    plain = flop(graph)
    assert flop(rewritten(graph, ["planar"])) == plain
    assert plain < flop(rewritten(graph, ["polyphase-cropped"])) < flop(rewritten(graph, ["polyphase"]))
    assert flop(rewritten(graph, ["merge-branches"])) > 1.05 * plain


def test_merging_leaves_one_first_convolution_a_level(graph: bytes) -> None:
    before, after = kinds(graph), kinds(rewritten(graph, ["merge-branches"]))
    assert after["Conv"] == before["Conv"] - 2 * 4
    assert after["Split"] == 4


@pytest.mark.parametrize("rewrite", [spread_phases, cropped_phases])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(16, 8, 4), (4, 2, 1), (7, 3, 2), (3, 3, 0), (11, 5, 3)])
def test_phases_of_any_kernel(rewrite: object, kernel: int, stride: int, padding: int) -> None:
    rng = np.random.default_rng(kernel)
    weight, bias = rng.standard_normal((3, 2, kernel)).astype(np.float32), np.array([0.5, -1.0], dtype=np.float32)
    made = helper.make_graph(
        [
            helper.make_node(
                "ConvTranspose",
                ["x", "w", "b"],
                ["y"],
                strides=[stride],
                pads=[padding, padding],
                kernel_shape=[kernel],
            )
        ],
        "up",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, "frames"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2, "samples"])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    x = rng.standard_normal((2, 3, 9)).astype(np.float32)
    wanted = functional.conv_transpose1d(*map(torch.from_numpy, (x, weight, bias)), stride, padding).numpy()
    if kernel - 2 * padding != stride:
        with pytest.raises(BuildError, match=f"not {stride} times as long"):
            rewrite(model.graph)  # type: ignore[operator]
        return
    assert rewrite(model.graph) == 1  # type: ignore[operator]
    assert [node.op_type for node in model.graph.node].count("ConvTranspose") == 0
    np.testing.assert_allclose(run(model.SerializeToString(), {"x": x}), wanted, rtol=0, atol=1e-5)


def test_wrong_requests_are_named(graph: bytes, opened_bundle: Bundle) -> None:
    with pytest.raises(BuildError, match="unknown rewrite 'faster'; available: polyphase"):
        rewritten(graph, ["faster"])
    with pytest.raises(BuildError, match="'polyphase' finds nothing to do in the graph of stage decoder"):
        rewritten(opened_bundle.stage_bytes("decoder"), ["polyphase"], "decoder")


def test_a_rewritten_bundle_speaks(opened_bundle: Bundle, graph: bytes, tmp_path: Path) -> None:
    made = with_stage_graph(opened_bundle, tmp_path / "made", VOCODER, rewritten(graph, ["polyphase"]), "tiny-made")
    assert made.manifest.name == "tiny-made"
    assert made.digest != opened_bundle.digest
    heard = []
    for path in (opened_bundle.path, made.path):
        with Engine.open(path, threads=1) as engine:
            heard.append(engine.say(SpeechRequest("Good morning.")).audio.samples)
    np.testing.assert_allclose(heard[1], heard[0], rtol=0, atol=1e-4)


def test_a_variant_says_which_shapes_its_plans_are_for(opened_bundle: Bundle, tmp_path: Path) -> None:
    made = make_variant(opened_bundle.path, tmp_path / "made", "polyphase+planar@937,90x32")
    assert made.manifest.name == "tiny-polyphase-planar-937-90x32"
    assert made.manifest.profiles == {
        VOCODER: (
            {"batch": (1, 1, 1), "frames": (937, 937, 937)},
            {"batch": (32, 32, 32), "frames": (90, 90, 90)},
        )
    }
    plain = make_variant(opened_bundle.path, tmp_path / "plain", "plain@64")
    assert plain.stage_bytes(VOCODER) == opened_bundle.stage_bytes(VOCODER)
    for wrong in ("", "@937", "faster", "form:conv", "plain@0", "plain@12y"):
        with pytest.raises(BuildError, match=r"variant|rewrite|shape|form"):
            make_variant(opened_bundle.path, tmp_path / "wrong", wrong)
