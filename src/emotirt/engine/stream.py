"""One accepted request as its caller sees it: an asynchronous iterator of chunks that can be given up."""

from __future__ import annotations

import asyncio
import contextlib
import math
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType

from emotirt.engine.talk import Talk
from emotirt.scheduling.job import Job
from emotirt.scheduling.loop import Loop
from emotirt.synthesis.speech import SpeechPlan, Timings
from emotirt.types import Chunk, Utterance


class Mailbox:
    """Carries chunks from the loop's threads to the event loop; the stream reads it."""

    def __init__(self) -> None:
        """Belong to the running event loop."""
        self.chunks: deque[Chunk] = deque()
        self.is_ended = self.is_closed = False
        self.error: Exception | None = None
        self.arrival = asyncio.Event()
        self._event_loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def expect_first_by(self, in_s: float, otherwise: Callable[[], object]) -> None:
        """Call ``otherwise`` if neither a chunk nor the end is here in ``in_s`` seconds; only in the event loop."""
        if in_s < math.inf:
            self._timer = self._event_loop.call_later(max(0.0, in_s), otherwise)

    def give(self, chunk: Chunk) -> None:
        """Take the next chunk; any thread."""
        self._event_loop.call_soon_threadsafe(self._take, chunk)

    def ended(self, error: Exception | None) -> None:
        """Learn that nothing comes any more; any thread."""
        self.later(self._end, error)

    def close(self) -> None:
        """Want nothing more; what is still on its way is thrown away."""
        self.is_closed = self.is_ended = True
        self.error = None
        self.chunks.clear()
        self._wake()

    def later(self, call: Callable[..., object], *arguments: object) -> None:
        """Call something in the event loop, if it still runs; any thread, also from a finalizer."""
        with contextlib.suppress(RuntimeError):  # the event loop is closed, so nobody waits
            self._event_loop.call_soon_threadsafe(call, *arguments)

    def _take(self, chunk: Chunk) -> None:
        if not self.is_closed:
            self.chunks.append(chunk)
            self._wake()

    def _end(self, error: Exception | None) -> None:
        if not self.is_closed:
            self.is_ended, self.error = True, error
            self._wake()

    def _wake(self) -> None:
        self.arrival.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class AsyncSpeechStream(AsyncIterator[Chunk]):
    """Chunks of an accepted request, made whether or not they are asked for, up to a bound of unread audio.

    Use it in ``async with``, or read it to its end, or call ``aclose``: giving it up frees what it has waiting. Being
    cancelled while waiting for a chunk, or being dropped, gives it up too. One task at a time may read it.

    Attributes:
        request_id: as asked, or made.
    """

    def __init__(self, request_id: str, job: Job, talk: Talk, mailbox: Mailbox, loop: Loop) -> None:
        """Made by ``AsyncEngine.submit``."""
        self.request_id = request_id
        self._job = job
        self._talk = talk
        self._mailbox = mailbox
        self._loop = loop
        self._drop = weakref.finalize(self, mailbox.later, loop.cancel, job)
        self._drop.atexit = False

    @property
    def plan(self) -> SpeechPlan:
        """What will be spoken."""
        return self._talk.plan

    @property
    def voice(self) -> str:
        """The voice that speaks."""
        return self.plan.voice

    @property
    def utterances(self) -> tuple[Utterance, ...]:
        """What will be spoken, by utterance."""
        return self.plan.utterances

    @property
    def timings(self) -> Timings:
        """Times up to the last chunk made; ``queue_s`` is what the first chunk waited."""
        return self._talk.progress.timings

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings up to the last chunk made."""
        return tuple(self._talk.progress.warnings)

    async def __anext__(self) -> Chunk:
        """Wait for the next chunk.

        Raises:
            DeadlineExceeded: no audio in time.
            BackendError: a stage failed, and what speaks in its place too.
            EngineClosed: the engine closed before the request was finished.
        """
        mailbox = self._mailbox
        while not mailbox.chunks:
            if mailbox.is_ended:
                self._drop.detach()
                error, mailbox.error = mailbox.error, None
                if error is not None:
                    raise error
                raise StopAsyncIteration
            mailbox.arrival.clear()
            try:
                await mailbox.arrival.wait()
            except asyncio.CancelledError:
                self._give_up()
                raise
        chunk = mailbox.chunks.popleft()
        self._talk.read_s += len(chunk.samples) / chunk.sample_rate_hz
        if self._talk.is_held:
            self._talk.is_held = False
            self._loop.resume(self._job)
        return chunk

    async def aclose(self) -> None:
        """Give the request up; nothing happens if it has ended."""
        self._give_up()

    async def __aenter__(self) -> AsyncSpeechStream:
        """Return the stream itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give up what was not read."""
        self._give_up()

    def _give_up(self) -> None:
        self._drop.detach()
        self._mailbox.close()
        self._loop.cancel(self._job)
