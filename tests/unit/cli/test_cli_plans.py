"""``emotirt build --target`` and what it says when something is wrong; plans with TensorRT for RTX, without a GPU."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from emotirt.bundle.plan_cache import PlanCache
from emotirt.bundle.plans import FP16
from emotirt.bundle.store import Bundle
from emotirt.cli.doctor_gpu import gpu_findings, plan_findings
from emotirt.cli.main import main
from emotirt.cli.plan_jobs import build_parts
from emotirt.errors import PlanFailed
from emotirt.runtime.tensorrt_library import TARGET_RTX, TARGET_TENSORRT, is_installed

needs_rtx = pytest.mark.skipif(not is_installed(TARGET_RTX), reason="TensorRT for RTX is not installed")
STAGE = ["--stage", "reference_encoder"]


def command(bundle: Path, cache: Path, *more: str) -> list[str]:
    return ["build", "--target", TARGET_RTX, "--bundle", str(bundle), "--cache", str(cache), *STAGE, *more]


def plans(cache: Path) -> set[str]:
    return {path.suffix for path in cache.iterdir() if path.suffix != ".lock"} if cache.exists() else set()


@needs_rtx
def test_plans_are_built_once_and_told(tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache, results = tmp_path / "cache", tmp_path / "results"
    assert main(command(tiny_bundle, cache, "--compute-capability", "8.9", "--result", str(results))) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("reference_encoder    fp16     built in ")
    assert lines[1] == f"1 plans for 8.9 in {cache}"
    (path,) = results.iterdir()
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["settings"]["compute_capabilities"] == ["8.9"]
    assert [plan["stage"] for plan in result["details"]["plans"]] == ["reference_encoder"]
    assert main(command(tiny_bundle, cache, "--compute-capability", "8.9", "--precision", FP16)) == 0
    assert "in the cache" in capsys.readouterr().out


@needs_rtx
def test_plans_are_built_side_by_side(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    cache = tmp_path / "cache"
    line = command(tiny_bundle, cache, "--stage", "decoder", "--compute-capability", "8.9", "--jobs", "2")
    assert main(line) == 0
    said = capsys.readouterr().out.splitlines()
    assert ["built in" in item for item in said] == [True, True, False]
    assert main(line) == 0
    assert "built in" not in capsys.readouterr().out
    options = ["--target", TARGET_RTX, "--bundle", str(tiny_bundle), "--cache", str(cache)]
    done: list[tuple[str, int]] = []
    with pytest.raises(PlanFailed, match=r"plan 9 of stage decoder could not be built: .*it has 1, counted from 1"):
        build_parts([("decoder", 1), ("decoder", 9)], options, 2, done.append)
    assert done in ([], [("decoder", 1)])


@needs_rtx
def test_doctor_lists_the_plans(opened_bundle: Bundle, tiny_bundle: Path, tmp_path: Path) -> None:
    cache = PlanCache(tmp_path)
    (missing,) = plan_findings(opened_bundle, cache)
    assert (missing.state, "emotirt build --target" in missing.detail) == ("missing", True)
    assert main(command(tiny_bundle, tmp_path, "--compute-capability", "12.0")) == 0
    (found,) = plan_findings(opened_bundle, cache)
    assert found.state == "ok"
    assert found.name.endswith("for compute capability 12.0")
    assert found.detail == "reference_encoder"
    assert any(item.name == TARGET_RTX and item.state == "ok" for item in gpu_findings())


@needs_rtx
def test_two_processes_build_one_plan(tiny_bundle: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    line = [sys.executable, "-m", "emotirt", *command(tiny_bundle, tmp_path / "cache")]
    both = [
        subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("built in" in out for out, _ in said) == 1
    assert sum("in the cache" in out for out, _ in said) == 1
    assert len(PlanCache(tmp_path / "cache").records()) == 1


@needs_rtx
def test_a_full_disk_is_told_and_leaves_nothing(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        assert main(command(tiny_bundle, cache)) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    error = capsys.readouterr().err
    assert f"plan cache {cache} cannot be written: File too large; make room, or choose another" in error
    assert plans(cache) == set()


@needs_rtx
def test_a_cache_that_is_a_file_is_told_before_the_build(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert main(command(tiny_bundle, tmp_path / "file")) == 1
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.skipif(is_installed(TARGET_TENSORRT), reason="TensorRT is installed")
def test_a_missing_tensorrt_is_named_with_its_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--target", TARGET_TENSORRT]) == 1
    assert "needs the package tensorrt: pip install 'emotirt[tensorrt]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stage", "vocoder"], "--stage goes with --target tensorrt or tensorrt-rtx"),
        (["--version-compatible"], "--version-compatible goes with --target"),
        (["--target", "tensorrt-rtx", "--precision", "fp8"], "invalid choice: 'fp8'"),
        (["--target", "tensorrt-rtx", "--optimization-level", "6"], "invalid choice: 6"),
        (["--target", "tensorrt-rtx", "--stage", "speaker"], "invalid choice: 'speaker'"),
        (["--random", "--size", "emotivoice"], "missing --out DIR"),
    ],
)
def test_options_that_do_not_go_together(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", *arguments]) != 0
    assert words in capsys.readouterr().err
