"""Which nodes of a graph stay in float32 when the rest becomes float16.

Nodes are found by what they compute and by the names of the graph contract, so that one set of rules serves every stage
of both families of bundles, with quantized layers or without. Why each rule is there, with its figures, is told in
docs/experiments.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LARGEST_HALF = float(np.finfo(np.float16).max)
_CONTRACTIONS = frozenset({"MatMul", "Gemm", "Conv", "ConvTranspose"})


@dataclass(frozen=True, slots=True)
class Islands:
    """What stays in float32. A contraction is a matrix product or a convolution that mixes channels.

    Attributes:
        kinds: operators, wherever they stand.
        sources: operators whose results stay float32 up to the next contraction, which itself is float16, or up to the
            next operator of ``ends``, whose result is float16. A node with a constant past float16 is one of them.
        ends: operators whose results are small whatever goes in.
        streams: operators that read residual streams, which stay float32 from the last contraction or table look-up on.
        entries: graph inputs that are float32 through the first contraction.
        exits: graph outputs that are float32 from the last contraction on.
        cones: graph outputs that are float32 from the first node on.
        names: single nodes of one graph.
    """

    kinds: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    ends: frozenset[str] = frozenset()
    streams: frozenset[str] = frozenset()
    entries: frozenset[str] = frozenset()
    exits: frozenset[str] = frozenset()
    cones: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()


ISLANDS = Islands(
    kinds=frozenset({"Range", "ReduceSum", "ReduceMean", "Pow", "Tanh", "Log", "Sin", "Cos"}),
    sources=frozenset({"CumSum", "Exp", "Log", "Range"}),
    ends=frozenset({"Sin", "Cos", "Softmax", "Tanh", "Less", "Greater"}),
    streams=frozenset({"LayerNormalization"}),
    entries=frozenset({"mel", "hidden"}),
    exits=frozenset({"mel"}),
    cones=frozenset({"durations"}),
)


def float32_nodes(model: onnx.ModelProto, islands: Islands = ISLANDS) -> frozenset[str]:
    """Name the nodes that stay in float32; a weakly typed builder needs them by name.

    Args:
        model: from ``fold.folded``.
        islands: the rules.
    """
    return _Finder(model.graph, islands).found()


class _Finder:
    """Walks a graph along its tensors."""

    def __init__(self, graph: onnx.GraphProto, islands: Islands) -> None:
        self._graph = graph
        self._islands = islands
        self._readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        self._producer: dict[str, onnx.NodeProto] = {}
        for node in graph.node:
            for name in node.input:
                self._readers[name].append(node)
            for name in node.output:
                self._producer[name] = node
        self._unfit = _unfit(graph)

    def found(self) -> frozenset[str]:
        rules = self._islands
        nodes = self._graph.node
        sources = [node for node in nodes if node.op_type in rules.sources or self._unfit & set(node.input)]
        readers = [node for node in nodes if node.op_type in rules.streams]
        entries = [node for name in rules.entries for node in self._readers[name] if self._is_input(name)]
        ends = {name: self._producer[name] for name in (*rules.exits, *rules.cones) if name in self._producer}
        return frozenset(
            {node.name for node in nodes if node.op_type in rules.kinds or node.name in rules.names}
            | _walked(sources, self._after, lambda node: node.op_type in rules.ends)
            | _walked(readers, self._before)
            | _walked(entries, self._all_after, _is_contraction)
            | _walked((ends[name] for name in rules.exits & set(ends)), self._all_before, _is_contraction)
            | _walked((ends[name] for name in rules.cones & set(ends)), self._all_before)
        )

    def _is_input(self, name: str) -> bool:
        return any(item.name == name for item in self._graph.input)

    def _all_after(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        return [reader for name in node.output for reader in self._readers[name]]

    def _all_before(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        return [self._producer[name] for name in node.input if name in self._producer]

    def _after(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        return [reader for reader in self._all_after(node) if not _is_contraction(reader)]

    def _before(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        return [maker for maker in self._all_before(node) if not _is_contraction(maker) and maker.op_type != "Gather"]


def _walked(
    starts: Iterable[onnx.NodeProto],
    neighbours: Callable[[onnx.NodeProto], list[onnx.NodeProto]],
    is_last: Callable[[onnx.NodeProto], bool] = lambda node: False,
) -> set[str]:
    """Name ``starts`` and everything reached from them; nothing is reached through a last node."""
    waiting = list(starts)
    found = {node.name for node in waiting}
    while waiting:
        node = waiting.pop()
        for other in [] if is_last(node) else neighbours(node):
            if other.name not in found:
                found.add(other.name)
                waiting.append(other)
    return found


def _is_contraction(node: onnx.NodeProto) -> bool:
    """Tell whether a node mixes channels; a depthwise convolution does not."""
    groups = next((helper.get_attribute_value(item) for item in node.attribute if item.name == "group"), 1)
    return node.op_type in _CONTRACTIONS and groups == 1


def _unfit(graph: onnx.GraphProto) -> set[str]:
    """Name the constants that float16 cannot hold."""
    return {
        item.name
        for item in graph.initializer
        if item.data_type == TensorProto.FLOAT and np.abs(numpy_helper.to_array(item)).max(initial=0.0) > LARGEST_HALF
    }
