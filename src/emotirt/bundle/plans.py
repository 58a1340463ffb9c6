"""What a TensorRT plan is: what it was made from, for which shapes, and where it may be loaded.

A plan fits one graph, one TensorRT and one kind of GPU. ``PlanKey`` says which; whatever changes in it makes another
plan. Nothing here touches the disk or knows TensorRT; the cache is ``bundle.plan_cache``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from emotirt.bundle.contract import VOCODER

RECORD_VERSION = 1
RECIPE = 4
"""Raised whenever the build would make another plan of the very same inputs, so that older ones are made anew."""

TENSORRT_8, TENSORRT, TENSORRT_RTX = "tensorrt8", "tensorrt", "tensorrt_rtx"
ADAPTERS = (TENSORRT_8, TENSORRT, TENSORRT_RTX)
"""TensorRT 8.6; TensorRT 10 and 11; TensorRT for RTX."""
FLOAT32, FP16, INT8 = "float32", "fp16", "int8"
PRECISIONS = (FLOAT32, FP16, INT8)
KERNELS = "kernels"
"""FP16 with the vocoder by EmotiRT's own kernels instead of TensorRT's; of plans only, no graph is rewritten for it."""
PLAN_PRECISIONS = (*PRECISIONS, KERNELS)

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ShapeRange:
    """Shapes of one input that a profile covers, axis by axis.

    Attributes:
        min: smallest.
        opt: the one that kernels are chosen for.
        max: largest.
    """

    min: Shape
    opt: Shape
    max: Shape

    def covers(self, shape: Shape) -> bool:
        """Say whether every axis lies within the range."""
        return len(shape) == len(self.min) and all(
            low <= size <= high for low, size, high in zip(self.min, shape, self.max, strict=True)
        )

    @property
    def is_static(self) -> bool:
        """Whether it holds a single shape."""
        return self.min == self.max


@dataclass(frozen=True, slots=True)
class Profile:
    """An optimization profile: a range for every input of a stage, in the graph's order."""

    inputs: tuple[tuple[str, ShapeRange], ...]

    @property
    def ranges(self) -> dict[str, ShapeRange]:
        """The ranges by input name."""
        return dict(self.inputs)

    @property
    def is_static(self) -> bool:
        """Whether it holds a single shape of every input."""
        return all(shapes.is_static for _, shapes in self.inputs)

    def covers(self, shapes: Mapping[str, Shape]) -> bool:
        """Say whether the shapes of all inputs lie within the profile."""
        return set(shapes) == {name for name, _ in self.inputs} and all(
            shapes_range.covers(shapes[name]) for name, shapes_range in self.inputs
        )


