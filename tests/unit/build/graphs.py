"""Small graphs for the tests of precision rewrites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

Shape = Sequence[int | str]


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Shape],
    outputs: Mapping[str, Shape],
    weights: Mapping[str, np.ndarray],
) -> bytes:
    """Serialize a float32 graph."""
    for node in nodes:
        node.name = f"/{node.op_type}/{node.output[0]}"
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    data: bytes = made.SerializeToString()
    return data


def run(graph: bytes, **feeds: np.ndarray) -> np.ndarray:
    """Return the first output."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, feeds)[0]
    return result


def types(graph: bytes) -> dict[str, int]:
    """Return the element type of every tensor."""
    loaded = onnx.shape_inference.infer_shapes(onnx.load_from_string(graph), strict_mode=True).graph
    infos = (*loaded.value_info, *loaded.input, *loaded.output)
    found = {info.name: info.type.tensor_type.elem_type for info in infos}
    return found | {item.name: item.data_type for item in loaded.initializer}


def residual_block(rng: np.random.Generator) -> bytes:
    """Return a HiFi-GAN in small: conv, upsampling, a residual pair of convolutions, tanh."""
    weights = {
        "first": rng.standard_normal((8, 4, 3)) * 0.3,
        "up": rng.standard_normal((8, 6, 4)) * 0.3,
        "dilated": rng.standard_normal((6, 6, 3)) * 0.3,
        "plain": rng.standard_normal((6, 6, 3)) * 0.3,
        "bias": rng.standard_normal(6) * 0.1,
        "last": rng.standard_normal((1, 6, 3)) * 0.3,
    }
    same = {"pads": [1, 1]}
    nodes = [
        helper.make_node("Conv", ["mel", "first"], ["a"], **same),
        helper.make_node("LeakyRelu", ["a"], ["b"], alpha=0.1),
        helper.make_node("ConvTranspose", ["b", "up"], ["c"], strides=[2], pads=[1, 1]),
        helper.make_node("LeakyRelu", ["c"], ["d"], alpha=0.1),
        helper.make_node("Conv", ["d", "dilated", "bias"], ["e"], **same),
        helper.make_node("LeakyRelu", ["e"], ["f"], alpha=0.1),
        helper.make_node("Conv", ["f", "plain", "bias"], ["g"], **same),
        helper.make_node("Add", ["g", "c"], ["h"]),
        helper.make_node("Conv", ["h", "last"], ["i"], **same),
        helper.make_node("Tanh", ["i"], ["wav"]),
    ]
    return model(
        nodes,
        {"mel": ["batch", 4, "frames"]},
        {"wav": ["batch", 1, "samples"]},
        {name: value.astype(np.float32) for name, value in weights.items()},
    )
