"""Askers who each want a whole utterance, and the next one when it is there: as threads, or through the scheduler.

PyTorch is asked as a plain service asks it: a thread a request, one utterance a call. Our own backends are asked
through ``AsyncEngine``, which puts together what waits.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from emotirt.bench.speakers import open_speaker
from emotirt.bench.subjects import BACKENDS, TORCH_WAYS, Subject
from emotirt.engine.live import AsyncEngine
from emotirt.engine.request import SpeechOptions, SpeechRequest
from emotirt.engine.settings import EngineSettings
from emotirt.errors import BackendError, EmotiRTError
from emotirt.scheduling.admission import AdmissionLimits
from emotirt.types import ChunkTimings

PATIENT = SpeechOptions(deadline_s=math.inf)
UNBOUNDED = AdmissionLimits(requests=1 << 16, tokens=1 << 30, feeds_listeners=False)
"""The number of askers is the bound here, so that nobody is refused."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What one asker got; times by ``time.perf_counter``.

    Attributes:
        asked_s: when it asked.
        ended_s: when all the audio was there.
        audio_s: seconds of audio.
        first_s: when the first audio was there, None where it comes in one piece.
        chunks: where the time of each chunk went, empty where it comes in one piece.
    """

    asked_s: float
    ended_s: float
    audio_s: float
    first_s: float | None = None
    chunks: tuple[ChunkTimings, ...] = ()

    @property
    def took_ms(self) -> float:
        """From the question to the last sample."""
        return 1000.0 * (self.ended_s - self.asked_s)


class Crowd(Protocol):
    """Askers of one subject."""

    def ask(self, count: int, seconds: float) -> list[Reply]:
        """Let ``count`` askers ask again and again for so long; what is under way then is heard to its end.

        Raises: BackendError: a request failed.
        """

    def facts(self) -> dict[str, Any]:
        """Say what else a reader should know of it."""

    def close(self) -> None:
        """Release what it holds."""


class Texts:
    """Texts in turn, for many threads; repeats them when all were taken."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Hand out ``texts``."""
        self._texts = texts
        self._taken = 0
        self._lock = threading.Lock()

    def next(self) -> str:
        """Return the next one."""
        with self._lock:
            self._taken += 1
            return self._texts[(self._taken - 1) % len(self._texts)]


def open_crowd(subject: Subject, texts: Sequence[str]) -> Crowd:
    """Load a subject; raises as ``Subject.open_stage``, and BackendError if it cannot speak."""
    return ThreadCrowd(subject, texts) if subject.way in TORCH_WAYS else EngineCrowd(subject, texts)


class ThreadCrowd:
    """A thread an asker around calls that speak one utterance each."""

    def __init__(self, subject: Subject, texts: Sequence[str]) -> None:
        """Load ``subject``, whose CUDA graphs, if it has them, are used by one thread at a time."""
        self._speaker = open_speaker(subject)
        self._rate_hz = subject.bundle.manifest.sample_rate_hz
        self._texts = Texts(texts)
        is_shared = TORCH_WAYS[subject.way][0] == "eager"
        self._turn: AbstractContextManager[object] = nullcontext() if is_shared else threading.Lock()

    def ask(self, count: int, seconds: float) -> list[Reply]:
        """See ``Crowd.ask``."""
        replies: list[Reply] = []
        failures: list[EmotiRTError] = []
        stop_s = time.perf_counter() + seconds

        def asker() -> None:
            try:
                while time.perf_counter() < stop_s and not failures:
                    replies.append(self._one())
            except EmotiRTError as exc:
                failures.append(exc)

        threads = [threading.Thread(target=asker, daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise BackendError(f"one of {count} in flight failed: {failures[0]}") from failures[0]
        return replies

    def facts(self) -> dict[str, Any]:
        """See ``Crowd.facts``."""
        return {"asked_by": "threads"}

    def close(self) -> None:
        """See ``Crowd.close``."""
        self._speaker.close()

    def _one(self) -> Reply:
        text = self._texts.next()
        asked_s = time.perf_counter()
        with self._turn:
            samples = self._speaker.speak([text])
        return Reply(asked_s, time.perf_counter(), samples / self._rate_hz)


class EngineCrowd:
    """Askers of an asynchronous engine, in an event loop of their own."""

    def __init__(self, subject: Subject, texts: Sequence[str]) -> None:
        """Open an engine on ``subject``."""
        self._texts = Texts(texts)
        self._loop = asyncio.new_event_loop()
        try:
            self._engine = self._loop.run_until_complete(
                AsyncEngine.open(
                    subject.bundle.path,
                    BACKENDS[subject.way],
                    subject.threads,
                    EngineSettings(admission=UNBOUNDED),
                )
            )
        except BaseException:
            self._loop.close()
            raise

    def ask(self, count: int, seconds: float) -> list[Reply]:
        """See ``Crowd.ask``."""
        stop_s = time.perf_counter() + seconds
        try:
            return self._loop.run_until_complete(self._all(count, stop_s))
        except EmotiRTError as exc:
            raise BackendError(f"one of {count} in flight failed: {exc}") from exc

    def facts(self) -> dict[str, Any]:
        """See ``Crowd.facts``; calls that the CPU computed in place of the GPU are counted."""
        health = self._engine.health()
        return {
            "asked_by": "engine",
            "backend": health.backend,
            "state": health.state.value,
            "fallbacks": self._engine.stats().fallbacks,
        }

    def close(self) -> None:
        """See ``Crowd.close``."""
        self._loop.run_until_complete(self._engine.close())
        self._loop.close()

    async def _all(self, count: int, stop_s: float) -> list[Reply]:
        parts = await asyncio.gather(*(self._asker(stop_s) for _ in range(count)))
        return [reply for part in parts for reply in part]

    async def _asker(self, stop_s: float) -> list[Reply]:
        replies: list[Reply] = []
        while time.perf_counter() < stop_s:
            replies.append(await self._one())
        return replies

    async def _one(self) -> Reply:
        asked_s = time.perf_counter()
        first_s: float | None = None
        audio_s, chunks = 0.0, []
        async with await self._engine.submit(SpeechRequest(self._texts.next()), PATIENT) as stream:
            async for chunk in stream:
                first_s = first_s or time.perf_counter()
                audio_s += len(chunk.samples) / chunk.sample_rate_hz
                if chunk.timings is not None:
                    chunks.append(chunk.timings)
        return Reply(asked_s, time.perf_counter(), audio_s, first_s, tuple(chunks))


def steady(replies: Sequence[Reply], from_s: float, until_s: float) -> Iterator[Reply]:
    """Yield the replies to what was asked in a span of time."""
    return (reply for reply in replies if from_s <= reply.asked_s < until_s)


def audio_per_s(replies: Sequence[Reply], from_s: float, until_s: float) -> float:
    """Return seconds of audio per second within a span; a reply that sticks out of it counts by the part inside."""
    made = 0.0
    for reply in replies:
        inside_s = min(reply.ended_s, until_s) - max(reply.asked_s, from_s)
        if inside_s > 0.0:
            made += reply.audio_s * inside_s / (reply.ended_s - reply.asked_s)
    return made / (until_s - from_s)
