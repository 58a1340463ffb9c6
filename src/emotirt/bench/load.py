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
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import Any

from emotirt.bench.http_stream import ServerAddress
from emotirt.bench.sentences import live_texts, mixed_texts
from emotirt.bench.speech_client import BULK, LIVE, Outcome, speak
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
BULK_SENTENCES = 8
"""Of a text in bulk: half a minute of speech."""


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """How long and from which seed.

    Attributes:
        seconds: in which counted requests are due.
        warm_up_s: before; its requests are spoken and not counted, and listeners begin spread over it.
        seed: of sentences and times.
        late_ms: first audio after so long is late.
        is_live_text: texts of 5 to 200 characters instead of sentences of like length.
        bulk_clients: so many others ask for one long text after another meanwhile, in bulk.
    """

    seconds: float = 10.0
    warm_up_s: float = 3.0
    seed: int = 0
    late_ms: float = LATE_MS
    is_live_text: bool = False
    bulk_clients: int = 0

    @property
    def texts(self) -> Iterator[str]:
        """Texts to speak, without end."""
        return live_texts(self.seed) if self.is_live_text else mixed_texts(1, self.seed)

    @property
    def whole_s(self) -> float:
        """From the first request to the last."""
        return self.warm_up_s + self.seconds


@dataclass(frozen=True, slots=True)
class BulkReport:
    """What those got who wait for a whole long text.

    Attributes:
        requests: ended while the others were counted.
        problems: how many of them failed, by status or what went wrong.
        rtfx: seconds of audio per second of wall time, all together.
    """

    requests: int
    problems: dict[str, int]
    rtfx: float


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
        late_share: part of all requests with first audio after ``late_ms`` or not at all, or that failed.
        underrun_share: part of all requests whose underrun is above ``UNDERRUN_MS``.
        refused_share: part of all requests that were answered with 429.
        fed_late_share: part of those not refused that were late or failed.
        fed_underrun_share: part of those not refused whose underrun is above ``UNDERRUN_MS``.
        rtfx: seconds of audio received per second of wall time, all streams together; short loads count a little too
            much, because audio comes faster than it is heard.
        client_lag_ms: how much later than due the client sent; if this is large, the client is what was measured.
        completed_per_s: requests that got all their audio, per second in which requests were due.
        steps_ms: the server's own medians on the way to first audio, by step.
        late_ms: what counts as late.
        bulk: what others got meanwhile who were not counted among the requests.
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
    completed_per_s: float = 0.0
    steps_ms: dict[str, float] = field(default_factory=dict)
    late_ms: float = LATE_MS
    bulk: BulkReport | None = None

    @property
    def is_held(self) -> bool:
        """Whether the server kept up."""
        return self.late_share <= MOST_SHARE and self.underrun_share <= MOST_SHARE

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        found: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        found["bulk"] = None if self.bulk is None else asdict(self.bulk)
        return {name: item.to_dict() if isinstance(item, Distribution) else item for name, item in found.items()}


def report_from_outcomes(outcomes: list[Outcome], late_ms: float = LATE_MS, seconds: float = 0.0) -> LoadReport:
    """Summarize counted requests.

    Args:
        outcomes: of requests, those in bulk left out.
        late_ms: first audio after so long is late.
        seconds: in which they were due, 0 for until the last one ended.

    Raises: BackendError: there are none.
    """

    def is_late(item: Outcome) -> bool:
        return bool(item.problem) or item.ttfa_s is None or 1000.0 * item.ttfa_s > late_ms

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
        late_share=_share(outcomes, is_late),
        underrun_share=_share(outcomes, _is_starved),
        refused_share=1.0 - len(fed) / len(outcomes),
        fed_late_share=_share(fed, is_late),
        fed_underrun_share=_share(fed, _is_starved),
        rtfx=sum(item.playback.audio_s for item in outcomes) / wall_s,
        client_lag_ms=distribution([1000.0 * (item.sent_s - item.scheduled_s) for item in outcomes]),
        completed_per_s=len(done) / (seconds or wall_s),
        steps_ms=_median_steps_ms(heard),
        late_ms=late_ms,
    )


