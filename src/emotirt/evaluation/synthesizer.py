"""Speaks for evaluation: as an engine does, but with any speaker vector, and encodes recordings as cloning does."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

import numpy as np

from emotirt.audio.mel import log_mel
from emotirt.bundle.contract import REFERENCE_ENCODER
from emotirt.bundle.store import Bundle, default_bundle_path, open_bundle
from emotirt.engine.planner import Planner
from emotirt.engine.request import SpeechRequest
from emotirt.runtime.open import AUTO, default_threads, resolve_backend
from emotirt.synthesis.pipeline import Pipeline
from emotirt.synthesis.speech import speak_whole
from emotirt.types import FloatArray, SpokenUtterance
from emotirt.voices.clone import VoiceEncoder


@dataclass(frozen=True, slots=True)
class Spoken:
    """One rendering.

    Attributes:
        samples: float32 [samples].
        utterances: when its tokens sound.
    """

    samples: FloatArray
    utterances: tuple[SpokenUtterance, ...] = field(default=())


class Synthesizer:
    """One bundle on one backend; use it in a ``with`` statement."""

    def __init__(self, bundle: Bundle, backend: str = AUTO, threads: int | None = None) -> None:
        """Load the stages; raises the errors of ``runtime.open.open_runner``."""
        self.bundle = bundle
        self.backend = resolve_backend(backend)
        self._threads = threads or default_threads()
        self._pipeline = Pipeline(bundle, self.backend, self._threads)
        self._planner = Planner(bundle, self._pipeline.prompts)
        self.encoder = VoiceEncoder(bundle, self._threads)

    @classmethod
    def open(cls, path: Path | None = None, backend: str = AUTO, threads: int | None = None) -> Synthesizer:
        """Open a bundle, None for the one inside the package; raises as ``engine.Engine.open``."""
        return cls(open_bundle(default_bundle_path() if path is None else path), backend, threads)

    @property
    def can_clone(self) -> bool:
        """Whether the bundle has a reference encoder."""
        return REFERENCE_ENCODER in self.bundle.manifest.stages

    @property
    def name(self) -> dict[str, str]:
        """Name and hash of the bundle, as result files have them."""
        return {"name": self.bundle.manifest.name, "sha256": self.bundle.digest}

    def say(
        self, request: SpeechRequest, speaker: FloatArray | None = None, emotion: FloatArray | None = None
    ) -> Spoken:
        """Speak a request, with other vectors if some are given.

        Args:
            request: what to say and how.
            speaker: float32 [speaker_dim] of unit norm, or None for the request's voice.
            emotion: float32 [emotion_dim] of unit norm, or None for the request's emotion; prosody stays the request's.

        Raises: InvalidRequest: it cannot be spoken as asked. BackendError: a stage failed.
        """
        plan = self._planner.plan(request)
        if speaker is not None:
            plan = replace(plan, condition=replace(plan.condition, speaker=speaker))
        if emotion is not None:
            plan = replace(plan, condition=replace(plan.condition, emotion=emotion))
        audio, progress = speak_whole(self._pipeline, plan)
        return Spoken(audio.samples, tuple(progress.spoken))

    def clone(self, samples: FloatArray) -> FloatArray:
        """Make a speaker vector of a recording, trimmed and levelled first.

        Args: samples: float32 [samples] at 16 kHz.
        Returns: float32 [speaker_dim], unit norm.
        Raises: InvalidRequest: the bundle has no reference encoder.
        """
        return self.encoder.vectors_of(samples)[0]

    def emotion_of(self, samples: FloatArray) -> FloatArray:
        """Make an emotion vector of a recording, as ``clone`` makes a speaker's."""
        return self.encoder.vectors_of(samples)[1]

    def copy(self, samples: FloatArray) -> FloatArray:
        """Give a recording's own mel to the vocoder: what is lost is the vocoder's; float32 [samples] at 16 kHz."""
        return self._pipeline.waveforms([np.ascontiguousarray(log_mel(samples).T)])[0]

    def close(self) -> None:
        """Release the stages."""
        self._pipeline.close()
        self.encoder.close()

    def __enter__(self) -> Synthesizer:
        """Return the synthesizer itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()
