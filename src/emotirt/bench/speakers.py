"""Text to PCM in host memory, as each subject does it: front end, vectors, stages, copies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emotirt.audio.pcm import SAMPLE_BYTES, s16le_from_float
from emotirt.bench.subjects import SHIPPED, TORCH_WAYS, Subject
from emotirt.bundle.contract import DECODER, PROMPT_ENCODER, TEXT_ENCODER, VOCODER
from emotirt.engine import SpeechRequest
from emotirt.engine.planner import Planner
from emotirt.errors import BackendError
from emotirt.runtime.runner import Array
from emotirt.synthesis.acoustic import Acoustic, AcousticStages
from emotirt.synthesis.batch import BatchLimits, text_encoder_feeds
from emotirt.synthesis.speech import SpeechPlan
from emotirt.synthesis.vocoder import VocoderStage
from emotirt.types import FloatArray
from emotirt.voices.prompts import PromptVectors

LARGEST = BatchLimits(items=64, padded_tokens=1 << 20, padded_frames=1 << 20)
"""The benchmark decides the batch."""


class Speaker(Protocol):
    """Speaks several texts at once."""

    def speak(self, texts: Sequence[str]) -> int:
        """Speak texts; the PCM of all lies in host memory afterwards. Returns its samples.

        Raises: BackendError: a stage failed.
        """

    def close(self) -> None:
        """Release what it holds."""


def open_speaker(subject: Subject) -> Speaker:
    """Load every stage of a subject; raises as ``Subject.open_stage``."""
    return _TorchSpeaker(subject) if subject.way in TORCH_WAYS else _StagedSpeaker(subject)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Front end and vectors of one bundle."""

    planner: Planner
    prompts: PromptVectors | None
    has_content: bool

    def plans(self, texts: Sequence[str]) -> list[SpeechPlan]:
        return [self.planner.plan(SpeechRequest(text)) for text in texts]

    def feeds(self, plans: Sequence[SpeechPlan]) -> dict[str, Array]:
        """Collate every utterance of every plan for the text encoder."""
        utterances = [utterance for plan in plans for utterance in plan.utterances]
        conditions = [plan.condition for plan in plans for _ in plan.utterances]
        return text_encoder_feeds(utterances, conditions, self.contents([item.text for item in utterances]))

    def contents(self, texts: Sequence[str]) -> FloatArray | None:
        return self.prompts.contents(texts) if self.prompts is not None and self.has_content else None


def _reader(subject: Subject, prompt_subject: Subject) -> _Reader:
    bundle = subject.bundle
    prompts = None
    if PROMPT_ENCODER in bundle.manifest.stages:
        prompts = PromptVectors(bundle, prompt_subject.open_stage(PROMPT_ENCODER))
    return _Reader(Planner(bundle, prompts), prompts, bool(bundle.manifest.content_dim))


class _StagedSpeaker:
    """Our own stages on a backend, a batch at a time and without a queue."""

    def __init__(self, subject: Subject) -> None:
        manifest = subject.bundle.manifest
        self._reader = _reader(subject, subject)
        self._acoustic = AcousticStages(
            subject.open_stage(TEXT_ENCODER),
            subject.open_stage(DECODER),
            LARGEST,
            self._reader.prompts.contents if self._reader.prompts and manifest.content_dim else None,
        )
        self._vocoder = VocoderStage(subject.open_stage(VOCODER), manifest.hop_samples, manifest.vocoder_context_frames)

    def speak(self, texts: Sequence[str]) -> int:
        plans = self._reader.plans(texts)
        utterances = [utterance for plan in plans for utterance in plan.utterances]
        conditions = [plan.condition for plan in plans for _ in plan.utterances]
        made = self._acoustic.speak(utterances, conditions)
        pcm = [s16le_from_float(samples) for samples in self._waves(made)]
        return sum(map(len, pcm)) // SAMPLE_BYTES

    def close(self) -> None:
        self._acoustic.close()
        self._vocoder.close()
        if self._reader.prompts is not None:
            self._reader.prompts.close()

    def _waves(self, made: Sequence[Acoustic]) -> list[FloatArray]:
        """Vocode all mels of one length in one batch, since the vocoder has no mask."""
        alike: dict[int, list[FloatArray]] = defaultdict(list)
        for acoustic in made:
            alike[len(acoustic.mel)].append(acoustic.mel)
        waves: list[FloatArray] = []
        for mels in alike.values():
            for outcome in self._vocoder.outcomes(mels):
                if isinstance(outcome, BackendError):
                    raise outcome
                waves.append(outcome)
        return waves


class _TorchSpeaker:
    """PyTorch, with nothing but the durations' sum on its way through the host between stages."""

    def __init__(self, subject: Subject) -> None:
        settings = subject.torch_settings()
        from emotirt.runtime.torch_device import limit_threads
        from emotirt.runtime.torch_speech import TorchSpeech

        limit_threads(subject.threads)
        is_shipped = subject.way == SHIPPED
        prompt_device = "cpu" if is_shipped else subject.device
        prompt_subject = Subject(
            subject.label, "torch" if is_shipped else subject.way, subject.bundle, prompt_device, subject.threads
        )
        self._speech = TorchSpeech(subject.bundle, settings)
        self._reader = _reader(subject, prompt_subject)
        self._encodes_prompts = is_shipped and self._reader.prompts is not None
        self._prompt = _first_prompt(subject)

    def speak(self, texts: Sequence[str]) -> int:
        plans = self._reader.plans(texts)
        feeds = self._reader.feeds(plans)
        if (
            self._encodes_prompts and self._reader.prompts is not None
        ):  # ours are cached, those of the public script not
            feeds["emotion"] = self._reader.prompts.contents([self._prompt] * len(feeds["emotion"]))
        rows: list[NDArray[np.int16]] = self._speech.pcm(feeds)
        return sum(map(len, rows))

    def close(self) -> None:
        if self._reader.prompts is not None:
            self._reader.prompts.close()


def _first_prompt(subject: Subject) -> str:
    """Return the words that stand for the neutral way of speaking."""
    first = subject.bundle.manifest.emotions[0]
    return first.aliases[0] if first.aliases else first.name
