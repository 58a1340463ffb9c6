"""When words, phonemes and visemes sound, from the frames that the text encoder gave every token; exact to a frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from emotirt.text.emotivoice_symbols import PAUSES
from emotirt.text.visemes import SILENCE, VISEMES, visemes_from_symbol
from emotirt.types import SpokenUtterance

TIMESTAMP_KINDS = ("word", "phoneme", "viseme")
SHORTEST_REST_S = 0.05
"""A gap between two sounds that is shorter does not bring the mouth to rest; most word boundaries last a frame."""


@dataclass(frozen=True, slots=True)
class TimedText:
    """A word, a phoneme or a viseme and its place in the audio of the request.

    Attributes:
        text: word as normalized for speaking, phoneme symbol, or name of the viseme.
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
        if symbols[token] not in PAUSES
    )


def viseme_times(spoken: SpokenUtterance, sample_rate_hz: int) -> tuple[TimedText, ...]:
    """Return the shapes of the mouth from the first to the last sample of an utterance, without gaps.

    A symbol that goes through several shapes is divided at whole frames; equal neighbours are one; none is empty.
    """
    shapes = _rested(_shapes(spoken), round(SHORTEST_REST_S * sample_rate_hz / spoken.hop_samples))
    first_s = _edges_s(spoken, sample_rate_hz)[0]
    frame_s = spoken.hop_samples / sample_rate_hz
    times, frame = [], 0
    for shape, frames in shapes:
        times.append(TimedText(shape, first_s + frame * frame_s, first_s + (frame + frames) * frame_s))
        frame += frames
    return tuple(times)


def timestamps_from_spoken(
    spoken: SpokenUtterance, sample_rate_hz: int, kinds: Iterable[str], offset_s: float = 0.0
) -> dict[str, object]:
    """Describe an utterance for JSON.

    Args:
        spoken: the utterance.
        sample_rate_hz: of the samples that ``spoken`` counts.
        kinds: any of ``TIMESTAMP_KINDS``.
        offset_s: added to every time.
    Returns: ``text``, ``start_s``, ``end_s``, and lists ``words``, ``phonemes``, ``visemes`` as asked; seconds.
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
    if "viseme" in wanted:
        visemes = _listed("viseme", viseme_times(spoken, sample_rate_hz), offset_s)
        described["visemes"] = [{"id": VISEMES.index(str(item["viseme"])), **item} for item in visemes]
    return described


def _edges_s(spoken: SpokenUtterance, sample_rate_hz: int) -> list[float]:
    """Return where every token begins, and where the last one ends: tokens + 1 times."""
    frames = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(spoken.durations_frames, dtype=np.int64)])
    samples = spoken.first_sample + frames * spoken.hop_samples
    return [float(sample) / sample_rate_hz for sample in samples]


def _shapes(spoken: SpokenUtterance) -> list[tuple[str, int]]:
    """Return shapes with their frames, none of them empty, no two neighbours equal."""
    found: list[tuple[str, int]] = []
    for symbol, duration in zip(spoken.utterance.symbols, spoken.durations_frames, strict=True):
        shapes, frames = visemes_from_symbol(symbol), int(duration)
        edges = [(2 * index * frames + len(shapes)) // (2 * len(shapes)) for index in range(len(shapes) + 1)]
        for shape, begin, end in zip(shapes, edges, edges[1:], strict=False):
            _append(found, shape, end - begin)
    return found


def _rested(shapes: list[tuple[str, int]], shortest_frames: int) -> list[tuple[str, int]]:
    """Let the shape before a short silence last through it; silence at either end of the utterance stays."""
    kept: list[tuple[str, int]] = []
    for index, (shape, frames) in enumerate(shapes):
        is_passing = shape == SILENCE and frames < shortest_frames and 0 < index < len(shapes) - 1
        _append(kept, kept[-1][0] if is_passing else shape, frames)
    return kept


def _append(shapes: list[tuple[str, int]], shape: str, frames: int) -> None:
    if not frames:
        return
    if shapes and shapes[-1][0] == shape:
        frames += shapes.pop()[1]
    shapes.append((shape, frames))


def _listed(key: str, times: Iterable[TimedText], offset_s: float) -> list[dict[str, object]]:
    return [
        {key: item.text, "start_s": _rounded(item.start_s + offset_s), "end_s": _rounded(item.end_s + offset_s)}
        for item in times
    ]


def _rounded(seconds: float) -> float:
    return round(seconds, 6)
