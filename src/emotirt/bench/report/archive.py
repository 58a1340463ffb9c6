"""Result files as the report reads them: the newest of a kind, all of one machine, single cells of a comparison."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from emotirt.bench.merge import Row, row_from_text
from emotirt.errors import InvalidRequest

SAME_RUN = timedelta(hours=24)
"""Results of one machine and bundle that lie no further apart are repetitions of each other."""
FEWEST_REPEATS = 3
GPU_MAKER = "NVIDIA"


@dataclass(frozen=True, slots=True)
class Result:
    """One result file.

    Attributes:
        path: of the file.
        benchmark: what was measured.
        date: when, ISO 8601 in UTC.
        commit: of the code.
        hardware: one line.
        versions: of software.
        bundle: name and hash, or empty.
        settings: as given.
        values: what targets are about.
        details: everything else.
    """

    path: Path
    benchmark: str
    date: str
    commit: str
    hardware: str
    versions: Mapping[str, str]
    bundle: Mapping[str, str]
    settings: Mapping[str, Any]
    values: Mapping[str, Mapping[str, Any]]
    details: Mapping[str, Any]

    @property
    def is_of_gpu(self) -> bool:
        """Whether it was measured on a machine with a GPU."""
        return GPU_MAKER in self.hardware

    @property
    def moment(self) -> datetime:
        """When it was measured."""
        return datetime.strptime(self.date, "%Y-%m-%dT%H:%M:%SZ")

    @property
    def subjects(self) -> Mapping[str, Any]:
        """What was compared, by label; empty for other benchmarks."""
        found: Mapping[str, Any] = self.details.get("subjects", {})
        return found

    @property
    def is_of_published_size(self) -> bool:
        """Whether what was compared has EmotiVoice's size and front end."""
        return any(item["bundle"]["frontend"] == "emotivoice" for item in self.subjects.values())

    def rows(self, label: str, stage: str) -> list[Row]:
        """Return the measured cells of a subject."""
        return [row_from_text(line) for line in self.subjects.get(label, {}).get("rows", {}).get(stage, ())]

    def cell(self, label: str, stage: str, seconds: float, batch: int) -> Row | None:
        """Return one cell, None if it was not measured."""
        return next((row for row in self.rows(label, stage) if row.place == (seconds, batch)), None)

    def facts(self, label: str, name: str) -> Mapping[str, Any]:
        """Return what else is known of a subject, empty for nothing."""
        found = self.subjects.get(label, {}).get("facts", {}).get(name)
        return found if isinstance(found, dict) else {}


Wanted = Callable[[Result], bool]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and, if it was measured often enough, how far its repetitions lie apart.

    Attributes:
        value: median of the repetitions.
        low: smallest, None below ``FEWEST_REPEATS`` repetitions.
        high: largest, likewise.
        count: repetitions.
    """

    value: float
    low: float | None
    high: float | None
    count: int


class Archive:
    """All results of a directory, the newest first."""

    def __init__(self, results: list[Result]) -> None:
        """Hold results."""
        self.results = sorted(results, key=lambda result: (result.date, result.path.name), reverse=True)

    def newest(self, benchmark: str, wanted: Wanted = lambda result: True) -> Result | None:
        """Return the newest result of a benchmark that is wanted."""
        return next(self.all(benchmark, wanted), None)

    def all(self, benchmark: str, wanted: Wanted = lambda result: True) -> Iterator[Result]:
        """Yield them, the newest first."""
        return (result for result in self.results if result.benchmark == benchmark and wanted(result))

    def machine(self, wanted: Wanted, kinds: Sequence[str]) -> str:
        """Return the machine on which most of these kinds were measured, the newest of several; empty for none."""
        found: dict[str, set[str]] = {}
        for result in self.results:
            if result.benchmark in kinds and wanted(result):
                found.setdefault(result.hardware, set()).add(result.benchmark)
        return max(found, key=lambda name: len(found[name]), default="")

    def like(self, first: Result) -> list[Result]:
        """Return a result and those of its kind, machine and bundle that were measured about when it was."""
        return [
            result
            for result in self.all(first.benchmark)
            if result.hardware == first.hardware
            and result.bundle == first.bundle
            and abs(result.moment - first.moment) <= SAME_RUN
        ]

    def interval(self, first: Result, figure: Callable[[Result], float | None]) -> Interval | None:
        """Return a figure over a result and its repetitions, None if none of them has it."""
        found = [value for value in map(figure, self.like(first)) if value is not None]
        if not found:
            return None
        is_enough = len(found) >= FEWEST_REPEATS
        low, high = (min(found), max(found)) if is_enough else (None, None)
        return Interval(median(found), low, high, len(found))


def read_archive(directory: Path) -> Archive:
    """Read every result file of a directory.

    Raises: InvalidRequest: no directory, or a file in it that is no result, named.
    """
    if not directory.is_dir():
        raise InvalidRequest(f"no results in {str(directory)!r}; run 'emotirt bench report' in the source tree first")
    return Archive([_result(path) for path in sorted(directory.glob("*.json"))])


def _result(path: Path) -> Result:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        names = ("benchmark", "date", "commit", "hardware", "versions", "bundle", "settings", "values", "details")
        result = Result(path, **{name: data[name] for name in names})
        _ = result.moment
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise InvalidRequest(
            f"{str(path)!r} is no result file ({type(exc).__name__}: {exc}); 'emotirt bench' writes them"
        ) from exc
    return result
