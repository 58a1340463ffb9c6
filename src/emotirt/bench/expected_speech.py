"""Short requests whose audio is known beforehand, from the engine that has no queue, no batches and no worker."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotirt.audio.pcm import FULL_SCALE, int16_from_float
from emotirt.engine import Engine, SpeechRequest

TOLERANCE = 1e-4
"""Of full scale, to which scheduled speech equals the oracle's; a 16-bit sample may round to the next on top."""
STEPS = int(TOLERANCE * FULL_SCALE) + 1
TEXTS = (
    "Hi.", "No.", "Yes!", "Go on.", "Who?", "Stop it.", "One, two.", "It is late.", "See you.", "Fine, thanks.",
    "好。", "不行！", "你好。", "谁？", "再见。", "三点了。", "天黑了。", "走吧。", "OK，好的。", "给我 Wi-Fi。",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Known:
    """A request and its audio.

    Attributes:
        text: to say.
        style: fields of the request's body beside the text.
        samples: int16 [samples] at the bundle's rate.
    """

    text: str
    style: Mapping[str, Any]
    samples: NDArray[np.int16]

    def verdict(self, audio: bytes) -> str:
        """Compare what came: ``spoken``, ``lost`` (too short), ``doubled`` (too long), ``corrupt``."""
        if len(audio) % 2:
            return "corrupt"
        found = np.frombuffer(audio, dtype="<i2").astype(np.int32)
        common = min(len(found), len(self.samples))
        if np.abs(found[:common] - self.samples[:common]).max(initial=0) > STEPS:
            return "corrupt"
        if len(found) == len(self.samples):
            return "spoken"
        return "lost" if len(found) < len(self.samples) else "doubled"


def known_requests(engine: Engine, count: int, seed: int) -> list[Known]:
    """Speak ``count`` different short requests: texts, voices, emotions and rates mixed."""
    generator = random.Random(f"known:{seed}")  # not for secrets
    voices: Sequence[str | None] = [None, *(voice.name for voice in engine.voices)]
    emotions: Sequence[str | None] = [None, *(emotion.name for emotion in engine.emotions)]
    combinations = [(text, voice, emotion) for text in TEXTS for voice in voices for emotion in emotions]
    return [known_speech(engine, *chosen) for chosen in generator.sample(combinations, min(count, len(combinations)))]


def known_speech(engine: Engine, text: str, voice: str | None = None, emotion: str | None = None) -> Known:
    """Speak one request."""
    named = {"voice": voice, "emotion": emotion}
    chosen = {name: value for name, value in named.items() if value is not None}
    samples = engine.say(SpeechRequest(text, **chosen)).audio.samples  # type: ignore[arg-type]  # strings
    style = {"response_format": "pcm", "sample_rate": engine.sample_rate_hz, **chosen}
    return Known(text, style, int16_from_float(samples))
