"""A job ends exactly once."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scheduling.scripts import Numbers, job_of, task

from emotirt.errors import DeadlineExceeded
from emotirt.scheduling.job import Job, JobState, Moment

NOW = Moment(0.0, 0.0)


@given(moves=st.lists(st.sampled_from(["end", "fail", "cancel", "expire", "outcome"]), min_size=1, max_size=6))
def test_only_the_first_end_counts(moves: list[str]) -> None:
    script = Numbers([1])
    job = job_of(script, deadline_s=0.5)
    ends = {
        "end": (job.end, JobState.RESULT),
        "fail": (lambda: job.end(ValueError("no")), JobState.ERROR),
        "cancel": (job.cancel, JobState.CANCELLED),
        "expire": (lambda: job.expire(1.0), JobState.ERROR),
        "outcome": (lambda: job.advance(task(job), ValueError("no"), NOW), JobState.ERROR),
    }
    for move in moves:
        ends[move][0]()
    assert job.state is ends[moves[0]][1]
    assert script.ends == 1


def test_racing_threads_end_it_once() -> None:
    for _ in range(50):
        script = Numbers([1])
        job = job_of(script)
        start = threading.Barrier(4)
        won: list[bool] = []

        def race(index: int, job: Job = job, start: threading.Barrier = start, won: list[bool] = won) -> None:
            start.wait()
            won.append(job.cancel() if index % 2 else job.end())

        threads = [threading.Thread(target=race, args=(index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert won.count(True) == script.ends == 1


def test_a_deadline_counts_until_the_first_audio() -> None:
    job = job_of(Numbers([1]), deadline_s=0.5)
    assert not job.expire(0.5)
    assert job.give(0.5)
    assert not job.is_late(100.0)
    assert not job.expire(100.0)
    late = job_of(Numbers([1]), deadline_s=0.5)
    assert not late.give(0.6)
    assert isinstance(late.error, DeadlineExceeded)
    assert "500 ms" in str(late.error)


def test_what_a_script_raises_is_the_error_of_its_job() -> None:
    class Clumsy(Numbers):
        def begin(self, job: Job, now_s: float) -> list:  # type: ignore[type-arg]  # never returns
            raise ValueError("dropped it")

    script = Clumsy([1])
    job = job_of(script)
    assert job.begin(0.0) == ()
    assert str(job.error) == "dropped it"
    assert script.ends == 1
    assert job.begin(0.0) == ()
