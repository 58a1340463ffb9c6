"""The report: what it says with and without results of a GPU, the same in both languages, and how it is checked."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.architecture.tree import ROOT

from emotirt.bench.load import LoadReport, report_from_outcomes
from emotirt.bench.merge import merged
from emotirt.bench.partial import Partial
from emotirt.bench.report.archive import read_archive
from emotirt.bench.report.document import report_from_results
from emotirt.bench.report.page import Sound, page, said_sounds
from emotirt.bench.report.parts import EN, LANGUAGES, ZH, Both
from emotirt.bench.report.prose import both_by_name, say
from emotirt.bench.report.publish import report_files
from emotirt.bench.report.readme import BEGIN, END, with_block
from emotirt.bench.report.steps import Step, cpu_steps, gpu_steps, run_steps
from emotirt.bench.report.targets import TARGETS, read_reasons
from emotirt.bench.results import BenchmarkResult, json_text, write_json
from emotirt.bench.served import WatchedLoad, closed_loop_values, find_knee, knee_values
from emotirt.bench.speech_client import Outcome
from emotirt.bench.summary import SUMMARY_KEYS
from emotirt.bench.sweep import SweepSettings
from emotirt.bench.workload import Playback
from emotirt.cli import bench
from emotirt.cli.arguments import OneLineParser
from emotirt.cli.main import main
from emotirt.errors import InvalidRequest
from emotirt.types import Audio

GPU = "NVIDIA H200, 141 GiB; AMD EPYC, 16 cores, 128 GiB"
REAL = ROOT / "benchmarks" / "results"


def copy_tree(root: Path, results: Path) -> None:
    """Copy the READMEs, and the results that are not of a GPU."""
    results.mkdir(parents=True, exist_ok=True)
    for path in REAL.glob("*.json"):
        if "NVIDIA" not in path.read_text(encoding="utf-8"):
            shutil.copy(path, results / path.name)
    for name in ("README.md", "README.zh.md"):
        shutil.copy(ROOT / name, root / name)


def keep(folder: Path, result: BenchmarkResult, minute: int) -> None:
    """Write a result as if measured at a minute of one hour."""
    content = {**result.to_dict(), "date": f"2027-01-01T10:{minute:02d}:00Z"}
    write_json(folder / f"{result.benchmark}-20270101-10{minute:02d}00-{content['commit'][:8]}.json", content)


def subject(way: str, rows: dict[str, list[str]], facts: dict[str, Any], bundle: str) -> dict[str, Any]:
    about = {"name": bundle, "sha256": "ab" * 32, "frontend": "emotivoice", "random_weights": True, "graphs": {}}
    return {"way": way, "device": "cuda", "bundle": about, "rows": rows, "facts": facts, "absent": {}}


def gpu_result(kind: str, subjects: dict[str, Any], bundle: str = "emotivoice-random") -> BenchmarkResult:
    """Merge what a process on a GPU wrote, by the code that does so there."""
    gpu = {"index": 0, "driver": "570.1", "cuda": "12.8", "clocks_mhz": {"multiprocessors": 1980, "memory": 3201}}
    found = {way: subject(way, rows, facts, bundle) for way, (rows, facts) in subjects.items()}
    return merged([Partial(kind, "0" * 64, GPU, gpu, {"python": "3.10.1"}, {"load_average": [1.0]}, found)])


def load(ttfa_ms: float, rate: float) -> LoadReport:
    outcomes = []
    for index in range(int(10 * rate)):
        heard = Playback()
        heard.hear(index / rate + ttfa_ms / 1000.0, 3.0)
        outcomes.append(Outcome(index / rate, index / rate, index / rate + 0.2, "", heard, {"queue": 0.5}))
    return report_from_outcomes(outcomes, 200.0, 10.0)


def served(kind: dict[str, Any], found: dict[str, Any], values: dict[str, Any]) -> BenchmarkResult:
    settings = {"held": {"late_ms": 200.0}, "seconds": 4.0, **kind}
    bundle = {"name": "emotivoice-random", "sha256": "ab" * 32}
    return BenchmarkResult("serve", values, settings, {"batching": found}, bundle, GPU)


def write_gpu_results(folder: Path) -> None:
    """Write a result of every kind that a GPU host leaves."""
    for minute, p50 in enumerate((4.0, 4.2, 4.1)):
        rows = {
            "tensorrt-fp16": [f"15 1 100 {p50} 4.5 4.8 5.2 3600", "15 32 20 70 72 73 75 6400"],
            "torch": ["15 1 100 25 26 27 28 590"],
            "torch-shipped": ["15 1 1 50 51 52 53.4 290"],
            "torch-graph-fp16": ["15 1 100 12 12.1 12.2 12.5 1200"],
        }
        keep(folder, gpu_result("latency", {way: ({"path": lines}, {}) for way, lines in rows.items()}), minute)
    chunks = ["0.2 1.1 1.5 0.9 3.9", "0.1 0 0 0.8 4.6"]
    facts = {
        "in_flight": {"held": 256, "is_bounded": True, "most_ms": 500.0, "fallbacks": 0},
        "in_flight 1": {"busy_pct": 40.0, "memory_mb": 1500.0, "slowest_chunks": chunks, "first_ms": [9, 3.9, 4, 4, 5]},
        "in_flight 256": {
            "busy_pct": 91.0, "memory_mb": 1900.0, "energy_wh_per_audio_hour": 0.08, "slowest_chunks": chunks,
        },
    }  # fmt: skip
    rows = {"in_flight": ["15 1 100 4.9 5 5.1 5.3 3000", "15 256 1000 400 440 450 480 8100"]}
    keep(folder, gpu_result("inflight", {"tensorrt-fp16": (rows, facts)}), 5)
    launched = {"seconds": 15.0, "launched": {"kernels": 100}, "memory_bytes": {"activations": 2**20}}
    stages = {stage: ["15 1 50 2 2.1 2.2 2.3 1.9"] for stage in ("text_encoder", "decoder", "vocoder")}
    told = dict.fromkeys(stages, launched)
    keep(folder, gpu_result("stages", {"tensorrt-fp16": (stages, told), "torch": (stages, told)}), 6)
    plain = {"vocoder": ["15 1 50 2.9 3 3 3 2.8"]}
    faster = {"vocoder": ["15 1 50 2.0 2 2 2 1.4"]}
    keep(folder, gpu_result("stages", {"plain": (plain, {}), "polyphase": (faster, {})}), 7)
    knee = find_knee(lambda rate: WatchedLoad(load(20.0 if rate <= 50 else 900.0, rate), {}), SweepSettings(8, 512))
    keep(folder, served({"knee": True, "live_text": True}, knee.to_dict(), knee_values(knee)), 8)
    crowd = WatchedLoad(load(30.0, 20.0), {"memory_mb": 1700.0, "busy_pct": 60.0})
    keep(folder, served({"clients": 64}, crowd.to_dict(), closed_loop_values(64, crowd)), 9)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source tree with real results of a CPU and made ones of a GPU."""
    root = tmp_path_factory.mktemp("tree")
    copy_tree(root, root / "benchmarks" / "results")
    write_gpu_results(root / "benchmarks" / "results")
    (root / "benchmarks" / "reasons.md").write_text("## gpu.tflops\nen: x\nzh: y\n", encoding="utf-8")
    return root


