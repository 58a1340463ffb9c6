"""Arithmetic, bytes and floors of graphs, and times of a plan's layers beside them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from emotirt.build.floors import Device, layers
from emotirt.build.layer_times import read_metadata, read_times, timed_layers
from emotirt.build.shapes import SizedGraph, sized_graph
from emotirt.bundle.contract import TEXT_ENCODER, VOCODER
from emotirt.bundle.store import Bundle
from emotirt.errors import BuildError, InvalidRequest

DEVICE = Device(tflops=1.0, bandwidth_gbps=1.0, value_bytes=4)


def two_convolutions() -> bytes:
    """x [B, 3, T] -> conv 3 taps -> leaky -> conv 1 tap -> + x."""
    rng = np.random.default_rng(0)
    first, second = (rng.standard_normal((3, 3, taps)).astype(np.float32) for taps in (3, 1))
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["a"], name="/first/Conv", pads=[1, 1], kernel_shape=[3]),
        helper.make_node("LeakyRelu", ["a"], ["b"], name="/LeakyRelu", alpha=0.1),
        helper.make_node("Conv", ["b", "second"], ["c"], name="/second/Conv", kernel_shape=[1]),
        helper.make_node("Add", ["c", "x"], ["y"], name="/Add"),
    ]
    graph = helper.make_graph(
        nodes,
        "two",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, "frames"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3, "frames"])],
        [numpy_helper.from_array(first, "first"), numpy_helper.from_array(second, "second")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


@pytest.fixture(scope="module")
def sized() -> SizedGraph:
    return sized_graph(two_convolutions(), {"batch": 2, "frames": 10})


def test_layers_hold_what_is_computed_on_the_way(sized: SizedGraph) -> None:
    first, second = layers(sized, value_bytes=4)
    assert first.nodes == ("/first/Conv", "/LeakyRelu")
    assert second.nodes == ("/second/Conv", "/Add")
    assert first.flop == 2 * 2 * 10 * 3 * 3 * 3
    assert second.flop == 2 * 2 * 10 * 3 * 3
    tensor = 4 * 2 * 3 * 10
    assert (first.weight_bytes, first.activation_bytes) == (4 * 27, 2 * tensor)
    assert (second.weight_bytes, second.activation_bytes) == (4 * 9, 3 * tensor)  # the skipped input is read again
    assert first.floor_ms(DEVICE) == pytest.approx(max(1080 / 1e9, (108 + 480) / 1e6))


def test_an_output_of_the_graph_is_written(opened_bundle: Bundle) -> None:
    made = layers(sized_graph(opened_bundle.stage_bytes(TEXT_ENCODER), {"batch": 1, "tokens": 12}))
    assert sum(layer.flop for layer in made) > 0
    named = [name for layer in made for name in layer.nodes]
    assert len(named) == len(set(named))


def test_hifigan_has_the_arithmetic_that_its_sizes_say(opened_bundle: Bundle) -> None:
    frames, channels = 20, 16
    made = layers(sized_graph(opened_bundle.stage_bytes(VOCODER), {"batch": 1, "frames": frames}))
    expected, length = 2 * 7 * 80 * channels * frames, frames
    for rate, kernel in zip((8, 8, 2, 2), (16, 16, 4, 4), strict=True):
        expected += 2 * length * channels * (channels // 2) * kernel
        length, channels = length * rate, channels // 2
        expected += 2 * length * channels * channels * 6 * (3 + 7 + 11)
    expected += 2 * 7 * channels * length
    assert sum(layer.flop for layer in made) == expected


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(BuildError, match="input 'x' has axis 'frames'"):
        sized_graph(two_convolutions(), {"batch": 1})
    with pytest.raises(InvalidRequest, match="are no device"):
        Device(0.0, 1.0)


def test_times_of_fused_layers_meet_their_nodes(sized: SizedGraph, tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text(
        json.dumps(
            [
                {"count": 10},
                {"name": "/first/Conv + PWN(/LeakyRelu)", "timeMs": 3.0, "medianMs": 0.3},
                {"name": "Reformatting CopyNode for Input Tensor 0 to /second/Conv + /Add", "medianMs": 0.1},
                {"name": "/second/Conv + /Add", "medianMs": 0.2},
            ]
        )
    )
    found = timed_layers(sized, read_times(profile), {}, 4)
    assert set(found[0].nodes) == {"/LeakyRelu", "/first/Conv"}
    assert found[0].time_ms == 0.3
    assert (found[1].flop, found[1].nodes) == (0, ())
    assert set(found[2].nodes) == {"/second/Conv", "/Add"}
    assert [item.flop for item in found] == [1080, 0, 360]
    assert [item.bytes for item in found] == [108 + 480, 0, 36 + 720]
    row = found[0].to_dict(DEVICE)
    assert row["tflops"] == pytest.approx(1080 / 0.3 / 1e9, rel=1e-3)


def test_metadata_of_the_inspector_names_the_nodes(sized: SizedGraph, tmp_path: Path) -> None:
    inspector = tmp_path / "layers.json"
    metadata = "[ONNX Layer: /first/Conv]\x1e[ONNX Layer: /LeakyRelu]"
    inspector.write_text(json.dumps({"Layers": [{"Name": "conv_0", "LayerType": "conv", "Metadata": metadata}]}))
    found = timed_layers(sized, {"conv_0": 1.0}, read_metadata(inspector), 4)
    assert found[0].nodes == ("/first/Conv", "/LeakyRelu")


@pytest.mark.parametrize("content", ["[]", "{", '[{"name": "a"}]', '"text"'])
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(InvalidRequest, match="holds no times of layers"):
        read_times(path)
    with pytest.raises(InvalidRequest, match="holds no layers of a plan"):
        read_metadata(path)


def test_shapes_that_inference_leaves_open_are_found(opened_bundle: Bundle) -> None:
    graph = opened_bundle.stage_bytes(TEXT_ENCODER)
    sized = sized_graph(graph, {"batch": 2, "tokens": 9})
    assert sized.shapes["hidden"] == (2, 9, 16)
    assert sized.shapes["durations"] == (2, 9)
    weights = {item.name for item in onnx.load_from_string(graph).graph.initializer}
    assert weights <= sized.constant
    assert all(name in sized.shapes for node in sized.live_nodes() for name in node.output if name)
