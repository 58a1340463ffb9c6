"""A float16 graph as a float32 one that rounds after every operator, for machines whose backend has no half arithmetic.

ONNX Runtime's CPU provider computes most float16 operators in float32 and drops the rounding between two of them, which
makes half precision look better than it is. Here every float16 result is rounded, as by a GPU that accumulates in
float32 and fuses nothing. A GPU that also accumulates in float16 is worse than this, one that fuses is better.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from emotirt.build.fold import retype_attributes, serialized


def emulated(graph: bytes) -> bytes:
    """Rewrite a float16 graph for a float32 backend.

    Args: graph: from ``fp16.to_fp16``.
    Returns: a model of the same inputs and outputs without float16 arithmetic.
    """
    model = onnx.load_from_string(graph)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    half = {item.name for item in inferred.value_info if item.type.tensor_type.elem_type == TensorProto.FLOAT16}
    for item in model.graph.initializer:
        if item.data_type == TensorProto.FLOAT16:
            item.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(item).astype(np.float32), item.name))
    nodes = []
    for node in model.graph.node:
        retype_attributes(node, TensorProto.FLOAT16, TensorProto.FLOAT)
        nodes.append(node)
        for index, name in enumerate(node.output):
            if name in half:
                node.output[index] = f"{name}/exact"
                nodes += _rounding(f"{name}/exact", name)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return serialized(model, "the emulation of a float16 graph")


def _rounding(exact: str, rounded: str) -> list[onnx.NodeProto]:
    half = f"{rounded}/rounded"
    return [
        helper.make_node("Cast", [exact], [half], name=f"{half}/narrow", to=TensorProto.FLOAT16),
        helper.make_node("Cast", [half], [rounded], name=f"{half}/widen", to=TensorProto.FLOAT),
    ]
