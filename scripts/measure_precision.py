"""Measure what FP16 and INT8 cost a bundle, with PESQ-WB and STOI, and write a result file.

    python scripts/measure_precision.py [--bundle DIR] [--pack PACK] [--name precision_hifigan]

FP16 is emulated (``build/half_emulation.py``), INT8 runs in ONNX Runtime; both against the bundle's own float32, on
sentences that the bundle says itself, and with a pack also on the mels of unseen recordings. PESQ and STOI are the
packages ``pesq`` and ``pystoi``, not among our extras because pesq needs a compiler.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pesq import pesq
from pystoi import stoi

from emotirt.audio.mel import log_mel
from emotirt.bench.results import RESULTS_DIRECTORY, BenchmarkResult, measured, write_result
from emotirt.build.calibration import METHODS, Method, calibrate
from emotirt.build.fold import folded
from emotirt.build.gates import LIMITS, StageCloseness, compare_paths, compare_precision
from emotirt.build.half_emulation import emulated
from emotirt.build.int8 import quantizable, quantized, to_int8
from emotirt.build.precision import Quantization, measured_quantization, precision_graph
from emotirt.build.spoken import Spoken, spoken_utterances
from emotirt.bundle.contract import VOCODER
from emotirt.bundle.store import Bundle, default_bundle_path, open_bundle
from emotirt.evaluation.intelligibility import choose_sentences
from emotirt.runtime.open import open_runner
from emotirt.runtime.ort import OrtRunner
from emotirt.runtime.runner import Runner
from emotirt.training.corpus import load_pack
from emotirt.types import FloatArray

RATE_HZ = 16_000
SHORTEST_FRAMES = 60
"""PESQ needs an utterance of some length."""
RECORDINGS = 12
"""Of each language."""


def wav(item: Spoken) -> FloatArray:
    """Return the samples that float32 made."""
    return np.asarray(item.outputs[VOCODER]["wav"][0])


def heard(pairs: Sequence[tuple[FloatArray, FloatArray]]) -> dict[str, float]:
    """Score renderings against references."""
    quality = [pesq(RATE_HZ, first, second, "wb") for first, second in pairs]
    clarity = [stoi(first, second, RATE_HZ) for first, second in pairs]
    return {
        "pesq_mean": round(float(np.mean(quality)), 3), "pesq_worst": round(float(min(quality)), 3),
        "stoi_mean": round(float(np.mean(clarity)), 4),
    }  # fmt: skip


def table(closeness: StageCloseness, precision: str) -> dict[str, Any]:
    """Return rounded figures and what the gate says of them."""
    figures = {name: float(f"{value:.4g}") for name, value in closeness.figures().items()}
    return {**figures, "problems": closeness.problems(LIMITS[precision])}


class Measurement:
    """One bundle, its float32 stages, and what they said."""

    def __init__(self, bundle: Bundle, pack: Path | None, threads: int, most_frames: int) -> None:
        self.bundle, self.threads = bundle, threads
        self.runners = {stage: open_runner(bundle, stage, threads=threads) for stage in bundle.manifest.stages}
        spoken = spoken_utterances(bundle, runners=self.runners)
        self.texts = {item.text for item in spoken if item.frames <= most_frames}
        self.spoken = [item for item in spoken if item.text in self.texts]
        self.long = [item for item in self.spoken if item.frames >= SHORTEST_FRAMES]
        self.graph = bundle.stage_bytes(VOCODER)
        self.natural = [] if pack is None else list(self.recordings(pack))

    def recordings(self, folder: Path) -> list[Spoken]:
        """Analyse unseen recordings."""
        pack = load_pack(folder)
        found = []
        for language in ("en", "zh"):
            for clip in choose_sentences(pack.clips, language)[:RECORDINGS]:
                feeds = {"mel": log_mel(pack.samples(clip))[None]}
                outputs = {VOCODER: self.runners[VOCODER].run(feeds)}
                found.append(Spoken(clip.text, clip.speaker, {VOCODER: feeds}, outputs))
        return found

    def runner(self, stage: str, graph: bytes) -> OrtRunner:
        """Load a graph in place of a stage's own."""
        return OrtRunner(stage, graph, self.runners[stage].inputs, self.runners[stage].outputs, self.threads)

    def render(self, mel: FloatArray) -> FloatArray:
        """Make a mel audible."""
        feeds = {"mel": np.ascontiguousarray(mel.transpose(0, 2, 1))}
        return np.asarray(self.runners[VOCODER].run(feeds)["wav"][0])

    def vocoded(self, runner: Runner, spoken: Sequence[Spoken]) -> dict[str, float]:
        """Score another vocoder on the same mels."""
        return heard([(wav(item), runner.run(item.feeds[VOCODER])["wav"][0]) for item in spoken])

    def fp16(self) -> dict[str, Any]:
        """Measure every stage, and the whole path."""
        manifest = self.bundle.manifest
        halves = {
            stage: self.runner(stage, emulated(precision_graph(self.bundle, stage, "fp16"))) for stage in self.runners
        }
        found = {}
        for stage, half in halves.items():
            compared = compare_precision(stage, self.runners[stage], half, self.spoken, manifest, self.render)
            found[stage] = table(compared, "fp16")
        said = [item for item in spoken_utterances(self.bundle, runners=halves) if item.text in self.texts]
        path = table(compare_paths(self.spoken, said, manifest), "fp16")
        both = zip(self.spoken, said, strict=True)
        path |= heard([(wav(one), wav(two)) for one, two in both if one.frames >= SHORTEST_FRAMES])
        return {"stages": found, "path": path, "vocoder": self.vocoded(halves[VOCODER], self.long)}

    def int8(self, quantization: Quantization) -> dict[str, Any]:
        """Measure the vocoder with a quantization."""
        graph = to_int8(self.graph, quantization.ranges, quantization.kept, quantization.residuals)
        plain = self.runner(VOCODER, graph)
        whole = emulated(precision_graph(self.bundle, VOCODER, "int8", quantization))
        compared = compare_precision(
            VOCODER, self.runners[VOCODER], plain, self.spoken, self.bundle.manifest, self.render
        )
        found = {
            "own_mels": {**table(compared, "int8"), **self.vocoded(plain, self.long)},
            "own_mels_rest_in_fp16": self.vocoded(self.runner(VOCODER, whole), self.long),
        }
        if self.natural:
            found["recordings"] = self.vocoded(plain, self.natural)
        return found

    def methods(self, kept: Sequence[str], methods: Sequence[Method]) -> dict[str, Any]:
        """Compare ways to choose ranges, and data to choose them from."""
        sources = {"own mels": self.spoken[::2], "recordings": self.natural[::2]}
        found = {}
        for source, items in sources.items():
            for method in methods if items else ():
                ranges = calibrate(self.graph, [item.feeds[VOCODER] for item in items], method, self.threads)
                graphs = [to_int8(self.graph, ranges, kept, residuals) for residuals in (False, True)]
                for graph in dict.fromkeys(graphs):  # without residual sums both are the same
                    label = f"{method} on {source}{', residuals too' if graph != graphs[0] else ''}"
                    found[label] = self.vocoded(self.runner(VOCODER, graph), self.long)
                    print(label, found[label], flush=True)
        return found

    def layers(self, quantization: Quantization) -> list[dict[str, Any]]:
        """Quantize one layer at a time, for PESQ beside the costs."""
        model = folded(self.graph)
        names = list(quantizable(model))
        rows = []
        for cost in quantization.costs:
            keep = [name for name in names if name != cost.layer]
            runner = self.runner(VOCODER, quantized(model, quantization.ranges, keep, quantization.residuals))
            row = {**cost.to_dict(), **self.vocoded(runner, self.long[::3]), "kept": cost.layer in quantization.kept}
            del row["stoi_mean"]
            rows.append(row)
        return rows


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=default_bundle_path())
    parser.add_argument("--pack", type=Path)
    parser.add_argument("--name", default="precision", help="of the result file")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--most-frames", type=int, default=10_000, help="leave longer utterances out")
    parser.add_argument("--quick", action="store_true", help="one way to choose ranges, and layers without PESQ")
    parser.add_argument("--out", type=Path, default=RESULTS_DIRECTORY)
    args = parser.parse_args()
    bundle = open_bundle(args.bundle)
    measurement = Measurement(bundle, args.pack, args.threads, args.most_frames)
    fp16 = measurement.fp16()
    print(fp16, flush=True)
    quantization = measured_quantization(bundle, threads=args.threads)
    int8 = measurement.int8(quantization)
    print(int8, quantization.kept, flush=True)
    details = {
        "fp16": fp16,
        "int8": int8,
        "methods": measurement.methods(quantization.kept, METHODS[:1] if args.quick else METHODS),
        "kept": list(quantization.kept),
        "layers": [cost.to_dict() for cost in quantization.costs] if args.quick else measurement.layers(quantization),
    }
    values = {
        "fp16.emulated_snr_db": measured(fp16["path"]["snr_db"], "dB"),
        "fp16.emulated_pesq": measured(fp16["path"]["pesq_mean"], "MOS-LQO"),
        "int8.emulated_pesq": measured(int8["own_mels"]["pesq_mean"], "MOS-LQO"),
    }
    settings = {"emulated": True, "utterances": len(measurement.spoken), "recordings": len(measurement.natural)}
    about = {"name": bundle.manifest.name, "sha256": bundle.digest}
    print(write_result(BenchmarkResult(args.name, values, settings, details, about), args.out))


if __name__ == "__main__":
    main()
