"""How many listeners a server holds, found by raising their number until it does not keep up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emotirt.bench.load import LoadReport


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """Which numbers to try.

    Attributes:
        first: number of listeners to begin with; doubled as long as it is held.
        most: number not to go past.
        refinements: halvings of the interval between the highest held and the lowest not held.
    """

    first: int = 8
    most: int = 512
    refinements: int = 3


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What a sweep found.

    Attributes:
        held: highest number of listeners held, 0 for none.
        is_bounded: whether a higher number was tried and not held.
        levels: everything measured, in order.
    """

    held: int
    is_bounded: bool
    levels: list[tuple[int, LoadReport]]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        levels = [{"listeners": count, "is_held": item.is_held, **item.to_dict()} for count, item in self.levels]
        return {"held": self.held, "is_bounded": self.is_bounded, "levels": levels}


def sweep(measure: Callable[[int], LoadReport], settings: SweepSettings) -> SweepReport:
    """Double until a level is not held, then halve the interval.

    Args:
        measure: puts so many listeners on the server.
        settings: which numbers to try.
    """
    levels: list[tuple[int, LoadReport]] = []

    def is_held(count: int) -> bool:
        levels.append((count, measure(count)))
        return levels[-1][1].is_held

    held, count = 0, settings.first
    while is_held(count):
        held = count
        if count >= settings.most:
            return SweepReport(held, False, levels)
        count = min(2 * count, settings.most)
    too_many = count
    for _ in range(settings.refinements):
        middle = (held + too_many) // 2
        if middle == held:
            break
        if is_held(middle):
            held = middle
        else:
            too_many = middle
    return SweepReport(held, True, levels)
