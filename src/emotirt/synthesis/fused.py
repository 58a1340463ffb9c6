"""The acoustic stages, or all of them, as one call: for backends that keep what lies between on their device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from emotirt.errors import BackendError
from emotirt.runtime.runner import Array, Runner
from emotirt.synthesis.acoustic import Acoustic, outcomes_apart, raised
from emotirt.synthesis.batch import BatchLimits, grouped, text_encoder_feeds
from emotirt.types import FloatArray, IntArray, Utterance
from emotirt.voices.condition import Condition


@dataclass(frozen=True, slots=True)
class Spoken:
    """An utterance spoken in one call.

    Attributes:
        samples: float32 [frames * hop].
        durations_frames: int64 [tokens].
    """

    samples: FloatArray
    durations_frames: IntArray


class FusedAcoustic:
    """Text encoder and decoder in one call of the runner ``acoustic``; does what ``AcousticStages`` does."""

    def __init__(
        self, runner: Runner, limits: BatchLimits, contents: Callable[[Sequence[str]], FloatArray] | None = None
    ) -> None:
        """Use the runner; ``contents`` makes content vectors [B, dim] of sentences where it wants them."""
        self._calls = _Calls(runner, limits, contents)

    def speak(self, utterances: Sequence[Utterance], conditions: Sequence[Condition]) -> list[Acoustic]:
        """Make the log-mel and the durations of each utterance; errors of ``AcousticStages.speak``."""

        def spoken(group: Sequence[int]) -> list[Acoustic | BackendError]:
            return self.outcomes([utterances[i] for i in group], [conditions[i] for i in group])

        return [raised(outcome) for outcome in outcomes_apart(spoken, range(len(utterances)))]

    def outcomes(
        self, utterances: Sequence[Utterance], conditions: Sequence[Condition]
    ) -> list[Acoustic | BackendError]:
        """Do as ``speak``, with an error in the place of each utterance whose values are not finite.

        Raises: BackendError: the call failed, and nobody knows for whom; each may be tried alone.
        """
        outcomes: dict[int, Acoustic | BackendError] = {}
        for group, given in self._calls.run(utterances, conditions):
            for row, index in enumerate(group):
                durations = _durations(given["durations"][row], utterances[index])
                if isinstance(durations, BackendError):
                    outcomes[index] = durations
                    continue
                mel = given["mel"][row, : int(durations.sum())]
                outcomes[index] = (
                    Acoustic(mel, durations) if np.isfinite(mel).all() else _not_finite("decoder", utterances[index])
                )
        return [outcomes[index] for index in range(len(utterances))]

    def close(self) -> None:
        """Release the runner."""
        self._calls.runner.close()


class FusedSpeech:
    """All stages in one call of the runner ``speech``: what a whole text takes without anybody listening yet."""

    def __init__(
        self,
        runner: Runner,
        limits: BatchLimits,
        hop_samples: int,
        contents: Callable[[Sequence[str]], FloatArray] | None = None,
    ) -> None:
        """Use the runner; ``contents`` as in ``FusedAcoustic``."""
        self._calls = _Calls(runner, limits, contents)
        self._hop_samples = hop_samples

    def speak(self, utterances: Sequence[Utterance], conditions: Sequence[Condition]) -> list[Spoken]:
        """Speak each utterance.

        Raises: BackendError: the call failed or gave values that are not finite.
        """
        spoken: dict[int, Spoken] = {}
        for group, given in self._calls.run(utterances, conditions):
            for row, index in enumerate(group):
                durations = raised(_durations(given["durations"][row], utterances[index]))
                samples = given["wav"][row, : int(durations.sum()) * self._hop_samples]
                if not np.isfinite(samples).all():
                    raise _not_finite("vocoder", utterances[index])
                spoken[index] = Spoken(samples, durations)
        return [spoken[index] for index in range(len(utterances))]

    def close(self) -> None:
        """Release the runner."""
        self._calls.runner.close()


@dataclass(frozen=True, slots=True)
class _Calls:
    """Utterances in batches through a fused runner."""

    runner: Runner
    limits: BatchLimits
    contents: Callable[[Sequence[str]], FloatArray] | None

    def run(
        self, utterances: Sequence[Utterance], conditions: Sequence[Condition]
    ) -> list[tuple[list[int], dict[str, Array]]]:
        """Return for each batch the places of its members and what was made of them."""
        tokens = [item.token_count for item in utterances]
        made = []
        for group in grouped(tokens, self.limits.items, self.limits.padded_tokens):
            members = [utterances[index] for index in group]
            contents = None if self.contents is None else self.contents([item.text for item in members])
            feeds = text_encoder_feeds(members, [conditions[index] for index in group], contents)
            made.append((group, self.runner.run(feeds)))
        return made


def _durations(row: FloatArray, utterance: Utterance) -> IntArray | BackendError:
    real = row[: utterance.token_count]
    return real.astype(np.int64) if np.isfinite(real).all() else _not_finite("text encoder", utterance)


def _not_finite(stage: str, utterance: Utterance) -> BackendError:
    return BackendError(f"{stage} gave values that are not finite for {utterance.token_count} tokens")
