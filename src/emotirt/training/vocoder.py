"""Trains a vocoder on natural mels, then on mels that the acoustic model predicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emotirt.models.config import ModelConfig
from emotirt.models.vocoder import Generator, build_vocoder
from emotirt.training.discriminators import Discriminators
from emotirt.training.features import DeviceData
from emotirt.training.journal import Average, Journal, cosine_rate, run_share, save_checkpoint
from emotirt.training.losses import (
    MultiScaleMelLoss,
    ResidualExcess,
    SpectrumLoss,
    discriminator_loss,
    feature_loss,
    generator_loss,
)
from emotirt.training.sampling import corpus_weights
from emotirt.training.wide_generator import generate_channels_last

AWAIT_EVERY = 50
"""Steps between looks whether predicted mels have come."""
StepFunction = Callable[[Tensor, Tensor, bool], dict[str, Tensor]]


@dataclass(frozen=True, slots=True)
class VocoderTraining:
    """How the vocoder is trained.

    Attributes:
        max_seconds: wall time of the whole schedule.
        batch: segments a step.
        segment_frames: frames a segment.
        learning_rate: peak rate of both sides.
        mel_weight: weight of the mel loss (45 in the HiFi-GAN paper).
        spectrum_weight: weight of the loss on linear spectra; 0 leaves it out.
        warm_steps: steps with the mel loss only, before the discriminators begin.
        predicted_share: share of segments whose mel is the acoustic model's, once those are given.
        excess_weight: weight of residual activations beyond ``excess_limit``; 0 leaves it out.
        excess_limit: magnitude up to which activations are free.
        mel_noise: standard deviation of the noise on the mels, so that small differences stay small; 0 leaves it out.
        cuda_graph: capture the whole step once and replay it; the small kernels are launch-bound otherwise.
        report_every: steps between reports.
        save_every_s: seconds between checkpoints.
        seed: of sampling and initial weights.
        max_steps: stop earlier after so many steps; for tests.
        stop_after_s: stop this run after so many seconds, with the schedule unfinished, to be resumed.
    """

    max_seconds: float = 480.0
    batch: int = 64
    segment_frames: int = 32
    learning_rate: float = 4e-4
    mel_weight: float = 45.0
    spectrum_weight: float = 0.0
    warm_steps: int = 300
    predicted_share: float = 0.7
    mel_noise: float = 0.0
    excess_weight: float = 0.0
    excess_limit: float = 12.0
    cuda_graph: bool = False
    report_every: int = 200
    save_every_s: float = 120.0
    seed: int = 11
    max_steps: int = 1_000_000
    stop_after_s: float = 1e9


class CapturedStep:
    """One training step recorded as a CUDA graph over fixed input buffers."""

    def __init__(self, compute: StepFunction, mels: Tensor, real: Tensor, adversarial: bool) -> None:
        self.adversarial = adversarial
        self._mels, self._real = mels.clone(), real.clone()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                compute(self._mels, self._real, adversarial)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._figures = compute(self._mels, self._real, adversarial)

    def replay(self, mels: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Run the step on new data; the returned tensors are overwritten by the next replay."""
        self._mels.copy_(mels)
        self._real.copy_(real)
        self._graph.replay()
        return self._figures


