"""Which batch comes next, with times that are only numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scheduling.scripts import DOUBLE, NEGATE, Numbers, job_of, task

from emotirt.scheduling.job import Job, Rank, Task
from emotirt.scheduling.policy import Batch, Rules, StageLimits, WaitingLists

LIMITS = {DOUBLE: StageLimits(4, 100), NEGATE: StageLimits(4, 100)}
WINDOW_S = 0.010


@pytest.fixture
def job() -> Job:
    return job_of(Numbers([]))


def lists(*tasks: Task, rules: Rules | None = None) -> WaitingLists:
    made = WaitingLists(LIMITS, rules or Rules(window_s=WINDOW_S))
    made.add(tasks)
    return made


def taken(waiting: WaitingLists, now_s: float = 0.0, is_busy: bool = False) -> Batch:
    batch = waiting.take(now_s, is_busy)
    assert batch is not None
    return batch


def test_a_lone_request_does_not_wait_when_nothing_is_computed(job: Job) -> None:
    lone = task(job)
    assert taken(lists(lone)).tasks == (lone,)


def test_nothing_waiting_gives_nothing() -> None:
    waiting = lists()
    assert waiting.take(0.0, False) is None
    assert waiting.wake_s(0.0) is None
    assert len(waiting) == 0


def test_a_batch_waits_for_the_window_while_another_is_computed(job: Job) -> None:
    waiting = lists(task(job, now_s=5.0), task(job, now_s=5.004))
    assert waiting.take(5.005, True) is None
    assert waiting.wake_s(5.005) == pytest.approx(5.0 + WINDOW_S)
    assert len(taken(waiting, 5.0 + WINDOW_S, True).tasks) == 2


def test_a_full_batch_does_not_wait(job: Job) -> None:
    assert len(taken(lists(*(task(job) for _ in range(4))), is_busy=True).tasks) == 4
    assert len(taken(lists(task(job, cost=100)), is_busy=True).tasks) == 1
    assert len(taken(lists(task(job, cost=40), task(job, cost=40)), is_busy=True).tasks) == 2


def test_limits_can_change(job: Job) -> None:
    waiting = lists(*(task(job) for _ in range(6)))
    waiting.limit({DOUBLE: StageLimits(2, 100)})
    assert [len(taken(waiting).tasks) for _ in range(3)] == [2, 2, 2]


def test_a_batch_that_waits_does_not_hold_up_the_other_stage(job: Job) -> None:
    waiting = lists(task(job, DOUBLE), *(task(job, NEGATE, rank=Rank.LATER) for _ in range(4)))
    assert taken(waiting, is_busy=True).stage == NEGATE


def test_first_chunks_before_later_ones_before_bulk(job: Job) -> None:
    ranks = [Rank.BULK, Rank.LATER, Rank.FIRST]
    waiting = lists(*(task(job, key=rank, rank=rank) for rank in ranks))
    assert [taken(waiting).tasks[0].rank for _ in ranks] == sorted(ranks)


def test_the_earlier_request_goes_first_and_of_equals_the_later_stage(job: Job) -> None:
    waiting = lists(task(job, NEGATE, now_s=2.0), task(job, DOUBLE, now_s=1.0))
    assert [taken(waiting, 3.0).stage for _ in range(2)] == [DOUBLE, NEGATE]
    waiting = lists(task(job, DOUBLE, now_s=1.0), task(job, NEGATE, now_s=1.0))
    assert taken(waiting, 3.0).stage == NEGATE


def test_only_equal_keys_share_a_batch(job: Job) -> None:
    waiting = lists(*(task(job, key=width) for width in (37, 122, 37, 122, 37)))
    assert [task.key for task in taken(waiting).tasks] == [37, 37, 37]
    assert [task.key for task in taken(waiting).tasks] == [122, 122]


def test_padding_stays_useful(job: Job) -> None:
    waiting = lists(task(job, cost=4), task(job, cost=33), task(job, cost=5))
    assert [task.cost for task in taken(waiting).tasks] == [4, 5]
    assert Batch(DOUBLE, (task(job, cost=3), task(job, cost=5))).padded_cost == 10


def test_a_first_chunk_is_not_held_up_by_later_work_in_its_batch(job: Job) -> None:
    waiting = lists(task(job, rank=Rank.LATER), task(job, rank=Rank.FIRST), task(job, rank=Rank.BULK))
    assert [task.rank for task in taken(waiting).tasks] == [Rank.FIRST]
    assert [task.rank for task in taken(waiting).tasks] == [Rank.LATER, Rank.BULK]


def test_tasks_of_jobs_that_ended_are_never_given(job: Job) -> None:
    gone = job_of(Numbers([]))
    waiting = lists(task(gone), task(job), task(gone, NEGATE))
    gone.cancel()
    assert [task.job for task in taken(waiting).tasks] == [job]
    assert waiting.take(0.0, False) is None
    waiting.add([task(job), task(job, NEGATE)])
    assert waiting.discard(job) == 2


@pytest.mark.parametrize("starving", [Rank.LATER, Rank.BULK])
@pytest.mark.parametrize("stage", [DOUBLE, NEGATE])
def test_nobody_starves_under_a_flood_of_first_chunks(job: Job, starving: Rank, stage: str) -> None:
    rules = Rules(window_s=WINDOW_S, patience_s=1.0, share=4)
    hungry = task(job, stage, rank=starving, now_s=0.0)
    waiting = lists(hungry, rules=rules)
    for step in range(200):
        now_s = step / 100
        waiting.add([task(job, stage, now_s=now_s) for stage in (DOUBLE, NEGATE) for _ in range(4)])
        if hungry in taken(waiting, now_s).tasks:
            assert rules.patience_s < now_s <= rules.patience_s + rules.share / 100 + 0.01
            return
    pytest.fail("it starved")


def test_those_who_waited_long_do_not_starve_the_living_either(job: Job) -> None:
    waiting = lists(*(task(job, rank=Rank.BULK, key=number) for number in range(100)), rules=Rules(share=4))
    led = []
    for step in range(40):
        waiting.add([task(job, now_s=10.0 + step, key=-step - 1)])
        led.append(taken(waiting, 10.0 + step).tasks[0].rank)
    assert led.count(Rank.BULK) == 10


task_shapes = st.tuples(
    st.sampled_from((DOUBLE, NEGATE)), st.integers(1, 120), st.sampled_from((None, 37)), st.sampled_from(list(Rank))
)
steps = st.lists(st.tuples(st.lists(task_shapes, max_size=5), st.booleans(), st.floats(0.0, 0.02)), max_size=40)


@given(steps=steps)
def test_every_task_comes_out_once_in_batches_within_limits(
    steps: list[tuple[list[tuple[str, int, object, Rank]], bool, float]],
) -> None:
    job = job_of(Numbers([]))
    waiting = WaitingLists(LIMITS, Rules(window_s=WINDOW_S))
    added: list[Task] = []
    out: list[Task] = []
    now_s = 0.0
    for shapes, is_busy, passed_s in steps:
        now_s += passed_s
        tasks = [task(job, stage, cost, key, rank, now_s) for stage, cost, key, rank in shapes]
        added += tasks
        waiting.add(tasks)
        batch = waiting.take(now_s, is_busy)
        if batch is None:
            wake_s = waiting.wake_s(now_s)
            assert (wake_s is None) == (len(waiting) == 0)
            assert wake_s is None or (is_busy and wake_s > now_s)
            continue
        limits = LIMITS[batch.stage]
        assert {(item.stage, item.key) for item in batch.tasks} == {(batch.stage, batch.tasks[0].key)}
        assert len(batch.tasks) <= limits.items
        assert len(batch.tasks) == 1 or batch.padded_cost <= limits.padded_cost
        out += batch.tasks
    while (batch := waiting.take(now_s, False)) is not None:
        out += batch.tasks
    assert sorted(map(id, out)) == sorted(map(id, added))
    assert len(waiting) == 0
