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
from dataclasses import dataclass, replace
from functools import partial
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
from emotirt.build.timing_file import TimingFile
from emotirt.bundle.contract import REFERENCE_ENCODER
from emotirt.bundle.plan_cache import PlanCache, Reason
from emotirt.bundle.plans import (
    FLOAT32,
    INT8,
    KERNELS,
    TENSORRT,
    TENSORRT_8,
    TENSORRT_RTX,
    PlanKey,
    PlanPlace,
    PlanRecord,
    stage_precision,
)
from emotirt.bundle.profiles import plan_keys
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
        part: from 1, where a stage has several plans.
        parts: how many it has.
    """

    record: PlanRecord
    built: bool
    note: str = ""
    part: int = 1
    parts: int = 1


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
        self._rewritten: tuple[tuple[str, str, str], bytes, bytes] | None = None
        if self._options.version_compatible and not self._adapter.has_lean_runtime:
            raise PlanFailed(
                "the packages of TensorRT for RTX hold no lean runtime, so no plan can be version-compatible; take "
                "--target tensorrt, or leave --version-compatible out and build again after an update"
            )
        gpu = find_gpu() if self._adapter.needs_gpu else None
        name, capability = (gpu.name, gpu.compute_capability) if gpu else ("", "")
        capabilities = self._adapter.capabilities(self._options.compute_capabilities, capability)
        self.place = PlanPlace(library.adapter, library.version, name, capabilities)

    def keys(self, bundle: Bundle, stage: str, precision: str) -> tuple[PlanKey, ...]:
        """Name the plans of a stage, which has its own precision, as this builder makes them."""
        level = self._options.optimization_level
        if level is None:
            level = self._adapter.default_level
        return plan_keys(bundle.manifest, stage, precision, self.place, self._options.version_compatible, level)

    def missing(self, bundle: Bundle, precision: str, stages: Sequence[str] = ()) -> list[tuple[str, int]]:
        """Return stage and part, from 1, of the plans that the cache lacks; arguments and errors of ``plans``."""
        return [
            (stage, part)
            for stage in chosen_stages(bundle, stages)
            for part, key in enumerate(self.keys(bundle, stage, stage_precision(stage, precision)), start=1)
            if self._cached(key)[0] is None
        ]

    def plans(
        self,
        bundle: Bundle,
        precision: str,
        stages: Sequence[str] = (),
        progress: Callable[[str, float], None] = lambda stage, done: None,
        part: int | None = None,
    ) -> Iterator[PlanOutcome]:
        """Make the plans of every stage, one after the other.

        Args:
            bundle: opened.
            precision: of the bundle; see ``bundle.plans.stage_precision``.
            stages: names, empty for all that the bundle has, those that speaking needs first.
            progress: takes a plan's name and how much of its build is done, from 0 to 1.
            part: only this one of each stage's plans, from 1; None for all.

        Raises:
            PlanFailed: TensorRT refuses a graph, or the bundle has no such stage or part.
            BackendUnavailable: TensorRT does not start.
            OutputError: the cache cannot be written.
            BundleError: a graph cannot be read.
        """
        for stage in chosen_stages(bundle, stages):
            keys = self.keys(bundle, stage, stage_precision(stage, precision))
            if part is not None and not 1 <= part <= len(keys):
                raise PlanFailed(f"stage {stage} has no plan {part}: it has {len(keys)}, counted from 1")
            for index, key in enumerate(keys, start=1):
                if part in (None, index):
                    name = stage if len(keys) == 1 else f"{stage} {index}/{len(keys)}"
                    outcome = self._plan(bundle, key, name, partial(progress, name))
                    yield replace(outcome, part=index, parts=len(keys))

    def _plan(self, bundle: Bundle, key: PlanKey, name: str, progress: Progress) -> PlanOutcome:
        """Make one plan, unless the cache has it; errors of ``plans``."""
        cached, _ = self._cached(key)
        if cached is not None:
            return PlanOutcome(cached, built=False)
        with self._cache.building(key, lambda: logger.info("another process builds the %s plan; waiting", name)):
            cached, note = self._cached(key)
            if cached is not None:
                return PlanOutcome(cached, built=False)
            if note:
                logger.warning("%s; building it anew", note)
            return PlanOutcome(self._stored(bundle, key, progress), built=True, note=note)

    def _stored(self, bundle: Bundle, key: PlanKey, progress: Progress) -> PlanRecord:
        start = time.perf_counter()
        if key.precision == KERNELS:
            graph = bundle.stage_bytes(key.stage)
            data = self._kernel_plan(graph, progress)
            return self._cache.store(key, data, hashlib.sha256(graph).hexdigest(), time.perf_counter() - start)
        order = self._order(bundle, key)
        times = TimingFile(self._cache, self._cache.timing_cache_path(key.adapter, key.tensorrt_version, key.gpu_name))
        data = build_plan(self._library.module, self._adapter, order, times, progress)
        digest = hashlib.sha256(order.graph).hexdigest()
        return self._cache.store(key, data, digest, time.perf_counter() - start)

    def _kernel_plan(self, graph: bytes, progress: Progress) -> bytes:
        if not self._adapter.needs_gpu:
            raise PlanFailed(
                "EmotiRT's own kernels go with --target tensorrt: they are measured on the GPU that serves"
            )
        from emotirt.build.kernel_plan import build_kernel_plan  # needs NVRTC, which nothing else does

        return build_kernel_plan(graph, progress)

    def _order(self, bundle: Bundle, key: PlanKey) -> PlanOrder:
        graph, typed = self._graphs(bundle, key.stage, key.precision)
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

    def _graphs(self, bundle: Bundle, stage: str, precision: str) -> tuple[bytes, bytes]:
        """Rewrite a stage's graph to its precision; TensorRT 8.6 gets it in float32, and types beside it.

        The graphs of the last stage are kept, for its other plans.
        """
        what = (bundle.digest, stage, precision)
        if self._rewritten is None or self._rewritten[0] != what:
            source = bundle.stage_bytes(stage)
            quantization = _quantization(bundle, stage, precision)
            graph, typed = plan_graph(source, stage, precision, quantization), b""
            if precision != FLOAT32 and not self._adapter.takes_half:
                whole = FLOAT32 if quantization is None else precision
                graph, typed = plan_graph(source, stage, whole, quantization, half=False), graph
            self._rewritten = (what, graph, typed)
        return self._rewritten[1:]

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


def chosen_stages(bundle: Bundle, stages: Sequence[str] = ()) -> list[str]:
    """Return the stages asked for, or all, those that speaking needs first.

    Raises: PlanFailed: the bundle has no such stage.
    """
    for stage in stages:
        if stage not in bundle.manifest.stages:
            known = ", ".join(bundle.manifest.stages)
            raise PlanFailed(f"bundle {bundle.manifest.name!r} has no stage {stage!r}; it has {known}")
    return list(stages or sorted(bundle.manifest.stages, key=lambda stage: stage == REFERENCE_ENCODER))


def build_plan(
    trt: Any,
    adapter: Adapter,
    order: PlanOrder,
    times: TimingFile | None = None,
    progress: Progress = lambda done: None,
) -> bytes:
    """Build one plan.

    Args:
        trt: TensorRT's module.
        adapter: how it is told what to build.
        order: what to build.
        times: of earlier builds, which gets what is measured now; None for neither.
        progress: takes the part that is done.

    Returns: the plan.
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
    measured = times.begun(config) if times is not None and adapter.needs_gpu else None
    settle = watched(trt, config, progress)
    try:
        plan = built_plan(builder, network, config, messages, order.what, lambda: adapter.relax(trt, config))
    finally:
        settle()
        del parser
    if times is not None and measured is not None:
        times.add(config, measured)
    return plan
