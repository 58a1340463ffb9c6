"""Who is taken on so that everybody is fed: rules by hand, and a simulated server far past its capacity."""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass, field

import pytest

from emotirt.errors import Overloaded
from emotirt.scheduling.admission import Admission, AdmissionLimits, Ticket
from emotirt.scheduling.capacity import CapacityRules
from emotirt.types import Priority

TOKENS = 40
AUDIO_S = 4.0
"""Of a request of so many tokens."""
EFFORT_PER_AUDIO_S = 0.05
"""Twenty times as fast as it is heard."""
MEL_PART = 0.25


def measured(now_s: list[float], feeds: bool = True) -> Admission:
    """An admission that has seen enough to know its costs."""
    admission = Admission(AdmissionLimits(feeds_listeners=feeds), clock=lambda: now_s[0])
    teacher = admission.enter(Priority.LIVE)
    teacher.charge(TOKENS)
    for _ in range(5):
        admission.note(TOKENS, 1.0, MEL_PART * EFFORT_PER_AUDIO_S * AUDIO_S)
        teacher.planned(TOKENS, AUDIO_S)
        teacher.made(AUDIO_S)
        admission.note(0, 1.0, (1.0 - MEL_PART) * EFFORT_PER_AUDIO_S * AUDIO_S)
    teacher.release()
    return admission


def taken(admission: Admission, priority: Priority = Priority.LIVE, is_patient: bool = False) -> Ticket:
    ticket = admission.enter(priority, is_patient)
    ticket.charge(TOKENS)
    return ticket


def most_taken(admission: Admission) -> int:
    """Take on who comes at the same moment, until one is refused; return how many are there."""
    with pytest.raises(Overloaded) as refused:
        deque(taken(admission) for _ in range(1000))
    assert refused.value.retry_after_s > 0
    return admission.requests


def test_costs_are_measured() -> None:
    assert Admission(AdmissionLimits()).audio_per_s == 0.0
    assert measured([0.0]).audio_per_s == pytest.approx(1.0 / EFFORT_PER_AUDIO_S)


def test_as_many_as_can_be_fed_are_taken_on_and_no_more() -> None:
    assert 3 <= most_taken(measured([0.0])) < 20
    room = AdmissionLimits().requests
    assert most_taken(measured([0.0], feeds=False)) == room
    assert most_taken(Admission(AdmissionLimits())) == room  # nothing is known, so nobody is refused for it


def test_who_is_well_ahead_or_at_the_end_needs_nothing_now() -> None:
    now_s = [0.0]
    admission = measured(now_s)
    alone = most_taken(measured([0.0]))
    for _ in range(30):
        ticket = admission.enter(Priority.LIVE, is_patient=True)
        ticket.charge(TOKENS)
        ticket.planned(TOKENS, AUDIO_S)
        ticket.gave(0.0, AUDIO_S - 0.01)
    assert most_taken(admission) - 30 == pytest.approx(alone, abs=1)


def test_time_that_passes_uses_up_a_lead() -> None:
    now_s = [0.0]
    admission = measured(now_s)
    for _ in range(12):
        ticket = admission.enter(Priority.LIVE, is_patient=True)
        ticket.charge(10 * TOKENS)
        ticket.planned(10 * TOKENS, 10 * AUDIO_S)
        ticket.gave(0.0, 3.0)
    assert most_taken(admission) > 12
    now_s[0] = 3.0
    with pytest.raises(Overloaded, match="need all that can be computed"):
        taken(admission)


def test_the_first_is_always_taken_on_and_who_hears_already_is_not_turned_away() -> None:
    admission = measured([0.0])
    for _ in range(200):
        admission.note(TOKENS, 1.0, 100.0)  # as slow as can be
        admission.note(0, 1.0, 100.0)
    taken(admission)
    with pytest.raises(Overloaded):
        taken(admission)
    taken(admission, is_patient=True)


def test_bulk_requests_are_no_listeners_but_take_their_part() -> None:
    alone = most_taken(measured([0.0]))
    admission = measured([0.0])
    for _ in range(50):
        taken(admission, Priority.BULK)
    assert 0.5 * alone <= most_taken(admission) - 50 <= alone


def test_tokens_that_became_no_audio_say_nothing() -> None:
    admission = Admission(AdmissionLimits(), clock=lambda: 0.0)
    ticket = taken(admission)
    ticket.planned(TOKENS, 0.0)
    admission.note(TOKENS, 1.0, 1.0)
    assert admission.audio_per_s == 0.0
    taken(admission)


def test_after_a_stall_of_minutes_it_takes_on_as_many_as_before() -> None:
    """A machine that slept, or a worker that hung: what was measured then is soon outweighed."""
    now_s = [0.0]
    before = most_taken(measured(now_s))
    admission = measured(now_s)
    admission.note(0, 300.0, 300.0)
    alone = taken(admission)  # who finds nobody is taken on, whatever was measured, and so it is measured anew
    with pytest.raises(Overloaded):
        taken(admission)
    alone.release()
    for _ in range(200):
        one = taken(admission)
        admission.note(TOKENS, 1.0, MEL_PART * EFFORT_PER_AUDIO_S * AUDIO_S)
        one.planned(TOKENS, AUDIO_S)
        one.made(AUDIO_S)
        admission.note(0, 1.0, (1.0 - MEL_PART) * EFFORT_PER_AUDIO_S * AUDIO_S)
        one.release()
    assert most_taken(admission) >= 0.9 * before


