"""The states that a pack's clips pass through in time, and the search for when.

With two states a phone the first and the second part of a phone are told apart and a phone lasts at least two frames.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emotirt.training.features import DeviceData, batches_by_length, ranges
from emotirt.training.paths import best_paths

SILENCE = 0
PATH_FRAMES_PER_BATCH = 120_000


class Trellis:
    """States of every clip, end to end, and the frames found for them.

    Attributes:
        class_count: classes of states; class 0 is silence.
        usable: clips with phonemes and frames enough for their states.
    """

    def __init__(
        self, data: DeviceData, phones: NDArray[np.int64], boundary: NDArray[np.bool_], states_per_phone: int
    ) -> None:
        """Lay the states out.

        Args:
            data: the pack.
            phones: phone class of every token, 0 for silence, in clip order.
            boundary: which tokens may be skipped.
            states_per_phone: 1 or more; silences have one state.
        """
        self.data = data
        self.class_count = int(phones.max()) * states_per_phone + 1
        repeats = np.where(phones == SILENCE, 1, states_per_phone)
        self._token_of_state = np.repeat(np.arange(len(phones)), repeats)
        first_states = np.cumsum(repeats) - repeats
        part = np.arange(len(self._token_of_state)) - first_states[self._token_of_state]
        spread = phones[self._token_of_state]
        self._classes = np.where(spread == SILENCE, SILENCE, (spread - 1) * states_per_phone + 1 + part)
        self._optional = boundary[self._token_of_state]
        layout = data.layout
        bounds = np.concatenate(([0], np.cumsum(repeats)))
        self._starts = bounds[layout.token_starts]
        self._counts = bounds[layout.token_starts + layout.token_counts] - self._starts
        self._durations = np.zeros(len(self._classes), dtype=np.int64)
        self.usable = np.flatnonzero((layout.token_counts > 2) & (layout.frame_counts >= self._counts + 2))

    def token_span(self, index: int) -> slice:
        """Return where a clip's tokens lie in flat token arrays."""
        start = int(self.data.layout.token_starts[index])
        return slice(start, start + int(self.data.layout.token_counts[index]))

    @torch.no_grad()
    def search(self, frame_scores: Tensor) -> NDArray[np.int64]:
        """Find the best path of every usable clip.

        Args:
            frame_scores: log scores float32 [frames, class_count].

        Returns: frames of every token, int64 [tokens], 0 in clips that are not usable.
        """
        layout, device = self.data.layout, self.data.device
        classes, optional = torch.from_numpy(self._classes).to(device), torch.from_numpy(self._optional).to(device)
        for picked in batches_by_length(
            self.usable, layout.frame_counts, PATH_FRAMES_PER_BATCH, np.random.default_rng(0)
        ):
            counts, lengths = self._counts[picked], layout.frame_counts[picked]
            spots, mask = ranges(self._starts[picked], counts, int(counts.max()), device)
            places, _ = ranges(layout.frame_starts[picked], lengths, int(lengths.max()), device)
            scores = frame_scores[places].gather(2, classes[spots].unsqueeze(1).expand(-1, places.shape[1], -1))
            found = best_paths(
                scores, optional[spots] & mask.bool(), torch.from_numpy(counts).to(device),
                torch.from_numpy(lengths).to(device),
            ).cpu().numpy()  # fmt: skip
            for row, index in enumerate(picked):
                self._durations[self._starts[index] : self._starts[index] + counts[row]] = found[row, : counts[row]]
        tokens = int(layout.token_counts.sum())
        return np.bincount(self._token_of_state, weights=self._durations, minlength=tokens).astype(np.int64)

    def labels_of_states(self) -> Tensor:
        """Return the class of every frame as last searched, int64 [frames]; -1 in clips that are not usable."""
        return self._labels(self._durations)

    def labels_of_tokens(self, durations: NDArray[np.int64]) -> Tensor:
        """Return the class of every frame where tokens last ``durations``, each divided evenly among its states."""
        spread = durations[self._token_of_state]
        states = np.bincount(self._token_of_state)[self._token_of_state]
        part = np.arange(len(spread)) - np.searchsorted(self._token_of_state, self._token_of_state)
        parts = spread * (part + 1) // states - spread * part // states
        return self._labels(parts.astype(np.int64))

    def even_labels(self, loud: Tensor) -> Tensor:
        """Divide the loud frames of each clip evenly among its states; quiet frames are silence; int64 [frames]."""
        layout, is_loud = self.data.layout, loud.cpu().numpy() > 0
        labels = np.full(len(is_loud), -1, dtype=np.int64)
        for index in self.usable:
            states = self._classes[self._starts[index] : self._starts[index] + self._counts[index]]
            states = states[states != SILENCE]
            first = int(layout.frame_starts[index])
            spots = first + np.arange(int(layout.frame_counts[index]))
            speech = spots[is_loud[spots]]
            labels[spots] = SILENCE
            if len(states):
                labels[speech] = states[np.arange(len(speech)) * len(states) // max(1, len(speech))]
        return torch.from_numpy(labels).to(self.data.device)

    def _labels(self, durations: NDArray[np.int64]) -> Tensor:
        layout = self.data.layout
        labels = np.full(len(self.data.energy), -1, dtype=np.int64)
        for index in self.usable:
            span = slice(self._starts[index], self._starts[index] + self._counts[index])
            row = np.repeat(self._classes[span], durations[span])
            first = int(layout.frame_starts[index])
            labels[first : first + len(row)] = row
        return torch.from_numpy(labels).to(self.data.device)
