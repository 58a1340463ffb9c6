"""The graph that TensorRT is given for a stage: the bundle's, in the precision asked for, without what it trips on.

Every change made here beyond the precision keeps each number as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from emotirt.build.fold import constants, folded, serialized
from emotirt.build.fp16 import to_fp16
from emotirt.build.int8 import to_int8
from emotirt.build.surgery import live_nodes
from emotirt.bundle.contract import DECODER
from emotirt.bundle.plans import FLOAT32, FP16
from emotirt.errors import PlanFailed
from emotirt.runtime.layout import MEL_BY_CHANNEL

if TYPE_CHECKING:
    from emotirt.build.precision import Quantization


def plan_graph(
    graph: bytes, stage: str, precision: str, quantization: Quantization | None = None, half: bool = True
) -> bytes:
    """Prepare a stage's graph.

    Args:
        graph: a serialized float32 stage, as bundles hold it.
        stage: its name.
        precision: one of ``bundle.plans.PRECISIONS``.
        quantization: of the stage, for ``int8``.
        half: of an int8 graph, whether everything that is not quantized becomes float16.

    Returns: a serialized model with the same inputs and outputs; the decoder gives its mel by channel too.
    Raises: BuildError: no valid model, or PlanFailed: this precision is not offered for this stage.
    """
    if precision == FLOAT32:
        model = folded(graph)
    elif precision == FP16:
        model = onnx.load_from_string(to_fp16(graph))
    elif quantization is not None:
        quantized = to_int8(graph, quantization.ranges, quantization.kept, quantization.residuals)
        model = onnx.load_from_string(to_fp16(quantized) if half else quantized)
    else:
        raise PlanFailed(f"stage {stage} is not offered in {precision}; take float32 or fp16")
    whole_ranges(model)
    summed_by_products(model)
    without_empty_ends(model)
    without_dead_nodes(model)
    if stage == DECODER:
        add_mel_by_channel(model)
    return serialized(model, f"the graph of stage {stage} in {precision}")


def add_mel_by_channel(model: onnx.ModelProto) -> None:
    """Let a decoder give its mel [B, F, n_mels] also as [B, n_mels, F], in place.

    Windows of that are rectangles, which are copied to the vocoder without leaving the device.
    """
    (mel,) = model.graph.output
    batch, frames, channels = mel.type.tensor_type.shape.dim
    sizes = [dim.dim_param or dim.dim_value for dim in (batch, channels, frames)]
    node = helper.make_node("Transpose", [mel.name], [MEL_BY_CHANNEL], name=MEL_BY_CHANNEL, perm=[0, 2, 1])
    model.graph.node.append(node)
    kind = mel.type.tensor_type.elem_type
    model.graph.output.append(helper.make_tensor_value_info(MEL_BY_CHANNEL, kind, sizes))


def whole_ranges(model: onnx.ModelProto) -> None:
    """Count in integers where a graph counts whole steps in float32, and convert what was counted; in place.

    The numbers are the same. TensorRT for RTX 1.7 gives the limit of a float32 Range the type float16 where the size it
    comes from belongs to a float16 tensor, and then refuses its own graph.
    """
    stored = {name: numpy_helper.to_array(item) for name, item in constants(model.graph).items()}
    makers = {name: node for node in model.graph.node for name in node.output}
    nodes = []
    for node in model.graph.node:
        limit = _uncast(makers, node.input[1]) if node.op_type == "Range" else ""
        ends = [stored.get(name) for name in (node.input[0], node.input[2])] if limit else []
        if all(end is not None and end.dtype == np.float32 and float(end).is_integer() for end in ends) and limit:
            nodes += _counted(model.graph, node, limit, [int(end) for end in ends if end is not None])
        else:
            nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _uncast(makers: dict[str, onnx.NodeProto], name: str) -> str:
    """Follow casts back to the integer that they started from; empty where there is no cast."""
    found = ""
    while name in makers and makers[name].op_type == "Cast":
        name = found = makers[name].input[0]
    return found


def _counted(graph: onnx.GraphProto, node: onnx.NodeProto, limit: str, ends: list[int]) -> list[onnx.NodeProto]:
    names = [f"{node.name}/start", limit, f"{node.name}/step"]
    for name, value in zip((names[0], names[2]), ends, strict=True):
        graph.initializer.append(numpy_helper.from_array(np.array(value, dtype=np.int64), name))
    count = f"{node.name}/count"
    return [
        helper.make_node("Range", names, [count], name=node.name),
        helper.make_node("Cast", [count], list(node.output), name=f"{count}/widen", to=TensorProto.FLOAT),
    ]


def summed_by_products(model: onnx.ModelProto) -> None:
    """Sum along the last axis of float32 matrices [B, N] by a product with ones above the diagonal, in place.

    Up to the order of the sum the numbers are the same, and equal where they are whole. A CumSum becomes a loop over
    its axis in TensorRT 8.6 and 10.0 to 10.7, which costs some kernels for every token; TensorRT 10.8 to 10.13 may sum
    along the wrong axis where a graph has two of them (github.com/onnx/onnx-tensorrt/issues/1034).
    """
    shapes = _ranks(model)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        nodes += _product(model.graph, node) if node.op_type == "CumSum" and _sums_rows(model, node, shapes) else [node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def without_empty_ends(model: onnx.ModelProto) -> None:
    """Drop inputs left out at the end of a node's list, in place.

    The parser of TensorRT 8.6 takes a Clip that leaves out its upper bound so for one whose bound is a float32 tensor,
    which does not go with float16 data.
    """
    for node in model.graph.node:
        while node.input and not node.input[-1]:
            del node.input[-1]


def without_dead_nodes(model: onnx.ModelProto) -> None:
    """Drop nodes whose results nobody reads, in place."""
    kept, _ = live_nodes(model.graph.node, model.graph)
    del model.graph.node[:]
    model.graph.node.extend(kept)


def _ranks(model: onnx.ModelProto) -> dict[str, tuple[int, int]]:
    """Return element type and rank of every tensor that is known."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    infos = (*inferred.value_info, *inferred.input, *inferred.output)
    kinds = ((info.name, info.type.tensor_type) for info in infos)
    return {name: (kind.elem_type, len(kind.shape.dim)) for name, kind in kinds if kind.HasField("shape")}


