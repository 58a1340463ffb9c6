"""A job: one accepted request on its way through the stages, its tasks, and its single end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any, Protocol

from emotirt.errors import DeadlineExceeded

Clock = Callable[[], float]
"""Gives seconds that only grow, as ``time.perf_counter`` does."""


class Rank(IntEnum):
    """Which tasks overtake which; smaller goes first."""

    FIRST = 0
    LATER = 1
    BULK = 2


class JobState(Enum):
    """Where a job stands; all but ``RUNNING`` are ends, and a job reaches exactly one."""

    RUNNING = "running"
    RESULT = "result"
    ERROR = "error"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One piece of work for one stage.

    Attributes:
        job: whose it is.
        stage: name of the stage.
        cost: what it adds to a batch without padding: tokens or frames, at least 1.
        key: only tasks of equal keys share a batch.
        rank: who overtakes whom.
        due_s: among equals of rank the earliest goes first.
        since_s: when it began to wait.
        payload: what the stage takes; scheduling does not look at it.
        place: where its outcome belongs; scheduling does not look at it.
    """

    job: Job
    stage: str
    cost: int
    key: Hashable
    rank: Rank
    due_s: float
    since_s: float
    payload: Any
    place: Any = None


@dataclass(frozen=True, slots=True)
class Moment:
    """When a batch ran.

    Attributes:
        started_s: by the clock.
        compute_s: how long it took.
    """

    started_s: float
    compute_s: float

    @property
    def ended_s(self) -> float:
        """When it was done, by the clock."""
        return self.started_s + self.compute_s


class Script(Protocol):
    """What a job does; called by one thread at a time, and not again after ``ended``."""

    def begin(self, job: Job, now_s: float) -> Sequence[Task]:
        """Return the first tasks."""

    def advance(self, job: Job, task: Task, made: Any, moment: Moment) -> Sequence[Task]:
        """Take what a task made, hand on what is ready, and return the tasks that follow.

        The script ends its job by ``job.end`` when nothing is left, and tells of audio by ``job.give``.
        """

    def resume(self, job: Job, now_s: float) -> Sequence[Task]:
        """Return tasks that were held back for a consumer who has read on."""

    def ended(self, job: Job) -> None:
        """Tell the consumer how the job ended; called exactly once."""


class Job:
    """State of one accepted request; every method may be called from any thread.

    Attributes:
        name: for logs.
        submitted_s: by the clock.
        deadline_s: when its first audio is due, by the clock; infinite for none.
        error: why it ended, in state ``ERROR``.
    """

    def __init__(self, name: str, script: Script, submitted_s: float, deadline_s: float) -> None:
        """Begin a job in state ``RUNNING``."""
        self.name = name
        self.submitted_s = submitted_s
        self.deadline_s = deadline_s
        self.error: Exception | None = None
        self._script = script
        self._state = JobState.RUNNING
        self._has_audio = False
        self._lock = threading.RLock()

    @property
    def state(self) -> JobState:
        """Where it stands."""
        return self._state

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._state is JobState.RUNNING

    def is_late(self, now_s: float) -> bool:
        """Whether its deadline passed without any audio."""
        return not self._has_audio and now_s > self.deadline_s

    def begin(self, now_s: float) -> Sequence[Task]:
        """Return its first tasks."""
        return self._while_running(lambda: self._script.begin(self, now_s))

    def advance(self, task: Task, outcome: Any, moment: Moment) -> Sequence[Task]:
        """Take a task's outcome; an exception as outcome, or one that the script raises, ends the job."""
        if isinstance(outcome, Exception):
            self.end(outcome)
            return ()
        return self._while_running(lambda: self._script.advance(self, task, outcome, moment))

    def resume(self, now_s: float) -> Sequence[Task]:
        """Return tasks that were held back until now."""
        return self._while_running(lambda: self._script.resume(self, now_s))

    def give(self, now_s: float) -> bool:
        """Note that audio is ready at ``now_s``; False when that is too late, which ends the job."""
        with self._lock:
            if self.is_running and self.is_late(now_s):
                self.expire(now_s)
            if self.is_running:
                self._has_audio = True
            return self.is_running

    def end(self, error: Exception | None = None) -> bool:
        """End with all its audio, or with an error; False if it had ended before."""
        return self._end(JobState.RESULT if error is None else JobState.ERROR, error)

    def cancel(self) -> bool:
        """End because nobody wants it any more; False if it had ended before."""
        return self._end(JobState.CANCELLED, None)

    def expire(self, now_s: float) -> bool:
        """End if its deadline passed without any audio; False if not, or if it had ended before."""
        with self._lock:
            if not self.is_late(now_s):
                return False
            limit_ms = 1000.0 * (self.deadline_s - self.submitted_s)
            return self.end(
                DeadlineExceeded(
                    f"no audio within {limit_ms:.0f} ms; try again later, with less load or with a longer deadline"
                )
            )

    def _end(self, state: JobState, error: Exception | None) -> bool:
        with self._lock:
            if not self.is_running:
                return False
            self._state = state
            self.error = error
            self._script.ended(self)
            return True

    def _while_running(self, step: Callable[[], Sequence[Task]]) -> Sequence[Task]:
        with self._lock:
            if not self.is_running:
                return ()
            try:
                tasks = step()
            except Exception as exc:  # the edge of the request: its error is its own
                self.end(exc)
                return ()
            return tasks if self.is_running else ()
