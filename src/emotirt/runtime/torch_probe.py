"""What PyTorch does on its device for one call: times, kernels and memory by PyTorch's own instruments."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

CPU = "cpu"


def device_times_ms(call: Callable[[], object], device: str, count: int) -> list[float]:
    """Time a call whose inputs lie on the device: by CUDA events, on a CPU by the clock.

    Args:
        call: launches the work; need not wait for it.
        device: ``cuda`` or ``cpu``.
        count: how many calls, each timed by itself.
    """
    if device == CPU:
        times_ms = []
        for _ in range(count):
            started = time.perf_counter()
            call()
            times_ms.append(1000.0 * (time.perf_counter() - started))
        return times_ms
    events: Sequence[tuple[Any, Any]] = [
        (torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(count)
    ]
    torch.cuda.synchronize()
    for start, stop in events:
        start.record()
        call()
        stop.record()
    torch.cuda.synchronize()
    return [float(start.elapsed_time(stop)) for start, stop in events]


def launched(call: Callable[[], object], device: str) -> dict[str, int]:
    """Count what one call launches.

    Returns: ``kernels`` on a CUDA device, copies and fills by the driver apart as ``copies``; on a CPU ``operators``,
        the innermost ones of PyTorch.
    """
    activities = [ProfilerActivity.CPU] if device == CPU else [ProfilerActivity.CPU, ProfilerActivity.CUDA]
    call()
    with profile(activities=activities, acc_events=True) as profiler:
        call()
        if device != CPU:
            torch.cuda.synchronize()
    events: Sequence[Any] = profiler.events() or []
    if device == CPU:
        return {"operators": sum(1 for event in events if not event.cpu_children)}
    on_device = [event.name for event in events if event.device_type.name == "CUDA"]
    copies = sum(1 for name in on_device if name.startswith(("Memcpy", "Memset")))
    return {"kernels": len(on_device) - copies, "copies": copies}


def memory_bytes(call: Callable[[], object], modules: Sequence[nn.Module], device: str) -> dict[str, int]:
    """Measure memory: ``weights`` of the modules, and on a CUDA device ``activations``, the most that a call adds."""
    tensors = {id(item): item for module in modules for item in (*module.parameters(), *module.buffers())}
    found = {"weights": sum(item.numel() * item.element_size() for item in tensors.values())}
    if device != CPU:
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        torch.cuda.synchronize()
        found["activations"] = torch.cuda.max_memory_allocated() - before
    return found
