"""A fault campaign: a server with a worker process under load while everything that can go wrong does.

Every few seconds the worker is killed, stopped, slowed or made to give NaN, silence, clipping or errors; clients hang
up, send half of a body, ask for what cannot be, and now and then come all at once. Each round ends with SIGTERM amid
replies. All finished audio is compared with what the engine without a queue says.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import os
import random
import re
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emotirt.bench.askers import BROKEN, ask
from emotirt.bench.child_server import ChildServer, child_process
from emotirt.bench.expected_speech import Known
from emotirt.bench.http_stream import ServerAddress, get
from emotirt.bench.processes import Footprint, footprint, worker_of
from emotirt.bench.speech_client import address_from_url
from emotirt.bench.traffic import CORRUPT, DOUBLED, LOST, ROUNDED, SPOKEN, Tally, Traffic, judged
from emotirt.errors import BackendError

KILL, STOP = "kill", "stop"
ORDERS = {"nan": "nan", "silence": "silence", "clipping": "clipping", "error": "error", "slow": "slow 0.15"}
"""Faults inside the worker, and what its file says meanwhile."""
FAULTS = (KILL, STOP, KILL, *ORDERS)
ORDER_S = 0.7
"""How long a fault inside the worker lasts."""
READY_S = 60.0
SETTLE_S = 2.0
MOST_GROWTH_MIB = 24.0
"""Memory that a round may keep: less than the stages take, more than malloc keeps for itself."""
DRAIN_REPLIES = 8
SERVER_OPTIONS = (
    "--isolation", "worker", "--live-deadline", "60", "--body-timeout", "5", "--log-level", "info", "--drain", "30",
    "--feeds-listeners", "false",
)  # fmt: skip
"""Clients who ask for as much as there is, and faults that slow everything, would mostly be turned away."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class FaultSettings:
    """How much and how bad.

    Attributes:
        requests: in all rounds together, bursts not counted.
        rounds: servers, one after the other.
        clients: requests at once.
        pause_s: between two faults.
        burst: requests at the same moment, twice a round, to overflow the queue.
        seed: of everything random.
        options: more of ``emotirt serve``.
    """

    requests: int = 10_000
    rounds: int = 3
    clients: int = 24
    pause_s: float = 2.0
    burst: int = 500
    seed: int = 0
    options: tuple[str, ...] = ()


@dataclass(slots=True)
class Round:
    """What one server lived through.

    Attributes:
        tally: of its requests.
        faults: applied, by kind.
        before: its footprint after the first requests and one lost worker.
        after: its footprint at the end, idle.
        counters: of the server, at the end.
        exit_code: after SIGTERM.
        drained: replies that were under way at SIGTERM and came to their end.
        twice: request ids that the server's log names more than once.
    """

    tally: Tally = field(default_factory=Tally)
    faults: Counter[str] = field(default_factory=Counter)
    before: Footprint | None = None
    after: Footprint | None = None
    counters: dict[str, float] = field(default_factory=dict)
    exit_code: int | None = None
    drained: int = 0
    twice: int = 0

    @property
    def lost(self) -> int:
        """Requests without an end: as clients saw it, as the server counts, and replies that SIGTERM cut."""
        unended = self.counters["accepted"] - self.counters["ended"]
        return self.tally.counts[LOST] + max(0, round(unended)) + DRAIN_REPLIES - self.drained

    @property
    def doubled(self) -> int:
        """Requests that were answered or ended twice."""
        over = max(0, round(self.counters["ended"] - self.counters["accepted"]))
        return self.tally.counts[DOUBLED] + self.twice + over

    @property
    def corrupt(self) -> int:
        """Requests that gave other audio than they should."""
        return self.tally.counts[CORRUPT]

    @property
    def growth_mib(self) -> float:
        """Memory that the server kept."""
        assert self.before is not None
        assert self.after is not None
        return self.after.memory_mib - self.before.memory_mib

    @property
    def is_clean(self) -> bool:
        """Whether nothing was kept: memory, files, threads; and the process ended as it should."""
        assert self.before is not None
        assert self.after is not None
        is_kept = self.after.keeps_more_than(self.before)
        return self.growth_mib <= MOST_GROWTH_MIB and not is_kept and self.exit_code == 128 + signal.SIGTERM

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "requests": self.tally.requests,
            "kinds": dict(self.tally.kinds),
            "judgements": dict(self.tally.counts),
            "examples": self.tally.examples,
            "faults": dict(self.faults),
            "server": self.counters,
            "footprint_before": _fields(self.before),
            "footprint_after": _fields(self.after),
            "replies_under_way_at_sigterm": DRAIN_REPLIES,
            "of_those_ended": self.drained,
            "exit_code": self.exit_code,
        }


def run_campaign(known: Sequence[Known], long: Known, settings: FaultSettings, say: Say) -> list[Round]:
    """Run all rounds.

    Args:
        known: what is asked for.
        long: what is asked for when the server is told to stop.
        settings: how much.
        say: told of every round.

    Raises: BackendError: a server does not come up, or does not come back after a fault.
    """
    rounds = []
    for number in range(settings.rounds):
        count = settings.requests // settings.rounds + (number < settings.requests % settings.rounds)
        with tempfile.TemporaryDirectory() as folder:
            order = Path(folder) / "order"
            options = (*SERVER_OPTIONS, "--sabotage", str(order), *settings.options)
            with child_process(options) as child:
                campaign = _Campaign(child, order, (known, long), settings, settings.seed + number)
                started_s = time.monotonic()
                rounds.append(asyncio.run(campaign.run(count)))
        say(f"round {number + 1}: {_told(rounds[-1])}, {time.monotonic() - started_s:.0f} s")
    return rounds


