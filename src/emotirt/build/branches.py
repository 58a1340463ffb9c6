"""The first convolutions of parallel branches on one input as one convolution.

It has the largest kernel of them, the smaller kernels are padded with zeros. That reads the input once instead of once
a branch and gives the matrix units more output channels at a time, but multiplies with zeros: for kernels 3, 7 and 11
it costs 33 taps where 21 are needed, 57 % more for these convolutions, and 10 % more for a HiFi-GAN V1, where they are
a sixth of the residual blocks. It can only pay where a convolution waits for memory, which is why it can be limited to
few channels.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import onnx

from emotirt.build.surgery import Surgery, WeightArray, attribute

FEW_CHANNELS = 64
"""Up to so many channels a convolution of HiFi-GAN V1 waits for memory, by its floors (docs/experiments.md)."""


def merged_branches(graph: onnx.GraphProto) -> int:
    """Merge the first convolutions of parallel branches everywhere; returns how many convolutions went."""
    return _merged(graph, most_channels=None)


def merged_narrow_branches(graph: onnx.GraphProto) -> int:
    """Do so where there are at most ``FEW_CHANNELS``; returns how many convolutions went."""
    return _merged(graph, most_channels=FEW_CHANNELS)


def _merged(graph: onnx.GraphProto, most_channels: int | None) -> int:
    surgery = Surgery(graph)
    together: dict[tuple[str, int], list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        channels = _mergeable_channels(surgery, node)
        if channels and (most_channels is None or channels <= most_channels):
            together[node.input[0], channels].append(node)
    groups = [nodes for nodes in together.values() if len(nodes) > 1]
    first = {nodes[0].output[0]: nodes for nodes in groups}
    gone = {node.output[0] for nodes in groups for node in nodes}
    for node in list(graph.node):
        if node.output[0] in first:
            _replace(surgery, first[node.output[0]])
        elif node.output[0] not in gone:
            surgery.keep(node)
    surgery.finish()
    return sum(len(nodes) - 1 for nodes in groups)


def _mergeable_channels(surgery: Surgery, node: onnx.NodeProto) -> int:
    """Return the input channels of a plain 1-D convolution that keeps its length, 0 for any other node."""
    weight = surgery.weight(node.input[1]) if node.op_type == "Conv" else None
    if weight is None or weight.ndim != 3 or weight.shape[2] % 2 == 0 or len(node.input) < 3:
        return 0
    same = [weight.shape[2] // 2] * 2
    plain = attribute(node, "strides", [1]) == [1] and attribute(node, "dilations", [1]) == [1]
    if not plain or attribute(node, "group", 1) != 1 or attribute(node, "pads", [0, 0]) != same:
        return 0
    return int(weight.shape[1])


def _replace(surgery: Surgery, nodes: list[onnx.NodeProto]) -> None:
    weights = [_known(surgery, node.input[1]) for node in nodes]
    biases = [_known(surgery, node.input[2]) for node in nodes]
    widest = max(weight.shape[2] for weight in weights)
    padded = [np.pad(weight, ((0, 0), (0, 0), ((widest - weight.shape[2]) // 2,) * 2)) for weight in weights]
    name = f"{nodes[0].name or nodes[0].output[0]}/merged"
    inputs = [
        nodes[0].input[0],
        surgery.add_weight(f"{name}/weight", np.concatenate(padded)),
        surgery.add_weight(f"{name}/bias", np.concatenate(biases)),
    ]
    surgery.add("Conv", inputs, name, kernel_shape=[widest], pads=[widest // 2] * 2, strides=[1], dilations=[1])
    sizes = surgery.add_weight(f"{name}/sizes", np.array([len(weight) for weight in weights], dtype=np.int64))
    split = onnx.helper.make_node(
        "Split", [name, sizes], [node.output[0] for node in nodes], name=f"{name}/split", axis=1
    )
    surgery.keep(split)


def _known(surgery: Surgery, name: str) -> WeightArray:
    array = surgery.weight(name)
    assert array is not None  # ``_mergeable_channels`` looked, and a bias without a constant would be no export of ours
    return array
