"""A HiFi-GAN generator's graph as layers for EmotiRT's own kernels, and its weights as these kernels read them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from onnx import numpy_helper

from emotirt.build.fold import folded
from emotirt.errors import PlanFailed
from emotirt.runtime.kernels.layers import AVERAGE, MEAN, MEL, ONE, PAIR, PAIR_TILES, SOUND, Branch, Layer, Network
from emotirt.types import FloatArray

LANES, GROUP, DEPTH = 32, 16, 16
"""Of a warp; columns and channels that one pair of tensor core instructions takes."""
MOST_BRANCHES, MOST_PAIRS = 3, 8
SLOPE, LAST_SLOPE = 0.1, 0.01
PLACE_BYTES = 256


@dataclass(slots=True)
class _Graph:
    """A generator's stored tensors and the attributes of its convolutions, by the module that they belong to."""

    tensors: dict[str, FloatArray]
    attributes: dict[str, dict[str, int]]
    slopes: list[float]
    inputs: str


@dataclass(slots=True)
class _Weights:
    """Weights one behind the other."""

    data: bytearray = field(default_factory=bytearray)

    def put(self, array: FloatArray | np.ndarray) -> int:
        """Add an array; returns its place."""
        self.data.extend(b"\0" * (-len(self.data) % PLACE_BYTES))
        place = len(self.data)
        self.data.extend(np.ascontiguousarray(array).tobytes())
        return place


