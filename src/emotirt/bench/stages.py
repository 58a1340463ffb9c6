"""Each stage by itself: how long it takes at every length and batch, on the host's clock and on the device's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from emotirt.bench.cells import BATCHES, LENGTHS_S, MAIN_LENGTH_S, Cell, cells
from emotirt.bench.inputs import Inputs
from emotirt.bench.stats import distribution
from emotirt.bench.subjects import Probed, Subject
from emotirt.bench.timing import Clock, Repeats, brief, timed_ms
from emotirt.errors import BackendError
from emotirt.runtime.runner import Array, Runner

COLUMNS = "seconds batch count p50_ms p90_ms p95_ms p99_ms device_p50_ms"
"""Of a row; the first five figures are by the host's clock with both copies, the last is the device's alone or -."""


@dataclass(frozen=True, slots=True)
class StageSettings:
    """What to measure.

    Attributes:
        stages: stages of the bundle.
        lengths_s: seconds of audio.
        batches: rows at once.
        repeats: of each cell.
    """

    stages: Sequence[str]
    lengths_s: Sequence[float] = LENGTHS_S
    batches: Sequence[int] = BATCHES
    repeats: Repeats = Repeats()


@dataclass(slots=True)
class SubjectReport:
    """What one subject did.

    Attributes:
        rows: for each stage, or ``path`` for the whole path, its cells as written under ``COLUMNS``.
        facts: for each stage at 15 s alone: launches and memory.
        absent: what could not be measured, and why.
    """

    rows: dict[str, list[str]] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return {"rows": self.rows, "facts": self.facts, "absent": self.absent}


def measure_stages(
    subject: Subject, inputs: Inputs, settings: StageSettings, clock: Clock, tell: Callable[[str], None]
) -> SubjectReport:
    """Time every cell until the clock is over.

    Args:
        subject: what is measured.
        inputs: shared by all subjects.
        settings: which cells, how often.
        clock: what is left for this subject.
        tell: receives one line a cell.
    """
    report = SubjectReport()
    runners: dict[str, Runner] = {}
    pace = Pace(clock)
    try:
        for cell in cells(subject.bundle.manifest, settings.stages, settings.lengths_s, settings.batches):
            name = f"{cell.stage} {cell.seconds:g} s x {cell.batch}"
            if not pace.allows(cell):
                report.absent.setdefault("time", "")
                report.absent["time"] += f"{'; ' if report.absent['time'] else ''}{name}"
                continue
            try:
                runner = runners.get(cell.stage) or runners.setdefault(cell.stage, subject.open_stage(cell.stage))
                _measure(runner, inputs.feeds(subject.bundle.manifest, cell), cell, settings.repeats, report)
                tell(f"{subject.label} {cell.stage}: {report.rows[cell.stage][-1]}")
            except BackendError as exc:
                report.absent[name] = str(exc)
                tell(f"{subject.label} {name}: {exc}")
                if cell.stage not in runners:
                    settings = _without(settings, cell.stage)
            pace.note(cell)
    finally:
        for runner in runners.values():
            runner.close()
    return report


class Pace:
    """Guesses from the cells done whether another fits into the time left."""

    def __init__(self, clock: Clock) -> None:
        """Watch ``clock``."""
        self._clock = clock
        self._cost: dict[str, float] = {}
        self._began_s = clock.left_s

    def allows(self, cell: Cell) -> bool:
        """Whether a cell is likely to fit; starts its time."""
        self._began_s = self._clock.left_s
        needed_s = self._cost.get(cell.stage, 0.0) * cell.seconds * cell.batch
        return not self._clock.is_over and needed_s < max(self._began_s, 0.0)

    def note(self, cell: Cell) -> None:
        """Learn from a cell done: at least so long takes a larger one, a second of audio."""
        took_s = (self._began_s - self._clock.left_s) / (cell.seconds * cell.batch)
        self._cost[cell.stage] = min(self._cost.get(cell.stage, took_s), took_s)


def _without(settings: StageSettings, stage: str) -> StageSettings:
    return StageSettings(
        [name for name in settings.stages if name != stage], settings.lengths_s, settings.batches, settings.repeats
    )


def _measure(
    runner: Runner, feeds: Mapping[str, Array], cell: Cell, repeats: Repeats, report: SubjectReport
) -> None:
    host = timed_ms(lambda _: runner.run(feeds), repeats)
    device = "-"
    if isinstance(runner, Probed):
        count = max(1, min(repeats.timed, int(1000.0 * repeats.seconds / max(host.p50, 1e-3))))
        device = f"{distribution(runner.device_times_ms(feeds, count)).p50:.4g}"
        if cell.batch == 1 and (cell.seconds == MAIN_LENGTH_S or cell.stage not in report.facts):
            report.facts[cell.stage] = {
                "seconds": cell.seconds,
                "launched": runner.launched(feeds),
                "memory_bytes": runner.memory_bytes(feeds),
            }
    figures = " ".join(f"{value:g}" for value in brief(host))
    report.rows.setdefault(cell.stage, []).append(f"{cell.seconds:g} {cell.batch} {figures} {device}")
