"""Alignment of phonemes to frames, learned from the recordings themselves.

As hidden Markov systems are built: Gaussians over cepstra start from evenly divided clips and are fitted and aligned
in turns (``gaussians.py``), first one a phone, then two; then a frame classifier learns their labels, aligns anew by
its posteriors over the class frequencies (Bourlard and Morgan 1994, chapter 7), and learns again. Edges, punctuation
and word boundaries share one silence class; word boundaries (``#``) are optional and may take no frame at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from emotirt.models.acoustic import MEAN_LOG_MEL
from emotirt.text.symbols import BOUNDARY, SPECIALS, SymbolTable, factors
from emotirt.training.features import DeviceData, batches_by_length, ranges
from emotirt.training.gaussians import PhoneGaussians, cepstra
from emotirt.training.trellis import PATH_FRAMES_PER_BATCH, SILENCE, Trellis

LOUD_BELOW_PEAK_DB = 25.0
LOUD_SILENCE_PENALTY = 10.0
"""Silence loses this log score on frames within that many dB of the clip's peak level."""
QUIET_BELOW_PEAK_DB = 22.0
QUIET_ABOVE_FLOOR_DB = 8.0
QUIET_FRAMES = 10
QUIET_SILENCE_BONUS = 6.0
"""Silence gains this log score in stretches of at least that many frames (160 ms, longer than the closure of a stop)
that are far below the clip's peak and near its floor; so a noisy pause does not pass for a long vowel."""
HUM_BANDS = 3
"""The lowest mel bands, up to 120 Hz, say nothing about how loud speech is."""
MEL_SPREAD = 2.5


@dataclass(frozen=True, slots=True)
class AlignConfig:
    """Aligner and its training.

    Attributes:
        gaussian_rounds: fits of one Gaussian a phone class, each followed by a search.
        fine_rounds: the same with two a class, for its first and its second part.
        channels: width of the classifier.
        layers: its residual convolutions.
        steps: optimizer steps of the classifier in all.
        rounds: searches with the classifier, at equal distances.
        frames_per_batch: padded frames a batch.
        learning_rate: peak rate.
        seed: of sampling.
    """

    gaussian_rounds: int = 12
    fine_rounds: int = 4
    channels: int = 192
    layers: int = 4
    steps: int = 900
    rounds: int = 3
    frames_per_batch: int = 10_000
    learning_rate: float = 2e-3
    seed: int = 1


def phone_classes(table: SymbolTable) -> NDArray[np.int64]:
    """Map each symbol id to its phone class: tones and stress ignored, all silences 0; int64 [symbols]."""
    names = [
        ("sil", "-") if symbol in SPECIALS else (factors(symbol)[0], factors(symbol)[2]) for symbol in table.symbols
    ]
    kinds = [("sil", "-"), *sorted(set(names) - {("sil", "-")})]
    return np.array([kinds.index(name) for name in names], dtype=np.int64)


