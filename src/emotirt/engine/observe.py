"""What an engine tells of itself: records for metrics as things happen, a snapshot of counters, its health."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from emotirt.synthesis.speech import Timings
from emotirt.types import Priority


class Outcome(str, Enum):
    """How an accepted request ended; each ends in exactly one of these."""

    RESULT = "result"
    ERROR = "error"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One accepted request that has ended.

    Attributes:
        request_id: its name.
        priority: as asked.
        outcome: how it ended.
        error: class name of the error, empty without one; ``DeadlineExceeded`` is a missed deadline.
        timings: where the time went; ``first_audio_s`` is 0 when there was none.
        chunk_count: chunks made.
        is_truncated: whether the text was cut at the hard limit.
    """

    request_id: str
    priority: Priority
    outcome: Outcome
    error: str
    timings: Timings
    chunk_count: int
    is_truncated: bool


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """One batch that a stage has computed.

    Attributes:
        stage: ``acoustic`` or ``vocoder``.
        items: members.
        cost: tokens (acoustic) or frames (vocoder) without padding.
        padded_cost: the same with padding.
        limit: padded cost of a full batch, so that ``padded_cost / limit`` is the fill.
        compute_s: time it took.
        failed_items: members that ended in an error.
    """

    stage: str
    items: int
    cost: int
    padded_cost: int
    limit: int
    compute_s: float
    failed_items: int


@dataclass(frozen=True, slots=True)
class BackendRecord:
    """Something happened to the accelerated backend.

    Attributes:
        event: ``started``; ``start_failed``; ``lost`` (died, hung or was given up); ``failed`` (a call gave an error);
            ``poisoned`` (a call gave NaN, silence or clipping); ``fallback`` (a call that the CPU computed instead).
        detail: what a person wants to know.
    """

    event: str
    detail: str


class Observer(Protocol):
    """Receives records in the engine's threads; it must be quick. What it raises is logged and goes no further."""

    def request_ended(self, record: RequestRecord) -> None:
        """Note a request."""

    def batch_done(self, record: BatchRecord) -> None:
        """Note a batch."""

    def backend_changed(self, record: BackendRecord) -> None:
        """Note what happened to the backend."""


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Counters since the engine was opened, and gauges of this moment.

    Attributes:
        accepted: requests taken on; equals results + errors + cancelled + running.
        results: ended with all their audio.
        errors: ended with an error, missed deadlines among them.
        cancelled: given up by their callers.
        running: gauge, requests not ended.
        refused: requests answered with ``Overloaded``, never accepted.
        deadlines_missed: no audio in time.
        truncated: texts cut at the hard limit.
        chunks: made.
        audio_s: made.
        waiting_acoustic: gauge, utterances waiting.
        waiting_vocoder: gauge, windows waiting.
        backlog_tokens: gauge, tokens accepted and not yet spoken.
        tokens_per_s: gauge, measured throughput, 0 before the first batch.
        audio_per_s: gauge, audio that could be made in a second, 0 before enough was measured.
        fallbacks: calls that the CPU computed in place of the accelerated backend.
        worker_starts: times a worker process came up.
        worker_losses: times it died, hung or failed to come up.
    """

    accepted: int = 0
    results: int = 0
    errors: int = 0
    cancelled: int = 0
    running: int = 0
    refused: int = 0
    deadlines_missed: int = 0
    truncated: int = 0
    chunks: int = 0
    audio_s: float = 0.0
    waiting_acoustic: int = 0
    waiting_vocoder: int = 0
    backlog_tokens: int = 0
    tokens_per_s: float = 0.0
    audio_per_s: float = 0.0
    fallbacks: int = 0
    worker_starts: int = 0
    worker_losses: int = 0


class HealthState(str, Enum):
    """Whether an engine takes requests, and how it speaks them."""

    READY = "ready"
    DEGRADED = "degraded"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Health:
    """State of an engine.

    Attributes:
        state: ``degraded`` while the CPU speaks for a backend that is away; both it and ``ready`` take requests.
        backend: what speaks when all is well.
        detail: why it is not ready, empty otherwise.
        worker_pid: process of the accelerated backend, None without one.
    """

    state: HealthState
    backend: str
    detail: str = ""
    worker_pid: int | None = None