def test_a_refused_request_leaves_nothing() -> None:
    admission = measured([0.0])
    most_taken(admission)
    before = (admission.requests, admission.tokens)
    with pytest.raises(Overloaded):
        taken(admission)
    assert (admission.requests, admission.tokens) == before


@dataclass(slots=True)
class Heard:
    """A simulated listener: chunks that are still to come, and silence it had to bear."""

    ticket: Ticket
    arrived_s: float
    chunks: list[float]
    first_s: float = 0.0
    heard_until_s: float = 0.0
    silent_s: float = 0.0
    has_mel: bool = False


@dataclass(slots=True)
class Simulated:
    """A server with one lane that computes first chunks first and the rest by when they are due."""

    admission: Admission
    now_s: list[float]
    refused: int = 0
    busy_s: float = 0.0
    done: list[Heard] = field(default_factory=list)

    def run(self, arrivals_s: list[float]) -> None:
        waiting: list[tuple[int, float, int, Heard]] = []
        left = list(reversed(arrivals_s))
        for number in range(10**6):
            while left and left[-1] <= self.now_s[0]:
                self.arrive(left.pop(), waiting, number)
            if waiting:
                self.compute(heapq.heappop(waiting)[3], waiting, number)
            elif left:
                self.now_s[0] = left[-1]
            else:
                return

    def arrive(self, at_s: float, waiting: list[tuple[int, float, int, Heard]], number: int) -> None:
        try:
            ticket = taken(self.admission)
        except Overloaded:
            self.refused += 1
        else:
            heapq.heappush(waiting, (0, at_s, number, Heard(ticket, at_s, [1.5, 1.5, 0.6, 0.4])))

    def compute(self, one: Heard, waiting: list[tuple[int, float, int, Heard]], number: int) -> None:
        if not one.has_mel:
            one.has_mel = True
            self.spend(TOKENS, MEL_PART * EFFORT_PER_AUDIO_S * AUDIO_S)
            one.ticket.planned(TOKENS, AUDIO_S)
            heapq.heappush(waiting, (0, one.arrived_s, number, one))
            return
        audio_s = one.chunks.pop()
        one.ticket.made(audio_s)
        self.spend(0, (1.0 - MEL_PART) * EFFORT_PER_AUDIO_S * audio_s)
        now_s = self.now_s[0]
        one.ticket.gave(now_s, audio_s)
        if not one.first_s:
            one.first_s = one.heard_until_s = now_s
        one.silent_s += max(0.0, now_s - one.heard_until_s)
        one.heard_until_s = max(now_s, one.heard_until_s) + audio_s
        if one.chunks:
            heapq.heappush(waiting, (1, one.heard_until_s, number, one))
        else:
            one.ticket.release()
            self.done.append(one)

    def spend(self, tokens: int, effort_s: float) -> None:
        self.now_s[0] += effort_s
        self.busy_s += effort_s
        self.admission.note(tokens, effort_s, effort_s)


@pytest.mark.parametrize("feeds", [True, False])
@pytest.mark.parametrize("overload", [1.5, 4.0])
def test_far_past_its_capacity_those_taken_on_are_fed_and_no_time_is_wasted(overload: float, feeds: bool) -> None:
    now_s = [0.0]
    server = Simulated(measured(now_s, feeds), now_s)
    generator = random.Random(5)
    arrivals_s, at_s = [], 0.0
    while at_s < 60.0:
        at_s += generator.expovariate(overload / EFFORT_PER_AUDIO_S / AUDIO_S)
        arrivals_s.append(at_s)
    server.run(arrivals_s)
    starved = sum(one.silent_s > 0.1 for one in server.done) / len(server.done)
    late = sum(one.first_s - one.arrived_s > 0.5 for one in server.done) / len(server.done)
    if feeds:
        assert server.refused > 0
        assert (starved, late) == (0.0, 0.0)
        assert server.busy_s / now_s[0] > 0.7
    else:
        assert max(starved, late) > 0.5  # so that the simulation is one of a server that needs it


def test_rules_follow_the_chunks() -> None:
    alone = most_taken(measured([0.0]))
    strict = Admission(AdmissionLimits(), rules=CapacityRules(headroom=0.4), clock=lambda: 0.0)
    ticket = taken(strict)
    for _ in range(5):
        strict.note(TOKENS, 1.0, MEL_PART * EFFORT_PER_AUDIO_S * AUDIO_S)
        ticket.planned(TOKENS, AUDIO_S)
        ticket.made(AUDIO_S)
        strict.note(0, 1.0, (1.0 - MEL_PART) * EFFORT_PER_AUDIO_S * AUDIO_S)
    ticket.release()
    assert 0 < most_taken(strict) < alone
