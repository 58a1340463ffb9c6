"""Masked building blocks; padding never changes a real position.

Masks are float tensors, 1 on real positions and 0 on padding. Every convolution sees zeros on padding.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from emotirt.models.config import BlockConfig, PredictorConfig, PromptConfig

MASKED_SCORE = -1e4
"""Added to attention scores of padding; exp(-1e4) is 0 in every precision and the sum stays finite in float16."""


def mask_from_lengths(lengths: Tensor, positions: Tensor) -> Tensor:
    """Build a float mask.

    Args:
        lengths: int64 [B].
        positions: int64 [T], 0..T-1.

    Returns: float32 [B, T].
    """
    return (positions.unsqueeze(0) < lengths.unsqueeze(1)).float()


def score_bias_from_mask(mask: Tensor) -> Tensor:
    """Turn a mask [B, T] into what is added to attention scores, [B, 1, 1, T]."""
    return (1.0 - mask).unsqueeze(1).unsqueeze(1) * MASKED_SCORE


def sinusoidal_positions(x: Tensor) -> Tensor:
    """Make sinusoidal position codes for ``x`` [B, T, C]; interleaved sine and cosine, [1, T, C].

    Source: Vaswani et al. 2017 (arXiv 1706.03762), section 3.5.
    """
    steps = torch.arange(x.shape[1], device=x.device, dtype=torch.float32).unsqueeze(1)
    rates = torch.exp(
        torch.arange(0, x.shape[2], 2, device=x.device, dtype=torch.float32) * (-math.log(10_000.0) / x.shape[2])
    )
    angles = steps * rates
    return torch.stack((angles.sin(), angles.cos()), dim=2).reshape(1, -1, x.shape[2])


class SelfAttention(nn.Module):
    """Multi-head self-attention over [B, T, C] with a padding mask."""

    def __init__(self, config: BlockConfig | PromptConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.head_dim = config.hidden // config.heads
        self.dropout = config.dropout if isinstance(config, BlockConfig) else 0.0
        self.query = nn.Linear(config.hidden, config.hidden)
        self.key = nn.Linear(config.hidden, config.hidden)
        self.value = nn.Linear(config.hidden, config.hidden)
        self.out = nn.Linear(config.hidden, config.hidden)

    def forward(self, x: Tensor, score_bias: Tensor) -> Tensor:
        """Attend; ``score_bias`` [B, 1, 1, T] is added to the scores."""
        shape = (x.shape[0], -1, self.heads, self.head_dim)
        query = self.query(x).reshape(shape).transpose(1, 2)
        key = self.key(x).reshape(shape).transpose(1, 2)
        value = self.value(x).reshape(shape).transpose(1, 2)
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=score_bias.to(query.dtype), dropout_p=self.dropout if self.training else 0.0
        )
        return self.out(mixed.transpose(1, 2).reshape(x.shape[0], -1, self.heads * self.head_dim))


class ConvFeedForward(nn.Module):
    """Two masked convolutions with a GELU between, over [B, T, C]."""

    def __init__(self, config: BlockConfig) -> None:
        super().__init__()
        padding = (config.kernel - 1) // 2
        self.expand = nn.Conv1d(config.hidden, config.filter, config.kernel, padding=padding)
        self.contract = nn.Conv1d(config.filter, config.hidden, config.kernel, padding=padding)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Transform ``x``; ``mask`` [B, T, 1]."""
        channels_first = mask.transpose(1, 2)
        y = functional.gelu(self.expand((x * mask).transpose(1, 2)))
        return self.contract(self.dropout(y) * channels_first).transpose(1, 2)


class Block(nn.Module):
    """Pre-norm self-attention and convolution feed-forward."""

    def __init__(self, config: BlockConfig) -> None:
        super().__init__()
        self.attention = SelfAttention(config)
        self.feed_forward = ConvFeedForward(config)
        self.norm_attention = nn.LayerNorm(config.hidden, config.norm_eps)
        self.norm_feed_forward = nn.LayerNorm(config.hidden, config.norm_eps)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor, score_bias: Tensor) -> Tensor:
        """Transform ``x`` [B, T, C]."""
        x = x + self.dropout(self.attention(self.norm_attention(x), score_bias))
        return x + self.dropout(self.feed_forward(self.norm_feed_forward(x), mask))


class BlockStack(nn.Module):
    """Positions, blocks and a last norm; the output is zero on padding."""

    def __init__(self, config: BlockConfig) -> None:
        super().__init__()
        self.position_scale = nn.Parameter(torch.ones(1))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.hidden, config.norm_eps)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Transform ``x`` [B, T, C] under ``mask`` [B, T]."""
        score_bias = score_bias_from_mask(mask)
        column = mask.unsqueeze(2)
        x = self.dropout(x + self.position_scale * sinusoidal_positions(x))
        for block in self.blocks:
            x = block(x, column, score_bias)
        return self.norm(x) * column


class VariancePredictor(nn.Module):
    """Predict one value a token from [B, N, C]."""

    def __init__(self, hidden: int, config: PredictorConfig) -> None:
        super().__init__()
        widths = [hidden] + [config.filter] * config.layers
        self.convs = nn.ModuleList(
            nn.Conv1d(before, after, config.kernel, padding=(config.kernel - 1) // 2)
            for before, after in pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(config.filter, config.norm_eps) for _ in range(config.layers))
        self.dropout = nn.Dropout(config.dropout)
        self.out = nn.Linear(config.filter, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Predict [B, N]; ``mask`` [B, N]; zero on padding."""
        column = mask.unsqueeze(2)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            y = functional.relu(conv((x * column).transpose(1, 2)).transpose(1, 2))
            x = self.dropout(norm(y))
        return self.out(x).squeeze(2) * mask


def gaussian_upsample(
    hidden: Tensor,
    durations: Tensor,
    token_mask: Tensor,
    frame_mask: Tensor,
    delta: float,
    scaled: bool,
    offset_frames: float = 0.5,
) -> Tensor:
    """Spread tokens over frames with soft borders.

    Padded tokens take no frame. With ``scaled`` the distance is measured in the token's own duration, so that two
    neighbours weigh the same exactly at their border whatever their lengths, and tokens of duration 0 take none either.

    Args:
        hidden: [B, N, C].
        durations: [B, N], integer-valued frames.
        token_mask: [B, N].
        frame_mask: [B, F].
        delta: sharpness.
        scaled: see above.
        offset_frames: where in a frame the distance is measured, 0.5 for its middle.

    Returns: [B, F, C], zero on padded frames.
    Source: Gaussian upsampling of Donahue et al. 2020 (arXiv 2006.03575), section 2.1; fixed delta as in JETS
        (arXiv 2203.16852).
    """
    durations = durations.float()
    centers = torch.cumsum(durations, dim=1) - 0.5 * durations
    steps = torch.arange(frame_mask.shape[1], device=hidden.device, dtype=torch.float32) + offset_frames
    distance = steps.reshape(1, -1, 1) - centers.unsqueeze(1)
    if scaled:
        distance = distance / durations.clamp(min=1.0).unsqueeze(1)
    used = token_mask.float() * (durations > 0).float() if scaled else token_mask.float()
    scores = -delta * distance * distance + (1.0 - used).unsqueeze(1) * -1e9
    weights = torch.softmax(scores, dim=2).to(hidden.dtype)
    return torch.matmul(weights, hidden) * frame_mask.unsqueeze(2).to(hidden.dtype)
