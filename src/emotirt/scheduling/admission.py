"""Who is taken on: bounded by requests, by cost and by who can be fed, and when those who are not should come again."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from emotirt.errors import Overloaded
from emotirt.scheduling.capacity import Capacity, CapacityRules, Listener
from emotirt.scheduling.job import Clock
from emotirt.types import Priority

LEAST_RETRY_S = 0.1
UNKNOWN_RETRY_S = 1.0
"""Before anything was measured."""
LONGEST_RETRY_S = 60.0
MEMORY_S = 5.0
"""Compute time over which throughput is averaged, so that a change of backend shows within seconds."""


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """Bounds on what is taken on and not yet ended.

    Attributes:
        requests: most requests.
        tokens: most tokens not yet spoken; a request that finds nobody before it may exceed it.
        job_tokens: most tokens that one request counts for, because it is spoken bit by bit.
        bulk_share: part of both that bulk requests may fill.
        feeds_listeners: refuse a live request rather than let it, or those before it, run dry.
    """

    requests: int = 256
    tokens: int = 20_000
    job_tokens: int = 2_000
    bulk_share: float = 0.5
    feeds_listeners: bool = True


class Throughput:
    """Tokens spoken per second of computing, averaged over the last ``MEMORY_S``."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._tokens = 0.0
        self._compute_s = 0.0

    @property
    def tokens_per_s(self) -> float:
        """0 before anything was measured."""
        return self._tokens / self._compute_s if self._compute_s > 0.0 else 0.0

    def add(self, tokens: float, compute_s: float) -> None:
        """Note work done."""
        keep = max(0.0, 1.0 - compute_s / MEMORY_S) if self._compute_s + compute_s > MEMORY_S else 1.0
        self._tokens = self._tokens * keep + tokens
        self._compute_s = self._compute_s * keep + compute_s


_RULES = CapacityRules()


class Ticket:
    """The place of one request that was taken on."""

    def __init__(self, admission: Admission, priority: Priority, is_checked: bool) -> None:
        """Made by ``Admission.enter``."""
        self.priority = priority
        self.is_checked = is_checked
        self.listener = Listener()
        self.tokens = 0  # what it counts for now
        self.tokens_left = 0
        self._admission = admission
        self._is_open = True

    def charge(self, tokens: int) -> None:
        """Count a request's tokens; raises Overloaded when they do not fit, and then gives the place back."""
        self._admission._charge(self, tokens)

    def spend(self, tokens: int) -> None:
        """Take off tokens that were spoken."""
        self._admission._spend(self, tokens)

    def planned(self, tokens: int, audio_s: float) -> None:
        """Note how long the audio of some of its tokens is."""
        self._admission._plan(self, tokens, audio_s)

    def made(self, audio_s: float) -> None:
        """Note audio that was computed, whether or not its turn has come."""
        self._admission._make(audio_s)

    def gave(self, now_s: float, audio_s: float) -> None:
        """Note audio that was handed over at ``now_s``, by the clock."""
        if self.listener.started_s is None:
            self.listener.started_s = now_s
        self.listener.made_s += audio_s

    def release(self) -> None:
        """Give the place back; once is enough, more do no harm."""
        self._admission._release(self)


