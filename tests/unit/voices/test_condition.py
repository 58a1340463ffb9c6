"""Accepted ranges, and how an emotion's share adds to a request's prosody."""

from __future__ import annotations

import math
from dataclasses import fields
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotirt.bundle.manifest import ProsodyEntry
from emotirt.errors import InvalidRequest
from emotirt.types import Prosody
from emotirt.voices.condition import (
    ENERGY_RANGE_DB,
    INTENSITY_RANGE,
    NATURAL_PROSODY,
    PITCH_RANGE_RANGE,
    PITCH_SHIFT_RANGE_SEMITONES,
    SPEED_RANGE,
    blended_emotion,
    check_intensity,
    check_prosody,
    combined_prosody,
)

RANGES = {
    "speed": SPEED_RANGE,
    "pitch_shift_semitones": PITCH_SHIFT_RANGE_SEMITONES,
    "pitch_range": PITCH_RANGE_RANGE,
    "energy_db": ENERGY_RANGE_DB,
}


def test_every_control_has_a_range() -> None:
    assert {item.name for item in fields(Prosody)} == set(RANGES)
    check_prosody(NATURAL_PROSODY)


@pytest.mark.parametrize("name", RANGES)
def test_the_ends_are_accepted_and_what_lies_past_them_is_not(name: str) -> None:
    low, high = RANGES[name]
    for value in (low, high, int(high), np.float32(high), np.float64(low), Fraction(high)):
        check_prosody(Prosody(**{name: value}))
    below, above = math.nextafter(low, -math.inf), math.nextafter(high, math.inf)
    for value in (below, above, math.nan, math.inf, -math.inf, np.float32("nan"), 10**400, True, "1", None, 1j):
        with pytest.raises(InvalidRequest) as caught:
            check_prosody(Prosody(**{name: value}))  # type: ignore[arg-type]  # wrong on purpose
        assert name.split("_")[0] in str(caught.value)
        assert f"{low:g} to {high:g}" in str(caught.value)


@pytest.mark.parametrize("prosody", [None, 1.0, {"speed": 1.0}])
def test_what_is_no_prosody_is_refused(prosody: object) -> None:
    with pytest.raises(InvalidRequest, match="give a Prosody"):
        check_prosody(prosody)  # type: ignore[arg-type]  # wrong on purpose


def test_intensity() -> None:
    for value in (*INTENSITY_RANGE, 1):
        check_intensity(value)
    for value in (-0.01, 1.51, math.nan, None):
        with pytest.raises(InvalidRequest, match=r"intensity .* 0 to 1\.5"):
            check_intensity(value)  # type: ignore[arg-type]  # wrong on purpose


def unit(seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).standard_normal(256).astype(np.float32)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


@given(st.floats(*INTENSITY_RANGE))
def test_blends_have_unit_norm(intensity: float) -> None:
    mixed = blended_emotion(unit(1), unit(2), intensity)
    assert mixed.dtype == np.float32
    assert float(np.linalg.norm(mixed)) == pytest.approx(1.0, abs=1e-5)


def test_blends_go_from_neutral_through_the_emotion_and_beyond() -> None:
    neutral, emotion = unit(1), unit(2)
    np.testing.assert_array_equal(blended_emotion(neutral, emotion, 0.0), blended_emotion(neutral, neutral, 1.0))
    np.testing.assert_allclose(blended_emotion(neutral, emotion, 1.0), emotion, atol=1e-6)
    nearness = [float(blended_emotion(neutral, emotion, value) @ emotion) for value in (0.0, 0.3, 0.6, 1.0)]
    assert nearness == sorted(nearness)
    assert float(blended_emotion(neutral, emotion, 1.5) @ neutral) < float(emotion @ neutral)
    np.testing.assert_array_equal(blended_emotion(neutral, -neutral, 0.5), neutral)


def test_prosody_adds_up() -> None:
    asked, emotion = Prosody(1.5, -2.0, 0.5, 3.0), ProsodyEntry(1.21, 4.0, 1.44, -2.0)
    assert combined_prosody(asked, emotion, 0.0) == asked
    assert combined_prosody(asked, ProsodyEntry(), 1.5) == asked
    half = combined_prosody(asked, emotion, 0.5)
    assert half.speed == pytest.approx(1.5 * 1.1)
    assert half.pitch_shift_semitones == 0.0
    assert half.pitch_range == pytest.approx(0.5 * 1.2)
    assert half.energy_db == 2.0
