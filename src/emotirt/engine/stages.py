"""The stages as the loop runs them: batches of tasks through the runners, one outcome each.

A batch that fails as a whole raises, so that the loop tries those alone who are still wanted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emotirt.bundle.contract import DECODER, PROMPT_ENCODER, TEXT_ENCODER, VOCODER
from emotirt.bundle.store import Bundle
from emotirt.errors import BackendError
from emotirt.runtime.fused import ACOUSTIC as FUSED_ACOUSTIC
from emotirt.runtime.runner import Runner
from emotirt.scheduling.policy import StageLimits
from emotirt.synthesis.acoustic import Acoustic, AcousticStages
from emotirt.synthesis.batch import BatchLimits
from emotirt.synthesis.fused import FusedAcoustic
from emotirt.synthesis.vocoder import VocoderStage
from emotirt.types import FloatArray, Utterance
from emotirt.voices.condition import Condition
from emotirt.voices.prompts import PromptVectors


class AcousticBatches:
    """Utterances with their conditions to mels with their durations."""

    def __init__(self, bundle: Bundle, runners: Mapping[str, Runner], limits: StageLimits) -> None:
        """Use the runners of both acoustic stages, or the one that is both, and of the prompt encoder if need be."""
        batch = BatchLimits(items=limits.items, padded_tokens=limits.padded_cost)
        contents = None
        if bundle.manifest.content_dim:
            contents = PromptVectors(bundle, runners[PROMPT_ENCODER]).contents
        self._stages: AcousticStages | FusedAcoustic
        if FUSED_ACOUSTIC in runners:
            self._stages = FusedAcoustic(runners[FUSED_ACOUSTIC], batch, contents)
        else:
            self._stages = AcousticStages(runners[TEXT_ENCODER], runners[DECODER], batch, contents)

    def run(self, payloads: Sequence[tuple[Utterance, Condition]]) -> list[Acoustic | BackendError]:
        """Compute a batch."""
        return self._stages.outcomes([item for item, _ in payloads], [condition for _, condition in payloads])


class VocoderBatches:
    """Windows of one width to audio."""

    def __init__(self, runners: Mapping[str, Runner], hop_samples: int, context_frames: int) -> None:
        """Use the vocoder's runner."""
        self._stage = VocoderStage(runners[VOCODER], hop_samples, context_frames)

    def run(self, payloads: Sequence[FloatArray]) -> list[FloatArray | BackendError]:
        """Compute a batch."""
        return self._stage.outcomes(payloads)
