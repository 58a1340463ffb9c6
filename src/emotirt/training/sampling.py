"""Which clips a training step sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from emotirt.training.corpus import Clip
from emotirt.training.features import Layout

CORPUS_WEIGHTS: Mapping[str, float] = {
    "kathleen": 2.0, "ljspeech": 2.0, "aishell": 3.0, "cmn-words": 0.6, "cmn-syllables": 0.7,
    "speechocean762": 1.0, "emodb": 2.0, "librispeech-voices": 2.0,
}  # fmt: skip
"""How often a clip of each corpus is drawn, relative to its share; native sentence corpora count more.

librispeech-voices holds a clip of 12 s of each of many speakers, with heard symbols (``hearsay.py``), of which a fifth
may be wrong: at 2 it is a ninth of the frames, which is enough to meet every speaker often and too little to spoil
pronunciation."""
REFERENCE_FRAMES = (120, 320)
"""Frames of a reference: 2 to 5 seconds."""


def corpus_weights(clips: Sequence[Clip], usable: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return drawing probabilities of the usable clips."""
    weights = np.array([CORPUS_WEIGHTS.get(clips[index].corpus, 1.0) for index in usable])
    return weights / weights.sum()


class References:
    """Draws reference stretches of the same speaker and emotion as a clip, but other recordings where there are."""

    def __init__(self, clips: Sequence[Clip], layout: Layout, allowed: NDArray[np.int64]) -> None:
        self.layout = layout
        groups: dict[tuple[str, str], list[int]] = {}
        for index in allowed.tolist():
            groups.setdefault((clips[index].speaker, clips[index].emotion), []).append(index)
        self.groups = {key: np.array(members) for key, members in groups.items()}
        self.keys = [(clip.speaker, clip.emotion) for clip in clips]

    def draw(
        self, keys: Sequence[tuple[str, str]], rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draw one reference a key.

        Returns: flat frame positions int64 [B, 320] (padding repeats the last) and frame counts int64 [B].
        """
        rows = [self._one(self.groups[key], rng) for key in keys]
        counts = np.array([len(row) for row in rows], dtype=np.int64)
        spots = np.stack([np.pad(row, (0, REFERENCE_FRAMES[1] - len(row)), mode="edge") for row in rows])
        return spots, counts

    def _one(self, members: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        wanted = int(rng.integers(*REFERENCE_FRAMES))
        pieces: list[NDArray[np.int64]] = []
        have = 0
        for _ in range(12):
            index = int(members[rng.integers(len(members))])
            count = int(self.layout.frame_counts[index])
            length = min(count, wanted - have)
            start = int(self.layout.frame_starts[index]) + int(rng.integers(count - length + 1))
            pieces.append(np.arange(start, start + length))
            have += length
            if have >= wanted:
                break
        return np.concatenate(pieces)
