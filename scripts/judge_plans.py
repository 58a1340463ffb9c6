"""Judge what plans said beside what float32 said, with PESQ-WB and STOI, and write a result file.

    python scripts/judge_plans.py OUT/gates-fp16.json OUT/gates-int8.json [--results benchmarks/results]

Reads what ``scripts/measure_plans.py`` left on a GPU host: each ``gates-NAME.json`` with ``said-NAME.npz`` beside it.
Needs no GPU, but the packages ``pesq`` and ``pystoi`` (extra ``evaluate``), of which the first needs a compiler.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pesq import pesq
from pystoi import stoi

from emotirt.bench.results import RESULTS_DIRECTORY, BenchmarkResult, measured, write_result
from emotirt.types import FloatArray

RATE_HZ = 16_000
SHORTEST_S = 1.0
"""PESQ needs an utterance of some length."""
FULL_SCALE = 32767.0


def pairs(path: Path) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield what both said of every utterance that is long enough and took as long in both."""
    with np.load(path) as said:
        if int(said["rate_hz"]) != RATE_HZ:
            raise SystemExit(f"{path}: {said['rate_hz']} Hz; PESQ-WB is for {RATE_HZ} Hz")
        for name in said.files:
            if name.endswith("/reference"):
                first, second = (
                    said[f"{name.split('/')[0]}/{side}"].astype(np.float32) / FULL_SCALE
                    for side in ("reference", "candidate")
                )
                if len(first) == len(second) >= SHORTEST_S * RATE_HZ:
                    yield first, second


def judged(gates: Path) -> dict[str, Any]:
    """Return the figures of the gates with PESQ and STOI beside those of the whole path."""
    told: dict[str, Any] = json.loads(gates.read_text(encoding="utf-8"))
    heard = list(pairs(gates.with_name(f"said-{gates.stem.removeprefix('gates-')}.npz")))
    if not heard:
        raise SystemExit(f"{gates}: no utterance of {SHORTEST_S:g} s lasts equally long in both; nothing can be judged")
    quality = [pesq(RATE_HZ, first, second, "wb") for first, second in heard]
    clarity = [stoi(first, second, RATE_HZ) for first, second in heard]
    told["stages"].setdefault("path", {}).update(
        utterances_judged=len(heard),
        pesq_mean=round(float(np.mean(quality)), 3),
        pesq_worst=round(float(min(quality)), 3),
        stoi_mean=round(float(np.mean(clarity)), 4),
    )
    return told


def main() -> None:
    """Judge and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gates", nargs="+", type=Path)
    parser.add_argument("--bundle-name", default="default")
    parser.add_argument("--results", type=Path, default=RESULTS_DIRECTORY)
    args = parser.parse_args()
    values: dict[str, Any] = {}
    details: dict[str, Any] = {}
    told: dict[str, Any] = {}
    for gates in args.gates:
        told = judged(gates)
        backend, _, precision = told["candidate"].partition("@")
        path = told["stages"]["path"]
        details[precision or backend] = {key: told[key] for key in ("candidate", "reference", "stages", "failed")}
        sys.stdout.write(f"{told['candidate']} against {told['reference']}: {path}\n")
        if backend != "tensorrt" or precision not in ("fp16", "int8"):
            continue
        values[f"{precision}.pesq"] = measured(path["pesq_mean"], "MOS-LQO")
        if precision == "fp16" and "snr_db" in path:
            values["fp16.snr_db"] = measured(path["snr_db"], "dB")
    about = {"name": args.bundle_name, "sha256": told["bundle"]}
    settings = {"versions_on_the_gpu_host": told["versions"]}
    result = BenchmarkResult("plan_quality", values, settings, details, about, told["hardware"])
    sys.stdout.write(f"{write_result(result, args.results)}\n")


if __name__ == "__main__":
    main()
