"""What ``emotirt bench report`` measures, step by step, each in a process of its own, and none of them twice."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from emotirt.bench.results import write_json

DONE_FILE = "steps.json"
_TAIL = 400


@dataclass(frozen=True, slots=True)
class Step:
    """One measurement.

    Attributes:
        name: unique.
        arguments: of ``emotirt``.
        most_s: after so long it is stopped.
    """

    name: str
    arguments: Sequence[str]
    most_s: float


def cpu_steps(results: Path) -> list[Step]:
    """Return what a machine without a GPU measures, in under ten minutes on two cores."""
    ways = ["--subject", "onnxruntime", *(["--subject", "torch"] if _has("torch") and _has("onnx") else [])]
    kept = ["--results", str(results)]
    on_cpu = [*kept, "--backend", "onnxruntime"]
    device = ["--device", "cpu"]
    made = {
        "frontend": (["frontend", "--repeats", "300", *kept], 60.0),
        "cpu": (["cpu", "--repeats", "20", "--cold-starts", "5", *on_cpu], 220.0),
        "latency": (
            ["latency", *ways, *device, "--lengths", "1,5,15", "--batches", "1,4", "--seconds", "80", *kept],
            140.0,
        ),
        "stages": (["stages", *ways, *device, "--lengths", "1,15", "--batches", "1", "--seconds", "40", *kept], 90.0),
        "inflight": (
            [
                "inflight",
                *ways,
                *device,
                "--length",
                "5",
                "--most",
                "32",
                "--level-seconds",
                "3",
                "--seconds",
                "50",
                *kept,
            ],
            120.0,
        ),
        "serve-levels": (["serve", "--levels", "16,64,128", "--seconds", "6", "--warm-up", "2", *on_cpu], 90.0),
        "serve-knee": (
            [
                *("serve", "--knee", "--live-text", "--late-ms", "200", "--first", "2", "--most", "64"),
                *("--seconds", "7", "--warm-up", "1", *on_cpu),
            ],
            120.0,
        ),
        "serve-mixed": (["serve", "--rate", "3", "--live-text", "--bulk", "2", "--seconds", "6", *on_cpu], 60.0),
    }
    return [Step(name, ["bench", *arguments], most_s) for name, (arguments, most_s) in made.items()]


def gpu_steps(results: Path, out: Path) -> list[Step]:
    """Return what a GPU adds, where PyTorch and TensorRT share an interpreter; ``scripts/gpu_host`` is for two."""
    model, inputs = str(out / "model"), str(out / "inputs.npz")
    of = ["--bundle", model]
    kept = ["--results", str(results)]
    shared = [*of, "--inputs", inputs, "--device", "cuda", *kept]
    served = [*of, *kept, "--backend", "tensorrt@fp16"]
    sizes = ["--lengths", "1,5,15", "--batches", "1,8,32", "--cell-seconds", "1"]
    strict = ["--late-ms", "200", "--most", "1024", "--seconds", "4"]
    made: dict[str, tuple[Sequence[str], float]] = {
        "gpu-model": (["build", "--size", "emotivoice", "--random", "--out", model], 300.0),
        "gpu-inputs": (["bench", "inputs", *of, "--lengths", "1,5,15", "--count", "700", "--out", inputs], 120.0),
        **{
            f"gpu-plans-{precision}": (["build", "--target", "tensorrt", *of, "--precision", precision], 600.0)
            for precision in ("fp16", "float32", "int8")
        },
        "gpu-latency": (["bench", "latency", *shared, *sizes, "--seconds", "300"], 400.0),
        "gpu-inflight": (["bench", "inflight", *shared, "--seconds", "200"], 300.0),
        "gpu-stages": (["bench", "stages", *shared, *sizes, "--seconds", "240"], 400.0),
        "gpu-http-1": (["bench", "serve", "--clients", "1", "--seconds", "6", *served], 120.0),
        "gpu-http-64": (["bench", "serve", "--clients", "64", "--seconds", "8", *served], 120.0),
        "gpu-http-knee": (["bench", "serve", "--knee", "--live-text", "--first", "4", *strict, *served], 240.0),
        "gpu-http-listeners": (["bench", "serve", "--sweep", "--first", "32", *strict, *served], 240.0),
        "gpu-http-mixed": (["bench", "serve", "--rate", "30", "--live-text", "--bulk", "8", *served], 120.0),
    }
    return [Step(name, arguments, most_s) for name, (arguments, most_s) in made.items()]


def run_steps(steps: Sequence[Step], out: Path, again: bool, tell: Callable[[int, str], None]) -> list[str]:
    """Run what was not done yet, each as a process; one that fails stops nothing else.

    Args:
        steps: in order.
        out: keeps logs and what is done.
        again: whether to measure what is done, too.
        tell: receives how many are over, and a line about the last one.

    Returns: names of those that failed.
    Raises: OutputError: ``out`` is not writable.
    """
    done = set() if again else _done(out)
    write_json(out / DONE_FILE, sorted(done))
    failed = []
    for index, step in enumerate(steps):
        if step.name in done:
            tell(index + 1, f"{step.name}: done before")
            continue
        tell(index, f"{step.name} ...")
        began_s = time.monotonic()
        problem = _problem(step, out / f"{step.name}.log")
        took = f"{time.monotonic() - began_s:.0f} s"
        if problem:
            failed.append(step.name)
            tell(index + 1, f"{step.name}: failed after {took}: {problem}")
            continue
        done.add(step.name)
        write_json(out / DONE_FILE, sorted(done))
        tell(index + 1, f"{step.name}: {took}")
    return failed


def _problem(step: Step, log: Path) -> str:
    """Run a step; returns what went wrong, empty for nothing."""
    with log.open("wb") as sink:
        try:
            command = [sys.executable, "-m", "emotirt", *step.arguments]
            code = subprocess.run(command, stdout=sink, stderr=sink, stdin=subprocess.DEVNULL, timeout=step.most_s)
        except subprocess.TimeoutExpired:
            return f"it took more than {step.most_s:g} s; see {log}"
    if code.returncode == 0:
        return ""
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"code {code.returncode}: {said[-1][:_TAIL] if said else 'it said nothing'}"


def _done(out: Path) -> set[str]:
    try:
        return set(json.loads((out / DONE_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return set()


def _has(package: str) -> bool:
    return find_spec(package) is not None
