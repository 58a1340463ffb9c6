"""Train the phoneme recognizer that judges synthesized speech; it never hears anything but human recordings.

Run as ``python -m emotirt.training.recognizer --pack DIR --out DIR --max-seconds N``. Writes the averaged weights, the
raw weights for ``--resume`` (both float16) and ``report.json`` with the phoneme errors on held-out clips. The last
state is kept: held-out clips choose nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from emotirt.audio.mel import DEFAULT_MEL
from emotirt.errors import TrainingError
from emotirt.models.checkpoint import half_state, load_weights, read_checkpoint
from emotirt.text.distance import edit_distance
from emotirt.training.corpus import Clip, Pack, load_pack
from emotirt.training.recognizer_batches import HOP, RATE_HZ, Analyser, Sample, Source, hide_parts, labelled
from emotirt.training.recognizer_network import Recognizer, RecognizerConfig
from emotirt.training.recognizer_tokens import collapse, ids_from_symbols, language_bias
from emotirt.whole_file import replaced, write_whole

AVERAGED, RAW, STATE = "recognizer.pt", "recognizer-raw.pt", "recognizer-state.json"
TINY = RecognizerConfig(
    hidden=64, layers=3, heads=2, feed_forward=128, dropout=0.0, layer_drop=0.0, conditioned_layers=(2,)
)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How to train.

    Attributes:
        max_s: seconds that this run may take; the learning rate falls to 0 at their end.
        batch_s: padded seconds of speech a step.
        peak_rate: highest learning rate.
        warm_share: share of the run in which the rate rises.
        weight_decay: of AdamW.
        intermediate_share: weight of the intermediate losses.
        average_decay: per step, of the averaged weights.
        report_every_s: seconds between reports and checkpoints.
        seed: of drawing and augmentation.
    """

    max_s: float
    batch_s: float = 300.0
    peak_rate: float = 1.5e-3
    warm_share: float = 0.08
    weight_decay: float = 0.02
    intermediate_share: float = 0.4
    average_decay: float = 0.999
    report_every_s: float = 60.0
    seed: int = 1


