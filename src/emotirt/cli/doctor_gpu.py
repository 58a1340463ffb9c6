"""What ``emotirt doctor`` says about the GPU, TensorRT and plans; none of it is needed to speak."""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict

from emotirt.bundle.plan_cache import PlanCache
from emotirt.bundle.store import Bundle
from emotirt.cli.finding import Finding
from emotirt.errors import BackendUnavailable
from emotirt.runtime.gpu import find_gpu
from emotirt.runtime.open import GPU_BACKENDS, hindrances, is_gpu_backend, resolve_backend
from emotirt.runtime.tensorrt_library import REMEDIES, TARGET_RTX, TARGET_TENSORRT, is_installed, load_library

_FOR = {TARGET_TENSORRT: "on an NVIDIA GPU", TARGET_RTX: "on a GeForce or RTX GPU"}
SPEAKING = "speaking"
"""Area of the findings that say which backend would speak a bundle."""
CHECK_REQUESTS = 1000


def add_gpu_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the check of a GPU."""
    parser.add_argument(
        "--gpu",
        nargs="?",
        const=GPU_BACKENDS[0],
        metavar="BACKEND",
        help="check the GPU instead: build its plans if need be, run mixed requests, compare them with the CPU, watch "
        f"memory, print JSON (default backend: {GPU_BACKENDS[0]})",
    )
    parser.add_argument("--requests", type=int, default=CHECK_REQUESTS, metavar="N", help="of the check of the GPU")


def check_gpu_backend(args: argparse.Namespace) -> int:
    """Check a GPU's backend; 0 when nothing was allocated on the way and nothing was out of reach.

    Raises: BackendError: there is no GPU, no TensorRT, no plan, or something failed.
    """
    from emotirt.bundle.store import default_bundle_path, open_bundle
    from emotirt.engine.gpu_check import check_gpu
    from emotirt.engine.plans import make_missing_plans

    resolve_backend(args.gpu)
    if not is_gpu_backend(args.gpu):
        raise BackendUnavailable(f"--gpu {args.gpu} computes on the CPU; give one of {', '.join(GPU_BACKENDS)}")
    bundle = open_bundle(default_bundle_path() if args.bundle is None else args.bundle)
    make_missing_plans(bundle, args.gpu)
    report = check_gpu(bundle, args.gpu, args.requests)
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    found = report["found"]
    return 1 if found["allocated_bytes"] or found["out_of_profile"] else 0


def speaking_findings(bundle: Bundle) -> list[Finding]:
    """Say of every GPU's backend whether it would speak the bundle here, and what keeps it from that."""
    return [
        Finding(SPEAKING, name, "unused" if why else "ok", why or "its plans are there")
        for name, why in hindrances(bundle).items()
    ]


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
