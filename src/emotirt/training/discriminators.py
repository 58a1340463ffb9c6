"""Discriminators of the vocoder: small period ones (HiFi-GAN, 2010.05646), spectrogram ones (UnivNet, 2106.07889)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

SLOPE = 0.1
CHANNELS_LAST = torch.channels_last
"""Layout of every feature map: tensor cores read it as it lies, the other one is copied around each convolution."""


class PeriodDiscriminator(nn.Module):
    """Looks at every ``period``-th sample."""

    def __init__(self, period: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.period = period
        widths = (1, *channels)
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(before, after, (5, 1), (3, 1), padding=(2, 0))) for before, after in pairwise(widths)
        )
        self.out = weight_norm(nn.Conv2d(channels[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, samples: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Judge samples [B, T]; returns scores and features."""
        x = functional.pad(samples.unsqueeze(1), (0, -samples.shape[1] % self.period), mode="reflect")
        x = x.reshape(x.shape[0], 1, -1, self.period)
        features = []
        for conv in self.convs:
            x = functional.leaky_relu(conv(x), SLOPE).contiguous(memory_format=CHANNELS_LAST)
            features.append(x)
        return self.out(x), features


class SpectrogramDiscriminator(nn.Module):
    """Looks at a magnitude spectrogram of one resolution."""

    window: Tensor

    def __init__(self, window: int, channels: int) -> None:
        super().__init__()
        self.window_samples = window
        self.register_buffer("window", torch.hann_window(window), persistent=False)
        self.convs = nn.ModuleList(
            [weight_norm(nn.Conv2d(1, channels, (3, 9), padding=(1, 4)))]
            + [weight_norm(nn.Conv2d(channels, channels, (3, 9), (1, 2), padding=(1, 4))) for _ in range(3)]
            + [weight_norm(nn.Conv2d(channels, channels, 3, padding=1))]
        )
        self.out = weight_norm(nn.Conv2d(channels, 1, 3, padding=1))

    def forward(self, samples: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Judge samples [B, T]; returns scores and features."""
        window = self.window_samples
        spectrum = torch.stft(samples.float(), window, window // 4, window, self.window, return_complex=True)
        x = torch.sqrt(spectrum.real.square() + spectrum.imag.square() + 1e-9).transpose(1, 2).unsqueeze(1)
        x = torch.log(x + 1e-3)
        features = []
        for conv in self.convs:
            x = functional.leaky_relu(conv(x), SLOPE).contiguous(memory_format=CHANNELS_LAST)
            features.append(x)
        return self.out(x), features


class Discriminators(nn.Module):
    """All discriminators together."""

    def __init__(
        self,
        periods: tuple[int, ...] = (2, 3, 5, 7, 11),
        period_channels: tuple[int, ...] = (32, 128, 256, 512),
        windows: tuple[int, ...] = (256, 512, 1024),
        window_channels: int = 32,
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(
            [PeriodDiscriminator(period, period_channels) for period in periods]
            + [SpectrogramDiscriminator(window, window_channels) for window in windows]
        )

    def forward(self, samples: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Judge samples [B, T]; returns one score tensor and one feature list a member."""
        scores, features = [], []
        for member in self.members:
            score, feature = member(samples)
            scores.append(score)
            features.append(feature)
        return scores, features
