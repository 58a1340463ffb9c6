"""Trains the HiFi-GAN generator on natural mels, then on mels that the acoustic model predicts."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emotirt.models.config import ModelConfig
from emotirt.models.vocoder import Generator
from emotirt.training.discriminators import Discriminators
from emotirt.training.features import DeviceData
from emotirt.training.journal import Average, Journal, cosine_rate, save_checkpoint
from emotirt.training.losses import MultiScaleMelLoss, discriminator_loss, feature_loss, generator_loss
from emotirt.training.sampling import corpus_weights

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VocoderTraining:
    """How the vocoder is trained.

    Attributes:
        max_seconds: wall time of the whole schedule.
        batch: segments a step.
        segment_frames: frames a segment.
        learning_rate: peak rate of both sides.
        mel_weight: weight of the mel loss (45 in the HiFi-GAN paper).
        warm_steps: steps with the mel loss only, before the discriminators begin.
        predicted_share: share of segments whose mel is the acoustic model's, once those are given.
        compile: use torch.compile for both sides.
        report_every: steps between reports.
        save_every_s: seconds between checkpoints.
        seed: of sampling and initial weights.
        max_steps: stop earlier after so many steps; for tests.
    """

    max_seconds: float = 480.0
    batch: int = 64
    segment_frames: int = 32
    learning_rate: float = 4e-4
    mel_weight: float = 45.0
    warm_steps: int = 300
    predicted_share: float = 0.7
    compile: bool = False
    report_every: int = 200
    save_every_s: float = 120.0
    seed: int = 11
    max_steps: int = 1_000_000


class VocoderTrainer:
    """Owns the generator, the discriminators and their optimizers."""

    def __init__(self, data: DeviceData, model: ModelConfig, config: VocoderTraining) -> None:
        torch.manual_seed(config.seed)
        self.data, self.config, self.model_config = data, config, model
        device = data.device
        self.generator = Generator(model.vocoder).to(device)
        self.discriminators = Discriminators().to(device)
        fused = device.type == "cuda"
        self.generator_optimizer = torch.optim.AdamW(
            self.generator.parameters(), lr=config.learning_rate, betas=(0.8, 0.99), fused=fused
        )
        self.discriminator_optimizer = torch.optim.AdamW(
            self.discriminators.parameters(), lr=config.learning_rate, betas=(0.8, 0.99), fused=fused
        )
        self.mel_loss = MultiScaleMelLoss(model.mel.sample_rate_hz).to(device)
        self.average = Average(self.generator, 0.999)
        long_enough = data.layout.frame_counts >= config.segment_frames
        splits = np.array([clip.split for clip in data.clips])
        self.train_clips = np.flatnonzero(long_enough & (splits == "train"))
        self.test_clips = np.flatnonzero(long_enough & (splits == "test"))
        self.predicted_mels: Tensor | None = None
        self.step = 0
        self.spent_s = 0.0
        compiled = torch.compile if config.compile else (lambda module: module)
        self._generate: Any = compiled(self.generator)
        self._judge: Any = compiled(self.discriminators)

    def use_predicted(self, mels: Tensor, known: NDArray[np.bool_]) -> None:
        """Give predicted mels, float16 [frames, n_mels]; from now on only clips ``known`` to have them are drawn."""
        self.predicted_mels = mels
        self.train_clips = self.train_clips[known[self.train_clips]]
        self.test_clips = self.test_clips[known[self.test_clips]]

    def _batch(self, clips: NDArray[np.int64], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        spots, samples = self.data.segments(clips, self.config.segment_frames, rng)
        mels = self.data.mels[spots]
        if self.predicted_mels is not None:
            predicted = rng.random(len(clips)) < self.config.predicted_share
            choose = torch.from_numpy(predicted).to(mels.device).reshape(-1, 1, 1)
            mels = torch.where(choose, self.predicted_mels[spots], mels)
        return mels.float().transpose(1, 2).contiguous(), samples

    def train(self, journal: Journal, out: Path) -> None:
        """Train until the time or the steps are used up, saving on the way and at the end."""
        rng = np.random.default_rng(self.config.seed + self.step)
        weights = corpus_weights(self.data.clips, self.train_clips) * self.data.layout.frame_counts[self.train_clips]
        weights = weights / weights.sum()
        before_s, saved_s = self.spent_s, 0.0
        while True:
            self.spent_s = before_s + journal.elapsed_s
            done = self.spent_s >= self.config.max_seconds or self.step >= self.config.max_steps
            if done or journal.elapsed_s - saved_s > self.config.save_every_s:
                saved_s = journal.elapsed_s
                self.save(out)
                journal.record(self.step, {"test_mel": self.evaluate()})
            if done:
                return
            picks = rng.choice(self.train_clips, self.config.batch, p=weights)
            figures = self._update(*self._batch(picks, rng))
            self.step += 1
            if self.step % self.config.report_every == 0:
                journal.record(self.step, {key: float(value) for key, value in figures.items()})

    def _update(self, mels: Tensor, real: Tensor) -> dict[str, Tensor]:
        rate = self.config.learning_rate * cosine_rate(self.spent_s / self.config.max_seconds, warmup=0.005, floor=0.08)
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = rate
        autocast = torch.autocast(self.data.device.type, torch.bfloat16)
        with autocast:
            fake = self._generate(mels)
        fake = fake.float()
        adversarial = self.step >= self.config.warm_steps
        figures = self._update_discriminators(real, fake.detach()) if adversarial else {}
        mel = self.mel_loss(fake, real)
        total = self.config.mel_weight * mel
        if adversarial:
            with autocast:
                scores, features = self._judge(torch.cat((real, fake)))
            half = len(real)
            fakes = [[f[half:] for f in fs] for fs in features]
            reals = [[f[:half] for f in fs] for fs in features]
            figures["generator"] = generator_loss([s[half:] for s in scores])
            figures["feature"] = feature_loss(reals, fakes)
            total = total + figures["generator"] + 2.0 * figures["feature"]
        self.generator_optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.generator.parameters(), 500.0)
        self.generator_optimizer.step()
        self.average.update()
        return {"mel": mel, **figures}

    def _update_discriminators(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        with torch.autocast(self.data.device.type, torch.bfloat16):
            scores, _ = self._judge(torch.cat((real, fake)))
        half = len(real)
        loss = discriminator_loss([s[:half] for s in scores], [s[half:] for s in scores])
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.discriminators.parameters(), 500.0)
        self.discriminator_optimizer.step()
        return {"discriminator": loss}

    @torch.no_grad()
    def evaluate(self) -> float:
        """Return the mel loss on held-out sentences, live weights, natural mels."""
        rng = np.random.default_rng(0)
        picks = self.test_clips[: 4 * self.config.batch]
        spots, samples = self.data.segments(picks, self.config.segment_frames, rng)
        fake = self.generator(self.data.mels[spots].float().transpose(1, 2))
        return float(self.mel_loss(fake.float(), samples))

    def save(self, out: Path) -> None:
        """Write ``vocoder.pt`` (averaged float16, for build) and ``vocoder_resume.pt`` (weights, for going on)."""
        config = {"vocoder": self.model_config.to_dict()["vocoder"]}
        common = {"config": config, "step": self.step, "spent_s": self.spent_s}
        save_checkpoint(out / "vocoder.pt", {**common, "weights": {"vocoder": self.average.half_state()}})
        save_checkpoint(
            out / "vocoder_resume.pt",
            {**common, "generator": _half(self.generator), "discriminators": _half(self.discriminators)},
        )

    def resume(self, path: Path, restart_schedule: bool) -> None:
        """Continue from ``vocoder_resume.pt``; optimizer moments start anew."""
        state = torch.load(path, map_location=self.data.device, weights_only=True)
        self.generator.load_state_dict({key: value.float() for key, value in state["generator"].items()})
        self.discriminators.load_state_dict({key: value.float() for key, value in state["discriminators"].items()})
        self.average = Average(self.generator, 0.999)
        self.step = int(state["step"])
        self.spent_s = 0.0 if restart_schedule else float(state["spent_s"])


def _half(module: nn.Module) -> dict[str, Tensor]:
    return {key: value.half().cpu() for key, value in module.state_dict().items()}
