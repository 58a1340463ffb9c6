"""Percentiles, result files, the summary and the sentence supply."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from emotirt.bench.results import BenchmarkResult, describe_hardware, measured, write_result
from emotirt.bench.sentences import paragraphs, sentences
from emotirt.bench.stats import distribution
from emotirt.bench.summary import SUMMARY_KEYS, collect_summary, write_summary
from emotirt.errors import InvalidRequest, OutputError


def test_percentiles_of_a_known_series() -> None:
    spread = distribution([float(value) for value in range(101)])
    assert (spread.smallest, spread.p50, spread.p90, spread.p95, spread.p99, spread.largest) == (0, 50, 90, 95, 99, 100)
    assert spread.count == 101
    assert spread.mean == 50
    assert json.loads(json.dumps(spread.to_dict()))["p99"] == 99


def test_no_measurement_is_an_error() -> None:
    with pytest.raises(InvalidRequest, match="at least one repeat"):
        distribution([])


def test_result_file_says_where_it_comes_from(tmp_path: Path) -> None:
    result = BenchmarkResult("cpu", {"cpu.rtfx": measured(12.34567, "x")}, bundle={"name": "b", "sha256": "ab" * 32})
    path = write_result(result, tmp_path / "benchmarks" / "results")
    content = json.loads(path.read_text(encoding="utf-8"))
    assert path.name.startswith("cpu-2")
    assert content["values"] == {"cpu.rtfx": {"value": 12.35, "unit": "x"}}
    assert content["hardware"] == describe_hardware()
    assert "cores" in content["hardware"]
    assert content["versions"]["numpy"]
    assert content["date"].endswith("Z")
    assert isinstance(content["dirty"], bool)
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_unwritable_results_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot write"):
        write_result(BenchmarkResult("cpu", {}), tmp_path / "file" / "results")


def result_file(directory: Path, name: str, date: str, values: dict[str, float]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    entries = {key: {"value": value, "unit": "x"} for key, value in values.items()}
    content = {"date": date, "hardware": f"machine of {name}", "values": entries}
    (directory / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def test_summary_takes_the_newest_value_of_each_key(tmp_path: Path) -> None:
    results = tmp_path / "results"
    result_file(results, "a", "2025-03-01T00:00:00Z", {"cpu.rtfx": 11.0, "cpu.ttfa_ms": 90.0})
    result_file(results, "b", "2025-02-01T00:00:00Z", {"cpu.rtfx": 9.0, "fp16.snr_db": 40.0, "other.thing": 1.0})
    summary = write_summary(results, tmp_path / "summary.json")
    assert summary == json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary["cpu.rtfx"] == {"value": 11.0, "unit": "x", "result": "results/a.json", "hardware": "machine of a"}
    assert summary["fp16.snr_db"]["result"] == "results/b.json"
    assert list(summary) == [key for key in SUMMARY_KEYS if key in summary]
    assert "other.thing" not in summary


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"date": 1, "hardware": 2, "values": {"cpu.rtfx": 3}}'])
def test_broken_result_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "broken.json").write_text(content)
    with pytest.raises(InvalidRequest, match=r"broken.json' is no result file"):
        collect_summary(tmp_path)


def test_missing_results_say_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="emotirt bench cpu"):
        collect_summary(tmp_path / "none")


@pytest.mark.parametrize(("language", "low", "high"), [("en", 35, 85), ("zh", 10, 28)])
def test_sentences_are_new_and_repeatable(language: str, low: int, high: int) -> None:
    first = list(itertools.islice(sentences(language), 600))
    assert len(set(first)) == 600
    assert first == list(itertools.islice(sentences(language), 600))
    assert first != list(itertools.islice(sentences(language, seed=1), 600))
    assert all(low <= len(text) <= high for text in first)


def test_sentences_never_end() -> None:
    assert len(list(itertools.islice(sentences("zh"), 5000))) == 5000


def test_paragraphs_join_sentences() -> None:
    assert next(paragraphs("en", 3)).count(".") == 3
    assert next(paragraphs("zh", 4)).count("。") == 4
