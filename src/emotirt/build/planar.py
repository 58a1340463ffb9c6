"""1-D convolutions as 2-D ones of height 1, [N, C, 1, T], from the first to the last without a change of rank between.

A compiler that knows 2-D layouts only, such as NHWC for matrix units, wraps every 1-D convolution into changes of shape
of its own; here the whole chain is two-dimensional, and the rank changes only where something else needs it.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from emotirt.build.surgery import Surgery, attribute

_AXIS = 2
_SUFFIX = "/planar"
_POINTWISE = frozenset({"Add", "Clip", "Div", "Erf", "LeakyRelu", "Mul", "Relu", "Sigmoid", "Sub", "Tanh"})


class _Lift:
    """Which tensors exist in four dimensions and which in three, and both directions on demand."""

    def __init__(self, surgery: Surgery) -> None:
        self.surgery = surgery
        self.lifted: dict[str, str] = {}
        self.plain: set[str] = set()
        self._axes = surgery.add_weight("planar/axes", np.array([_AXIS], dtype=np.int64))

    def up(self, name: str) -> str:
        """Return ``name`` in four dimensions."""
        if name not in self.lifted:
            self.lifted[name] = self.surgery.add("Unsqueeze", [name, self._axes], name + _SUFFIX)
        return self.lifted[name]

    def down(self, name: str) -> str:
        """Return ``name`` in three dimensions."""
        if name in self.lifted and name not in self.plain:
            self.surgery.add("Squeeze", [self.lifted[name], self._axes], name)
        self.plain.add(name)
        return name

    def made(self, name: str) -> str:
        """Note that ``name`` is made in four dimensions; returns under which name."""
        self.lifted[name] = name + _SUFFIX
        return self.lifted[name]


def planar_convolutions(graph: onnx.GraphProto) -> int:
    """Rewrite every 1-D convolution of ``graph``; returns how many there were."""
    surgery = Surgery(graph)
    lift = _Lift(surgery)
    lift.plain.update(value.name for value in graph.input)
    count = 0
    for node in list(graph.node):
        if node.op_type in ("Conv", "ConvTranspose") and _is_flat(surgery, node):
            _convolution(lift, node)
            count += 1
        elif node.op_type in _POINTWISE and _fits(lift, node):
            inputs = [lift.lifted.get(name, name) for name in node.input]
            moved = helper.make_node(node.op_type, inputs, [lift.made(node.output[0])], name=node.name)
            moved.attribute.extend(node.attribute)
            surgery.keep(moved)
        else:
            taken = [lift.lifted[name] if _ignores_rank(lift, node) else lift.down(name) for name in node.input[:1]]
            kept = onnx.NodeProto()
            kept.CopyFrom(node)
            kept.input[:] = [*taken, *(lift.down(name) for name in node.input[1:])]
            lift.plain.update(node.output)
            surgery.keep(kept)
    for value in graph.output:
        lift.down(value.name)
    surgery.finish()
    return count


def _is_flat(surgery: Surgery, node: onnx.NodeProto) -> bool:
    weight = surgery.weight(node.input[1])
    return weight is not None and weight.ndim == 3


def _fits(lift: _Lift, node: onnx.NodeProto) -> bool:
    """Whether a pointwise node can work on four dimensions: something lifted, and nothing else but single values."""
    rest = [name for name in node.input if name and name not in lift.lifted]
    arrays = [lift.surgery.weight(name) for name in rest]
    return len(rest) < len(node.input) and all(array is not None and array.size == 1 for array in arrays)


def _ignores_rank(lift: _Lift, node: onnx.NodeProto) -> bool:
    """Whether a node gives the same from [N, C, 1, T]: a Reshape that keeps N and says the rest."""
    if node.op_type != "Reshape" or node.input[0] not in lift.lifted:
        return False
    shape = lift.surgery.weight(node.input[1])
    return shape is not None and shape[0] == 0 and not (shape[1:] == 0).any()


def _convolution(lift: _Lift, node: onnx.NodeProto) -> None:
    weight = lift.surgery.weight(node.input[1])
    assert weight is not None
    flat = lift.surgery.add_weight(node.input[1] + _SUFFIX, weight[:, :, None, :])
    pads = attribute(node, "pads", [0, 0])
    attributes = {
        "kernel_shape": [1, weight.shape[2]],
        "pads": [0, pads[0], 0, pads[1]],
        "strides": [1, attribute(node, "strides", [1])[0]],
        "dilations": [1, attribute(node, "dilations", [1])[0]],
        "group": attribute(node, "group", 1),
    }
    if node.op_type == "ConvTranspose":
        attributes["output_padding"] = [0, attribute(node, "output_padding", [0])[0]]
    inputs = [lift.up(node.input[0]), flat, *node.input[2:]]
    lift.surgery.keep(helper.make_node(node.op_type, inputs, [lift.made(node.output[0])], name=node.name, **attributes))
