"""Shared value types; frozen, numpy only, no behaviour beyond derived properties."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Word:
    """A stretch of an utterance's tokens that belongs to one written word.

    Attributes:
        text: the word as normalized for speaking.
        first_token: index of its first token in the utterance.
        token_count: number of its tokens, at least 1.
    """

    text: str
    first_token: int
    token_count: int


@dataclass(frozen=True, slots=True)
class Utterance:
    """One sentence or clause, ready for the text encoder.

    Attributes:
        text: the source text it was made from, before normalization.
        symbols: phoneme symbols, edges included, as named by the symbol table.
        ids: int64 [tokens], the same symbols as ids.
        words: the words of the utterance in order; punctuation and edges belong to no word.
        pause_after_s: silence to append after the utterance, in seconds (from ``[pause:0.5]``).
    """

    text: str
    symbols: tuple[str, ...]
    ids: IntArray
    words: tuple[Word, ...] = ()
    pause_after_s: float = 0.0

    @property
    def token_count(self) -> int:
        """Number of tokens."""
        return len(self.symbols)


@dataclass(frozen=True, slots=True)
class Prosody:
    """Controls that are inputs of the text encoder graph.

    Attributes:
        speed: ratio of speaking rate, 1.0 is the voice's own; durations are divided by it.
        pitch_shift_semitones: added to every voiced token's pitch.
        pitch_range: ratio by which pitch departs from the utterance's mean, 1.0 keeps it.
        energy_db: added to every token's energy, in decibels.
    """

    speed: float = 1.0
    pitch_shift_semitones: float = 0.0
    pitch_range: float = 1.0
    energy_db: float = 0.0


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, type and shape of a graph's input or output.

    Attributes:
        name: tensor name in the graph.
        dtype: ``float32`` or ``int64``.
        shape: one entry an axis; an int is fixed, a string names a dynamic axis.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Audio:
    """Mono audio.

    Attributes:
        samples: float32 [samples] in [-1, 1].
        sample_rate_hz: samples per second.
    """

    samples: FloatArray
    sample_rate_hz: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate_hz


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of audio handed to the caller while the rest is being made.

    Attributes:
        samples: float32 [samples] in [-1, 1].
        sample_rate_hz: samples per second.
        utterance_index: index of the utterance it belongs to.
        is_last: whether the request ends with this chunk.
    """

    samples: FloatArray
    sample_rate_hz: int
    utterance_index: int
    is_last: bool
