"""Each stage by itself: how long it takes at every length and batch, on the host's clock and on the device's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from emotirt.bench.cells import BATCHES, LENGTHS_S, MAIN_LENGTH_S, Cell, cells
from emotirt.bench.inputs import Inputs
from emotirt.bench.stats import distribution
from emotirt.bench.subjects import PlanProbed, Probed, Subject
from emotirt.bench.timing import DEFAULT_REPEATS, Clock, Repeats, brief, timed_ms
from emotirt.errors import BackendError, OutOfProfile
from emotirt.runtime.runner import Array, Runner

COLUMNS = "seconds batch count p50_ms p90_ms p95_ms p99_ms device_p50_ms"
"""Of a row; the first five figures are by the host's clock with both copies, the last is the device's alone or -."""

_NO_TIME = "no time for"


@dataclass(frozen=True, slots=True)
class StageSettings:
    """What to measure.

    Attributes:
        stages: stages of the bundle.
        lengths_s: seconds of audio.
        batches: rows at once.
        repeats: of each cell.
        wants_layers: whether to time the layers of a plan, too.
    """

    stages: Sequence[str]
    lengths_s: Sequence[float] = LENGTHS_S
    batches: Sequence[int] = BATCHES
    repeats: Repeats = DEFAULT_REPEATS
    wants_layers: bool = False


@dataclass(slots=True)
class SubjectReport:
    """What one subject did.

    Attributes:
        rows: for each stage, or ``path`` for the whole path, its cells as written under ``COLUMNS``.
        facts: for each stage at 15 s alone: launches, memory, and which plan it is.
        layers: times of a plan's layers at the first cell that has any; kept apart from the rest, because it is long.
        absent: what could not be measured, and why.
    """

    rows: dict[str, list[str]] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    layers: list[dict[str, str | float]] = field(default_factory=list)

    def leave_out(self, cell: Cell) -> None:
        """Note that there was no time for a cell."""
        name = f"{_NO_TIME} {cell.stage or 'path'}"
        place = f"{cell.seconds:g} s x {cell.batch}"
        self.absent[name] = f"{self.absent[name]}, {place}" if name in self.absent else place

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return {"rows": self.rows, "facts": self.facts, "absent": self.absent}


def measure_stages(
    subject: Subject,
    inputs: Inputs,
    settings: StageSettings,
    clock: Clock,
    report: SubjectReport,
    tell: Callable[[str], None],
) -> None:
    """Time every cell until the clock is over; the first one is always measured.

    Args:
        subject: what is measured.
        inputs: shared by all subjects.
        settings: which cells, how often.
        clock: what is left for this subject.
        report: is filled cell by cell, so that an interruption leaves what is done.
        tell: receives one line a cell.
    """
    run = _StageRun(subject, inputs, settings, report, tell)
    pace = Pace(clock)
    try:
        for cell in cells(subject.bundle.manifest, settings.stages, settings.lengths_s, settings.batches):
            if pace.allows(cell):
                run.measure(cell)
                pace.note(cell)
            else:
                report.leave_out(cell)
    finally:
        run.close()


class _StageRun:
    """The runners of one subject and what they have done so far."""

    def __init__(
        self,
        subject: Subject,
        inputs: Inputs,
        settings: StageSettings,
        report: SubjectReport,
        tell: Callable[[str], None],
    ) -> None:
        self.report = report
        self._subject = subject
        self._inputs = inputs
        self._repeats = settings.repeats
        self._tell = tell
        self._wants_layers = settings.wants_layers
        self._runners: dict[str, Runner] = {}
        self._unopened: set[str] = set()

    def measure(self, cell: Cell) -> None:
        """Measure a cell, or note why it cannot be."""
        if cell.stage in self._unopened:
            return
        try:
            if cell.stage not in self._runners:
                self._unopened.add(cell.stage)
                self._runners[cell.stage] = self._subject.open_stage(cell.stage)
                self._unopened.discard(cell.stage)
            feeds = self._inputs.feeds(self._subject.bundle.manifest, cell)
            runner = self._runners[cell.stage]
            _measure(runner, feeds, cell, self._repeats, self.report)
            if self._wants_layers and not self.report.layers and isinstance(runner, PlanProbed):
                self.report.layers = runner.layer_times(feeds)
            self._tell(f"{self._subject.label} {cell.stage}: {self.report.rows[cell.stage][-1]}")
        except BackendError as exc:
            place = cell.stage if cell.stage in self._unopened else cell.name
            self.report.absent[place] = str(exc)
            self._tell(f"{self._subject.label} {place}: {exc}")

    def close(self) -> None:
        """Release the runners."""
        for runner in self._runners.values():
            runner.close()


class Pace:
    """Guesses from the cells done whether another fits into the time left."""

    def __init__(self, clock: Clock) -> None:
        """Watch ``clock``."""
        self._clock = clock
        self._cost: dict[str, float] = {}
        self._began_s = clock.left_s

    def allows(self, cell: Cell) -> bool:
        """Whether a cell is the first or likely to fit; starts its time."""
        self._began_s = self._clock.left_s
        if not self._cost:
            return True
        needed_s = self._cost.get(cell.stage, 0.0) * cell.seconds * cell.batch
        return not self._clock.is_over and needed_s < max(self._began_s, 0.0)

    def note(self, cell: Cell) -> None:
        """Learn from a cell done: at least so long takes a larger one, a second of audio."""
        took_s = (self._began_s - self._clock.left_s) / (cell.seconds * cell.batch)
        self._cost[cell.stage] = min(self._cost.get(cell.stage, took_s), took_s)


def _measure(runner: Runner, feeds: Mapping[str, Array], cell: Cell, repeats: Repeats, report: SubjectReport) -> None:
    host = timed_ms(lambda _: runner.run(feeds), repeats)
    device = "-"
    if isinstance(runner, Probed):
        count = max(1, min(repeats.timed, int(1000.0 * repeats.seconds / max(host.p50, 1e-3))))
        with suppress(OutOfProfile):  # a batch that is computed in parts has no time of its own on the device
            device = f"{distribution(runner.device_times_ms(feeds, count)).p50:.4g}"
        if device != "-" and cell.batch == 1 and (cell.seconds == MAIN_LENGTH_S or cell.stage not in report.facts):
            report.facts[cell.stage] = {
                "seconds": cell.seconds,
                "launched": runner.launched(feeds),
                "memory_bytes": runner.memory_bytes(feeds),
                **(runner.plan_facts() if isinstance(runner, PlanProbed) else {}),
            }
    figures = " ".join(f"{value:g}" for value in brief(host))
    report.rows.setdefault(cell.stage, []).append(f"{cell.seconds:g} {cell.batch} {figures} {device}")
