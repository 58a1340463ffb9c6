"""Whole utterances in flight, the knee of offered load, live texts, and what they leave for the targets."""

from __future__ import annotations

from itertools import islice

import pytest

from emotirt.bench.cells import cells
from emotirt.bench.crowd import Reply, audio_per_s, open_crowd, steady
from emotirt.bench.inflight import IN_FLIGHT, InFlightSettings, measure_in_flight
from emotirt.bench.inputs import Inputs, read_inputs, write_inputs
from emotirt.bench.load import LoadReport, report_from_outcomes
from emotirt.bench.merge import merged, row_from_text
from emotirt.bench.partial import described, partial_of_this_process
from emotirt.bench.sentences import FEWEST_LIVE, MOST_LIVE, live_texts
from emotirt.bench.served import WatchedLoad, closed_loop_values, find_knee, knee_values
from emotirt.bench.speech_client import Outcome
from emotirt.bench.stages import SubjectReport
from emotirt.bench.subjects import subject_from_text
from emotirt.bench.sweep import SweepSettings, sweep
from emotirt.bench.timing import Clock
from emotirt.bench.workload import Playback
from emotirt.bundle.store import Bundle
from emotirt.synthesis.frontend import frontend_from_bundle

QUICK = InFlightSettings(seconds=1.0, level_s=0.2, warm_up_s=0.0, most_ms=1e9, numbers=SweepSettings(1, 2))


