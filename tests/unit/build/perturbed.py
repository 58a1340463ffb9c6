"""Stages whose weights are wrong, for what must notice it."""

from __future__ import annotations

import onnx
from onnx import numpy_helper

from emotirt.bundle.store import Bundle
from emotirt.runtime.open import open_runner
from emotirt.runtime.ort import OrtRunner


def perturbed(bundle: Bundle, stage: str, weight: str, change: float) -> OrtRunner:
    """The stage's graph with one weight tensor scaled by 1 + ``change``."""
    model = onnx.load_from_string(bundle.stage_bytes(stage))
    item = next(item for item in model.graph.initializer if item.name == weight)
    array = numpy_helper.to_array(item)
    item.CopyFrom(numpy_helper.from_array((array * (1 + change)).astype(array.dtype), weight))
    good = open_runner(bundle, stage, threads=1)
    return OrtRunner(stage, model.SerializeToString(), good.inputs, good.outputs, 1)
