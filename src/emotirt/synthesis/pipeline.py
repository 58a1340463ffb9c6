"""All stages in order, with no queue: what scheduled output must equal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emotirt.bundle.contract import DECODER, TEXT_ENCODER, VOCODER
from emotirt.bundle.store import Bundle
from emotirt.runtime.open import open_runner
from emotirt.synthesis.acoustic import Acoustic, AcousticStages
from emotirt.synthesis.batch import BatchLimits
from emotirt.synthesis.vocoder import BLOCK_FRAMES, FIRST_BLOCK_FRAMES, VocoderStage
from emotirt.types import FloatArray, Utterance
from emotirt.voices.condition import Condition
from emotirt.voices.prompts import open_prompts

_DEFAULT_LIMITS = BatchLimits()


class Pipeline:
    """The speaking stages of one bundle on one backend; may be used from several threads at once."""

    def __init__(
        self,
        bundle: Bundle,
        backend: str = "onnxruntime",
        threads: int | None = None,
        limits: BatchLimits = _DEFAULT_LIMITS,
    ) -> None:
        """Load the stages; raises the errors of ``runtime.open.open_runner``."""
        manifest = bundle.manifest
        self.sample_rate_hz = manifest.sample_rate_hz
        self.hop_samples = manifest.hop_samples
        self.prompts = open_prompts(bundle, backend, threads)
        self._acoustic = AcousticStages(
            open_runner(bundle, TEXT_ENCODER, backend, threads),
            open_runner(bundle, DECODER, backend, threads),
            limits,
            self.prompts.contents if self.prompts is not None and manifest.content_dim else None,
        )
        self._vocoder = VocoderStage(
            open_runner(bundle, VOCODER, backend, threads), manifest.hop_samples, manifest.vocoder_context_frames
        )

    def mels(self, utterances: Sequence[Utterance], conditions: Sequence[Condition]) -> list[FloatArray]:
        """Make log-mels in padded batches, each float32 [frames, n_mels]; batch-mates change nothing."""
        return [item.mel for item in self.acoustics(utterances, conditions)]

    def acoustics(self, utterances: Sequence[Utterance], conditions: Sequence[Condition]) -> list[Acoustic]:
        """Make log-mels and durations in padded batches; batch-mates change nothing."""
        return self._acoustic.speak(utterances, conditions)

    def waveforms(self, mels: Sequence[FloatArray]) -> list[FloatArray]:
        """Vocode each mel at once, each float32 [frames * hop]."""
        return self._vocoder.waveforms(mels)

    def stream(
        self, mel: FloatArray, block_frames: int = BLOCK_FRAMES, first_block_frames: int = FIRST_BLOCK_FRAMES
    ) -> Iterator[FloatArray]:
        """Vocode a mel piece by piece; joined, the pieces equal ``waveforms`` within 1e-4 of full scale."""
        return self._vocoder.stream(mel, block_frames, first_block_frames)

    def synthesize(self, utterances: Sequence[Utterance], conditions: Sequence[Condition]) -> list[FloatArray]:
        """Speak each utterance, float32 [samples]."""
        return self.waveforms(self.mels(utterances, conditions))

    def close(self) -> None:
        """Release every runner."""
        if self.prompts is not None:
            self.prompts.close()
        self._acoustic.close()
        self._vocoder.close()
