"""The phoneme recognizer: a small conformer with CTC outputs, over log-mel and a pitch spectrogram.

Its input is the linear magnitude spectrogram that ``emotirt.audio.mel.magnitude_spectrogram`` gives, so that one
exported graph holds every later step and human and synthetic speech cannot be treated differently.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from emotirt.audio.mel import DEFAULT_MEL, mel_filterbank
from emotirt.models.layers import MASKED_SCORE, mask_from_lengths
from emotirt.training.recognizer_tokens import TOKENS, factor_matrix

PITCH_LOWEST_HZ = 60.0
PITCH_BINS_PER_OCTAVE = 24
PITCH_BINS = 76
PITCH_TOP_BIN = 256
"""Bins up to 4 kHz take part in the autocorrelation; above, speech is mostly noise."""
PITCH_COMPRESSION = 0.67
"""Exponent of the magnitudes before the autocorrelation (Tolonen and Karjalainen 2000, section II-B)."""


@dataclass(frozen=True, slots=True)
class RecognizerConfig:
    """Size of the recognizer.

    Attributes:
        hidden: model width.
        layers: conformer layers.
        heads: attention heads.
        feed_forward: width inside the feed-forward modules.
        kernel: taps of the depthwise convolutions, in 32 ms steps.
        dropout: in every residual branch.
        layer_drop: probability of skipping a branch of the last layer; grows linearly from 0 at the first.
        conditioned_layers: layers (1-based) after which an intermediate output is made and fed back.
    """

    hidden: int = 192
    layers: int = 9
    heads: int = 4
    feed_forward: int = 512
    kernel: int = 15
    dropout: float = 0.15
    layer_drop: float = 0.15
    conditioned_layers: tuple[int, ...] = (3, 6)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> RecognizerConfig:
        """Read what ``to_dict`` wrote."""
        return cls(**{**data, "conditioned_layers": tuple(data["conditioned_layers"])})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "conditioned_layers": list(self.conditioned_layers)}


def pitch_matrix() -> np.ndarray[Any, np.dtype[np.float32]]:
    """Make the cosines that turn a spectrum into its autocorrelation at lags spaced evenly in log frequency.

    The autocorrelation is the inverse transform of the power spectrum (Wiener-Khinchin); sampling it at real-valued
    lags needs only cosines of those lags. Each column is divided by the autocorrelation of the Hann window at its lag
    (Boersma 1993, equation 9), so that a perfectly periodic frame reads 1.

    Returns: float32 [PITCH_TOP_BIN, PITCH_BINS].
    """
    size = DEFAULT_MEL.fft_samples
    lags = DEFAULT_MEL.sample_rate_hz / (PITCH_LOWEST_HZ * 2.0 ** (np.arange(PITCH_BINS) / PITCH_BINS_PER_OCTAVE))
    share = lags / size
    window = (1.0 - share) * (2.0 / 3.0 + np.cos(2 * np.pi * share) / 3.0) + np.sin(2 * np.pi * share) / (2 * np.pi)
    cosines = np.cos(2.0 * np.pi * np.outer(np.arange(PITCH_TOP_BIN), lags) / size)
    return np.asarray(cosines / window, dtype=np.float32)


class SpeechFeatures(nn.Module):
    """Normalized log-mel and pitch spectrogram of a magnitude spectrogram."""

    mel_bank: Tensor
    pitch_cosines: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mel_bank", torch.from_numpy(mel_filterbank()).T.contiguous(), persistent=False)
        self.register_buffer("pitch_cosines", torch.from_numpy(pitch_matrix()), persistent=False)

    def forward(self, magnitude: Tensor, mask: Tensor) -> Tensor:
        """Compute features.

        Args:
            magnitude: float32 [B, F, 513].
            mask: float32 [B, F].

        Returns: float32 [B, F, 80 + PITCH_BINS], zero on padding.
        """
        weight = mask.unsqueeze(2)
        count = weight.sum(dim=1, keepdim=True).clamp(min=1.0)
        mel = torch.log(torch.matmul(magnitude, self.mel_bank).clamp(min=DEFAULT_MEL.log_floor))
        mean = (mel * weight).sum(dim=1, keepdim=True) / count
        variance = ((mel - mean).square() * weight).sum(dim=1, keepdim=True) / count
        mel = (mel - mean) / torch.sqrt(variance + 0.1)
        compressed = magnitude[:, :, :PITCH_TOP_BIN].clamp(min=1e-6).pow(PITCH_COMPRESSION)
        strength = torch.matmul(compressed, self.pitch_cosines) / compressed.sum(dim=2, keepdim=True)
        strength = strength - strength.mean(dim=2, keepdim=True)
        return torch.cat((mel, 3.0 * strength), dim=2) * weight


class Front(nn.Module):
    """Two-dimensional convolutions over mel and pitch; halves the frame rate to 32 ms steps."""

    def __init__(self, config: RecognizerConfig, n_mels: int) -> None:
        super().__init__()
        self.n_mels = n_mels
        self.mel = nn.ModuleList([nn.Conv2d(1, 32, 3, (1, 2), 1), nn.Conv2d(32, 32, 3, (2, 2), 1)])
        self.pitch = nn.ModuleList(
            [nn.Conv2d(1, 16, (3, 5), (1, 2), (1, 2)), nn.Conv2d(16, 16, (3, 5), (2, 2), (1, 2))]
        )
        width = 32 * (n_mels // 4) + 16 * (PITCH_BINS // 4)
        self.out = nn.Linear(width, config.hidden)
        self.norm = nn.LayerNorm(config.hidden)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Map [B, F, features] and mask [B, F] to [B, (F + 1) // 2, hidden]."""
        mel, pitch = features[:, None, :, : self.n_mels], features[:, None, :, self.n_mels :]
        maps = [self._branch(mel, self.mel, mask), self._branch(pitch, self.pitch, mask)]
        mapped: Tensor = self.dropout(self.norm(self.out(torch.cat(maps, dim=2))))
        return mapped

    def _branch(self, x: Tensor, convolutions: nn.ModuleList, mask: Tensor) -> Tensor:
        for convolution in convolutions:
            x = functional.silu(convolution(x * mask[:, None, :, None]))
        return x.permute(0, 2, 1, 3).flatten(2)


