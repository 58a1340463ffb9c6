"""Server-sent events of a speech response, as OpenAI names them, and our own for timestamps and errors."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterator, Mapping, Sequence

from emotirt.server.errors import problem_from_error
from emotirt.synthesis.times import timestamps_from_spoken
from emotirt.types import Chunk


class EventWriter:
    """Writes the events of one response.

    ``speech.audio.delta`` carries audio in base64, ``speech.audio.timestamps`` (ours) the times of an utterance and
    comes before its first audio, ``speech.audio.done`` ends it all, ``error`` (ours) does so when something fails.
    """

    def __init__(self, timestamp_kinds: Collection[str], sample_rate_hz: int, seed: int | None = None) -> None:
        """Write timestamps of ``timestamp_kinds``; ``sample_rate_hz`` is the engine's; ``seed`` is sent back."""
        self._kinds = timestamp_kinds
        self._seed = seed
        self._sample_rate_hz = sample_rate_hz
        self._tokens = self._frames = 0

    def of_chunk(self, chunk: Chunk, audio: bytes) -> Iterator[bytes]:
        """Give the events of a chunk whose encoder gave ``audio``."""
        if chunk.spoken is not None:
            self._tokens += chunk.spoken.utterance.token_count
            self._frames += int(chunk.spoken.durations_frames.sum())
            if self._kinds:
                described = timestamps_from_spoken(chunk.spoken, self._sample_rate_hz, self._kinds)
                yield _event({"type": "speech.audio.timestamps", **described})
        if audio:
            yield _event({"type": "speech.audio.delta", "audio": base64.b64encode(audio).decode()})

    def done(self, warnings: Sequence[str]) -> bytes:
        """End the response; usage counts phoneme tokens and frames of mel."""
        usage = {
            "input_tokens": self._tokens,
            "output_tokens": self._frames,
            "total_tokens": self._tokens + self._frames,
        }
        event: dict[str, object] = {"type": "speech.audio.done", "usage": usage}
        if self._seed is not None:
            event["seed"] = self._seed
        if warnings:
            event["warnings"] = list(warnings)
        return _event(event)

    def failed(self, error: Exception) -> bytes:
        """End the response with an error."""
        return _event({"type": "error", **problem_from_error(error).body})


def _event(fields: Mapping[str, object]) -> bytes:
    return b"data: " + json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace") + b"\n\n"
