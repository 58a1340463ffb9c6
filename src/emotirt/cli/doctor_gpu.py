"""What ``emotirt doctor`` says about the GPU, TensorRT and plans; none of it is needed to speak."""

from __future__ import annotations

from collections import defaultdict

from emotirt.bundle.plan_cache import PlanCache
from emotirt.bundle.store import Bundle
from emotirt.cli.finding import Finding
from emotirt.errors import BackendUnavailable
from emotirt.runtime.gpu import find_gpu
from emotirt.runtime.tensorrt_library import REMEDIES, TARGET_RTX, TARGET_TENSORRT, is_installed, load_library

_FOR = {TARGET_TENSORRT: "on an NVIDIA GPU", TARGET_RTX: "on a GeForce or RTX GPU"}


def gpu_findings() -> list[Finding]:
    """Ask the driver for its GPU, and load every TensorRT that is installed."""
    found = [_library_finding(target) for target in _FOR]
    try:
        gpu = find_gpu()
    except BackendUnavailable as exc:
        return [*found, Finding("gpu", "NVIDIA", "missing", str(exc))]
    detail = (
        f"compute capability {gpu.compute_capability}, {gpu.memory_bytes / 2**30:.0f} GiB, "
        f"driver for CUDA {gpu.driver_cuda}"
    )
    return [*found, Finding("gpu", gpu.name, "ok", detail)]


def plan_findings(bundle: Bundle, cache: PlanCache | None = None) -> list[Finding]:
    """List the plans of a bundle's graphs that are in the user's plan cache."""
    cache = cache or PlanCache()
    graphs = {entry.sha256 for entry in bundle.manifest.stages.values()}
    stages: dict[str, list[str]] = defaultdict(list)
    for record in cache.records():
        key = record.key
        if key.graph_sha256 in graphs:
            place = key.gpu_name or "compute capability " + ", ".join(key.compute_capabilities)
            stages[f"{key.precision} with {key.adapter} {key.tensorrt_version} for {place}"].append(key.stage)
    if not stages:
        detail = f"none of this bundle in {cache.directory}; emotirt build --target {TARGET_TENSORRT} or {TARGET_RTX}"
        return [Finding("plans", "TensorRT", "missing", detail)]
    return [Finding("plans", name, "ok", ", ".join(sorted(of))) for name, of in sorted(stages.items())]


def _library_finding(target: str) -> Finding:
    if not is_installed(target):
        return Finding("package", target, "missing", f"{_FOR[target]}: {REMEDIES[target]}")
    try:
        library = load_library(target)
    except BackendUnavailable as exc:
        return Finding("package", target, "unused", str(exc))
    return Finding("package", target, "ok", f"{library.version}, builds plans: emotirt build --target {target}")
