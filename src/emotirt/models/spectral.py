"""A vocoder that computes spectra, not samples: a log-mel to magnitudes and phases, then the inverse transform.

All its layers run at the frame rate, hundreds of times slower than samples, so that it costs a small part of a
HiFi-GAN. The shape follows Vocos (Siuzdak 2023, arXiv 2306.00814): ConvNeXt blocks, a head with log-magnitude and
phase, overlap-add. The magnitudes start from the pseudo-inverse of the mel filters, as in FreeV (Lv et al. 2024,
arXiv 2406.08196), and the network learns only what the filters lost. Graphs need no complex numbers and no transposed
convolution: the inverse transform is one matrix product whose cosines the graph computes from ranges.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from emotirt.audio.mel import MelConfig, mel_filterbank
from emotirt.models.config import SpectralConfig

MEL_CENTER = -4.5
MEL_SPREAD = 2.5
"""What log-mels are centred and divided by before the first convolution."""
FIRST_KERNEL = 7
LEAST_MAGNITUDE = 1e-4
LARGEST_LOG_MAGNITUDE = 6.0
"""Full-scale sines reach 5.5 in a Hann window of 1024 samples."""


class SpectralBlock(nn.Module):
    """ConvNeXt block (Liu et al. 2022, arXiv 2201.03545): depthwise convolution, norm, two linear layers, residual."""

    def __init__(self, config: SpectralConfig) -> None:
        super().__init__()
        width = config.channels
        self.depthwise = nn.Conv1d(width, width, config.kernel, padding=config.kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, config.expansion * width)
        self.contract = nn.Linear(config.expansion * width, width)
        self.scale = nn.Parameter(torch.full((width,), 1.0 / config.blocks))

    def forward(self, x: Tensor) -> Tensor:
        """Transform ``x`` [B, T, C]."""
        y = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        return x + self.scale * self.contract(functional.gelu(self.expand(self.norm(y))))


class SpectralGenerator(nn.Module):
    """Stage ``vocoder``: a log-mel to a waveform through its short-time spectrum."""

    mel_inverse: Tensor

    def __init__(self, config: SpectralConfig, mel: MelConfig) -> None:
        super().__init__()
        self.fft_samples, self.hop_samples = mel.fft_samples, mel.hop_samples
        self.bins = mel.fft_samples // 2 + 1
        self.first = nn.Conv1d(mel.n_mels, config.channels, FIRST_KERNEL, padding=FIRST_KERNEL // 2)
        self.norm = nn.LayerNorm(config.channels)
        self.blocks = nn.ModuleList(SpectralBlock(config) for _ in range(config.blocks))
        self.last = nn.LayerNorm(config.channels)
        self.head = nn.Linear(config.channels, 2 * self.bins)
        with torch.no_grad():
            self.head.weight.mul_(0.3)
        bank = mel_filterbank(mel.sample_rate_hz, mel.fft_samples, mel.n_mels, mel.low_hz, mel.high_hz)
        inverse = np.linalg.pinv(np.asarray(bank, dtype=np.float64)).astype(np.float32)
        self.register_buffer("mel_inverse", torch.from_numpy(inverse))

    def forward(self, mel: Tensor) -> Tensor:
        """Generate.

        Args: mel: float32 [B, n_mels, T].
        Returns: wav float32 [B, hop * T], nominally in [-1, 1].
        """
        x = self.norm(self.first((mel - MEL_CENTER) / MEL_SPREAD).transpose(1, 2))
        for block in self.blocks:
            x = block(x)
        with torch.autocast(mel.device.type, enabled=False):  # half precision would drown the treble in its rounding
            return self._wave(self.head(self.last(x.float())), mel.float())

    def _wave(self, spectrum_parts: Tensor, mel: Tensor) -> Tensor:
        """Turn log-magnitude details and phases [B, T, 2 * bins] and the mel they belong to into samples."""
        detail, phase = spectrum_parts.split(self.bins, dim=2)
        coarse = torch.log(torch.matmul(self.mel_inverse, mel.exp()).clamp(min=LEAST_MAGNITUDE)).transpose(1, 2)
        magnitude = torch.exp((detail + coarse).clamp(max=LARGEST_LOG_MAGNITUDE))
        spectrum = torch.cat((magnitude * torch.cos(phase), magnitude * torch.sin(phase)), dim=2)
        basis, window = self._basis(mel.device)
        frames = torch.matmul(spectrum, basis * window)
        weight = torch.ones_like(mel[:, :1]).transpose(1, 2) * window.square()
        return self._overlapped(frames) / self._overlapped(weight)

    def _basis(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the inverse real transform [2 * bins, fft] of real and imaginary parts, and the Hann window [fft].

        The products of bin and sample are whole numbers below 2**24, exact in float32; whole turns are taken off before
        the cosine, so that no precision is lost to large angles.
        """
        size = self.fft_samples
        bins = torch.arange(self.bins, device=device, dtype=torch.float32).unsqueeze(1)
        samples = torch.arange(size, device=device, dtype=torch.float32).unsqueeze(0)
        turns = bins * samples
        angles = (turns - size * torch.floor(turns / size)) * (2.0 * math.pi / size)
        inner = (bins > 0.0).float() * (bins < size / 2).float()
        gain = (1.0 + inner) / size
        basis = torch.cat((gain * torch.cos(angles), -gain * torch.sin(angles)), dim=0)
        return basis, 0.5 - 0.5 * torch.cos(samples * (2.0 * math.pi / size))

    def _overlapped(self, frames: Tensor) -> Tensor:
        """Add frames [B, T, fft] at distances of one hop and cut both edges; returns [B, hop * T]."""
        parts = frames.split(self.hop_samples, dim=2)
        last = len(parts) - 1
        padded = [functional.pad(part, (0, 0, index, last - index)) for index, part in enumerate(parts)]
        edge = (self.fft_samples - self.hop_samples) // 2
        return sum(padded[1:], padded[0]).flatten(1)[:, edge:-edge]


def spectral_context_frames(config: SpectralConfig, mel: MelConfig) -> int:
    """Derive how many mel frames on each side influence one frame of audio: convolutions, then overlapping windows."""
    edge_samples = (mel.fft_samples - mel.hop_samples) // 2
    return FIRST_KERNEL // 2 + config.blocks * (config.kernel // 2) + math.ceil(edge_samples / mel.hop_samples)
