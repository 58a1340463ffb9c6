"""A float32 graph as a strongly typed float16 graph with float32 islands and float32 boundaries.

Every tensor gets one type. Where a float16 node reads a float32 tensor, or the other way round, one Cast stands
between, shared by all readers. Which nodes stay in float32 is decided in ``islands``.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from emotirt.build.fold import folded, retype_attributes, serialized
from emotirt.build.islands import ISLANDS, Islands, float32_nodes

QUANTIZED_OPSET = 19
"""The first in which QuantizeLinear and DequantizeLinear take float16."""


def to_fp16(graph: bytes, islands: Islands = ISLANDS) -> bytes:
    """Rewrite a stage for float16 arithmetic.

    Args:
        graph: a serialized float32 stage, as bundles hold it, or one with quantized layers from ``to_int8``.
        islands: what stays in float32.

    Returns: a serialized model with the same inputs and outputs, opset 17, or 19 where it has quantized layers.
    Raises: BuildError: no valid model.
    """
    model = folded(graph)
    wide = float32_nodes(model, islands)
    kinds = {node.op_type for node in model.graph.node}
    if kinds & {"QuantizeLinear", "DequantizeLinear"}:
        model = onnx.version_converter.convert_version(model, QUANTIZED_OPSET)
    _Typing(model, wide).apply()
    return serialized(model, "the float16 graph")


class _Typing:
    """One pass over a model that gives every float tensor its type."""

    def __init__(self, model: onnx.ModelProto, wide: Iterable[str]) -> None:
        self._graph = model.graph
        self._wide = frozenset(wide)
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
        infos = (*inferred.value_info, *inferred.input, *inferred.output)
        self._floats = {info.name for info in infos if info.type.tensor_type.elem_type == TensorProto.FLOAT}
        self._constants = {item.name: item for item in model.graph.initializer if item.data_type == TensorProto.FLOAT}
        self._half: set[str] = set()
        self._halved: set[str] = set()
        self._casts: dict[tuple[str, int], str] = {}
        self._nodes: list[onnx.NodeProto] = []

    def apply(self) -> None:
        outputs = {item.name for item in self._graph.output}
        for node in self._graph.node:
            half = node.name not in self._wide
            for index, name in enumerate(node.input):
                if name in self._floats or name in self._constants:
                    node.input[index] = self._as(name, half)
            self._nodes.append(node)
            if half:
                retype_attributes(node, TensorProto.FLOAT, TensorProto.FLOAT16)
                for index, name in enumerate(node.output):
                    if name in self._floats:
                        node.output[index] = self._result(name, name in outputs)
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        used = {name for node in self._nodes for name in node.input}
        kept = [item for item in self._graph.initializer if item.name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)

    def _as(self, name: str, half: bool) -> str:
        """Return the name under which ``name`` can be read in the wanted type."""
        if name in self._constants:
            return self._constant(name) if half else name
        if half == (name in self._half):
            return name
        wanted = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        key = (name, wanted)
        if key not in self._casts:
            self._casts[key] = f"{name}/{'half' if half else 'wide'}"
            self._nodes.append(
                helper.make_node("Cast", [name], [self._casts[key]], name=f"{self._casts[key]}/cast", to=wanted)
            )
        return self._casts[key]

    def _constant(self, name: str) -> str:
        halved = f"{name}/half"
        if halved not in self._halved:
            self._halved.add(halved)
            array = numpy_helper.to_array(self._constants[name])
            self._graph.initializer.append(numpy_helper.from_array(array.astype(np.float16), halved))
        return halved

    def _result(self, name: str, boundary: bool) -> str:
        """Return the name of a float16 result; a graph output keeps its name behind a Cast."""
        if not boundary:
            self._half.add(name)
            return name
        inner = f"{name}/half"
        self._casts[name, TensorProto.FLOAT16] = inner
        self._nodes.append(helper.make_node("Cast", [inner], [name], name=f"{name}/cast", to=TensorProto.FLOAT))
        return inner
