"""The least time that each layer of a graph can take: its arithmetic and its bytes over what a device can do.

A *layer* here is what an ideal compiler would make one kernel of: a convolution or matrix product with the element-wise
nodes around it. Weights are read once, every input of the layer is read once, every output written once; what lies
inside a layer touches no memory. Only multiply-adds of convolutions and matrix products are counted as arithmetic.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import onnx

from emotirt.build.shapes import SizedGraph
from emotirt.errors import InvalidRequest

MATRIX = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})
_FREE = frozenset(
    {
        "Abs", "Add", "Cast", "Clip", "Cos", "Div", "Equal", "Erf", "Exp", "Expand", "Flatten", "Gelu", "Greater",
        "Identity", "LeakyRelu", "Less", "Log", "Mul", "Neg", "Not", "Pow", "Reciprocal", "Relu", "Reshape", "Round",
        "Sigmoid", "Sin", "Slice", "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze", "Where",
    }
)  # fmt: skip
"""Nodes that can be done while the values pass by: element-wise ones and mere views."""


@dataclass(frozen=True, slots=True)
class Device:
    """What a device can do at best.

    Attributes:
        tflops: multiply-adds of matrices, 1e12 operations a second; a multiply-add is two.
        bandwidth_gbps: memory, 1e9 bytes a second.
        value_bytes: of one value: 4 for FP32, 2 for FP16, 1 for INT8.
    """

    tflops: float
    bandwidth_gbps: float
    value_bytes: int = 2

    def __post_init__(self) -> None:
        if not (self.tflops > 0.0 and self.bandwidth_gbps > 0.0 and self.value_bytes in (1, 2, 4)):
            raise InvalidRequest(
                f"{self.tflops:g} TFLOP/s, {self.bandwidth_gbps:g} GB/s and {self.value_bytes} bytes a value are no "
                "device; rates must be above 0 and a value has 1, 2 or 4 bytes"
            )


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer and its floors.

    Attributes:
        name: of its matrix node, or of its first node.
        kind: operator of that node.
        nodes: names of all its nodes.
        flop: arithmetic, a multiply-add counted as two.
        weight_bytes: of its weights.
        activation_bytes: read and written.
    """

    name: str
    kind: str
    nodes: tuple[str, ...]
    flop: int
    weight_bytes: int
    activation_bytes: int

    def arithmetic_ms(self, device: Device) -> float:
        """Return the floor of its arithmetic."""
        return self.flop / (device.tflops * 1e9)

    def memory_ms(self, device: Device) -> float:
        """Return the floor of its bytes."""
        return (self.weight_bytes + self.activation_bytes) / (device.bandwidth_gbps * 1e6)

    def floor_ms(self, device: Device) -> float:
        """Return the larger of both: no version of this layer runs faster."""
        return max(self.arithmetic_ms(device), self.memory_ms(device))

    def to_dict(self, device: Device) -> dict[str, Any]:
        """Return JSON types, without the names of its nodes."""
        fields = {key: value for key, value in asdict(self).items() if key != "nodes"}
        figures = {"arithmetic_ms": self.arithmetic_ms(device), "memory_ms": self.memory_ms(device)}
        return fields | {"nodes": len(self.nodes)} | {key: float(f"{value:.4g}") for key, value in figures.items()}


def layers(sized: SizedGraph, value_bytes: int = 2) -> list[Layer]:
    """Divide a graph into layers, in the order of their first nodes.

    Args:
        sized: from ``build.shapes.sized_graph``.
        value_bytes: of one value.
    """
    nodes = sized.live_nodes()
    groups: dict[int, list[int]] = defaultdict(list)
    for index, root in enumerate(_roots(sized, nodes)):
        groups[root].append(index)
    return [_layer(sized, [nodes[index] for index in members], value_bytes) for members in groups.values()]


