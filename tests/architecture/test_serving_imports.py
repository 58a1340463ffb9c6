"""What a fresh interpreter loads when the serving path is imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROBE = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(",".join(sorted({name.partition(".")[0] for name in sys.modules})))
"""
NEVER = {
    "torch",
    "onnx",
    "onnxscript",
    "tensorrt",
    "tensorrt_rtx_bindings",
    "cuda",
    "numba",
    "jieba",
    "pypinyin",
    "fastapi",
    "uvicorn",
}


def loaded_after(*names: str) -> set[str]:
    command = [sys.executable, "-c", PROBE, *names]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    return set(done.stdout.strip().split(","))


@pytest.mark.parametrize(
    "name",
    ["emotirt", "emotirt.cli.main", "emotirt.cli.say", "emotirt.cli.serve", "emotirt.engine", "emotirt.engine.live"],
)
def test_import_loads_no_training_library(name: str) -> None:
    assert not loaded_after(name) & NEVER


def test_command_line_starts_without_heavy_libraries() -> None:
    assert not loaded_after("emotirt.cli.main") & {"numpy", "onnxruntime", "pydantic", "rich", "av", "wetext"}
