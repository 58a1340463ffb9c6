"""Bundles whose vocoder really gives NaN, silence or clipping: the tiny bundle's graph with another last bias."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from emotirt.bundle.contract import VOCODER
from emotirt.bundle.store import Bundle, file_entry, write_bundle

POISONS = {"nan": (1.0, float("nan")), "silence": (0.0, 0.0), "clipping": (1.0, 100.0)}
"""Factor on the weight of the last layer, and its bias."""


def poisoned_bundle(bundle: Bundle, directory: Path, poison: str) -> Bundle:
    """Write a copy of a bundle with a spoilt vocoder; everything about it fits its manifest."""
    gain, bias = POISONS[poison]
    model = onnx.load_from_string(bundle.stage_bytes(VOCODER))
    for item in model.graph.initializer:
        value = numpy_helper.to_array(item)
        if item.name.startswith("last.weight"):
            item.CopyFrom(numpy_helper.from_array((value * gain).astype(value.dtype), item.name))
        elif item.name.startswith("last.bias"):
            item.CopyFrom(numpy_helper.from_array(np.full_like(value, bias), item.name))
    manifest = bundle.manifest
    files = {entry.file: (bundle.path / entry.file).read_bytes() for entry in manifest.files}
    entry = manifest.stages[VOCODER]
    files[entry.file] = model.SerializeToString()
    written = file_entry(entry.file, files[entry.file])
    stage = replace(entry, sha256=written.sha256, bytes=written.bytes)
    return write_bundle(directory, replace(manifest, stages={**manifest.stages, VOCODER: stage}), files)
