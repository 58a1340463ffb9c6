"""Loads on a server with what the GPU does meanwhile, the knee of offered load, and the targets they measure."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from emotirt.bench.gpu_watch import GpuWatch
from emotirt.bench.http_stream import ServerAddress, get
from emotirt.bench.load import MOST_SHARE, LoadReport
from emotirt.bench.results import measured
from emotirt.bench.stats import Distribution
from emotirt.bench.sweep import SweepReport, SweepSettings, sweep

HALF = 0.5
TARGET_CLIENTS = 64


@dataclass(frozen=True, slots=True)
class WatchedLoad:
    """A load and what NVML told meanwhile.

    Attributes:
        report: what the load was answered with.
        gpu: memory, busy time and energy, or why they are not known.
    """

    report: LoadReport
    gpu: Mapping[str, Any]

    @property
    def is_held(self) -> bool:
        """Whether the server kept up."""
        return self.report.is_held

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return {**self.report.to_dict(), "gpu": dict(self.gpu)}


@dataclass(frozen=True, slots=True)
class Knee:
    """How much may be offered to a server.

    Attributes:
        rates: requests a second that were tried; the highest held is the knee.
        capacity_per_s: most requests a second that were spoken to their end, at whatever rate.
        half: Poisson arrivals at half of that.
    """

    rates: SweepReport[WatchedLoad]
    capacity_per_s: float
    half: WatchedLoad

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        rates = self.rates.to_dict("rate_per_s")
        return {**rates, "capacity_per_s": round(self.capacity_per_s, 2), "half_load": self.half.to_dict()}


def watched(load: Callable[[], LoadReport]) -> WatchedLoad:
    """Run a load and watch the GPU, all of it: the server is another process."""
    began_s = time.monotonic()
    with GpuWatch() as watch:
        report = load()
    watched_s = time.monotonic() - began_s
    if watch.use is None:
        return WatchedLoad(report, {"absent": watch.absence})
    return WatchedLoad(report, watch.use.facts(watched_s, report.rtfx))


def find_knee(at_rate: Callable[[float], WatchedLoad], numbers: SweepSettings) -> Knee:
    """Raise the rate until it is not held, then offer half of what was spoken at most.

    Args:
        at_rate: offers so many requests a second.
        numbers: which rates to try.
    """
    rates = sweep(at_rate, numbers)
    capacity = max(level.report.completed_per_s for _, level in rates.levels)
    return Knee(rates, capacity, at_rate(max(HALF * capacity, HALF)))


def _first_audio_of_all(load: WatchedLoad) -> Distribution | None:
    """Return the delays to first audio; None if more than ``MOST_SHARE`` of the requests failed or were refused."""
    failed = sum(load.report.problems.values()) / load.report.requests
    return load.report.ttfa_ms if failed <= MOST_SHARE else None


def knee_values(knee: Knee) -> dict[str, Any]:
    """Return the target that half load measures."""
    first = _first_audio_of_all(knee.half)
    return {} if first is None else {"gpu.ttfa_http_half_load_p99_ms": measured(first.p99, "ms")}


def closed_loop_values(clients: int, load: WatchedLoad) -> dict[str, Any]:
    """Return the targets that one client, or 64 in flight, measure."""
    first = _first_audio_of_all(load)
    if first is None:
        return {}
    if clients == 1:
        return {"gpu.ttfa_http_1_p50_ms": measured(first.p50, "ms")}
    if clients != TARGET_CLIENTS:
        return {}
    values = {"gpu.ttfa_http_64_p99_ms": measured(first.p99, "ms")}
    if "memory_mb" in load.gpu:
        values["gpu.memory_64_mb"] = measured(load.gpu["memory_mb"], "MB")
    return values


def readiness(server: ServerAddress) -> dict[str, Any]:
    """Ask a server what speaks; empty where it does not tell, as servers of others."""
    try:
        found = json.loads(asyncio.run(get(server, "/readyz"))[1])
        return dict(found)
    except (OSError, EOFError, asyncio.LimitOverrunError, ValueError, LookupError, TypeError):
        return {}
