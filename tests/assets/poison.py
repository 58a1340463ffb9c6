"""Bundles whose vocoder really gives NaN, silence or clipping: the tiny bundle's graph with nodes added to its end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from emotirt.bundle.contract import VOCODER
from emotirt.bundle.store import Bundle, file_entry, write_bundle

POISONS = {"nan": float("nan"), "silence": 0.0, "clipping": 1.0}
"""What every sample becomes."""


def poisoned_bundle(bundle: Bundle, directory: Path, poison: str, from_frames: int = 0) -> Bundle:
    """Write a copy of a bundle that spoils windows of at least ``from_frames``; its manifest fits."""
    manifest = bundle.manifest
    files = {entry.file: (bundle.path / entry.file).read_bytes() for entry in manifest.files}
    entry = manifest.stages[VOCODER]
    files[entry.file] = _poisoned_graph(files[entry.file], POISONS[poison], from_frames)
    written = file_entry(entry.file, files[entry.file])
    stage = replace(entry, sha256=written.sha256, bytes=written.bytes)
    return write_bundle(directory, replace(manifest, stages={**manifest.stages, VOCODER: stage}), files)


def _poisoned_graph(data: bytes, value: float, from_frames: int) -> bytes:
    model = onnx.load_from_string(data)
    graph = model.graph
    for node in graph.node:
        node.output[:] = ["clean_wav" if name == "wav" else name for name in node.output]
        node.input[:] = ["clean_wav" if name == "wav" else name for name in node.input]
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(2, np.int64), "frames_axis"),
            numpy_helper.from_array(np.array(from_frames, np.int64), "least_frames"),
            numpy_helper.from_array(np.array(value, np.float32), "poison"),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("Shape", ["mel"], ["mel_shape"]),
            helper.make_node("Gather", ["mel_shape", "frames_axis"], ["mel_frames"]),
            helper.make_node("GreaterOrEqual", ["mel_frames", "least_frames"], ["is_poisoned"]),
            helper.make_node("Where", ["is_poisoned", "poison", "clean_wav"], ["wav"]),
        ]
    )
    return bytes(model.SerializeToString())
