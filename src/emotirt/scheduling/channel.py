"""What supervisor and worker say to each other: small messages over a pipe, arrays in shared memory beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory

import numpy as np

from emotirt.runtime.runner import Array

ALIGNMENT_BYTES = 64
"""A cache line, so that arrays in an arena are as well aligned as freshly allocated ones."""


@dataclass(frozen=True, slots=True)
class ArrayPlace:
    """Where an array lies: in the arena at ``offset``, or in ``data`` when the arena has no room for it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """Supervisor to worker: compute a stage on feeds in an arena, and put the outputs into the same arena."""

    call: int
    arena: str
    stage: str
    feeds: tuple[ArrayPlace, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """Worker to supervisor: the outputs of a call."""

    call: int
    outputs: tuple[ArrayPlace, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """Worker to supervisor: a call, or None for the start, ended in an error.

    Attributes:
        call: its number.
        message: of the error.
        is_of_shape: whether the backend is well, and only its plans do not cover the feeds.
    """

    call: int | None
    message: str
    is_of_shape: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """Worker to supervisor: every stage is loaded."""


@dataclass(frozen=True, slots=True)
class Beat:
    """Worker to supervisor: its interpreter runs."""


Message = Run | Done | Failed | Ready | Beat | None
"""None, from supervisor to worker: exit."""


class Arena:
    """A piece of shared memory that holds the arrays of one call at a time."""

    def __init__(self, memory: SharedMemory) -> None:
        """Use ``memory``; see ``made`` and ``attached``."""
        self._memory = memory

    @classmethod
    def made(cls, size_bytes: int) -> Arena:
        """Make one; its maker destroys it."""
        return cls(SharedMemory(create=True, size=size_bytes))

    @classmethod
    def attached(cls, name: str) -> Arena:
        """Use one that the other process made."""
        return cls(SharedMemory(name))

    @property
    def name(self) -> str:
        """What the other process attaches to."""
        return self._memory.name

    def put(self, arrays: Mapping[str, Array]) -> tuple[ArrayPlace, ...]:
        """Copy arrays in, in place of those before; those that find no room travel in the message."""
        places = []
        offset = 0
        for name, array in arrays.items():
            end = offset + array.nbytes
            if end <= self._memory.size:
                view: Array = np.ndarray(array.shape, array.dtype, self._memory.buf, offset)
                view[...] = array
                places.append(ArrayPlace(name, array.dtype.str, array.shape, offset))
                offset = -(-end // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
            else:
                places.append(ArrayPlace(name, array.dtype.str, array.shape, 0, array.tobytes()))
        return tuple(places)

    def get(self, places: tuple[ArrayPlace, ...]) -> dict[str, Array]:
        """Copy arrays out."""
        return {place.name: array.copy() for place, array in zip(places, self.views(places).values(), strict=True)}

    def views(self, places: tuple[ArrayPlace, ...]) -> dict[str, Array]:
        """Return arrays where they lie; they are gone once something else is put into the arena."""
        return {place.name: self._array(place) for place in places}

    def close(self) -> None:
        """Let go of the memory."""
        self._memory.close()

    def destroy(self) -> None:
        """Let go of the memory and remove it."""
        self._memory.close()
        self._memory.unlink()

    def _array(self, place: ArrayPlace) -> Array:
        if place.data is not None:
            inline: Array = np.frombuffer(place.data, np.dtype(place.dtype)).reshape(place.shape)
            return inline
        view: Array = np.ndarray(place.shape, np.dtype(place.dtype), self._memory.buf, place.offset)
        return view
