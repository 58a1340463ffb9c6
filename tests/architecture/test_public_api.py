"""The public surface: what may be relied on, and nothing beside it."""

from __future__ import annotations

import inspect

import emotirt
from emotirt import errors

PUBLIC = [
    "AsyncEngine",
    "AsyncSpeechStream",
    "Audio",
    "Chunk",
    "ChunkTimings",
    "ClonedVoice",
    "EmotiRTError",
    "Emotion",
    "Engine",
    "EngineSettings",
    "NewVoice",
    "Priority",
    "Prosody",
    "SpeechOptions",
    "SpeechRequest",
    "SpeechResult",
    "SpeechStream",
    "SpokenUtterance",
    "Timings",
    "Voice",
]


def test_public_names_are_these() -> None:
    assert sorted(emotirt.__all__) == sorted(PUBLIC)


def test_every_public_name_exists_and_is_documented() -> None:
    for name in PUBLIC:
        assert inspect.getdoc(getattr(emotirt, name)), name


def test_error_tree_is_drawn_whole() -> None:
    classes = [item for item in vars(errors).values() if inspect.isclass(item) and issubclass(item, Exception)]
    drawn = errors.__doc__ or ""
    for error in classes:
        assert error.__name__ in drawn, f"draw {error.__name__} in the docstring of errors.py"
        assert issubclass(error, errors.EmotiRTError)