def node_flop(node: onnx.NodeProto, sized: SizedGraph) -> int:
    """Return the arithmetic of one node, 0 for all but convolutions and matrix products."""
    shapes = sized.shapes
    if node.op_type not in MATRIX:
        return 0
    out, first, weight = shapes[node.output[0]], shapes[node.input[0]], shapes[node.input[1]]
    if node.op_type == "Conv":  # weight [out, in / groups, kernel]
        return 2 * math.prod(out) * math.prod(weight[1:])
    if node.op_type == "ConvTranspose":  # weight [in, out / groups, kernel]
        return 2 * math.prod(first) * math.prod(weight[1:])
    is_turned = any(item.name == "transA" and item.i for item in node.attribute)
    return 2 * math.prod(out) * (first[-2] if is_turned else first[-1])


class _Joining:
    """Nodes that become layers: each stands alone at first, then they are joined."""

    def __init__(self, nodes: Sequence[onnx.NodeProto]) -> None:
        self._parents = list(range(len(nodes)))
        self._needs_kernel = [node.op_type not in _FREE for node in nodes]

    def root(self, index: int) -> int:
        """Return the node that stands for the layer of node ``index``."""
        while self._parents[index] != index:
            index = self._parents[index]
        return index

    def needs_kernel(self, index: int) -> bool:
        """Whether the layer of a node holds one that cannot be done while values pass by."""
        return self._needs_kernel[self.root(index)]

    def join(self, one: int, other: int) -> bool:
        """Join two layers unless both need a kernel of their own; returns whether they are one now."""
        one, other = self.root(one), self.root(other)
        if one != other and self._needs_kernel[one] and self._needs_kernel[other]:
            return False
        keep, gone = min(one, other), max(one, other)
        self._parents[gone] = keep
        self._needs_kernel[keep] = self._needs_kernel[keep] or self._needs_kernel[gone]
        return True


def _roots(sized: SizedGraph, nodes: Sequence[onnx.NodeProto]) -> list[int]:
    """Return for every node the index of the node that stands for its layer."""
    maker = {name: index for index, node in enumerate(nodes) for name in node.output}
    users: dict[str, list[int]] = defaultdict(list)
    for index, node in enumerate(nodes):
        for name in set(node.input) & set(maker):
            users[name].append(index)
    final = {value.name for value in sized.graph.output}
    joining = _Joining(nodes)
    free = [index for index, node in enumerate(nodes) if node.op_type in _FREE]
    for index in free:  # after the first node that makes an input for it alone
        sole = [name for name in nodes[index].input if len(users[name]) == 1 and name not in final]
        any(joining.join(maker[name], index) for name in sole)
    for index in reversed(free):  # before the only node that uses what it makes
        takers = {user for name in nodes[index].output for user in users[name]}
        if len(takers) == 1 and not joining.needs_kernel(index) and not final.intersection(nodes[index].output):
            joining.join(index, takers.pop())
    return [joining.root(index) for index in range(len(nodes))]


def _layer(sized: SizedGraph, members: list[onnx.NodeProto], value_bytes: int) -> Layer:
    made = {name for node in members for name in node.output}
    inside = {name for node in members for name in node.input} & made
    ids = {id(node) for node in members}
    used_outside = {name for node in sized.live_nodes() if id(node) not in ids for name in node.input}
    used_outside |= {value.name for value in sized.graph.output}
    read = {name for node in members for name in node.input if name and name not in made}
    weights = {name for name in read if name in sized.constant}
    written = {name for name in made if name in used_outside or name not in inside}
    main = next((node for node in members if node.op_type in MATRIX), None)
    main = main or next((node for node in members if node.op_type not in _FREE), members[0])
    return Layer(
        main.name or main.output[0],
        main.op_type,
        tuple(node.name or node.output[0] for node in members),
        sum(node_flop(node, sized) for node in members),
        value_bytes * sum(math.prod(sized.shapes[name]) for name in weights),
        value_bytes * sum(math.prod(sized.shapes[name]) for name in (read - weights) | written),
    )
