"""The threads that own the stages: they take batches off the waiting lists and compute them, one each at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from emotirt.errors import EngineClosed
from emotirt.scheduling.job import Clock, Job, Moment, Task
from emotirt.scheduling.policy import Batch, Rules, StageLimits, WaitingLists

logger = logging.getLogger(__name__)

JOIN_S = 30.0
"""A batch that is being computed when the loop closes is waited for; past this its thread is left to itself."""


class Stage(Protocol):
    """Computes payloads of tasks in one batch; called by several threads at once if there are several lanes."""

    def run(self, payloads: Sequence[Any]) -> Sequence[Any]:
        """Return one outcome a payload in the same order: what was made, or the exception that it failed with."""


@dataclass(frozen=True, slots=True)
class Computed:
    """A batch that was computed.

    Attributes:
        batch: what ran.
        moment: when.
        failed_items: members whose outcome is an exception.
        effort_s: time since the batch before it, as far as lanes were busy; with half of them busy, half of it.
    """

    batch: Batch
    moment: Moment
    failed_items: int
    effort_s: float = 0.0


class Loop:
    """Waiting lists and the lanes that drain them; every method may be called from any thread."""

    def __init__(
        self,
        stages: Mapping[str, Stage],
        limits: Mapping[str, StageLimits],
        rules: Rules,
        lanes: int = 1,
        side_by_side: int = 1,
        clock: Clock = time.perf_counter,
        on_batch: Callable[[Computed], None] = lambda _: None,
        jobs_at_once: int | None = None,
    ) -> None:
        """Start the lanes.

        Args:
            stages: by name, in the order in which work passes them.
            limits: of each stage's batches.
            rules: of the waiting lists.
            lanes: batches under way at once.
            side_by_side: so many of them are really computed at once; lanes past that keep the next batch ready, and
                may let it wait for more members meanwhile.
            clock: for waiting times and deadlines.
            on_batch: told of every batch, in its lane; must not raise.
            jobs_at_once: so many jobs are begun and not ended; more wait in order of arrival. None for no bound.
        """
        self._stages = dict(stages)
        self._clock = clock
        self._on_batch = on_batch
        self._side_by_side = side_by_side
        self._lists = WaitingLists({name: limits[name] for name in stages}, rules)
        self._changed = threading.Condition()
        self._jobs: dict[int, Job] = {}
        self._jobs_at_once = jobs_at_once
        self._not_begun: deque[Job] = deque()
        self._computing = 0
        self._effort_s = self._effort_until_s = 0.0
        self._is_closed = False
        self._is_stopped = False
        self._lanes = [
            threading.Thread(target=self._drain, name=f"emotirt-lane-{index}", daemon=True) for index in range(lanes)
        ]
        for lane in self._lanes:
            lane.start()

    def waiting(self, stage: str) -> int:
        """Number of tasks that wait for a stage."""
        with self._changed:
            return self._lists.count(stage)

    def limit(self, limits: Mapping[str, StageLimits]) -> None:
        """Form batches within other limits from now on."""
        with self._changed:
            self._lists.limit(limits)
            self._changed.notify_all()

    def submit(self, job: Job) -> None:
        """Let a job begin.

        Raises: EngineClosed: the loop is closed; the job has not begun and was not ended.
        """
        with self._changed:
            if self._is_closed:
                raise EngineClosed("the engine is closed; open another one")
            self._jobs[id(job)] = job
            self._not_begun.append(job)
        self._begin_waiting()

    def resume(self, job: Job) -> None:
        """Let a job go on that was held back for its consumer."""
        self._add(job, job.resume(self._clock()))

    def cancel(self, job: Job) -> bool:
        """Cancel a job and free what it has waiting; False if it had ended before."""
        was_running = job.cancel()
        self._forget(job)
        return was_running

    def expire(self, job: Job) -> bool:
        """End a job whose deadline passed without audio; False if that is not so."""
        was_late = job.expire(self._clock())
        if was_late:
            self._forget(job)
        return was_late

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until no job is left; False when it took too long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._jobs, timeout_s)

    def close(self, drain_s: float = 0.0) -> None:
        """Take no more jobs, let those there end within ``drain_s``, end the rest with EngineClosed, stop the lanes."""
        with self._changed:
            self._is_closed = True
        if drain_s > 0.0:
            self.wait_idle(drain_s)
        with self._changed:
            rest = list(self._jobs.values())
        for job in rest:
            job.end(EngineClosed("the engine closed before this request was finished; send it again"))
            self._forget(job)
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()
        for lane in self._lanes:
            lane.join(JOIN_S)
            if lane.is_alive():
                logger.error("%s is still computing %.0f s after the loop closed; it is left behind", lane.name, JOIN_S)

    def _add(self, job: Job, tasks: Sequence[Task]) -> None:
        with self._changed:
            if job.is_running:
                self._lists.add(tasks)
                if tasks:
                    self._changed.notify_all()
                return
        self._forget(job)

    def _forget(self, job: Job) -> None:
        with self._changed:
            self._jobs.pop(id(job), None)
            if job in self._not_begun:
                self._not_begun.remove(job)
            self._lists.discard(job)
            self._changed.notify_all()
        self._begin_waiting()

    def _begin_waiting(self) -> None:
        """Let waiting jobs begin, in order of arrival, as long as there is room."""
        while (job := self._next_to_begin()) is not None:
            tasks = job.begin(self._clock())
            self._add(job, tasks)

    def _next_to_begin(self) -> Job | None:
        with self._changed:
            begun = len(self._jobs) - len(self._not_begun)
            if not self._not_begun or (self._jobs_at_once is not None and begun >= self._jobs_at_once):
                return None
            return self._not_begun.popleft()

    def _drain(self) -> None:
        while (batch := self._next_batch()) is not None:
            self._survive(batch)
            self._computed()

    def _survive(self, batch: Batch) -> None:
        try:
            self._compute(batch)
        except Exception as exc:  # the edge of the thread: whatever went wrong, the lane lives on
            logger.exception("a batch of stage %s failed outside of its stage", batch.stage)
            for task in batch.tasks:
                task.job.end(exc)
                self._forget(task.job)

    def _next_batch(self) -> Batch | None:
        while True:
            with self._changed:
                if self._is_stopped:
                    return None
                now_s = self._clock()
                batch = self._lists.take(now_s, self._computing >= self._side_by_side)
                if batch is None:
                    wake_s = self._lists.wake_s(now_s)
                    self._changed.wait(None if wake_s is None else max(0.0, wake_s - now_s))
                    continue
                self._take_effort(now_s)
                self._computing += 1
            wanted = self._wanted(batch, now_s)
            if wanted is not None:
                return wanted
            self._computed()

    def _wanted(self, batch: Batch, now_s: float) -> Batch | None:
        """Leave out tasks whose jobs are past their deadline without audio, and end those; None if nothing is left."""
        for task in batch.tasks:
            if task.job.is_late(now_s):
                self.expire(task.job)
        tasks = tuple(task for task in batch.tasks if task.job.is_running)
        return Batch(batch.stage, tasks) if tasks else None

    def _computed(self) -> None:
        with self._changed:
            self._take_effort(self._clock())
            self._computing -= 1
            self._changed.notify_all()

    def _compute(self, batch: Batch) -> None:
        started_s = self._clock()
        outcomes = self._outcomes(batch)
        moment = Moment(started_s, self._clock() - started_s)
        for task, outcome in zip(batch.tasks, outcomes, strict=True):
            self._add(task.job, task.job.advance(task, outcome, moment))
        failed_items = sum(isinstance(outcome, Exception) for outcome in outcomes)
        self._on_batch(Computed(batch, moment, failed_items, self._effort_taken()))

    def _take_effort(self, now_s: float) -> None:
        busy = min(self._computing, self._side_by_side) / self._side_by_side
        self._effort_s += busy * max(0.0, now_s - self._effort_until_s)
        self._effort_until_s = now_s

    def _effort_taken(self) -> float:
        with self._changed:
            self._take_effort(self._clock())
            effort_s, self._effort_s = self._effort_s, 0.0
        return effort_s

    def _outcomes(self, batch: Batch) -> list[Any]:
        """Run a batch; if it fails as a whole, each member that is still wanted alone: only the guilty one fails."""
        stage = self._stages[batch.stage]
        payloads = [task.payload for task in batch.tasks]
        try:
            return _checked(stage.run(payloads), len(payloads))
        except Exception as exc:  # the edge of the thread
            if len(payloads) == 1:
                return [exc]
            logger.warning("a batch of %d of stage %s failed; trying each alone", len(payloads), batch.stage)
        return [self._outcome_alone(stage, task) for task in batch.tasks]

    def _outcome_alone(self, stage: Stage, task: Task) -> Any:
        if task.job.is_late(self._clock()):
            self.expire(task.job)
        if not task.job.is_running:  # and so its outcome is looked at by nobody
            return None
        try:
            return _checked(stage.run([task.payload]), 1)[0]
        except Exception as exc:  # the edge of the request
            return exc


def _checked(outcomes: Sequence[Any], count: int) -> list[Any]:
    if len(outcomes) != count:
        raise RuntimeError(f"a stage gave {len(outcomes)} outcomes for {count} payloads")
    return list(outcomes)
