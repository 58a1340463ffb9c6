"""Steps of training as commands of ``emotirt train``: pack, label, materialize, align, acoustic, vocoder, describe."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emotirt.errors import TrainingError
from emotirt.models.acoustic import Variances
from emotirt.models.checkpoint import build_networks, load_weights, read_checkpoint
from emotirt.models.config import (
    AcousticConfig,
    BlockConfig,
    ModelConfig,
    ReferenceConfig,
    SpectralConfig,
    VocoderConfig,
)
from emotirt.text.symbols import DEFAULT_TABLE
from emotirt.training.acoustic import AcousticTrainer, AcousticTraining
from emotirt.training.align import AlignConfig, AlignmentTrainer, flat_ids, token_means
from emotirt.training.corpus import load_pack, materialize, read_manifest, write_clips
from emotirt.training.disentangle import DISENTANGLED
from emotirt.training.features import DeviceData, TokenTargets, batches_by_length, ranges
from emotirt.training.journal import Journal
from emotirt.training.transfer import emotion_transfer
from emotirt.training.vectors import acted_shifts
from emotirt.training.vocoder import VocoderTrainer, VocoderTraining

logger = logging.getLogger(__name__)

VOCODERS: dict[str, VocoderConfig | SpectralConfig] = {"hifigan": VocoderConfig(), "spectral": SpectralConfig()}


def model_config(tiny: bool, vocoder: str = "spectral") -> ModelConfig:
    """Return the default bundle's configuration with one of ``VOCODERS``, or a tiny one for dry runs."""
    symbols = DEFAULT_TABLE.symbols
    if not tiny:
        return ModelConfig(acoustic=AcousticConfig(symbols=symbols), vocoder=VOCODERS[vocoder])
    block = BlockConfig(hidden=32, heads=2, filter=48, blocks=1)
    return ModelConfig(
        acoustic=AcousticConfig(symbols=symbols, encoder=block, decoder=block),
        vocoder=VocoderConfig(channels=32) if vocoder == "hifigan" else SpectralConfig(channels=32, blocks=2),
        reference=ReferenceConfig(channels=32, blocks=1),
    )


def open_data(args: argparse.Namespace) -> DeviceData:
    """Load the pack and its fundamental onto the chosen device."""
    pack = load_pack(args.pack)
    with np.load(args.pack / "f0.npz") as stored:
        f0_hz = stored["f0_hz"]
    return DeviceData(pack, f0_hz, model_config(args.tiny).mel, torch.device(args.device))


def run_pack(args: argparse.Namespace) -> None:
    """Measure and label a corpus folder, then write its pack."""
    from emotirt.training.index import analyse_corpora, clips_from_rows
    from emotirt.training.labels import Labeller

    rows = read_manifest(args.corpus)
    labeller = Labeller()
    analyses = analyse_corpora(
        args.corpus,
        rows,
        args.workers,
        lambda done: logger.info("measured %d of %d", done, len(rows)) if done % 500 == 0 else None,
    )
    clips = clips_from_rows(rows, analyses, labeller.symbols)
    write_clips(args.pack, clips)
    np.savez_compressed(args.pack / "f0.npz", f0_hz=np.concatenate([analyses[clip.key].f0_hz for clip in clips]))
    materialize(args.corpus, args.pack, args.workers)
    logger.info(
        "packed %d clips; %d transcripts could not be read: %s",
        len(clips),
        len(labeller.failures),
        labeller.failures[:3],
    )


def run_label(args: argparse.Namespace) -> None:
    """Give symbols to English clips without a transcript, by what the recognizer hears; align afterwards."""
    from emotirt.training.hearsay import label
    from emotirt.training.recognizer import load_recognizer
    from emotirt.training.recognizer_batches import Analyser

    pack, device = load_pack(args.pack), torch.device(args.device)
    recognizer = load_recognizer(args.recognizer or args.out / "recognizer.pt").to(device)
    done = label(recognizer, Analyser(pack, device), pack, args.workers)
    write_clips(args.pack, done.clips)
    logger.info(
        "labelled %d clips, %.1f %% phoneme errors expected; left out %d with too many; held-out transcripts "
        "are heard with %.1f %%. Now run 'emotirt train align --pack %s'",
        done.heard, 100 * done.expected_error, done.refused, 100 * done.true_error, args.pack,
    )  # fmt: skip


def run_materialize(args: argparse.Namespace) -> None:
    """Rebuild the samples of a pack."""
    materialize(args.corpus, args.pack, args.workers)


