"""Small charts as SVG, written by hand so that a report needs no plotting library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 28, 34
COLOURS = ("#9a9a9a", "#c2571a", "#1f6f8b", "#6a8f2f", "#7a4fa3", "#b03060", "#444444")


def histogram(title: str, series: Mapping[str, Sequence[float]], bins: int = 40) -> str:
    """Draw how several sets of numbers are spread, each as a share of its own set."""
    everything = np.concatenate([np.asarray(values, dtype=float) for values in series.values()])
    edges = np.linspace(float(everything.min()), float(everything.max()) + 1e-9, bins + 1)
    shares = {name: np.histogram(values, edges)[0] / max(1, len(values)) for name, values in series.items()}
    frame = _Frame((edges[0], edges[-1]), (0.0, max(float(share.max()) for share in shares.values())))
    parts = []
    for index, share in enumerate(shares.values()):
        points = [
            (edge, value)
            for left, right, value in zip(edges[:-1], edges[1:], share, strict=True)
            for edge, value in ((left, value), (right, value))
        ]
        colour = COLOURS[index % len(COLOURS)]
        path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points)
        base = f"{frame.x(edges[0]):.1f},{frame.y(0):.1f}"
        end = f"{frame.x(edges[-1]):.1f},{frame.y(0):.1f}"
        parts.append(f'<polygon points="{base} {path} {end}" fill="{colour}" fill-opacity="0.35" stroke="{colour}"/>')
    return _document(title, frame, parts, list(series))


def lines(
    title: str, x: Sequence[float], series: Mapping[str, Sequence[float]], low: float = 0.0, high: float = 1.0
) -> str:
    """Draw curves over common positions; values within ``low`` to ``high``."""
    frame = _Frame((float(min(x)), float(max(x))), (low, high))
    parts = []
    for index, values in enumerate(series.values()):
        colour = COLOURS[(index + 1) % len(COLOURS)]
        points = " ".join(f"{frame.x(a):.1f},{frame.y(b):.1f}" for a, b in zip(x, values, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return _document(title, frame, parts, list(series), shift=1)


def bars(title: str, groups: Sequence[str], series: Mapping[str, Sequence[float]]) -> str:
    """Draw bars of several series beside each other in every group; negative values hang down."""
    everything = [0.0, *(value for values in series.values() for value in values)]
    frame = _Frame((0.0, float(len(groups))), (min(everything), max(everything)))
    wide = 0.8 / len(series)
    parts = []
    for index, values in enumerate(series.values()):
        colour = COLOURS[index % len(COLOURS)]
        for group, value in enumerate(values):
            left, top = frame.x(group + 0.1 + index * wide), frame.y(max(value, 0.0))
            width, height = frame.x(wide) - frame.x(0.0), abs(frame.y(value) - frame.y(0.0))
            parts.append(
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'
            )
    names = [
        f'<text x="{frame.x(group + 0.5):.1f}" y="{HEIGHT - 14}" text-anchor="middle">{escape(name)}</text>'
        for group, name in enumerate(groups)
    ]
    return _document(title, frame, [*parts, *names], list(series), x_labels=False)


class _Frame:
    """Maps values to places."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self.low_x, self.high_x = x
        self.low_y, self.high_y = y

    def x(self, value: float) -> float:
        share = (value - self.low_x) / max(self.high_x - self.low_x, 1e-9)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.low_y) / max(self.high_y - self.low_y, 1e-9)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _document(
    title: str, frame: _Frame, parts: Sequence[str], names: Sequence[str], shift: int = 0, x_labels: bool = True
) -> str:
    axis = [
        f'<line x1="{LEFT}" y1="{frame.y(value):.1f}" x2="{WIDTH - RIGHT}" y2="{frame.y(value):.1f}" stroke="#dddddd"/>'
        f'<text x="{LEFT - 6}" y="{frame.y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        for value in np.linspace(frame.low_y, frame.high_y, 5)
    ]
    if x_labels:
        axis += [
            f'<text x="{frame.x(value):.1f}" y="{HEIGHT - 14}" text-anchor="middle">{value:.3g}</text>'
            for value in np.linspace(frame.low_x, frame.high_x, 6)
        ]
    legend = "".join(
        f'<tspan fill="{COLOURS[(index + shift) % len(COLOURS)]}" dx="10">■ {escape(name)}</tspan>'
        for index, name in enumerate(names)
    )
    head = f'<text x="{LEFT}" y="14" font-weight="bold">{escape(title)}{legend}</text>'
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11"'
    label = f'role="img" aria-label="{escape(title, quote=True)}"'
    body = head + "".join(axis) + "".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {label}>{body}</svg>'
