"""What makes one utterance sound as asked: speaker, emotion and prosody, and their accepted ranges."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from emotirt.bundle.manifest import ProsodyEntry
from emotirt.errors import InvalidRequest
from emotirt.types import FloatArray, Prosody

INTENSITY_RANGE = (0.0, 1.5)
"""0 is neutral; past 1.5 the emotion vector leaves what the model heard in training."""
SPEED_RANGE = (0.25, 4.0)
"""The range of the OpenAI speech endpoint's ``speed``."""
PITCH_SHIFT_RANGE_SEMITONES = (-12.0, 12.0)
PITCH_RANGE_RANGE = (0.0, 3.0)
ENERGY_RANGE_DB = (-20.0, 20.0)


NATURAL_PROSODY = Prosody()
"""The voice's own way of speaking."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Everything but the phonemes that the text encoder takes.

    Attributes:
        speaker: float32 [speaker_dim].
        emotion: float32 [emotion_dim].
        prosody: the request's and the emotion's together.
    """

    speaker: FloatArray
    emotion: FloatArray
    prosody: Prosody = NATURAL_PROSODY


def check_prosody(prosody: Prosody) -> None:
    """Check a request's prosody.

    Raises: InvalidRequest: a value is not finite or out of range; names the range.
    """
    if not isinstance(prosody, Prosody):
        raise InvalidRequest(f"prosody is {prosody!r}; give a Prosody")
    _check("speed", prosody.speed, SPEED_RANGE)
    _check("pitch shift in semitones", prosody.pitch_shift_semitones, PITCH_SHIFT_RANGE_SEMITONES)
    _check("pitch range", prosody.pitch_range, PITCH_RANGE_RANGE)
    _check("energy in dB", prosody.energy_db, ENERGY_RANGE_DB)


def check_intensity(intensity: float) -> None:
    """Check an emotion's intensity.

    Raises: InvalidRequest: not finite or out of range.
    """
    _check("intensity", intensity, INTENSITY_RANGE)


def blended_emotion(neutral: FloatArray, emotion: FloatArray, intensity: float, unit: bool = True) -> FloatArray:
    """Move from ``neutral`` towards ``emotion`` by ``intensity``, with ``unit`` back to unit length.

    Returns: float32 [emotion_dim].
    """
    mixed = neutral + np.float32(intensity) * (emotion - neutral)
    if not unit:
        return emotion if intensity == 1.0 else mixed
    norm = float(np.linalg.norm(mixed))
    if norm < 1e-6:  # opposite vectors at one half meet in zero, which has no direction
        return neutral
    return np.asarray(mixed / norm, dtype=np.float32)


def combined_prosody(asked: Prosody, emotion: ProsodyEntry, intensity: float) -> Prosody:
    """Add an emotion's prosody, scaled by intensity, to what was asked for; ratios scale as powers."""
    return Prosody(
        speed=asked.speed * emotion.speed**intensity,
        pitch_shift_semitones=asked.pitch_shift_semitones + intensity * emotion.pitch_shift_semitones,
        pitch_range=asked.pitch_range * emotion.pitch_range**intensity,
        energy_db=asked.energy_db + intensity * emotion.energy_db,
    )


def _check(what: str, value: Any, accepted: tuple[float, float]) -> None:
    low, high = accepted
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:  # NaN compares as outside
        raise InvalidRequest(f"{what} {value!r} is not accepted; give a number from {low:g} to {high:g}")
