"""Comparing ways to run a bundle: shared inputs, cells, timing, partial results of several processes, the merge."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emotirt.bench.cells import Cell, cells
from emotirt.bench.comparison_table import comparison_table
from emotirt.bench.gpu_watch import GpuWatch, find_gpu
from emotirt.bench.inputs import Inputs, read_inputs, write_inputs
from emotirt.bench.latency import LatencySettings, measure_latency
from emotirt.bench.merge import Roles, merged, row_from_text
from emotirt.bench.partial import Partial, read_partial, write_partial
from emotirt.bench.sized_texts import sized_texts
from emotirt.bench.stages import StageSettings, SubjectReport, measure_stages
from emotirt.bench.subjects import Subject, subject_from_text
from emotirt.bench.timing import Clock, Repeats, timed_ms
from emotirt.bundle.store import Bundle
from emotirt.errors import BackendUnavailable, InvalidRequest
from emotirt.synthesis.frontend import frontend_from_bundle

ONCE = Repeats(warm_up=1, timed=2, seconds=60.0)
LENGTHS = (1.0, 2.0)


@pytest.fixture(scope="module")
def inputs_path(emotivoice_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inputs") / "inputs.npz"
    manifest = emotivoice_bundle.manifest
    tokens = {cell.seconds: cell.tokens for cell in cells(manifest, [""], LENGTHS, (1,))}
    write_inputs(path, frontend_from_bundle(emotivoice_bundle), manifest, tokens, 12)
    return path


@pytest.fixture(scope="module")
def inputs(inputs_path: Path) -> Inputs:
    return read_inputs(inputs_path)


def subject(text: str, bundle: Bundle) -> Subject:
    return subject_from_text(text, bundle.path, "cpu", 1)


def quiet(_: str) -> None:
    return


def test_sentences_have_exactly_the_tokens_asked_for(emotivoice_bundle: Bundle) -> None:
    frontend = frontend_from_bundle(emotivoice_bundle)
    for tokens in (12, 62, 300):
        texts = sized_texts(frontend, tokens, 4)
        assert len(set(texts)) == 4
        counts = [[item.token_count for item in frontend.utterances(text)] for text in texts]
        assert {sum(count) for count in counts} == {tokens}
        assert max(map(max, counts)) <= frontend.limits.max_tokens
    assert sized_texts(frontend, 62, 4) == sized_texts(frontend, 62, 4)
    with pytest.raises(InvalidRequest, match="too few"):
        sized_texts(frontend, 2, 1)


def test_the_most_telling_cells_come_first(emotivoice_bundle: Bundle) -> None:
    made = cells(emotivoice_bundle.manifest, ["vocoder"], (1.0, 15.0, 30.0), (1, 32))
    assert [(cell.seconds, cell.batch) for cell in made] == [(15, 1), (15, 32), (1, 1), (30, 1), (1, 32), (30, 32)]
    assert (made[0].frames, made[0].tokens) == (937, 187)
    with pytest.raises(InvalidRequest, match="has no stage singer"):
        cells(emotivoice_bundle.manifest, ["singer"])


def test_inputs_are_the_same_for_every_reader(inputs_path: Path, emotivoice_bundle: Bundle, tmp_path: Path) -> None:
    manifest = emotivoice_bundle.manifest
    one, other = read_inputs(inputs_path), read_inputs(inputs_path)
    assert one.digest == other.digest
    for cell in cells(manifest, list(manifest.stages), (1.0,), (2,)):
        mine, theirs = one.feeds(manifest, cell), other.feeds(manifest, cell)
        assert all(np.array_equal(mine[name], theirs[name]) for name in mine)
    decoder = Cell("decoder", 1.0, 2, 62, 12)
    assert one.feeds(manifest, decoder)["durations"].sum(axis=1).tolist() == [62.0, 62.0]
    with pytest.raises(InvalidRequest, match="no sentences of 9 s; they hold 1, 2 s"):
        one.sentences(9.0)
    with pytest.raises(InvalidRequest, match="holds no benchmark inputs"):
        read_inputs(tmp_path / "nothing.npz")


def test_stages_are_timed_on_every_backend_that_is_there(emotivoice_bundle: Bundle, inputs: Inputs) -> None:
    manifest = emotivoice_bundle.manifest
    settings = StageSettings(list(manifest.stages), (1.0,), (1, 2), ONCE)
    for way in ("onnxruntime", "torch"):
        report = SubjectReport()
        measure_stages(subject(way, emotivoice_bundle), inputs, settings, Clock(600.0), report, quiet)
        assert set(report.rows) == set(manifest.stages)
        assert not report.absent
        rows = [row_from_text(line) for line in report.rows["vocoder"]]
        assert [row.place for row in rows] == [(1.0, 1), (1.0, 2)]
        assert all(row.count >= 1 and 0.0 < row.p50 <= row.p99 for row in rows)
        assert (rows[0].last is not None) == (way == "torch")
    assert report.facts["vocoder"]["launched"]["operators"] > 10
    weights = report.facts["vocoder"]["memory_bytes"]["weights"]
    assert 0 < weights < 2 * manifest.stages["vocoder"].bytes + 10_000


def test_what_is_not_there_says_why(emotivoice_bundle: Bundle, inputs: Inputs) -> None:
    report = SubjectReport()
    settings = StageSettings(["vocoder"], (1.0,), (1,), ONCE)
    measure_stages(subject("torch-graph-fp16", emotivoice_bundle), inputs, settings, Clock(60.0), report, quiet)
    assert report.rows == {}
    assert "CUDA graphs need a CUDA device" in report.absent["vocoder"]
    with pytest.raises(InvalidRequest, match="subject 'pytorch' is not known"):
        subject("pytorch", emotivoice_bundle)


def test_a_budget_that_is_used_up_leaves_cells_out(emotivoice_bundle: Bundle, inputs: Inputs) -> None:
    report = SubjectReport()
    settings = StageSettings(["vocoder"], (1.0,), (1, 2), ONCE)
    measure_stages(subject("onnxruntime", emotivoice_bundle), inputs, settings, Clock(0.0), report, quiet)
    assert len(report.rows["vocoder"]) == 1
    assert report.absent == {"no time for vocoder": "1 s x 2"}


def test_every_way_speaks_whole_sentences(emotivoice_bundle: Bundle, inputs: Inputs) -> None:
    settings = LatencySettings(LENGTHS[:1], (1, 2), ONCE)
    audio = {}
    for way in ("onnxruntime", "torch", "torch-shipped"):
        report = SubjectReport()
        measure_latency(subject(way, emotivoice_bundle), inputs, settings, Clock(600.0), report, quiet)
        assert not report.absent
        rows = [row_from_text(line) for line in report.rows["path"]]
        audio[way] = [round(float(row.last or 0.0) * row.p50) for row in rows]
        assert all(row.count == 2 and (row.last or 0.0) > 0.0 for row in rows)
    other = replace(inputs, frontend="emotirt")
    with pytest.raises(InvalidRequest, match="are for front end 'emotirt'"):
        measure_latency(subject("onnxruntime", emotivoice_bundle), other, settings, Clock(1.0), SubjectReport(), quiet)


def test_sentences_run_out_rather_than_repeat(emotivoice_bundle: Bundle, inputs: Inputs) -> None:
    report = SubjectReport()
    settings = LatencySettings((1.0,), (8, 16), ONCE)
    measure_latency(subject("onnxruntime", emotivoice_bundle), inputs, settings, Clock(600.0), report, quiet)
    assert report.rows == {}
    assert "no unspoken sentences are left" in report.absent["path 1 s x 16"]


def test_a_gpu_that_is_not_there_is_said_to_be_absent() -> None:
    if not isinstance(find_gpu(), str):
        pytest.skip("there is a GPU")
    with GpuWatch() as watch:
        pass
    assert watch.use is None
    assert "NVML" in watch.absence


def test_warm_up_is_not_counted_and_calls_are_numbered() -> None:
    seen: list[int] = []
    assert timed_ms(seen.append, Repeats(3, 5, 60.0)).count == 5
    assert seen == list(range(8))


def partial(labels: dict[str, dict[str, Any]], kind: str = "stages", inputs: str = "a" * 64) -> Partial:
    bundle = {"name": "random", "sha256": "b" * 64, "frontend": "emotivoice", "random_weights": True, "graphs": {}}
    subjects = {
        label: {"way": label, "device": "cuda", "bundle": bundle, "facts": {}, "absent": {}, **item}
        for label, item in labels.items()
    }
    return Partial(kind, inputs, "One GPU", {"driver": "1"}, {"python": "3"}, {"repeats": 2}, subjects)


def plan(rows: Sequence[str], kernels: int, weights: int) -> dict[str, Any]:
    facts = {"launched": {"kernels": kernels}, "memory_bytes": {"weights": weights, "activations": 100}}
    return {"rows": {"vocoder": list(rows)}, "facts": {"vocoder": facts}}


def test_processes_of_one_run_become_one_result(tmp_path: Path) -> None:
    torch = partial({"torch": plan(["15 1 50 10 11 12 13 9.6", "15 32 5 300 310 320 330 290"], 200, 56)})
    plans = partial(
        {
            "tensorrt-fp32": plan(["15 1 50 8 9 9 9 6"], 90, 56),
            "tensorrt-fp16": plan(["15 1 50 4 5 5 5 3", "15 32 5 90 95 96 99 80"], 80, 28),
            "tensorrt-int8": plan(["15 1 50 4 5 5 5 2"], 80, 28),
        }
    )
    for name, item in (("one", torch), ("two", plans)):
        write_partial(item, tmp_path / f"{name}.json")
    result = merged([read_partial(tmp_path / "one.json"), read_partial(tmp_path / "two.json")])
    assert result.details["ratios"]["tensorrt-fp16 vocoder"] == ["15 1 2.5 3.2", "15 32 3.33 3.62"]
    compared = result.details["comparison"]["vocoder"]
    assert compared == {
        "fp16_speedup": 2.0,
        "int8_speedup": 1.5,
        "fp16_weights_ratio": 0.5,
        "fp16_activations_ratio": 1.0,
        "fewer_kernels_pct": 60.0,
    }
    assert result.values["gpu.vocoder_audio_s_per_s"]["value"] == 6000.0
    assert "int8.speedup" not in result.values  # random weights: its quality would be nobody's
    assert "tensorrt-fp16 p50 ms" in comparison_table(result)
    assert json.dumps(result.to_dict())


def test_targets_of_the_whole_path_come_from_its_rows() -> None:
    torch = partial({"torch": {"rows": {"path": ["15 1 50 50 51 52 53 299"]}}}, "latency")
    plans = partial(
        {"tensorrt-fp16": {"rows": {"path": ["15 1 50 4.5 5 5.5 6 3300", "15 32 5 80 81 82 83 6000"]}}}, "latency"
    )
    values = {key: entry["value"] for key, entry in merged([torch, plans]).values.items()}
    assert values == {
        "gpu.e2e_15s_p50_ms": 4.5,
        "gpu.e2e_15s_p99_ms": 6.0,
        "gpu.audio_s_per_s": 6000.0,
        "gpu.vs_pytorch_15s_ratio": 11.11,
    }
    assert merged([plans], Roles(fp16="other")).values == {}


def test_what_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    one = partial({"torch": plan(["15 1 5 1 1 1 1 -"], 1, 1)})
    with pytest.raises(InvalidRequest, match="do not belong together: inputs"):
        merged([one, partial({"other": plan([], 1, 1)}, inputs="c" * 64)])
    with pytest.raises(InvalidRequest, match="do not belong together: kind"):
        merged([one, partial({"other": plan([], 1, 1)}, "latency")])
    with pytest.raises(InvalidRequest, match="subject torch stands in several"):
        merged([one, one])
    with pytest.raises(InvalidRequest, match="row '15 1' of a partial result"):
        merged([partial({"torch": plan(["15 1"], 1, 1)})])
    with pytest.raises(InvalidRequest, match="no partial results"):
        merged([])
    (tmp_path / "other.json").write_text('{"kind": "stages"}')
    with pytest.raises(InvalidRequest, match="is no partial result"):
        read_partial(tmp_path / "other.json")


def test_torch_on_a_device_that_is_not_there(emotivoice_bundle: Bundle) -> None:
    with pytest.raises(BackendUnavailable, match="finds no CUDA device"):
        subject_from_text("torch", emotivoice_bundle.path, "cuda", None).open_stage("vocoder")
