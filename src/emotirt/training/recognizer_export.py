"""Write a trained phoneme recognizer as one ONNX file, so that scoring needs no PyTorch.

The graph maps ``magnitude`` [batch, frames, 513] and ``frames`` [batch] to ``log_probs`` [batch, steps, tokens];
matrices are stored as int8 or float16 and become float32 when the file is loaded. Run as
``python -m emotirt.training.recognizer_export WEIGHTS OUT``.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from emotirt.errors import ExportFailed
from emotirt.training.recognizer import load_recognizer
from emotirt.training.recognizer_network import PITCH_BINS, PITCH_TOP_BIN, Recognizer
from emotirt.training.recognizer_tokens import TOKENS
from emotirt.whole_file import write_whole

if TYPE_CHECKING:
    import onnx

TOLERANCE = 1e-3
"""Largest allowed difference of log probabilities from PyTorch, before weights are stored smaller."""
SMALLEST_PACKED = 2048
ANALYSIS_SHAPES = ((513, 80), (PITCH_TOP_BIN, PITCH_BINS))
"""Filters of the analysis stay float32."""


def graph_from_recognizer(network: Recognizer) -> onnx.ModelProto:
    """Trace the network with free batch and length.

    Raises: ExportFailed: ONNX Runtime answers differently.
    """
    import onnxruntime

    magnitude, frames = torch.rand(2, 61, 513), torch.tensor([61, 40])
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own dependencies
        program = torch.onnx.export(
            network, (magnitude, frames), dynamo=True, verbose=False,
            input_names=["magnitude", "frames"], output_names=["log_probs"],
            dynamic_shapes={"magnitude": {0: batch, 1: length}, "frames": {0: batch}},
        )  # fmt: skip
    if program is None:
        raise ExportFailed("the exporter returned no graph for the recognizer")
    model: onnx.ModelProto = program.model_proto
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for count in (1, 50, 333):
        magnitude, frames = torch.rand(1, count, 513), torch.tensor([count])
        with torch.no_grad():
            wanted = network(magnitude, frames).numpy()
        given = session.run(None, {"magnitude": magnitude.numpy(), "frames": frames.numpy()})[0]
        worst = float(np.abs(wanted - given).max())
        if worst > TOLERANCE:
            raise ExportFailed(
                f"recognizer graph differs by {worst:.2e} at {count} frames; at most {TOLERANCE} is allowed"
            )
    return model


def pack_weights(model: onnx.ModelProto, int8: bool) -> None:
    """Store large float32 matrices smaller: int8 with a scale for each row (axis 0), or float16."""
    from onnx import helper, numpy_helper

    graph = model.graph
    added = []
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < SMALLEST_PACKED or values.shape in ANALYSIS_SHAPES:
            continue
        graph.initializer.remove(tensor)
        if int8:
            scale = np.maximum(np.abs(values).reshape(len(values), -1).max(axis=1) / 127.0, 1e-12).astype(np.float32)
            rounded = np.round(values / scale.reshape(-1, *[1] * (values.ndim - 1))).astype(np.int8)
            parts = [
                numpy_helper.from_array(rounded, f"{tensor.name}.int8"),
                numpy_helper.from_array(scale, f"{tensor.name}.scale"),
            ]
            node = helper.make_node("DequantizeLinear", [part.name for part in parts], [tensor.name], axis=0)
        else:
            parts = [numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}.half")]
            node = helper.make_node("Cast", [parts[0].name], [tensor.name], to=1)
        graph.initializer.extend(parts)
        added.append(node)
    own = list(graph.node)
    del graph.node[:]
    graph.node.extend(added + own)


def export_recognizer(weights: Path, out: Path, int8: bool = False) -> None:
    """Write the graph; its metadata names the tokens and how the recognizer was trained."""
    import onnx

    network = load_recognizer(weights)
    model = graph_from_recognizer(network)
    pack_weights(model, int8)
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    del model.graph.value_info[:]
    report = weights.parent / "report.json"
    facts = {"tokens": json.dumps(TOKENS), "training": report.read_text(encoding="utf-8") if report.exists() else "{}"}
    onnx.helper.set_model_props(model, facts)
    onnx.checker.check_model(model)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, model.SerializeToString())


def main(argv: Sequence[str] | None = None) -> None:
    """Export from the command line."""
    arguments = argparse.ArgumentParser(prog="python -m emotirt.training.recognizer_export", description=__doc__)
    arguments.add_argument("weights", type=Path, help="recognizer.pt")
    arguments.add_argument("out", type=Path, help="recognizer.onnx")
    arguments.add_argument("--int8", action="store_true", help="store matrices as int8 instead of float16")
    options = arguments.parse_args(argv)
    export_recognizer(options.weights, options.out, options.int8)


if __name__ == "__main__":
    main()
