"""Voices mixed by name, ``kathleen:0.6+lan:0.4``; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emotirt.errors import InvalidRequest
from emotirt.types import FloatArray

MOST_PARTS = 8
_PLAIN = str.maketrans({"＋": "+", "：": ":"})


@dataclass(frozen=True, slots=True)
class Part:
    """One voice of a blend.

    Attributes:
        name: of a voice.
        weight: its share; those of a blend add up to 1.
    """

    name: str
    weight: float


def is_blend(text: str) -> bool:
    """Return whether a voice's name asks for a mixture."""
    return any(mark in str(text).translate(_PLAIN) for mark in "+:")


def parts_from_text(text: str) -> tuple[Part, ...]:
    """Read a blend; a part without weight weighs 1, and a voice named twice weighs both.

    Returns: the heaviest first, weights as shares.
    Raises: InvalidRequest: a part has no name or a senseless weight, or there are too many.
    """
    pieces = text.translate(_PLAIN).split("+")
    if len(pieces) > MOST_PARTS:
        raise InvalidRequest(f"blend {text!r:.100} has {len(pieces)} voices, at most {MOST_PARTS} are possible")
    weights: dict[str, float] = {}
    for piece in pieces:
        name, colon, number = (item.strip() for item in piece.partition(":"))
        if not name:
            raise InvalidRequest(f"blend {text!r:.100} has a part without a name; write it as kathleen:0.6+lan:0.4")
        weights[name] = weights.get(name, 0.0) + (_weight(number, text) if colon else 1.0)
    total = sum(weights.values())
    ordered = sorted(weights.items(), key=lambda item: -item[1])
    return tuple(Part(name, weight / total) for name, weight in ordered)


def text_from_parts(parts: Sequence[Part]) -> str:
    """Write a blend."""
    return "+".join(f"{part.name}:{part.weight:.3g}" for part in parts)


def blended(vectors: Sequence[FloatArray], weights: Sequence[float], unit: bool = True) -> FloatArray:
    """Mix vectors, float32 [dim]; with ``unit`` back to unit length.

    Raises: InvalidRequest: they cancel each other out.
    """
    mixed = np.average(np.stack(vectors).astype(np.float64), axis=0, weights=weights)
    norm = float(np.linalg.norm(mixed))
    if unit and norm < 1e-3:
        raise InvalidRequest("these voices are opposites and cancel each other out; choose other weights")
    result = np.asarray(mixed / norm if unit else mixed, dtype=np.float32)
    result.setflags(write=False)
    return result


def _weight(number: str, text: str) -> float:
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if not 0.0 < weight <= 1e6:  # NaN compares as outside
        raise InvalidRequest(
            f"blend {text!r:.100} has the weight {number!r:.20}; give numbers above 0, as in kathleen:0.6+lan:0.4"
        )
    return weight