def ctc_loss(outputs: Sequence[Tensor], samples: Sequence[Sample], intermediate_share: float) -> Tensor:
    """Return the CTC loss per label; scalar.

    Args:
        outputs: scores [B, T, tokens], the last output last.
        samples: what the rows hold.
        intermediate_share: weight of the earlier outputs together.
    """
    counts = torch.tensor([len(sample.labels) for sample in samples])
    steps = torch.tensor([(sample.frames + 1) // 2 for sample in samples])
    targets = np.zeros((len(samples), int(counts.max())), dtype=np.int64)
    for row, sample in enumerate(samples):
        targets[row, : len(sample.labels)] = sample.labels
    labels = torch.from_numpy(targets).to(outputs[0].device)
    losses = [
        functional.ctc_loss(
            torch.log_softmax(scores.float(), dim=2).transpose(0, 1), labels, steps, counts,
            reduction="sum", zero_infinity=True,
        ) / int(counts.sum())
        for scores in outputs
    ]  # fmt: skip
    if len(losses) == 1:
        return losses[0]
    earlier = torch.stack(losses[:-1]).mean()
    return (1.0 - intermediate_share) * losses[-1] + intermediate_share * earlier


@torch.no_grad()
def recognized(network: Recognizer, analyser: Analyser, clips: Sequence[Clip], batch_s: float) -> list[tuple[int, ...]]:
    """Recognize clips greedily, each within its own language.

    Returns: recognizer ids of each clip, in the order given.
    """
    network.eval()
    order = sorted(range(len(clips)), key=lambda index: clips[index].sample_count)
    found: dict[int, tuple[int, ...]] = {}
    while order:
        longest = clips[order[-1]].sample_count
        picked = order[-max(1, int(batch_s * RATE_HZ / longest)) :]
        del order[-len(picked) :]
        empty = np.zeros(0, dtype=np.int64)
        samples = [
            Sample((clips[i].offset_samples,), (clips[i].sample_count,), empty, 1.0, clips[i].sample_count // HOP)
            for i in picked
        ]
        magnitude, frames = analyser.magnitudes(samples)
        scores = network(magnitude, frames)
        bias = torch.from_numpy(np.stack([language_bias(clips[i].language) for i in picked])).to(scores.device)
        best = (scores + bias.unsqueeze(1)).argmax(dim=2).cpu().numpy()
        for row, index in enumerate(picked):
            found[index] = collapse(best[row, : (samples[row].frames + 1) // 2])
    return [found[index] for index in range(len(clips))]


def phoneme_errors(clips: Sequence[Clip], outputs: Sequence[tuple[int, ...]]) -> dict[str, dict[str, float]]:
    """Count errors of each corpus and split; keys ``corpus/split``, values ``errors``, ``tokens`` and ``per``."""
    counts: dict[str, list[int]] = {}
    for clip, output in zip(clips, outputs, strict=True):
        wanted = ids_from_symbols(clip.symbols or ()).tolist()
        group = counts.setdefault(f"{clip.corpus}/{clip.split}", [0, 0])
        group[0] += edit_distance(wanted, output)
        group[1] += len(wanted)
    return {
        name: {"errors": errors, "tokens": tokens, "per": round(errors / max(tokens, 1), 4)}
        for name, (errors, tokens) in sorted(counts.items())
    }


class RecognizerTrainer:
    """Owns the network, its average and the optimizer, and runs until its time is spent."""

    def __init__(self, pack: Pack, sizes: RecognizerConfig, config: TrainConfig, device: torch.device) -> None:
        torch.manual_seed(config.seed)
        self.config, self.device = config, device
        self.train_clips = labelled(pack.clips, "train")
        self.held_out = labelled(pack.clips, "test") + labelled(pack.clips, "valid")
        if not self.train_clips:
            raise TrainingError("the pack has no labelled training clip; its clips need symbols and the split 'train'")
        self.analyser = Analyser(pack, device, config.seed)
        self.network = Recognizer(sizes).to(device)
        self.average = deepcopy(self.network).eval()
        decayed = [weight for weight in self.network.parameters() if weight.dim() > 1]
        plain = [weight for weight in self.network.parameters() if weight.dim() <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}],
            lr=config.peak_rate, betas=(0.9, 0.98), fused=device.type == "cuda",
        )  # fmt: skip
        self.step, self.spent_s, self.spent_before_s = 0, 0.0, 0.0
        self.errors: dict[str, dict[str, float]] = {}

    def rate(self) -> float:
        """Learning rate by the share of time spent: a linear rise, then half a cosine to 0."""
        total_s = self.spent_before_s + self.config.max_s
        share = min(1.0, (self.spent_before_s + self.spent_s) / total_s)
        rise = min(1.0, self.spent_s / (self.config.warm_share * self.config.max_s) + 1e-3)
        return self.config.peak_rate * rise * 0.5 * (1.0 + math.cos(math.pi * share))

    def train(self, report: Callable[[str], None], out: Path) -> None:
        """Train until the time is spent, then write the result."""
        begun, next_report_s, counted = time.perf_counter(), self.config.report_every_s, 0
        seed = self.config.seed + self.step
        batches = Source(self.train_clips, np.random.default_rng(seed)).batches(self.config.batch_s)
        running = torch.zeros((), device=self.device)
        for samples in batches:
            self.spent_s = time.perf_counter() - begun
            if self.spent_s >= self.config.max_s:
                break
            running += self._update(samples)
            counted += 1
            if self.spent_s >= next_report_s:
                self._keep_or_go_back(float(running), out)
                report(self._line(float(running) / counted))
                running, counted = torch.zeros((), device=self.device), 0
                next_report_s = time.perf_counter() - begun + self.config.report_every_s
        self._keep_or_go_back(float(running), out)
        report(self._line(float(running) / max(counted, 1)))
        (out / "report.json").write_text(json.dumps(self._report(), indent=1) + "\n", encoding="utf-8")

    def _keep_or_go_back(self, loss: float, out: Path) -> None:
        """Save, or load what was saved last when the loss is no longer finite."""
        if math.isfinite(loss):
            self.save(out)
        elif (out / STATE).exists():
            self.load_weights(out)
            self.optimizer.state.clear()

    def _update(self, samples: Sequence[Sample]) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        self.network.train()
        with torch.no_grad():
            magnitude, frames = self.analyser.augmented(samples)
            steps = torch.arange(magnitude.shape[1], device=self.device)
            mask = (steps.unsqueeze(0) < frames.unsqueeze(1)).float()
            features = hide_parts(self.network.features(magnitude, mask), frames, DEFAULT_MEL.n_mels)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            outputs = self.network.scores(features, mask)
        loss = ctc_loss(outputs, samples, self.config.intermediate_share)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 2.0, error_if_nonfinite=False)
        self.optimizer.step()
        self.step += 1
        share = 1.0 - min(self.config.average_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), share)
        return loss.detach()

    def _line(self, loss: float) -> str:
        self.errors = phoneme_errors(
            self.held_out, recognized(self.average, self.analyser, self.held_out, self.config.batch_s)
        )
        parts = " ".join(f"{name}={values['per']:.3f}" for name, values in self.errors.items())
        spent_s = self.spent_before_s + self.spent_s
        return f"step {self.step} {spent_s:.0f}s rate {self.rate():.2e} loss {loss:.3f} PER {parts}"

    def _report(self) -> dict[str, object]:
        return {
            "config": self.network.config.to_dict(), "train": asdict(self.config), "step": self.step,
            "spent_s": round(self.spent_before_s + self.spent_s, 1), "torch": torch.__version__,
            "device": torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu",
            "train_clips": len(self.train_clips), "phoneme_errors": self.errors,
        }  # fmt: skip

    def save(self, out: Path) -> None:
        """Write both sets of weights and the state; each file appears whole or not at all."""
        out.mkdir(parents=True, exist_ok=True)
        for name, module in ((AVERAGED, self.average), (RAW, self.network)):
            data = {"config": self.network.config.to_dict(), "weights": half_state(module)}
            with replaced(out / name) as sink:
                torch.save(data, sink)
        state = {"step": self.step, "spent_s": self.spent_before_s + self.spent_s}
        write_whole(out / STATE, json.dumps(state).encode() + b"\n")

    def resume(self, out: Path) -> None:
        """Go on from ``save``; the optimizer's moments start anew.

        Raises: TrainingError: no checkpoint there, or one of another size.
        """
        self.load_weights(out)
        state = json.loads((out / STATE).read_text(encoding="utf-8"))
        self.step, self.spent_before_s = int(state["step"]), float(state["spent_s"])

    def load_weights(self, out: Path) -> None:
        """Load both sets of weights from ``save``."""
        load_weights(self.network, read_checkpoint(out / RAW)["weights"], "recognizer")
        load_weights(self.average, read_checkpoint(out / AVERAGED)["weights"], "averaged recognizer")


def load_recognizer(path: Path) -> Recognizer:
    """Load a trained recognizer, in evaluation mode, on the CPU."""
    data = read_checkpoint(path)
    network = Recognizer(RecognizerConfig.from_dict(data["config"]))
    load_weights(network, data["weights"], "recognizer")
    return network.eval()


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    arguments = argparse.ArgumentParser(prog="python -m emotirt.training.recognizer", description=__doc__)
    arguments.add_argument("--pack", type=Path, required=True, help="folder with clips.jsonl and audio.i16")
    arguments.add_argument("--out", type=Path, required=True, help="folder for weights and report")
    arguments.add_argument("--max-seconds", type=float, required=True, help="how long to train")
    arguments.add_argument("--batch-seconds", type=float, default=300.0, help="padded seconds of speech a step")
    arguments.add_argument("--peak-rate", type=float, default=1.5e-3, help="highest learning rate")
    arguments.add_argument("--report-seconds", type=float, default=60.0, help="seconds between reports")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--resume", action="store_true", help="go on from the weights in --out, if any")
    arguments.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments.add_argument("--tiny", action="store_true", help="small network, for a dry run on a CPU")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Train from the command line."""
    options = parser().parse_args(argv)
    torch.set_float32_matmul_precision("high")
    config = TrainConfig(
        max_s=options.max_seconds, batch_s=options.batch_seconds, peak_rate=options.peak_rate,
        report_every_s=options.report_seconds, seed=options.seed,
    )  # fmt: skip
    sizes = TINY if options.tiny else RecognizerConfig()
    trainer = RecognizerTrainer(load_pack(options.pack), sizes, config, torch.device(options.device))
    if options.resume and (options.out / STATE).exists():
        trainer.resume(options.out)

    def report(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    report(
        f"recognizer: {sum(weight.numel() for weight in trainer.network.parameters()) / 1e6:.2f} M weights, "
        f"{len(trainer.train_clips)} training and {len(trainer.held_out)} held-out clips on {options.device}"
    )
    trainer.train(report, options.out)


if __name__ == "__main__":
    main()
