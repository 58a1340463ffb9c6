"""Which waiting tasks form the next batch: decisions from numbers and times alone, no threads, no clock of its own.

There is one waiting list a stage. A batch is led by the most urgent task and filled with others that may share it. It
is closed when it is full, when its oldest member has waited for the window, or at once when nothing is being computed.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Mapping, Sequence
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


_Entry = tuple[Rank, float, int, Task]
"""Rank, due time and arrival order a task, and in that order tasks are served; no two arrivals are equal."""


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
        self._waiting: dict[str, list[_Entry]] = {stage: [] for stage in reversed(self._limits)}
        self._oldest: dict[Rank, deque[_Entry]] = {rank: deque() for rank in Rank}
        self._present: set[int] = set()
        self._arrivals = itertools.count()
        self._passed_over = dict.fromkeys(Rank, 0)

    def __len__(self) -> int:
        """Number of waiting tasks."""
        return len(self._present)

    def count(self, stage: str) -> int:
        """Number of tasks that wait for a stage."""
        return len(self._waiting[stage])

    def limit(self, limits: Mapping[str, StageLimits]) -> None:
        """Form batches within other limits from now on; the stages stay the same."""
        self._limits.update(limits)

    def add(self, tasks: Sequence[Task]) -> None:
        """Let tasks wait."""
        for task in tasks:
            entry = (task.rank, task.due_s, next(self._arrivals), task)
            insort(self._waiting[task.stage], entry)
            self._oldest[task.rank].append(entry)
            self._present.add(entry[2])

    def discard(self, job: Job) -> int:
        """Remove the tasks of a job; returns how many."""
        gone = [entry for entries in self._waiting.values() for entry in entries if entry[3].job is job]
        self._remove(gone)
        return len(gone)

    def take(self, now_s: float, is_busy: bool) -> Batch | None:
        """Remove and return the next batch.

        Args:
            now_s: by the clock that tasks were stamped with.
            is_busy: whether another batch is being computed, so that waiting costs nothing.

        Returns: None when nothing waits, or all that waits may gain members until ``wake_s``.
        """
        for members in self._candidates(now_s):
            batch = _batch(members)
            if is_busy and not self._is_full(batch) and now_s < self._closing_s(batch):
                continue
            self._note_lead(batch.tasks[0].rank, now_s)
            self._remove(members)
            return batch
        return None

    def wake_s(self, now_s: float) -> float | None:
        """Return when ``take`` will give what it does not give now without new tasks; None when nothing waits."""
        return min((self._closing_s(_batch(members)) for members in self._candidates(now_s)), default=None)

    def _candidates(self, now_s: float) -> list[list[_Entry]]:
        """Return one possible batch a stage, the most urgent stage first."""
        owed = self._owed_rank(now_s)
        led = []
        for stage in self._waiting:
            self._drop_ended(stage)
            if self._waiting[stage]:
                led.append(_led(self._waiting[stage], owed))
        led.sort(key=lambda entries: (entries[0][0] is not owed, *entries[0][:2]))  # stable: later stages stay first
        return [self._filled(entries) for entries in led]

    def _drop_ended(self, stage: str) -> None:
        """Forget tasks of jobs that have ended and were not discarded yet, so that none of them leads a batch."""
        while self._waiting[stage] and not self._waiting[stage][0][3].job.is_running:
            self._remove(self._waiting[stage][:1])

    def _filled(self, entries: Sequence[_Entry]) -> list[_Entry]:
        lead = entries[0][3]
        limits = self._limits[lead.stage]
        members = [entries[0]]
        largest, useful = lead.cost, lead.cost
        for entry in entries[1:]:
            if len(members) >= limits.items:
                break
            task = entry[3]
            if task.key != lead.key or (task.rank is Rank.FIRST) != (lead.rank is Rank.FIRST):
                continue  # a first chunk does not wait for others to be computed with it
            padded = (len(members) + 1) * max(largest, task.cost)
            is_worth_it = padded <= limits.padded_cost and useful + task.cost >= self._rules.least_fill * padded
            if is_worth_it and task.job.is_running:
                members.append(entry)
                largest, useful = max(largest, task.cost), useful + task.cost
        return members

    def _is_full(self, batch: Batch) -> bool:
        limits = self._limits[batch.stage]
        count = len(batch.tasks)
        return count >= limits.items or (count + 1) * batch.padded_cost // count > limits.padded_cost

    def _closing_s(self, batch: Batch) -> float:
        return min(task.since_s for task in batch.tasks) + self._rules.window_s

    def _is_impatient(self, rank: Rank, now_s: float) -> bool:
        oldest = self._oldest[rank]
        while oldest and oldest[0][2] not in self._present:
            oldest.popleft()
        return bool(oldest) and now_s - oldest[0][3].since_s > self._rules.patience_s

    def _owed_rank(self, now_s: float) -> Rank | None:
        """Return the rank that was passed over for too long and too often, if any."""
        owed = [
            rank
            for rank in Rank
            if self._passed_over[rank] >= self._rules.share - 1 and self._is_impatient(rank, now_s)
        ]
        return max(owed, key=lambda rank: (self._passed_over[rank], rank), default=None)

    def _note_lead(self, lead: Rank, now_s: float) -> None:
        for rank in Rank:
            is_passed_over = rank is not lead and self._is_impatient(rank, now_s)
            self._passed_over[rank] = self._passed_over[rank] + 1 if is_passed_over else 0

    def _remove(self, entries: Sequence[_Entry]) -> None:
        for entry in entries:
            waiting = self._waiting[entry[3].stage]
            del waiting[bisect_left(waiting, entry)]
            self._present.discard(entry[2])
        for oldest in self._oldest.values():
            if len(oldest) > 2 * len(self._present) + 64:  # what was removed from the middle must not add up
                present = [entry for entry in oldest if entry[2] in self._present]
                oldest.clear()
                oldest.extend(present)


def _batch(members: Sequence[_Entry]) -> Batch:
    return Batch(members[0][3].stage, tuple(entry[3] for entry in members))


def _led(entries: list[_Entry], rank: Rank | None) -> list[_Entry]:
    """Put a rank that is owed a batch before the others."""
    if rank is None:
        return entries
    return sorted(entries, key=lambda entry: entry[0] is not rank)
