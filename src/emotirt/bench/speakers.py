"""Text to PCM in host memory, as each subject does it: front end, vectors, stages, copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emotirt.audio.pcm import SAMPLE_BYTES, s16le_from_float
from emotirt.bench.subjects import BACKENDS, SHIPPED, TORCH_WAYS, Subject
from emotirt.bundle.contract import PROMPT_ENCODER
from emotirt.engine import SpeechRequest
from emotirt.engine.planner import Planner
from emotirt.errors import BackendError
from emotirt.runtime.fused import SPEECH
from emotirt.runtime.open import open_runners
from emotirt.runtime.runner import Array
from emotirt.synthesis.batch import text_encoder_feeds
from emotirt.synthesis.speech import SpeechPlan
from emotirt.types import FloatArray
from emotirt.voices.prompts import PromptVectors


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
    return _TorchSpeaker(subject) if subject.way in TORCH_WAYS else _FusedSpeaker(subject)


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


class _FusedSpeaker:
    """Our own stages on a backend as serving has them, all of a batch in one call and without a queue."""

    def __init__(self, subject: Subject) -> None:
        bundle, manifest = subject.bundle, subject.bundle.manifest
        has_prompts = PROMPT_ENCODER in manifest.stages
        wanted = (SPEECH, PROMPT_ENCODER) if has_prompts else (SPEECH,)
        backend = BACKENDS[subject.way]
        self._runners = open_runners(bundle, wanted, backend, subject.threads, falls_back=False, is_prepared=True)
        prompts = PromptVectors(bundle, self._runners[PROMPT_ENCODER]) if has_prompts else None
        self._reader = _Reader(Planner(bundle, prompts), prompts, bool(manifest.content_dim))
        self._hop_samples = manifest.hop_samples

    def speak(self, texts: Sequence[str]) -> int:
        feeds = self._reader.feeds(self._reader.plans(texts))
        made = self._runners[SPEECH].run(feeds)
        frames = made["durations"].sum(axis=1)
        if not np.isfinite(frames).all():
            raise BackendError("the text encoder gave durations that are not finite")
        pcm = [
            s16le_from_float(row[: int(count) * self._hop_samples])
            for row, count in zip(made["wav"], frames, strict=True)
        ]
        return sum(map(len, pcm)) // SAMPLE_BYTES

    def close(self) -> None:
        for runner in self._runners.values():
            runner.close()


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