def run_align(args: argparse.Namespace) -> None:
    """Learn the alignment and write ``alignment.npz`` beside the clips."""
    data = open_data(args)
    trainer = AlignmentTrainer(data, DEFAULT_TABLE, AlignConfig(steps=args.steps))
    with Journal(args.out, "align") as journal:
        trainer.train(lambda step, loss: journal.record(step, {"loss": loss}))
    durations = trainer.durations()
    pitch, energy = token_means(data, data.pitch, durations), token_means(data, data.energy, durations)
    np.savez_compressed(args.pack / "alignment.npz", durations=durations.astype(np.int16), pitch=pitch, energy=energy)
    logger.info("aligned %d clips in %.0f s", len(trainer.usable), journal.elapsed_s)


def read_targets(args: argparse.Namespace, data: DeviceData) -> TokenTargets:
    """Read the alignment of a pack."""
    path = args.pack / "alignment.npz"
    if not path.exists():
        raise TrainingError(f"{path} is missing; run 'emotirt train align --pack {args.pack}' first")
    with np.load(path) as stored:
        durations, ids = stored["durations"].astype(np.int64), flat_ids(data, DEFAULT_TABLE)
        if len(durations) != len(ids):
            raise TrainingError(
                f"{path} holds {len(durations)} durations, the clips have {len(ids)} symbols; "
                f"run 'emotirt train align --pack {args.pack}' again"
            )
        return TokenTargets(ids, durations, stored["pitch"], stored["energy"])


def run_acoustic(args: argparse.Namespace) -> None:
    """Train the acoustic model and the reference encoder."""
    data = open_data(args)
    config = AcousticTraining(max_seconds=args.max_seconds, max_steps=args.steps)
    if args.tiny:
        config = replace(config, frames_per_batch=2000, extra_references=4, report_every=5)
    targets, transfer = read_targets(args, data), None
    if args.disentangle:
        config = replace(config, disentangling=DISENTANGLED)
        transfer = emotion_transfer(data, acted_shifts(data, targets))
    if args.learning_rate:
        config = replace(config, learning_rate=args.learning_rate)
    if args.batch:
        config = replace(config, frames_per_batch=args.batch)
    trainer = AcousticTrainer(data, targets, model_config(args.tiny), config, transfer)
    if args.resume:
        live = args.out / "acoustic_resume.pt"
        trainer.resume(live if live.exists() else args.out / "acoustic.pt", args.restart_schedule)
    with Journal(args.out, "acoustic") as journal:
        trainer.train(journal, args.out)


@torch.no_grad()
def predict_mels(args: argparse.Namespace, data: DeviceData) -> tuple[Tensor, NDArray[np.bool_]]:
    """Run the trained acoustic model with true durations and contours over every aligned clip.

    Returns: float16 [frames, n_mels] and which clips have one.
    """
    model = model_config(args.tiny)
    trainer = AcousticTrainer(data, read_targets(args, data), model, AcousticTraining(extra_references=0))
    weights = read_checkpoint(args.acoustic)["weights"]
    load_weights(trainer.acoustic, weights["acoustic"], "acoustic model")
    load_weights(trainer.reference, weights["reference"], "reference encoder")
    trainer.modules.eval()
    torch.backends.cudnn.benchmark = False
    mels, known = torch.zeros_like(data.mels), np.zeros(len(data.clips), dtype=bool)
    rng = np.random.default_rng(3)
    clips = np.concatenate((trainer.train_clips, trainer.test_clips))
    for picked in batches_by_length(clips, data.layout.frame_counts, 24_000, rng):
        frames, counts = data.layout.frame_counts[picked], data.layout.token_counts[picked]
        spots, frame_mask = ranges(data.layout.frame_starts[picked], frames, int(frames.max()), data.device)
        tokens, mask = ranges(data.layout.token_starts[picked], counts, int(counts.max()), data.device)
        ids, durations, pitch, energy = (part[tokens] for part in trainer.targets)
        vectors = trainer._vectors([trainer.references.keys[index] for index in picked], rng)
        truth = Variances(durations.float() * mask, pitch * mask, energy * mask)
        lengths = torch.from_numpy(counts).to(data.device)
        predicted, _ = trainer.acoustic(ids, lengths, vectors, truth, frame_mask)
        real = frame_mask.bool()
        mels[spots[real]] = predicted[real].half()
        known[picked] = True
    torch.backends.cudnn.benchmark = True
    return mels, known


