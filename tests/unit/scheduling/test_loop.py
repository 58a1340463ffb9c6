"""The loop with real threads: everything submitted ends once, and nobody suffers for another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.scheduling.scripts import DOUBLE, NEGATE, Numbers, job_of

from emotirt.errors import DeadlineExceeded, EngineClosed
from emotirt.scheduling.job import Job, JobState, Rank
from emotirt.scheduling.loop import Computed, Loop
from emotirt.scheduling.policy import Rules, StageLimits

LIMITS = {DOUBLE: StageLimits(4, 100), NEGATE: StageLimits(4, 100)}
WAIT_S = 30.0


class Arithmetic:
    """A stage; what is no number raises, and takes its whole batch along."""

    def __init__(self, factor: int, gate: threading.Event | None = None) -> None:
        self.seen: list[list[Any]] = []
        self.entered = threading.Event()
        self._factor = factor
        self._gate = gate

    def run(self, payloads: Sequence[Any]) -> list[Any]:
        self.seen.append(list(payloads))
        self.entered.set()
        if self._gate is not None:
            assert self._gate.wait(WAIT_S)
        return [self._factor * (payload + 0) for payload in payloads]


def opened(double: Any, lanes: int = 1, on_batch: Callable[[Computed], None] = lambda _: None) -> Loop:
    return Loop(
        {DOUBLE: double, NEGATE: Arithmetic(-1)},
        LIMITS,
        Rules(window_s=0.001),
        lanes,
        max(1, lanes - 1),
        on_batch=on_batch,
    )


def submitted(loop: Loop, numbers: Sequence[Any], deadline_s: float = float("inf")) -> tuple[Job, Numbers]:
    script = Numbers(numbers)
    job = job_of(script, time.perf_counter(), deadline_s)
    loop.submit(job)
    return job, script


@pytest.mark.parametrize("lanes", [1, 3])
def test_everything_comes_out_once(lanes: int) -> None:
    batches: list[Computed] = []
    loop = opened(Arithmetic(2), lanes, batches.append)
    jobs = [submitted(loop, range(index, index + 5)) for index in range(30)]
    for index, (job, script) in enumerate(jobs):
        assert script.done.wait(WAIT_S)
        assert job.state is JobState.RESULT
        assert sorted(script.results) == sorted(-2 * number for number in range(index, index + 5))
        assert script.ends == 1
    assert loop.wait_idle(WAIT_S)
    loop.close()
    assert sum(len(item.batch.tasks) for item in batches) == 30 * 5 * 2
    assert sum(item.failed_items for item in batches) == 0


def test_one_bad_request_does_not_fail_its_batch() -> None:
    gate = threading.Event()
    double = Arithmetic(2, gate)
    loop = opened(double)
    _, first = submitted(loop, [0])
    assert double.entered.wait(WAIT_S)  # the others wait meanwhile, and so share the next batch
    jobs = [submitted(loop, numbers) for numbers in ([1], [2], ["x"], [3])]
    gate.set()
    for _, script in [(None, first), *jobs]:
        assert script.done.wait(WAIT_S)
    loop.close()
    assert [1, 2, "x", 3] in double.seen
    assert [job.state for job, _ in jobs] == [JobState.RESULT, JobState.RESULT, JobState.ERROR, JobState.RESULT]
    assert isinstance(jobs[2][0].error, TypeError)
    assert [script.results for _, script in jobs] == [[-2], [-4], [], [-6]]


def test_who_left_is_not_computed() -> None:
    gate = threading.Event()
    double = Arithmetic(2, gate)
    loop = opened(double)
    submitted(loop, [0])
    assert double.entered.wait(WAIT_S)
    gone, script = submitted(loop, [41])
    _, stays = submitted(loop, [42])
    assert loop.waiting(DOUBLE) == 2
    assert loop.cancel(gone)
    assert not loop.cancel(gone)
    assert loop.waiting(DOUBLE) == 1
    gate.set()
    assert stays.done.wait(WAIT_S)
    loop.close()
    assert gone.state is JobState.CANCELLED
    assert script.ends == 1
    assert double.seen == [[0], [42]]


def test_a_missed_deadline_is_cut_and_told() -> None:
    gate = threading.Event()
    double = Arithmetic(2, gate)
    loop = opened(double)
    submitted(loop, [0])
    assert double.entered.wait(WAIT_S)
    late, _ = submitted(loop, [41], deadline_s=0.0)
    assert loop.expire(late)
    unwatched, script = submitted(loop, [43], deadline_s=0.0)  # nobody calls expire: found before it is computed
    gate.set()
    assert script.done.wait(WAIT_S)
    loop.close()
    assert isinstance(late.error, DeadlineExceeded)
    assert isinstance(unwatched.error, DeadlineExceeded)
    assert double.seen == [[0]]


def test_closing_ends_what_is_left() -> None:
    gate = threading.Event()
    double = Arithmetic(2, gate)
    loop = opened(double)
    running, first = submitted(loop, [0])
    assert double.entered.wait(WAIT_S)
    waiting, second = submitted(loop, [1])
    threading.Timer(0.05, gate.set).start()
    loop.close()
    assert [job.state for job in (running, waiting)] == [JobState.ERROR] * 2
    assert isinstance(waiting.error, EngineClosed)
    assert first.ends == second.ends == 1
    with pytest.raises(EngineClosed):
        submitted(loop, [2])


def test_draining_lets_everything_end() -> None:
    loop = opened(Arithmetic(2))
    jobs = [submitted(loop, range(10)) for _ in range(10)]
    loop.close(drain_s=WAIT_S)
    assert {job.state for job, _ in jobs} == {JobState.RESULT}


def test_a_stage_that_miscounts_fails_only_its_requests() -> None:
    class Forgetful:
        def run(self, payloads: Sequence[Any]) -> list[Any]:
            return [2 * payload for payload in payloads if payload != 7]

    loop = opened(Forgetful())
    (bad, script), (good, other) = submitted(loop, [7]), submitted(loop, [8])
    assert script.done.wait(WAIT_S)
    assert other.done.wait(WAIT_S)
    loop.close()
    assert "0 outcomes for 1" in str(bad.error)
    assert good.state is JobState.RESULT


@settings(max_examples=25)
@given(
    plans=st.lists(
        st.tuples(st.integers(1, 6), st.sampled_from(["keep", "cancel", "cancel later", "bad", "late"])),
        min_size=1,
        max_size=15,
    ),
    lanes=st.integers(1, 3),
)
def test_as_many_ends_as_submits_under_random_cancels(plans: list[tuple[int, str]], lanes: int) -> None:
    threads_before = threading.active_count()
    loop = opened(Arithmetic(2), lanes)
    jobs = []
    for count, fate in plans:
        numbers: list[Any] = list(range(count))
        if fate == "bad":
            numbers[-1] = "x"
        script = Numbers(numbers, Rank.LATER if count % 2 else Rank.BULK)
        job = job_of(script, time.perf_counter(), 0.0 if fate == "late" else float("inf"))
        loop.submit(job)
        jobs.append((job, script, fate))
        if fate == "cancel":
            loop.cancel(job)
    for job, _, fate in jobs:
        if fate == "cancel later":
            loop.cancel(job)
    assert loop.wait_idle(WAIT_S)
    for job, script, fate in jobs:
        assert script.ends == 1
        if fate == "keep":
            assert job.state is JobState.RESULT
        if fate in ("bad", "late"):
            assert job.state is JobState.ERROR
    assert loop.waiting(DOUBLE) == loop.waiting(NEGATE) == 0
    loop.close()
    assert threading.active_count() == threads_before


@pytest.mark.parametrize(("side_by_side", "waits"), [(1, True), (2, False)])
def test_a_batch_waits_for_the_window_only_if_it_could_not_be_computed_anyway(side_by_side: int, waits: bool) -> None:
    gate = threading.Event()
    double = Arithmetic(2, gate)
    rules = Rules(window_s=WAIT_S)
    loop = Loop({DOUBLE: double, NEGATE: Arithmetic(-1)}, LIMITS, rules, lanes=2, side_by_side=side_by_side)
    submitted(loop, [1])
    assert double.entered.wait(WAIT_S)
    double.entered.clear()
    submitted(loop, [2])
    submitted(loop, [3])
    assert double.entered.wait(0.2) is not waits
    submitted(loop, [4, 5])
    assert double.entered.wait(WAIT_S)  # four are a full batch
    gate.set()
    assert loop.wait_idle(WAIT_S)
    loop.close()
    assert sorted(number for batch in double.seen for number in batch) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("bound", [1, 2])
def test_only_so_many_jobs_are_begun_and_the_rest_follow_in_order(bound: int) -> None:
    gate = threading.Event()
    double = Arithmetic(2, gate)
    stages = {DOUBLE: double, NEGATE: Arithmetic(-1)}
    loop = Loop(stages, LIMITS, Rules(window_s=0.001), lanes=1, jobs_at_once=bound)
    jobs = [submitted(loop, [index]) for index in range(6)]
    assert double.entered.wait(WAIT_S)
    assert len(double.seen[0]) + loop.waiting(DOUBLE) == bound
    gave_up, _ = jobs[-1]
    assert loop.cancel(gave_up)
    late, _ = submitted(loop, [6], deadline_s=0.0)
    time.sleep(0.001)
    assert loop.expire(late)
    gate.set()
    for index, (job, script) in enumerate(jobs[:-1]):
        assert script.done.wait(WAIT_S)
        assert job.state is JobState.RESULT
        assert script.results == [-2 * index]
    assert loop.wait_idle(WAIT_S)
    loop.close()
    assert [number for batch in double.seen for number in batch] == list(range(5))
    assert max(map(len, double.seen)) <= bound


def test_closing_ends_jobs_that_were_not_begun() -> None:
    gate = threading.Event()
    double = Arithmetic(2, gate)
    loop = Loop({DOUBLE: double, NEGATE: Arithmetic(-1)}, LIMITS, Rules(), jobs_at_once=1)
    jobs = [submitted(loop, [index]) for index in range(400)]
    assert double.entered.wait(WAIT_S)
    closing = threading.Thread(target=loop.close)
    closing.start()
    for job, script in jobs:
        assert script.done.wait(WAIT_S)
        assert isinstance(job.error, EngineClosed)
        assert script.ends == 1
    gate.set()
    closing.join(WAIT_S)
    assert not closing.is_alive()


class Failing(Arithmetic):
    """Fails every batch of several, and does something else first."""

    def __init__(self, gate: threading.Event) -> None:
        super().__init__(2, gate)
        self.meanwhile: Callable[[], object] = lambda: None

    def run(self, payloads: Sequence[Any]) -> list[Any]:
        made = super().run(payloads)
        if len(payloads) > 1:
            self.meanwhile()
            raise ValueError("all of you")
        return made


def test_after_a_failed_batch_only_those_still_wanted_are_tried_alone() -> None:
    gate, now_s = threading.Event(), [0.0]
    double = Failing(gate)
    stages = {DOUBLE: double, NEGATE: Arithmetic(-1)}
    loop = Loop(stages, LIMITS, Rules(window_s=0.001), clock=lambda: now_s[0])
    loop.submit(job_of(Numbers([0])))
    assert double.entered.wait(WAIT_S)  # the others wait meanwhile, and so share the next batch
    gone, late, stays = (
        job_of(Numbers([number]), deadline_s=due_s) for number, due_s in ((1, 9.0), (2, 1.0), (3, 9.0))
    )
    for job in (gone, late, stays):
        loop.submit(job)

    def meanwhile() -> None:
        loop.cancel(gone)
        now_s[0] = 2.0

    double.meanwhile = meanwhile
    gate.set()
    assert loop.wait_idle(WAIT_S)
    loop.close()
    assert double.seen == [[0], [1, 2, 3], [3]]
    assert [job.state for job in (gone, late, stays)] == [JobState.CANCELLED, JobState.ERROR, JobState.RESULT]
    assert isinstance(late.error, DeadlineExceeded)


@pytest.mark.parametrize(("lanes", "side_by_side", "effort_s"), [(1, 1, 1.0), (2, 2, 0.5), (2, 1, 1.0)])
def test_effort_is_time_with_every_lane_busy(lanes: int, side_by_side: int, effort_s: float) -> None:
    now_s, batches = [0.0], list[Computed]()

    class Slow:
        def run(self, payloads: Sequence[Any]) -> list[Any]:
            now_s[0] += 1.0
            return list(payloads)

    stages = {DOUBLE: Slow(), NEGATE: Slow()}
    loop = Loop(stages, LIMITS, Rules(), lanes, side_by_side, clock=lambda: now_s[0], on_batch=batches.append)
    loop.submit(job_of(Numbers([1])))
    assert loop.wait_idle(WAIT_S)
    loop.close()
    assert [item.effort_s for item in batches] == [effort_s] * 2
