"""Alignment of phonemes to frames, learned from the recordings themselves.

A small aligner learns soft attention between phonemes and frames under a monotonic forward-sum loss with a
beta-binomial prior (Badlani et al. 2021, arXiv 2108.10447); monotonic search then fixes durations. Word boundaries
(``#``) are optional: the search may give them no frame at all, and the aligner treats them as silence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from emotirt.models.acoustic import ENERGY_SCALE_DB
from emotirt.models.layers import mask_from_lengths
from emotirt.text.symbols import BOUNDARY, SPECIALS, START, SymbolTable
from emotirt.training.features import DeviceData, batches_by_length, ranges

BLANK_LOG_PROBABILITY = -1.0
NEVER = -1e9
SEARCH_PRIOR_WEIGHT = 0.2
BOUNDARY_DROP = 0.8
"""Share of training passes without word boundaries, so that they learn silence and not the sound between words."""
LOUD_BELOW_PEAK_DB = 25.0
LOUD_SILENCE_PENALTY = 4.0
"""Edges, boundaries and punctuation lose this log probability on frames within that many dB of the clip's peak level."""


@dataclass(frozen=True, slots=True)
class AlignConfig:
    """Aligner and its training.

    Attributes:
        channels: width of both sides.
        steps: optimizer steps.
        frames_per_batch: padded frames a batch.
        learning_rate: peak rate.
        seed: of sampling.
    """

    channels: int = 128
    steps: int = 2000
    frames_per_batch: int = 16_000
    learning_rate: float = 2e-3
    seed: int = 1


