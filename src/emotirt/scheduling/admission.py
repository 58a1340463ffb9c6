"""Who is taken on: bounded by requests and by cost, and a guess of when to come again for those who are not."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from emotirt.errors import Overloaded
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
    """

    requests: int = 256
    tokens: int = 20_000
    job_tokens: int = 2_000
    bulk_share: float = 0.5


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


class Ticket:
    """The place of one request that was taken on."""

    def __init__(self, admission: Admission, priority: Priority) -> None:
        """Made by ``Admission.enter``."""
        self.priority = priority
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

    def release(self) -> None:
        """Give the place back; once is enough, more do no harm."""
        self._admission._release(self)


class Admission:
    """The bounded room for requests; may be used from any thread."""

    def __init__(self, limits: AdmissionLimits, lanes: int = 1) -> None:
        """Make an empty room whose requests are computed on ``lanes`` threads at once."""
        self._limits = limits
        self._lanes = lanes
        self._lock = threading.Lock()
        self._requests = dict.fromkeys(Priority, 0)
        self._tokens = dict.fromkeys(Priority, 0)
        self._throughput = Throughput()

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

    def enter(self, priority: Priority) -> Ticket:
        """Take on a request whose cost is not known yet.

        Raises: Overloaded: too many are there.
        """
        with self._lock:
            found, bound = self._tightest(self._requests, self._limits.requests, priority)
            if found + 1 > bound:
                mean_tokens = self.tokens / max(1, self.requests)
                raise Overloaded(
                    f"{found} requests are being served, the limit is {bound:g}; try again later",
                    self._retry_after_s(mean_tokens),
                )
            self._requests[priority] += 1
            return Ticket(self, priority)

    def note(self, tokens: float, compute_s: float) -> None:
        """Note work done, for the guess of when to come again."""
        with self._lock:
            self._throughput.add(tokens, compute_s)

    def _charge(self, ticket: Ticket, tokens: int) -> None:
        cost = min(tokens, self._limits.job_tokens)
        with self._lock:
            found, bound = self._tightest(self._tokens, self._limits.tokens, ticket.priority)
            if self.tokens and found + cost > bound:
                retry_after_s = self._retry_after_s(found + cost - bound)
            else:
                ticket.tokens, ticket.tokens_left = cost, tokens
                self._tokens[ticket.priority] += cost
                return
        ticket.release()
        raise Overloaded(
            f"{found} tokens are waiting to be spoken and {cost} more would pass the limit of {bound:g}; "
            "try again later",
            retry_after_s,
        )

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
