"""Percentiles of repeated measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from emotirt.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Distribution:
    """Spread of one quantity over its repeats, in the quantity's own unit.

    Attributes:
        count: repeats.
        mean: arithmetic mean.
        smallest: minimum.
        p50: median.
        p90: 90th percentile.
        p95: 95th percentile.
        p99: 99th percentile; with fewer than 100 repeats it leans on the largest.
        largest: maximum.
    """

    count: int
    mean: float
    smallest: float
    p50: float
    p90: float
    p95: float
    p99: float
    largest: float

    def to_dict(self) -> dict[str, float]:
        """Return plain numbers for JSON, to six digits: no clock here is better."""
        return {name: value if name == "count" else float(f"{value:.6g}") for name, value in asdict(self).items()}


def distribution(values: Sequence[float]) -> Distribution:
    """Summarize repeats; percentiles interpolate linearly between order statistics.

    Raises: InvalidRequest: no values.
    """
    if not values:
        raise InvalidRequest("nothing was measured; ask for at least one repeat")
    data = np.asarray(values, dtype=np.float64)
    p50, p90, p95, p99 = (float(value) for value in np.percentile(data, (50, 90, 95, 99)))
    return Distribution(len(values), float(data.mean()), float(data.min()), p50, p90, p95, p99, float(data.max()))
