"""The vocoders by configuration; HiFi-GAN generator (Kong et al. 2020, arXiv 2010.05646) and its receptive field."""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

from emotirt.models.config import ModelConfig, SpectralConfig, VocoderConfig
from emotirt.models.spectral import SpectralGenerator, spectral_context_frames

T = TypeVar("T", bound=nn.Module)

LEAKY_SLOPE = 0.1
"""Slope of every leaky ReLU but the last, which uses 0.01 (the reference implementation's default argument)."""
LAST_LEAKY_SLOPE = 0.01
EDGE_KERNEL = 7


def _conv(before: int, after: int, kernel: int, dilation: int = 1) -> nn.Module:
    conv = nn.Conv1d(before, after, kernel, dilation=dilation, padding=(kernel - 1) // 2 * dilation)
    nn.init.normal_(conv.weight, std=0.01)
    return weight_norm(conv)


class ResidualBlock(nn.Module):
    """Pairs of dilated and plain convolutions, each pair with a residual."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.dilated = nn.ModuleList(_conv(channels, channels, kernel, dilation) for dilation in dilations)
        self.plain = nn.ModuleList(_conv(channels, channels, kernel) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        """Transform ``x`` [B, C, T]."""
        for dilated, plain in zip(self.dilated, self.plain, strict=True):
            y = dilated(functional.leaky_relu(x, LEAKY_SLOPE))
            x = x + plain(functional.leaky_relu(y, LEAKY_SLOPE))
        return x


class Generator(nn.Module):
    """Stage ``vocoder``: a log-mel to a waveform."""

    def __init__(self, config: VocoderConfig) -> None:
        super().__init__()
        self.first = _conv(config.n_mels, config.channels, EDGE_KERNEL)
        self.upsamplers = nn.ModuleList()
        self.branches = nn.ModuleList()
        channels = config.channels
        for rate, kernel in zip(config.upsample_rates, config.upsample_kernels, strict=True):
            up = nn.ConvTranspose1d(channels, channels // 2, kernel, rate, padding=(kernel - rate) // 2)
            nn.init.normal_(up.weight, std=0.01)
            self.upsamplers.append(weight_norm(up))
            channels //= 2
            self.branches.append(
                nn.ModuleList(
                    ResidualBlock(channels, width, config.resblock_dilations) for width in config.resblock_kernels
                )
            )
        self.last = _conv(channels, 1, EDGE_KERNEL)

    def forward(self, mel: Tensor) -> Tensor:
        """Generate.

        Args: mel: float32 [B, n_mels, T].
        Returns: wav float32 [B, hop * T] in [-1, 1].
        """
        x = self.first(mel)
        for upsampler, branches in zip(self.upsamplers, self.branches, strict=True):
            x = upsampler(functional.leaky_relu(x, LEAKY_SLOPE))
            outputs = [branch(x) for branch in branches.children()]
            x = sum(outputs[1:], outputs[0]) / len(outputs)
        return torch.tanh(self.last(functional.leaky_relu(x, LAST_LEAKY_SLOPE))).squeeze(1)


Vocoder = Generator | SpectralGenerator


def build_vocoder(config: ModelConfig) -> Vocoder:
    """Make the configured vocoder with fresh weights."""
    if isinstance(config.vocoder, SpectralConfig):
        return SpectralGenerator(config.vocoder, config.mel)
    return Generator(config.vocoder)


def without_weight_norm(module: T) -> T:
    """Fold weight normalization into plain weights, wherever there is any; returns the module itself."""
    for part in module.modules():
        if is_parametrized(part, "weight"):
            remove_parametrizations(part, "weight")
    return module


def vocoder_context_frames(config: ModelConfig) -> int:
    """Derive how many mel frames on each side influence one frame of audio.

    Returns: frames of context that make a window's inner block equal to one-shot output.
    """
    if isinstance(config.vocoder, SpectralConfig):
        return spectral_context_frames(config.vocoder, config.mel)
    return context_frames(config.vocoder)


def context_frames(config: VocoderConfig) -> int:
    """Derive how many mel frames on each side influence one frame of audio.

    Propagates the interval of one hop of samples backwards through every layer.

    Returns: frames of context that make a window's inner block equal to one-shot output.
    """
    low, high = 0, math.prod(config.upsample_rates) - 1
    low, high = low - EDGE_KERNEL // 2, high + EDGE_KERNEL // 2
    radius = max(
        sum((kernel - 1) // 2 * (dilation + 1) for dilation in config.resblock_dilations)
        for kernel in config.resblock_kernels
    )
    for rate, kernel in zip(reversed(config.upsample_rates), reversed(config.upsample_kernels), strict=True):
        low, high = low - radius, high + radius
        padding = (kernel - rate) // 2
        low = math.ceil((low + padding - kernel + 1) / rate)
        high = math.floor((high + padding) / rate)
    low, high = low - EDGE_KERNEL // 2, high + EDGE_KERNEL // 2
    return max(-low, high)