def run_describe(args: argparse.Namespace) -> None:
    """Write the default bundle's vectors and description beside the checkpoints, for ``emotirt build``."""
    from emotirt.training.default_voices import write_default_description

    data = open_data(args)
    weights = read_checkpoint(args.acoustic or args.out / "acoustic.pt")["weights"]
    networks = build_networks(model_config(args.tiny))
    assert networks.reference is not None
    load_weights(networks.acoustic, weights["acoustic"], "acoustic model")
    load_weights(networks.reference, weights["reference"], "reference encoder")
    acoustic, reference = networks.acoustic.to(data.device), networks.reference.to(data.device)
    write_default_description(args.out, data, read_targets(args, data), acoustic, reference)


def run_vocoder(args: argparse.Namespace) -> None:
    """Train the vocoder; with ``--acoustic``, fine-tune it on predicted mels."""
    data = open_data(args)
    config = VocoderTraining(
        max_seconds=args.max_seconds,
        max_steps=args.steps,
        cuda_graph=args.cuda_graph,
        stop_after_s=args.stop_after_seconds,
    )
    if args.vocoder == "spectral":
        config = replace(
            config, segment_frames=64, spectrum_weight=45.0, warm_steps=2000, mel_noise=0.02, excess_weight=0.05
        )
    if args.learning_rate:
        config = replace(config, learning_rate=args.learning_rate)
    if args.warm_steps is not None:
        config = replace(config, warm_steps=args.warm_steps)
    if args.batch:
        config = replace(config, batch=args.batch)
    if args.tiny:
        config = replace(config, batch=4, warm_steps=2, report_every=2)
    trainer = VocoderTrainer(data, model_config(args.tiny, args.vocoder), config)
    if args.resume:
        trainer.resume(args.out / "vocoder_resume.pt", args.restart_schedule)
    if args.acoustic is not None and args.await_acoustic is None:
        trainer.use_predicted(*predict_mels(args, data))
    elif args.acoustic is not None:
        trainer.awaited = lambda: predict_mels(args, data) if args.await_acoustic.exists() else None
    with Journal(args.out, "vocoder") as journal:
        trainer.train(journal, args.out)


COMMANDS = {
    "pack": run_pack, "label": run_label, "materialize": run_materialize, "align": run_align,
    "acoustic": run_acoustic, "vocoder": run_vocoder, "describe": run_describe,
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the training commands' arguments."""
    parser.add_argument("step", choices=sorted(COMMANDS), help="what to do")
    parser.add_argument("--corpus", type=Path, help="folder with manifest.tsv and the recordings (pack, materialize)")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the training pack")
    parser.add_argument("--recognizer", type=Path, help="label: recognizer.pt (default: the one in --out)")
    parser.add_argument("--out", type=Path, default=Path("runs/default"), help="folder for checkpoints and figures")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--max-seconds", type=float, default=480.0, help="wall time of the whole schedule")
    parser.add_argument("--steps", type=int, default=None, help="stop after so many steps (align: default 900)")
    parser.add_argument("--acoustic", type=Path, help="vocoder: acoustic.pt whose mels to fine-tune on")
    parser.add_argument("--await-acoustic", type=Path, help="vocoder: file that appears when --acoustic is trained")
    parser.add_argument("--vocoder", choices=sorted(VOCODERS), default="spectral", help="vocoder: which one")
    parser.add_argument("--warm-steps", type=int, help="vocoder: steps before the discriminators begin")
    parser.add_argument("--batch", type=int, help="vocoder: segments a step; acoustic: frames a step")
    parser.add_argument("--learning-rate", type=float, help="vocoder, acoustic: peak learning rate")
    parser.add_argument(
        "--disentangle", action="store_true", help="acoustic: keep speaker and emotion apart, and follow both"
    )
    parser.add_argument("--cuda-graph", action="store_true", help="vocoder: replay the step as a CUDA graph")
    parser.add_argument("--stop-after-seconds", type=float, default=1e9, help="vocoder: stop early, to resume later")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument(
        "--restart-schedule", action="store_true", help="with --resume: a new schedule of --max-seconds"
    )
    parser.add_argument("--tiny", action="store_true", help="tiny networks and batches, for a dry run")


def run(args: argparse.Namespace) -> None:
    """Run one step.

    Raises: TrainingError: what is missing and how to make it.
    """
    if args.step in ("pack", "materialize") and args.corpus is None:
        raise TrainingError(f"'train {args.step}' needs --corpus, the folder with manifest.tsv")
    if args.steps is None:
        args.steps = 900 if args.step == "align" else 1_000_000
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = args.step == "vocoder"
    COMMANDS[args.step](args)


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line, with progress on stderr."""
    parser = argparse.ArgumentParser(prog="python -m emotirt.training.main", description=__doc__)
    add_arguments(parser)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    run(parser.parse_args(argv))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