class FeedForward(nn.Module):
    """Pre-norm feed-forward branch."""

    def __init__(self, config: RecognizerConfig) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(config.hidden), nn.Linear(config.hidden, config.feed_forward), nn.SiLU(),
            nn.Dropout(config.dropout), nn.Linear(config.feed_forward, config.hidden), nn.Dropout(config.dropout),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, T, C] to the same shape."""
        branch: Tensor = self.layers(x)
        return branch


def rotated(x: Tensor, angles: Tensor) -> Tensor:
    """Rotate pairs of channels of [B, H, T, D] by their position (Su et al. 2021, arXiv 2104.09864)."""
    first, second = x.float().chunk(2, dim=3)
    cosine, sine = angles.cos(), angles.sin()
    return torch.cat((first * cosine - second * sine, first * sine + second * cosine), dim=3).to(x.dtype)


class Attention(nn.Module):
    """Pre-norm self-attention branch with rotary positions."""

    rates: Tensor

    def __init__(self, config: RecognizerConfig) -> None:
        super().__init__()
        self.heads, self.head_dim = config.heads, config.hidden // config.heads
        self.norm = nn.LayerNorm(config.hidden)
        self.project = nn.Linear(config.hidden, 3 * config.hidden)
        self.out = nn.Linear(config.hidden, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        half = self.head_dim // 2
        self.register_buffer("rates", 1000.0 ** (-torch.arange(half).float() / half), persistent=False)

    def forward(self, x: Tensor, score_bias: Tensor) -> Tensor:
        """Attend over [B, T, C]; ``score_bias`` [B, 1, 1, T] is added to the scores."""
        batch, steps, channels = x.shape
        parts = self.project(self.norm(x)).reshape(batch, steps, 3, self.heads, self.head_dim).permute(2, 0, 3, 1, 4)
        angles = torch.arange(steps, device=x.device, dtype=torch.float32).unsqueeze(1) * self.rates
        query, key = rotated(parts[0], angles), rotated(parts[1], angles)
        mixed = functional.scaled_dot_product_attention(query, key, parts[2], attn_mask=score_bias.to(query.dtype))
        branch: Tensor = self.dropout(self.out(mixed.transpose(1, 2).reshape(batch, steps, channels)))
        return branch


class Convolution(nn.Module):
    """Pre-norm gated depthwise convolution branch (Gulati et al. 2020, arXiv 2005.08100, section 2.2).

    Layer norm stands in for the batch norm of the paper: no running statistics, no dependence on batch-mates.
    """

    def __init__(self, config: RecognizerConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.hidden)
        self.enter = nn.Linear(config.hidden, 2 * config.hidden)
        self.depthwise = nn.Conv1d(
            config.hidden, config.hidden, config.kernel, padding=config.kernel // 2, groups=config.hidden
        )
        self.inner_norm = nn.LayerNorm(config.hidden)
        self.leave = nn.Linear(config.hidden, config.hidden)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map [B, T, C] with mask [B, T, 1] to the same shape."""
        x = functional.glu(self.enter(self.norm(x)), dim=2) * mask
        x = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        branch: Tensor = self.dropout(self.leave(functional.silu(self.inner_norm(x))))
        return branch


