"""The acoustic stages: utterances to mels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from emotirt.errors import BackendError
from emotirt.runtime.durations import MAX_FRAMES, fitted_durations
from emotirt.runtime.runner import Array, Runner
from emotirt.synthesis.batch import BatchLimits, decoder_feeds, grouped, text_encoder_feeds
from emotirt.types import FloatArray, IntArray, Utterance
from emotirt.voices.condition import Condition

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Acoustic:
    """What the acoustic stages make of an utterance.

    Attributes:
        mel: float32 [frames, n_mels].
        durations_frames: int64 [tokens], they add up to frames.
    """

    mel: FloatArray
    durations_frames: IntArray


@dataclass(frozen=True, slots=True)
class _Encoded:
    """hidden float32 [tokens, C]; durations float32 [tokens], integer-valued."""

    hidden: FloatArray
    durations: FloatArray


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

    def speak(self, utterances: Sequence[Utterance], conditions: Sequence[Condition]) -> list[Acoustic]:
        """Make the log-mel and the durations of each utterance; frames from 1 to ``MAX_FRAMES``.

        An utterance whose durations add up to more is sped up to fit.

        Raises: BackendError: a stage failed or gave values that are not finite.
        """

        def spoken(group: Sequence[int]) -> list[Acoustic | BackendError]:
            return self.outcomes([utterances[i] for i in group], [conditions[i] for i in group])

        return [raised(outcome) for outcome in outcomes_apart(spoken, range(len(utterances)))]

    def outcomes(
        self, utterances: Sequence[Utterance], conditions: Sequence[Condition]
    ) -> list[Acoustic | BackendError]:
        """Do as ``speak``, with an error in the place of each utterance whose values are not finite.

        Raises: BackendError: a stage failed, and nobody knows for whom; each may be tried alone.
        """

        def encode(group: Sequence[int]) -> list[_Encoded | BackendError]:
            return self._encoded([utterances[i] for i in group], [conditions[i] for i in group])

        encoded: list[_Encoded | BackendError] = [_NOTHING] * len(utterances)
        for group in grouped([item.token_count for item in utterances], self._limits.items, self._limits.padded_tokens):
            for index, item in zip(group, encode(group), strict=True):
                encoded[index] = item
        good = [(place, entry) for place, entry in enumerate(encoded) if not isinstance(entry, BackendError)]

        def decode(group: Sequence[int]) -> list[Acoustic | BackendError]:
            members = [good[i] for i in group]
            return self._decoded([utterances[index] for index, _ in members], [item for _, item in members])

        outcomes: list[Acoustic | BackendError] = [
            item if isinstance(item, BackendError) else _UNMADE for item in encoded
        ]
        frames = [int(entry.durations.sum()) for _, entry in good]
        for group in grouped(frames, self._limits.items, self._limits.padded_frames):
            for member, outcome in zip(group, decode(group), strict=True):
                outcomes[good[member][0]] = outcome
        return outcomes

    def _encoded(
        self, utterances: Sequence[Utterance], conditions: Sequence[Condition]
    ) -> list[_Encoded | BackendError]:
        outputs = self._text_encoder.run(self._feeds(utterances, conditions))
        encoded: list[_Encoded | BackendError] = []
        for row, utterance in enumerate(utterances):
            durations = outputs["durations"][row, : utterance.token_count]
            if np.isfinite(durations).all():
                hidden = outputs["hidden"][row, : utterance.token_count]
                encoded.append(_Encoded(hidden, fitted_durations(durations, MAX_FRAMES)))
            else:
                encoded.append(
                    BackendError(f"text encoder gave durations that are not finite for {utterance.token_count} tokens")
                )
        return encoded

    def _decoded(self, utterances: Sequence[Utterance], encoded: Sequence[_Encoded]) -> list[Acoustic | BackendError]:
        outputs = self._decoder.run(decoder_feeds([item.hidden for item in encoded], [i.durations for i in encoded]))
        decoded: list[Acoustic | BackendError] = []
        for row, (utterance, item) in enumerate(zip(utterances, encoded, strict=True)):
            mel = outputs["mel"][row, : int(item.durations.sum())]
            if np.isfinite(mel).all():
                decoded.append(Acoustic(mel, item.durations.astype(np.int64)))
            else:
                decoded.append(
                    BackendError(f"decoder gave values that are not finite for {utterance.token_count} tokens")
                )
        return decoded

    def _feeds(self, utterances: Sequence[Utterance], conditions: Sequence[Condition]) -> dict[str, Array]:
        contents = None if self._contents is None else self._contents([item.text for item in utterances])
        return text_encoder_feeds(utterances, conditions, contents)

    def close(self) -> None:
        """Release both runners."""
        self._text_encoder.close()
        self._decoder.close()


def outcomes_apart(
    run: Callable[[Sequence[int]], list[Made | BackendError]], members: Sequence[int]
) -> list[Made | BackendError]:
    """Compute members together, and each alone when that fails, so that one of them cannot fail the others.

    Args:
        run: computes some of the members, one outcome each, or raises BackendError.
        members: at least one.
    """
    try:
        return run(members)
    except BackendError as exc:
        if len(members) == 1:
            return [exc]
    return [outcome for member in members for outcome in outcomes_apart(run, [member])]


def raised(outcome: Made | BackendError) -> Made:
    """Return what was made, or raise the error in its place."""
    if isinstance(outcome, BackendError):
        raise outcome
    return outcome


_UNMADE = Acoustic(np.zeros((0, 0), dtype=np.float32), np.zeros(0, dtype=np.int64))
_NOTHING = _Encoded(np.zeros((0, 0), dtype=np.float32), np.zeros(0, dtype=np.float32))
