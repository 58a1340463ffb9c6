"""Which waiting tasks form the next batch: decisions from numbers and times alone, no threads, no clock of its own.

There is one waiting list a stage. A batch is led by the most urgent task and filled with others that may share it. It
is closed when it is full, when its oldest member has waited for the window, or at once when nothing is being computed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from emotirt.scheduling.job import Job, Rank, Task


@dataclass(frozen=True, slots=True)
class StageLimits:
    """Bounds of one batch.

    Attributes:
        items: most members.
        padded_cost: most members times the largest cost among them; a single member may exceed it.
    """

    items: int
    padded_cost: int


@dataclass(frozen=True, slots=True)
class Rules:
    """How long to wait for whom.

    Attributes:
        window_s: a batch that is not full waits so long for more members while another is being computed.
        patience_s: a rank that is passed over for longer gets its share.
        share: every so many batches one is led by a rank that has lost its patience.
        least_fill: a task joins only if so much of the padded cost remains useful.
    """

    window_s: float = 0.010
    patience_s: float = 1.0
    share: int = 4
    least_fill: float = 0.7


@dataclass(frozen=True, slots=True)
class Batch:
    """Tasks of one stage that run together.

    Attributes:
        stage: name of the stage.
        tasks: at least one.
    """

    stage: str
    tasks: tuple[Task, ...]

    @property
    def cost(self) -> int:
        """Cost without padding."""
        return sum(task.cost for task in self.tasks)

    @property
    def padded_cost(self) -> int:
        """Cost with every member padded to the largest."""
        return len(self.tasks) * max(task.cost for task in self.tasks)


class WaitingLists:
    """The waiting tasks of every stage; one thread at a time."""

    def __init__(self, limits: Mapping[str, StageLimits], rules: Rules) -> None:
        """Make empty lists.

        Args:
            limits: by stage, in the order in which work passes them; the later stage goes first among equals.
            rules: how long to wait for whom.
        """
        self._limits = dict(limits)
        self._rules = rules
        self._waiting: dict[str, dict[int, Task]] = {stage: {} for stage in reversed(self._limits)}
        self._arrivals = itertools.count()
        self._passed_over = dict.fromkeys(Rank, 0)

    def __len__(self) -> int:
        """Number of waiting tasks."""
        return sum(map(len, self._waiting.values()))

    def count(self, stage: str) -> int:
        """Number of tasks that wait for a stage."""
        return len(self._waiting[stage])

    def add(self, tasks: Sequence[Task]) -> None:
        """Let tasks wait."""
        for task in tasks:
            self._waiting[task.stage][next(self._arrivals)] = task

    def discard(self, job: Job) -> int:
        """Remove the tasks of a job; returns how many."""
        return self._remove(lambda task: task.job is job)

    def late_jobs(self, now_s: float) -> list[Job]:
        """Return jobs with waiting tasks whose deadline passed, each once."""
        late = {id(t.job): t.job for tasks in self._waiting.values() for t in tasks.values() if t.job.is_late(now_s)}
        return list(late.values())

    def take(self, now_s: float, is_busy: bool) -> Batch | None:
        """Remove and return the next batch.

        Args:
            now_s: by the clock that tasks were stamped with.
            is_busy: whether another batch is being computed, so that waiting costs nothing.

        Returns: None when nothing waits, or all that waits may gain members until ``wake_s``.
        """
        self._remove(lambda task: not task.job.is_running)
        for members in self._candidates(now_s):
            batch = Batch(members[0][1].stage, tuple(task for _, task in members))
            if is_busy and not self._is_full(batch) and now_s < self._closing_s(batch):
                continue
            for arrival, task in members:
                del self._waiting[task.stage][arrival]
            self._note_lead(batch.tasks[0].rank, now_s)
            return batch
        return None

    def wake_s(self, now_s: float) -> float | None:
        """Return when ``take`` will give what it does not give now without new tasks; None when nothing waits."""
        closing = [
            self._closing_s(Batch(members[0][1].stage, tuple(task for _, task in members)))
            for members in self._candidates(now_s)
        ]
        return min(closing, default=None)

    def _candidates(self, now_s: float) -> list[list[tuple[int, Task]]]:
        """Return one possible batch a stage, the most urgent stage first."""
        ordered = [self._ordered(stage) for stage in self._waiting if self._waiting[stage]]
        owed = self._owed_rank(now_s)
        led = [self._led(tasks, owed) for tasks in ordered]
        led.sort(key=lambda tasks: (tasks[0][1].rank is not owed, tasks[0][1].rank, tasks[0][1].due_s))  # stable
        return [self._filled(tasks) for tasks in led]

    def _ordered(self, stage: str) -> list[tuple[int, Task]]:
        return sorted(self._waiting[stage].items(), key=lambda item: (item[1].rank, item[1].due_s, item[0]))

    def _led(self, tasks: list[tuple[int, Task]], rank: Rank | None) -> list[tuple[int, Task]]:
        if rank is None:
            return tasks
        return sorted(tasks, key=lambda item: item[1].rank is not rank)

    def _filled(self, tasks: list[tuple[int, Task]]) -> list[tuple[int, Task]]:
        lead = tasks[0][1]
        limits = self._limits[lead.stage]
        members = [tasks[0]]
        largest, useful = lead.cost, lead.cost
        for arrival, task in tasks[1:]:
            if len(members) >= limits.items:
                break
            if task.key != lead.key or (task.rank is Rank.FIRST) != (lead.rank is Rank.FIRST):
                continue  # a first chunk does not wait for others to be computed with it
            padded = (len(members) + 1) * max(largest, task.cost)
            if padded <= limits.padded_cost and useful + task.cost >= self._rules.least_fill * padded:
                members.append((arrival, task))
                largest, useful = max(largest, task.cost), useful + task.cost
        return members

    def _is_full(self, batch: Batch) -> bool:
        limits = self._limits[batch.stage]
        count = len(batch.tasks)
        return count >= limits.items or (count + 1) * batch.padded_cost // count > limits.padded_cost

    def _closing_s(self, batch: Batch) -> float:
        return min(task.since_s for task in batch.tasks) + self._rules.window_s

    def _impatient(self, now_s: float) -> set[Rank]:
        since_s = dict.fromkeys(Rank, now_s)
        for tasks in self._waiting.values():
            for task in tasks.values():
                since_s[task.rank] = min(since_s[task.rank], task.since_s)
        return {rank for rank in Rank if now_s - since_s[rank] > self._rules.patience_s}

    def _owed_rank(self, now_s: float) -> Rank | None:
        """Return the rank that was passed over for too long and too often, if any."""
        owed = [rank for rank in self._impatient(now_s) if self._passed_over[rank] >= self._rules.share - 1]
        return max(owed, key=lambda rank: (self._passed_over[rank], rank), default=None)

    def _note_lead(self, lead: Rank, now_s: float) -> None:
        impatient = self._impatient(now_s)
        for rank in Rank:
            self._passed_over[rank] = self._passed_over[rank] + 1 if rank in impatient and rank is not lead else 0

    def _remove(self, is_gone: Callable[[Task], bool]) -> int:
        count = 0
        for tasks in self._waiting.values():
            gone = [arrival for arrival, task in tasks.items() if is_gone(task)]
            for arrival in gone:
                del tasks[arrival]
            count += len(gone)
        return count
