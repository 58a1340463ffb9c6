"""Ranges of activations, from histograms of real data: what magnitude becomes 127.

Everything is streamed, an utterance at a time, in two passes: the largest magnitudes first, then histograms up to them.
(The calibrators of onnxruntime.quantization keep every tensor of every utterance until the end: 4 GB for 10 s of a
HiFi-GAN.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from emotirt.build.fold import folded
from emotirt.build.int8 import LARGEST_INT8, calibrated_tensors
from emotirt.errors import BuildError
from emotirt.runtime.runner import Array
from emotirt.types import FloatArray

Method = Literal["max", "percentile", "mse", "entropy"]
METHODS: tuple[Method, ...] = ("max", "percentile", "mse", "entropy")
BINS = 4096
PERCENTILE = 99.99
Histogram = NDArray[np.float64]


def calibrate(
    graph: bytes, feeds: Sequence[Mapping[str, Array]], method: Method = "mse", threads: int = 1
) -> dict[str, float]:
    """Choose the range of every activation that ``to_int8`` may quantize.

    Args:
        graph: a serialized float32 stage.
        feeds: real inputs, one an utterance.
        method: ``max`` clips nothing, ``percentile`` the largest 0.01 %, ``mse`` gives the least squared error,
            ``entropy`` the least Kullback-Leibler divergence of the histogram (Migacz 2017, "8-bit inference with
            TensorRT").
        threads: of ONNX Runtime.

    Returns: tensor to range, to four significant digits.
    Raises: BuildError: no feeds, an unknown method, or values that are not finite.
    """
    if not feeds or method not in METHODS:
        raise BuildError(f"calibration needs utterances and one of {METHODS}; got {len(feeds)} and {method!r}")
    histograms = collect(graph, feeds, threads)
    return {name: float(f"{chosen(counts, largest, method):.4g}") for name, (counts, largest) in histograms.items()}


def collect(graph: bytes, feeds: Sequence[Mapping[str, Array]], threads: int = 1) -> dict[str, tuple[Histogram, float]]:
    """Return of every activation the histogram of its magnitudes and the largest one; raises as ``calibrate``."""
    model = folded(graph)
    names = calibrated_tensors(model)
    largest = dict.fromkeys(names, 0.0)
    for name, values in _activations(model, names, feeds, threads):
        if not np.isfinite(values).all():
            raise BuildError(f"tensor {name!r} has values that are not finite; the graph cannot be calibrated")
        largest[name] = max(largest[name], float(np.abs(values).max()))
    counts = {name: np.zeros(BINS) for name in names}
    for name, values in _activations(model, names, feeds, threads):
        top = largest[name] or 1.0
        counts[name] += np.histogram(np.abs(values), bins=BINS, range=(0.0, top))[0]
    return {name: (counts[name], largest[name]) for name in names}


def chosen(counts: Histogram, largest: float, method: Method) -> float:
    """Return the range that a method chooses from a histogram of magnitudes up to ``largest``."""
    if method == "max" or largest == 0.0:
        return largest
    if method == "percentile":
        share = np.cumsum(counts) / counts.sum()
        return largest * float(np.searchsorted(share, PERCENTILE / 100.0) + 1) / BINS
    tried = np.unique(np.linspace(BINS // 16, BINS, 128).astype(int))
    cost = _squared_error if method == "mse" else _divergence
    return largest * float(min(tried, key=lambda bins: cost(counts, int(bins)))) / BINS


def _squared_error(counts: Histogram, bins: int) -> float:
    """Sum the squared errors of values at the middles of their bins, quantized with ``bins`` as the range."""
    centers = np.arange(BINS) + 0.5
    scale = bins / LARGEST_INT8
    found = np.minimum(np.rint(centers / scale), LARGEST_INT8) * scale
    return float((counts * (centers - found) ** 2).sum())


def _divergence(counts: Histogram, bins: int) -> float:
    """Compare the histogram clipped to ``bins`` with itself in 128 steps."""
    wanted = counts[:bins].copy()
    wanted[-1] += counts[bins:].sum()
    step = np.minimum(np.arange(bins) * (LARGEST_INT8 + 1) // bins, LARGEST_INT8)
    used = counts[:bins] > 0
    totals = np.bincount(step, counts[:bins], LARGEST_INT8 + 1)
    filled = np.bincount(step, used, LARGEST_INT8 + 1)
    found = np.where(used, (totals / np.maximum(filled, 1))[step], 0.0)
    if not found.sum():
        return float("inf")
    both = (wanted > 0) & (found > 0)
    missing = wanted[(wanted > 0) & (found == 0)].sum() / wanted.sum()
    p, q = wanted[both] / wanted.sum(), found[both] / found.sum()
    return float((p * np.log(p / q)).sum() + missing * 10.0)


def _activations(
    model: onnx.ModelProto, names: Sequence[str], feeds: Iterable[Mapping[str, Array]], threads: int
) -> Iterator[tuple[str, FloatArray]]:
    """Run every utterance and yield the named tensors."""
    inputs = {item.name for item in model.graph.input}
    given = {item.name for item in model.graph.output}
    inner = [name for name in names if name not in inputs]
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner if name not in given)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    for item in feeds:
        for name in inputs & set(names):
            yield name, item[name]
        given_values = session.run(inner, dict(item)) if inner else []  # asked for nothing it gives everything
        for name, values in zip(inner, given_values, strict=True):
            yield name, values
