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
ROUNDED_DB = 50.0
"""Signal to difference above which more than that is still rounding: the spectral vocoder makes a thousand times as
much of what a mel differs by when it was computed beside others (1e-6), at instants. Wrong audio is near 0 dB."""
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

    def difference(self, audio: bytes) -> str:
        """Say for people how audio differs."""
        found = np.frombuffer(audio[: len(audio) // 2 * 2], dtype="<i2").astype(np.int32)
        common = min(len(found), len(self.samples))
        steps = np.abs(found[:common] - self.samples[:common])
        apart = np.flatnonzero(steps > STEPS)
        style = {name: value for name, value in self.style.items() if name in ("voice", "emotion")}
        return (
            f"{self.text!r} {style}: {len(found)} samples for {len(self.samples)}, {len(apart)} of them apart, by "
            f"{steps.max(initial=0)} at most" + (f", from {apart[0]} to {apart[-1]}" if len(apart) else "")
        )

    def verdict(self, audio: bytes) -> str:
        """Compare what came: ``spoken``, ``rounded``, ``lost`` (too short), ``doubled`` (too long), ``corrupt``."""
        if len(audio) % 2:
            return "corrupt"
        found = np.frombuffer(audio, dtype="<i2").astype(np.int32)
        common = min(len(found), len(self.samples))
        wanted = self.samples[:common].astype(np.int32)
        difference = found[:common] - wanted
        is_rounded = np.abs(difference).max(initial=0) > STEPS
        if is_rounded and (wanted**2.0).sum() < 10.0 ** (ROUNDED_DB / 10.0) * (difference**2.0).sum():
            return "corrupt"
        if len(found) == len(self.samples):
            return "rounded" if is_rounded else "spoken"
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
