"""``emotirt evaluate`` from the command line: what it can measure, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emotirt.bench.summary import SUMMARY_KEYS
from emotirt.cli.main import main


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["evaluate", *arguments]) == 2
    return capsys.readouterr().err


def test_what_is_missing_is_named(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = ("--bundle", str(tiny_bundle), "--threads", "1")
    assert "nothing to measure" in error_of(capsys, *bundle)
    assert "--pack DIR" in error_of(capsys, *bundle, "--part", "speakers")
    assert "--recognizer FILE" in error_of(capsys, *bundle, "--part", "intelligibility")
    assert "--asr COMMAND" in error_of(capsys, *bundle, "--part", "transcripts")
    assert "--against-bundle" in error_of(capsys, *bundle, "--part", "precision")
    assert "SPEAKER=VOICE" in error_of(capsys, *bundle, "--voice", "linda")
    assert "--human-only needs" in error_of(capsys, "--human-only")


def test_precision_writes_result_and_report(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.html"
    code = main(
        ["evaluate", "--bundle", str(tiny_bundle), "--against-backend", "onnxruntime", "--threads", "1",
         "--kind", "float32", "--report", str(report), "--results", str(tmp_path / "results")]
    )  # fmt: skip
    out = capsys.readouterr().out
    assert "durations differ: 0, none: reached" in out
    (path,) = (tmp_path / "results").glob("precision-*.json")
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["bundle"]["sha256"]
    assert set(result["values"]) <= set(SUMMARY_KEYS)
    reached = [target["reached"] for target in result["details"]["targets"]]
    assert code == (0 if all(reached) else 1)
    assert result["details"]["measures"]["snr_db"]["mean"] == 200.0
    assert "<audio" in report.read_text(encoding="utf-8")
    assert json.loads(report.with_suffix(".json").read_text(encoding="utf-8"))["parts"]["precision"]["targets"]
