"""Explicit quantization: a float32 graph with QuantizeLinear and DequantizeLinear around its matrix products.

Where the pairs stand follows NVIDIA's rules for explicit quantization ("Working with Quantized Types", section on the
placement of Q/DQ layers), so that TensorRT can fuse them:

- Every input of a quantized Conv, ConvTranspose, MatMul or Gemm is quantized, the activation per tensor, the weight per
  output channel; scales are symmetric. Weights stay in float32 before their pair, as TensorRT 8.6 wants it; TensorRT
  stores them in int8.
- Outputs are not. The pair of the next layer stands behind the leaky ReLU or GELU, right before that layer, because
  Q -> DQ -> Conv -> LeakyRelu -> Q -> DQ is what becomes one int8 kernel (NVIDIA/TensorRT issue 2134).
- A residual sum keeps one precision on both of its inputs: either neither is quantized, or, with ``residuals``, the
  skipped input is too, so that the sum fuses into the convolution before it.

Depthwise convolutions, products of two activations and what ``keep`` names stay as they are. The result computes in
float32 with int8 values; ``fp16.to_fp16`` makes everything around them float16 for strongly typed builders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from emotirt.build.fold import folded, serialized
from emotirt.errors import BuildError
from emotirt.types import FloatArray

LARGEST_INT8 = 127
_WEIGHTED = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})
_SMALLEST_SCALE = 2.0**-14
"""The smallest normal float16, since scales become float16 too."""


def to_int8(graph: bytes, ranges: Mapping[str, float], keep: Collection[str] = (), residuals: bool = False) -> bytes:
    """Quantize a stage.

    Args:
        graph: a serialized float32 stage, as bundles hold it.
        ranges: tensor to the magnitude that becomes 127; see ``calibrated_tensors``.
        keep: nodes that are not quantized.
        residuals: quantize the skipped inputs of residual sums too.

    Returns: a serialized model of opset 17 with the same inputs and outputs.
    Raises: BuildError: no valid model, a tensor without a range, or ``keep`` names no node that could be quantized.
    """
    return quantized(folded(graph), ranges, keep, residuals)


def quantized(
    model: onnx.ModelProto, ranges: Mapping[str, float], keep: Collection[str] = (), residuals: bool = False
) -> bytes:
    """Do as ``to_int8`` with a model from ``fold.folded``, which is left as it is."""
    model, original = onnx.ModelProto(), model
    model.CopyFrom(original)
    nodes = quantizable(model)
    unknown = sorted(set(keep) - set(nodes))
    if unknown:
        raise BuildError(f"{unknown[0]!r} is to be kept but is no layer that can be quantized; known: {sorted(nodes)}")
    pairs = _Pairs(model.graph, ranges)
    for name, node in nodes.items():
        if name not in keep:
            node.input[0] = pairs.activation(node.input[0])
            node.input[1] = pairs.weight(node)
    if residuals:
        for node, index in _skips(model, {name for name in nodes if name not in keep}):
            node.input[index] = pairs.activation(node.input[index])
    pairs.place()
    return serialized(model, "the int8 graph")


def quantizable(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """Return the nodes that can be quantized by name, in the graph's order.

    Args: model: from ``fold.folded``.
    """
    stored = {item.name for item in model.graph.initializer}
    return {
        node.name: node
        for node in model.graph.node
        if node.op_type in _WEIGHTED and node.input[1] in stored and node.input[0] not in stored and _groups(node) == 1
    }


def calibrated_tensors(model: onnx.ModelProto, residuals: bool = True) -> list[str]:
    """Name the activations whose ranges ``to_int8`` may ask for, each once."""
    nodes = quantizable(model)
    names = [node.input[0] for node in nodes.values()]
    if residuals:
        names += [node.input[index] for node, index in _skips(model, set(nodes))]
    return list(dict.fromkeys(names))


def _groups(node: onnx.NodeProto) -> int:
    return int(next((item.i for item in node.attribute if item.name == "group"), 1))


def _skips(model: onnx.ModelProto, quantized: Collection[str]) -> list[tuple[onnx.NodeProto, int]]:
    """Return residual sums, and which of their inputs was skipped.

    The other one comes straight from a quantized layer and goes nowhere else.
    """
    layers = {node.output[0]: node.name for node in model.graph.node if node.op_type in _WEIGHTED}
    stored = {item.name for item in model.graph.initializer}
    readers = Counter(name for node in model.graph.node for name in node.input)
    found = []
    for node in model.graph.node:
        if node.op_type != "Add" or stored & set(node.input):
            continue
        straight = [i for i, name in enumerate(node.input) if layers.get(name) in quantized and readers[name] == 1]
        if len(straight) == 1:
            found.append((node, 1 - straight[0]))
    return found


class _Pairs:
    """The Q/DQ pairs of one graph, one for each quantized tensor."""

    def __init__(self, graph: onnx.GraphProto, ranges: Mapping[str, float]) -> None:
        self._graph = graph
        self._ranges = ranges
        self._stored = {item.name: item for item in graph.initializer}
        self._made: dict[str, list[onnx.NodeProto]] = {}

    def activation(self, name: str) -> str:
        largest = self._ranges.get(name)
        if largest is None or not np.isfinite(largest) or largest < 0:
            raise BuildError(f"tensor {name!r} has range {largest}; calibrate it first (a finite number from 0)")
        return self._pair(name, np.array(max(largest / LARGEST_INT8, _SMALLEST_SCALE), dtype=np.float32), None)

    def weight(self, node: onnx.NodeProto) -> str:
        array: FloatArray = numpy_helper.to_array(self._stored[node.input[1]])
        axis = _channel_axis(node)
        others = tuple(index for index in range(array.ndim) if index != axis)
        return self._pair(node.input[1], weight_scales(array, others), axis)

    def place(self) -> None:
        """Put every pair right behind what it reads."""
        nodes = [node for name, made in self._made.items() if name in self._stored for node in made]
        inputs = {item.name for item in self._graph.input}
        nodes += [node for name, made in self._made.items() if name in inputs for node in made]
        for node in self._graph.node:
            nodes.append(node)
            nodes += [part for name in node.output for part in self._made.get(name, [])]
        del self._graph.node[:]
        self._graph.node.extend(nodes)

    def _pair(self, name: str, scales: FloatArray, axis: int | None) -> str:
        scale, zero, small, wide = (f"{name}/{part}" for part in ("scale", "zero", "int8", "dequantized"))
        if name not in self._made:
            attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
            zeros = np.zeros(scales.shape, dtype=np.int8)
            self._graph.initializer.extend(
                [numpy_helper.from_array(scales, scale), numpy_helper.from_array(zeros, zero)]
            )
            self._made[name] = [
                helper.make_node("QuantizeLinear", [name, scale, zero], [small], name=f"{name}/quantize", **attributes),
                helper.make_node(
                    "DequantizeLinear", [small, scale, zero], [wide], name=f"{name}/dequantize", **attributes
                ),
            ]
        return wide


def weight_scales(array: FloatArray, others: tuple[int, ...]) -> FloatArray:
    """Return the scale of each channel; ``others`` are the axes within a channel."""
    scales: FloatArray = np.maximum(np.abs(array).max(axis=others) / LARGEST_INT8, _SMALLEST_SCALE).astype(np.float32)
    return scales


def _channel_axis(node: onnx.NodeProto) -> int:
    """Return the axis of the output channels in a weight."""
    if node.op_type == "Gemm":
        return 0 if any(item.name == "transB" and item.i for item in node.attribute) else 1
    return {"Conv": 0, "ConvTranspose": 1, "MatMul": 1}[node.op_type]
