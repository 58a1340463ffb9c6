"""The graph that TensorRT is given for a stage: the bundle's, in the precision asked for, without what it trips on.

Every change made here beyond the precision keeps each number as it is.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from emotirt.build.fold import constants, folded, serialized
from emotirt.build.fp16 import to_fp16
from emotirt.bundle.plans import FLOAT32, FP16
from emotirt.errors import PlanFailed


def plan_graph(graph: bytes, stage: str, precision: str) -> bytes:
    """Prepare a stage's graph.

    Args:
        graph: a serialized float32 stage, as bundles hold it.
        stage: its name.
        precision: one of ``bundle.plans.PRECISIONS``.

    Returns: a serialized model with the same inputs and outputs.
    Raises: BuildError: no valid model, or PlanFailed: this precision is not offered for this stage.
    """
    if precision == FLOAT32:
        model = folded(graph)
    elif precision == FP16:
        model = onnx.load_from_string(to_fp16(graph))
    else:
        raise PlanFailed(f"stage {stage} is not offered in {precision}; take float32 or fp16")
    whole_ranges(model)
    return serialized(model, f"the graph of stage {stage} in {precision}")


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
