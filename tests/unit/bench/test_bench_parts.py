"""Percentiles, result files, the summary, the sentence supply and the front end's benchmark."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from emotirt.bench.frontend import FrontendSettings, frontend_result, measure_frontend
from emotirt.bench.results import BenchmarkResult, describe_hardware, measured, write_result
from emotirt.bench.sentences import KINDS, paragraphs, sentences, sixty_characters, unlisted_word
from emotirt.bench.spelling import measure_spelling
from emotirt.bench.stats import distribution
from emotirt.bench.summary import SUMMARY_KEYS, collect_summary, write_summary
from emotirt.errors import InvalidRequest, OutputError
from emotirt.text.lexicon import default_lexicon
from emotirt.text.spelling_score import Split, split_words


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


@pytest.mark.parametrize("kind", KINDS)
def test_sixty_characters_are_new_and_repeatable(kind: str) -> None:
    first = list(itertools.islice(sixty_characters(kind), 400))
    assert len(set(first)) == 400
    assert first == list(itertools.islice(sixty_characters(kind), 400))
    assert first != list(itertools.islice(sixty_characters(kind, seed=1), 400))
    assert all(55 <= len(text) <= 65 for text in first)
    has_digits = [any(char.isdigit() for char in text) for text in first]
    assert has_digits == [index % 4 == 0 for index in range(400)]
    is_chinese = ["\u4e00" <= max(text.replace("，", "").replace("。", "")) <= "\u9fff" for text in first]
    assert all(is_chinese) if kind != "en" else not any(is_chinese)


def test_unlisted_words_are_unlisted() -> None:
    words = {unlisted_word(index) for index in range(200)}
    assert len(words) > 190
    assert not any(word in default_lexicon() for word in words)


def test_frontend_report_counts_what_it_says() -> None:
    settings = FrontendSettings(repeats=8, warm_up=2, notation_every=4)
    report = measure_frontend(settings)
    assert report.every.count == 24
    assert {kind: spread.count for kind, spread in report.kinds.items()} == {"en": 8, "zh": 8, "mixed": 8}
    assert (report.notation.count, report.plain.count, report.unlisted.count) == (6, 18, 8)
    assert 0 < report.every.smallest <= report.every.p50 <= report.every.p99 <= report.every.largest < 1000
    assert 55 <= report.characters <= 65
    content = frontend_result(report, settings).to_dict()
    assert content["values"]["frontend.p50_ms"]["unit"] == "ms"
    assert content["values"]["frontend.p50_ms"]["value"] == pytest.approx(report.every.p50, rel=1e-3)
    assert content["settings"]["warm_up"] == 2
    assert {"p50", "p90", "p95", "p99"} <= set(content["details"]["zh"])


def test_spelling_result_tells_errors_on_held_out_words() -> None:
    whole = split_words(default_lexicon())
    test, valid = dict(list(whole.test.items())[:150]), dict(list(whole.valid.items())[:50])
    content = measure_spelling(Split(whole.train, valid, test)).to_dict()
    details = content["details"]
    assert (details["test"]["words"], details["valid"]["words"]) == (150, 50)
    assert details["train_words"] == len(whole.train)
    error = content["values"]["spelling.phoneme_error_pct"]
    assert error["unit"] == "%"
    assert 4 < error["value"] < 16
    assert content["values"]["spelling.phoneme_error_no_stress_pct"]["value"] < error["value"]
