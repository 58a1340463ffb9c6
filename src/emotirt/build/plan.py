"""Plans of a bundle: every stage through TensorRT into the plan cache, where serving finds them.

The cache is asked first and asked again once the right to build is ours, so that two processes build a plan once. What
fails leaves the cache as it was.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotirt.build.plan_adapter import Adapter, PlanOptions, PlanOrder
from emotirt.build.plan_graph import plan_graph
from emotirt.build.plan_network import (
    Messages,
    Progress,
    add_profiles,
    built_plan,
    create_builder,
    message_logger,
    parsed_network,
    watched,
)
from emotirt.build.tensorrt8 import Tensorrt8
from emotirt.build.tensorrt10 import Tensorrt10
from emotirt.build.tensorrt_rtx import TensorrtRtx
from emotirt.bundle.contract import REFERENCE_ENCODER
from emotirt.bundle.plan_cache import PlanCache, Reason
from emotirt.bundle.plans import (
    INT8,
    TENSORRT,
    TENSORRT_8,
    TENSORRT_RTX,
    PlanKey,
    PlanPlace,
    PlanRecord,
    stage_precision,
)
from emotirt.bundle.profiles import plan_key
from emotirt.bundle.store import Bundle
from emotirt.errors import PlanFailed, PlanUnusable
from emotirt.runtime.gpu import find_gpu
from emotirt.runtime.tensorrt_library import Library

if TYPE_CHECKING:
    from emotirt.build.precision import Quantization

logger = logging.getLogger(__name__)

_ADAPTERS: dict[str, Callable[[], Adapter]] = {
    TENSORRT_8: Tensorrt8,
    TENSORRT: Tensorrt10,
    TENSORRT_RTX: TensorrtRtx,
}


@dataclass(frozen=True, slots=True)
class PlanOutcome:
    """What became of one plan.

    Attributes:
        record: of the plan in the cache.
        built: False where the cache had it already.
        note: why it was built anew though there was one; empty otherwise.
    """

    record: PlanRecord
    built: bool
    note: str = ""


class PlanBuilder:
    """Builds the plans of bundles with one TensorRT into one cache."""

    def __init__(self, library: Library, cache: PlanCache, options: PlanOptions | None = None) -> None:
        """Find out what to build for.

        Raises: BackendUnavailable: this TensorRT measures on a GPU and there is none. PlanFailed: options
            that are not possible with it.
        """
        self._library = library
        self._cache = cache
        self._options = options or PlanOptions()
        self._adapter = _ADAPTERS[library.adapter]()
        if self._options.version_compatible and not self._adapter.has_lean_runtime:
            raise PlanFailed(
                "the packages of TensorRT for RTX hold no lean runtime, so no plan can be version-compatible; take "
                "--target tensorrt, or leave --version-compatible out and build again after an update"
            )
        gpu = find_gpu() if self._adapter.needs_gpu else None
        name, capability = (gpu.name, gpu.compute_capability) if gpu else ("", "")
        capabilities = self._adapter.capabilities(self._options.compute_capabilities, capability)
        self.place = PlanPlace(library.adapter, library.version, name, capabilities)

    def key(self, bundle: Bundle, stage: str, precision: str) -> PlanKey:
        """Name the plan of a stage as this builder makes it."""
        level = self._options.optimization_level
        if level is None:
            level = self._adapter.default_level
        return plan_key(bundle.manifest, stage, precision, self.place, self._options.version_compatible, level)

    def plans(
        self,
        bundle: Bundle,
        precision: str,
        stages: Sequence[str] = (),
        progress: Callable[[str, float], None] = lambda stage, done: None,
    ) -> Iterator[PlanOutcome]:
        """Make the plan of every stage, one after the other.

        Args:
            bundle: opened.
            precision: of the bundle; see ``bundle.plans.stage_precision``.
            stages: names, empty for all that the bundle has, those that speaking needs first.
            progress: takes a stage and the part of its build that is done.

        Raises:
            PlanFailed: TensorRT refuses a graph, or the bundle has no such stage.
            BackendUnavailable: TensorRT does not start.
            OutputError: the cache cannot be written.
            BundleError: a graph cannot be read.
        """
        for stage in stages or sorted(bundle.manifest.stages, key=lambda stage: stage == REFERENCE_ENCODER):
            if stage not in bundle.manifest.stages:
                known = ", ".join(bundle.manifest.stages)
                raise PlanFailed(f"bundle {bundle.manifest.name!r} has no stage {stage!r}; it has {known}")
            yield self.plan(bundle, stage, stage_precision(stage, precision), partial(progress, stage))

    def plan(self, bundle: Bundle, stage: str, precision: str, progress: Progress = lambda done: None) -> PlanOutcome:
        """Make the plan of one stage in its own precision, unless the cache has it; errors of ``plans``."""
        key = self.key(bundle, stage, precision)
        cached, _ = self._cached(key)
        if cached is not None:
            return PlanOutcome(cached, built=False)
        with self._cache.building(key, lambda: logger.info("another process builds the %s plan; waiting", stage)):
            cached, note = self._cached(key)
            if cached is not None:
                return PlanOutcome(cached, built=False)
            if note:
                logger.warning("%s; building it anew", note)
            return PlanOutcome(self._stored(bundle, key, progress), built=True, note=note)

    def _stored(self, bundle: Bundle, key: PlanKey, progress: Progress) -> PlanRecord:
        start = time.perf_counter()
        order = self._order(bundle, key)
        timing = self._cache.timing_cache_path(key.adapter, key.tensorrt_version, key.gpu_name)
        data, times = build_plan(self._library.module, self._adapter, order, _content(timing), progress)
        digest = hashlib.sha256(order.graph).hexdigest()
        record = self._cache.store(key, data, digest, time.perf_counter() - start)
        if times:
            self._cache.store_timing(timing, times)
        return record

    def _order(self, bundle: Bundle, key: PlanKey) -> PlanOrder:
        """Rewrite a stage's graph to the precision; what 8.6 cannot parse in float16 it gets in float32, with types."""
        source = bundle.stage_bytes(key.stage)
        quantization = _quantization(bundle, key.stage, key.precision)
        graph, typed = plan_graph(source, key.stage, key.precision, quantization), b""
        if quantization is not None and not self._adapter.takes_quantized_half:
            graph, typed = plan_graph(source, key.stage, key.precision, quantization, half=False), graph
        return PlanOrder(
            key.stage,
            key.precision,
            graph,
            key.profiles,
            key.compute_capabilities,
            key.version_compatible,
            key.optimization_level,
            typed,
        )

    def _cached(self, key: PlanKey) -> tuple[PlanRecord | None, str]:
        """Return the record of a sound plan that serves, or why there is none where there is one much like it."""
        try:
            return self._cache.find(key).record, ""
        except PlanUnusable as exc:
            return None, "" if exc.reason is Reason.MISSING else str(exc).partition("; build it")[0]


