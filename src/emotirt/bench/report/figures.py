"""Figures as a reader wants them: three digits, units, intervals, links to the file that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emotirt.bench.report.archive import Interval, Result
from emotirt.bench.report.parts import NOT_MEASURED, NOTHING, Both, Words

_BIG = 1000.0


def number(value: float | None, unit: str = "") -> Words:
    """Return a figure to three digits; what is missing was not measured."""
    if value is None:
        return NOT_MEASURED
    return f"{plain(value)} {unit}".rstrip()


def plain(value: float) -> str:
    """Return three digits, thousands apart by commas."""
    if abs(value) >= _BIG:
        return f"{value:,.0f}"
    return f"{float(f'{value:.3g}'):g}"


def spread(interval: Interval | None, unit: str = "") -> Words:
    """Return a figure with its interval where there is one."""
    if interval is None:
        return NOT_MEASURED
    said = f"{plain(interval.value)} {unit}".rstrip()
    if interval.low is None or interval.high is None:
        return said
    return f"{said} ({plain(interval.low)}–{plain(interval.high)}, n={interval.count})"


def percent(share: float | None) -> Words:
    """Return a share as a percentage."""
    return NOTHING if share is None else f"{100.0 * share:.1f} %"


def percentiles(spread_ms: Mapping[str, Any] | None) -> str:
    """Return p50 / p90 / p99 of a distribution of a result file."""
    if not spread_ms:
        return NOTHING
    return " / ".join(plain(float(spread_ms[name])) for name in ("p50", "p90", "p99"))


def file_of(result: Result | None) -> str:
    """Return the name of a result's file as a link from ``docs``."""
    if result is None:
        return NOTHING
    return f"[{result.path.stem}](../benchmarks/results/{result.path.name})"


def machine_of(result: Result) -> str:
    """Return the machine without its memory."""
    return result.hardware


def measured_on(result: Result | None) -> Both:
    """Say on what, when and with which code."""
    if result is None:
        return NOT_MEASURED
    date, commit = result.date[:10], result.commit[:8] or "a release"
    return Both(
        f"{result.hardware}; {date}, commit `{commit}`; {file_of(result)}.",
        f"{result.hardware}；{date}，提交 `{commit}`；{file_of(result)}。",
    )