class Admission:
    """The bounded room for requests; may be used from any thread."""

    def __init__(
        self,
        limits: AdmissionLimits,
        lanes: int = 1,
        rules: CapacityRules = _RULES,
        clock: Clock = time.perf_counter,
    ) -> None:
        """Make an empty room.

        Args:
            limits: of it.
            lanes: threads on which its requests are computed at once.
            rules: of feeding listeners.
            clock: that tells when audio was handed over.
        """
        self._limits = limits
        self._lanes = lanes
        self._lock = threading.Lock()
        self._requests = dict.fromkeys(Priority, 0)
        self._tokens = dict.fromkeys(Priority, 0)
        self._throughput = Throughput()
        self._capacity = Capacity(rules)
        self._clock = clock
        self._live: dict[int, Ticket] = {}

    @property
    def requests(self) -> int:
        """Requests taken on and not ended."""
        return sum(self._requests.values())

    @property
    def tokens(self) -> int:
        """Tokens taken on and not spoken."""
        return sum(self._tokens.values())

    @property
    def tokens_per_s(self) -> float:
        """Measured throughput, 0 before the first work."""
        return self._throughput.tokens_per_s * self._lanes

    @property
    def audio_per_s(self) -> float:
        """Audio that could be made in a second, 0 before enough was measured."""
        effort = self._capacity.effort_per_audio_s
        return 1.0 / effort if effort > 0.0 else 0.0

    def enter(self, priority: Priority, is_patient: bool = False) -> Ticket:
        """Take on a request whose cost is not known yet.

        Args:
            priority: of it.
            is_patient: whether it has no deadline, and is not turned away because it could not be fed.

        Raises: Overloaded: too many are there, or one more could not be fed.
        """
        with self._lock:
            found, bound = self._tightest(self._requests, self._limits.requests, priority)
            if found + 1 > bound:
                mean_tokens = self.tokens / max(1, self.requests)
                raise Overloaded(
                    f"{found} requests are being served, the limit is {bound:g}; try again later",
                    self._retry_after_s(mean_tokens),
                )
            ticket = Ticket(
                self, priority, priority is Priority.LIVE and self._limits.feeds_listeners and not is_patient
            )
            ticket.listener.tokens = self._capacity.usual_tokens
            self._check_fed(ticket)
            self._requests[priority] += 1
            if priority is Priority.LIVE:
                self._live[id(ticket)] = ticket
            return ticket

    def note(self, tokens: float, compute_s: float, effort_s: float = 0.0) -> None:
        """Note a batch that was computed.

        Args:
            tokens: in it, 0 in a stage that makes audio.
            compute_s: how long it took.
            effort_s: see ``Capacity``.
        """
        with self._lock:
            self._throughput.add(tokens, compute_s)
            if tokens:
                self._capacity.note_tokens(tokens, effort_s)
            else:
                self._capacity.note_audio(0.0, effort_s)

    def _charge(self, ticket: Ticket, tokens: int) -> None:
        try:
            with self._lock:
                self._check_charge(ticket, tokens)
        except Overloaded:
            ticket.release()
            raise

    def _check_charge(self, ticket: Ticket, tokens: int) -> None:
        cost = min(tokens, self._limits.job_tokens)
        found, bound = self._tightest(self._tokens, self._limits.tokens, ticket.priority)
        if self.tokens and found + cost > bound:
            raise Overloaded(
                f"{found} tokens are waiting to be spoken and {cost} more would pass the limit of {bound:g}; "
                "try again later",
                self._retry_after_s(found + cost - bound),
            )
        ticket.listener.tokens = tokens
        self._check_fed(ticket)
        ticket.tokens, ticket.tokens_left = cost, tokens
        self._tokens[ticket.priority] += cost
        if ticket.priority is Priority.LIVE:
            self._capacity.note_request(tokens)

    def _check_fed(self, ticket: Ticket) -> None:
        """Refuse a listener who, with all those there, could not be fed; one who finds nobody is always taken on."""
        others = [item.listener for key, item in self._live.items() if key != id(ticket)]
        if not ticket.is_checked or not others:
            return
        missing_s = self._capacity.missing_s(
            [*others, ticket.listener], self._clock(), self._requests[Priority.BULK] > 0
        )
        if missing_s > 0.0:
            raise Overloaded(
                f"{len(others)} live requests need all that can be computed, {self.audio_per_s:.1f} s of audio "
                "a second; try again later",
                min(max(missing_s, LEAST_RETRY_S), LONGEST_RETRY_S),
            )

    def _plan(self, ticket: Ticket, tokens: int, audio_s: float) -> None:
        with self._lock:
            ticket.listener.planned_tokens += tokens
            ticket.listener.planned_s += audio_s
            self._capacity.note_length(tokens, audio_s)

    def _make(self, audio_s: float) -> None:
        with self._lock:
            self._capacity.note_audio(audio_s, 0.0)

    def _spend(self, ticket: Ticket, tokens: int) -> None:
        with self._lock:
            if ticket._is_open:
                ticket.tokens_left = max(0, ticket.tokens_left - tokens)
                counted = min(ticket.tokens_left, ticket.tokens)
                self._tokens[ticket.priority] -= ticket.tokens - counted
                ticket.tokens = counted

    def _release(self, ticket: Ticket) -> None:
        with self._lock:
            if ticket._is_open:
                ticket._is_open = False
                self._live.pop(id(ticket), None)
                self._requests[ticket.priority] -= 1
                self._tokens[ticket.priority] -= ticket.tokens
                ticket.tokens = 0

    def _tightest(self, counts: dict[Priority, int], limit: int, priority: Priority) -> tuple[int, float]:
        """Return what is counted against the bound that leaves the least room, and that bound."""
        bounds: list[tuple[int, float]] = [(sum(counts.values()), limit)]
        if priority is Priority.BULK:
            bounds.append((counts[priority], limit * self._limits.bulk_share))
        return min(bounds, key=lambda item: item[1] - item[0])

    def _retry_after_s(self, tokens: float) -> float:
        rate = self.tokens_per_s
        guess_s = tokens / rate if rate > 0.0 else UNKNOWN_RETRY_S
        return min(max(guess_s, LEAST_RETRY_S), LONGEST_RETRY_S)
