"""A result of stages or of the whole path as a table for people: a line a cell, a column a subject."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emotirt.bench.merge import row_from_text
from emotirt.bench.results import BenchmarkResult


def comparison_table(result: BenchmarkResult) -> str:
    """Return the medians of every subject side by side, and what is absent, one reason a line."""
    subjects: Mapping[str, Any] = result.details["subjects"]
    labels = list(subjects)
    figures: dict[tuple[str, float, int], dict[str, str]] = {}
    for label, subject in subjects.items():
        for stage, lines in subject["rows"].items():
            for row in map(row_from_text, lines):
                figures.setdefault((stage, row.seconds, row.batch), {})[label] = f"{row.p50:.4g}"
    heads = ("stage", "seconds", "batch", *(f"{label} p50 ms" for label in labels))
    rows = [
        (stage, f"{seconds:g}", str(batch), *(found.get(label, "-") for label in labels))
        for (stage, seconds, batch), found in sorted(figures.items())
    ]
    absent = [
        f"{label}: {what}: {reason}"
        for label, subject in subjects.items()
        for what, reason in subject["absent"].items()
    ]
    return aligned([heads, *rows]) + "".join(f"absent: {line}\n" for line in absent)


def aligned(rows: list[tuple[str, ...]]) -> str:
    """Return rows of equally many cells as lines, every column as wide as its widest cell."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines) + "\n"