@pytest.fixture(scope="module")
def inputs(emotivoice_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    path = tmp_path_factory.mktemp("inputs") / "inputs.npz"
    (cell,) = cells(emotivoice_bundle.manifest, [""], (1.0,), (1,))
    write_inputs(path, frontend_from_bundle(emotivoice_bundle), emotivoice_bundle.manifest, {1.0: cell.tokens}, 20)
    return read_inputs(path)


def quiet(_: str) -> None:
    return


@pytest.mark.parametrize("way", ["onnxruntime", "torch-shipped"])
def test_every_asker_gets_whole_utterances(emotivoice_bundle: Bundle, inputs: Inputs, way: str) -> None:
    crowd = open_crowd(subject_from_text(way, emotivoice_bundle.path, "cpu", 1), inputs.sentences(1.0))
    try:
        replies = crowd.ask(3, 0.2)
    finally:
        crowd.close()
    assert len(replies) >= 3
    assert all(reply.ended_s > reply.asked_s and reply.audio_s > 0.1 for reply in replies)
    if way == "onnxruntime":
        assert all(reply.first_s is not None and reply.asked_s < reply.first_s <= reply.ended_s for reply in replies)
        assert all(reply.chunks for reply in replies)


def test_a_run_in_flight_is_merged_into_a_result(emotivoice_bundle: Bundle, inputs: Inputs) -> None:
    partials = []
    for way in ("onnxruntime", "torch-shipped"):
        subject = subject_from_text(way, emotivoice_bundle.path, "cpu", 1)
        report = SubjectReport()
        measure_in_flight(subject, inputs, QUICK, Clock(600.0), report, quiet)
        assert not report.absent
        rows = [row_from_text(line) for line in report.rows[IN_FLIGHT]]
        assert [row.batch for row in rows] == [1, 2]
        assert all(row.last is not None and row.last > 0.0 for row in rows)
        assert report.facts[IN_FLIGHT]["held"] == 2
        assert not report.facts[IN_FLIGHT]["is_bounded"]
        found = {subject.label: described(subject, report.to_dict())}
        partials.append(partial_of_this_process("inflight", inputs.digest, {}, found))
    result = merged(partials)
    assert result.benchmark == "inflight"
    assert set(result.details["subjects"]) == {"onnxruntime", "torch-shipped"}


def test_how_busy_a_gpu_is_comes_from_where_most_audio_is_made(emotivoice_bundle: Bundle) -> None:
    subject = subject_from_text("tensorrt-fp16", emotivoice_bundle.path, "cuda", None)
    rows = {IN_FLIGHT: ["15 8 10 1 1 1 1 100", "15 16 10 1 1 1 1 300", "15 32 10 1 1 1 1 200"]}
    facts = {f"{IN_FLIGHT} {count}": {"busy_pct": float(count)} for count in (8, 16, 32)}
    found = {"tensorrt-fp16": described(subject, {"rows": rows, "facts": facts, "absent": {}})}
    result = merged([partial_of_this_process("inflight", "0", {}, found)])
    assert result.values == {"gpu.busy_pct": {"value": 16.0, "unit": "%"}}


def test_what_sticks_out_of_the_counted_time_counts_in_part() -> None:
    replies = [Reply(0.0, 2.0, 10.0), Reply(2.0, 3.0, 10.0), Reply(3.5, 5.5, 10.0), Reply(9.0, 9.5, 10.0)]
    assert audio_per_s(replies, 1.0, 4.5) == pytest.approx((5.0 + 10.0 + 5.0) / 3.5)
    assert list(steady(replies, 1.0, 3.5)) == [replies[1]]


def load_report(rate: float, server_rate: float, limit_ms: float = 200.0) -> LoadReport:
    """Requests at even times against a server of one line that speaks so many a second."""
    free_s, outcomes = 0.0, []
    for index in range(int(20 * rate)):
        due_s = index / rate
        free_s = max(free_s, due_s) + 1.0 / server_rate
        heard = Playback()
        heard.hear(free_s, 2.0)
        outcomes.append(Outcome(due_s, due_s, free_s, "", heard))
    in_time = [item for item in outcomes if item.ended_s <= 20.0]
    return report_from_outcomes(in_time, limit_ms, 20.0)


def test_the_knee_is_where_a_server_falls_behind() -> None:
    def at_rate(rate: float) -> WatchedLoad:
        return WatchedLoad(load_report(rate, 11.3), {})

    knee = find_knee(at_rate, SweepSettings(1, 512))
    assert knee.rates.held == 11
    assert knee.capacity_per_s == pytest.approx(11.3, abs=0.3)
    assert knee.half.report.requests == pytest.approx(20 * knee.capacity_per_s / 2, abs=1)
    assert knee_values(knee)["gpu.ttfa_http_half_load_p99_ms"]["value"] == pytest.approx(1000 / 11.3, rel=0.01)
    assert knee.to_dict()["levels"][0]["rate_per_s"] == 1


def test_delays_stand_for_targets_only_where_nobody_was_refused() -> None:
    heard = Playback()
    heard.hear(0.03, 1.0)
    spoken, refused = Outcome(0.0, 0.0, 0.1, "", heard), Outcome(0.0, 0.0, 0.1, "429", Playback())
    gpu = {"memory_mb": 1500.0}
    good = WatchedLoad(report_from_outcomes([spoken] * 200 + [refused]), gpu)
    assert closed_loop_values(64, good) == {
        "gpu.ttfa_http_64_p99_ms": {"value": 30.0, "unit": "ms"},
        "gpu.memory_64_mb": {"value": 1500.0, "unit": "MB"},
    }
    assert set(closed_loop_values(1, good)) == {"gpu.ttfa_http_1_p50_ms"}
    assert closed_loop_values(3, good) == {}
    bad = WatchedLoad(report_from_outcomes([spoken] * 90 + [refused] * 10), gpu)
    assert closed_loop_values(64, bad) == {}


def test_a_sweep_ends_with_its_time() -> None:
    asked: list[int] = []

    def level(count: int) -> WatchedLoad:
        asked.append(count)
        return WatchedLoad(load_report(1.0, 50.0), {})

    assert not sweep(level, SweepSettings(8, 512), Clock(0.0)).is_bounded
    assert asked == [8]


def test_live_texts_are_short_and_long_and_of_both_languages() -> None:
    texts = list(islice(live_texts(3), 600))
    lengths = sorted(map(len, texts))
    assert (lengths[0] >= FEWEST_LIVE, lengths[-1] <= MOST_LIVE) == (True, True)
    assert lengths[0] < 8 < 25 < lengths[300] < 40 < 180 < lengths[-1]
    assert all(text.endswith(".") for text in texts[::2])
    assert all(text.endswith("。") for text in texts[1::2])
    assert list(islice(live_texts(3), 10)) == texts[:10]
