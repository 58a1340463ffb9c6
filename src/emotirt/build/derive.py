"""A bundle in another precision, refused unless it sounds like the one it was derived from."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from emotirt.build.gates import LIMITS, StageCloseness, compare_paths, compare_precision
from emotirt.build.half_emulation import emulated
from emotirt.build.precision import QUANTIZED_STAGES, Quantization, measured_quantization, precision_graph
from emotirt.build.spoken import TEXTS, Spoken, spoken_utterances
from emotirt.bundle.contract import VOCODER
from emotirt.bundle.manifest import StageEntry
from emotirt.bundle.plans import FP16, INT8, stage_precision
from emotirt.bundle.store import Bundle, file_entry, write_bundle
from emotirt.runtime.open import open_runner
from emotirt.runtime.ort import OrtRunner
from emotirt.runtime.runner import Array, Runner
from emotirt.types import FloatArray

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Derived:
    """A derived bundle and how close it is to its origin.

    Attributes:
        bundle: as written.
        parity: of every stage, and of the whole path from tokens to samples.
        quantization: of the vocoder, where there is one.
    """

    bundle: Bundle
    parity: tuple[StageCloseness, ...]
    quantization: Quantization | None = None


def derive_bundle(
    bundle: Bundle,
    precision: str,
    directory: Path,
    texts: Mapping[str, tuple[str, ...]] | None = None,
    threads: int = 1,
) -> Derived:
    """Rewrite every stage, compare it with float32 on real utterances, and write the bundle whole or not at all.

    Half precision is emulated for the comparison, with a rounding after every operator.

    Args:
        bundle: float32, of either family.
        precision: ``fp16``, or ``int8`` with the vocoder quantized and the rest in float16.
        directory: where; an existing bundle is replaced.
        texts: to compare on, None for those of ``spoken``.
        threads: of ONNX Runtime.

    Raises:
        BuildError: a graph cannot be rewritten.
        ParityFailed: a stage is not close enough; nothing is written.
        BundleError: the bundle cannot be read, or the place cannot be written.
    """
    quantization = measured_quantization(bundle, VOCODER, threads=threads) if precision == INT8 else None
    graphs = {
        stage: precision_graph(bundle, stage, stage_precision(stage, precision), quantization)
        for stage in bundle.manifest.stages
    }
    parity = _parity(bundle, precision, graphs, texts or TEXTS, threads)
    for item in parity:
        item.check(LIMITS[_limits_of(item.stage, precision)])
    entries = {stage: _entry(entry, graphs[stage]) for stage, entry in bundle.manifest.stages.items()}
    manifest = replace(bundle.manifest, stages=entries)
    files = {entries[stage].file: graph for stage, graph in graphs.items()}
    for entry in bundle.manifest.files:
        if entry.file not in files:
            files[entry.file] = (bundle.path / entry.file).read_bytes()
    return Derived(write_bundle(directory, manifest, files), parity, quantization)


def _limits_of(stage: str, precision: str) -> str:
    """Return the key of ``LIMITS``: the path is as close as its vocoder."""
    return precision if stage in (*QUANTIZED_STAGES, "path") else FP16


def _entry(entry: StageEntry, graph: bytes) -> StageEntry:
    written = file_entry(entry.file, graph)
    return replace(entry, sha256=written.sha256, bytes=written.bytes)


def _parity(
    bundle: Bundle, precision: str, graphs: Mapping[str, bytes], texts: Mapping[str, tuple[str, ...]], threads: int
) -> tuple[StageCloseness, ...]:
    references = {stage: open_runner(bundle, stage, threads=threads) for stage in graphs}
    candidates: dict[str, Runner] = {
        stage: OrtRunner(stage, emulated(graph), references[stage].inputs, references[stage].outputs, threads)
        for stage, graph in graphs.items()
    }

    def render(mel: Array) -> FloatArray:
        feeds = {"mel": np.ascontiguousarray(mel.transpose(0, 2, 1))}
        return np.asarray(references[VOCODER].run(feeds)["wav"][0])

    try:
        spoken = spoken_utterances(bundle, texts, runners=references)
        found = []
        for stage, candidate in candidates.items():
            found.append(compare_precision(stage, references[stage], candidate, spoken, bundle.manifest, render))
            _log(found[-1], precision)
        again: list[Spoken] = spoken_utterances(bundle, texts, runners=candidates)
        found.append(compare_paths(spoken, again, bundle.manifest))
        _log(found[-1], precision)
        return tuple(found)
    finally:
        for runner in (*references.values(), *candidates.values()):
            runner.close()


def _log(closeness: StageCloseness, precision: str) -> None:
    figures = ", ".join(f"{name} {value:.4g}" for name, value in closeness.figures().items())
    logger.info("%s in %s against float32: %s", closeness.stage, precision, figures)
