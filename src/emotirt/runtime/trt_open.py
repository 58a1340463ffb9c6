"""The stages of a bundle on a GPU: plans from the cache, slots, and whether all that is there."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict

from emotirt.bundle.contract import stage_contract
from emotirt.bundle.plan_cache import PlanCache
from emotirt.bundle.plans import FP16, KERNELS, PLAN_PRECISIONS, PlanPlace, PlanRecord, stage_precision
from emotirt.bundle.profiles import plan_keys, plan_profiles
from emotirt.bundle.store import Bundle
from emotirt.errors import BackendError, BackendUnavailable
from emotirt.runtime import cuda
from emotirt.runtime.fused import PARTS
from emotirt.runtime.gpu import Gpu, find_gpu
from emotirt.runtime.layout import Layout
from emotirt.runtime.pool import SlotPool, SlotRunner, runner_on, slot_on
from emotirt.runtime.tensorrt_library import REMEDIES, TARGET_RTX, TARGETS, Library, is_installed, load_library
from emotirt.runtime.trt import LoadedStage, PlanLoader, TrtDevice, joined_stage, loaded_kernels

logger = logging.getLogger(__name__)

SLOTS = 2
"""Calls under way at once: one is copied in and out while the other is computed."""


def parsed_name(backend: str) -> tuple[str, str]:
    """Split a backend's name into target and precision: ``tensorrt`` or ``tensorrt@float32``.

    Raises: BackendUnavailable: neither target nor precision of that name.
    """
    target, _, precision = backend.partition("@")
    if target not in TARGETS or (precision or FP16) not in PLAN_PRECISIONS:
        raise BackendUnavailable(
            f"unknown backend {backend!r}; a GPU's is one of {', '.join(TARGETS)}, "
            f"with one of {', '.join('@' + name for name in PLAN_PRECISIONS)} behind it where {FP16} is not wanted"
        )
    return target, precision or FP16


def needed_stages(stages: Sequence[str]) -> tuple[str, ...]:
    """Return the stages of the bundle that these, fused ones among them, consist of."""
    return tuple(dict.fromkeys(part for stage in stages for part in PARTS.get(stage, (stage,))))


def hindrance(bundle: Bundle, stages: Sequence[str], backend: str) -> str:
    """Say why a bundle cannot speak with a GPU's backend here, as far as that shows without loading TensorRT.

    Returns: one line, empty when nothing stands in the way.
    """
    target, precision = parsed_name(backend)
    try:
        missing = missing_stages(bundle, needed_stages(stages), backend)
    except BackendUnavailable as exc:
        return str(exc)
    if missing:
        wanted = "" if precision == FP16 else f" --precision {precision}"
        return f"no {precision} plans of {', '.join(missing)}; run: emotirt build --target {target}{wanted}"
    return ""


def missing_stages(bundle: Bundle, stages: Sequence[str], backend: str) -> list[str]:
    """Return the stages that have no plan for this machine, as far as that shows without loading TensorRT.

    Raises: BackendUnavailable: no GPU, or the packages are not installed; says which.
    """
    target, precision = parsed_name(backend)
    if not is_installed(target):
        raise BackendUnavailable(f"{target} is not installed: {REMEDIES[target]}")
    if not cuda.is_installed():
        raise BackendUnavailable(cuda.PACKAGE_HINT)
    gpu = find_gpu()
    records = PlanCache().records()
    is_measured = target != TARGET_RTX
    return [stage for stage in stages if not _has_plans(records, bundle, stage, precision, gpu, is_measured)]


def open_pool(
    bundle: Bundle, stages: Sequence[str], backend: str, slots: int = SLOTS, cache: PlanCache | None = None
) -> SlotPool:
    """Load the plans of stages and allocate everything that computing them takes.

    Raises:
        BackendUnavailable: no GPU, no driver, no TensorRT.
        PlanUnusable: a plan is missing, stale or damaged.
        DeviceOutOfMemory: it does not fit.
    """
    target, precision = parsed_name(backend)
    device = cuda.open_device()  # first: TensorRT 8.6 ends the process where there is none
    library = load_library(target)
    loader = PlanLoader(library)
    loaded = {
        stage: _loaded(loader, library, bundle, stage, stage_precision(stage, precision), cache or PlanCache())
        for stage in needed_stages(stages)
    }
    specs = {stage: item.specs for stage, item in loaded.items()}
    layout = Layout(specs, bundle.manifest.hop_samples)
    count = slots if all(item.shares_profiles for item in loaded.values()) else 1
    devices: list[TrtDevice] = []
    try:
        for _ in range(count):
            devices.append(TrtDevice(loader, loaded, layout))  # noqa: PERF401  # what was made is known on failure
    except BackendError:
        _close(devices)
        raise
    logger.info(
        "%s %s on %s: %s in %s, %d slots of %.0f MB",
        library.adapter, library.version, device.name, ", ".join(loaded), precision, count,
        (devices[0].memory.arena + devices[0].memory.activations) / 1e6,
    )  # fmt: skip
    ready = [slot_on(item, layout, specs, bundle.manifest) for item in devices]
    return SlotPool(ready, lambda: _close(devices))


def open_trt_runners(
    bundle: Bundle, stages: Sequence[str], backend: str, is_prepared: bool = False
) -> dict[str, SlotRunner]:
    """Open stages, fused ones among them, on one pool of slots; errors of ``open_pool``.

    Args:
        bundle: opened.
        stages: of the bundle, or fused.
        backend: of a GPU, by name.
        is_prepared: whether usual buckets are set up now rather than when they first come.
    """
    pool = open_pool(bundle, stages, backend)
    if is_prepared:
        started_s = time.perf_counter()
        logger.info("%d buckets set up in %.1f s", pool.prepare(), time.perf_counter() - started_s)
    return {stage: runner_on(pool, stage, bundle.manifest) for stage in stages}


def describe(pool: SlotPool) -> list[dict[str, object]]:
    """Describe every slot of a GPU for a machine: memory in bytes, and the nodes of its graphs by bucket and kind."""
    described: list[dict[str, object]] = []
    for slot in pool.slots:
        device = slot.stages.device
        assert isinstance(device, TrtDevice)
        graphs = [
            {"stage": bucket.stage, "profile": bucket.profile, **bucket.axes, "nodes": nodes}
            for bucket, nodes in device.recorded.items()
        ]
        described.append({"memory_bytes": asdict(device.memory), "graphs": graphs})
    return described


def _loaded(
    loader: PlanLoader, library: Library, bundle: Bundle, stage: str, precision: str, cache: PlanCache
) -> LoadedStage:
    gpu = find_gpu()
    place = PlanPlace(library.adapter, library.version, gpu.name, (gpu.compute_capability,))
    contract = stage_contract(stage, bundle.manifest.dimensions)
    keys = plan_keys(bundle.manifest, stage, precision, place)
    if precision == KERNELS:
        (key,) = keys
        return loaded_kernels(cache.find(key), contract)
    return joined_stage([loader.load(cache.find(key), contract) for key in keys])


def _has_plans(
    records: Sequence[PlanRecord], bundle: Bundle, stage: str, precision: str, gpu: Gpu, is_measured: bool
) -> bool:
    entry = bundle.manifest.stages.get(stage)
    if entry is None:
        return False
    there = {
        record.key.profiles
        for record in records
        if record.key.stage == stage
        and record.key.graph_sha256 == entry.sha256
        and record.key.precision == stage_precision(stage, precision)
        and record.key.gpu_name in ("", gpu.name)
        and gpu.compute_capability in record.key.compute_capabilities
    }
    return there.issuperset(plan_profiles(bundle.manifest, stage, is_measured, stage_precision(stage, precision)))


def _close(devices: Sequence[TrtDevice]) -> None:
    for device in devices:
        device.close()
