"""Times that a profiler gave for the layers of a plan, put beside the floors of the nodes that each layer stands for.

A plan's layer is named after the nodes that were fused into it. Which nodes those are is read from the names: what
TensorRT's ``IProfiler`` or ``trtexec --exportProfile`` reports, and what its engine inspector says in ``Metadata``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotirt.build.floors import Device, node_flop
from emotirt.build.shapes import SizedGraph
from emotirt.errors import InvalidRequest

_TIMES = ("medianMs", "averageMs", "averageTime", "time_ms", "timeMs")
_COPIES = ("reformat", "copy")
"""How TensorRT's names of layers begin that only change the layout of a tensor."""
_METADATA = re.compile(r"\[ONNX Layer: ([^\]]+)\]")


@dataclass(frozen=True, slots=True)
class TimedLayer:
    """One layer of a plan.

    Attributes:
        name: as the profiler gives it.
        time_ms: measured.
        nodes: of the graph; none for what the plan added, such as a change of layout.
        flop: arithmetic of those nodes.
        bytes: what they read from other layers and write for them, weights included, each once.
    """

    name: str
    time_ms: float
    nodes: tuple[str, ...]
    flop: int
    bytes: int

    def floor_ms(self, device: Device) -> float:
        """Return the least time of its nodes."""
        return max(self.flop / (device.tflops * 1e9), self.bytes / (device.bandwidth_gbps * 1e6))

    def to_dict(self, device: Device) -> dict[str, Any]:
        """Return JSON types."""
        floor_ms = self.floor_ms(device)
        return {
            "name": self.name[:80],
            "nodes": len(self.nodes),
            "time_ms": float(f"{self.time_ms:.4g}"),
            "floor_ms": float(f"{floor_ms:.4g}"),
            "tflops": float(f"{self.flop / max(self.time_ms, 1e-9) / 1e9:.4g}"),
        }


def read_times(path: Path) -> dict[str, float]:
    """Read a profiler's file: layer name to milliseconds.

    Args: path: a JSON list of objects with ``name`` and one of ``medianMs``, ``averageMs``, ``timeMs``, or an object of
        name to milliseconds.
    Raises: InvalidRequest: it is neither.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(data, dict) and all(isinstance(value, (int, float)) for value in data.values()):
            return {str(name): float(value) for name, value in data.items()}
        times: dict[str, float] = {}
        for item in data:
            value = next((item[key] for key in _TIMES if key in item), None)
            if "name" in item and value is not None:
                times[str(item["name"])] = times.get(str(item["name"]), 0.0) + float(value)
    except (OSError, ValueError, TypeError) as exc:
        raise InvalidRequest(f"{str(path)!r} holds no times of layers ({type(exc).__name__}: {exc})") from exc
    if not times:
        raise InvalidRequest(f"{str(path)!r} holds no times of layers; expected a list with name and medianMs")
    return times


def read_metadata(path: Path) -> dict[str, list[str]]:
    """Read an engine inspector's file: layer name to the nodes that it was made from.

    Raises: InvalidRequest: it is no such file, or was written without detailed names.
    """
    try:
        layers = json.loads(path.read_text(encoding="utf-8"))["Layers"]
        return {item["Name"]: _METADATA.findall(item.get("Metadata", "")) for item in layers}
    except (OSError, ValueError, TypeError, KeyError) as exc:
        raise InvalidRequest(
            f"{str(path)!r} holds no layers of a plan ({type(exc).__name__}: {exc}); build with detailed profiling"
        ) from exc


def timed_layers(
    sized: SizedGraph, times_ms: Mapping[str, float], metadata: Mapping[str, Sequence[str]], value_bytes: int
) -> list[TimedLayer]:
    """Put floors beside measured times.

    Args:
        sized: the graph that the plan was built from, at its sizes.
        times_ms: layer name to time.
        metadata: layer name to node names, where the inspector told; else names are searched in the layer's name.
        value_bytes: of one value.
    """
    nodes = {node.name: node for node in sized.live_nodes() if node.name}
    by_length = sorted(nodes, key=len, reverse=True)
    left = set(nodes)
    made = []
    for name, time_ms in times_ms.items():
        known = [item for item in metadata.get(name, ()) if item in left]
        is_copy = name.lower().startswith(_COPIES)  # named after the layer that it copies for
        mine = known if known or is_copy else _named_in(name, (item for item in by_length if item in left))
        left -= set(mine)
        members = [nodes[item] for item in mine]
        flop = sum(node_flop(node, sized) for node in members)
        written = {output for node in members for output in node.output}
        read = {item for node in members for item in node.input if item} - written
        outside = {item for other, node in nodes.items() if other not in mine for item in node.input}
        outside |= {value.name for value in sized.graph.output}
        moved = [item for item in read | (written & outside) if item in sized.shapes]
        size = value_bytes * sum(math.prod(sized.shapes[item]) for item in moved)
        made.append(TimedLayer(name, time_ms, tuple(mine), flop, size))
    return made


def _named_in(layer: str, names: Iterable[str]) -> list[str]:
    """Find node names in a layer's name, long names first, each stretch of it used once."""
    found = []
    rest = layer
    for name in names:
        match = re.search(rf"(?<![\w./]){re.escape(name)}(?![\w./])", rest)
        if match:
            found.append(name)
            rest = rest[: match.start()] + "\0" + rest[match.end() :]
    return found
