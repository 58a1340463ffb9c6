"""The voices and emotions of a bundle, looked up by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from emotirt.bundle.contract import REFERENCE_ENCODER
from emotirt.bundle.manifest import EMOTIVOICE_FRONTEND, NEUTRAL, EmotionEntry, VoiceEntry
from emotirt.bundle.store import Bundle
from emotirt.errors import InvalidRequest, UnknownEmotion, UnknownVoice
from emotirt.types import FloatArray, Prosody
from emotirt.voices.condition import (
    Condition,
    blended_emotion,
    check_intensity,
    check_prosody,
    combined_prosody,
)
from emotirt.voices.language import spoken_language

LISTED_NAMES = 12
"""So many names at most stand in an error message."""


class Catalog:
    """Voices and emotions with their vectors; immutable once made."""

    def __init__(self, bundle: Bundle) -> None:
        """Read the vectors of ``bundle``; raises its errors."""
        self._manifest = bundle.manifest
        self._vectors = bundle.vectors()
        self._voices = {voice.name.casefold(): voice for voice in self._manifest.voices}
        self._emotions = {
            name.casefold(): emotion for emotion in self._manifest.emotions for name in (emotion.name, *emotion.aliases)
        }

    @property
    def voices(self) -> tuple[VoiceEntry, ...]:
        """All voices, in the bundle's order."""
        return self._manifest.voices

    @property
    def emotions(self) -> tuple[EmotionEntry, ...]:
        """All emotions, in the bundle's order."""
        return self._manifest.emotions

    def voice(self, name: str) -> tuple[VoiceEntry, FloatArray]:
        """Look up a voice, ignoring case.

        Returns: its entry and its unit vector, float32 [speaker_dim].
        Raises: UnknownVoice: lists the nearest names.
        """
        entry = self._voices.get(_key(name))
        if entry is None:
            names = [voice.name for voice in self.voices]
            raise UnknownVoice(f"no voice {name!r}; {_suggestion(name, names, names)}")
        return entry, self._vectors.voices[entry.name]

    def default_voice(self, symbols: Iterable[str]) -> VoiceEntry:
        """Return the bundle's voice for the language that ``symbols`` are mostly in."""
        defaults = self._manifest.default_voice
        name = defaults.get(spoken_language(symbols)) or next(iter(defaults.values()), self.voices[0].name)
        return self.voice(name)[0]

    def emotion(self, name: str) -> tuple[EmotionEntry, FloatArray]:
        """Look up an emotion by its name or an alias, English or Chinese, ignoring case.

        Returns: its entry and its unit vector, float32 [emotion_dim].
        Raises: UnknownEmotion: lists the nearest names.
        """
        entry = self._emotions.get(_key(name))
        if entry is None:
            names = [emotion.name for emotion in self.emotions]
            own_words = "" if self._manifest.prompt is None else "; or describe it in your own words as a prompt"
            raise UnknownEmotion(f"no emotion {name!r}; {_suggestion(name, list(self._emotions), names)}{own_words}")
        return entry, self._vectors.emotions[entry.name]

    def require_reference_encoder(self, what: str) -> None:
        """Refuse what needs a recording turned into vectors, where the bundle has no stage that does so.

        Args: what: what was asked for, as ``cloning a voice``.
        Raises: InvalidRequest: says why, and what to do.
        """
        if REFERENCE_ENCODER not in self._manifest.stages:
            why = " (the public EmotiVoice model has none)" if self._manifest.frontend == EMOTIVOICE_FRONTEND else ""
            raise InvalidRequest(
                f"{what} needs a reference encoder, and bundle {self._manifest.name!r} has no such stage{why}; "
                "use the default bundle for it"
            )

    def condition(
        self, voice: str, emotion: str, intensity: float, prosody: Prosody, style: FloatArray | None = None
    ) -> Condition:
        """Put together what the text encoder needs.

        Raises: UnknownVoice, UnknownEmotion, InvalidRequest: a name or a value is not accepted.
        """
        check_intensity(intensity)
        check_prosody(prosody)
        _, speaker = self.voice(voice)
        entry, target = self.emotion(emotion)
        neutral_entry, neutral = self.emotion(NEUTRAL)
        if style is not None:
            if entry != neutral_entry:
                raise InvalidRequest(f"a prompt and the emotion {emotion!r} exclude each other; give one of them")
            target = style
        blended = blended_emotion(neutral, target, intensity, self._manifest.unit_vectors)
        return Condition(speaker, blended, combined_prosody(prosody, entry.prosody, intensity))


def _key(name: str) -> str:
    return str(name).strip().casefold()  # str(): a caller without types gets the list of names, not an AttributeError


def _suggestion(name: str, known: Sequence[str], names: Sequence[str]) -> str:
    near = get_close_matches(_key(name), [item.casefold() for item in known], n=3, cutoff=0.5)
    original = {item.casefold(): item for item in (*known, *names)}
    listed = ", ".join(names[:LISTED_NAMES]) + (
        f" and {len(names) - LISTED_NAMES} more" if len(names) > LISTED_NAMES else ""
    )
    nearest = f"nearest: {', '.join(original[item] for item in near)}; " if near else ""
    return f"{nearest}available: {listed}"
