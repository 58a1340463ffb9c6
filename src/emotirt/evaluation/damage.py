"""Do the detectors of clicks and missing ends detect? Tried on speech that is damaged on purpose, and on people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from emotirt.evaluation.clicks import clicks_at_s
from emotirt.evaluation.endings import spoken_ending, swallowed
from emotirt.evaluation.soundness import problems
from emotirt.evaluation.synthesizer import Spoken
from emotirt.text.symbols import factors
from emotirt.types import FloatArray

Damage = Callable[[Spoken, np.random.Generator], FloatArray]

IMPULSE = 0.1
STEP = 0.2
GAP_SAMPLES = 160
ENDING_GAIN = 0.02
"""34 dB down."""
NO_PHONEME = "-"


def impulse(spoken: Spoken, rng: np.random.Generator) -> FloatArray:
    """Add a tenth of full scale to one sample."""
    damaged: FloatArray = spoken.samples.copy()
    damaged[_within(spoken, rng)] += IMPULSE
    return damaged


def step(spoken: Spoken, rng: np.random.Generator) -> FloatArray:
    """Jump by a fifth of full scale and come back within 6 ms."""
    damaged: FloatArray = spoken.samples.copy()
    place = _within(spoken, rng)
    damaged[place : place + 200] += (STEP * np.exp(-np.arange(200) / 50.0)).astype(np.float32)
    return damaged


def gap(spoken: Spoken, rng: np.random.Generator) -> FloatArray:
    """Lose 10 ms where it is loud, as if a block of samples had not arrived."""
    damaged: FloatArray = spoken.samples.copy()
    place = _within(spoken, rng, loud=True)
    damaged[place : place + GAP_SAMPLES] = 0.0
    return damaged


def missing_end(spoken: Spoken, rng: np.random.Generator) -> FloatArray:
    """Stop in the middle of the last vowel, silence after it."""
    damaged: FloatArray = spoken.samples.copy()
    damaged[_middle_of_last_vowel(spoken) :] = 0.0
    return damaged


def faded_end(spoken: Spoken, rng: np.random.Generator) -> FloatArray:
    """Make everything from the last vowel's middle on 34 dB quieter."""
    damaged: FloatArray = spoken.samples.copy()
    damaged[_middle_of_last_vowel(spoken) :] *= np.float32(ENDING_GAIN)
    return damaged


def cut_short(spoken: Spoken, rng: np.random.Generator) -> FloatArray:
    """End the audio in the middle of the last vowel."""
    return spoken.samples[: _middle_of_last_vowel(spoken)]


DAMAGES: dict[str, Damage] = {
    "impulse": impulse,
    "step": step,
    "gap": gap,
    "missing end": missing_end,
    "faded end": faded_end,
    "cut short": cut_short,
}


def detected(spoken: Spoken) -> tuple[str, ...]:
    """Name the clicks and missing ends of a rendering."""
    found = [one for one in problems(spoken.samples) if one.startswith(("click", "cut off"))]
    found += [f"click: at {at_s:.3f} s" for at_s in clicks_at_s(spoken.samples, spoken.utterances)]
    for utterance in spoken.utterances:
        end = spoken_ending(spoken.samples, utterance)
        found += swallowed(end) if end is not None else ()
    return tuple(found)


def detection_rates(renderings: Sequence[Spoken], seed: int = 0) -> dict[str, float]:
    """Damage renderings that are sound in every way and count how often that is noticed.

    Returns: share noticed by kind of damage, and ``none`` for the renderings as they are.
    """
    rng = np.random.default_rng(seed)
    whole = [one for one in renderings if one.utterances]
    rates = {"none": float(np.mean([bool(detected(one)) for one in whole]))}
    for name, damage in DAMAGES.items():
        hurt = [Spoken(damage(one, rng), one.utterances) for one in whole]
        rates[name] = round(float(np.mean([bool(detected(one)) for one in hurt])), 4)
    return rates


def human_rates(recordings: Sequence[FloatArray]) -> dict[str, Any]:
    """Count how often people's recordings set the detectors off."""
    return {
        "recordings": len(recordings),
        "clicks": round(float(np.mean([bool(clicks_at_s(one)) for one in recordings])), 4),
        "cut off": round(float(np.mean([any("cut off" in p for p in problems(one)) for one in recordings])), 4),
        "clipped": round(float(np.mean([any("clipped" in p for p in problems(one)) for one in recordings])), 4),
    }


def _within(spoken: Spoken, rng: np.random.Generator, loud: bool = False) -> int:
    """Pick a sample in the inner half; among the loudest tenth of it if asked."""
    count = len(spoken.samples)
    inner = np.abs(spoken.samples[count // 4 : 3 * count // 4])
    spots = np.flatnonzero(inner >= np.percentile(inner, 90)) if loud else np.arange(len(inner))
    return count // 4 + int(rng.choice(spots))


def _middle_of_last_vowel(spoken: Spoken) -> int:
    last = spoken.utterances[-1]
    edges = np.concatenate(([0], np.cumsum(last.durations_frames))) * last.hop_samples + last.first_sample
    vowel = max(i for i, symbol in enumerate(last.utterance.symbols) if factors(symbol)[1] != NO_PHONEME)
    return int(edges[vowel] + edges[vowel + 1]) // 2
