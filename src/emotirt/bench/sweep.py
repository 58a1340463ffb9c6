"""How much is held, found by raising a number until it is too much: of listeners, of requests a second, in flight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from emotirt.bench.timing import Clock

UNTIMED_S = float("inf")


class Level(Protocol):
    """What was measured at one number."""

    @property
    def is_held(self) -> bool:
        """Whether it was not too much."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""


L = TypeVar("L", bound=Level)


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """Which numbers to try.

    Attributes:
        first: number to begin with; doubled as long as it is held.
        most: number not to go past.
        refinements: halvings of the interval between the highest held and the lowest not held.
    """

    first: int = 8
    most: int = 512
    refinements: int = 3


@dataclass(frozen=True, slots=True)
class SweepReport(Generic[L]):
    """What a sweep found.

    Attributes:
        held: highest number held, 0 for none.
        is_bounded: whether a higher number was tried and not held.
        levels: everything measured, in order.
    """

    held: int
    is_bounded: bool
    levels: list[tuple[int, L]]

    def to_dict(self, of: str = "listeners") -> dict[str, Any]:
        """Return JSON types; ``of`` names the number."""
        levels = [{of: count, "is_held": item.is_held, **item.to_dict()} for count, item in self.levels]
        return {"held": self.held, "is_bounded": self.is_bounded, "levels": levels}


def sweep(measure: Callable[[int], L], settings: SweepSettings, clock: Clock | None = None) -> SweepReport[L]:
    """Double until a level is not held, then halve the interval.

    A first level that is not held is measured once more: what was just started may not be warm yet.

    Args:
        measure: measures at a number.
        settings: which numbers to try.
        clock: when it is over no further number is tried; None for as long as it takes.
    """
    levels: list[tuple[int, L]] = []
    clock = clock or Clock(UNTIMED_S)

    def is_held(count: int) -> bool:
        levels.append((count, measure(count)))
        return levels[-1][1].is_held

    held, count = 0, settings.first
    while is_held(count) or (len(levels) == 1 and not clock.is_over and is_held(count)):
        held = count
        if count >= settings.most or clock.is_over:
            return SweepReport(held, False, levels)
        count = min(2 * count, settings.most)
    too_many = count
    for _ in range(settings.refinements):
        middle = (held + too_many) // 2
        if middle == held or clock.is_over:
            break
        if is_held(middle):
            held = middle
        else:
            too_many = middle
    return SweepReport(held, True, levels)
