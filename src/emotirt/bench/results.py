"""Result files: what was measured, on what, with which code and bundle.

One JSON object a file under ``benchmarks/results/``::

    {"benchmark": "cpu", "date": "2025-01-31T12:00:00Z", "commit": "...", "dirty": false,
     "hardware": "model of the CPU, 2 cores, 16 GiB", "versions": {...}, "bundle": {"name": ..., "sha256": ...},
     "settings": {...}, "values": {"cpu.rtfx": {"value": 12.3, "unit": "x"}}, "details": {...}}

``values`` holds what ``benchmarks/summary.json`` may list; any program may write such a file, on any machine.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from emotirt.errors import OutputError
from emotirt.whole_file import write_whole

RESULTS_DIRECTORY = Path("benchmarks/results")
_INNERMOST = re.compile(r"\{\n[^{}\[\]]*\n *\}|\[\n[^{}\[\]]*\n *\]")
_BREAK = re.compile(r"\n *")
_LINE_CHARACTERS = 240
_PACKAGES = ("emotirt", "numpy", "onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-rtx", "torch", "av", "soxr")


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """One finished benchmark.

    Attributes:
        benchmark: short name, the start of the file name.
        values: key of the summary -> {"value", "unit"}.
        settings: what was asked for (repeats, threads, warm-up).
        details: everything else worth keeping, JSON types only.
        bundle: {"name", "sha256"} or empty.
        hardware: one line; described from this machine when empty.
    """

    benchmark: str
    values: Mapping[str, Mapping[str, Any]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    bundle: Mapping[str, str] = field(default_factory=dict)
    hardware: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the file's content, with the machine, the versions and the commit filled in."""
        commit, dirty = source_commit()
        return {
            "benchmark": self.benchmark,
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "commit": commit,
            "dirty": dirty,
            "hardware": self.hardware or describe_hardware(),
            "versions": installed_versions(),
            "bundle": dict(self.bundle),
            "settings": dict(self.settings),
            "values": {key: dict(value) for key, value in self.values.items()},
            "details": dict(self.details),
        }


def write_result(result: BenchmarkResult, directory: Path = RESULTS_DIRECTORY) -> Path:
    """Write a result under a name that tells benchmark, time and commit.

    Returns: the file's path.
    Raises: OutputError: the directory cannot be written.
    """
    content = result.to_dict()
    stamp = content["date"].replace("-", "").replace(":", "").replace("T", "-").rstrip("Z")
    path = directory / f"{result.benchmark}-{stamp}-{content['commit'][:8] or 'release'}.json"
    write_json(path, content)
    return path


def write_json(path: Path, content: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write JSON in one step, making the directory.

    Raises: OutputError: not possible, with the reason.
    """
    data = json_text(content).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    except OSError as exc:
        raise OutputError(f"cannot write {str(path)!r}: {exc.strerror}") from exc


def json_text(content: Mapping[str, Any] | Sequence[Any]) -> str:
    """Return JSON with a line for every object or list that holds no other, where it fits."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    return _INNERMOST.sub(_on_one_line, text) + "\n"


def _on_one_line(found: re.Match[str]) -> str:
    line = _BREAK.sub(" ", found.group()).replace("{ ", "{", 1).replace("[ ", "[", 1)
    line = f"{line[:-2]}{line[-1]}"
    return line if len(line) <= _LINE_CHARACTERS else found.group()


def measured(value: float, unit: str) -> dict[str, Any]:
    """Return one entry of ``values``, to four significant digits."""
    return {"value": float(f"{value:.4g}"), "unit": unit}


def describe_hardware() -> str:
    """Return CPU model, usable cores and memory in one line."""
    return f"{_cpu_model()}, {usable_cores()} cores, {_memory_gib():.0f} GiB"


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def installed_versions() -> dict[str, str]:
    """Return versions of Python, the system and the packages that matter for speed."""
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.release()}"}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def source_commit() -> tuple[str, bool]:
    """Return the commit of the source tree and whether it has changes; empty for an installed release."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return "", False
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit, bool(_git(root, "status", "--porcelain", "--untracked-files=no", "--", "src"))
    except (OSError, subprocess.SubprocessError):
        return "", False


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_gib() -> float:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError, AttributeError):
        return 0.0
