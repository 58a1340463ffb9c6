"""Alignment of phonemes to frames, learned from the recordings themselves.

A small frame classifier is trained by expectation maximization: the posterior of every monotonic path (forward and
backward sums, as in hidden Markov models: Rabiner 1989) tells which phone each frame belongs to, the classifier learns
that, and so on. A beta-binomial prior (Badlani et al. 2021, arXiv 2108.10447, section 2.3) starts it off along the
diagonal and fades. Edges, punctuation and word boundaries share one silence class; word boundaries (``#``) are
optional and may take no frame at all. A path search then fixes the durations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from emotirt.models.acoustic import ENERGY_SCALE_DB, MEAN_LOG_MEL
from emotirt.text.symbols import BOUNDARY, SPECIALS, SymbolTable, factors
from emotirt.training.features import DeviceData, batches_by_length, ranges

NEVER = -1e9
SILENCE = 0
LOUD_BELOW_PEAK_DB = 25.0
LOUD_SILENCE_PENALTY = 4.0
"""Silence loses this log probability on frames within that many dB of the clip's peak level."""
PRIOR_SHARE = 0.4
"""How much of a class's log frequency is taken off its log posterior, so that common classes do not swallow rare ones."""
MEL_SPREAD = 2.5


@dataclass(frozen=True, slots=True)
class AlignConfig:
    """Aligner and its training.

    Attributes:
        channels: width of the classifier.
        layers: its residual convolutions.
        steps: optimizer steps.
        frames_per_batch: padded frames a batch.
        learning_rate: peak rate.
        prior_steps: steps over which the diagonal prior fades.
        seed: of sampling.
    """

    channels: int = 192
    layers: int = 4
    steps: int = 1600
    frames_per_batch: int = 24_000
    learning_rate: float = 2e-3
    prior_steps: int = 500
    seed: int = 1


def phone_classes(table: SymbolTable) -> NDArray[np.int64]:
    """Map each symbol id to its phone class: tones and stress ignored, all silences 0; int64 [symbols]."""
    names = [("sil", "-") if symbol in SPECIALS else (factors(symbol)[0], factors(symbol)[2]) for symbol in table.symbols]
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


def beta_binomial_prior(token_counts: Tensor, frame_counts: Tensor, tokens: int, frames: int) -> Tensor:
    """Log prior that token k is spoken at frame t, [B, F, N].

    Source: Badlani et al. 2021, section 2.3: beta-binomial with alpha = t, beta = F - t + 1.
    """
    k = torch.arange(tokens, device=token_counts.device).reshape(1, 1, -1).float()
    alpha = torch.arange(1, frames + 1, device=token_counts.device).reshape(1, -1, 1).float()
    n = (token_counts.reshape(-1, 1, 1) - 1).float().expand(-1, frames, tokens)
    k = torch.minimum(k, n)
    beta = (frame_counts.reshape(-1, 1, 1).float() - alpha + 1).clamp(min=1.0)
    choose = torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
    return (
        choose + torch.lgamma(k + alpha) + torch.lgamma(n - k + beta) - torch.lgamma(n + alpha + beta)
        + torch.lgamma(alpha + beta) - torch.lgamma(alpha) - torch.lgamma(beta)
    )  # fmt: skip


def _arrivals(total: Tensor, may_skip: Tensor) -> Tensor:
    """Scores of staying, advancing by one and skipping one optional token, [3, B, N]."""
    advance = functional.pad(total, (1, 0), value=NEVER)[:, :-1]
    skip = functional.pad(total, (2, 0), value=NEVER)[:, :-2].masked_fill(~may_skip, NEVER)
    return torch.stack((total, advance, skip))


def _forward_sums(scores: Tensor, may_skip: Tensor) -> Tensor:
    total = torch.full_like(scores[:, 0], NEVER)
    total[:, 0] = scores[:, 0, 0]
    sums = [total]
    for frame in range(1, scores.shape[1]):
        total = torch.logsumexp(_arrivals(total, may_skip), dim=0) + scores[:, frame]
        sums.append(total)
    return torch.stack(sums, dim=1)


