"""The engine without a queue: speaks in the caller's thread, the same bytes every time."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from emotirt.bundle.manifest import EmotionEntry, VoiceEntry
from emotirt.bundle.store import Bundle
from emotirt.engine.opening import opened_parts
from emotirt.engine.planner import Planner
from emotirt.engine.request import SpeechRequest, SpeechResult
from emotirt.engine.voices import ClonedVoice, NewVoice, UserVoices
from emotirt.runtime.open import AUTO
from emotirt.synthesis.pipeline import Pipeline
from emotirt.synthesis.speech import SpeechStream, speak_whole
from emotirt.voices.recording import Sources
from emotirt.voices.voice_file import StoredVoice


class Engine:
    """Speaks with one bundle; may be used from several threads at once.

    Open it with ``Engine.open``; ``close`` it or use it in a ``with`` statement.
    """

    def __init__(self, bundle: Bundle, backend: str, threads: int, voices_path: Path | str | None = None) -> None:
        """Load ``bundle``; prefer ``Engine.open``."""
        self.bundle = bundle
        self.backend = backend
        self.threads = threads
        self._pipeline = Pipeline(bundle, backend, threads)
        self.own_voices = UserVoices(bundle, voices_path, threads)
        self._planner = Planner(bundle, self._pipeline.prompts, self.own_voices)

    @classmethod
    def open(
        cls,
        bundle_path: Path | str | None = None,
        backend: str = AUTO,
        threads: int | None = None,
        voices_path: Path | str | None = None,
    ) -> Engine:
        """Open an engine.

        Args:
            bundle_path: directory of a bundle, None for the one inside the package.
            backend: a name of ``runtime.open.backends()`` or ``auto``.
            threads: CPU threads, None for one a core.
            voices_path: directory of the user's voices, None for the user's own.

        Raises:
            BundleError: the bundle is missing, broken or tampered with.
            BackendError: the backend is unknown, missing or failing.
            InvalidRequest: fewer threads than one.
        """
        return cls(*opened_parts(bundle_path, backend, threads), voices_path)

    @property
    def sample_rate_hz(self) -> int:
        """Samples per second of the audio."""
        return self.bundle.manifest.sample_rate_hz

    @property
    def voices(self) -> tuple[VoiceEntry, ...]:
        """Voices offered by name: the bundle's, then the user's."""
        catalog = self._planner.catalog
        return (*catalog.voices, *(voice.entry for voice in catalog.custom_voices))

    @property
    def custom_voices(self) -> tuple[StoredVoice, ...]:
        """The user's voices that this engine speaks with."""
        return self._planner.catalog.custom_voices

    @property
    def emotions(self) -> tuple[EmotionEntry, ...]:
        """Emotions offered by name."""
        return self._planner.catalog.emotions

    def say(self, request: SpeechRequest, strict: bool = True) -> SpeechResult:
        """Speak a request.

        Args:
            request: what to say and how.
            strict: refuse a text past the hard limit, which is otherwise cut with a warning.

        Raises: InvalidRequest: it cannot be spoken as asked. BackendError: a stage failed.
        """
        plan = self._planner.plan_or_cut(request, strict)
        audio, progress = speak_whole(self._pipeline, plan)
        return SpeechResult(audio, progress.timings, tuple(progress.warnings), plan.voice, tuple(progress.spoken))

    def stream(self, request: SpeechRequest, strict: bool = True) -> SpeechStream:
        """Check a request at once and speak it chunk by chunk as the caller asks for them; arguments of ``say``.

        Raises: InvalidRequest: it cannot be spoken as asked.
        """
        return SpeechStream(self._pipeline, self._planner.plan_or_cut(request, strict))

    def clone(self, new: NewVoice, recordings: Sources) -> ClonedVoice:
        """Make a voice from recordings of one person, 3 to 30 s each, and keep it; see ``UserVoices.clone``."""
        return self.own_voices.clone(new, recordings)

    def blend(self, new: NewVoice, mixture: str) -> StoredVoice:
        """Keep a mixture such as ``kathleen:0.6+lan:0.4`` under a name; see ``UserVoices.blend``."""
        return self.own_voices.blend(new, mixture)

    def remove_voice(self, name: str) -> None:
        """Forget a voice of the user; see ``UserVoices.remove``."""
        self.own_voices.remove(name)

    def close(self) -> None:
        """Release what the backend holds."""
        self.own_voices.close()
        self._pipeline.close()

    def __enter__(self) -> Engine:
        """Return the engine itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the engine."""
        self.close()
