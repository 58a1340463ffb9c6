"""The engine: takes requests, gives audio. Puts frontend, voices and synthesis together."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from emotirt.bundle.manifest import NEUTRAL, EmotionEntry, VoiceEntry
from emotirt.bundle.store import Bundle, default_bundle_path, open_bundle
from emotirt.errors import InvalidRequest
from emotirt.runtime.open import AUTO, default_threads, resolve_backend
from emotirt.synthesis.frontend import frontend_from_bundle
from emotirt.synthesis.pipeline import Pipeline
from emotirt.synthesis.speech import SpeechPlan, SpeechStream, Timings, speak_whole
from emotirt.types import Audio, FloatArray, Prosody
from emotirt.voices.catalog import Catalog
from emotirt.voices.condition import NATURAL_PROSODY

__all__ = ["Engine", "SpeechRequest", "SpeechResult", "SpeechStream", "Timings"]


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """What to say and how.

    Attributes:
        text: English, Mandarin or both, with inline control.
        voice: name, or None for the bundle's voice of the text's language.
        emotion: name or alias, English or Chinese.
        intensity: of the emotion, 0 (neutral) to 1.5.
        prosody: speed, pitch, pitch range and energy; ranges in ``voices.condition``.
        prompt: the way of speaking in the caller's own words, in place of an emotion; for bundles that take prompts.
    """

    text: str
    voice: str | None = None
    emotion: str = NEUTRAL
    intensity: float = 1.0
    prosody: Prosody = NATURAL_PROSODY
    prompt: str | None = None


@dataclass(frozen=True, slots=True)
class SpeechResult:
    """Finished speech.

    Attributes:
        audio: all of it.
        timings: where the time went.
        warnings: what was not done exactly as asked, for people.
        voice: the voice that spoke.
    """

    audio: Audio
    timings: Timings
    warnings: tuple[str, ...] = ()
    voice: str = ""


class Engine:
    """Speaks with one bundle; may be used from several threads at once.

    Open it with ``Engine.open``; ``close`` it or use it in a ``with`` statement.
    """

    def __init__(self, bundle: Bundle, backend: str, threads: int) -> None:
        """Load ``bundle``; prefer ``Engine.open``."""
        self.bundle = bundle
        self.backend = backend
        self.threads = threads
        self._catalog = Catalog(bundle)
        self._frontend = frontend_from_bundle(bundle)
        self._pipeline = Pipeline(bundle, backend, threads)

    @classmethod
    def open(cls, bundle_path: Path | str | None = None, backend: str = AUTO, threads: int | None = None) -> Engine:
        """Open an engine.

        Args:
            bundle_path: directory of a bundle, None for the one inside the package.
            backend: a name of ``runtime.open.backends()`` or ``auto``.
            threads: CPU threads, None for one a core.

        Raises:
            BundleError: the bundle is missing, broken or tampered with.
            BackendError: the backend is unknown, missing or failing.
            InvalidRequest: fewer threads than one.
        """
        if threads is not None and threads < 1:
            raise InvalidRequest(f"{threads} threads are not possible; give at least 1, or None for one a core")
        chosen = resolve_backend(backend)
        bundle = open_bundle(default_bundle_path() if bundle_path is None else bundle_path)
        return cls(bundle, chosen, threads or default_threads())

    @property
    def sample_rate_hz(self) -> int:
        """Samples per second of the audio."""
        return self.bundle.manifest.sample_rate_hz

    @property
    def voices(self) -> tuple[VoiceEntry, ...]:
        """Voices offered by name."""
        return self._catalog.voices

    @property
    def emotions(self) -> tuple[EmotionEntry, ...]:
        """Emotions offered by name."""
        return self._catalog.emotions

    def say(self, request: SpeechRequest) -> SpeechResult:
        """Speak a request.

        Raises: InvalidRequest: it cannot be spoken as asked. BackendError: a stage failed.
        """
        plan = self._plan(request)
        audio, progress = speak_whole(self._pipeline, plan)
        return SpeechResult(audio, progress.timings, tuple(progress.warnings), plan.voice)

    def stream(self, request: SpeechRequest) -> SpeechStream:
        """Check a request at once and speak it chunk by chunk as the caller asks for them.

        Raises: InvalidRequest: it cannot be spoken as asked.
        """
        return SpeechStream(self._pipeline, self._plan(request))

    def close(self) -> None:
        """Release what the backend holds."""
        self._pipeline.close()

    def __enter__(self) -> Engine:
        """Return the engine itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the engine."""
        self.close()

    def _style(self, prompt: str | None) -> FloatArray | None:
        if prompt is None:
            return None
        if self._pipeline.prompts is None:
            names = ", ".join(emotion.name for emotion in self.emotions)
            raise InvalidRequest(
                f"bundle {self.bundle.manifest.name!r} takes no prompt in words; choose an emotion: {names}"
            )
        return self._pipeline.prompts.style(prompt)

    def _plan(self, request: SpeechRequest) -> SpeechPlan:
        if not isinstance(request.text, str):
            raise InvalidRequest(f"text is {type(request.text).__name__}; give a str")
        started = time.perf_counter()
        asked = request.voice if request.voice is not None else self.voices[0].name
        style = self._style(request.prompt)
        condition = self._catalog.condition(asked, request.emotion, request.intensity, request.prosody, style)
        utterances = tuple(self._frontend.utterances(request.text))
        if request.voice is not None:
            voice, _ = self._catalog.voice(request.voice)
        else:
            voice = self._catalog.default_voice(symbol for item in utterances for symbol in item.symbols)
            condition = replace(condition, speaker=self._catalog.voice(voice.name)[1])
        return SpeechPlan(utterances, condition, voice.name, time.perf_counter() - started)