@torch.no_grad()
def path_posteriors(scores: Tensor, optional: Tensor, token_counts: Tensor, frame_counts: Tensor) -> Tensor:
    """Posterior of each token at each frame over all monotonic paths.

    The backward sum is the forward sum of the reversed problem, every row flipped about its own length.

    Args:
        scores: log probabilities [B, F, N].
        optional: bool [B, N].
        token_counts: int64 [B].
        frame_counts: int64 [B].

    Returns: [B, F, N], each real frame sums to 1, zero on padding.
    """
    frames, tokens = scores.shape[1:]
    token_steps = torch.arange(tokens, device=scores.device).unsqueeze(0)
    frame_steps = torch.arange(frames, device=scores.device).unsqueeze(0)
    real = (frame_steps < frame_counts.unsqueeze(1)).unsqueeze(2) & (token_steps < token_counts.unsqueeze(1)).unsqueeze(1)
    scores = scores.masked_fill(~real, NEVER)
    flip_tokens = (token_counts.unsqueeze(1) - 1 - token_steps) % tokens
    flip_frames = (frame_counts.unsqueeze(1) - 1 - frame_steps) % frames

    def flipped(x: Tensor) -> Tensor:
        x = x.gather(1, flip_frames.unsqueeze(2).expand_as(x))
        return x.gather(2, flip_tokens.unsqueeze(1).expand_as(x))

    ahead = _forward_sums(scores, _skippable(optional))
    behind = flipped(_forward_sums(flipped(scores), _skippable(optional.gather(1, flip_tokens))))
    joint = (ahead + behind - scores).masked_fill(~real, NEVER)
    return torch.softmax(joint, dim=2) * real


def _skippable(optional: Tensor) -> Tensor:
    """Mark tokens that may be reached from two back, because the one before them is optional."""
    return functional.pad(optional, (1, 0))[:, :-1]


def best_paths(scores: Tensor, optional: Tensor, token_counts: Tensor, frame_counts: Tensor) -> Tensor:
    """Search the best monotonic path of every row; optional tokens may be skipped.

    Args:
        scores: log probabilities [B, F, N].
        optional: bool [B, N].
        token_counts: int64 [B].
        frame_counts: int64 [B].

    Returns: int64 [B, N], frames per token; 0 only where optional or padded.
    """
    batch, frames, tokens = scores.shape
    total = scores.new_full((batch, tokens), NEVER)
    total[:, 0] = scores[:, 0, 0]
    may_skip = _skippable(optional)
    moves = torch.zeros((frames, batch, tokens), dtype=torch.int64, device=scores.device)
    for frame in range(1, frames):
        best, moves[frame] = _arrivals(total, may_skip).max(dim=0)
        total = best + scores[:, frame]
    durations = torch.zeros((batch, tokens), dtype=torch.int64, device=scores.device)
    at = (token_counts - 1).unsqueeze(1)
    for frame in range(frames - 1, -1, -1):
        active = (frame < frame_counts).long().unsqueeze(1)
        durations.scatter_add_(1, at, active)
        at = at - moves[frame].gather(1, at) * active
    return durations


def flat_ids(data: DeviceData, table: SymbolTable) -> NDArray[np.int64]:
    """Concatenate the ids of all clips, in clip order."""
    return np.concatenate([table.ids_from_symbols(clip.symbols or ()) for clip in data.clips])


