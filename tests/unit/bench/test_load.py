"""Schedules, the listener's view of audio, what counts as held, and the search for the highest level."""

from __future__ import annotations

import itertools
import json
import math

import pytest

from emotirt.bench.load import LoadReport, report_from_outcomes
from emotirt.bench.speech_client import Outcome, ServerAddress, address_from_url
from emotirt.bench.sweep import SweepSettings, sweep
from emotirt.bench.workload import Playback, poisson_times_s, staggered_starts_s
from emotirt.errors import BackendError, InvalidRequest


def test_poisson_times_are_seeded_and_of_the_rate() -> None:
    times = poisson_times_s(50.0, 100.0, seed=3)
    assert times == poisson_times_s(50.0, 100.0, seed=3)
    assert times != poisson_times_s(50.0, 100.0, seed=4)
    assert times == sorted(times)
    assert times[0] > 0.0
    assert times[-1] < 100.0
    assert abs(len(times) - 5000) < 5 * math.sqrt(5000)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    mean = sum(gaps) / len(gaps)
    deviation = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert 0.9 < deviation / mean < 1.1  # exponential, not evenly spaced


@pytest.mark.parametrize(("rate", "seconds"), [(0.0, 1.0), (-1.0, 1.0), (1.0, 0.0), (math.nan, 1.0)])
def test_no_load_is_an_error(rate: float, seconds: float) -> None:
    with pytest.raises(InvalidRequest, match="above 0"):
        poisson_times_s(rate, seconds, 0)


def test_listeners_start_out_of_step() -> None:
    starts = staggered_starts_s(100, 3.0, 1)
    assert min(starts) < 0.5
    assert max(starts) > 2.5
    assert starts == staggered_starts_s(100, 3.0, 1)
    assert len(set(starts)) == 100


def test_underrun_is_the_silence_after_the_first_chunk() -> None:
    playback = Playback()
    playback.hear(10.0, 0.5)  # heard until 10.5
    playback.hear(10.2, 0.25)  # early: until 10.75
    assert playback.underrun_s == 0.0
    playback.hear(11.0, 1.0)  # 0.25 too late: until 12.0
    playback.hear(12.5, 0.5)  # 0.5 too late: until 13.0
    assert playback.first_s == 10.0
    assert playback.underrun_s == 0.75
    assert playback.heard_until_s == 13.0
    assert playback.audio_s == 2.25
    assert playback.gaps_s == pytest.approx([0.2, 0.8, 1.5])


def outcome(ttfa_s: float | None, problem: str = "", late_s: float = 0.0, due_s: float = 100.0) -> Outcome:
    playback = Playback()
    if ttfa_s is not None:
        playback.hear(due_s + ttfa_s, 1.0)
        playback.hear(due_s + ttfa_s + 1.0 + late_s, 1.0)
    return Outcome(due_s, due_s + 0.001, due_s + 3.0, problem, playback)


def test_a_report_counts_from_when_requests_were_due() -> None:
    report = report_from_outcomes([outcome(0.1 + 0.001 * index) for index in range(101)])
    assert report.ttfa_ms is not None
    assert (report.ttfa_ms.p50, report.ttfa_ms.p99) == (pytest.approx(150.0), pytest.approx(199.0))
    assert report.client_lag_ms.p50 == pytest.approx(1.0)
    assert report.rtfx == pytest.approx(202 / 3.0)
    assert report.is_held
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["ttfa_ms"]["count"] == 101


@pytest.mark.parametrize(
    "bad",
    [outcome(0.501), outcome(None, "429"), outcome(0.1, "cut off"), outcome(0.1, late_s=0.101)],
    ids=["late", "refused", "cut", "underrun"],
)
def test_one_in_a_hundred_may_go_wrong_and_no_more(bad: Outcome) -> None:
    good = [outcome(0.1)] * 99
    assert report_from_outcomes([*good, bad]).is_held
    assert not report_from_outcomes([*good, bad, bad]).is_held
    assert report_from_outcomes([*good, outcome(0.5), outcome(0.5), outcome(0.1, late_s=0.09)]).is_held


def test_failures_are_counted_by_kind_and_leave_no_numbers_behind() -> None:
    report = report_from_outcomes([outcome(None, "429"), outcome(None, "429"), outcome(None, "504")])
    assert report.problems == {"429": 2, "504": 1}
    assert report.ttfa_ms is report.gap_ms is report.end_to_end_ms is report.underrun_ms is None
    assert report.late_share == 1.0
    assert report.rtfx == 0.0
    with pytest.raises(BackendError, match="no request was due"):
        report_from_outcomes([])


@pytest.mark.parametrize("capacity", [0, 1, 7, 8, 13, 100, 511, 512, 600])
def test_a_sweep_finds_the_highest_level(capacity: int) -> None:
    tried: list[int] = []

    def measure(count: int) -> LoadReport:
        tried.append(count)
        return report_from_outcomes([outcome(0.1 if count <= capacity else 0.9)])

    found = sweep(measure, SweepSettings(first=8, most=512, refinements=10))
    assert found.held == min(capacity, 512)
    assert found.is_bounded == (capacity < 512)
    again = [8] if capacity < 8 else []  # the first may not have been warm
    assert tried[: 1 + len(again)] == [8, *again]
    assert len(tried) == len(set(tried)) + len(again)
    assert [level["listeners"] for level in found.to_dict()["levels"]] == tried


def test_addresses() -> None:
    assert address_from_url("http://127.0.0.1:8880") == ServerAddress("127.0.0.1", 8880)
    assert address_from_url("http://speech.example/api/v1/") == ServerAddress("speech.example", 80, "/api")
    assert address_from_url("http://[::1]:9000") == ServerAddress("::1", 9000)
    for url in ("https://a", "127.0.0.1:8880", "http://", "http://a:99999", "http://a:port"):
        with pytest.raises(InvalidRequest, match=r"http://127\.0\.0\.1:8880"):
            address_from_url(url)
