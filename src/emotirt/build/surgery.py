"""Small operations on ONNX graphs that every rewrite needs: attributes, weights by name, new nodes, dead nodes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from emotirt.errors import BuildError

WeightArray = NDArray[Any]


class Surgery:
    """A graph being rewritten: nodes are appended in order, weights added, names kept unique."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        """Read ``graph``, which ``finish`` changes."""
        self._graph = graph
        self._nodes: list[onnx.NodeProto] = []
        self._stored = {item.name: item for item in graph.initializer}
        self._casts = {
            node.output[0]: node.input[0]
            for node in graph.node
            if node.op_type == "Cast" and node.input[0] in self._stored and node.attribute[0].i == TensorProto.FLOAT
        }
        self._constants = {node.output[0]: node for node in graph.node if node.op_type == "Constant"}

    def weight(self, name: str) -> WeightArray | None:
        """Return a constant tensor, also one that is stored in float16 and cast; None if it is not constant."""
        if name in self._constants:
            return numpy_helper.to_array(self._constants[name].attribute[0].t)
        stored = self._stored.get(self._casts.get(name, name))
        if stored is None:
            return None
        array = numpy_helper.to_array(stored)
        return array.astype(np.float32) if name in self._casts else array

    def keep(self, node: onnx.NodeProto) -> None:
        """Append a node as it is."""
        self._nodes.append(node)

    def add(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Append a new node, named after its output and kind; returns the output."""
        self._nodes.append(helper.make_node(kind, list(inputs), [output], name=f"{output}/{kind}", **attributes))
        return output

    def add_weight(self, name: str, array: WeightArray) -> str:
        """Add a constant tensor; returns its name."""
        if name not in self._stored:
            item = numpy_helper.from_array(np.ascontiguousarray(array), name)
            self._graph.initializer.append(item)
            self._stored[name] = item
        return name

    def finish(self) -> None:
        """Put the nodes into the graph, and take out nodes and weights that nothing uses."""
        kept, wanted = live_nodes(self._nodes, self._graph)
        del self._graph.node[:]
        self._graph.node.extend(kept)
        used = [item for item in self._graph.initializer if item.name in wanted]
        del self._graph.initializer[:]
        self._graph.initializer.extend(used)
        del self._graph.value_info[:]  # shapes of what is gone


def live_nodes(nodes: Sequence[onnx.NodeProto], graph: onnx.GraphProto) -> tuple[list[onnx.NodeProto], set[str]]:
    """Find what a graph's outputs need.

    Args:
        nodes: in order, each behind those whose results it reads.
        graph: whose outputs are wanted.

    Returns: the nodes that are needed, in order, and the names of all tensors that they or the outputs read.
    """
    wanted = {value.name for value in graph.output}
    kept = []
    for node in reversed(nodes):
        if any(name in wanted for name in node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1], wanted


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """Return an attribute's value, lists as lists."""
    for item in node.attribute:
        if item.name == name:
            value = helper.get_attribute_value(item)
            return list(value) if isinstance(item, onnx.AttributeProto) and item.type == item.INTS else value
    return default


def refuse(node: onnx.NodeProto, reason: str) -> BuildError:
    """Make the error of a node that a rewrite cannot handle."""
    return BuildError(f"node {node.name!r} ({node.op_type}) cannot be rewritten: {reason}")
