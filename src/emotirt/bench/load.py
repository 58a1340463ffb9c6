"""Load on a running server: open loop, closed loop, or listeners who hear sentence after sentence in real time.

Every delay counts from the time at which a request was due, not from when it was sent, so that a client or a server
that falls behind cannot hide it. Each request is a sentence, English and Chinese in turn; the supply repeats one after
hundreds at the earliest, and the server keeps no speech.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from emotirt.bench.http_stream import ServerAddress
from emotirt.bench.sentences import mixed_texts
from emotirt.bench.speech_client import Outcome, speak
from emotirt.bench.stats import Distribution, distribution
from emotirt.bench.workload import poisson_times_s, staggered_starts_s
from emotirt.errors import BackendError

LATE_MS = 500.0
UNDERRUN_MS = 100.0
MOST_SHARE = 0.01
"""A level is held if no more of its streams are late (or fail), and no more of them underrun: the 99th percentile."""
REFUSED = "429"
PAUSE_S = 1.0
"""After a failed request a listener or client waits so long before the next."""


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """How long and from which seed.

    Attributes:
        seconds: in which counted requests are due.
        warm_up_s: before; its requests are spoken and not counted, and listeners begin spread over it.
        seed: of sentences and times.
    """

    seconds: float = 10.0
    warm_up_s: float = 3.0
    seed: int = 0

    @property
    def whole_s(self) -> float:
        """From the first request to the last."""
        return self.warm_up_s + self.seconds


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load was answered with; distributions are over requests that got audio, None if none did.

    Attributes:
        requests: counted.
        problems: how many of them failed, by status or what went wrong.
        ttfa_ms: from due to first audio.
        gap_ms: between chunks.
        end_to_end_ms: from due to last byte.
        underrun_ms: of each stream.
        late_share: part of all requests with first audio after ``LATE_MS`` or not at all, or that failed.
        underrun_share: part of all requests whose underrun is above ``UNDERRUN_MS``.
        refused_share: part of all requests that were answered with 429.
        fed_late_share: part of those not refused that were late or failed.
        fed_underrun_share: part of those not refused whose underrun is above ``UNDERRUN_MS``.
        rtfx: seconds of audio received per second of wall time, all streams together; short loads count a little too
            much, because audio comes faster than it is heard.
        client_lag_ms: how much later than due the client sent; if this is large, the client is what was measured.
    """

    requests: int
    problems: dict[str, int]
    ttfa_ms: Distribution | None
    gap_ms: Distribution | None
    end_to_end_ms: Distribution | None
    underrun_ms: Distribution | None
    late_share: float
    underrun_share: float
    refused_share: float
    fed_late_share: float
    fed_underrun_share: float
    rtfx: float
    client_lag_ms: Distribution

    @property
    def is_held(self) -> bool:
        """Whether the server kept up."""
        return self.late_share <= MOST_SHARE and self.underrun_share <= MOST_SHARE

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        found: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        return {name: item.to_dict() if isinstance(item, Distribution) else item for name, item in found.items()}


def report_from_outcomes(outcomes: list[Outcome]) -> LoadReport:
    """Summarize counted requests.

    Raises: BackendError: there are none.
    """
    if not outcomes:
        raise BackendError("no request was due in the measured time; give more --seconds or a higher rate")
    heard = [item for item in outcomes if item.ttfa_s is not None]
    done = [item for item in heard if not item.problem]
    fed = [item for item in outcomes if item.problem != REFUSED]
    wall_s = max(item.ended_s for item in outcomes) - min(item.scheduled_s for item in outcomes)
    return LoadReport(
        requests=len(outcomes),
        problems=dict(Counter(item.problem for item in outcomes if item.problem)),
        ttfa_ms=_spread_ms([item.ttfa_s for item in heard if item.ttfa_s is not None]),
        gap_ms=_spread_ms([gap_s for item in heard for gap_s in item.playback.gaps_s]),
        end_to_end_ms=_spread_ms([item.ended_s - item.scheduled_s for item in done]),
        underrun_ms=_spread_ms([item.playback.underrun_s for item in heard]),
        late_share=_share(outcomes, _is_late),
        underrun_share=_share(outcomes, _is_starved),
        refused_share=1.0 - len(fed) / len(outcomes),
        fed_late_share=_share(fed, _is_late),
        fed_underrun_share=_share(fed, _is_starved),
        rtfx=sum(item.playback.audio_s for item in outcomes) / wall_s,
        client_lag_ms=distribution([1000.0 * (item.sent_s - item.scheduled_s) for item in outcomes]),
    )


def open_loop(server: ServerAddress, rate_per_s: float, settings: LoadSettings) -> LoadReport:
    """Send at Poisson times, whatever the server does; raises InvalidRequest, BackendError."""
    times_s = poisson_times_s(rate_per_s, settings.whole_s, settings.seed)
    texts = mixed_texts(1, settings.seed)

    async def send(start_s: float) -> list[Outcome]:
        return list(await asyncio.gather(*(speak(server, next(texts), start_s + time_s) for time_s in times_s)))

    return _counted(send, settings)


def closed_loop(server: ServerAddress, clients: int, settings: LoadSettings) -> LoadReport:
    """Let each client send its next request when the last one was answered; raises BackendError."""
    return _taking_turns(server, [0.0] * clients, settings, lambda outcome: outcome.ended_s)


def listeners(server: ServerAddress, count: int, settings: LoadSettings) -> LoadReport:
    """Let each listener ask for the next sentence when the last one has been heard; raises BackendError."""
    starts_s = staggered_starts_s(count, settings.warm_up_s, settings.seed)
    return _taking_turns(server, starts_s, settings, lambda outcome: outcome.playback.heard_until_s)


def _taking_turns(
    server: ServerAddress, starts_s: list[float], settings: LoadSettings, next_s: Callable[[Outcome], float]
) -> LoadReport:
    texts = mixed_texts(1, settings.seed)

    async def send(start_s: float) -> list[Outcome]:
        stop_s = start_s + settings.whole_s
        turns = (_turns(server, texts, (start_s + first_s, stop_s), next_s) for first_s in starts_s)
        return [outcome for part in await asyncio.gather(*turns) for outcome in part]

    return _counted(send, settings)


async def _turns(
    server: ServerAddress, texts: Iterator[str], span_s: tuple[float, float], next_s: Callable[[Outcome], float]
) -> list[Outcome]:
    due_s, stop_s = span_s
    outcomes: list[Outcome] = []
    while due_s < stop_s:
        outcome = await speak(server, next(texts), due_s)
        outcomes.append(outcome)
        due_s = outcome.ended_s + PAUSE_S if outcome.problem else next_s(outcome)
    return outcomes


def _counted(send: Callable[[float], Awaitable[list[Outcome]]], settings: LoadSettings) -> LoadReport:
    async def run() -> LoadReport:
        start_s = time.perf_counter()
        outcomes = await send(start_s)
        return report_from_outcomes([item for item in outcomes if item.scheduled_s >= start_s + settings.warm_up_s])

    return asyncio.run(run())


def _is_late(item: Outcome) -> bool:
    return bool(item.problem) or item.ttfa_s is None or 1000.0 * item.ttfa_s > LATE_MS


def _is_starved(item: Outcome) -> bool:
    return 1000.0 * item.playback.underrun_s > UNDERRUN_MS


def _share(outcomes: list[Outcome], is_so: Callable[[Outcome], bool]) -> float:
    return sum(map(is_so, outcomes)) / max(1, len(outcomes))


def _spread_ms(seconds: list[float]) -> Distribution | None:
    return distribution([1000.0 * item for item in seconds]) if seconds else None
