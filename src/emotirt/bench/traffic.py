"""Mixed requests of every kind against one server, each judged by what came back; the judgements are counted."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from emotirt.bench.askers import LEFT, LONG_TEXT, OK, Answer, ask, ask_by_half, ask_by_pieces
from emotirt.bench.expected_speech import Known
from emotirt.bench.http_stream import ServerAddress

ANSWER_S = 60.0
"""Whoever has no end of an answer by then is lost."""
TIGHT_MS = (1.0, 200.0)
"""Deadlines of impatient clients, some of which cannot be met."""
MOST_EXAMPLES = 20

AUDIO, EVENTS, WEBSOCKET, BULK, CANCEL, HANG_UP, HALF_SENT, IMPATIENT, MISTAKEN = (
    "audio", "events", "websocket", "bulk", "cancel", "hang_up", "half_sent", "impatient", "mistaken",
)  # fmt: skip
"""Kinds of requests; ``cancel`` cancels a long one over a WebSocket and then asks for a short one."""
MIX: Mapping[str, float] = {
    AUDIO: 0.54, EVENTS: 0.12, WEBSOCKET: 0.12, BULK: 0.05, CANCEL: 0.02, HANG_UP: 0.08, HALF_SENT: 0.01,
    IMPATIENT: 0.03, MISTAKEN: 0.03,
}  # fmt: skip

SPOKEN, ROUNDED, REFUSED, LATE, LEFT_ALONE, TOLD, FAILED = (
    "spoken", "rounded", "refused", "late", "left", "told", "failed",
)  # fmt: skip
LOST, DOUBLED, CORRUPT = "lost", "doubled", "corrupt"
"""Judgements: spoken as expected; so but for rounding that the vocoder made much of; 429 with Retry-After; 504; the
client left; a mistake was told (4xx); the server failed and said so (5xx); and what must never be: cut off or short,
audio twice, other audio."""


@dataclass(slots=True)
class Tally:
    """Counts of judgements.

    Attributes:
        counts: by judgement.
        kinds: by kind of request.
        ids: request ids that the server named, to find any that was served twice.
        examples: the first few that are not as they should be, for people.
    """

    counts: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    ids: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """Of all kinds."""
        return sum(self.kinds.values())

    def note(self, kind: str, judgement: str, answer: Answer, item: Known) -> None:
        """Count one."""
        self.kinds[kind] += 1
        self.counts[judgement] += 1
        if name := answer.headers.get("x-request-id"):
            self.ids[name] += 1
        if judgement in (LOST, DOUBLED, CORRUPT, FAILED, ROUNDED) and len(self.examples) < MOST_EXAMPLES:
            told = f"{judgement}: {kind}, status {answer.status}, {answer.problem or 'ended'}"
            self.examples.append(f"{told}; {item.difference(answer.audio)}")

    def add(self, other: Tally) -> None:
        """Take over another's counts."""
        self.counts += other.counts
        self.kinds += other.kinds
        self.ids += other.ids
        self.examples = [*self.examples, *other.examples][:MOST_EXAMPLES]


class Traffic:
    """Makes requests and judges them."""

    def __init__(
        self, server: ServerAddress, known: Sequence[Known], seed: int, mix: Mapping[str, float] = MIX
    ) -> None:
        """Ask ``server`` for what is ``known``, kinds by ``mix``."""
        self.tally = Tally()
        self._server = server
        self._known = known
        self._kinds, self._weights = list(MIX), list(MIX.values())
        self._random = random.Random(f"traffic:{seed}")  # not for secrets
        self._ask: Mapping[str, Callable[[Known], Awaitable[Answer]]] = {
            AUDIO: lambda item: self._over_http(item),
            EVENTS: lambda item: self._over_http(item, stream_format="sse"),
            BULK: lambda item: self._over_http(item, priority="bulk"),
            IMPATIENT: lambda item: self._over_http(item, deadline_ms=self._random.uniform(*TIGHT_MS)),
            MISTAKEN: lambda item: self._over_http(item, voice="nobody"),
            HANG_UP: self._hang_up,
            HALF_SENT: self._half_sent,
            WEBSOCKET: lambda item: ask_by_pieces(self._server, item.style, item.text),
            CANCEL: lambda item: ask_by_pieces(self._server, item.style, item.text, cancels_before=True),
        }

    async def one(self, kind: str | None = None) -> str:
        """Make one request, of any kind if none is given; returns its judgement."""
        kind = kind or self._random.choices(self._kinds, self._weights)[0]
        item = self._random.choice(self._known)
        try:
            answer = await asyncio.wait_for(self._ask[kind](item), ANSWER_S)
        except asyncio.TimeoutError:
            answer = Answer(0, b"", f"cut off (no end of it in {ANSWER_S:g} s)")
        except OSError as exc:
            answer = Answer(0, b"", f"cut off before ({type(exc).__name__})")
        judgement = judged(answer, item)
        self.tally.note(kind, judgement, answer, item)
        return judgement

    async def many(self, count: int, clients: int) -> None:
        """Make ``count`` requests, so many at once."""
        left = iter(range(count))

        async def client() -> None:
            for _ in left:
                await self.one()

        await asyncio.gather(*(client() for _ in range(clients)))

    async def burst(self, count: int) -> None:
        """Make ``count`` plain requests at the same moment."""
        await asyncio.gather(*(self.one(AUDIO) for _ in range(count)))

    def _over_http(self, item: Known, **changed: Any) -> Awaitable[Answer]:
        return ask(self._server, {"input": item.text, **item.style, **changed})

    def _hang_up(self, item: Known) -> Awaitable[Answer]:
        text = self._random.choice((item.text, LONG_TEXT))
        if self._random.random() < 0.2:
            return ask_by_pieces(self._server, item.style, text, leaves=True)
        style = {**item.style, "stream_format": self._random.choice(("audio", "sse"))}
        return ask(self._server, {"input": text, **style}, self._random.choice((0, 1, 4000)))

    def _half_sent(self, item: Known) -> Awaitable[Answer]:
        return ask_by_half(self._server, {"input": item.text, **item.style}, waits=self._random.random() < 0.5)


_TOLD_STATUSES = range(400, 500)
_TOO_MUCH, _TOO_LATE = 429, 504
_CODES = {"rate_limit_exceeded": REFUSED, "deadline_exceeded": LATE}
"""Of error events, which have no status of their own."""


def judged(answer: Answer, item: Known) -> str:
    """Judge what a request was answered with."""
    if answer.problem == LEFT:
        return LEFT_ALONE
    if answer.is_lost:
        return LOST
    if answer.status in (_TOO_MUCH, _TOO_LATE):
        is_told_when = "retry-after" in answer.headers or answer.status == _TOO_LATE
        return {_TOO_MUCH: REFUSED, _TOO_LATE: LATE}[answer.status] if is_told_when else FAILED
    if answer.status in _TOLD_STATUSES:
        return TOLD
    if answer.problem or answer.status > OK:
        return _CODES.get(answer.problem, FAILED)
    return item.verdict(answer.audio)
