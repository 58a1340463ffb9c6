"""Shapes of every tensor of a graph at fixed sizes, and which of its nodes a runtime computes only once.

Graphs have dynamic axes; arithmetic and bytes can be counted only at sizes. What onnx's inference leaves open is asked
of ONNX Runtime, in one run that gives shapes and no values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, shape_inference

from emotirt.errors import BuildError

Shape = tuple[int, ...]
_SUFFIX = "/shape_of"
_FED = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16, TensorProto.INT64: np.int64}
_QUIET = 4


@dataclass(frozen=True, slots=True)
class SizedGraph:
    """A graph at fixed sizes.

    Attributes:
        graph: with every axis of its inputs fixed.
        shapes: of every tensor, weights included.
        constant: tensors that depend on no input's values: weights, what is computed from them, and what follows from
            shapes alone. A runtime folds them when it loads the graph or builds a plan.
    """

    graph: onnx.GraphProto
    shapes: Mapping[str, Shape]
    constant: frozenset[str]

    def live_nodes(self) -> list[onnx.NodeProto]:
        """Return the nodes that are computed in every call, in order."""
        return [node for node in self.graph.node if not all(name in self.constant for name in node.output)]


def sized_graph(graph: bytes, sizes: Mapping[str, int]) -> SizedGraph:
    """Fix the dynamic axes of a graph.

    Args:
        graph: serialized ONNX model.
        sizes: axis name to size; axes of outputs follow from those of inputs.

    Raises: BuildError: an axis of an input has no size, or the graph does not run at these.
    """
    model = onnx.load_from_string(graph)
    for value in model.graph.input:
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param and axis.dim_param not in sizes:
                raise BuildError(f"input {value.name!r} has axis {axis.dim_param!r}; sizes are {dict(sizes)}")
            if axis.dim_param:
                axis.dim_value = sizes[axis.dim_param]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    inferred = shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {item.name: tuple(item.dims) for item in model.graph.initializer}
    shapes |= {value.name: shape for value in _values(inferred) if (shape := _fixed(value)) is not None}
    named = [name for node in model.graph.node for name in node.output if name]
    open_names = [name for name in named if name not in shapes]
    if open_names:
        shapes |= _asked(model, open_names)
    return SizedGraph(model.graph, shapes, _constant(model.graph))


def _values(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    return [*graph.input, *graph.value_info, *graph.output]


def _fixed(value: onnx.ValueInfoProto) -> Shape | None:
    kind = value.type.tensor_type
    if not kind.HasField("shape") or not all(axis.HasField("dim_value") for axis in kind.shape.dim):
        return None
    return tuple(axis.dim_value for axis in kind.shape.dim)


def _asked(model: onnx.ModelProto, names: list[str]) -> dict[str, Shape]:
    """Run the graph once with a Shape node behind each of ``names``."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    for name in names:
        probe.graph.node.append(helper.make_node("Shape", [name], [name + _SUFFIX]))
        probe.graph.output.append(helper.make_tensor_value_info(name + _SUFFIX, TensorProto.INT64, [None]))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    feeds = {}
    for value in probe.graph.input:
        shape, kind = _fixed(value) or (), value.type.tensor_type.elem_type
        feeds[value.name] = np.ones(shape, dtype=_FED[kind])
    try:
        session = onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
        found = session.run([name + _SUFFIX for name in names], feeds)
    except Exception as exc:  # onnxruntime raises many kinds
        detail = " ".join(str(exc).split())
        raise BuildError(f"the graph does not run at these sizes: {type(exc).__name__}: {detail}") from exc
    return {name: tuple(int(size) for size in shape) for name, shape in zip(names, found, strict=True)}


def _constant(graph: onnx.GraphProto) -> frozenset[str]:
    known = {item.name for item in graph.initializer} | {""}
    for node in graph.node:
        if node.op_type in ("Constant", "Shape") or all(name in known for name in node.input):
            known.update(node.output)
    return frozenset(known)
