"""When words and phonemes sound, from the frames that the text encoder gave every token; exact to a frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from emotirt.types import SpokenUtterance


@dataclass(frozen=True, slots=True)
class TimedText:
    """A word or a phoneme and its place in the audio of the request.

    Attributes:
        text: word as normalized for speaking, or phoneme symbol.
        start_s: where it begins, in seconds.
        end_s: where it ends; equal to ``start_s`` for a token of no frames.
    """

    text: str
    start_s: float
    end_s: float


def word_times(spoken: SpokenUtterance, sample_rate_hz: int) -> tuple[TimedText, ...]:
    """Return the words of an utterance; pauses between them belong to no word."""
    edges_s = _edges_s(spoken, sample_rate_hz)
    return tuple(
        TimedText(word.text, edges_s[word.first_token], edges_s[word.first_token + word.token_count])
        for word in spoken.utterance.words
    )


def phoneme_times(spoken: SpokenUtterance, sample_rate_hz: int) -> tuple[TimedText, ...]:
    """Return the phonemes of an utterance's words; edges, boundaries and punctuation are no phonemes."""
    edges_s = _edges_s(spoken, sample_rate_hz)
    symbols = spoken.utterance.symbols
    return tuple(
        TimedText(symbols[token], edges_s[token], edges_s[token + 1])
        for word in spoken.utterance.words
        for token in range(word.first_token, word.first_token + word.token_count)
    )


def timestamps_from_spoken(
    spoken: SpokenUtterance, sample_rate_hz: int, kinds: Iterable[str], offset_s: float = 0.0
) -> dict[str, object]:
    """Describe an utterance for JSON.

    Args:
        spoken: the utterance.
        sample_rate_hz: of the samples that ``spoken`` counts.
        kinds: ``word``, ``phoneme`` or both.
        offset_s: added to every time.
    Returns: ``text``, ``start_s``, ``end_s``, and lists ``words`` and ``phonemes`` as asked; seconds.
    """
    edges_s = _edges_s(spoken, sample_rate_hz)
    described: dict[str, object] = {
        "text": spoken.utterance.text,
        "start_s": _rounded(edges_s[0] + offset_s),
        "end_s": _rounded(edges_s[-1] + offset_s),
    }
    wanted = set(kinds)
    if "word" in wanted:
        described["words"] = _listed("word", word_times(spoken, sample_rate_hz), offset_s)
    if "phoneme" in wanted:
        described["phonemes"] = _listed("phoneme", phoneme_times(spoken, sample_rate_hz), offset_s)
    return described


def _edges_s(spoken: SpokenUtterance, sample_rate_hz: int) -> list[float]:
    """Return where every token begins, and where the last one ends: tokens + 1 times."""
    frames = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(spoken.durations_frames, dtype=np.int64)])
    samples = spoken.first_sample + frames * spoken.hop_samples
    return [float(sample) / sample_rate_hz for sample in samples]


def _listed(key: str, times: Iterable[TimedText], offset_s: float) -> list[dict[str, object]]:
    return [
        {key: item.text, "start_s": _rounded(item.start_s + offset_s), "end_s": _rounded(item.end_s + offset_s)}
        for item in times
    ]


def _rounded(seconds: float) -> float:
    return round(seconds, 6)
