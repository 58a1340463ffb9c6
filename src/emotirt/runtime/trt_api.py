"""Where TensorRT 8.6, 10, 11 and RTX differ for whoever runs a plan; works on their objects, imports none of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from emotirt.bundle.plans import Profile, ShapeRange
from emotirt.errors import PlanUnusable

logger = logging.getLogger(__name__)

DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT64": "int64",
    "INT32": "int32",
    "INT8": "int8",
    "UINT8": "uint8",
    "BOOL": "bool",
}
"""TensorRT's types by name; 8.6 turns int64 at a border into int32."""


def log_of(module: Any) -> Any:
    """Return a logger for TensorRT that hands what it hears to ours and keeps the last error as ``last_error``."""
    levels = {
        module.ILogger.Severity.INTERNAL_ERROR: logging.ERROR,
        module.ILogger.Severity.ERROR: logging.ERROR,
        module.ILogger.Severity.WARNING: logging.DEBUG,
        module.ILogger.Severity.INFO: logging.DEBUG,
        module.ILogger.Severity.VERBOSE: logging.NOTSET,
    }

    class Log(module.ILogger):  # type: ignore[misc]  # the base class is known only now
        def __init__(self) -> None:
            module.ILogger.__init__(self)
            self.last_error = ""

        def log(self, severity: Any, message: str) -> None:
            level = levels.get(severity, logging.DEBUG)
            if level == logging.ERROR:
                self.last_error = " ".join(message.split())
            if level != logging.NOTSET:
                logger.log(level, "TensorRT: %s", message)

    return Log()


def layer_clock(module: Any) -> Any:
    """Return a profiler for one context; ``times_ms`` holds the times of every layer by name, in the plan's order."""

    class LayerClock(module.IProfiler):  # type: ignore[misc]  # the module is known only at run time
        def __init__(self) -> None:
            super().__init__()
            self.times_ms: dict[str, list[float]] = {}

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.times_ms.setdefault(layer_name, []).append(ms)

    return LayerClock()


def said_by(log: Any) -> str:
    """Return TensorRT's last error and forget it."""
    said: str = log.last_error or "it gave no reason"
    log.last_error = ""
    return said


def tensor_names(module: Any, engine: Any) -> tuple[list[str], list[str]]:
    """Return the names of inputs and outputs."""
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    is_input = {name: engine.get_tensor_mode(name) == module.TensorIOMode.INPUT for name in names}
    return [name for name in names if is_input[name]], [name for name in names if not is_input[name]]


def dtype_of(engine: Any, name: str) -> str:
    """Return numpy's name for the type of an input or output.

    Raises: PlanUnusable: a type that host memory cannot hold.
    """
    found = engine.get_tensor_dtype(name).name
    if found not in DTYPES:
        raise PlanUnusable(f"tensor {name!r} of the plan has type {found}, which cannot cross its border", "foreign")
    return DTYPES[found]


def profiles_of(engine: Any, inputs: list[str]) -> tuple[Profile, ...]:
    """Return the optimization profiles of a plan."""

    def shape_range(name: str, index: int) -> ShapeRange:
        low, best, high = engine.get_tensor_profile_shape(name, index)
        return ShapeRange(tuple(low), tuple(best), tuple(high))

    return tuple(
        Profile(tuple((name, shape_range(name, index)) for name in inputs))
        for index in range(engine.num_optimization_profiles)
    )


def activation_bytes(engine: Any) -> int:
    """Return how much memory a context needs beside its inputs and outputs, for whichever profile."""
    for name in ("get_device_memory_size_for_profile_v2", "get_device_memory_size_for_profile"):
        of_profile = getattr(engine, name, None)
        if of_profile is not None:
            return max(int(of_profile(index)) for index in range(engine.num_optimization_profiles))
    return int(getattr(engine, "device_memory_size_v2", None) or engine.device_memory_size)


def context_without_memory(module: Any, engine: Any) -> Any:
    """Return a context whose memory comes from ``give_memory``; None where TensorRT refuses."""
    make = getattr(engine, "create_execution_context_without_device_memory", None)
    if make is not None:
        return make()
    return engine.create_execution_context(module.ExecutionContextAllocationStrategy.USER_MANAGED)


def shares_profiles(module: Any, engine: Any, address: int, size_bytes: int) -> bool:
    """Say whether two contexts may use the same profile, which a plan of TensorRT 8.6 has to be built for.

    Both get the same device memory, of at least ``activation_bytes``; neither computes in it.
    """
    both = [context_without_memory(module, engine) for _ in range(2)]
    for context in both:
        if context is None:
            return False
        give_memory(context, address, size_bytes)
    return all(select_profile(context, 0, 0) for context in both)


def select_profile(context: Any, index: int, stream: int) -> bool:
    """Let a context use a profile, on a stream where that takes work; False where TensorRT refuses.

    A new context has the first one already, unless another context holds that and does not share it.
    """
    return context.active_optimization_profile == index or bool(context.set_optimization_profile_async(index, stream))


def give_memory(context: Any, address: int, size_bytes: int) -> None:
    """Let a context compute in memory that is at least as large as ``activation_bytes`` says."""
    give = getattr(context, "set_device_memory", None)
    if give is not None:
        give(address, size_bytes)
    else:
        context.device_memory = address


def bind(context: Any, shapes: Mapping[str, tuple[int, ...]], addresses: Mapping[str, int]) -> str:
    """Give a context the shapes of its inputs and every address; returns the tensor that it refuses, or nothing."""
    for name, shape in shapes.items():
        if not context.set_input_shape(name, shape):
            return name
    for name, address in addresses.items():
        if not context.set_tensor_address(name, address):
            return name
    return ""
