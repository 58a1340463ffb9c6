"""Bounded room, and when to come again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotirt.errors import Overloaded
from emotirt.scheduling.admission import (
    LONGEST_RETRY_S,
    UNKNOWN_RETRY_S,
    Admission,
    AdmissionLimits,
    Throughput,
    Ticket,
)
from emotirt.types import Priority


def entered(admission: Admission, tokens: int, priority: Priority = Priority.LIVE) -> Ticket:
    ticket = admission.enter(priority)
    ticket.charge(tokens)
    return ticket


def test_requests_are_bounded() -> None:
    admission = Admission(AdmissionLimits(requests=2))
    first = entered(admission, 10)
    entered(admission, 10)
    with pytest.raises(Overloaded, match="2 requests are being served, the limit is 2") as caught:
        admission.enter(Priority.LIVE)
    assert caught.value.retry_after_s == UNKNOWN_RETRY_S
    first.release()
    entered(admission, 10)


def test_tokens_are_bounded_and_the_wait_follows_the_measured_throughput() -> None:
    admission = Admission(AdmissionLimits(tokens=100))
    admission.note(50, 1.0)
    entered(admission, 80)
    with pytest.raises(Overloaded, match=r"80 tokens .* 60 more would pass the limit of 100") as caught:
        entered(admission, 60)
    assert caught.value.retry_after_s == pytest.approx((80 + 60 - 100) / 50)
    assert (admission.requests, admission.tokens) == (1, 80)


def test_what_finds_nobody_before_it_may_exceed_the_limit() -> None:
    admission = Admission(AdmissionLimits(tokens=100, job_tokens=10_000))
    entered(admission, 5000)
    with pytest.raises(Overloaded) as caught:
        entered(admission, 1)
    assert caught.value.retry_after_s > 0


def test_bulk_leaves_room_for_the_living() -> None:
    admission = Admission(AdmissionLimits(requests=4, tokens=100, bulk_share=0.5))
    entered(admission, 40, Priority.BULK)
    with pytest.raises(Overloaded, match="limit of 50"):
        entered(admission, 20, Priority.BULK)
    entered(admission, 5, Priority.BULK)
    with pytest.raises(Overloaded, match="limit is 2"):
        admission.enter(Priority.BULK)
    entered(admission, 55)


def test_a_long_request_counts_for_a_part_until_that_is_all_that_is_left() -> None:
    admission = Admission(AdmissionLimits(job_tokens=100))
    ticket = entered(admission, 250)
    seen = []
    for _ in range(5):
        seen.append(admission.tokens)
        ticket.spend(50)
    assert seen == [100, 100, 100, 100, 50]
    assert admission.tokens == 0


def test_throughput_forgets_what_is_long_past() -> None:
    throughput = Throughput()
    assert throughput.tokens_per_s == 0.0
    for _ in range(100):
        throughput.add(10, 0.1)
    assert throughput.tokens_per_s == pytest.approx(100)
    for _ in range(400):
        throughput.add(1, 0.1)
    assert throughput.tokens_per_s == pytest.approx(10, rel=0.05)


def test_the_wait_is_never_absurd() -> None:
    admission = Admission(AdmissionLimits(tokens=10))
    admission.note(1e-6, 10.0)
    entered(admission, 10)
    with pytest.raises(Overloaded) as caught:
        entered(admission, 10)
    assert caught.value.retry_after_s == LONGEST_RETRY_S


actions = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), st.integers(1, 60), st.sampled_from(list(Priority))),
        st.tuples(st.just("spend"), st.integers(0, 5), st.integers(1, 80)),
        st.tuples(st.just("release"), st.integers(0, 5), st.none()),
    ),
    max_size=60,
)


@given(actions=actions)
def test_counts_return_to_nothing(actions: list[tuple[str, int, object]]) -> None:
    limits = AdmissionLimits(requests=6, tokens=120, job_tokens=50)
    admission = Admission(limits)
    tickets: list[Ticket] = []
    waits_s: list[float] = []
    for name, number, extra in actions:
        if name == "enter":
            try:
                tickets.append(entered(admission, number, extra))  # type: ignore[arg-type]  # a Priority here
            except Overloaded as exc:
                waits_s.append(exc.retry_after_s)
        elif name == "spend" and number < len(tickets):
            tickets[number].spend(extra)  # type: ignore[arg-type]  # an int here
        elif number < len(tickets):
            tickets[number].release()
        assert 0 <= admission.requests <= limits.requests
        assert 0 <= admission.tokens <= limits.tokens
        assert admission.tokens == sum(ticket.tokens for ticket in tickets)
    for ticket in tickets:
        ticket.release()
    assert all(wait_s > 0 for wait_s in waits_s)
    assert (admission.requests, admission.tokens) == (0, 0)