class _Campaign:
    """One round."""

    def __init__(
        self,
        child: ChildServer,
        order: Path,
        known: tuple[Sequence[Known], Known],
        settings: FaultSettings,
        seed: int,
    ) -> None:
        self._child = child
        self._pid = child.process.pid
        self._server: ServerAddress = address_from_url(child.url)
        self._order = order
        requests, self._long = known
        self._settings = settings
        self._traffic = Traffic(self._server, requests, seed)
        self._round = Round(self._traffic.tally)
        self._faults = _shuffled(seed)

    async def run(self, count: int) -> Round:
        settings, found = self._settings, self._round
        warm_up = min(count // 4, 400)
        await self._traffic.many(warm_up // 2, settings.clients)
        await asyncio.gather(self._apply(KILL), self._traffic.many(warm_up - warm_up // 2, settings.clients))
        await self._traffic.burst(settings.burst)
        found.before = await self._idle_footprint()
        sabotage = asyncio.create_task(self._sabotage())
        await self._traffic.many((count - warm_up) // 2, settings.clients)
        await self._traffic.burst(settings.burst)
        await self._traffic.many(count - warm_up - (count - warm_up) // 2, settings.clients)
        sabotage.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sabotage
        self._order.write_text("", encoding="ascii")
        found.after = await self._idle_footprint()
        found.counters = await _counters(self._server)
        found.drained = await self._drained()
        found.twice = _named_twice(self._child.said_path)
        return found

    async def _sabotage(self) -> None:
        for fault in itertools.cycle(self._faults):
            await asyncio.sleep(self._settings.pause_s)
            await self._apply(fault)

    async def _apply(self, fault: str) -> None:
        """Do one thing to the worker and wait until the server is whole again."""
        self._round.faults[fault] += 1
        if fault in ORDERS:
            self._order.write_text(ORDERS[fault], encoding="ascii")
            await asyncio.sleep(ORDER_S)
            self._order.write_text("", encoding="ascii")
        elif (worker := worker_of(self._pid)) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL if fault == KILL else signal.SIGSTOP)
        await asyncio.sleep(0.1)
        await self._ready()

    async def _ready(self) -> None:
        give_up_s = time.monotonic() + READY_S
        while time.monotonic() < give_up_s:
            with contextlib.suppress(*BROKEN):
                if b'"status":"ready"' in (await get(self._server, "/readyz"))[1]:
                    return
            await asyncio.sleep(0.1)
        raise BackendError(f"the server is not ready {READY_S:g} s after a fault; see what it logged")

    async def _idle_footprint(self) -> Footprint:
        """Measure once nothing runs and what was left for later is done."""
        await self._ready()
        for _ in range(round(READY_S)):
            if not (await _counters(self._server))["running"]:
                break
            await asyncio.sleep(1.0)
        await asyncio.sleep(SETTLE_S)
        found = footprint(self._pid)
        if found is None:
            raise BackendError("the server is gone")
        return found

    async def _drained(self) -> int:
        """Tell the server to stop while replies are under way; returns how many of them came to a good end."""
        begun, missing = asyncio.Event(), set(range(DRAIN_REPLIES))

        def note(index: int) -> None:
            missing.discard(index)
            if not missing:
                begun.set()

        body = {"input": self._long.text, **self._long.style}
        replies = [
            asyncio.create_task(ask(self._server, body, on_begin=functools.partial(note, index)))
            for index in range(DRAIN_REPLIES)
        ]
        await asyncio.wait_for(begun.wait(), READY_S)
        self._child.process.send_signal(signal.SIGTERM)
        answers = await asyncio.gather(*replies)
        self._round.exit_code = await asyncio.to_thread(self._child.process.wait, READY_S)
        return sum(judged(answer, self._long) in (SPOKEN, ROUNDED) for answer in answers)


async def _counters(server: ServerAddress) -> dict[str, float]:
    """Read the server's own counts; requests that ended are added up over their outcomes."""
    _, text = await get(server, "/metrics")
    found: dict[str, float] = {}
    for name, value in re.findall(r"^emotirt_(\w+?)(?:_total)?(?:\{[^}]*\})? (\S+)$", text.decode(), re.MULTILINE):
        found[name] = found.get(name, 0.0) + float(value)
    names = {
        "accepted": "accepted", "ended": "requests_ended", "running": "running", "refused": "refused",
        "deadlines_missed": "deadlines_missed", "fallbacks": "fallbacks", "worker_starts": "worker_starts",
        "worker_losses": "worker_losses",
    }  # fmt: skip
    return {ours: found.get(theirs, 0.0) for ours, theirs in names.items()}


def _named_twice(log: Path) -> int:
    names = re.findall(r"(req_\w+) POST ", log.read_text(encoding="utf-8", errors="replace"))
    return sum(count > 1 for count in Counter(names).values())


def _shuffled(seed: int) -> list[str]:
    faults = list(FAULTS)
    random.Random(f"faults:{seed}").shuffle(faults)  # not for secrets
    return faults


def _told(found: Round) -> str:
    counts = ", ".join(f"{count} {name}" for name, count in found.tally.counts.most_common())
    return (
        f"{found.tally.requests} requests ({counts}), {sum(found.faults.values())} faults, {found.growth_mib:+.1f} MiB"
    )


def _fields(found: Footprint | None) -> dict[str, float] | None:
    if found is None:
        return None
    return {"memory_mib": round(found.memory_mib, 1), "open_files": found.open_files, "threads": found.threads}