@dataclass(frozen=True, slots=True)
class PlanPlace:
    """Where a plan loads.

    Attributes:
        adapter: one of ``ADAPTERS``.
        tensorrt_version: in full, as the library names itself.
        gpu_name: the GPU it is tuned on and for; empty where any of the capabilities does.
        compute_capabilities: like ``("8.6", "8.9")``, ascending.
    """

    adapter: str
    tensorrt_version: str
    gpu_name: str
    compute_capabilities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlanKey:
    """Everything that decides what a plan holds and where it loads.

    Attributes:
        stage: name.
        precision: one of ``PLAN_PRECISIONS``.
        graph_sha256: of the stage's graph as the bundle holds it, before any rewrite to the precision.
        adapter: one of ``ADAPTERS``.
        tensorrt_version: in full, as the library names itself.
        gpu_name: the GPU it was tuned on and for; empty where any of the capabilities does.
        compute_capabilities: like ``("8.6", "8.9")``, ascending.
        profiles: optimization profiles in the plan's order, all of the stage's or some.
        version_compatible: loads in the lean runtime of any release of the same major version.
        optimization_level: of the builder, None for its default.
        recipe: ``RECIPE`` of the code that built it.
    """

    stage: str
    precision: str
    graph_sha256: str
    adapter: str
    tensorrt_version: str
    gpu_name: str
    compute_capabilities: tuple[str, ...]
    profiles: tuple[Profile, ...]
    version_compatible: bool = False
    optimization_level: int | None = None
    recipe: int = RECIPE

    @property
    def digest(self) -> str:
        """64 hexadecimal digits that name the plan's files in the cache."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def difference(self, needed: PlanKey) -> str:
        """Say why a plan of this key cannot stand for the one of ``needed``; empty where it can.

        A plan for several compute capabilities serves each of them, one that is tied to no GPU serves every GPU, a
        version-compatible one serves its own and later releases of its major version, and where no optimization level
        is asked for, any will do.
        """
        for name in ("stage", "precision", "graph_sha256", "adapter", "profiles", "recipe"):
            mine, wanted = getattr(self, name), getattr(needed, name)
            if mine != wanted:
                return f"its {name} differs" if name == "profiles" else f"its {name} is {mine}, needed is {wanted}"
        if needed.optimization_level not in (None, self.optimization_level):
            return f"its optimization level is {self.optimization_level}, needed is {needed.optimization_level}"
        if not self._version_serves(needed):
            return f"it was built by version {self.tensorrt_version}, here is {needed.tensorrt_version}"
        if not set(needed.compute_capabilities) <= set(self.compute_capabilities):
            return (
                f"it is for compute capability {', '.join(self.compute_capabilities)}, "
                f"needed is {', '.join(needed.compute_capabilities)}"
            )
        if self.gpu_name not in ("", needed.gpu_name):
            return f"it was built on {self.gpu_name}, here is {needed.gpu_name or 'no particular GPU'}"
        return ""

    def _version_serves(self, needed: PlanKey) -> bool:
        if not self.version_compatible:
            return self.tensorrt_version == needed.tensorrt_version and not needed.version_compatible
        mine, here = _numbers(self.tensorrt_version), _numbers(needed.tensorrt_version)
        return mine[:1] == here[:1] and mine <= here


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """A plan in the cache, without its bytes.

    Attributes:
        key: what it is.
        plan_sha256: of its file.
        plan_bytes: size of its file.
        built_graph_sha256: of the graph that TensorRT was given, after the rewrite to the precision.
        build_s: how long the build took.
    """

    key: PlanKey
    plan_sha256: str
    plan_bytes: int
    built_graph_sha256: str
    build_s: float


def stage_precision(stage: str, precision: str) -> str:
    """Return the precision of a stage where a whole bundle is asked for in one.

    Only the vocoder is quantized, or has kernels of our own; beside it the other stages compute in fp16.
    """
    return FP16 if precision in (INT8, KERNELS) and stage != VOCODER else precision


def json_from_record(record: PlanRecord) -> bytes:
    """Write a record as indented JSON."""
    return json.dumps({"record_version": RECORD_VERSION, **asdict(record)}, indent=1).encode() + b"\n"


def record_from_json(data: bytes) -> PlanRecord:
    """Read a record.

    Raises: ValueError: not a record of this version; says in a few words why.
    """
    try:
        loaded = json.loads(data)
    except (json.JSONDecodeError, UnicodeDecodeError) as exc:
        raise ValueError(f"no JSON ({exc})") from exc
    if not isinstance(loaded, dict) or loaded.pop("record_version", None) != RECORD_VERSION:
        raise ValueError(f"no record of version {RECORD_VERSION}")
    try:
        key = dict(loaded.pop("key"))
        key["profiles"] = tuple(_profile(item) for item in key["profiles"])
        key["compute_capabilities"] = tuple(str(item) for item in key["compute_capabilities"])
        record = PlanRecord(key=PlanKey(**key), **loaded)
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise ValueError(f"incomplete ({type(exc).__name__}: {exc})") from exc
    for item in fields(PlanRecord):
        expected = {"plan_bytes": int, "build_s": (int, float), "key": PlanKey}.get(item.name, str)
        if not isinstance(getattr(record, item.name), expected):  # type: ignore[arg-type]  # a type or a tuple of them
            raise ValueError(f"{item.name} is {getattr(record, item.name)!r}")
    return record


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _profile(item: Mapping[str, Any]) -> Profile:
    return Profile(
        tuple(
            (str(name), ShapeRange(*(tuple(int(size) for size in sizes[end]) for end in ("min", "opt", "max"))))
            for name, sizes in item["inputs"]
        )
    )
