"""Pictures as SVG, written by hand like those of the evaluation: bars, curves over load, a timeline of chunks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from emotirt.bench.report.parts import Both
from emotirt.bench.report.where_time_goes import ChunkTime, Timeline

WIDTH = 720
LEFT, RIGHT, TOP, BOTTOM = 60.0, 16.0, 44.0, 40.0
INK, FAINT = "#333333", "#dddddd"
COLOURS = ("#1f6f8b", "#c2571a", "#6a8f2f", "#7a4fa3", "#b03060", "#8a8a8a")
STEPS = {
    "queue": (Both("waits", "等待"), "#b8b8b8"),
    "frontend": (Both("front end", "前端"), "#6a8f2f"),
    "acoustic": (Both("acoustic", "声学"), "#1f6f8b"),
    "vocoder": (Both("vocoder", "声码器"), "#c2571a"),
}
_ROW = 16.0


def bar_picture(title: str, bars: Sequence[tuple[str, float]], unit: str) -> str:
    """Draw a horizontal bar for every figure, from 0 on."""
    most = max((value for _, value in bars), default=1.0)
    left, height = 250.0, TOP + 26.0 * len(bars) + 8.0
    parts = []
    for index, (name, value) in enumerate(bars):
        top = TOP + 26.0 * index
        wide = (WIDTH - left - 90.0) * value / most
        colour = COLOURS[1] if "EmotiRT" in name else COLOURS[5]
        parts += [
            _text(left - 8, top + 13, name, "end"),
            f'<rect x="{left:.0f}" y="{top:.0f}" width="{max(wide, 1.0):.1f}" height="18" fill="{colour}"/>',
            _text(left + wide + 6, top + 13, f"{float(f'{value:.3g}'):g} {unit}"),
        ]
    return _svg(title, height, parts)


def curve_picture(title: str, axes: tuple[str, str], series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Draw curves over logarithmic axes; values are above 0.

    Args:
        title: of the picture.
        axes: what x and y are.
        series: name to points.
    """
    points = [point for line in series.values() for point in line]
    if not points:
        return _svg(title, TOP + BOTTOM, [])
    height = 300.0
    x, y = (_LogAxis([point[side] for point in points]) for side in (0, 1))
    right, bottom = WIDTH - RIGHT, height - BOTTOM

    def place(point: tuple[float, float]) -> tuple[float, float]:
        return LEFT + x.share(point[0]) * (right - LEFT), bottom - y.share(point[1]) * (bottom - TOP)

    parts = [
        *(_grid_x(LEFT + x.share(value) * (right - LEFT), value, bottom) for value in x.marks),
        *(_grid_y(bottom - y.share(value) * (bottom - TOP), value, right) for value in y.marks),
        _text(right, height - 6, axes[0], "end"),
        _text(LEFT - 48, TOP - 8, axes[1]),
    ]
    for index, (name, line) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        places = [place(point) for point in sorted(line)]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.5" fill="{colour}"/>' for a, b in places]
        parts.append(_text(LEFT + 110.0 + 120.0 * index, TOP - 8, f"■ {name}", colour=colour))
    return _svg(title, height, parts)


def timeline_picture(title: str, lines: Sequence[Timeline], language: str) -> str:
    """Draw the chunks of requests, each on a line of its own, below each other; all on one axis of time."""
    rows = sum(len(line.chunks) + 2 for line in lines)
    height = TOP + _ROW * rows + BOTTOM
    most = max((chunk.since_request for line in lines for chunk in line.chunks), default=1.0)
    scale = (WIDTH - LEFT - RIGHT) / most
    parts, top = [_legend(language)], TOP
    for line in lines:
        said = (
            Both("alone", "单独")
            if line.in_flight == 1
            else Both(f"{line.in_flight} in flight", f"{line.in_flight} 个同时进行")
        )
        parts.append(_text(LEFT, top + 11, said.of(language), weight="bold"))
        top += _ROW
        for chunk in line.chunks:
            parts += _chunk_bars(chunk, top, scale)
            top += _ROW
        top += _ROW
    bottom = TOP + _ROW * rows
    parts += [_grid_x(LEFT + value * scale, value, bottom, TOP) for value in _even_marks(most)]
    parts.append(_text(WIDTH - RIGHT, height - 6, "ms", "end"))
    return _svg(title, height, parts)


def _chunk_bars(chunk: ChunkTime, top: float, scale: float) -> list[str]:
    """Draw the steps of a chunk so that the last one ends when the chunk was there."""
    parts = []
    end = chunk.since_request
    for name in ("vocoder", "acoustic", "queue", "frontend"):
        wide = min(getattr(chunk, name), end)
        if wide > 0.0:
            left = LEFT + (end - wide) * scale
            colour = STEPS[name][1]
            box = f'x="{left:.1f}" y="{top:.1f}" width="{max(wide * scale, 0.6):.1f}" height="{_ROW - 4:.0f}"'
            parts.append(f'<rect {box} fill="{colour}"/>')
        end -= wide
    return parts


def _legend(language: str) -> str:
    return "".join(
        _text(LEFT + 90.0 * index, TOP - 8, f"■ {said.of(language)}", colour=colour)
        for index, (said, colour) in enumerate(STEPS.values())
    )


class _LogAxis:
    """Maps values above 0 to shares of an axis by their logarithm."""

    def __init__(self, values: Sequence[float]) -> None:
        low, high = max(min(values), 1e-6), max(*values, 1e-6) if len(values) > 1 else max(values[0], 1e-6)
        self._low, self._high = math.log(low / 1.15), math.log(high * 1.15)

    def share(self, value: float) -> float:
        return (math.log(max(value, 1e-6)) - self._low) / (self._high - self._low)

    @property
    def marks(self) -> list[float]:
        """1, 2 and 5 of every power of ten within."""
        decades = range(math.floor(self._low / math.log(10)) - 1, math.ceil(self._high / math.log(10)) + 1)
        marks = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
        return [mark for mark in marks if self._low <= math.log(mark) <= self._high]


def _even_marks(most: float) -> list[float]:
    step = 10.0 ** math.floor(math.log10(most))
    step = next(part for part in (step / 5, step / 2, step, 2 * step) if most / part <= 8)
    return [index * step for index in range(int(most / step) + 1)]


def _grid_x(x: float, value: float, bottom: float, top: float = TOP) -> str:
    line = f'<line x1="{x:.1f}" y1="{top:.0f}" x2="{x:.1f}" y2="{bottom:.0f}" stroke="{FAINT}" stroke-width="0.6"/>'
    return line + _text(x, bottom + 14, f"{value:g}", "middle")


def _grid_y(y: float, value: float, right: float) -> str:
    line = f'<line x1="{LEFT:.0f}" y1="{y:.1f}" x2="{right:.0f}" y2="{y:.1f}" stroke="{FAINT}" stroke-width="0.6"/>'
    return line + _text(LEFT - 6, y + 4, f"{value:g}", "end")


def _text(x: float, y: float, words: str, anchor: str = "start", colour: str = INK, weight: str = "normal") -> str:
    bold = "" if weight == "normal" else f' font-weight="{weight}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{bold}>{escape(words)}</text>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    head = f'<text x="12" y="18" font-weight="bold" fill="{INK}">{escape(title)}</text>'
    look = f'viewBox="0 0 {WIDTH} {height:.0f}" font-family="sans-serif" font-size="11"'
    label = f'role="img" aria-label="{escape(title, quote=True)}"'
    paper = f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {look} {label}>{paper}{head}{"".join(parts)}</svg>\n'
