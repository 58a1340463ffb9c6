"""Transposed 1-D convolutions as plain ones: every phase of the stride becomes channels, which are then interleaved.

A transposed convolution of stride s writes sample q * s + r from the inputs around q with the taps r, r + s, ...; for
each r that is an ordinary convolution. All s of them together are one convolution with s times the output channels.

``spread`` keeps the input's length: phases need different neighbours, so that the common kernel has taps that are zero
for some phases (3 taps where 2 are used, for kernels of twice the stride: half as much arithmetic again).
``cropped`` makes the whole output, padding included, with no zero tap, and cuts both ends off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx

from emotirt.build.surgery import Surgery, WeightArray, attribute, refuse


@dataclass(frozen=True, slots=True)
class _Upsampler:
    """A transposed convolution: weight [in, out, kernel], its bias or None, stride and padding in samples."""

    weight: WeightArray
    bias: WeightArray | None
    stride: int
    padding: int

    @property
    def kernel(self) -> int:
        return int(self.weight.shape[2])

    @property
    def after(self) -> int:
        return int(self.weight.shape[1])


def spread_phases(graph: onnx.GraphProto) -> int:
    """Rewrite every transposed convolution of ``graph`` without cropping; returns how many there were."""
    return _rewritten(graph, is_cropped=False)


def cropped_phases(graph: onnx.GraphProto) -> int:
    """Rewrite every transposed convolution of ``graph`` without a zero tap; returns how many there were."""
    return _rewritten(graph, is_cropped=True)


def _rewritten(graph: onnx.GraphProto, is_cropped: bool) -> int:
    surgery = Surgery(graph)
    count = 0
    for node in list(graph.node):
        if node.op_type != "ConvTranspose":
            surgery.keep(node)
            continue
        up = _upsampler(surgery, node)
        _replace(surgery, node, up, is_cropped and up.kernel > up.stride)  # else there is nothing to crop
        count += 1
    surgery.finish()
    return count


def _upsampler(surgery: Surgery, node: onnx.NodeProto) -> _Upsampler:
    weight = surgery.weight(node.input[1])
    bias = surgery.weight(node.input[2]) if len(node.input) > 2 else None
    if weight is None or weight.ndim != 3 or (len(node.input) > 2 and bias is None):
        raise refuse(node, "its weights are not constant, or it has not one dimension")
    stride, pads = attribute(node, "strides", [1])[0], attribute(node, "pads", [0, 0])
    plain = attribute(node, "group", 1) == 1 and attribute(node, "dilations", [1]) == [1]
    if not plain or attribute(node, "output_padding", [0]) != [0]:
        raise refuse(node, "it has groups, dilation or output padding")
    if weight.shape[2] - sum(pads) != stride:
        raise refuse(node, f"its output is not {stride} times as long as its input")
    return _Upsampler(weight, bias, stride, pads[0])


def _replace(surgery: Surgery, node: onnx.NodeProto, up: _Upsampler, is_cropped: bool) -> None:
    name = node.name or node.output[0]
    kernel, pads = _cropped_kernel(up) if is_cropped else _spread_kernel(up)
    inputs = [node.input[0], surgery.add_weight(f"{name}/phases", kernel)]
    if up.bias is not None:
        inputs.append(surgery.add_weight(f"{name}/phase_bias", np.repeat(up.bias, up.stride)))
    taps = kernel.shape[2]
    phases = surgery.add("Conv", inputs, f"{name}/phased", kernel_shape=[taps], pads=pads, strides=[1], dilations=[1])
    apart = surgery.add_weight(f"{name}/apart", np.array([0, up.after, up.stride, -1], dtype=np.int64))
    whole = surgery.add_weight(f"{name}/whole", np.array([0, up.after, -1], dtype=np.int64))
    split = surgery.add("Reshape", [phases, apart], f"{name}/split_phases")
    turned = surgery.add("Transpose", [split], f"{name}/turned", perm=[0, 1, 3, 2])
    if not is_cropped:
        surgery.add("Reshape", [turned, whole], node.output[0])
        return
    joined = surgery.add("Reshape", [turned, whole], f"{name}/joined")
    surplus = (taps - 1) * up.stride - up.padding
    bounds = {"starts": up.padding, "ends": -surplus, "axes": 2}
    limits = [surgery.add_weight(f"{name}/{key}", np.array([value], dtype=np.int64)) for key, value in bounds.items()]
    surgery.add("Slice", [joined, *limits], node.output[0])


def _spread_kernel(up: _Upsampler) -> tuple[WeightArray, list[int]]:
    """Sample q * s + r hears input q + j with tap r + padding - j * s, wherever there is such a tap."""
    first = math.ceil((up.padding - up.kernel + 1) / up.stride)
    last = (up.stride - 1 + up.padding) // up.stride
    offsets = range(first, last + 1)
    return _phases(up, [[r + up.padding - j * up.stride for j in offsets] for r in range(up.stride)]), [-first, last]


def _cropped_kernel(up: _Upsampler) -> tuple[WeightArray, list[int]]:
    """Before cropping, sample q * s + r hears input q - a with tap r + a * s."""
    taps = math.ceil(up.kernel / up.stride)
    return _phases(up, [[r + a * up.stride for a in reversed(range(taps))] for r in range(up.stride)]), [taps - 1] * 2


def _phases(up: _Upsampler, taps: list[list[int]]) -> WeightArray:
    """Gather weight [in, out, kernel] into [out * stride, in, taps]; a tap outside the kernel is 0."""
    before, after, kernel = up.weight.shape
    made = np.zeros((after, up.stride, before, len(taps[0])), dtype=up.weight.dtype)
    for phase, row in enumerate(taps):
        for place, tap in enumerate(row):
            if 0 <= tap < kernel:
                made[:, phase, :, place] = up.weight[:, :, tap].T
    return made.reshape(after * up.stride, before, len(taps[0]))