class Aligner(nn.Module):
    """Scores every (frame, token) pair by the distance of two short embeddings."""

    def __init__(self, symbols: int, n_mels: int, channels: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(symbols, channels)
        self.text = nn.Sequential(
            nn.Conv1d(channels, 2 * channels, 3, padding=1), nn.ReLU(), nn.Conv1d(2 * channels, channels, 1)
        )
        self.mel = nn.Sequential(
            nn.Conv1d(n_mels, 2 * channels, 3, padding=1), nn.ReLU(),
            nn.Conv1d(2 * channels, channels, 3, padding=1), nn.ReLU(),
            nn.Conv1d(channels, channels, 1),
        )  # fmt: skip
        self.sharpness = nn.Parameter(torch.tensor(-3.0))

    def forward(self, ids: Tensor, lengths: Tensor, mels: Tensor, frame_mask: Tensor) -> Tensor:
        """Return log probabilities of tokens at each frame, [B, F, N], without the prior."""
        count = frame_mask.sum(dim=1).reshape(-1, 1, 1)
        mean = (mels * frame_mask.unsqueeze(2)).sum(dim=1, keepdim=True) / count
        spread = ((mels - mean).square() * frame_mask.unsqueeze(2)).sum(dim=1, keepdim=True) / count
        normalized = (mels - mean) / torch.sqrt(spread + 1e-2) * frame_mask.unsqueeze(2)
        queries = self.mel(normalized.transpose(1, 2)).transpose(1, 2)
        keys = self.text(self.embed(ids).transpose(1, 2)).transpose(1, 2)
        distance = torch.cdist(queries.float(), keys.float()).square()
        token_mask = mask_from_lengths(lengths, torch.arange(ids.shape[1], device=ids.device)).unsqueeze(1)
        return torch.log_softmax(-self.sharpness.exp() * distance + (1.0 - token_mask) * NEVER, dim=2)


def beta_binomial_prior(token_counts: Tensor, frame_counts: Tensor, tokens: int, frames: int, scale: float = 1.0) -> Tensor:
    """Log prior that token k is spoken at frame t, [B, F, N].

    Source: Badlani et al. 2021, section 2.3: beta-binomial with alpha = scale * t, beta = scale * (F - t + 1).
    """
    k = torch.arange(tokens, device=token_counts.device).reshape(1, 1, -1).float()
    t = torch.arange(1, frames + 1, device=token_counts.device).reshape(1, -1, 1).float()
    n = (token_counts.reshape(-1, 1, 1) - 1).float().expand(-1, frames, tokens)
    k = torch.minimum(k, n)
    alpha = scale * t
    beta = scale * (frame_counts.reshape(-1, 1, 1).float() - t + 1).clamp(min=1.0)
    choose = torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
    return (
        choose + torch.lgamma(k + alpha) + torch.lgamma(n - k + beta) - torch.lgamma(n + alpha + beta)
        + torch.lgamma(alpha + beta) - torch.lgamma(alpha) - torch.lgamma(beta)
    )  # fmt: skip


def forward_sum_loss(log_attention: Tensor, token_counts: Tensor, frame_counts: Tensor) -> Tensor:
    """Negative log of the summed probability of all monotonic paths, per token; scalar."""
    padded = functional.pad(log_attention, (1, 0), value=BLANK_LOG_PROBABILITY)
    log_probabilities = torch.log_softmax(padded, dim=2).transpose(0, 1)
    targets = torch.arange(1, log_attention.shape[2] + 1, device=log_attention.device).expand(len(token_counts), -1)
    return functional.ctc_loss(log_probabilities, targets, frame_counts, token_counts, zero_infinity=True)


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
    may_skip = functional.pad(optional, (1, 0))[:, :tokens]
    moves = torch.zeros((frames, batch, tokens), dtype=torch.int64, device=scores.device)
    for frame in range(1, frames):
        advance = functional.pad(total, (1, 0), value=NEVER)[:, :tokens]
        skip = functional.pad(total, (2, 0), value=NEVER)[:, :tokens].masked_fill(~may_skip, NEVER)
        best, moves[frame] = torch.stack((total, advance, skip)).max(dim=0)
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
    """Trains an aligner on a pack and extracts durations."""

    def __init__(self, data: DeviceData, table: SymbolTable, config: AlignConfig) -> None:
        self.data, self.config = data, config
        ids = flat_ids(data, table)
        self.optional = ids == table.ids_from_symbols([BOUNDARY])[0]
        silence = int(table.ids_from_symbols([START])[0])
        self.ids = torch.from_numpy(np.where(self.optional, silence, ids)).to(data.device)
        silences = table.ids_from_symbols(SPECIALS)
        self.silent = torch.from_numpy(np.isin(ids, silences).astype(np.float32)).to(data.device)
        self.loud = self._loud_frames()
        self.model = Aligner(len(table), data.config.n_mels, config.channels).to(data.device)
        counts = data.layout.token_counts
        self.usable = np.flatnonzero((counts > 2) & (data.layout.frame_counts >= counts + 2))

    def _tokens(self, picked: NDArray[np.int64], drop_boundaries: bool, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Return flat token positions int64 [B, N] and token counts int64 [B]."""
        rows = []
        layout = self.data.layout
        for index in picked:
            start, count = layout.token_starts[index], layout.token_counts[index]
            keep = np.arange(start, start + count)
            if drop_boundaries and rng.random() < BOUNDARY_DROP:
                keep = keep[~self.optional[keep]]
            rows.append(keep)
        counts = np.array([len(row) for row in rows])
        spots = np.zeros((len(rows), counts.max()), dtype=np.int64)
        for index, row in enumerate(rows):
            spots[index, : len(row)] = row
        return torch.from_numpy(spots).to(self.data.device), torch.from_numpy(counts).to(self.data.device)

    def train(self, report: Callable[[int, float], None]) -> None:
        """Run the configured steps; ``report(step, loss)`` now and then."""
        rng = np.random.default_rng(self.config.seed)
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=self.config.learning_rate, betas=(0.9, 0.98))
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.config.learning_rate, self.config.steps + 1)
        step = 0
        while step < self.config.steps:
            pool = rng.choice(self.usable, min(2048, len(self.usable)), replace=False)
            for picked in batches_by_length(pool, self.data.layout.frame_counts, self.config.frames_per_batch, rng):
                loss = self._step(picked, rng)
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

    def _step(self, picked: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        spots, token_counts = self._tokens(picked, True, rng)
        scores, prior = self._scores(picked, spots, token_counts)
        frame_counts = torch.from_numpy(self.data.layout.frame_counts[picked]).to(self.data.device)
        return forward_sum_loss(scores + prior, token_counts, frame_counts)

    @torch.no_grad()
    def durations(self) -> NDArray[np.int64]:
        """Search durations of every usable clip.

        Returns: int64 [all tokens] in clip order; clips that could not be aligned hold zeros.
        """
        layout, rng = self.data.layout, np.random.default_rng(0)
        flat = np.zeros(int(layout.token_counts.sum()), dtype=np.int64)
        for picked in batches_by_length(self.usable, layout.frame_counts, self.config.frames_per_batch, rng):
            spots, token_counts = self._tokens(picked, False, rng)
            scores, prior = self._scores(picked, spots, token_counts)
            optional = torch.from_numpy(self.optional).to(spots.device)[spots]
            frame_counts = torch.from_numpy(layout.frame_counts[picked]).to(spots.device)
            found = best_paths(scores + SEARCH_PRIOR_WEIGHT * prior, optional, token_counts, frame_counts).cpu().numpy()
            for row, index in enumerate(picked):
                start, count = int(layout.token_starts[index]), int(layout.token_counts[index])
                flat[start : start + count] = found[row, :count]
        return flat

    def _loud_frames(self) -> Tensor:
        """Return 1.0 on frames near their clip's peak level, flat float32 [frames]."""
        energy = self.data.energy.cpu().numpy()
        loud = np.zeros_like(energy)
        for start, count in zip(self.data.layout.frame_starts, self.data.layout.frame_counts, strict=True):
            level = energy[start : start + count]
            loud[start : start + count] = level > np.percentile(level, 95) - LOUD_BELOW_PEAK_DB / ENERGY_SCALE_DB
        return torch.from_numpy(loud).to(self.data.device)

    def _scores(self, picked: NDArray[np.int64], spots: Tensor, token_counts: Tensor) -> tuple[Tensor, Tensor]:
        """Score frames against tokens at flat positions ``spots`` [B, N]; returns [B, F, N] and the log prior."""
        mels, mask = self.data.frames(picked)
        layout = self.data.layout
        places, _ = ranges(layout.frame_starts[picked], layout.frame_counts[picked], mels.shape[1], self.data.device)
        scores = self.model(self.ids[spots], token_counts, mels, mask)
        penalty = self.loud[places].unsqueeze(2) * self.silent[spots].unsqueeze(1) * LOUD_SILENCE_PENALTY
        prior = beta_binomial_prior(token_counts, mask.sum(dim=1).long(), spots.shape[1], mels.shape[1])
        return scores - penalty, prior


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


