"""Batches for the acoustic stages: which utterances go together, and the padded arrays they become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotirt.types import FloatArray, IntArray, Utterance
from emotirt.voices.condition import Condition

PAD_ID = 0


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Bounds of one batch.

    Attributes:
        items: most utterances.
        padded_tokens: most tokens, padding included.
        padded_frames: most frames, padding included; the decoder's attention needs memory by its square.
    """

    items: int = 8
    padded_tokens: int = 960
    padded_frames: int = 4096


def grouped(costs: Sequence[int], items: int, padded: int) -> list[list[int]]:
    """Put together neighbours in order of cost, so that little is padded.

    Args:
        costs: tokens or frames of each member.
        items: most members of a group.
        padded: most members times the largest cost among them; a single member may exceed it.

    Returns: groups of indices into ``costs``.
    """
    groups: list[list[int]] = []
    for index in sorted(range(len(costs)), key=lambda item: (costs[item], item)):
        if groups and len(groups[-1]) < items and (len(groups[-1]) + 1) * costs[index] <= padded:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def text_encoder_feeds(
    utterances: Sequence[Utterance], conditions: Sequence[Condition], contents: FloatArray | None = None
) -> dict[str, NDArray[Any]]:
    """Collate utterances.

    Args:
        utterances: at least one.
        conditions: one for each.
        contents: content vectors [B, dim], where the text encoder takes them.

    Returns: ids int64 [B, N] padded with 0, lengths int64 [B], vectors float32 [B, dim], controls float32 [B].
    """
    lengths = np.array([utterance.token_count for utterance in utterances], dtype=np.int64)
    ids = np.full((len(utterances), int(lengths.max())), PAD_ID, dtype=np.int64)
    for row, utterance in zip(ids, utterances, strict=True):
        row[: utterance.token_count] = utterance.ids
    prosodies = [condition.prosody for condition in conditions]
    return {
        "ids": ids,
        "lengths": lengths,
        "speaker": np.stack([condition.speaker for condition in conditions]),
        "emotion": np.stack([condition.emotion for condition in conditions]),
        "pitch_shift": _floats([prosody.pitch_shift_semitones for prosody in prosodies]),
        "pitch_range": _floats([prosody.pitch_range for prosody in prosodies]),
        "energy": _floats([prosody.energy_db for prosody in prosodies]),
        "speed": _floats([prosody.speed for prosody in prosodies]),
        **({} if contents is None else {"content": contents}),
    }


def decoder_feeds(hidden: Sequence[FloatArray], durations: Sequence[FloatArray]) -> dict[str, NDArray[Any]]:
    """Collate encoded utterances.

    Args:
        hidden: each float32 [tokens, C].
        durations: each float32 [tokens], integer-valued frames with a sum of at least 1.

    Returns: hidden [B, N, C], durations [B, N], lengths int64 [B], frame_mask [B, F]; zero on padding.
    """
    lengths: IntArray = np.array([len(item) for item in hidden], dtype=np.int64)
    frames = [int(item.sum()) for item in durations]
    token_count = int(lengths.max())
    return {
        "hidden": np.stack([_padded(item, token_count) for item in hidden]),
        "durations": np.stack([_padded(item, token_count) for item in durations]),
        "lengths": lengths,
        "frame_mask": np.stack([_padded(np.ones(count, dtype=np.float32), max(frames)) for count in frames]),
    }


def _padded(array: FloatArray, count: int) -> FloatArray:
    padded = np.zeros((count, *array.shape[1:]), dtype=np.float32)
    padded[: len(array)] = array
    return padded


def _floats(values: Sequence[float]) -> FloatArray:
    return np.array(values, dtype=np.float32)
