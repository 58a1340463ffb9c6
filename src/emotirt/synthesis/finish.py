"""The last touch on each utterance: edges without clicks, peaks without clipping, silence after it."""

from __future__ import annotations

import numpy as np

from emotirt.audio.stream import EDGE_FADE_S, fade_in, fade_out, silence
from emotirt.types import FloatArray, Utterance

SENTENCE_GAP_S = 0.25
"""Between sentences; the model's own silence at the final stop comes on top."""
CLAUSE_GAP_S = 0.08
"""Between parts of a sentence that was too long for one utterance."""
_SENTENCE_ENDS = (".", "?", "!", "…")
LIMIT_KNEE = 0.9
"""Samples below this are untouched, which is -0.9 dB of full scale."""
LIMIT_CEILING = 0.99


def limited(samples: FloatArray) -> FloatArray:
    """Bend peaks past the knee towards the ceiling, smoothly and without memory, so that streaming changes nothing."""
    loud = np.abs(samples) > LIMIT_KNEE
    if not loud.any():
        return samples
    bent: FloatArray = samples.copy()
    room = LIMIT_CEILING - LIMIT_KNEE
    over = np.abs(samples[loud]) - LIMIT_KNEE
    bent[loud] = np.sign(samples[loud]) * (LIMIT_KNEE + room * np.tanh(over / room))
    return bent


def gap_after_s(utterance: Utterance, is_last: bool) -> float:
    """Return the silence after an utterance: the one asked for, else one that suits its last punctuation."""
    if utterance.pause_after_s > 0.0 or is_last:
        return utterance.pause_after_s
    ends_sentence = any(symbol in _SENTENCE_ENDS for symbol in utterance.symbols[-2:])
    return SENTENCE_GAP_S if ends_sentence else CLAUSE_GAP_S


def finished(samples: FloatArray, sample_rate_hz: int, is_first: bool, gap_s: float | None) -> FloatArray:
    """Finish a piece of an utterance.

    Args:
        samples: float32 [samples].
        sample_rate_hz: of the samples.
        is_first: whether the utterance begins here; it is faded in.
        gap_s: None within the utterance; at its end, which is faded out, the seconds of silence to append.

    Returns: float32, longer than ``samples`` by the gap.
    """
    fade_samples = round(EDGE_FADE_S * sample_rate_hz)
    samples = limited(samples)
    if is_first:
        samples = fade_in(samples, fade_samples)
    if gap_s is None:
        return samples
    return np.concatenate((fade_out(samples, fade_samples), silence(gap_s, sample_rate_hz)))
