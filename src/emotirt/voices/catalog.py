"""The voices and emotions of a bundle, looked up by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from emotirt.bundle.manifest import NEUTRAL, EmotionEntry, VoiceEntry
from emotirt.bundle.store import Bundle
from emotirt.errors import UnknownEmotion, UnknownVoice
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
            raise UnknownEmotion(f"no emotion {name!r}; {_suggestion(name, list(self._emotions), names)}")
        return entry, self._vectors.emotions[entry.name]

    def condition(self, voice: str, emotion: str, intensity: float, prosody: Prosody) -> Condition:
        """Put together what the text encoder needs.

        Raises: UnknownVoice, UnknownEmotion, InvalidRequest: a name or a value is not accepted.
        """
        check_intensity(intensity)
        check_prosody(prosody)
        _, speaker = self.voice(voice)
        entry, target = self.emotion(emotion)
        _, neutral = self.emotion(NEUTRAL)
        return Condition(
            speaker, blended_emotion(neutral, target, intensity), combined_prosody(prosody, entry.prosody, intensity)
        )


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