class AlignmentTrainer:
    """Trains a frame classifier on a pack and extracts durations."""

    def __init__(self, data: DeviceData, table: SymbolTable, config: AlignConfig) -> None:
        torch.manual_seed(config.seed)
        self.data, self.config = data, config
        ids = flat_ids(data, table)
        classes = phone_classes(table)
        self.classes = torch.from_numpy(classes[ids]).to(data.device)
        self.optional = torch.from_numpy(ids == table.ids_from_symbols([BOUNDARY])[0]).to(data.device)
        self.loud = self._loud_frames()
        count = int(classes.max()) + 1
        self.model = FrameClassifier(data.config.n_mels, count, config).to(data.device)
        self.log_frequency = torch.full((count,), -float(np.log(count)), device=data.device)
        counts = data.layout.token_counts
        self.usable = np.flatnonzero((counts > 2) & (data.layout.frame_counts >= counts + 2))

    def train(self, report: Callable[[int, float], None]) -> None:
        """Run the configured steps; ``report(step, loss)`` now and then."""
        rng = np.random.default_rng(self.config.seed)
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=self.config.learning_rate, betas=(0.9, 0.98))
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.config.learning_rate, self.config.steps + 1)
        step = 0
        while step < self.config.steps:
            pool = rng.choice(self.usable, min(2048, len(self.usable)), replace=False)
            for picked in batches_by_length(pool, self.data.layout.frame_counts, self.config.frames_per_batch, rng):
                prior_weight = max(0.0, 1.0 - step / self.config.prior_steps)
                loss = self._loss(picked, prior_weight)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                step += 1
                if step % 100 == 0 or step == self.config.steps:
                    report(step, float(loss))
                if step >= self.config.steps:
                    break

    def _loss(self, picked: NDArray[np.int64], prior_weight: float) -> Tensor:
        """Cross entropy of the classifier against the path posteriors, per frame."""
        mels, _ = self.data.frames(picked)
        log_posteriors = self.model(mels)
        classes, optional, token_counts, frame_counts = self._tokens(picked)
        scores = self._scores(log_posteriors.detach(), picked, classes)
        if prior_weight > 0.0:
            scores = scores + prior_weight * beta_binomial_prior(token_counts, frame_counts, *scores.shape[:0:-1])
        posteriors = path_posteriors(scores, optional, token_counts, frame_counts)
        targets = torch.zeros_like(log_posteriors).scatter_add_(
            2, classes.unsqueeze(1).expand_as(posteriors), posteriors
        )
        total = targets.sum()
        self.log_frequency.lerp_((targets.sum(dim=(0, 1)) / total + 1e-4).log(), 0.02)
        return -(targets * log_posteriors).sum() / total

    def _tokens(self, picked: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return classes [B, N], optional [B, N], token counts [B] and frame counts [B]."""
        layout, device = self.data.layout, self.data.device
        counts = layout.token_counts[picked]
        spots, mask = ranges(layout.token_starts[picked], counts, int(counts.max()), device)
        return (
            self.classes[spots], self.optional[spots] & mask.bool(), torch.from_numpy(counts).to(device),
            torch.from_numpy(layout.frame_counts[picked]).to(device),
        )  # fmt: skip

    def _scores(self, log_posteriors: Tensor, picked: NDArray[np.int64], classes: Tensor) -> Tensor:
        """Score every token at every frame, [B, F, N]."""
        layout, frames = self.data.layout, log_posteriors.shape[1]
        places, _ = ranges(layout.frame_starts[picked], layout.frame_counts[picked], frames, self.data.device)
        scaled = log_posteriors - PRIOR_SHARE * self.log_frequency
        scores = scaled.gather(2, classes.unsqueeze(1).expand(-1, frames, -1))
        silent = (classes == SILENCE).float().unsqueeze(1)
        return scores - self.loud[places].unsqueeze(2) * silent * LOUD_SILENCE_PENALTY

    def _loud_frames(self) -> Tensor:
        """Return 1.0 on frames near their clip's peak level, flat float32 [frames]."""
        energy = self.data.energy.cpu().numpy()
        loud = np.zeros_like(energy)
        for start, count in zip(self.data.layout.frame_starts, self.data.layout.frame_counts, strict=True):
            level = energy[start : start + count]
            loud[start : start + count] = level > np.percentile(level, 95) - LOUD_BELOW_PEAK_DB / ENERGY_SCALE_DB
        return torch.from_numpy(loud).to(self.data.device)

    @torch.no_grad()
    def durations(self) -> NDArray[np.int64]:
        """Search durations of every usable clip.

        Returns: int64 [all tokens] in clip order; clips that could not be aligned hold zeros.
        """
        layout, rng = self.data.layout, np.random.default_rng(0)
        self.model.eval()
        flat = np.zeros(int(layout.token_counts.sum()), dtype=np.int64)
        for picked in batches_by_length(self.usable, layout.frame_counts, self.config.frames_per_batch, rng):
            mels, _ = self.data.frames(picked)
            classes, optional, token_counts, frame_counts = self._tokens(picked)
            scores = self._scores(self.model(mels), picked, classes)
            found = best_paths(scores, optional, token_counts, frame_counts).cpu().numpy()
            for row, index in enumerate(picked):
                start, count = int(layout.token_starts[index]), int(layout.token_counts[index])
                flat[start : start + count] = found[row, :count]
        return flat


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


