"""Weights stored in float16: half the bytes, the very same numbers."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.assets.make_tiny_bundle import TINY_STAGES

from emotirt.build.half_storage import store_half
from emotirt.bundle.store import Bundle
from emotirt.errors import ExportFailed


def linear(weight: np.ndarray) -> onnx.ModelProto:
    bias = np.full(weight.shape[1], 1 / 3, np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weight"], ["xw"]), helper.make_node("Add", ["xw", "bias"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", weight.shape[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", weight.shape[1]])],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(["y"], {"x": x})[0]
    return result


def test_results_are_the_same_and_the_file_is_half() -> None:
    rng = np.random.default_rng(1)
    weight = rng.standard_normal((300, 200)).astype(np.float16).astype(np.float32)
    x = rng.standard_normal((4, 300)).astype(np.float32)
    model = linear(weight)
    size, before = model.ByteSize(), run(model, x)
    store_half(model, "linear")
    onnx.checker.check_model(model, full_check=True)
    assert model.ByteSize() < 0.52 * size
    np.testing.assert_array_equal(run(model, x), before)
    types = {item.name: item.data_type for item in model.graph.initializer}
    assert types == {"weight.half": TensorProto.FLOAT16, "bias": TensorProto.FLOAT}


@pytest.mark.parametrize("value", [1 / 3, 1e6, 1e-9, float("nan")])
def test_a_weight_that_would_lose_is_refused(value: float) -> None:
    weight = np.ones((2, 2), np.float32)
    weight[0, 1] = value
    with pytest.raises(ExportFailed, match=r"stage linear: weight 'weight'"):
        store_half(linear(weight), "linear")


@pytest.mark.parametrize("stage", TINY_STAGES)
def test_the_bundle_holds_no_wide_matrix(opened_bundle: Bundle, stage: str) -> None:
    graph = onnx.load_from_string(opened_bundle.stage_bytes(stage)).graph
    wide = [item.name for item in graph.initializer if item.data_type == TensorProto.FLOAT and len(item.dims) > 1]
    assert wide == []
    assert all(item.type.tensor_type.elem_type != TensorProto.FLOAT16 for item in (*graph.input, *graph.output))
