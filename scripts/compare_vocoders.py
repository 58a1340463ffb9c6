"""Compare trained vocoders on the mels of held-out recordings: what is lost between a recording's mel and audio again.

    python scripts/compare_vocoders.py --pack PACK --recognizer FILE.onnx NAME=vocoder.pt [NAME=vocoder.pt ...]

For each, over unseen sentences of both languages: PESQ wide-band and STOI against the recording (packages ``pesq`` and
``pystoi``, not among our extras because pesq needs a compiler), log-mel L1, phoneme error beside that of the recording,
and audio seconds per second in PyTorch. Writes a result file.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pesq import pesq
from pystoi import stoi

from emotirt.audio.mel import log_mel
from emotirt.bench.results import RESULTS_DIRECTORY, BenchmarkResult, write_result
from emotirt.evaluation.intelligibility import choose_sentences, hear
from emotirt.evaluation.per import error_rate
from emotirt.evaluation.recognize import PhonemeRecognizer
from emotirt.models.checkpoint import load_weights, read_checkpoint
from emotirt.models.config import ModelConfig
from emotirt.models.vocoder import Vocoder, build_vocoder
from emotirt.training.corpus import load_pack

RATE_HZ = 16_000


def loaded(path: Path) -> tuple[Vocoder, dict[str, Any]]:
    """Load a vocoder checkpoint; returns the network and what it says of its training."""
    data = read_checkpoint(path)
    vocoder = build_vocoder(ModelConfig.from_dict({"vocoder": data["config"]["vocoder"]}))
    load_weights(vocoder, data["weights"]["vocoder"], "vocoder")
    return vocoder.eval(), {"steps": data["step"], "weights": sum(p.numel() for p in vocoder.parameters())}


def scored(vocoder: Vocoder, pack: Any, recognizer: PhonemeRecognizer, language: str, count: int) -> dict[str, float]:
    """Score one vocoder on ``count`` sentences of a language."""
    rows, errors, audio_s, wall_s = [], [], 0.0, 0.0
    for clip in choose_sentences(pack.clips, language)[:count]:
        samples = pack.samples(clip)
        mel = log_mel(samples)
        started = time.perf_counter()
        with torch.no_grad():
            made = vocoder(torch.from_numpy(np.asarray(mel))[None])[0].numpy()
        wall_s, audio_s = wall_s + time.perf_counter() - started, audio_s + len(made) / RATE_HZ
        length = min(len(made), len(samples))
        rows.append((
            pesq(RATE_HZ, samples[:length], made[:length], "wb"),
            stoi(samples[:length], made[:length], RATE_HZ),
            float(np.abs(log_mel(made) - mel).mean()),
        ))  # fmt: skip
        errors.append(hear(recognizer, made, clip).errors)
    means = np.mean(rows, axis=0)
    return {
        "pesq_wb": round(float(means[0]), 3), "stoi": round(float(means[1]), 4),
        "log_mel_l1": round(float(means[2]), 4),
        "per": round(error_rate(errors), 4), "audio_s_per_s": round(audio_s / wall_s, 1),
    }  # fmt: skip


def main() -> int:
    """Compare and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vocoders", nargs="+", metavar="NAME=FILE")
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--recognizer", type=Path, required=True)
    parser.add_argument("--sentences", type=int, default=50)
    parser.add_argument("--results", type=Path, default=RESULTS_DIRECTORY)
    args = parser.parse_args()
    pack, recognizer = load_pack(args.pack), PhonemeRecognizer(args.recognizer)
    details: dict[str, Any] = {"human_per": {}}
    for language in ("en", "zh"):
        clips = choose_sentences(pack.clips, language)[: args.sentences]
        human = error_rate([hear(recognizer, pack.samples(clip), clip).errors for clip in clips])
        details["human_per"][language] = round(human, 4)
    for pair in args.vocoders:
        name, _, path = pair.partition("=")
        vocoder, facts = loaded(Path(path))
        details[name] = facts | {
            language: scored(vocoder, pack, recognizer, language, args.sentences) for language in ("en", "zh")
        }
        sys.stdout.write(f"{name}: {details[name]}\n")
    settings = {"sentences": args.sentences, "threads": torch.get_num_threads()}
    sys.stdout.write(f"{write_result(BenchmarkResult('vocoders', {}, settings, details), args.results)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