def _median_steps_ms(heard: list[Outcome]) -> dict[str, float]:
    names = heard[0].steps_ms if heard else ()
    return {name: round(median(item.steps_ms.get(name, 0.0) for item in heard), 2) for name in names}


def open_loop(server: ServerAddress, rate_per_s: float, settings: LoadSettings) -> LoadReport:
    """Send at Poisson times, whatever the server does; raises InvalidRequest, BackendError."""
    times_s = poisson_times_s(rate_per_s, settings.whole_s, settings.seed)
    texts = settings.texts

    async def send(start_s: float) -> list[Outcome]:
        return list(await asyncio.gather(*(speak(server, next(texts), start_s + time_s) for time_s in times_s)))

    return _counted(server, send, settings)


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
    texts = settings.texts

    async def send(start_s: float) -> list[Outcome]:
        stop_s = start_s + settings.whole_s
        turns = (_turns(server, texts, (start_s + first_s, stop_s), next_s) for first_s in starts_s)
        return [outcome for part in await asyncio.gather(*turns) for outcome in part]

    return _counted(server, send, settings)


async def _turns(
    server: ServerAddress,
    texts: Iterator[str],
    span_s: tuple[float, float],
    next_s: Callable[[Outcome], float],
    priority: str = LIVE,
) -> list[Outcome]:
    due_s, stop_s = span_s
    outcomes: list[Outcome] = []
    while due_s < stop_s:
        outcome = await speak(server, next(texts), due_s, priority=priority)
        outcomes.append(outcome)
        due_s = outcome.ended_s + PAUSE_S if outcome.problem else next_s(outcome)
    return outcomes


def _counted(
    server: ServerAddress, send: Callable[[float], Awaitable[list[Outcome]]], settings: LoadSettings
) -> LoadReport:
    async def run() -> LoadReport:
        start_s = time.perf_counter()
        span_s = (start_s + settings.warm_up_s, start_s + settings.whole_s)
        outcomes, bulk = await asyncio.gather(send(start_s), _in_bulk(server, settings, start_s))
        counted = [item for item in outcomes if item.scheduled_s >= span_s[0]]
        report = report_from_outcomes(counted, settings.late_ms, settings.seconds)
        return replace(report, bulk=_bulk_report(bulk, span_s)) if settings.bulk_clients else report

    return asyncio.run(run())


async def _in_bulk(server: ServerAddress, settings: LoadSettings, start_s: float) -> list[Outcome]:
    """Let the bulk clients ask for one long text after another."""
    texts = mixed_texts(BULK_SENTENCES, settings.seed + 1)
    span_s = (start_s, start_s + settings.whole_s)
    turns = (_turns(server, texts, span_s, lambda outcome: outcome.ended_s, BULK) for _ in range(settings.bulk_clients))
    return [outcome for part in await asyncio.gather(*turns) for outcome in part]


def _bulk_report(outcomes: list[Outcome], span_s: tuple[float, float]) -> BulkReport:
    """Count what ended after the warm-up, by the part of it that lies within the span."""
    ended = [item for item in outcomes if item.ended_s >= span_s[0]]
    audio_s = sum(item.playback.audio_s * _part_within(item, span_s) for item in ended)
    problems = dict(Counter(item.problem for item in ended if item.problem))
    return BulkReport(len(ended), problems, audio_s / (span_s[1] - span_s[0]))


def _part_within(item: Outcome, span_s: tuple[float, float]) -> float:
    inside_s = min(item.ended_s, span_s[1]) - max(item.scheduled_s, span_s[0])
    return max(0.0, inside_s) / max(1e-9, item.ended_s - item.scheduled_s)


def _is_starved(item: Outcome) -> bool:
    return 1000.0 * item.playback.underrun_s > UNDERRUN_MS


def _share(outcomes: list[Outcome], is_so: Callable[[Outcome], bool]) -> float:
    return sum(map(is_so, outcomes)) / max(1, len(outcomes))


def _spread_ms(seconds: list[float]) -> Distribution | None:
    return distribution([1000.0 * item for item in seconds]) if seconds else None
