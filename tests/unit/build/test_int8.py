"""Explicit quantization: the right numbers, the right places, and what it refuses."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.unit.build.graphs import model, residual_block, run, types
from tests.unit.build.test_fp16 import check_typing

from emotirt.build.calibration import METHODS, Method, calibrate, chosen, collect
from emotirt.build.fold import folded
from emotirt.build.fp16 import to_fp16
from emotirt.build.int8 import calibrated_tensors, quantizable, to_int8
from emotirt.errors import BuildError


def linear(weight: np.ndarray) -> bytes:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    return model(nodes, {"x": ["n", weight.shape[0]]}, {"y": ["n", weight.shape[1]]}, {"w": weight})


def test_quantized_products_are_those_of_int8() -> None:
    rng = np.random.default_rng(0)
    weight = (rng.standard_normal((16, 5)) * [0.01, 0.1, 1, 10, 100]).astype(np.float32)  # channels apart
    x = rng.standard_normal((40, 16)).astype(np.float32)
    graph = to_int8(linear(weight), {"x": 2.0})
    scale, scales = np.float32(2.0 / 127), (np.abs(weight).max(axis=0) / 127).astype(np.float32)
    small = np.clip(np.rint(x / scale), -128, 127).astype(np.int64)
    assert (np.abs(x) > 2.0).any()  # some values are clipped
    expected = (small @ np.rint(weight / scales).astype(np.int64)) * scale * scales
    np.testing.assert_allclose(run(graph, x=x), expected, rtol=1e-5, atol=1e-5)
    assert types(graph)["x/int8"] == TensorProto.INT8


def pairs(graph: bytes) -> dict[str, set[str]]:
    """Map every quantized tensor to the operators that read it dequantized."""
    nodes = onnx.load_from_string(graph).graph.node
    wide = {node.output[0]: node.input[0].removesuffix("/int8") for node in nodes if node.op_type == "DequantizeLinear"}
    found: dict[str, set[str]] = {}
    for node in nodes:
        for name in set(node.input) & set(wide):
            found.setdefault(wide[name], set()).add(node.name)
    return found


@pytest.fixture
def small() -> tuple[bytes, dict[str, float], np.ndarray]:
    rng = np.random.default_rng(3)
    graph, mel = residual_block(rng), rng.standard_normal((1, 4, 60)).astype(np.float32)
    return graph, calibrate(graph, [{"mel": mel}], "max"), mel


def test_pairs_stand_behind_the_activation_and_never_behind_a_product(
    small: tuple[bytes, dict[str, float], np.ndarray],
) -> None:
    graph, ranges, _ = small
    read = pairs(to_int8(graph, ranges))
    activations = {name for name in read if name in ranges}
    assert activations == {"mel", "b", "d", "f", "h"}  # inputs of products, each after its leaky ReLU or sum
    assert read["d"] == {"/Conv/e"}
    assert pairs(to_int8(graph, ranges, residuals=True))["c"] == {"/Add/h"}


def test_weights_have_a_scale_for_each_output_channel(small: tuple[bytes, dict[str, float], np.ndarray]) -> None:
    graph, ranges, _ = small
    made = onnx.load_from_string(to_int8(graph, ranges)).graph
    weights = {item.name: numpy_helper.to_array(item) for item in made.initializer}
    axes = {
        node.input[0]: node.attribute[0].i for node in made.node if node.op_type == "QuantizeLinear" and node.attribute
    }
    assert axes == {"first": 0, "up": 1, "dilated": 0, "plain": 0, "last": 0}
    for name, axis in axes.items():
        assert weights[f"{name}/scale"].shape == (weights[name].shape[axis],)


def test_kept_layers_are_untouched(small: tuple[bytes, dict[str, float], np.ndarray]) -> None:
    graph, ranges, mel = small
    everything = list(quantizable(folded(graph)))
    np.testing.assert_array_equal(run(to_int8(graph, ranges, everything), mel=mel), run(graph, mel=mel))
    errors = [
        np.abs(run(to_int8(graph, ranges, everything[:count]), mel=mel) - run(graph, mel=mel)).mean()
        for count in (0, 4)
    ]
    assert errors[0] > errors[1] > 0


def test_the_rest_becomes_float16(small: tuple[bytes, dict[str, float], np.ndarray]) -> None:
    graph, ranges, mel = small
    quantized = to_int8(graph, ranges)
    half = to_fp16(quantized)
    check_typing(half)
    assert onnx.load_from_string(half).opset_import[0].version == 19
    assert types(half)["b/scale/half"] == TensorProto.FLOAT16
    errors = np.abs(run(half, mel=mel) - run(quantized, mel=mel))
    assert errors.max() < 0.05  # a step of int8 here and there
    assert np.median(errors) < 0.002


def test_depthwise_convolutions_are_left_alone() -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], group=4, pads=[1, 1])]
    graph = model(nodes, {"x": ["n", 4, "t"]}, {"y": ["n", 4, "t"]}, {"w": np.ones((4, 1, 3), np.float32)})
    assert not quantizable(folded(graph))
    assert not calibrated_tensors(folded(graph))


def test_what_cannot_be_quantized_is_refused(small: tuple[bytes, dict[str, float], np.ndarray]) -> None:
    graph, ranges, _ = small
    with pytest.raises(BuildError, match="'/Conv/nowhere' is to be kept"):
        to_int8(graph, ranges, ["/Conv/nowhere"])
    with pytest.raises(BuildError, match="tensor 'mel' has range None"):
        to_int8(graph, {name: value for name, value in ranges.items() if name != "mel"})
    with pytest.raises(BuildError, match="calibration needs utterances"):
        calibrate(graph, [])
    with pytest.raises(BuildError, match="not finite"):
        calibrate(graph, [{"mel": np.full((1, 4, 9), np.nan, np.float32)}])


def test_ranges_come_from_every_utterance() -> None:
    weight = np.eye(3, dtype=np.float32)
    feeds = [{"x": np.array([[0.5, -0.25, 0.0]], np.float32)}, {"x": np.array([[1.0, -4.0, 2.0]], np.float32)}]
    assert calibrate(linear(weight), feeds, "max") == {"x": 4.0}
    counts, largest = collect(linear(weight), feeds)["x"]
    assert largest == 4.0
    assert counts.sum() == 6


@pytest.mark.parametrize("method", METHODS)
def test_methods_weigh_outliers(method: Method) -> None:
    values = np.abs(np.random.default_rng(5).standard_normal(200_000))
    counts = np.histogram(np.append(values, 40.0), bins=4096, range=(0.0, 40.0))[0].astype(float)
    found = chosen(counts, 40.0, method)
    if method == "max":
        assert found == 40.0
    else:
        assert 2.0 < found < 20.0  # one value of 200,001 does not decide


def test_the_mse_range_has_the_least_error() -> None:
    values = np.abs(np.random.default_rng(6).laplace(size=100_000))
    largest = float(values.max())
    counts = np.histogram(values, bins=4096, range=(0.0, largest))[0].astype(float)

    def error(top: float) -> float:
        scale = top / 127
        return float(((np.minimum(np.rint(values / scale), 127) * scale - values) ** 2).mean())

    best = chosen(counts, largest, "mse")
    assert error(best) < 0.9 * error(largest)
    assert error(best) < 1.05 * min(error(top) for top in np.linspace(0.1, 1.0, 60) * largest)
