"""A soak: steady mixed traffic on a server with a worker process for a long time; what both hold must stay flat."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from emotirt.bench.child_server import child_process
from emotirt.bench.expected_speech import Known
from emotirt.bench.processes import Footprint, footprint, worker_of
from emotirt.bench.speech_client import address_from_url
from emotirt.bench.traffic import CORRUPT, DOUBLED, FAILED, LOST, Tally, Traffic
from emotirt.bench.workload import poisson_times_s
from emotirt.errors import BackendError

SERVER_OPTIONS = ("--isolation", "worker", "--live-deadline", "60", "--body-timeout", "5")
SAMPLE_S = 5.0
LEAST_SAMPLES = 40
SETTLED_SHARE = 0.2
"""The first part of the time in which caches fill and the slope is not taken."""
MEANS = 25
"""The slope is taken over so many means, so that neighbours depend little on each other."""
FLAT_MIB_PER_HOUR = 4.0
"""A slope surely above it fails: a server of 200 MiB would take days to double."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SoakSettings:
    """How long and how much.

    Attributes:
        minutes: of traffic.
        rate_per_s: requests at Poisson times.
        rest_s: without traffic, before files and threads are compared.
        seed: of everything random.
        options: more of ``emotirt serve``.
    """

    minutes: float = 30.0
    rate_per_s: float = 10.0
    rest_s: float = 8.0
    seed: int = 0
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Slope:
    """A straight line through what was measured.

    Attributes:
        per_hour: its slope.
        low: end of the 95 % interval.
        high: the other end.
    """

    per_hour: float
    low: float
    high: float