def hifigan_from_graph(graph: bytes) -> tuple[Network, bytes]:
    """Read a generator.

    Args:
        graph: serialized ONNX, with the names that our export gives.

    Returns: its layers, nothing tuned yet, and their weights.
    Raises: PlanFailed: no HiFi-GAN generator, or one that the kernels cannot compute; says why.
    """
    found = _read(graph)
    weights = _Weights()
    first = found.tensors["first.weight"]
    channels, n_mels, _ = first.shape
    _check(n_mels % DEPTH == 0 and channels % 64 == 0, f"{n_mels} mel channels into {channels}")
    layers = [Layer("first", MEL, n_mels, channels, 1, SLOPE, 1.0, (_plain(found, weights, "first", "mel", "mean"),))]
    rate, stage = 1, 0
    while f"upsamplers.{stage}.weight" in found.tensors:
        layers.append(_upsampler(found, weights, stage, rate))
        rate *= found.attributes[f"upsamplers.{stage}"]["strides"]
        is_last = f"upsamplers.{stage + 1}.weight" not in found.tensors
        layers += _branches(found, weights, stage, rate, LAST_SLOPE if is_last else SLOPE)
        stage += 1
    _check(stage > 0, "no upsampling")
    last = found.tensors["last.weight"]
    branch = Branch(
        "mean", "wav", weights.put(last[0].T.astype(np.float32)), weights.put(found.tensors["last.bias"]), "",
        last.shape[2], 1, -(last.shape[2] // 2), -(last.shape[2] // 2),
    )  # fmt: skip
    layers.append(Layer("last", SOUND, last.shape[1], 1, rate, 1.0, 1.0, (branch,)))
    return Network(tuple(layers), n_mels, rate, {}), bytes(weights.data)


def packed_weights(weight: FloatArray) -> np.ndarray:
    """Put the weights of a convolution into the order in which tensor cores take their second operand.

    Args:
        weight: float32 [taps, channels, columns], both multiples of 16.

    Returns: float16 [taps, channels / 16, columns / 16, 32 lanes, 8], and one step of zeros behind, since the kernels
        read a step ahead. Order within: PTX ISA, fragments of ``mma.m16n8k16``, for two groups of 8 columns.
    """
    taps, channels, columns = weight.shape
    split = weight.reshape(taps, channels // DEPTH, 2, 4, 2, columns // GROUP, 2, 8)
    ordered = split.transpose(0, 1, 5, 7, 3, 6, 2, 4).astype(np.float16)
    return np.concatenate((ordered.reshape(-1), np.zeros(columns * GROUP, dtype=np.float16)))


def transposed_as_plain(weight: FloatArray, rate: int) -> FloatArray:
    """Turn a transposed convolution into one with two taps whose columns are the rows that it makes of one.

    Output ``t * rate + j`` has weights for ``t - 1`` and ``t`` where ``j`` lies in the first half, else for ``t`` and
    ``t + 1``; so the halves of the columns read from different rows.

    Args:
        weight: float32 [channels, columns, 2 * rate], as ONNX has it, for a padding of ``rate / 2``.
        rate: stride, even.

    Returns: float32 [2, channels, rate * columns].
    """
    half = rate // 2
    phases = np.arange(rate)
    earlier = np.where(phases < half, phases + half + rate, phases + half)
    later = np.where(phases < half, phases + half, phases + half - rate)
    taps = np.stack((weight[:, :, earlier], weight[:, :, later]))
    return np.ascontiguousarray(taps.transpose(0, 1, 3, 2)).reshape(2, weight.shape[0], -1)


def _plain(found: _Graph, weights: _Weights, name: str, reads: str, writes: str, residual: str = "") -> Branch:
    weight = found.tensors[f"{name}.weight"]
    taps, dilation = weight.shape[2], found.attributes[name]["dilations"]
    first = -found.attributes[name]["pads"]
    _check(2 * -first == (taps - 1) * dilation, f"{name} changes the length")
    place = weights.put(packed_weights(weight.transpose(2, 1, 0)))
    bias = weights.put(found.tensors[f"{name}.bias"].astype(np.float32))
    return Branch(reads, writes, place, bias, residual, taps, dilation, first, first)


def _upsampler(found: _Graph, weights: _Weights, stage: int, rate: int) -> Layer:
    name = f"upsamplers.{stage}"
    weight, attributes = found.tensors[f"{name}.weight"], found.attributes[name]
    channels, columns, taps = weight.shape
    stride = attributes["strides"]
    fits = stride % 2 == 0 and taps == 2 * stride and attributes["pads"] == stride // 2
    _check(fits and stride * columns % 64 == 0, f"{name} with kernel {taps}, stride {stride}, {columns} channels")
    place = weights.put(packed_weights(transposed_as_plain(weight, stride)))
    bias = weights.put(np.tile(found.tensors[f"{name}.bias"].astype(np.float32), stride))
    branch = Branch("mean", "x", place, bias, "", 2, 1, -1, 0)
    return Layer(f"up{stage}", ONE, channels, stride * columns, rate, SLOPE, 1.0, (branch,))


def _branches(found: _Graph, weights: _Weights, stage: int, rate: int, slope: float) -> list[Layer]:
    """Return the layers of a stage's residual blocks, the last of which averages them and goes through a leaky ReLU.

    A pair of convolutions is one layer where all its channels fit into a block that makes many rows, else two.
    """
    names = [f"branches.{stage}.{index}" for index in range(MOST_BRANCHES + 1)]
    names = [name for name in names if f"{name}.dilated.0.weight" in found.tensors]
    _check(1 <= len(names) <= MOST_BRANCHES, f"{len(names)} branches")
    names.sort(key=lambda name: -found.tensors[f"{name}.dilated.0.weight"].shape[2])  # what takes longest begins first
    pairs = sum(f"{names[0]}.dilated.{pair}.weight" in found.tensors for pair in range(MOST_PAIRS))
    channels = found.tensors[f"{names[0]}.dilated.0.weight"].shape[0]
    _check(channels in PAIR_TILES or channels % 128 == 0, f"{channels} channels in a residual block")
    layers = []
    for pair in range(pairs):
        is_last = pair == pairs - 1
        reads = ["x" if pair == 0 else f"y{1 - pair % 2}.{index}" for index in range(len(names))]
        writes = [f"y{pair % 2}.{index}" for index in range(len(names))]
        ways = [(f"{name}.dilated.{pair}", f"{name}.plain.{pair}") for name in names]
        what = (channels, channels, rate)
        if channels in PAIR_TILES:
            ends = ["mean"] * len(names) if is_last else writes
            both = [_pair(found, weights, *way) for way in zip(ways, reads, ends, strict=True)]
            kind, name = (MEAN, "mean") if is_last else (PAIR, "pair")
            layers.append(Layer(f"{name}{stage}.{pair}", kind, *what, slope if is_last else SLOPE, SLOPE, tuple(both)))
            continue
        inner = [f"h{index}" for index in range(len(names))]
        dilated = [_plain(found, weights, way[0], *ends) for way, *ends in zip(ways, reads, inner, strict=True)]
        plain = [_plain(found, weights, way[1], *ends) for way, *ends in zip(ways, inner, writes, reads, strict=True)]
        layers.append(Layer(f"dilated{stage}.{pair}", ONE, *what, SLOPE, 1.0, tuple(dilated)))
        layers.append(Layer(f"plain{stage}.{pair}", ONE, *what, 1.0 if is_last else SLOPE, SLOPE, tuple(plain)))
        if is_last:
            averaged = tuple(Branch(name, "mean", 0, 0, "", 1, 1, 0, 0) for name in writes)
            layers.append(Layer(f"average{stage}", AVERAGE, *what, slope, 1.0, averaged))
    return layers


def _pair(found: _Graph, weights: _Weights, names: tuple[str, str], reads: str, writes: str) -> Branch:
    dilated, plain = (_plain(found, weights, name, reads, writes) for name in names)
    _check(dilated.taps == plain.taps and plain.dilation == 1, f"{names[1]} is not the plain form of {names[0]}")
    return replace(dilated, second_weight=plain.weight, second_bias=plain.bias)


def _read(graph: bytes) -> _Graph:
    model = folded(graph)
    tensors = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    attributes: dict[str, dict[str, int]] = {}
    for node in model.graph.node:
        if node.op_type not in ("Conv", "ConvTranspose"):
            continue
        module = node.input[1].removesuffix(".weight")
        attributes[module] = {item.name: item.ints[0] for item in node.attribute if item.ints}
        _check(all(item.i == 1 for item in node.attribute if item.name == "group"), f"{module} in groups")
    slopes = [node.attribute[0].f for node in model.graph.node if node.op_type == "LeakyRelu"]
    kinds = {node.op_type for node in model.graph.node}
    expected = {"Conv", "ConvTranspose", "LeakyRelu", "Add", "Tanh"}
    _check("first.weight" in tensors and "last.weight" in tensors, "no first or last convolution")
    _check(expected <= kinds <= expected | {"Div", "Mul", "Squeeze", "Constant"}, f"it has {', '.join(sorted(kinds))}")
    shape = [round(slope, 4) for slope in slopes]
    _check(shape[-1:] == [LAST_SLOPE] and set(shape[:-1]) == {SLOPE}, "other slopes than 0.1 and at the end 0.01")
    return _Graph(tensors, attributes, slopes, model.graph.input[0].name)


def _check(is_so: bool, what: str) -> None:
    if not is_so:
        raise PlanFailed(
            f"EmotiRT's own kernels are for HiFi-GAN generators, which this vocoder is not: {what}; "
            "take --precision fp16"
        )
