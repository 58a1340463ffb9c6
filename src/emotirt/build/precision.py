"""Every stage of a bundle in a precision: which rewrites it takes, and what is measured for them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from emotirt.build.calibration import Method, calibrate
from emotirt.build.fp16 import to_fp16
from emotirt.build.int8 import to_int8
from emotirt.build.sensitivity import LayerCost, Quantizer
from emotirt.build.spoken import TEXTS, Spoken, spoken_utterances
from emotirt.bundle.contract import VOCODER
from emotirt.bundle.plans import FLOAT32, INT8, PRECISIONS
from emotirt.bundle.store import Bundle
from emotirt.errors import BuildError
from emotirt.runtime.open import open_runner

logger = logging.getLogger(__name__)

QUANTIZED_STAGES = (VOCODER,)
"""Where nearly all the arithmetic is; the other stages are float16 in an int8 bundle too."""
FEW_SENTENCES = 4
"""Of each language, for random weights."""
CALIBRATION_FRAMES = 2500
SENSITIVITY_FRAMES = 600
"""Mel frames to calibrate on and to measure layers on, 40 s and 10 s at the default hop."""


@dataclass(frozen=True, slots=True)
class Quantization:
    """Everything that makes an int8 graph of a float32 one.

    Attributes:
        ranges: tensor to the magnitude that becomes 127.
        kept: layers that are not quantized.
        residuals: whether skipped inputs of residual sums are quantized.
        costs: of every layer, the costliest first; empty if nothing was measured.
    """

    ranges: Mapping[str, float]
    kept: tuple[str, ...] = ()
    residuals: bool = False
    costs: tuple[LayerCost, ...] = ()


def precision_graph(bundle: Bundle, stage: str, precision: str, quantization: Quantization | None = None) -> bytes:
    """Return a stage strongly typed in a precision, for TensorRT 10 and later and TensorRT-RTX.

    Args:
        bundle: of either family; the result depends on nothing else but the code.
        stage: one of the bundle's.
        precision: one of ``PRECISIONS``.
        quantization: of this stage; None to measure it, which takes a minute.

    Raises: BuildError: an unknown precision, or the graph cannot be rewritten. ParityFailed: nothing can be quantized.
    """
    graph = bundle.stage_bytes(stage)
    if _checked(precision) == FLOAT32:
        return graph
    if precision == INT8 and stage in QUANTIZED_STAGES:
        known = quantization or measured_quantization(bundle, stage)
        graph = to_int8(graph, known.ranges, known.kept, known.residuals)
    return to_fp16(graph)


def measured_quantization(
    bundle: Bundle, stage: str = VOCODER, method: Method = "max", residuals: bool = False, threads: int = 1
) -> Quantization:
    """Calibrate a stage on the bundle's own speech and find the layers that must not be quantized.

    Random weights have no quality that a layer could spoil: all layers are quantized, after few sentences.

    Raises: BuildError: the stage is none of ``QUANTIZED_STAGES``. ParityFailed: nothing can be quantized.
    """
    if stage not in QUANTIZED_STAGES:
        raise BuildError(f"stage {stage} is not quantized; stages that are: {', '.join(QUANTIZED_STAGES)}")
    is_random = bundle.manifest.random_weights
    texts = {language: lines[:FEW_SENTENCES] for language, lines in TEXTS.items()} if is_random else TEXTS
    spoken = spoken_utterances(bundle, texts, threads)
    graph = bundle.stage_bytes(stage)
    sample = _spread(spoken, CALIBRATION_FRAMES)
    logger.info("calibrating %s on %d utterances, %d frames", stage, len(sample), sum(item.frames for item in sample))
    ranges = calibrate(graph, [item.feeds[stage] for item in sample], method, threads)
    if is_random:
        return Quantization(ranges, (), residuals, ())
    reference = open_runner(bundle, stage, threads=threads)
    try:
        measured = _spread([item for item in spoken if item.frames >= 60], SENSITIVITY_FRAMES)
        quantizer = Quantizer(stage, graph, ranges, measured, bundle.manifest, reference, residuals, threads)
        costs = quantizer.costs()
        return Quantization(ranges, tuple(quantizer.kept(costs)), residuals, tuple(costs))
    finally:
        reference.close()


def _checked(precision: str) -> str:
    if precision not in PRECISIONS:
        raise BuildError(f"unknown precision {precision!r}; known: {', '.join(PRECISIONS)}")
    return precision


def _spread(spoken: Sequence[Spoken], most_frames: int) -> list[Spoken]:
    """Choose utterances of every length, at least one, that together do not exceed ``most_frames`` by much."""
    step = max(1, round(sum(item.frames for item in spoken) / most_frames))
    return list(spoken[::step])
