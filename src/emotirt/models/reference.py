"""Reference encoder: a recording's mel to a speaker vector and an emotion vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from emotirt.models.config import ReferenceConfig
from emotirt.models.layers import MASKED_SCORE, mask_from_lengths

MEL_CENTER = -5.0
"""Speech log-mels are centred and scaled by these before the first convolution."""
MEL_SCALE = 2.5


class DilatedBlock(nn.Module):
    """Depthwise dilated convolution and a pointwise expansion with a residual, over [B, C, T]."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(channels, channels, 5, padding=2 * dilation, dilation=dilation, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.expand = nn.Conv1d(channels, 2 * channels, 1)
        self.contract = nn.Conv1d(2 * channels, channels, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Transform ``x``; ``mask`` [B, 1, T]."""
        y = self.norm(self.depthwise(x * mask).transpose(1, 2)).transpose(1, 2)
        return x + self.contract(functional.gelu(self.expand(y)))


class AttentivePool(nn.Module):
    """Attention-weighted mean and deviation over time (Okabe et al. 2018, arXiv 1803.10963)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Conv1d(channels, 64, 1), nn.Tanh(), nn.Conv1d(64, channels, 1))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Pool [B, C, T] to [B, 2C]."""
        weights = torch.softmax(self.score(x) + (1.0 - mask) * MASKED_SCORE, dim=2)
        mean = (weights * x).sum(dim=2)
        variance = (weights * (x - mean.unsqueeze(2)) ** 2).sum(dim=2)
        return torch.cat((mean, torch.sqrt(variance + 1e-5)), dim=1)


class ReferenceEncoder(nn.Module):
    """Stage ``reference_encoder``."""

    def __init__(self, config: ReferenceConfig) -> None:
        super().__init__()
        self.first = nn.Conv1d(config.n_mels, config.channels, 5, padding=2)
        self.blocks = nn.ModuleList(DilatedBlock(config.channels, 1 + index) for index in range(config.blocks))
        self.speaker_pool = AttentivePool(config.channels)
        self.emotion_pool = AttentivePool(config.channels)
        self.speaker_out = nn.Linear(2 * config.channels, config.speaker_dim)
        self.emotion_out = nn.Linear(2 * config.channels, config.emotion_dim)

    def forward(self, mel: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Encode recordings.

        Args:
            mel: log-mel float32 [B, n_mels, F].
            frames: int64 [B], real frames per row.

        Returns: speaker [B, 256] and emotion [B, 256], unit norm.
        """
        mask = mask_from_lengths(frames, torch.arange(mel.shape[2], device=mel.device)).unsqueeze(1)
        x = functional.gelu(self.first((mel - MEL_CENTER) / MEL_SCALE * mask))
        for block in self.blocks:
            x = block(x, mask)
        speaker = self.speaker_out(self.speaker_pool(x, mask))
        emotion = self.emotion_out(self.emotion_pool(x, mask))
        return _unit(speaker), _unit(emotion)


def _unit(x: Tensor) -> Tensor:
    return x / torch.sqrt((x * x).sum(dim=1, keepdim=True) + 1e-8)
