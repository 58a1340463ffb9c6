"""The acoustic stages: utterances to mels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from emotirt.errors import BackendError
from emotirt.runtime.runner import Array, Runner
from emotirt.synthesis.batch import BatchLimits, decoder_feeds, grouped, text_encoder_feeds
from emotirt.types import FloatArray, Utterance
from emotirt.voices.condition import Condition

MAX_FRAMES = 4096
"""Longest utterance, 65 s at the default hop; the memory of the decoder's attention grows with the square of it."""


class AcousticStages:
    """Text encoder and decoder; padding and masks keep members of a batch apart."""

    def __init__(
        self,
        text_encoder: Runner,
        decoder: Runner,
        limits: BatchLimits,
        contents: Callable[[Sequence[str]], FloatArray] | None = None,
    ) -> None:
        """Use two runners of one bundle.

        Args:
            text_encoder: stage ``text_encoder``.
            decoder: stage ``decoder``.
            limits: of a batch.
            contents: sentences to content vectors [B, dim], where the text encoder takes them.
        """
        self._text_encoder = text_encoder
        self._decoder = decoder
        self._limits = limits
        self._contents = contents

    def mels(self, utterances: Sequence[Utterance], conditions: Sequence[Condition]) -> list[FloatArray]:
        """Make the log-mel of each utterance, float32 [frames, n_mels], frames from 1 to ``MAX_FRAMES``.

        An utterance whose durations add up to more is sped up to fit.

        Raises: BackendError: a stage failed or gave values that are not finite.
        """
        encoded: list[tuple[FloatArray, FloatArray]] = [_NOTHING] * len(utterances)
        for group in grouped([item.token_count for item in utterances], self._limits.items, self._limits.padded_tokens):
            outputs = self._text_encoder.run(
                self._feeds([utterances[i] for i in group], [conditions[i] for i in group])
            )
            for row, index in enumerate(group):
                count = utterances[index].token_count
                durations = _usable(outputs["durations"][row, :count], utterances[index])
                encoded[index] = outputs["hidden"][row, :count], durations
        mels: list[FloatArray] = [_NOTHING[0]] * len(utterances)
        frames = [int(durations.sum()) for _, durations in encoded]
        for group in grouped(frames, self._limits.items, self._limits.padded_frames):
            feeds = decoder_feeds([encoded[i][0] for i in group], [encoded[i][1] for i in group])
            outputs = self._decoder.run(feeds)
            for row, index in enumerate(group):
                mels[index] = outputs["mel"][row, : frames[index]]
                if not np.isfinite(mels[index]).all():
                    raise BackendError(f"decoder gave values that are not finite for {utterances[index].text[:40]!r}")
        return mels

    def _feeds(self, utterances: Sequence[Utterance], conditions: Sequence[Condition]) -> dict[str, Array]:
        contents = None if self._contents is None else self._contents([item.text for item in utterances])
        return text_encoder_feeds(utterances, conditions, contents)

    def close(self) -> None:
        """Release both runners."""
        self._text_encoder.close()
        self._decoder.close()


def fitted_durations(durations: FloatArray, most_frames: int) -> FloatArray:
    """Shorten durations proportionally until they add up to ``most_frames``; shorter ones stay as they are.

    Returns: float32 [tokens], integer-valued, at least 1 frame in total.
    """
    total = float(durations.sum(dtype=np.float64))
    if total < 1.0:
        return np.concatenate((np.ones(1, dtype=np.float32), np.zeros(len(durations) - 1, dtype=np.float32)))
    if total <= most_frames:
        return durations
    ends = np.rint(np.cumsum(durations, dtype=np.float64) * (most_frames / total))
    return np.diff(ends, prepend=0.0).astype(np.float32)


def _usable(durations: FloatArray, utterance: Utterance) -> FloatArray:
    if not np.isfinite(durations).all():
        raise BackendError(f"text encoder gave durations that are not finite for {utterance.text[:40]!r}")
    return fitted_durations(durations, MAX_FRAMES)


_NOTHING = (np.zeros((0, 0), dtype=np.float32), np.zeros(0, dtype=np.float32))
