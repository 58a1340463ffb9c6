"""All stages in order, with no queue: what scheduled output must equal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from emotirt.bundle.contract import DECODER, PROMPT_ENCODER, TEXT_ENCODER, VOCODER
from emotirt.bundle.store import Bundle
from emotirt.runtime.fused import ACOUSTIC, SPEECH
from emotirt.runtime.open import is_gpu_backend, open_runners, resolve_backend
from emotirt.synthesis.acoustic import Acoustic, AcousticStages
from emotirt.synthesis.batch import BatchLimits
from emotirt.synthesis.fused import FusedAcoustic, FusedSpeech, Spoken
from emotirt.synthesis.vocoder import BLOCK_FRAMES, FIRST_BLOCK_FRAMES, VocoderStage
from emotirt.types import FloatArray, Utterance
from emotirt.voices.condition import Condition
from emotirt.voices.prompts import PromptVectors

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
        """Load the stages, fused where they are on a GPU; raises the errors of ``runtime.open.open_runners``."""
        manifest = bundle.manifest
        self.sample_rate_hz = manifest.sample_rate_hz
        self.hop_samples = manifest.hop_samples
        backend = resolve_backend(backend, bundle)
        stages = (ACOUSTIC, SPEECH, VOCODER) if is_gpu_backend(backend) else (TEXT_ENCODER, DECODER, VOCODER)
        prompts = (PROMPT_ENCODER,) if PROMPT_ENCODER in manifest.stages else ()
        runners = open_runners(bundle, (*stages, *prompts), backend, threads)
        self.prompts = PromptVectors(bundle, runners[PROMPT_ENCODER]) if prompts else None
        contents: Callable[[Sequence[str]], FloatArray] | None = None
        if self.prompts is not None and manifest.content_dim:
            contents = self.prompts.contents
        self._acoustic: AcousticStages | FusedAcoustic
        self._speech: FusedSpeech | None = None
        if SPEECH in runners:
            self._acoustic = FusedAcoustic(runners[ACOUSTIC], limits, contents)
            self._speech = FusedSpeech(runners[SPEECH], limits, manifest.hop_samples, contents)
        else:
            self._acoustic = AcousticStages(runners[TEXT_ENCODER], runners[DECODER], limits, contents)
        self._vocoder = VocoderStage(runners[VOCODER], manifest.hop_samples, manifest.vocoder_context_frames)

    @property
    def speaks_at_once(self) -> bool:
        """Whether the backend makes audio from utterances in one call."""
        return self._speech is not None

    def spoken(self, utterances: Sequence[Utterance], conditions: Sequence[Condition]) -> list[Spoken]:
        """Speak utterances in one call a batch, where the backend ``speaks_at_once``; batch-mates change nothing."""
        assert self._speech is not None
        return self._speech.speak(utterances, conditions)

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
        if self._speech is not None:
            self._speech.close()
        self._acoustic.close()
        self._vocoder.close()
