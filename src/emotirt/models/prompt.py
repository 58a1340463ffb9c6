"""Prompt encoder: word pieces of a style prompt or a sentence to one vector.

BERT (Devlin et al. 2018, arXiv 1810.04805) with its pooler; the first word piece must be ``[CLS]``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from emotirt.models.config import PromptConfig
from emotirt.models.layers import SelfAttention, score_bias_from_mask


class PromptBlock(nn.Module):
    """Self-attention and feed-forward over [B, N, C], each followed by its norm."""

    def __init__(self, config: PromptConfig) -> None:
        super().__init__()
        self.attention = SelfAttention(config)
        self.norm_attention = nn.LayerNorm(config.hidden, config.norm_eps)
        self.expand = nn.Linear(config.hidden, config.filter)
        self.contract = nn.Linear(config.filter, config.hidden)
        self.norm_feed_forward = nn.LayerNorm(config.hidden, config.norm_eps)

    def forward(self, x: Tensor, score_bias: Tensor) -> Tensor:
        """Transform ``x``; ``score_bias`` [B, 1, 1, N]."""
        x = self.norm_attention(self.attention(x, score_bias) + x)
        return self.norm_feed_forward(self.contract(functional.gelu(self.expand(x))) + x)


class PromptEncoder(nn.Module):
    """Stage ``prompt_encoder``."""

    def __init__(self, config: PromptConfig) -> None:
        super().__init__()
        self.pieces = nn.Embedding(config.vocabulary, config.hidden)
        self.positions = nn.Embedding(config.max_tokens, config.hidden)
        self.first_segment = nn.Parameter(torch.zeros(config.hidden))
        self.norm = nn.LayerNorm(config.hidden, config.norm_eps)
        self.blocks = nn.ModuleList(PromptBlock(config) for _ in range(config.blocks))
        self.pooler = nn.Linear(config.hidden, config.hidden)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Encode.

        Args:
            ids: word pieces int64 [B, N], N at most ``max_tokens``.
            mask: float32 [B, N], 1 on real word pieces.

        Returns: style float32 [B, hidden], each value in -1..1.
        """
        places = torch.arange(ids.shape[1], device=ids.device).unsqueeze(0)
        x = self.norm(self.pieces(ids) + self.first_segment + self.positions(places))
        score_bias = score_bias_from_mask(mask)
        for block in self.blocks:
            x = block(x, score_bias)
        return torch.tanh(self.pooler(x[:, 0]))
