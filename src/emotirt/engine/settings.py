"""How an asynchronous engine schedules; every number has a default, and ``None`` is decided by the backend."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from emotirt.errors import InvalidRequest
from emotirt.scheduling.admission import AdmissionLimits
from emotirt.scheduling.policy import Rules, StageLimits
from emotirt.scheduling.supervisor import CALL_TIMEOUT_S, WorkerSettings
from emotirt.types import Priority

AUTO, WORKER, INLINE = "auto", "worker", "inline"
ISOLATIONS = (AUTO, WORKER, INLINE)
CPU_BACKENDS = ("onnxruntime", "torch")
"""Backends that cannot poison their process as a CUDA fault does, so that they need no process of their own."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Settings of an ``AsyncEngine``.

    Attributes:
        isolation: ``worker`` puts the backend into its own process, ``inline`` keeps it in this one, ``auto`` isolates
            every backend but those of the CPU.
        live_deadline_s: to the first audio of a live request that names none.
        bulk_deadline_s: the same for bulk requests.
        ahead_s: a request whose consumer leaves so much audio unread is held back.
        bulk_lookahead: utterances of one bulk request in the acoustic stage at once; a live one has 1.
        lanes: batches computed at once; None for ``default_lanes`` inline, and 2 with a worker so that it always has
            the next one.
        acoustic: limits of a batch in utterances and padded tokens, None for the backend's.
        vocoder: limits of a batch in windows and padded frames, None for the backend's.
        rules: of the waiting lists.
        admission: bounds on what is taken on.
        worker: of the worker process.
        warm_up: speak a little while opening, so that the first request finds everything loaded.
        frontend_threads: texts read at once.
        requests_at_once: requests being spoken at once, more wait in order of arrival; None for no bound. With 1
            nothing is shared, which is there to compare with.
    """

    isolation: str = AUTO
    live_deadline_s: float = 0.5
    bulk_deadline_s: float = math.inf
    ahead_s: float = 30.0
    bulk_lookahead: int = 8
    lanes: int | None = None
    acoustic: StageLimits | None = None
    vocoder: StageLimits | None = None
    rules: Rules = field(default_factory=Rules)
    admission: AdmissionLimits = field(default_factory=AdmissionLimits)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    warm_up: bool = True
    frontend_threads: int = 2
    requests_at_once: int | None = None

    def deadline_s(self, priority: Priority) -> float:
        """Return the deadline of a request that names none."""
        return self.live_deadline_s if priority is Priority.LIVE else self.bulk_deadline_s


ACOUSTIC, VOCODER = "acoustic", "vocoder"
"""The stages as they are scheduled, in the order in which work passes them."""
CPU_ACOUSTIC = StageLimits(items=4, padded_cost=320)
CPU_VOCODER = StageLimits(items=4, padded_cost=256)
"""On a CPU a batch takes nearly as long as its members in turn, and whoever comes next waits for it: keep it short."""
CPU_CALL_TIMEOUT_S = 60.0
"""The longest utterance takes seconds on a slow core that others use too."""
GPU_ACOUSTIC = StageLimits(items=16, padded_cost=1920)
GPU_VOCODER = StageLimits(items=32, padded_cost=4096)
"""On a GPU a window of 122 frames at batch 32 costs little more than alone."""


def default_lanes(threads: int) -> int:
    """Return how many batches a CPU of so many threads computes at once.

    Two small batches side by side keep two cores busier than one batch that is divided between them, and a first chunk
    finds a free lane sooner; with many cores a single request should still be divided.
    """
    return min(threads, max(2, threads // 4))


def resolved_settings(settings: EngineSettings, backend: str, threads: int) -> EngineSettings:
    """Decide what was left open.

    Args:
        settings: as given.
        backend: a name of ``runtime.open.backends()``.
        threads: CPU threads of all lanes together.

    Raises: InvalidRequest: a value is not accepted.
    """
    if settings.isolation not in ISOLATIONS:
        raise InvalidRequest(f"isolation {settings.isolation!r} is not accepted; give one of {', '.join(ISOLATIONS)}")
    if settings.lanes is not None and settings.lanes < 1:
        raise InvalidRequest(f"{settings.lanes} lanes are not possible; give at least 1, or None")
    if settings.requests_at_once is not None and settings.requests_at_once < 1:
        raise InvalidRequest(
            f"{settings.requests_at_once} requests at once are not possible; give at least 1, or None for no bound"
        )
    is_cpu = backend in CPU_BACKENDS
    isolation = settings.isolation
    if isolation == AUTO:
        isolation = INLINE if is_cpu else WORKER
    worker = settings.worker
    if worker.call_timeout_s is None:
        worker = replace(worker, call_timeout_s=CPU_CALL_TIMEOUT_S if is_cpu else CALL_TIMEOUT_S)
    return replace(
        settings,
        worker=worker,
        isolation=isolation,
        lanes=settings.lanes or (default_lanes(threads) if isolation == INLINE else 2),
        acoustic=settings.acoustic or (CPU_ACOUSTIC if is_cpu else GPU_ACOUSTIC),
        vocoder=settings.vocoder or (CPU_VOCODER if is_cpu else GPU_VOCODER),
    )


STAND_IN_LIMITS = {ACOUSTIC: CPU_ACOUSTIC, VOCODER: CPU_VOCODER}
"""While the CPU speaks for a GPU: a batch that takes a GPU milliseconds would hold everybody up for seconds."""


def batch_limits(settings: EngineSettings) -> dict[str, StageLimits]:
    """Return the limits of each stage of resolved settings."""
    return {ACOUSTIC: settings.acoustic or CPU_ACOUSTIC, VOCODER: settings.vocoder or CPU_VOCODER}
