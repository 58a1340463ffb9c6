"""EmotiRT: low-latency emotional text-to-speech.

    from emotirt import Engine, SpeechRequest

    with Engine.open() as engine:
        result = engine.say(SpeechRequest("Hello, 你好!", emotion="happy"))

Names are loaded when first used, so that ``import emotirt`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emotirt.bundle.manifest import EmotionEntry as Emotion
    from emotirt.bundle.manifest import VoiceEntry as Voice
    from emotirt.engine import Engine, SpeechRequest, SpeechResult, SpeechStream, Timings
    from emotirt.engine.live import AsyncEngine
    from emotirt.engine.request import SpeechOptions
    from emotirt.engine.settings import EngineSettings
    from emotirt.engine.stream import AsyncSpeechStream
    from emotirt.engine.voices import ClonedVoice, NewVoice
    from emotirt.errors import EmotiRTError
    from emotirt.types import Audio, Chunk, ChunkTimings, Priority, Prosody, SpokenUtterance

__all__ = [
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

_PLACES = {
    "AsyncEngine": ("emotirt.engine.live", "AsyncEngine"),
    "AsyncSpeechStream": ("emotirt.engine.stream", "AsyncSpeechStream"),
    "Audio": ("emotirt.types", "Audio"),
    "Chunk": ("emotirt.types", "Chunk"),
    "ChunkTimings": ("emotirt.types", "ChunkTimings"),
    "Emotion": ("emotirt.bundle.manifest", "EmotionEntry"),
    "ClonedVoice": ("emotirt.engine.voices", "ClonedVoice"),
    "EmotiRTError": ("emotirt.errors", "EmotiRTError"),
    "Engine": ("emotirt.engine", "Engine"),
    "EngineSettings": ("emotirt.engine.settings", "EngineSettings"),
    "NewVoice": ("emotirt.engine.voices", "NewVoice"),
    "Priority": ("emotirt.types", "Priority"),
    "Prosody": ("emotirt.types", "Prosody"),
    "SpeechOptions": ("emotirt.engine.request", "SpeechOptions"),
    "SpeechRequest": ("emotirt.engine", "SpeechRequest"),
    "SpeechResult": ("emotirt.engine", "SpeechResult"),
    "SpeechStream": ("emotirt.engine", "SpeechStream"),
    "SpokenUtterance": ("emotirt.types", "SpokenUtterance"),
    "Timings": ("emotirt.engine", "Timings"),
    "Voice": ("emotirt.bundle.manifest", "VoiceEntry"),
}


def __getattr__(name: str) -> object:
    """Load a public name on first use."""
    if name not in _PLACES:
        raise AttributeError(f"module 'emotirt' has no attribute {name!r}; it offers {', '.join(__all__)}")
    module, attribute = _PLACES[name]
    value: object = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