class Layer(nn.Module):
    """Half feed-forward, attention, convolution, half feed-forward, norm."""

    def __init__(self, config: RecognizerConfig, drop: float) -> None:
        super().__init__()
        self.drop = drop
        self.before = FeedForward(config)
        self.attention = Attention(config)
        self.convolution = Convolution(config)
        self.after = FeedForward(config)
        self.norm = nn.LayerNorm(config.hidden)

    def forward(self, x: Tensor, mask: Tensor, score_bias: Tensor) -> Tensor:
        """Map [B, T, C] with mask [B, T, 1] to the same shape."""
        x = x + self._keep(0.5 * self.before(x))
        x = x + self._keep(self.attention(x, score_bias))
        x = x + self._keep(self.convolution(x, mask))
        mapped: Tensor = self.norm(x + self._keep(0.5 * self.after(x)))
        return mapped

    def _keep(self, branch: Tensor) -> Tensor:
        """Drop the branch of some batch rows in training (Huang et al. 2016, arXiv 1603.09382)."""
        if not self.training or self.drop == 0.0:
            return branch
        keep = (torch.rand(branch.shape[0], 1, 1, device=branch.device) >= self.drop).to(branch.dtype)
        return branch * keep / (1.0 - self.drop)


class Output(nn.Module):
    """Token scores whose weights are sums over the token's factors, so rare finals share what common ones learned."""

    factors: Tensor

    def __init__(self, config: RecognizerConfig) -> None:
        super().__init__()
        matrix = torch.from_numpy(factor_matrix())
        self.register_buffer("factors", matrix, persistent=False)
        scale = config.hidden**-0.5
        self.shared = nn.Parameter(torch.randn(matrix.shape[1], config.hidden) * scale * 0.6)
        self.own = nn.Parameter(torch.randn(len(TOKENS), config.hidden) * scale * 0.1)
        self.bias = nn.Parameter(torch.zeros(len(TOKENS)))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, T, C] to scores [B, T, tokens]."""
        return functional.linear(x, torch.matmul(self.factors, self.shared) + self.own, self.bias)


class Recognizer(nn.Module):
    """Magnitudes to CTC log probabilities."""

    def __init__(self, config: RecognizerConfig) -> None:
        super().__init__()
        self.config = config
        self.features = SpeechFeatures()
        self.front = Front(config, DEFAULT_MEL.n_mels)
        last = max(1, config.layers - 1)
        self.layers = nn.ModuleList(Layer(config, config.layer_drop * index / last) for index in range(config.layers))
        self.output = Output(config)
        self.feed_back = nn.Linear(len(TOKENS), config.hidden)

    def forward(self, magnitude: Tensor, frames: Tensor) -> Tensor:
        """Recognize.

        Args:
            magnitude: float32 [B, F, 513], linear magnitudes.
            frames: int64 [B], real frames.

        Returns: log probabilities float32 [B, (F + 1) // 2, tokens]; row b holds (frames[b] + 1) // 2 real steps.
        """
        mask = mask_from_lengths(frames, torch.arange(magnitude.shape[1], device=magnitude.device))
        scores = self.scores(self.features(magnitude, mask), mask)[-1]
        return torch.log_softmax(scores.float(), dim=2)

    def scores(self, features: Tensor, mask: Tensor) -> list[Tensor]:
        """Return the scores [B, T, tokens] of each intermediate output and of the last.

        Intermediate outputs condition later layers (Nozaki and Komatsu 2021, arXiv 2104.02724).
        """
        x = self.front(features, mask)
        step_mask = mask[:, ::2].unsqueeze(2)
        score_bias = (1.0 - mask[:, None, None, ::2]) * MASKED_SCORE
        outputs = []
        for index, layer in enumerate(self.layers, 1):
            x = layer(x, step_mask, score_bias)
            if index in self.config.conditioned_layers and index < len(self.layers):
                outputs.append(self.output(x))
                x = x + self.feed_back(torch.softmax(outputs[-1].float(), dim=2).to(x.dtype))
        return [*outputs, self.output(x)]