def _sums_rows(model: onnx.ModelProto, node: onnx.NodeProto, ranks: dict[str, tuple[int, int]]) -> bool:
    axis = constants(model.graph).get(node.input[1])
    plain = not any(item.i for item in node.attribute)  # neither exclusive nor reverse
    is_matrix = ranks.get(node.input[0]) == (TensorProto.FLOAT, 2)
    return plain and is_matrix and axis is not None and numpy_helper.to_array(axis).item() in (1, -1)


def _product(graph: onnx.GraphProto, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    (start, one, column, row), made = _stored_numbers(graph, node.name), []

    def add(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        name = output if output in node.output else f"{node.name}/{output}"
        made.append(helper.make_node(kind, inputs, [name], name=f"{node.name}/{output.strip('/')}", **attributes))
        return name

    count = add("Gather", [add("Shape", [node.input[0]], "shape"), one], "size", axis=0)
    place = add("Range", [start, count, one], "place")
    up_to = add("Unsqueeze", [add("Add", [place, one], "next"), row], "up_to")
    ones = add(
        "Cast",
        [add("Less", [add("Unsqueeze", [place, column], "from"), up_to], "within")],
        "ones",
        to=TensorProto.FLOAT,
    )
    add("MatMul", [node.input[0], ones], node.output[0])
    return made


def _stored_numbers(graph: onnx.GraphProto, name: str) -> list[str]:
    """Store 0 and 1, and the axes of a column and of a row, and name them."""
    stored = {"zero": np.array(0), "one": np.array(1), "column": np.array([1]), "row": np.array([0])}
    graph.initializer.extend(
        numpy_helper.from_array(value.astype(np.int64), f"{name}/{what}") for what, value in stored.items()
    )
    return [f"{name}/{what}" for what in stored]
