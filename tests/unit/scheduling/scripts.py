"""Jobs for tests of scheduling: real scripts over stages that compute with numbers instead of speech."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any

from emotirt.scheduling.job import Job, Moment, Rank, Task

DOUBLE, NEGATE = "double", "negate"


class Numbers:
    """Sends every number through both stages, one after the other, and keeps what comes out.

    Attributes:
        results: what came out, in the order in which it did.
        ends: how often the job ended; more than once is a bug.
    """

    def __init__(self, numbers: Sequence[Any], rank: Rank = Rank.FIRST) -> None:
        self.results: list[Any] = []
        self.ends = 0
        self.done = threading.Event()
        self._numbers = list(numbers)
        self._rank = rank

    def begin(self, job: Job, now_s: float) -> Sequence[Task]:
        return [task(job, DOUBLE, payload=number, rank=self._rank, now_s=now_s) for number in self._numbers]

    def advance(self, job: Job, done: Task, made: Any, moment: Moment) -> Sequence[Task]:
        if done.stage == DOUBLE:
            return [task(job, NEGATE, payload=made, rank=self._rank, now_s=moment.ended_s)]
        assert not self.ends, "called after the end"
        if job.give(moment.ended_s):
            self.results.append(made)
        if len(self.results) == len(self._numbers):
            job.end()
        return ()

    def resume(self, job: Job, now_s: float) -> Sequence[Task]:
        return ()

    def ended(self, job: Job) -> None:
        self.ends += 1
        self.done.set()


def job_of(script: Any, now_s: float = 0.0, deadline_s: float = math.inf) -> Job:
    return Job("test", script, now_s, now_s + deadline_s)


def task(
    job: Job,
    stage: str = DOUBLE,
    cost: int = 1,
    key: Any = None,
    rank: Rank = Rank.FIRST,
    now_s: float = 0.0,
    payload: Any = None,
) -> Task:
    return Task(job, stage, cost, key, rank, now_s, now_s, payload)
