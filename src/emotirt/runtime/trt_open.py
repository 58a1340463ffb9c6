"""The stages of a bundle on a GPU: plans from the cache, slots, and whether all that is there."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from emotirt.bundle.contract import stage_contract
from emotirt.bundle.plan_cache import PlanCache
from emotirt.bundle.plans import FP16, PRECISIONS, PlanPlace, stage_precision
from emotirt.bundle.profiles import plan_key
from emotirt.bundle.store import Bundle
from emotirt.errors import BackendError, BackendUnavailable
from emotirt.runtime import cuda
from emotirt.runtime.fused import PARTS
from emotirt.runtime.gpu import Gpu, find_gpu
from emotirt.runtime.layout import Layout
from emotirt.runtime.pool import SlotPool, SlotRunner, runner_on, slot_on
from emotirt.runtime.tensorrt_library import TARGETS, Library, is_installed, load_library
from emotirt.runtime.trt import LoadedStage, PlanLoader, TrtDevice

logger = logging.getLogger(__name__)

SLOTS = 2
"""Calls under way at once: one is copied in and out while the other is computed."""


def parsed_name(backend: str) -> tuple[str, str]:
    """Split a backend's name into target and precision: ``tensorrt`` or ``tensorrt@float32``.

    Raises: BackendUnavailable: neither target nor precision of that name.
    """
    target, _, precision = backend.partition("@")
    if target not in TARGETS or (precision or FP16) not in PRECISIONS:
        raise BackendUnavailable(
            f"unknown backend {backend!r}; a GPU's is one of {', '.join(TARGETS)}, "
            f"with one of {', '.join('@' + name for name in PRECISIONS)} behind it where {FP16} is not wanted"
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
    if not is_installed(target):
        return f"{target} is not installed"
    try:
        gpu = find_gpu()
    except BackendUnavailable as exc:
        return str(exc)
    missing = [stage for stage in needed_stages(stages) if not _has_plan(bundle, stage, precision, gpu)]
    if missing:
        return f"no {precision} plans of {', '.join(missing)} for {gpu.name}; run: emotirt build --target {target}"
    return ""


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
    bundle: Bundle, stages: Sequence[str], backend: str, slots: int = SLOTS, cache: PlanCache | None = None
) -> dict[str, SlotRunner]:
    """Open stages, fused ones among them, on one pool of slots; errors of ``open_pool``."""
    pool = open_pool(bundle, stages, backend, slots, cache)
    return {stage: runner_on(pool, stage, bundle.manifest) for stage in stages}


def _loaded(
    loader: PlanLoader, library: Library, bundle: Bundle, stage: str, precision: str, cache: PlanCache
) -> LoadedStage:
    gpu = find_gpu()
    place = PlanPlace(library.adapter, library.version, gpu.name, (gpu.compute_capability,))
    stored = cache.find(plan_key(bundle.manifest, stage, precision, place))
    return loader.load(stage, stored.data, stage_contract(stage, bundle.manifest.dimensions))


def _has_plan(bundle: Bundle, stage: str, precision: str, gpu: Gpu) -> bool:
    entry = bundle.manifest.stages.get(stage)
    return entry is not None and any(
        record.key.stage == stage
        and record.key.graph_sha256 == entry.sha256
        and record.key.precision == stage_precision(stage, precision)
        and record.key.gpu_name in ("", gpu.name)
        and gpu.compute_capability in record.key.compute_capabilities
        for record in PlanCache().records()
    )


def _close(devices: Sequence[TrtDevice]) -> None:
    for device in devices:
        device.close()
