"""Counts what an engine does and passes it on to observers; any thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from emotirt.engine.observe import BackendRecord, BatchRecord, EngineStats, Observer, Outcome, RequestRecord
from emotirt.engine.settings import ACOUSTIC
from emotirt.engine.talk import Talk
from emotirt.errors import DeadlineExceeded, Overloaded
from emotirt.scheduling.admission import Admission, Ticket
from emotirt.scheduling.job import Job, JobState
from emotirt.scheduling.loop import Computed
from emotirt.scheduling.policy import StageLimits
from emotirt.synthesis.speech import SpeechPlan
from emotirt.types import Priority

logger = logging.getLogger(__name__)

_OUTCOMES = {JobState.RESULT: Outcome.RESULT, JobState.ERROR: Outcome.ERROR, JobState.CANCELLED: Outcome.CANCELLED}


@dataclass(slots=True)
class _Counts:
    accepted: int = 0
    results: int = 0
    errors: int = 0
    cancelled: int = 0
    refused: int = 0
    deadlines_missed: int = 0
    truncated: int = 0
    chunks: int = 0
    audio_s: float = 0.0
    fallbacks: int = 0
    worker_starts: int = 0
    worker_losses: int = 0


class Counters:
    """Counters of one engine."""

    def __init__(self, observers: Sequence[Observer], admission: Admission, limits: Mapping[str, StageLimits]) -> None:
        """Start at zero.

        Args:
            observers: told of everything that is counted.
            admission: of the engine; told how fast work is done.
            limits: of batches, by stage.
        """
        self._observers = tuple(observers)
        self._admission = admission
        self._limits = limits
        self._lock = threading.Lock()
        self._counts = _Counts()

    def entered(self, priority: Priority, is_patient: bool) -> Ticket:
        """Take on a request of unknown cost; raises Overloaded, and counts that."""
        with self._counting_refusal():
            return self._admission.enter(priority, is_patient)

    def charged(self, ticket: Ticket, tokens: int) -> None:
        """Charge a request's cost; raises Overloaded, and counts that."""
        with self._counting_refusal():
            ticket.charge(tokens)

    def accepted(self, plan: SpeechPlan) -> None:
        """Count a request before it begins."""
        with self._lock:
            self._counts.accepted += 1
            self._counts.truncated += plan.is_truncated

    def withdrawn(self, plan: SpeechPlan) -> None:
        """Take back ``accepted`` for a request that could not begin."""
        with self._lock:
            self._counts.accepted -= 1
            self._counts.truncated -= plan.is_truncated

    def request_ended(self, job: Job, talk: Talk) -> None:
        """Count the end of a request."""
        outcome = _OUTCOMES[job.state]
        timings = talk.progress.timings
        with self._lock:
            counts = self._counts
            counts.results += outcome is Outcome.RESULT
            counts.errors += outcome is Outcome.ERROR
            counts.cancelled += outcome is Outcome.CANCELLED
            counts.deadlines_missed += isinstance(job.error, DeadlineExceeded)
            counts.chunks += talk.chunk_count
            counts.audio_s += timings.audio_s
        error = type(job.error).__name__ if job.error is not None else ""
        record = RequestRecord(
            job.name, talk.priority, outcome, error, timings, talk.chunk_count, talk.plan.is_truncated
        )
        self._tell(lambda observer: observer.request_ended(record))

    def batch_done(self, computed: Computed) -> None:
        """Pass on a batch and learn from it how fast work is done."""
        batch, compute_s = computed.batch, computed.moment.compute_s
        self._admission.note(batch.cost if batch.stage == ACOUSTIC else 0, compute_s, computed.effort_s)
        record = BatchRecord(
            stage=batch.stage,
            items=len(batch.tasks),
            cost=batch.cost,
            padded_cost=batch.padded_cost,
            limit=self._limits[batch.stage].padded_cost,
            compute_s=compute_s,
            failed_items=computed.failed_items,
        )
        self._tell(lambda observer: observer.batch_done(record))

    def backend_changed(self, event: str, detail: str) -> None:
        """Count what happened to the worker."""
        with self._lock:
            self._counts.fallbacks += event == "fallback"
            self._counts.worker_starts += event == "started"
            self._counts.worker_losses += event in ("lost", "start_failed")
        record = BackendRecord(event, detail)
        self._tell(lambda observer: observer.backend_changed(record))

    def snapshot(self, waiting_acoustic: int, waiting_vocoder: int) -> EngineStats:
        """Return the counters and, with the lengths of the waiting lists, the gauges."""
        with self._lock:
            counts = self._counts
            return EngineStats(
                accepted=counts.accepted,
                results=counts.results,
                errors=counts.errors,
                cancelled=counts.cancelled,
                running=counts.accepted - counts.results - counts.errors - counts.cancelled,
                refused=counts.refused,
                deadlines_missed=counts.deadlines_missed,
                truncated=counts.truncated,
                chunks=counts.chunks,
                audio_s=counts.audio_s,
                waiting_acoustic=waiting_acoustic,
                waiting_vocoder=waiting_vocoder,
                backlog_tokens=self._admission.tokens,
                tokens_per_s=self._admission.tokens_per_s,
                audio_per_s=self._admission.audio_per_s,
                fallbacks=counts.fallbacks,
                worker_starts=counts.worker_starts,
                worker_losses=counts.worker_losses,
            )

    @contextmanager
    def _counting_refusal(self) -> Iterator[None]:
        try:
            yield
        except Overloaded:
            with self._lock:
                self._counts.refused += 1
            raise

    def _tell(self, tell: Callable[[Observer], None]) -> None:
        for observer in self._observers:
            _told(observer, tell)


def _told(observer: Observer, tell: Callable[[Observer], None]) -> None:
    try:
        tell(observer)
    except Exception:  # the edge to code that is not ours; serving goes on without it
        logger.exception("an observer failed: %s", type(observer).__name__)
