"""Store the weights of a graph in float16 while it computes in float32.

Every float32 initializer of two and more dimensions becomes a float16 one followed by a Cast node; runtimes fold the
Cast when they load the graph, so that it costs half the bytes on disk and nothing afterwards.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from emotirt.errors import ExportFailed
from emotirt.runtime.eager import HALF


def store_half(model: onnx.ModelProto, stage: str) -> None:
    """Change the storage of ``model`` in place.

    Raises: ExportFailed: a weight is not exactly representable in float16; round the network before the export.
    """
    graph = model.graph
    casts = []
    for item in graph.initializer:
        if item.data_type != TensorProto.FLOAT or len(item.dims) < 2:
            continue
        wide = numpy_helper.to_array(item)
        with np.errstate(over="ignore"):  # what overflows is found below
            half = wide.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), wide):
            raise ExportFailed(f"stage {stage}: weight {item.name!r} is not exactly representable in float16")
        name = item.name
        item.CopyFrom(numpy_helper.from_array(half, name + HALF))
        casts.append(helper.make_node("Cast", [name + HALF], [name], name=f"{name}/widen", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