@dataclass(slots=True)
class Watched:
    """What one process held.

    Attributes:
        samples: seconds since the start, and what it held then, under traffic.
        before: at rest, after the first traffic.
        after: at rest, at the end.
    """

    samples: list[tuple[float, Footprint]] = field(default_factory=list)
    before: Footprint | None = None
    after: Footprint | None = None

    @property
    def memory(self) -> Slope:
        """Slope of its memory in MiB, once settled."""
        first_s = self.samples[-1][0] * SETTLED_SHARE
        return slope([(at_s, held.memory_mib) for at_s, held in self.samples if at_s >= first_s])

    @property
    def is_flat(self) -> bool:
        """Whether memory does not surely grow, and no file and no thread is left."""
        assert self.before is not None
        assert self.after is not None
        is_flat = self.memory.low <= 0.0 or self.memory.per_hour <= FLAT_MIB_PER_HOUR
        return is_flat and not self.after.keeps_more_than(self.before)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types, with a sample a minute."""
        line = self.memory
        minutes = {int(at_s // 60): held for at_s, held in self.samples}
        return {
            "memory_mib_per_hour": round(line.per_hour, 3),
            "interval_95": [round(line.low, 3), round(line.high, 3)],
            "at_rest": [_row(self.before), _row(self.after)],
            "memory_mib_by_minute": [round(held.memory_mib, 1) for held in minutes.values()],
            "open_files_by_minute": [held.open_files for held in minutes.values()],
            "threads_by_minute": [held.threads for held in minutes.values()],
            "is_flat": self.is_flat,
        }


@dataclass(slots=True)
class SoakReport:
    """What a soak found.

    Attributes:
        tally: of its requests.
        server: the server's process.
        worker: its worker's process.
    """

    tally: Tally = field(default_factory=Tally)
    server: Watched = field(default_factory=Watched)
    worker: Watched = field(default_factory=Watched)

    @property
    def is_good(self) -> bool:
        """Whether both are flat, and no request went wrong."""
        wrong = sum(self.tally.counts[name] for name in (LOST, DOUBLED, CORRUPT, FAILED))
        return self.server.is_flat and self.worker.is_flat and not wrong


def run_soak(known: Sequence[Known], settings: SoakSettings, say: Say) -> SoakReport:
    """Run a server under traffic and watch it.

    Raises: BackendError: it did not come up, or was gone before the end.
    """
    with child_process((*SERVER_OPTIONS, *settings.options)) as child:
        traffic = Traffic(address_from_url(child.url), known, settings.seed)
        report = SoakReport(traffic.tally)
        asyncio.run(_soaked(traffic, child.process.pid, report, settings, say))
    return report


async def _soaked(traffic: Traffic, pid: int, report: SoakReport, settings: SoakSettings, say: Say) -> None:
    seconds = 60.0 * settings.minutes
    first_s = min(60.0, seconds * SETTLED_SHARE)
    await _sent(traffic, poisson_times_s(settings.rate_per_s, first_s, settings.seed))
    await asyncio.sleep(settings.rest_s)
    report.server.before, report.worker.before = _held(pid)
    watching = asyncio.create_task(_watched(pid, report, min(SAMPLE_S, seconds / LEAST_SAMPLES), say))
    await _sent(traffic, poisson_times_s(settings.rate_per_s, seconds, settings.seed + 1))
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching  # raises what it found wrong
    await asyncio.sleep(settings.rest_s)
    report.server.after, report.worker.after = _held(pid)


async def _sent(traffic: Traffic, times_s: Sequence[float]) -> None:
    """Make requests at their times, whatever becomes of those before."""
    start_s = time.monotonic()
    running: set[asyncio.Task[str]] = set()
    for time_s in times_s:
        await asyncio.sleep(max(0.0, start_s + time_s - time.monotonic()))
        task = asyncio.create_task(traffic.one())
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)


async def _watched(pid: int, report: SoakReport, every_s: float, say: Say) -> None:
    start_s = time.monotonic()
    for number in range(1, 2**31):
        await asyncio.sleep(max(0.0, start_s + number * every_s - time.monotonic()))
        at_s = time.monotonic() - start_s
        held = _held(pid)
        for watched, one in zip((report.server, report.worker), held, strict=True):
            watched.samples.append((at_s, one))
        if number % 60 == 0 and every_s == SAMPLE_S:
            memory = " and ".join(f"{one.memory_mib:.1f} MiB, {one.open_files} files" for one in held)
            say(f"{at_s / 60:.0f} min: {report.tally.requests} requests {dict(report.tally.counts)}, {memory}")


def _held(pid: int) -> tuple[Footprint, Footprint]:
    worker = worker_of(pid)
    found = footprint(pid), None if worker is None else footprint(worker)
    server_held, worker_held = found
    if server_held is None or worker_held is None:
        raise BackendError("the server or its worker is gone in the middle of the soak")
    return server_held, worker_held


def slope(points: Sequence[tuple[float, float]]) -> Slope:
    """Fit a line through the means of ``MEANS`` stretches of time.

    Args: points: seconds and values, ascending in time, at least three.
    Returns: the slope an hour, with its 95 % interval by Student's distribution.
    """
    count = min(MEANS, len(points))
    cuts = [round(index * len(points) / count) for index in range(count + 1)]
    stretches = [points[start:stop] for start, stop in zip(cuts, cuts[1:])]  # noqa: B905, RUF007  # one shorter
    hours = [sum(at_s for at_s, _ in part) / len(part) / 3600.0 for part in stretches]
    values = [sum(value for _, value in part) / len(part) for part in stretches]
    middle, mean = sum(hours) / count, sum(values) / count
    spread = sum((hour - middle) ** 2 for hour in hours)
    per_hour = sum((hour - middle) * (value - mean) for hour, value in zip(hours, values, strict=True)) / spread
    rest = sum((value - mean - per_hour * (hour - middle)) ** 2 for hour, value in zip(hours, values, strict=True))
    free = count - 2
    student = 1.96 + (1.96**3 + 1.96) / (4 * free)  # Cornish and Fisher's first term
    error = student * math.sqrt(rest / free / spread)
    return Slope(per_hour, per_hour - error, per_hour + error)


def _row(held: Footprint | None) -> dict[str, float] | None:
    if held is None:
        return None
    return {"memory_mib": round(held.memory_mib, 1), "open_files": held.open_files, "threads": held.threads}
