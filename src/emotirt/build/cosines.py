"""Let a graph compute the matrix of its inverse Fourier transform when it is loaded, rather than carry 4 MB of cosines.

PyTorch's exporter evaluates whatever depends on no input and stores the result. Runtimes fold the nodes put in its
place just the same, once, when they load the graph.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import helper, numpy_helper

_PREFIX = "inverse_transform"


def compute_inverse_transform(graph: onnx.GraphProto, fft_samples: int) -> None:
    """Replace the stored windowed inverse transform [fft + 2, fft] of ``models.spectral``, if the graph holds one.

    Args:
        graph: of a spectral vocoder; changed in place.
        fft_samples: size of the transform.
    """
    shape = [fft_samples + 2, fft_samples]
    for index, node in enumerate(graph.node):
        if node.op_type == "Constant" and list(node.attribute[0].t.dims) == shape:
            made = _nodes(fft_samples, node.output[0])
            kept = [*graph.node[:index], *made, *graph.node[index + 1 :]]
            del graph.node[:]
            graph.node.extend(kept)
            return


def _nodes(size: int, output: str) -> list[onnx.NodeProto]:
    """Compute gain * window * cosine over gain * window * -sine, both [bins, size], as ``SpectralGenerator._basis``."""
    bins = size // 2 + 1
    gain = np.full((bins, 1), 2.0 / size, dtype=np.float32)
    gain[[0, -1]] = 1.0 / size
    columns = {"bin": np.arange(bins, dtype=np.float32)[:, None], "sample": np.arange(size, dtype=np.float32)[None]}
    values = {
        **columns, "gain": gain, "size": np.float32(size), "turn": np.float32(2.0 * math.pi / size),
        "half": np.float32(0.5),
    }  # fmt: skip
    nodes = [
        helper.make_node("Constant", [], [_name(key)], value=numpy_helper.from_array(np.asarray(value), _name(key)))
        for key, value in values.items()
    ]
    steps = [
        ("Mul", ("bin", "sample"), "product"), ("Mod", ("product", "size"), "rest"), ("Mul", ("rest", "turn"), "angle"),
        ("Mul", ("sample", "turn"), "phase"), ("Cos", ("phase",), "lobe"), ("Mul", ("lobe", "half"), "halved"),
        ("Sub", ("half", "halved"), "window"), ("Mul", ("gain", "window"), "weight"), ("Cos", ("angle",), "cosine"),
        ("Sin", ("angle",), "sine"), ("Neg", ("sine",), "negative"), ("Mul", ("cosine", "weight"), "real"),
        ("Mul", ("negative", "weight"), "imaginary"),
    ]  # fmt: skip
    for kind, inputs, result in steps:
        node = helper.make_node(kind, [_name(key) for key in inputs], [_name(result)])
        if kind == "Mod":
            node.attribute.append(helper.make_attribute("fmod", 1))
        nodes.append(node)
    nodes.append(helper.make_node("Concat", [_name("real"), _name("imaginary")], [output], axis=0))
    return nodes


def _name(key: str) -> str:
    return f"{_PREFIX}/{key}"
