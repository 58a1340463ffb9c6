"""Open a stage of a bundle on a backend chosen by name; backends are imported only when they are used."""

from __future__ import annotations

import os
from collections.abc import Callable

from emotirt.bundle.store import Bundle
from emotirt.errors import BackendUnavailable
from emotirt.runtime.runner import Runner
from emotirt.types import TensorSpec

AUTO = "auto"


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
    "onnxruntime": _open_onnxruntime,
    "torch": _open_torch,
}


def backends() -> tuple[str, ...]:
    """Return the names that ``open_runner`` knows, the preferred one first."""
    return tuple(_FACTORIES)


def resolve_backend(name: str) -> str:
    """Turn ``auto`` into the preferred backend and check any other name.

    Raises: BackendUnavailable: unknown name.
    """
    if name == AUTO:
        return backends()[0]
    if name not in _FACTORIES:
        raise BackendUnavailable(f"unknown backend {name!r}; available: {AUTO}, {', '.join(_FACTORIES)}")
    return name


def default_threads() -> int:
    """Return how many cores this process may use."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def open_runner(bundle: Bundle, stage: str, backend: str = "onnxruntime", threads: int | None = None) -> Runner:
    """Open one stage.

    Args:
        bundle: where its graph lies.
        stage: one of ``bundle.contract.STAGES`` that the bundle has.
        backend: one of ``backends()`` or ``auto``.
        threads: CPU threads, None for one a core; backends that share a pool in the process take no notice.

    Raises: BackendUnavailable, BackendError: backend unknown, missing or failing. BundleError: the stage's file is bad.
    """
    return _FACTORIES[resolve_backend(backend)](bundle, stage, threads or default_threads())
