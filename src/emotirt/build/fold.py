"""Evaluate whatever a graph computes from constants alone, so that precision rewrites see plain weights."""

from __future__ import annotations

import numpy as np
import onnx
import onnxslim
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from emotirt.errors import BuildError


def folded(graph: bytes) -> onnx.ModelProto:
    """Fold constants: weights stored in float16 become float32 initializers, computed cosines a stored matrix.

    Args: graph: serialized ONNX model of a stage.
    Returns: a model that computes the same from fewer nodes, every node named.
    Raises: BuildError: no ONNX model, or an invalid one.
    """
    try:
        model = onnx.load_from_string(graph)
        onnx.checker.check_model(model)
        _fold_known_sizes(model)
    except (DecodeError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as exc:
        raise BuildError(f"the graph to rewrite is not a valid ONNX model: {' '.join(str(exc).split())}") from exc
    slim: onnx.ModelProto = onnxslim.slim(model)
    slim.producer_name, slim.graph.name = "emotirt", "stage"
    taken = {node.name for node in slim.graph.node}
    for node in slim.graph.node:
        if not node.name:
            name = f"{node.op_type}/{node.output[0]}"
            node.name = name if name not in taken else f"{name}/own"
    return slim


def serialized(model: onnx.ModelProto, what: str) -> bytes:
    """Check a rewritten model strictly and serialize it.

    Raises: BuildError: ``what`` was made invalid, which is a fault of the rewrite.
    """
    del model.graph.value_info[:]  # types changed; whoever reads the graph infers them
    try:
        onnx.checker.check_model(onnx.shape_inference.infer_shapes(model, strict_mode=True), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as exc:
        raise BuildError(f"{what} came out invalid: {' '.join(str(exc).split())}") from exc
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """Return every stored tensor by name, whether an initializer or the value of a Constant node."""
    stored = {item.name: item for item in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            stored[node.output[0]] = node.attribute[0].t
    return stored


def _fold_known_sizes(model: onnx.ModelProto) -> None:
    """Store the sizes that a graph takes from a Shape although they never change, as attention does with its width."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    sizes = {
        info.name: [size.dim_value for size in info.type.tensor_type.shape.dim]
        for info in (*inferred.value_info, *inferred.input)
    }
    stored = constants(model.graph)
    shaped = {node.output[0]: sizes.get(node.input[0], []) for node in model.graph.node if node.op_type == "Shape"}
    for node in model.graph.node:
        chosen = _chosen(node, shaped, stored) if node.input and node.input[0] in shaped else None
        if chosen is not None and chosen.size and chosen.all():  # a size that may change is 0 here
            value = numpy_helper.from_array(np.asarray(chosen, dtype=np.int64), node.output[0])
            node.CopyFrom(onnx.helper.make_node("Constant", [], [node.output[0]], name=node.name, value=value))


def _chosen(
    node: onnx.NodeProto, shaped: dict[str, list[int]], stored: dict[str, onnx.TensorProto]
) -> NDArray[np.int64] | None:
    """Evaluate a Slice or Gather of a Shape; None if it is neither or its operands are not constants."""
    shape = np.array(shaped[node.input[0]], dtype=np.int64)
    if not shape.size or not all(name in stored for name in node.input[1:]):
        return None
    operands = [numpy_helper.to_array(stored[name]) for name in node.input[1:]]
    if node.op_type == "Gather":
        return np.asarray(shape[operands[0]])
    if node.op_type == "Slice" and len(operands) <= 3:
        return np.asarray(shape[int(operands[0][0]) : int(operands[1][0])])
    return None


def retype_attributes(node: onnx.NodeProto, given: int, wanted: int) -> None:
    """Turn what a node's attributes say of one element type into another: the aim of a Cast, the values of a tensor.

    Args:
        node: changed in place.
        given: element type of ``onnx.TensorProto``.
        wanted: another one.
    """
    for attribute in node.attribute:
        if attribute.name == "to" and attribute.i == given:
            attribute.i = wanted
        elif attribute.t.data_type == given:
            value = numpy_helper.to_array(attribute.t).astype(helper.tensor_dtype_to_np_dtype(wanted))
            attribute.t.CopyFrom(numpy_helper.from_array(value))
