"""Open stages of a bundle on a backend chosen by name; backends are imported only when they are used."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence

from emotirt.bundle.contract import DECODER, SPEAKING_STAGES, TEXT_ENCODER, VOCODER
from emotirt.bundle.store import Bundle
from emotirt.errors import BackendUnavailable
from emotirt.runtime.fused import ACOUSTIC, FUSED, SPEECH, JoinedAcoustic, JoinedSpeech
from emotirt.runtime.pool import WithFallback
from emotirt.runtime.runner import Runner
from emotirt.runtime.tensorrt_library import TARGETS
from emotirt.runtime.trt_open import hindrance, open_trt_runners, parsed_name
from emotirt.types import TensorSpec

logger = logging.getLogger(__name__)

AUTO = "auto"
CPU_BACKEND = "onnxruntime"
GPU_BACKENDS = TARGETS
"""Backends whose faults poison their process, the preferred one first."""


def _open_onnxruntime(bundle: Bundle, stage: str, threads: int) -> Runner:
    from emotirt.runtime.ort import OrtRunner

    graph = bundle.stage_bytes(stage)
    entry = bundle.manifest.stages[stage]
    inputs = tuple(TensorSpec(item.name, item.dtype, item.shape) for item in entry.inputs)
    outputs = tuple(TensorSpec(item.name, item.dtype, item.shape) for item in entry.outputs)
    return OrtRunner(stage, graph, inputs, outputs, threads)


def _open_torch(bundle: Bundle, stage: str, threads: int) -> Runner:
    try:
        from emotirt.runtime.eager import runner_from_bundle
    except ImportError as exc:
        raise BackendUnavailable(f"backend 'torch' needs torch and onnx ({exc}); pip install 'emotirt[train]'") from exc
    return runner_from_bundle(bundle, stage)


_FACTORIES: dict[str, Callable[[Bundle, str, int], Runner]] = {
    CPU_BACKEND: _open_onnxruntime,
    "torch": _open_torch,
}


def backends() -> tuple[str, ...]:
    """Return the names of all backends, the preferred one first; those of a GPU may carry a precision behind an @."""
    return (*GPU_BACKENDS, *_FACTORIES)


def is_gpu_backend(name: str) -> bool:
    """Say whether a backend computes on a GPU."""
    return name.partition("@")[0] in GPU_BACKENDS


def resolve_backend(name: str, bundle: Bundle | None = None) -> str:
    """Turn ``auto`` into the preferred backend that can speak here, and check any other name.

    Args:
        name: of a backend, or ``auto``.
        bundle: to speak; a GPU is preferred only where its plans are, so without one the answer is the CPU's backend.

    Raises: BackendUnavailable: unknown name.
    """
    if name == AUTO:
        return _preferred(bundle)
    if is_gpu_backend(name):
        parsed_name(name)
    elif name not in _FACTORIES:
        raise BackendUnavailable(f"unknown backend {name!r}; available: {AUTO}, {', '.join(backends())}")
    return name


def hindrances(bundle: Bundle) -> Mapping[str, str]:
    """Say of every GPU's backend why it cannot speak a bundle here; empty where it can."""
    return {name: hindrance(bundle, SPEAKING_STAGES, name) for name in GPU_BACKENDS}


def _preferred(bundle: Bundle | None) -> str:
    if bundle is None:
        return CPU_BACKEND
    reasons = hindrances(bundle)
    for name, reason in reasons.items():
        if not reason:
            return name
    logger.info(
        "speaking with %s: %s", CPU_BACKEND, "; ".join(f"not with {name}: {why}" for name, why in reasons.items())
    )
    return CPU_BACKEND


def default_threads() -> int:
    """Return how many cores this process may use."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def open_runner(bundle: Bundle, stage: str, backend: str = CPU_BACKEND, threads: int | None = None) -> Runner:
    """Open one stage; see ``open_runners``."""
    return open_runners(bundle, (stage,), backend, threads)[stage]


def open_runners(
    bundle: Bundle,
    stages: Sequence[str],
    backend: str = CPU_BACKEND,
    threads: int | None = None,
    falls_back: bool = True,
    is_prepared: bool = False,
) -> dict[str, Runner]:
    """Open stages that share what their backend has: a GPU's memory, its plans, its slots.

    Args:
        bundle: where the graphs lie.
        stages: of ``bundle.contract.STAGES`` that the bundle has, or of ``runtime.fused.FUSED``.
        backend: one of ``backends()`` or ``auto``.
        threads: CPU threads, None for one a core; backends that share a pool in the process take no notice.
        falls_back: whether the CPU computes shapes that a GPU's plans do not cover; else they raise ``OutOfProfile``.
        is_prepared: whether a GPU's usual buckets are set up now rather than when they first come.

    Raises: BackendUnavailable, BackendError: backend unknown, missing or failing. PlanUnusable: a plan is missing.
        BundleError: a stage's file is bad.
    """
    chosen = resolve_backend(backend, bundle)
    count = threads or default_threads()
    if not is_gpu_backend(chosen):
        return {stage: _opened(bundle, stage, chosen, count) for stage in stages}
    opened: Mapping[str, Runner] = open_trt_runners(bundle, stages, chosen, is_prepared)
    if not falls_back:
        return dict(opened)
    return {stage: WithFallback(runner, _cpu_opener(bundle, stage, count)) for stage, runner in opened.items()}


def _cpu_opener(bundle: Bundle, stage: str, threads: int) -> Callable[[], Runner]:
    return lambda: _opened(bundle, stage, CPU_BACKEND, threads)


def _opened(bundle: Bundle, stage: str, backend: str, threads: int) -> Runner:
    if stage not in FUSED:
        return _FACTORIES[backend](bundle, stage, threads)
    parts = {part: _opened(bundle, part, backend, threads) for part in _parts(stage)}
    if stage == ACOUSTIC:
        return JoinedAcoustic(parts[TEXT_ENCODER], parts[DECODER], bundle.manifest.dimensions)
    return JoinedSpeech(parts[ACOUSTIC], parts[VOCODER], bundle.manifest.dimensions)


def _parts(stage: str) -> tuple[str, ...]:
    return {ACOUSTIC: (TEXT_ENCODER, DECODER), SPEECH: (ACOUSTIC, VOCODER)}[stage]
