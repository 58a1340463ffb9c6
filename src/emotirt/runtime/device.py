"""What a device does for the bucketed stages; everything else about buckets is the same on all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emotirt.runtime.layout import Launch
from emotirt.runtime.runner import Array

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Move:
    """A rectangle of bytes to copy within the arena.

    Attributes:
        source: where its first row begins.
        source_pitch: from one row to the next.
        target: where its first row goes.
        target_pitch: from one row to the next there.
        width: bytes of a row.
        rows: how many.
    """

    source: int
    source_pitch: int
    target: int
    target_pitch: int
    width: int
    rows: int


class Device(Protocol):
    """An arena on a device, its mirror in host memory, and what can be computed there; one call at a time.

    What is asked for happens in order. ``host`` may be written from the moment ``download`` has returned.
    """

    @property
    def host(self) -> Bytes:
        """The mirror of the arena, uint8 [size of the layout]."""

    def upload(self, start: int, stop: int) -> None:
        """Copy bytes of the mirror to the arena."""

    def launch(self, launch: Launch) -> None:
        """Compute a bucket from the arena to the arena."""

    def move(self, moves: Sequence[Move]) -> None:
        """Copy within the arena."""

    def download(self, start: int, stop: int) -> None:
        """Copy bytes of the arena to the mirror, after everything asked for before, and wait until they are there."""


def view(host: Bytes, offset: int, dtype: str, shape: tuple[int, ...]) -> Array:
    """Return a part of the mirror as an array that can be read and written."""
    array: Array = np.ndarray(shape, np.dtype(dtype), host.data, offset)
    return array