def _quantization(bundle: Bundle, stage: str, precision: str) -> Quantization | None:
    """Measure how a stage is to be quantized, where it is; this speaks with the bundle and takes a minute."""
    if precision != INT8:
        return None
    from emotirt.build.precision import QUANTIZED_STAGES, measured_quantization  # needs onnxruntime and a front end

    if stage not in QUANTIZED_STAGES:
        return None
    return measured_quantization(bundle, stage, threads=os.cpu_count() or 1)


def build_plan(
    trt: Any, adapter: Adapter, order: PlanOrder, timing: bytes = b"", progress: Progress = lambda done: None
) -> tuple[bytes, bytes]:
    """Build one plan.

    Args:
        trt: TensorRT's module.
        adapter: how it is told what to build.
        order: what to build.
        timing: a timing cache of earlier builds, empty for none.
        progress: takes the part that is done.

    Returns: the plan, and the timing cache with what was measured now; empty where nothing is measured.
    Raises: PlanFailed: TensorRT refuses the graph or cannot build it. BackendUnavailable: TensorRT does not start.
    """
    messages = Messages()
    trt_logger = message_logger(trt, messages)
    builder = create_builder(trt, trt_logger, messages)
    network, parser = parsed_network(trt, builder, trt_logger, adapter.network_flags(trt), order.graph, order.what)
    config = builder.create_builder_config()
    adapter.configure(trt, network, config, order)
    if order.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if order.optimization_level is not None:
        config.builder_optimization_level = order.optimization_level
    add_profiles(builder, config, order.profiles, order.what)
    times = _timing_cache(config, timing) if adapter.needs_gpu else None
    settle = watched(trt, config, progress)
    try:
        plan = built_plan(builder, network, config, messages, order.what, lambda: adapter.relax(trt, config))
    finally:
        settle()
        del parser
    return plan, bytes(times.serialize()) if times is not None else b""


def _timing_cache(config: Any, content: bytes) -> Any:
    """Set a timing cache; one that this TensorRT or GPU does not accept is begun anew."""
    cache = config.create_timing_cache(content)
    if cache is None or not config.set_timing_cache(cache, False):
        logger.warning("the timing cache in the plan cache is not accepted; measuring every kernel anew")
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""
