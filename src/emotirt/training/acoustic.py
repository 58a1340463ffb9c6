"""Trains the acoustic model and the reference encoder together on aligned clips."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emotirt.errors import TrainingError
from emotirt.models.acoustic import AcousticModel, Variances
from emotirt.models.checkpoint import load_weights
from emotirt.models.config import ModelConfig
from emotirt.models.reference import ReferenceEncoder
from emotirt.training.disentangle import NO_DISENTANGLING, Adversary, Disentangling, across_speakers, heard_again
from emotirt.training.features import (
    WIDTH_STEP_FRAMES,
    DeviceData,
    TokenTargets,
    batches_by_length,
    even_batches,
    ranges,
    rounded_up,
)
from emotirt.training.journal import Average, Journal, cosine_rate, run_share, save_checkpoint
from emotirt.training.losses import MarginClassifier, masked_l1, masked_mse
from emotirt.training.sampling import References, corpus_weights
from emotirt.training.transfer import (
    EmotionTransfer,
    Transferred,
    choose_rows,
    draw_factors,
    felt_mels,
    felt_prosody,
    warped,
)
from emotirt.training.vectors import ACTED_CORPUS, NEUTRAL

TOKEN_STEP = 24
"""Token counts are padded to multiples of it, as frames are to ``WIDTH_STEP_FRAMES``."""


@dataclass(frozen=True, slots=True)
class AcousticTraining:
    """How the acoustic model is trained.

    Attributes:
        max_seconds: wall time; the learning rate follows it.
        frames_per_batch: padded frames a batch.
        learning_rate: peak rate.
        extra_references: recordings a step that only train the speaker and emotion classifiers.
        report_every: steps between reports.
        save_every_s: seconds between checkpoints.
        seed: of sampling and initial weights.
        max_steps: stop earlier after so many steps; for tests.
        disentangling: what keeps speaker and emotion apart.
    """

    max_seconds: float = 480.0
    frames_per_batch: int = 24_000
    learning_rate: float = 1e-3
    extra_references: int = 48
    report_every: int = 200
    save_every_s: float = 120.0
    seed: int = 7
    max_steps: int = 1_000_000
    disentangling: Disentangling = NO_DISENTANGLING


class AcousticTrainer:
    """Owns the networks, the optimizer and the data of one run."""

    def __init__(
        self,
        data: DeviceData,
        targets: TokenTargets,
        model: ModelConfig,
        config: AcousticTraining,
        transfer: EmotionTransfer | None = None,
    ) -> None:
        if config.disentangling.transfer_share > 0.0 and transfer is None:
            raise TrainingError("transfer_share needs an EmotionTransfer; make one with emotion_transfer(data, shifts)")
        torch.manual_seed(config.seed)
        self.data, self.config, self.model_config, self.transfer = data, config, model, transfer
        device = data.device
        self.targets = tuple(
            torch.from_numpy(part).to(device)
            for part in (targets.ids, targets.durations, targets.pitch, targets.energy)
        )
        self.acoustic = AcousticModel(model.acoustic).to(device)
        assert model.reference is not None
        self.reference = ReferenceEncoder(model.reference).to(device)
        splits = np.array([clip.split for clip in data.clips])
        aligned = self._aligned(targets.durations)
        self.train_clips = np.flatnonzero(aligned & (splits == "train"))
        self.test_clips = np.flatnonzero(aligned & (splits == "test"))
        allowed = np.flatnonzero((splits == "train") & (data.layout.frame_counts >= 20))
        self.references = References(data.clips, data.layout, allowed)
        self.train_clips = np.array([i for i in self.train_clips if self.references.keys[i] in self.references.groups])
        self.test_clips = np.array([i for i in self.test_clips if self.references.keys[i] in self.references.groups])
        self.speakers = sorted({speaker for speaker, _ in self.references.groups})
        self.emotions = sorted({emotion for _, emotion in self.references.groups})
        self.speaker_head = MarginClassifier(model.reference.speaker_dim, len(self.speakers)).to(device)
        self.emotion_head = MarginClassifier(model.reference.emotion_dim, len(self.emotions), 16.0, 0.1).to(device)
        self.speaker_adversary = Adversary(model.reference.emotion_dim, len(self.speakers)).to(device)
        self.emotion_adversary = Adversary(model.reference.speaker_dim, len(self.emotions)).to(device)
        self._index_keys()
        self.modules = nn.ModuleList([self.acoustic, self.reference, self.speaker_head, self.emotion_head])
        if config.disentangling.adversary_weight > 0.0:
            self.modules.extend([self.speaker_adversary, self.emotion_adversary])
        self.optimizer = torch.optim.AdamW(
            self.modules.parameters(), lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=0.01,
            fused=device.type == "cuda",
        )  # fmt: skip
        self.average = Average(self.modules, 0.998)
        self.step = 0
        self.spent_s = 0.0

    def _aligned(self, durations: NDArray[np.int64]) -> NDArray[np.bool_]:
        layout = self.data.layout
        sums = np.concatenate(([0], np.cumsum(durations)))
        total = sums[layout.token_starts + layout.token_counts] - sums[layout.token_starts]
        return np.asarray((layout.token_counts > 2) & (total == layout.frame_counts))

    def _batches(self, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
        weights = corpus_weights(self.data.clips, self.train_clips)
        while True:
            pool = rng.choice(self.train_clips, 8000, p=weights)
            for batch in even_batches(self.data.layout.frame_counts[pool], self.config.frames_per_batch, rng):
                yield pool[batch]

    def _index_keys(self) -> None:
        """Number speakers and emotions; rows of unacted recordings are those that a feeling may be put on."""
        self._speaker_ids = {name: index for index, name in enumerate(self.speakers)}
        self._emotion_ids = {name: index for index, name in enumerate(self.emotions)}
        self._unacted = np.array([one.corpus != ACTED_CORPUS and one.emotion == NEUTRAL for one in self.data.clips])

    def _vectors(
        self, keys: list[tuple[str, str]], rng: np.random.Generator, factors: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Encode one reference a key, heard through vocal tracts of ``factors`` [keys]."""
        spots, counts = self.references.draw(keys, rng)
        mels = self.data.mels[torch.from_numpy(spots).to(self.data.device)].float()
        if factors is not None:
            mels = warped(mels, factors, self.data.config)
        mels = mels + 0.3 * torch.randn(len(keys), 1, 1, device=mels.device)  # loudness must not name the speaker
        speaker, emotion = self.reference(mels.transpose(1, 2), torch.from_numpy(counts).to(mels.device))
        return speaker, emotion

    def _extra_keys(self, rng: np.random.Generator) -> list[tuple[str, str]]:
        keys = list(self.references.groups)
        acted = [key for key in keys if key[0].startswith("emodb")] or keys
        half = self.config.extra_references // 2
        return [keys[rng.integers(len(keys))] for _ in range(half)] + [
            acted[rng.integers(len(acted))] for _ in range(half)
        ]

    def losses(self, picked: NDArray[np.int64], rng: np.random.Generator, extra: bool = True) -> dict[str, Tensor]:
        """Compute all losses of one batch of clips; ``extra`` for training, with all that is drawn at random."""
        mels, frame_mask = self.data.frames(picked, WIDTH_STEP_FRAMES)
        layout, device, count = self.data.layout, self.data.device, len(picked)
        counts = layout.token_counts[picked]
        spots, mask = ranges(layout.token_starts[picked], counts, rounded_up(int(counts.max()), TOKEN_STEP), device)
        ids, durations, pitch, energy = (part[spots] for part in self.targets)
        chosen = self._chosen(picked, rng) if extra else None
        keys = [self.references.keys[index] for index in picked]
        keys += [*(chosen.keys if chosen else ()), *(self._extra_keys(rng) if extra else ())]
        factors = self._factors(count, len(keys), rng) if extra else None
        speaker, emotion = self._vectors(keys, rng, factors)
        asked = speaker[:count], emotion[:count]
        if factors is not None:
            mels = warped(mels, factors[:count], self.data.config) * frame_mask.unsqueeze(2)
        truth = Variances(durations.float() * mask, pitch * mask, energy * mask)
        wanted_pitch, wanted_durations = truth.pitch, torch.log1p(truth.log_durations)
        if chosen is not None and self.transfer is not None:
            mels = felt_mels(self.transfer, chosen, mels, frame_mask)
            wanted_pitch, wanted_durations = felt_prosody(self.transfer, chosen, wanted_pitch, wanted_durations, mask)
            rows = torch.from_numpy(chosen.rows).to(device)
            asked = asked[0], asked[1].index_copy(0, rows, emotion[count : count + len(chosen.rows)])
        lengths = torch.from_numpy(counts).to(device)
        predicted_mel, predicted = self.acoustic(ids, lengths, asked, truth, frame_mask)
        found = {
            "mel": masked_l1(predicted_mel.float(), mels, frame_mask),
            "duration": masked_mse(predicted.log_durations.float(), wanted_durations, mask),
            "pitch": masked_mse(predicted.pitch.float(), wanted_pitch, mask),
            "energy": masked_mse(predicted.energy.float(), truth.energy, mask),
            **self._vector_losses(keys, speaker, emotion, factors),
        }
        if extra and self.config.disentangling.heard_again_weight > 0.0:
            some = rng.permutation(count)[: self.config.disentangling.heard_again_rows]
            at, frames = (
                torch.from_numpy(some).to(device),
                torch.from_numpy(layout.frame_counts[picked][some]).to(device),
            )
            again = heard_again(self.reference, predicted_mel[at].float(), frames, (asked[0][at], asked[1][at]))
            found |= {"speaker_again": again[0], "emotion_again": again[1]}
        return found

    def _chosen(self, picked: NDArray[np.int64], rng: np.random.Generator) -> Transferred | None:
        share = self.config.disentangling.transfer_share
        if self.transfer is None or share == 0.0:
            return None
        chosen = choose_rows(self.transfer, self._unacted[picked], share, rng)
        return chosen if len(chosen.rows) else None

    def _factors(self, count: int, keys: int, rng: np.random.Generator) -> Tensor | None:
        """Vocal tracts: some of the batch's rows have another one; borrowed and extra references keep theirs."""
        share = self.config.disentangling.warp_share
        if share == 0.0:
            return None
        drawn = np.concatenate((draw_factors(count, share, rng), np.ones(keys - count, dtype=np.float32)))
        return torch.from_numpy(drawn).to(self.data.device)

    def _vector_losses(
        self, keys: list[tuple[str, str]], speaker: Tensor, emotion: Tensor, factors: Tensor | None
    ) -> dict[str, Tensor]:
        """Classify speakers (own vocal tracts only) and emotions, and keep them apart."""
        device, options = self.data.device, self.config.disentangling
        speaker_ids = torch.tensor([self._speaker_ids[key[0]] for key in keys], device=device)
        emotion_ids = torch.tensor([self._emotion_ids[key[1]] for key in keys], device=device)
        own = torch.ones(len(keys), dtype=torch.bool, device=device) if factors is None else factors == 1.0
        speaker_loss, speaker_accuracy = self.speaker_head(speaker[own], speaker_ids[own])
        emotion_loss, emotion_accuracy = self.emotion_head(emotion, emotion_ids)
        found = {
            "speaker": speaker_loss,
            "emotion": emotion_loss,
            "speaker_accuracy": speaker_accuracy,
            "emotion_accuracy": emotion_accuracy,
        }
        if options.adversary_weight > 0.0:
            found["speaker_told"], found["speaker_told_accuracy"] = self.speaker_adversary(emotion, speaker_ids)
            found["emotion_told"], found["emotion_told_accuracy"] = self.emotion_adversary(speaker, emotion_ids)
        if options.contrast_weight > 0.0:
            acted = torch.tensor([key[0].startswith(ACTED_CORPUS) for key in keys], device=device)
            found["contrast"] = across_speakers(emotion[acted], emotion_ids[acted], speaker_ids[acted])
        return found

    def train(self, journal: Journal, out: Path) -> None:
        """Train until the time or the steps are used up, saving on the way and at the end."""
        rng = np.random.default_rng(self.config.seed + self.step)
        before_s, saved_s = self.spent_s, 0.0
        for picked in self._batches(rng):
            self.spent_s = before_s + journal.elapsed_s
            done = self.spent_s >= self.config.max_seconds or self.step >= self.config.max_steps
            if done or journal.elapsed_s - saved_s > self.config.save_every_s:
                saved_s = journal.elapsed_s
                found = {f"test_{key}": value for key, value in self.evaluate().items()}
                journal.record(self.step, found)  # raises before rubbish is saved
                self.save(out)
            if done:
                return
            losses = self._update(picked, rng)
            self.step += 1
            if self.step % self.config.report_every == 0:
                journal.record(self.step, {key: float(value) for key, value in losses.items()})

    def _update(self, picked: NDArray[np.int64], rng: np.random.Generator) -> dict[str, Tensor]:
        done = run_share(self.spent_s, self.config.max_seconds, self.step, self.config.max_steps)
        factor = cosine_rate(done)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * factor
        with torch.autocast(self.data.device.type, torch.bfloat16):
            losses = self.losses(picked, rng)
        total = torch.stack([weight * losses[name] for name, weight in self._weights().items() if name in losses]).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.modules.parameters(), 1.0)
        self.optimizer.step()
        self.average.update()
        return {key: value.detach() for key, value in losses.items()}

    def _weights(self) -> dict[str, float]:
        options = self.config.disentangling
        return {
            "mel": 1.0, "duration": 0.3, "pitch": 0.1, "energy": 0.1, "speaker": 0.03, "emotion": 0.05,
            "speaker_again": options.heard_again_weight, "emotion_again": options.heard_again_weight,
            "speaker_told": options.adversary_weight, "emotion_told": options.adversary_weight,
            "contrast": options.contrast_weight,
        }  # fmt: skip

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Average losses on held-out sentences with the current (not averaged) weights."""
        self.modules.eval()
        rng = np.random.default_rng(0)
        sums: dict[str, float] = {}
        batches = batches_by_length(self.test_clips, self.data.layout.frame_counts, self.config.frames_per_batch, rng)
        for picked in batches:
            for key, value in self.losses(picked, rng, extra=False).items():
                sums[key] = sums.get(key, 0.0) + float(value) * len(picked)
        self.modules.train()
        return {key: value / max(1, len(self.test_clips)) for key, value in sums.items()}

    def save(self, out: Path) -> None:
        """Write ``acoustic.pt`` (averaged, for build) and ``acoustic_resume.pt`` (live, for going on), both float16."""
        averaged = self.average.half_state()
        part = [
            {key.removeprefix(f"{index}."): value for key, value in averaged.items() if key.startswith(f"{index}.")}
            for index in range(2)
        ]
        config = {key: value for key, value in self.model_config.to_dict().items() if key != "vocoder"}
        weights = {"acoustic": part[0], "reference": part[1]}
        common: dict[str, Any] = {"config": config, "step": self.step, "spent_s": self.spent_s}
        names = {"speakers": self.speakers, "emotions": self.emotions}
        save_checkpoint(out / "acoustic.pt", {**common, **names, "weights": weights})
        live = {key: value.half().cpu() for key, value in self.modules.state_dict().items()}
        save_checkpoint(out / "acoustic_resume.pt", {**common, **names, "modules": live})

    def resume(self, path: Path, restart_schedule: bool) -> None:
        """Continue from ``acoustic_resume.pt``, or start warm from ``acoustic.pt``; optimizer moments start anew.

        Raises: TrainingError: the checkpoint knows other speakers, emotions or networks than this run.
        """
        state = torch.load(path, map_location=self.data.device, weights_only=True)
        if "modules" in state:
            if state["speakers"] != self.speakers or state["emotions"] != self.emotions:
                raise TrainingError(
                    f"{path} was trained on other speakers or emotions than this pack; do not resume it"
                )
            try:
                self.modules.load_state_dict({key: value.float() for key, value in state["modules"].items()})
            except RuntimeError as exc:
                raise TrainingError(
                    f"{path} was trained with other networks; resume it with the same --disentangle and sizes, "
                    "or remove it to start warm from acoustic.pt"
                ) from exc
        else:
            load_weights(self.acoustic, state["weights"]["acoustic"], "acoustic model")
            load_weights(self.reference, state["weights"]["reference"], "reference encoder")
        self.average = Average(self.modules, 0.998)
        self.step = int(state["step"])
        self.spent_s = 0.0 if restart_schedule else float(state["spent_s"])
