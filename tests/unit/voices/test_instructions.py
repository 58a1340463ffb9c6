"""Instructions in words: what is understood, how strongly, and what is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotirt.types import Prosody
from emotirt.voices.condition import NATURAL_PROSODY, check_intensity, check_prosody
from emotirt.voices.instructions import InstructedStyle, combined, style_from_instructions

OFFERED = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "bored", "surprised", "excited")


@pytest.mark.parametrize(
    ("instructions", "emotion", "intensity"),
    [
        ("Speak in a cheerful and positive tone.", "happy", 1.0),
        ("Sound very sad", "sad", 1.4),
        ("slightly annoyed, please", "angry", 0.6),
        ("用非常开心的语气说", "happy", 1.4),
        ("有点难过", "sad", 0.6),
        ("Not sad, but excited", "excited", 1.0),
        ("不要生气，很平静", "neutral", 1.4),
        ("Don't sound too angry", None, 1.0),
        ("Like a pirate", None, 1.0),
        ("Made of unhappiness", None, 1.0),
        ("", None, 1.0),
    ],
)
def test_emotion(instructions: str, emotion: str | None, intensity: float) -> None:
    style = style_from_instructions(instructions, OFFERED)
    assert (style.emotion, style.intensity) == (emotion, intensity)


def test_only_what_the_bundle_offers() -> None:
    assert style_from_instructions("excited and happy", ("neutral", "happy")).emotion == "happy"


@pytest.mark.parametrize(
    ("instructions", "prosody"),
    [
        ("Speak slowly.", Prosody(speed=0.8)),
        ("说得快一点", Prosody(speed=1.25)),
        ("快乐", NATURAL_PROSODY),
        ("whisper in a deep voice", Prosody(pitch_shift_semitones=-3.0, energy_db=-6.0)),
        ("大声", Prosody(energy_db=6.0)),
        ("monotone", Prosody(pitch_range=0.5)),
        ("not fast", NATURAL_PROSODY),
    ],
)
def test_prosody(instructions: str, prosody: Prosody) -> None:
    assert style_from_instructions(instructions, OFFERED).prosody == prosody


@given(st.text(max_size=300))
def test_any_text_gives_what_a_request_may_ask_for(instructions: str) -> None:
    style = style_from_instructions(instructions, OFFERED)
    check_prosody(style.prosody)
    check_intensity(style.intensity)
    assert isinstance(style, InstructedStyle)


def test_combined_stays_in_range() -> None:
    assert combined(Prosody(speed=4.0), Prosody(speed=1.25)).speed == 4.0
