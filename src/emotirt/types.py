"""Shared value types; frozen, numpy only, no behaviour beyond derived properties."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

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
class Window:
    """A stretch of frames to vocode and the part of it to keep.

    Attributes:
        start: first frame of the window.
        stop: frame after its last.
        keep_start: first frame whose audio is kept.
        keep_stop: frame after the last whose audio is kept.
    """

    start: int
    stop: int
    keep_start: int
    keep_stop: int


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


class Priority(str, Enum):
    """Who goes first: somebody listens to a live request, nobody to a bulk one."""

    LIVE = "live"
    BULK = "bulk"


@dataclass(frozen=True, slots=True)
class SpokenUtterance:
    """When every token of an utterance sounds; from this follow the times of words, phonemes and visemes.

    Attributes:
        utterance: its symbols and words.
        durations_frames: int64 [tokens], at least 0 each; they add up to the utterance's audio without its gap.
        first_sample: where the utterance begins in the audio of the request.
        hop_samples: samples of a frame.
    """

    utterance: Utterance
    durations_frames: IntArray
    first_sample: int
    hop_samples: int


@dataclass(frozen=True, slots=True)
class ChunkTimings:
    """Where the time before a chunk went.

    Attributes:
        queue_s: waiting for the stages; in the first chunk also for the front end.
        frontend_s: text to phonemes; 0 but in the first chunk.
        acoustic_s: the acoustic batch; 0 but in the first chunk of an utterance.
        vocoder_s: the vocoder batch.
        since_request_s: from the request until the chunk was ready.
    """

    queue_s: float = 0.0
    frontend_s: float = 0.0
    acoustic_s: float = 0.0
    vocoder_s: float = 0.0
    since_request_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of audio handed to the caller while the rest is being made.

    Attributes:
        samples: float32 [samples] in [-1, 1].
        sample_rate_hz: samples per second.
        utterance_index: index of the utterance it belongs to.
        is_last: whether the request ends with this chunk.
        first_sample: where it begins in the audio of the request.
        spoken: token times, in the first chunk of each utterance; else None.
        timings: from an ``AsyncEngine``; else None.
    """

    samples: FloatArray
    sample_rate_hz: int
    utterance_index: int
    is_last: bool
    first_sample: int = 0
    spoken: SpokenUtterance | None = None
    timings: ChunkTimings | None = None
