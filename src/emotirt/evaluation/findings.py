"""What one part of an evaluation found, for the report and for the result file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from emotirt.types import FloatArray


@dataclass(frozen=True, slots=True)
class Target:
    """A figure against what it should be.

    Attributes:
        what: in words.
        value: what was measured, None if it could not be.
        wanted: in words, such as ``at least 0.8``.
        reached: whether it is.
    """

    what: str
    value: float | None
    wanted: str
    reached: bool

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, four digits."""
        value = None if self.value is None else round(self.value, 4)
        return {"what": self.what, "value": value, "wanted": self.wanted, "reached": self.reached}


@dataclass(frozen=True, slots=True)
class Player:
    """A sound to listen to: what it is, and float32 samples at 16 kHz."""

    title: str
    samples: FloatArray


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table; numbers are shown with three decimals."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """One part.

    Attributes:
        part: short name, also of the result file.
        title: for people.
        values: key of the summary -> {"value", "unit"}.
        targets: reached or not.
        details: everything else worth keeping, JSON types only.
        tables: for the report.
        charts: SVG documents.
        players: for the report.
    """

    part: str
    title: str
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    targets: tuple[Target, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    charts: tuple[str, ...] = ()
    players: tuple[Player, ...] = ()

    @property
    def reached(self) -> bool:
        """Whether every target is."""
        return all(target.reached for target in self.targets)


def at_least(what: str, value: float, wanted: float) -> Target:
    """Make a target that is reached from below."""
    return Target(what, value, f"at least {wanted:g}", value >= wanted)


def at_most(what: str, value: float, wanted: float) -> Target:
    """Make a target that is reached from above."""
    return Target(what, value, f"at most {wanted:g}", value <= wanted)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Describe a set of numbers: count, mean, deviation, 10th, 50th and 90th percentile."""
    import numpy as np

    if not len(values):
        return {"count": 0}
    low, middle, high = np.percentile(values, [10, 50, 90])
    found = {"mean": np.mean(values), "deviation": np.std(values), "p10": low, "p50": middle, "p90": high}
    return {"count": len(values), **{name: round(float(value), 4) for name, value in found.items()}}
