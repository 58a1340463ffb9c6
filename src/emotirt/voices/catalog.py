"""Voices and emotions by name: those of the bundle, those that the user made, and mixtures of both."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

import numpy as np

from emotirt.bundle.manifest import NEUTRAL, EmotionEntry, ProsodyEntry, VoiceEntry
from emotirt.bundle.store import Bundle
from emotirt.errors import InvalidRequest, UnknownEmotion, UnknownVoice, VoiceUnusable
from emotirt.types import FloatArray, Prosody
from emotirt.voices.blend import blended, is_blend, parts_from_text, text_from_parts
from emotirt.voices.clone import encoder_refusal
from emotirt.voices.condition import (
    Condition,
    blended_emotion,
    check_intensity,
    check_prosody,
    combined_prosody,
)
from emotirt.voices.language import spoken_language
from emotirt.voices.store import VoiceStore, speaks
from emotirt.voices.voice_file import StoredVoice

SHARPNESS = 10.0
"""How much more the nearest emotion counts than others for an example's prosody: e times for every 0.1 of cosine."""
LISTED_NAMES = 12
"""So many names at most stand in an error message."""


class Catalog:
    """Voices and emotions with their vectors; may be used from several threads at once."""

    def __init__(self, bundle: Bundle, store: VoiceStore | None = None) -> None:
        """Read the vectors of ``bundle``; raises its errors.

        Args:
            bundle: of the engine.
            store: where the user's voices lie; None for none.
        """
        self._bundle = bundle
        self._store = store
        self._manifest = bundle.manifest
        self._vectors = bundle.vectors()
        self._voices = {voice.name.casefold(): voice for voice in self._manifest.voices}
        self._emotions = {
            name.casefold(): emotion for emotion in self._manifest.emotions for name in (emotion.name, *emotion.aliases)
        }

    @property
    def voices(self) -> tuple[VoiceEntry, ...]:
        """The bundle's voices, in its order."""
        return self._manifest.voices

    @property
    def custom_voices(self) -> tuple[StoredVoice, ...]:
        """The user's voices that this bundle can speak with, by name."""
        if self._store is None:
            return ()
        return tuple(voice for voice in self._store.voices() if speaks(self._bundle, voice))

    @property
    def emotions(self) -> tuple[EmotionEntry, ...]:
        """All emotions, in the bundle's order."""
        return self._manifest.emotions

    def voice(self, name: str) -> tuple[VoiceEntry, FloatArray]:
        """Look up a voice of the bundle or of the user, ignoring case, or mix some: ``kathleen:0.6+lan:0.4``.

        Returns: its entry and its unit vector, float32 [speaker_dim]. A mixture has the heaviest voice's language.

        Raises:
            UnknownVoice: lists the nearest names.
            VoiceUnusable: another encoder made it, or its file is broken.
            InvalidRequest: a senseless mixture.
        """
        found = self._single(name)
        if found is not None:
            return found
        if not is_blend(name):
            raise self._unknown(name)
        parts = parts_from_text(name)
        members = [self._known(part.name) for part in parts]
        vector = blended([item for _, item in members], [part.weight for part in parts], self._manifest.unit_vectors)
        first = members[0][0]
        return VoiceEntry(text_from_parts(parts), first.language, description="a blend"), vector

    def has(self, name: str) -> bool:
        """Return whether one voice of this name, the bundle's or the user's, can be spoken with."""
        if self.is_preset(name):
            return True
        voice = None if self._store is None else self._store.get(name)
        return voice is not None and speaks(self._bundle, voice)

    def is_preset(self, name: str) -> bool:
        """Return whether the bundle has a voice of this name."""
        return _key(name) in self._voices

    def _single(self, name: str) -> tuple[VoiceEntry, FloatArray] | None:
        entry = self._voices.get(_key(name))
        if entry is not None:
            return entry, self._vectors.voices[entry.name]
        voice = None if self._store is None else self._store.get(name)
        if voice is None:
            return None
        if not speaks(self._bundle, voice):
            raise VoiceUnusable(
                encoder_refusal(self._manifest, f"speaking with the cloned voice {voice.name!r}")
                or f"voice {voice.name!r} was made with bundle {voice.origin.bundle!r}, whose encoder bundle "
                f"{self._manifest.name!r} does not have; remove it and clone it again from its recordings"
            )
        return voice.entry, voice.speaker

    def _known(self, name: str) -> tuple[VoiceEntry, FloatArray]:
        found = self._single(name)
        if found is None:
            raise self._unknown(name)
        return found

    def _unknown(self, name: str) -> UnknownVoice:
        names = [voice.name for voice in self.voices] + [voice.name for voice in self.custom_voices]
        return UnknownVoice(f"no voice {name!r}; {_suggestion(name, names, names)}")

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

    def condition(
        self,
        voice: str | FloatArray,
        emotion: str,
        intensity: float,
        prosody: Prosody,
        style: FloatArray | None = None,
        example: FloatArray | None = None,
    ) -> Condition:
        """Put together what the text encoder needs.

        Args:
            voice: a name, or the vector of a recording's speaker.
            emotion: name.
            intensity: 0 to 1.5.
            prosody: of the request.
            style: vector of a prompt, in place of an emotion.
            example: emotion vector of a recording, in place of an emotion.

        Raises: UnknownVoice, UnknownEmotion, InvalidRequest: a name or a value is not accepted.
        """
        check_intensity(intensity)
        check_prosody(prosody)
        speaker = voice if isinstance(voice, np.ndarray) else self.voice(voice)[1]
        entry, target = self.emotion(emotion)
        neutral_entry, neutral = self.emotion(NEUTRAL)
        others = [
            name for name, vector in (("a prompt", style), ("an emotion by example", example)) if vector is not None
        ]
        if len(others) > 1:
            raise InvalidRequest("a prompt and an emotion by example exclude each other; give one of them")
        if others and entry != neutral_entry:
            raise InvalidRequest(f"{others[0]} and the emotion {emotion!r} exclude each other; give one of them")
        added = entry.prosody
        if style is not None:
            target = style
        elif example is not None:
            target, added = example, self._prosody_like(example)
        mixed = blended_emotion(neutral, target, intensity, self._manifest.unit_vectors)
        return Condition(speaker, mixed, combined_prosody(prosody, added, intensity))

    def _prosody_like(self, example: FloatArray) -> ProsodyEntry:
        """Mix the prosody of the learned emotions by how alike they are to ``example``.

        A learned emotion's vector alone moves the model less than acting moves people; its prosody is the rest, and an
        example needs it as much.
        """
        learned = [emotion for emotion in self.emotions if emotion.learned or emotion.name == NEUTRAL]
        likeness = np.array([float(self._vectors.emotions[item.name] @ example) for item in learned])
        weights = np.exp(SHARPNESS * (likeness - likeness.max()))
        weights /= weights.sum()
        rows = np.array([_logs(item.prosody) for item in learned])
        speed, shift, spread, energy_db = (float(value) for value in weights @ rows)
        return ProsodyEntry(math.exp(speed), shift, math.exp(spread), energy_db)


def _logs(prosody: ProsodyEntry) -> tuple[float, float, float, float]:
    """Return the numbers of a prosody so that they can be averaged: ratios as logarithms."""
    return (math.log(prosody.speed), prosody.pitch_shift_semitones, math.log(prosody.pitch_range), prosody.energy_db)


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
