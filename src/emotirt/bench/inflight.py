"""How many whole utterances may be in flight before the slowest take too long, with what the GPU does meanwhile.

This is the looser reading of "concurrent": nobody listens to a stream, every asker waits for all the audio of one
utterance and then asks for the next one. A number of askers is held if the 99th percentile of the waits is short.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from emotirt.bench.cells import MAIN_LENGTH_S
from emotirt.bench.crowd import Crowd, Reply, audio_per_s, open_crowd, steady
from emotirt.bench.gpu_watch import GpuWatch
from emotirt.bench.inputs import Inputs
from emotirt.bench.stages import SubjectReport
from emotirt.bench.stats import Distribution, distribution
from emotirt.bench.subjects import Subject
from emotirt.bench.sweep import SweepReport, SweepSettings, sweep
from emotirt.bench.timing import Clock, brief
from emotirt.errors import BackendError

IN_FLIGHT = "in_flight"
COLUMNS = "seconds in_flight count p50_ms p90_ms p95_ms p99_ms audio_s_per_s"
MOST_MS = 500.0
"""The article's "stable": p99 of a whole utterance within half a second, as its listeners stand it."""
TIMELINE_CHUNKS = 16


@dataclass(frozen=True, slots=True)
class InFlightSettings:
    """What to look for.

    Attributes:
        seconds: of audio in an utterance.
        level_s: how long each number of askers is watched.
        warm_up_s: before, not counted.
        most_ms: what the 99th percentile may be.
        numbers: of askers, from the first to the most.
    """

    seconds: float = MAIN_LENGTH_S
    level_s: float = 2.5
    warm_up_s: float = 0.5
    most_ms: float = MOST_MS
    numbers: SweepSettings = field(default_factory=lambda: SweepSettings(1, 512))


@dataclass(frozen=True, slots=True)
class InFlightLevel:
    """What so many askers got.

    Attributes:
        count: askers.
        waits_ms: from question to last sample.
        first_ms: from question to first sample, None where audio comes in one piece.
        audio_s_per_s: made by all of them together.
        is_held: whether the waits are short enough.
        gpu: what was seen of it, or why nothing was.
        slowest: of the counted replies.
    """

    count: int
    waits_ms: Distribution
    first_ms: Distribution | None
    audio_s_per_s: float
    is_held: bool
    gpu: dict[str, Any]
    slowest: Reply

    def row(self, seconds: float) -> str:
        """Return a line under ``COLUMNS``."""
        figures = " ".join(f"{value:g}" for value in brief(self.waits_ms))
        return f"{seconds:g} {self.count} {figures} {self.audio_s_per_s:.4g}"

    def facts(self) -> dict[str, Any]:
        """Return what does not stand in the row."""
        first = {} if self.first_ms is None else {"first_ms": brief(self.first_ms)}
        chunks = [_chunk_line(chunk) for chunk in self.slowest.chunks[:TIMELINE_CHUNKS]]
        return {"is_held": self.is_held, **self.gpu, **first, **({"slowest_chunks": chunks} if chunks else {})}

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return {"in_flight": self.count, "waits_ms": self.waits_ms.to_dict(), **self.facts()}


def _chunk_line(chunk: Any) -> str:
    """Write queue, front end, acoustic, vocoder and the time since the request, in ms."""
    parts = (chunk.queue_s, chunk.frontend_s, chunk.acoustic_s, chunk.vocoder_s, chunk.since_request_s)
    return " ".join(f"{1000.0 * part:.4g}" for part in parts)


def measure_in_flight(
    subject: Subject,
    inputs: Inputs,
    settings: InFlightSettings,
    clock: Clock,
    report: SubjectReport,
    tell: Callable[[str], None],
) -> None:
    """Look for the largest number that is held, until the clock is over; arguments as of ``stages.measure_stages``."""
    try:
        crowd = open_crowd(subject, inputs.sentences(settings.seconds))
    except BackendError as exc:
        report.absent[IN_FLIGHT] = str(exc)
        tell(f"{subject.label}: {exc}")
        return
    try:
        crowd.ask(1, settings.warm_up_s)  # the first call may compile, capture or allocate
        found = sweep(lambda count: _level(crowd, count, settings, subject, report, tell), settings.numbers, clock)
        report.facts[IN_FLIGHT] = {**_found(found, settings), **crowd.facts()}
        tell(f"{subject.label}: {found.held} in flight held{'' if found.is_bounded else ', and no more were tried'}")
    except BackendError as exc:
        report.absent[IN_FLIGHT] = str(exc)
        tell(f"{subject.label}: {exc}")
    finally:
        crowd.close()


def _level(
    crowd: Crowd,
    count: int,
    settings: InFlightSettings,
    subject: Subject,
    report: SubjectReport,
    tell: Callable[[str], None],
) -> InFlightLevel:
    level = measured_level(crowd, count, settings)
    report.rows.setdefault(IN_FLIGHT, []).append(level.row(settings.seconds))
    report.facts[f"{IN_FLIGHT} {count}"] = level.facts()
    tell(f"{subject.label} {IN_FLIGHT}: {level.row(settings.seconds)} {'held' if level.is_held else 'not held'}")
    return level


def measured_level(crowd: Crowd, count: int, settings: InFlightSettings) -> InFlightLevel:
    """Let so many ask, and count what was asked after the warm-up.

    Raises: BackendError: a request failed, or none was asked after the warm-up.
    """
    with GpuWatch() as watch:
        from_s = time.perf_counter() + settings.warm_up_s
        until_s = from_s + settings.level_s
        replies = crowd.ask(count, settings.warm_up_s + settings.level_s)
        watched_s = time.perf_counter() - from_s + settings.warm_up_s
    counted = list(steady(replies, from_s, until_s)) or replies
    waits_ms = distribution([reply.took_ms for reply in counted])
    firsts = [1000.0 * (reply.first_s - reply.asked_s) for reply in counted if reply.first_s is not None]
    made = audio_per_s(replies, from_s, until_s)
    gpu = {"gpu": watch.absence} if watch.use is None else watch.use.facts(watched_s, made)
    slowest = max(counted, key=lambda reply: reply.took_ms)
    is_held = waits_ms.p99 <= settings.most_ms
    return InFlightLevel(count, waits_ms, distribution(firsts) if firsts else None, made, is_held, gpu, slowest)


def _found(found: SweepReport[InFlightLevel], settings: InFlightSettings) -> dict[str, Any]:
    return {
        "held": found.held,
        "is_bounded": found.is_bounded,
        "most_ms": settings.most_ms,
        "level_s": settings.level_s,
        "best_audio_s_per_s": _best(found.levels),
    }


def _best(levels: Sequence[tuple[int, InFlightLevel]]) -> float:
    return float(f"{max(level.audio_s_per_s for _, level in levels):.4g}")
