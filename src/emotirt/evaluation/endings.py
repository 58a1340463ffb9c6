"""Whether the last syllable is there: how long its phonemes are and how loud its vowel is beside the other vowels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotirt.text.symbols import factors
from emotirt.types import FloatArray, SpokenUtterance

HOP_SAMPLES = 256
NO_PHONEME = "-"


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of an utterance.

    Attributes:
        last_vowel_db: level of the last vowel's second half less the median of all vowels' second halves.
        last_vowel_s: its length.
        last_phoneme_s: length of the last phoneme.
    """

    last_vowel_db: float
    last_vowel_s: float
    last_phoneme_s: float


@dataclass(frozen=True, slots=True)
class EndingLimits:
    """What counts as swallowed; see ``docs/experiments.md`` for how people's endings lie to it."""

    least_vowel_db: float = -28.0
    least_vowel_s: float = 0.03
    least_phoneme_s: float = 0.03


DEFAULT_LIMITS = EndingLimits()


def ending(samples: FloatArray, symbols: Sequence[str], durations_frames: NDArray[np.int64]) -> Ending | None:
    """Measure the end of an utterance.

    Args:
        samples: float32 [samples] at 16 kHz, beginning with the first token.
        symbols: its tokens.
        durations_frames: int64 [tokens], frames of 16 ms.

    Returns: None where there are fewer than two vowels.
    """
    edges = np.concatenate(([0], np.cumsum(durations_frames))) * HOP_SAMPLES
    vowels = [index for index, symbol in enumerate(symbols) if factors(symbol)[1] != NO_PHONEME]
    phonemes = [index for index, symbol in enumerate(symbols) if factors(symbol)[2] != NO_PHONEME]
    if len(vowels) < 2:
        return None
    levels = np.array(
        [_level_db(samples[(edges[index] + edges[index + 1]) // 2 : edges[index + 1]]) for index in vowels]
    )
    seconds = np.diff(edges) / 16_000
    return Ending(
        last_vowel_db=float(levels[-1] - np.median(levels)),
        last_vowel_s=float(seconds[vowels[-1]]),
        last_phoneme_s=float(seconds[phonemes[-1]]),
    )


def swallowed(found: Ending, limits: EndingLimits = DEFAULT_LIMITS) -> tuple[str, ...]:
    """Name what is missing at the end; empty for a whole ending."""
    checks = (
        (
            found.last_vowel_db < limits.least_vowel_db,
            f"swallowed: last vowel {found.last_vowel_db:.1f} dB to the others",
        ),
        (found.last_vowel_s < limits.least_vowel_s, f"swallowed: last vowel lasts {found.last_vowel_s * 1000:.0f} ms"),
        (
            found.last_phoneme_s < limits.least_phoneme_s,
            f"swallowed: last phoneme lasts {found.last_phoneme_s * 1000:.0f} ms",
        ),
    )
    return tuple(message for failed, message in checks if failed)


def spoken_ending(samples: FloatArray, spoken: SpokenUtterance) -> Ending | None:
    """Measure the end of an utterance within the audio of its request, float32 [samples]."""
    own = samples[spoken.first_sample :]
    return ending(own, spoken.utterance.symbols, np.asarray(spoken.durations_frames))


def _level_db(samples: FloatArray) -> float:
    power = float(np.square(samples, dtype=np.float64).mean()) if len(samples) else 0.0
    return 10.0 * float(np.log10(power + 1e-10))
