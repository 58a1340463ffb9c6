"""Rewrites of graphs that change how something is computed and not what: each equal to the original within rounding.

None is applied unless it is asked for by name. What each is expected to do to the speed, and what it did where that has
been measured, is in docs/experiments.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import onnx
from onnx import shape_inference

from emotirt.build.branches import merged_branches, merged_narrow_branches
from emotirt.build.half_storage import store_half
from emotirt.build.planar import planar_convolutions
from emotirt.build.polyphase import cropped_phases, spread_phases
from emotirt.bundle.manifest import StageEntry
from emotirt.bundle.profiles import Axes
from emotirt.bundle.store import Bundle, file_entry, write_bundle
from emotirt.errors import BuildError
from emotirt.runtime.eager import HALF

REWRITES: Mapping[str, Callable[[onnx.GraphProto], int]] = {
    "polyphase": spread_phases,
    "polyphase-cropped": cropped_phases,
    "merge-branches": merged_branches,
    "merge-narrow-branches": merged_narrow_branches,
    "planar": planar_convolutions,
}
"""By name, in an order in which they can be combined: ``planar`` last, since the others know one dimension only."""


def rewritten(graph: bytes, names: Sequence[str], stage: str = "vocoder") -> bytes:
    """Apply rewrites to a graph, in the order of ``REWRITES``.

    Args:
        graph: serialized ONNX model with plain or half-stored weights.
        names: of ``REWRITES``.
        stage: for errors.

    Raises: BuildError: an unknown name, a rewrite that found nothing to do, or one that made an invalid graph.
    """
    unknown = [name for name in names if name not in REWRITES]
    if unknown:
        raise BuildError(f"unknown rewrite {', '.join(map(repr, unknown))}; available: {', '.join(REWRITES)}")
    model = onnx.load_from_string(graph)
    was_half = any(item.name.endswith(HALF) for item in model.graph.initializer)
    for name in (name for name in REWRITES if name in names):
        if not REWRITES[name](model.graph):
            raise BuildError(f"rewrite {name!r} finds nothing to do in the graph of stage {stage}; leave it out")
    if was_half:
        store_half(model, stage)
    try:
        onnx.checker.check_model(shape_inference.infer_shapes(model, strict_mode=True), full_check=True)
    except (onnx.checker.ValidationError, shape_inference.InferenceError) as exc:
        raise BuildError(f"rewrites {', '.join(names)} made an invalid graph of stage {stage}: {exc}") from exc
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def with_stage_graph(
    bundle: Bundle, directory: Path, stage: str, graph: bytes, name: str, profiles: Sequence[Axes] = ()
) -> Bundle:
    """Write a copy of a bundle in which one stage has another graph with the same boundary.

    Args:
        bundle: what to copy.
        directory: where the copy goes; an existing bundle there is replaced.
        stage: whose graph changes.
        graph: serialized ONNX model.
        name: of the copy.
        profiles: shapes that the stage's plans are built for, in place of those that the bundle says.

    Raises: BundleError: a file is missing, or the place cannot be written.
    """
    manifest = bundle.manifest
    files = {entry.file: (bundle.path / entry.file).read_bytes() for entry in manifest.files}
    entry = manifest.stages[stage]
    fresh = file_entry(entry.file, graph)
    changed: StageEntry = replace(entry, sha256=fresh.sha256, bytes=fresh.bytes)
    return write_bundle(
        directory,
        replace(
            manifest,
            name=name,
            stages={**manifest.stages, stage: changed},
            profiles={**manifest.profiles, **({stage: tuple(map(dict, profiles))} if profiles else {})},
        ),
        {**files, entry.file: graph},
    )
