"""Compare TensorRT plans with the float32 plans of the same bundle, and keep what both said.

    python scripts/measure_plans.py OUT [--bundle DIR] [--candidate tensorrt@fp16] [--reference tensorrt@float32]

Writes ``OUT/gates-NAME.json`` with every figure of ``build.gates`` and what its limits say, and ``OUT/said-NAME.npz``
with the samples of each sentence in 16 bits, for measures that need a compiler, such as PESQ, to be taken elsewhere.
Needs neither PyTorch nor PESQ. Any two backends will do; ``onnxruntime`` as both tries it out without a GPU.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from emotirt.bench.partial import hardware_line
from emotirt.bench.results import installed_versions, write_json
from emotirt.build.gates import LIMITS, StageCloseness, compare_paths, compare_precision
from emotirt.build.spoken import TEXTS, Spoken, spoken_utterances
from emotirt.bundle.contract import VOCODER
from emotirt.bundle.store import Bundle, default_bundle_path, open_bundle
from emotirt.errors import EmotiRTError
from emotirt.runtime.open import open_runners
from emotirt.runtime.runner import Array, Runner
from emotirt.types import FloatArray

FULL_SCALE = 32767


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--candidate", default="tensorrt@fp16")
    parser.add_argument("--reference", default="tensorrt@float32")
    parser.add_argument("--name", help="of the files (default: the candidate's)")
    parser.add_argument("--sentences", type=int, help="of each language (default: all)")
    parser.add_argument("--no-pitch", action="store_true", help="pitch takes longer than all the rest")
    return parser.parse_args()


def measure(bundle: Bundle, reference: str, candidate: str, sentences: int | None, pitch: bool) -> dict[str, Any]:
    """Compare every stage and the whole path.

    Returns: ``stages``: figures and missed limits; ``failed``: stages that could not be compared and why; ``said``:
        the spoken utterances of both.
    """
    stages = tuple(bundle.manifest.stages)
    first, second = (open_runners(bundle, stages, backend) for backend in (reference, candidate))
    texts = {language: lines[:sentences] for language, lines in TEXTS.items()}

    def render(mel: Array) -> FloatArray:
        feeds = {"mel": np.ascontiguousarray(mel.transpose(0, 2, 1))}
        return np.asarray(first[VOCODER].run(feeds)["wav"][0])

    limits = LIMITS["int8" if candidate.endswith("int8") else "fp16"]
    told: dict[str, Any] = {"stages": {}, "failed": {}, "said": ()}
    try:
        spoken = spoken_utterances(bundle, texts, runners=first)
        for stage in stages:
            with _kept(told["failed"], stage):
                found = compare_precision(stage, first[stage], second[stage], spoken, bundle.manifest, render, pitch)
                told["stages"][stage] = _figures(found, limits)
        again = spoken_utterances(bundle, texts, runners=second)
        told["said"] = (spoken, again)
        told["stages"]["path"] = _figures(compare_paths(spoken, again, bundle.manifest), limits)
    finally:
        _close(first, second)
    return told


def said(pair: Sequence[Sequence[Spoken]]) -> dict[str, Array]:
    """Return the samples of both as int16 arrays: ``0/reference``, ``0/candidate``, ``0/text`` and so on."""
    arrays: dict[str, Array] = {}
    for index, items in enumerate(zip(*pair, strict=True)):
        for side, item in zip(("reference", "candidate"), items, strict=True):
            samples = np.clip(np.asarray(item.outputs[VOCODER]["wav"][0]), -1.0, 1.0)
            arrays[f"{index}/{side}"] = np.round(samples * FULL_SCALE).astype(np.int16)
        arrays[f"{index}/text"] = np.array(items[0].text)
    return arrays


@contextmanager
def _kept(failures: dict[str, str], stage: str) -> Iterator[None]:
    """Note why a stage cannot be compared, and go on with the next."""
    try:
        yield
    except EmotiRTError as exc:
        failures[stage] = str(exc)


def _figures(found: StageCloseness, limits: Any) -> dict[str, Any]:
    figures = {name: float(f"{value:.4g}") for name, value in found.figures().items()}
    return {**figures, "problems": found.problems(limits)}


def _close(*runners: Mapping[str, Runner]) -> None:
    for runner in (item for side in runners for item in side.values()):
        runner.close()


def main() -> int:
    """Measure and write; 1 when a limit is missed or a stage could not be compared."""
    args = arguments()
    bundle = open_bundle(args.bundle or default_bundle_path())
    name = args.name or args.candidate.replace("@", "-")
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        told = measure(bundle, args.reference, args.candidate, args.sentences, not args.no_pitch)
    except EmotiRTError as exc:
        sys.stderr.write(f"scripts/measure_plans.py: {exc}\n")
        return 2
    pair = told.pop("said")
    np.savez_compressed(args.out / f"said-{name}.npz", rate_hz=bundle.manifest.sample_rate_hz, **said(pair))
    about = {"bundle": bundle.digest, "reference": args.reference, "candidate": args.candidate}
    report = {**about, "hardware": hardware_line(), "versions": installed_versions(), **told}
    write_json(args.out / f"gates-{name}.json", report)
    problems = {stage: item["problems"] for stage, item in told["stages"].items() if item["problems"]}
    for stage, figures in told["stages"].items():
        shown = {key: value for key, value in figures.items() if key != "problems"}
        sys.stdout.write(f"{stage}: {shown} {'; '.join(figures['problems'])}\n")
    return 1 if problems or told["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