class FrameClassifier(nn.Module):
    """Tells phone classes from a few frames of log-mel around each frame."""

    def __init__(self, n_mels: int, classes: int, config: AlignConfig) -> None:
        super().__init__()
        self.first = nn.Conv1d(n_mels, config.channels, 5, padding=2)
        self.convs = nn.ModuleList(
            nn.Conv1d(config.channels, config.channels, 3, padding=1) for _ in range(config.layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(config.channels) for _ in range(config.layers))
        self.out = nn.Linear(config.channels, classes)
        self.dropout = nn.Dropout(0.1)

    def forward(self, mels: Tensor) -> Tensor:
        """Return log posteriors [B, F, classes] of log-mels [B, F, n_mels]."""
        x = functional.relu(self.first((mels.transpose(1, 2) - MEAN_LOG_MEL) / MEL_SPREAD)).transpose(1, 2)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = x + self.dropout(functional.relu(conv(norm(x).transpose(1, 2)).transpose(1, 2)))
        return torch.log_softmax(self.out(x).float(), dim=2)


def flat_ids(data: DeviceData, table: SymbolTable) -> NDArray[np.int64]:
    """Concatenate the ids of all clips, in clip order."""
    return np.concatenate([table.ids_from_symbols(clip.symbols or ()) for clip in data.clips])


class AlignmentTrainer:
    """Learns to align a pack and gives its durations."""

    def __init__(self, data: DeviceData, table: SymbolTable, config: AlignConfig) -> None:
        torch.manual_seed(config.seed)
        self.data, self.config = data, config
        ids = flat_ids(data, table)
        level_db = levels_db(data)
        self.loud = loud_frames(data, level_db)
        self.quiet = quiet_stretches(data, level_db)
        phones, boundary = phone_classes(table)[ids], ids == table.ids_from_symbols([BOUNDARY])[0]
        self.coarse = Trellis(data, phones, boundary, 1)
        self.fine = Trellis(data, phones, boundary, 2)
        self.model = FrameClassifier(data.config.n_mels, self.fine.class_count, config).to(data.device)
        self.usable = self.coarse.usable
        self._durations = np.zeros(len(ids), dtype=np.int64)

    def train(self, report: Callable[[int, float], None]) -> None:
        """Fit Gaussians, then the classifier; ``report(step, loss)`` now and then, Gaussian rounds are below 0."""
        features = cepstra(self.data, self.loud)
        labels, trellis = self.coarse.even_labels(self.loud), self.coarse
        for turn in range(-self.config.gaussian_rounds - self.config.fine_rounds, 0):
            if turn == -self.config.fine_rounds:
                trellis = self.fine
                labels = trellis.labels_of_tokens(self._durations)
            gaussians = PhoneGaussians(features, labels, trellis.class_count)
            scores = torch.cat([gaussians.log_likelihoods(part) for part in features.split(50_000)])
            labels = self._aligned(trellis, scores)
            known = labels >= 0
            report(turn, -float(scores[known].gather(1, labels[known].unsqueeze(1)).mean()))
        self._learn_and_align(labels, report)

    def durations(self) -> NDArray[np.int64]:
        """Return durations of every usable clip, int64 [all tokens] in clip order; zeros where there are none."""
        return self._durations

    def _aligned(self, trellis: Trellis, scores: Tensor) -> Tensor:
        """Search with the scores of every frame; keeps the durations and returns the labels."""
        scores[:, SILENCE] += self.quiet * QUIET_SILENCE_BONUS - self.loud * LOUD_SILENCE_PENALTY
        found = trellis.search(scores)
        for index in trellis.usable:
            span = trellis.token_span(int(index))
            self._durations[span] = found[span]
        return trellis.labels_of_states()

    def _learn_and_align(self, labels: Tensor, report: Callable[[int, float], None]) -> None:
        config = self.config
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=config.learning_rate, betas=(0.9, 0.98))
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, config.steps + 1)
        each = max(1, config.steps // config.rounds)
        for step, picked in enumerate(self._batches(config.steps), 1):
            loss = self._loss(picked, labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            if step % 100 == 0 or step == config.steps:
                report(step, float(loss.detach()))
            if step == config.steps or (step % each == 0 and config.steps - step >= each):
                labels = self._aligned(self.fine, self._frame_scores(labels))

    def _batches(self, count: int) -> Iterator[NDArray[np.int64]]:
        rng, made = np.random.default_rng(self.config.seed), 0
        while True:
            pool = rng.choice(self.fine.usable, min(2048, len(self.fine.usable)), replace=False)
            for picked in batches_by_length(pool, self.data.layout.frame_counts, self.config.frames_per_batch, rng):
                if made == count:
                    return
                made += 1
                yield picked

    def _loss(self, picked: NDArray[np.int64], labels: Tensor) -> Tensor:
        layout = self.data.layout
        mels, mask = self.data.frames(picked)
        places, _ = ranges(layout.frame_starts[picked], layout.frame_counts[picked], mels.shape[1], mels.device)
        target = torch.where(mask > 0, labels[places], -1)
        self.model.train()
        return functional.nll_loss(self.model(mels).transpose(1, 2), target, ignore_index=-1)

    @torch.no_grad()
    def _frame_scores(self, labels: Tensor) -> Tensor:
        """Classifier's log posteriors less the classes' log frequencies, float32 [frames, classes]."""
        self.model.eval()
        counts = torch.bincount(labels[labels >= 0], minlength=self.fine.class_count).float() + 100.0
        log_frequency = torch.log(counts / counts.sum())
        layout, rng = self.data.layout, np.random.default_rng(0)
        scores = torch.zeros(len(self.loud), self.fine.class_count, device=self.data.device)
        for picked in batches_by_length(self.fine.usable, layout.frame_counts, PATH_FRAMES_PER_BATCH, rng):
            mels, mask = self.data.frames(picked)
            places, _ = ranges(layout.frame_starts[picked], layout.frame_counts[picked], mels.shape[1], mels.device)
            real = mask > 0
            scores[places[real]] = (self.model(mels) - log_frequency)[real]
        return scores


def levels_db(data: DeviceData) -> NDArray[np.float32]:
    """Return the level of every frame without hum, flat float32 [frames]."""
    power = data.mels[:, HUM_BANDS:].float().exp().square().sum(dim=1)
    return (10.0 * torch.log10(power + 1e-10)).cpu().numpy()


def loud_frames(data: DeviceData, level_db: NDArray[np.float32]) -> Tensor:
    """Return 1.0 on frames near their clip's peak level, flat float32 [frames]; ``level_db`` from ``levels_db``."""
    loud = np.zeros_like(level_db)
    for start, count in zip(data.layout.frame_starts, data.layout.frame_counts, strict=True):
        level = level_db[start : start + count]
        loud[start : start + count] = level > np.percentile(level, 95) - LOUD_BELOW_PEAK_DB
    return torch.from_numpy(loud).to(data.device)


def quiet_stretches(data: DeviceData, level_db: NDArray[np.float32]) -> Tensor:
    """Return 1.0 on frames of long quiet stretches, flat float32 [frames]; ``level_db`` from ``levels_db``."""
    quiet = np.zeros(len(level_db), dtype=np.float32)
    for start, count in zip(data.layout.frame_starts, data.layout.frame_counts, strict=True):
        level = level_db[start : start + count]
        floor, peak = np.percentile(level, [5, 95])
        low = level < min(floor + QUIET_ABOVE_FLOOR_DB, peak - QUIET_BELOW_PEAK_DB)
        edges = np.flatnonzero(np.diff(np.concatenate(([False], low, [False])).astype(np.int8)))
        for begin, end in zip(edges[::2], edges[1::2], strict=True):
            if end - begin >= QUIET_FRAMES:
                quiet[start + begin : start + end] = 1.0
    return torch.from_numpy(quiet).to(data.device)


def token_means(data: DeviceData, contour: Tensor, durations: NDArray[np.int64]) -> NDArray[np.float32]:
    """Average a per-frame contour over each token; a token without frames takes the frame at its place.

    Returns: float32 [all tokens] in clip order.
    """
    layout = data.layout
    values = contour.double().cpu().numpy()
    sums = np.concatenate(([0.0], np.cumsum(values)))
    ends = np.zeros_like(durations)
    for start, count, frame in zip(layout.token_starts, layout.token_counts, layout.frame_starts, strict=True):
        ends[start : start + count] = frame + np.cumsum(durations[start : start + count])
    begins = np.minimum(ends - durations, len(values) - 1)
    return np.where(
        durations > 0, (sums[ends] - sums[np.maximum(ends - durations, 0)]) / np.maximum(durations, 1), values[begins]
    ).astype(np.float32)