def bench_report(root: Path, *options: str) -> int:
    places = ["--root", str(root), "--results", str(root / "benchmarks" / "results"), "--out", str(root / "out")]
    return main(["bench", "report", *places, "--no-sound", *options])


def row_of(text: str, start: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {start} ")][:1]
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_a_report_of_a_gpu_is_written_and_checked(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_report(tree, "--from-results") == 0
    text = (tree / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    ours = row_of(text, "**EmotiRT FP16**")
    assert ours[1:4] == ["4.1 ms (4–4.2, n=3)", "4.5 ms (4.5–4.5, n=3)", "5.2 ms (5.2–5.2, n=3)"]
    assert ours[4:6] == ["256", "not measured"]
    assert ours[6:11] == ["8,100", "1.9 GB", "91 %", "300", "0.08"]
    assert row_of(text, "PyTorch as EmotiVoice ships it")[1].startswith("50 ms")
    assert row_of(text, "PyTorch as EmotiVoice ships it")[1].endswith("(of 1 run)")
    assert "`torch-graph-fp16`" in row_of(text, "PyTorch at its best: FP16, graph or compiled (`torch-graph-fp16`)")[0]
    assert "reached" in row_of(text, "15 s utterance, text to PCM, p50")
    assert row_of(text, "audio seconds per second, text to PCM")[2:4] == ["6,400 ×", "reached"]
    assert re.search(r"the knee is at \*\*\d\d requests/s\*\*", text)
    assert row_of(text, "64 in flight, closed loop")[2] == "30 / 30 / 30"
    assert "2 ×" in row_of(text, "`polyphase`")[3]
    assert "Driver 570.1, CUDA 12.8" in " ".join(text.split())
    readme = (tree / "README.md").read_text(encoding="utf-8")
    assert "4.1 ms" in readme
    assert "6.1 ×" in readme
    assert bench_report(tree, "--check") == 0
    (tree / "README.md").write_text(readme.replace("4.1 ms", "3.1 ms"), encoding="utf-8")
    (tree / "docs" / "plots" / "old.svg").write_text("<svg/>", encoding="utf-8")
    capsys.readouterr()
    assert bench_report(tree, "--check") == 1
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == ["README.md", "docs/plots/old.svg"]
    assert bench_report(tree, "--from-results") == 0
    assert not (tree / "docs" / "plots" / "old.svg").exists()
    assert bench_report(tree, "--check") == 0


def test_both_languages_hold_the_same_figures(tree: Path) -> None:
    assert bench_report(tree, "--from-results") == 0
    texts = [(tree / "docs" / f"benchmarks{ending}").read_text(encoding="utf-8") for ending in (".md", ".zh.md")]
    english, chinese = ([line for line in text.splitlines() if line.startswith("|")] for text in texts)
    assert len(english) == len(chinese)
    for one, other in zip(english, chinese, strict=True):
        assert one.count("|") == other.count("|")
        assert sorted(re.findall(r"\d+(?:[.,]\d+)*", one)) == sorted(re.findall(r"\d+(?:[.,]\d+)*", other)), (
            one,
            other,
        )
    assert [text.count("\n## ") for text in texts] == [8, 8]


def test_pictures_are_sound(tree: Path) -> None:
    files = report_files(report_from_results(tree / "benchmarks" / "results"), tree)
    pictures = {path.name: text for path, text in files.items() if path.suffix == ".svg"}
    names = {"latency", "offered-load-gpu", "timeline-gpu"}
    assert set(pictures) == {f"{name}{ending}" for name in names for ending in (".svg", ".zh.svg")}
    for text in pictures.values():
        marks = ElementTree.fromstring(text).iter()
        numbers = [float(mark.get(name, 0.0)) for mark in marks for name in ("x", "y", "width", "height", "cx", "cy")]
        assert max(numbers) <= 2000.0
        assert min(numbers) >= 0.0
        assert len(text) < 20_000
    assert "256 in flight" in pictures["timeline-gpu.svg"]
    assert "256 个同时进行" in pictures["timeline-gpu.zh.svg"]


def test_without_a_gpu_the_rows_say_so(tmp_path: Path) -> None:
    copy_tree(tmp_path, tmp_path)
    files = report_files(report_from_results(tmp_path), tmp_path)
    text = files[Path("docs/benchmarks.md")]
    assert row_of(text, "**EmotiRT FP16**")[1:11] == ["not measured"] * 10
    assert row_of(text, "the article: TensorRT FP16, A10G")[1] == "98 ms"
    assert "gpu." not in files[Path("benchmarks/summary.json")]
    assert "reached" in row_of(text, "first audio, warm, p50")


def test_every_target_is_told_of() -> None:
    assert {target.key for target in TARGETS} == set(SUMMARY_KEYS) - {"faults.requests"}
    by_key = {target.key: target for target in TARGETS}
    assert by_key["cpu.rtfx"].verdict(9.9) == Both("not reached", "未达到")
    assert by_key["cpu.rtfx"].verdict(10.0) == Both("reached", "达到")
    assert by_key["cpu.ttfa_ms"].verdict(150.1) == Both("not reached", "未达到")
    assert by_key["cpu.streams"].verdict(3.0) == "–"


def test_reasons_stand_beside_what_is_missed(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    path = tmp_path / "reasons.md"
    path.write_text("Intro.\n\n## int8.pesq\nen: one\ntwo\nzh: 一\n", encoding="utf-8")
    assert read_reasons(path) == {"int8.pesq": Both("one two", "一")}
    report_from_results(tmp_path / "results")
    path.write_text("## int9.pesq\nen: one\nzh: 一\n", encoding="utf-8")
    with pytest.raises(InvalidRequest, match=r"no target int9\.pesq"):
        read_reasons(path)
    path.write_text("## int8.pesq\nen: one\n", encoding="utf-8")
    with pytest.raises(InvalidRequest, match="zh"):
        report_from_results(tmp_path / "results")
    assert read_reasons(tmp_path / "none.md") == {}


def test_intervals_need_three_runs_of_one_machine(tree: Path) -> None:
    archive = read_archive(tree / "benchmarks" / "results")
    first = archive.newest("latency", lambda item: item.is_of_gpu)
    assert first is not None
    found = archive.interval(first, lambda item: float(len(item.path.name)))
    assert found is not None
    assert found.count == 3
    alone = archive.newest("inflight")
    assert alone is not None
    one = archive.interval(alone, lambda item: 2.0)
    assert one is not None
    assert (one.low, one.high, one.count) == (None, None, 1)
    assert archive.interval(alone, lambda item: None) is None


def test_damaged_results_and_readmes_are_named(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text('{"benchmark": "cpu"}', encoding="utf-8")
    with pytest.raises(InvalidRequest, match=r"broken\.json"):
        report_from_results(tmp_path)
    with pytest.raises(InvalidRequest, match="no results in"):
        report_from_results(tmp_path / "nowhere")
    with pytest.raises(InvalidRequest, match="lacks the lines"):
        with_block(f"{END} {BEGIN}", "x", "README.md")
    assert with_block(f"a\n{BEGIN}\nold\n{END}\nb", "new", "README.md") == "a\nnew\nb"
    assert main(["bench", "report", "--from-results", "--root", str(tmp_path), "--results", str(REAL)]) == 2
    assert main(["bench", "report", "--only", "sing", "--results", str(tmp_path)]) == 2


def test_steps_are_done_once_and_failures_stop_nothing(tmp_path: Path) -> None:
    steps = [
        Step("fails", ["bench", "floors", "--graph", str(tmp_path / "none.onnx")], 60.0),
        Step("works", ["--help"], 60.0),
        Step("slow", ["--help"], 0.001),
    ]
    told: list[str] = []
    failed = run_steps(steps, tmp_path, False, lambda _, line: told.append(line))
    assert failed == ["fails", "slow"]
    assert "none.onnx" in next(line for line in told if line.startswith("fails: failed"))
    assert json.loads((tmp_path / "steps.json").read_text(encoding="utf-8")) == ["works"]
    told.clear()
    run_steps(steps[1:2], tmp_path, False, lambda _, line: told.append(line))
    assert told == ["works: done before"]
    run_steps(steps[1:2], tmp_path, True, lambda _, line: told.append(line))
    assert "works ..." in told


def test_steps_name_options_that_exist(tmp_path: Path) -> None:
    parser = OneLineParser()
    bench.add_arguments(parser)
    steps = [*cpu_steps(tmp_path), *gpu_steps(tmp_path, tmp_path)]
    assert len({step.name for step in steps}) == len(steps)
    for step in steps:
        if step.arguments[0] == "bench":
            parser.parse_args(list(step.arguments[1:]))
    assert sum(step.most_s for step in cpu_steps(tmp_path)) <= 900.0


def test_a_page_has_players_and_no_links(tree: Path, tmp_path: Path) -> None:
    report = report_from_results(tree / "benchmarks" / "results")
    tone = np.sin(np.arange(8000) / 5.0).astype(np.float32) / 2
    pcm = (tone * 32767).astype(np.int16)
    np.savez(
        tmp_path / "said-fp16.npz",
        **{"rate_hz": np.array(16_000), "0/reference": pcm, "0/candidate": pcm, "0/text": np.array("Hi <b>")},
    )
    sounds = [Sound("one & two", Audio(tone, 16_000)), *said_sounds(tmp_path / "said-fp16.npz")]
    for language in LANGUAGES:
        html = page(report, sounds, language)
        assert html.count("<audio ") == 3
        assert "one &amp; two" in html
        assert "Hi &lt;b&gt;" in html
        assert "](" not in html
        assert html.count("<svg ") == 3
    with pytest.raises(InvalidRequest, match="holds no pairs"):
        said_sounds(tmp_path / "none.npz")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_lines_of_results_lose_nothing(content: dict[str, Any]) -> None:
    assert json.loads(json_text(content)) == content


def test_results_are_short_for_people_too() -> None:
    assert json_text({"a": {"b": 1, "c": [1, 2]}, "d": {"e": "{ x"}, "f": {}}) == (
        '{\n  "a": {\n    "b": 1,\n    "c": [1, 2]\n  },\n  "d": {\n    "e": "{ x"\n  },\n  "f": {}\n}\n'
    )


def test_sentences_of_the_report_have_both_languages() -> None:
    assert say("http.listeners", bound="200") == Both(
        "Listeners in real time, late after 200 ms.", "实时听者，首段音频晚于 200 ms 算迟到。"
    )
    with pytest.raises(ValueError, match="'a' needs"):
        both_by_name("## a\nen: x\n")
    assert (EN, ZH) == LANGUAGES
