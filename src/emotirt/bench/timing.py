"""Repeat a call and note how long each took, within a budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from emotirt.bench.stats import Distribution, distribution


@dataclass(frozen=True, slots=True)
class Repeats:
    """How often to measure.

    Attributes:
        warm_up: untimed calls before; the first of them may compile, capture or allocate.
        timed: timed calls at most.
        seconds: after so long no further call is begun; at least one is timed.
    """

    warm_up: int = 5
    timed: int = 100
    seconds: float = 2.0


DEFAULT_REPEATS = Repeats()


@dataclass(slots=True)
class Clock:
    """What is left of a budget that many measurements share.

    Attributes:
        seconds: the whole budget.
    """

    seconds: float
    _began_s: float = field(default_factory=time.monotonic)

    @property
    def left_s(self) -> float:
        """Seconds left, negative when overdrawn."""
        return self.seconds - (time.monotonic() - self._began_s)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self.left_s <= 0.0


def timed_ms(call: Callable[[int], object], repeats: Repeats) -> Distribution:
    """Time a call by the host's clock; the call returns when its result is in host memory.

    Args:
        call: takes the index of the call, warm-up included, so that none need repeat another's input.
        repeats: how often. Warm-up stops early, after one call, when it uses up the seconds.
    """
    began = time.perf_counter()
    index = 0
    for index in range(1, repeats.warm_up + 1):
        call(index - 1)
        if time.perf_counter() - began > repeats.seconds:
            break
    times_ms: list[float] = []
    began = time.perf_counter()
    while len(times_ms) < repeats.timed and (not times_ms or time.perf_counter() - began < repeats.seconds):
        started = time.perf_counter()
        call(index)
        times_ms.append(1000.0 * (time.perf_counter() - started))
        index += 1
    return distribution(times_ms)


def brief(spread: Distribution | None) -> list[float | int]:
    """Return count, p50, p90, p95 and p99 to four digits, for tables and files; empty for nothing."""
    if spread is None:
        return []
    figures: Sequence[float] = (spread.p50, spread.p90, spread.p95, spread.p99)
    return [spread.count, *(float(f"{value:.4g}") for value in figures)]
