"""A float32 graph as a strongly typed float16 graph with float32 islands and float32 boundaries.

Every tensor gets one type. Where a float16 node reads a float32 tensor, or the other way round, one Cast stands between,
shared by all readers. Islands are nodes that stay in float32 because half precision was measured to fail there; they are
found by what they compute, not by name, so that both families of bundles and INT8 graphs are served by one rule.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from emotirt.build.fold import folded, serialized

QUANTIZED_OPSET = 19
"""The first in which QuantizeLinear and DequantizeLinear take float16."""
_CONTRACTIONS = frozenset({"MatMul", "Gemm", "Conv", "ConvTranspose", "LayerNormalization"})
_LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True, slots=True)
class Islands:
    """What stays in float32.

    Attributes:
        kinds: operators, wherever they stand.
        sources: operators whose results stay float32 up to the next matrix product, convolution or norm, which itself
            is float16, or up to the next operator of ``ends``, whose result is float16.
        ends: operators whose results are small whatever goes in.
        outputs: graph outputs that are float32 from the first node on.

    A node with a constant past the range of float16 is treated as one of ``sources``.
    """

    kinds: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    ends: frozenset[str] = frozenset()
    outputs: frozenset[str] = frozenset()


ISLANDS = Islands(
    kinds=frozenset({"Range", "ReduceSum", "ReduceMean", "Pow", "Tanh", "Log", "Sin", "Cos"}),
    sources=frozenset({"CumSum", "Exp", "Log", "Range"}),
    ends=frozenset({"Sin", "Cos", "Softmax", "Tanh", "Less", "Greater"}),
    outputs=frozenset({"durations"}),
)


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


def float32_nodes(model: onnx.ModelProto, islands: Islands = ISLANDS) -> frozenset[str]:
    """Name the nodes that stay in float32; a weakly typed builder needs them by name.

    Args: model: from ``folded``.
    """
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    producer = {}
    for node in model.graph.node:
        for name in node.input:
            readers[name].append(node)
        for name in node.output:
            producer[name] = node
    found = {node.name for node in model.graph.node if node.op_type in islands.kinds}
    unfit = _unfit(model.graph)
    for node in model.graph.node:
        if node.op_type in islands.sources or unfit & set(node.input):
            found |= _downstream(node, readers, islands.ends)
    waiting = [producer[name] for name in islands.outputs if name in producer]
    above: set[str] = set()
    while waiting:
        node = waiting.pop()
        if node.name not in above:
            above.add(node.name)
            waiting += [producer[name] for name in node.input if name in producer]
    return frozenset(found | above)


def _unfit(graph: onnx.GraphProto) -> set[str]:
    """Name the constants that float16 cannot hold."""
    return {
        item.name
        for item in graph.initializer
        if item.data_type == TensorProto.FLOAT and np.abs(numpy_helper.to_array(item)).max(initial=0.0) > _LARGEST
    }


def _downstream(start: onnx.NodeProto, readers: dict[str, list[onnx.NodeProto]], ends: frozenset[str]) -> set[str]:
    """Name ``start`` and what follows it, up to a contraction, or up to and with one of ``ends``."""
    found, waiting = {start.name}, [start]
    while waiting:
        node = waiting.pop()
        for reader in (reader for name in node.output for reader in readers[name]):
            if reader.name in found or reader.op_type in _CONTRACTIONS:
                continue
            found.add(reader.name)
            if reader.op_type not in ends:
                waiting.append(reader)
    return found


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
                _halve_attributes(node)
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


def _halve_attributes(node: onnx.NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16
        elif attribute.t.data_type == TensorProto.FLOAT:
            value = numpy_helper.to_array(attribute.t).astype(np.float16)
            attribute.t.CopyFrom(numpy_helper.from_array(value))
