"""Arithmetic, bytes and least time of every layer of a stage, from its graph alone or beside a profiler's times."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotirt.cli.arguments import positive_int
from emotirt.errors import BackendUnavailable

if TYPE_CHECKING:
    from emotirt.build.floors import Device, Layer
    from emotirt.build.shapes import SizedGraph
    from emotirt.bundle.store import Bundle

H200_TFLOPS, H200_GBPS = 790.0, 4300.0
"""Measured on an H200: a large FP16 matrix product, and a copy within its memory with reads and writes counted."""
_SHOWN = 40
_COUNTED_FRAMES = 937


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``emotirt bench floors``."""
    add = parser.add_argument
    add("--bundle", type=Path, metavar="DIR", help="whose stage (default: the bundle inside EmotiRT)")
    add("--stage", default="vocoder", help="which stage (default: vocoder)")
    add("--graph", type=Path, metavar="FILE", help="an ONNX file instead of a bundle's stage")
    add("--batch", type=positive_int, default=1, help="rows at once (default: 1)")
    add("--frames", type=positive_int, default=937, help="of a row (default: 937, 15 s)")
    add("--tokens", type=positive_int, default=187, help="of a row (default: 187)")
    add("--tflops", type=float, default=H200_TFLOPS, help=f"what the device multiplies (default: {H200_TFLOPS:g})")
    add("--gbps", type=float, default=H200_GBPS, help=f"what its memory moves (default: {H200_GBPS:g})")
    add("--value-bytes", type=int, default=2, help="bytes of a value (default: 2, FP16)")
    add("--profile", type=Path, metavar="FILE", help="times of a plan's layers, as JSON")
    add("--layers", type=Path, metavar="FILE", help="what the engine inspector says of them, as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the table and keep the result.

    Raises: BackendUnavailable: onnx is not installed. BuildError, InvalidRequest: the graph or a file is bad.
    """
    from emotirt.bench.results import BenchmarkResult, describe_hardware, write_result

    try:
        from emotirt.build.floors import Device, layers
        from emotirt.build.shapes import sized_graph
    except ModuleNotFoundError as exc:
        raise BackendUnavailable(f"floors need the package {exc.name!r}: pip install 'emotirt[train]'") from exc
    device = Device(args.tflops, args.gbps, args.value_bytes)
    graph, bundle = _graph(args)
    sized = sized_graph(graph, {"batch": args.batch, "frames": args.frames, "tokens": args.tokens})
    found = layers(sized, device.value_bytes)
    totals = _totals(found, device)
    out = sys.stdout.write
    out(_table(_grouped(found), device))
    floors = ", ".join(f"{name} {totals[f'{name}_ms']:.3f} ms" for name in ("arithmetic", "memory"))
    out(f"{totals['gflop']:.1f} GFLOP in {totals['layers']} layers; floors: {floors}, ")
    out(f"the larger of both layer by layer {totals['floor_ms']:.3f} ms\n")
    details: dict[str, Any] = {"totals": totals, "groups": _grouped_rows(found, device)}
    if args.profile is not None:
        details["timed"] = _timed(args, sized, device)
    names = ("stage", "batch", "frames", "tokens", "tflops", "gbps", "value_bytes")
    settings = {name: getattr(args, name) for name in names}
    result = BenchmarkResult("floors", {}, settings, details, bundle, f"computed on {describe_hardware()}")
    out(f"{write_result(result, args.results)}\n")
    return 0


def vocoder_gflop_per_s(bundle: Bundle) -> float | None:
    """Return the arithmetic of a second of audio in a bundle's vocoder; None where onnx, which counts, is missing."""
    try:
        from emotirt.build.floors import layers
        from emotirt.build.shapes import sized_graph
    except ModuleNotFoundError:
        return None
    frames = _COUNTED_FRAMES
    sized = sized_graph(bundle.stage_bytes("vocoder"), {"batch": 1, "frames": frames})
    audio_s = frames * bundle.manifest.hop_samples / bundle.manifest.sample_rate_hz
    return round(sum(layer.flop for layer in layers(sized, 2)) / 1e9 / audio_s, 3)


def _graph(args: argparse.Namespace) -> tuple[bytes, dict[str, str]]:
    from emotirt.bundle.store import default_bundle_path, open_bundle
    from emotirt.errors import InvalidRequest

    if args.graph is not None:
        try:
            return args.graph.read_bytes(), {}
        except OSError as exc:
            raise InvalidRequest(f"graph {str(args.graph)!r} cannot be read: {exc.strerror}") from exc
    bundle = open_bundle(args.bundle or default_bundle_path())
    return bundle.stage_bytes(args.stage), {"name": bundle.manifest.name, "sha256": bundle.digest}


def _totals(found: Sequence[Layer], device: Device) -> dict[str, float]:
    return {
        "layers": len(found),
        "gflop": round(sum(layer.flop for layer in found) / 1e9, 2),
        "weight_mb": round(sum(layer.weight_bytes for layer in found) / 1e6, 2),
        "activation_mb": round(sum(layer.activation_bytes for layer in found) / 1e6, 1),
        "arithmetic_ms": round(sum(layer.arithmetic_ms(device) for layer in found), 4),
        "memory_ms": round(sum(layer.memory_ms(device) for layer in found), 4),
        "floor_ms": round(sum(layer.floor_ms(device) for layer in found), 4),
    }


def _grouped(found: Sequence[Layer]) -> dict[str, list[Layer]]:
    """Put layers of one part of the network and one kind together, such as every convolution of one level."""
    groups: dict[str, list[Layer]] = {}
    for layer in found:
        part = ".".join(layer.name.strip("/").split("/")[0].split(".")[:2])
        groups.setdefault(f"{part} {layer.kind}", []).append(layer)
    return groups


def _grouped_rows(found: Sequence[Layer], device: Device) -> dict[str, dict[str, float]]:
    return {name: _totals(members, device) for name, members in _grouped(found).items()}


def _table(groups: dict[str, list[Layer]], device: Device) -> str:
    from emotirt.bench.comparison_table import aligned

    heads = ("part", "layers", "GFLOP", "weights MB", "activations MB", "arithmetic ms", "memory ms", "floor ms")
    rows = []
    for name, members in groups.items():
        total = _totals(members, device)
        rows.append((name, *(f"{value:g}" for value in total.values())))
    return aligned([heads, *rows])


def _timed(args: argparse.Namespace, sized: SizedGraph, device: Device) -> dict[str, Any]:
    """Print and return a plan's layers, the slowest first."""
    from emotirt.bench.comparison_table import aligned
    from emotirt.build.layer_times import read_metadata, read_times, timed_layers

    metadata = {} if args.layers is None else read_metadata(args.layers)
    found = timed_layers(sized, read_times(args.profile), metadata, device.value_bytes)
    found.sort(key=lambda layer: -layer.time_ms)
    rows = [layer.to_dict(device) for layer in found]
    heads = ("layer", "nodes", "ms", "floor ms", "TFLOP/s")
    sys.stdout.write(aligned([heads, *(tuple(f"{value}" for value in row.values()) for row in rows[:_SHOWN])]))
    unmatched = [layer for layer in found if not layer.nodes]
    return {
        "layers": len(found),
        "time_ms": round(sum(layer.time_ms for layer in found), 4),
        "added_by_the_plan": {
            "layers": len(unmatched),
            "time_ms": round(sum(layer.time_ms for layer in unmatched), 4),
        },
        "slowest": rows[:_SHOWN],
    }