class VocoderTrainer:
    """Owns the generator, the discriminators and their optimizers.

    Attributes:
        awaited: gives predicted mels as ``use_predicted`` takes them, once they are there; asked now and then.
    """

    def __init__(self, data: DeviceData, model: ModelConfig, config: VocoderTraining) -> None:
        torch.manual_seed(config.seed)
        self.data, self.config, self.model_config = data, config, model
        device = data.device
        self.generator = build_vocoder(model).to(device)
        self.discriminators = Discriminators().to(device)
        self.rate = torch.tensor(config.learning_rate, device=device)
        self.generator_optimizer = self._optimizer(self.generator)
        self.discriminator_optimizer = self._optimizer(self.discriminators)
        self.mel_loss = MultiScaleMelLoss(model.mel.sample_rate_hz).to(device)
        self.spectrum_loss = SpectrumLoss().to(device)
        self.average = Average(self.generator, 0.999)
        self._excess = ResidualExcess(self.generator, config.excess_limit) if config.excess_weight else None
        long_enough = data.layout.frame_counts >= config.segment_frames
        splits = np.array([clip.split for clip in data.clips])
        self.train_clips = np.flatnonzero(long_enough & (splits == "train"))
        self.test_clips = np.flatnonzero(long_enough & (splits == "test"))
        self.predicted_mels: Tensor | None = None
        self.awaited: Callable[[], tuple[Tensor, NDArray[np.bool_]] | None] | None = None
        self.step = 0
        self.spent_s = 0.0
        self._captured: CapturedStep | None = None

    def _optimizer(self, module: nn.Module) -> torch.optim.Optimizer:
        on_gpu = self.data.device.type == "cuda"
        return torch.optim.AdamW(
            module.parameters(), lr=self.rate if on_gpu else self.config.learning_rate, betas=(0.8, 0.99), fused=on_gpu,
            capturable=on_gpu,
        )  # fmt: skip

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
        heard = mels.float().transpose(1, 2).contiguous()
        if self.config.mel_noise:
            heard = heard + self.config.mel_noise * torch.randn_like(heard)
        return heard, samples

    def train(self, journal: Journal, out: Path) -> None:
        """Train until the time or the steps are used up, saving on the way and at the end."""
        rng = np.random.default_rng(self.config.seed + self.step)
        weights = self._clip_weights()
        before_s, saved_s = self.spent_s, 0.0
        while True:
            self.spent_s = before_s + journal.elapsed_s
            done = (
                self.spent_s >= self.config.max_seconds
                or self.step >= self.config.max_steps
                or journal.elapsed_s >= self.config.stop_after_s
            )
            if done or journal.elapsed_s - saved_s > self.config.save_every_s:
                saved_s = journal.elapsed_s
                journal.record(self.step, {"test_mel": self.evaluate()})  # raises before rubbish is saved
                self.save(out)
            if done:
                return
            if self.awaited is not None and self.step % AWAIT_EVERY == 0 and (predicted := self.awaited()) is not None:
                self.use_predicted(*predicted)
                weights, self.awaited = self._clip_weights(), None
            picks = rng.choice(self.train_clips, self.config.batch, p=weights)
            figures = self._update(*self._batch(picks, rng))
            self.step += 1
            if self.step % self.config.report_every == 0:
                journal.record(self.step, {key: float(value) for key, value in figures.items()})

    def _clip_weights(self) -> NDArray[np.float64]:
        weights = corpus_weights(self.data.clips, self.train_clips) * self.data.layout.frame_counts[self.train_clips]
        return np.asarray(weights / weights.sum())

    def _update(self, mels: Tensor, real: Tensor) -> dict[str, Tensor]:
        done = run_share(self.spent_s, self.config.max_seconds, self.step, self.config.max_steps)
        rate = self.config.learning_rate * cosine_rate(done, warmup=0.005, floor=0.08)
        self.rate.fill_(rate)
        if self.data.device.type != "cuda":
            for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
                optimizer.param_groups[0]["lr"] = rate
        adversarial = self.step >= self.config.warm_steps
        if not self.config.cuda_graph:
            return self._compute(mels, real, adversarial)
        if self._captured is None or self._captured.adversarial != adversarial:
            self._captured = CapturedStep(self._compute, mels, real, adversarial)
        return self._captured.replay(mels, real)

    def _compute(self, mels: Tensor, real: Tensor, adversarial: bool) -> dict[str, Tensor]:
        """Do one whole step on the device, with nothing that waits for it."""
        autocast = torch.autocast(self.data.device.type, torch.bfloat16, cache_enabled=False)
        with autocast:
            fake = self._generated(mels)
        fake = fake.float()
        figures: dict[str, Tensor] = {}
        if adversarial:
            figures["discriminator"] = self._update_discriminators(real, fake.detach())
        mel = self.mel_loss(fake, real)
        total = self.config.mel_weight * mel
        if self.config.spectrum_weight:
            figures["spectrum"] = self.spectrum_loss(fake, real)
            total = total + self.config.spectrum_weight * figures["spectrum"]
        if self._excess is not None:
            figures["excess"] = self._excess.take()
            total = total + self.config.excess_weight * figures["excess"]
        if adversarial:
            self.discriminators.requires_grad_(False)
            with torch.no_grad(), autocast:
                _, real_features = self.discriminators(real)
            with autocast:
                scores, features = self.discriminators(fake)
            figures["generator"] = generator_loss(scores)
            figures["feature"] = feature_loss(real_features, features)
            total = total + figures["generator"] + 2.0 * figures["feature"]
        self.generator_optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.generator.parameters(), 500.0)
        self.generator_optimizer.step()
        self.discriminators.requires_grad_(True)
        self.average.update()
        return {"mel": mel.detach(), **{key: value.detach() for key, value in figures.items()}}

    def _generated(self, mels: Tensor) -> Tensor:
        if isinstance(self.generator, Generator):
            return generate_channels_last(self.generator, mels)
        waves: Tensor = self.generator(mels)
        return waves

    def _update_discriminators(self, real: Tensor, fake: Tensor) -> Tensor:
        with torch.autocast(self.data.device.type, torch.bfloat16, cache_enabled=False):
            scores, _ = self.discriminators(torch.cat((real, fake)))
        half = len(real)
        loss = discriminator_loss([s[:half] for s in scores], [s[half:] for s in scores])
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.discriminators.parameters(), 500.0)
        self.discriminator_optimizer.step()
        return loss

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
