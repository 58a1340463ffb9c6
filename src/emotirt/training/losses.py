"""Losses of the acoustic model and of the vocoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from emotirt.audio.mel import mel_filterbank


def masked_l1(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute error of [B, T, C] over real positions of ``mask`` [B, T]."""
    return ((predicted - target).abs().mean(dim=2) * mask).sum() / mask.sum()


def masked_mse(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error of [B, N] over real positions."""
    return ((predicted - target).square() * mask).sum() / mask.sum()


class MarginClassifier(nn.Module):
    """Cosine classifier with an additive angular margin (Deng et al. 2019, arXiv 1801.07698)."""

    def __init__(self, dimension: int, classes: int, scale: float = 24.0, margin: float = 0.2) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, dimension) * 0.1)
        self.scale, self.margin = scale, margin

    def forward(self, vectors: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss and the accuracy without margin; vectors [B, D] of unit norm, labels int64 [B]."""
        cosine = (vectors.float() @ functional.normalize(self.weight, dim=1).T).clamp(-0.9999, 0.9999)
        angle = torch.acos(cosine) + self.margin * functional.one_hot(labels, cosine.shape[1])
        accuracy = (cosine.argmax(dim=1) == labels).float().mean()
        return functional.cross_entropy(self.scale * torch.cos(angle), labels), accuracy


class MultiScaleMelLoss(nn.Module):
    """L1 of log-mels at several resolutions, averaged; natural logarithm.

    Source: multi-scale mel loss of Kumar et al. 2023 (arXiv 2306.06546), section 3.3, with fewer scales.
    """

    def __init__(
        self, sample_rate_hz: int, scales: Sequence[tuple[int, int]] = ((512, 40), (1024, 80), (2048, 120))
    ) -> None:
        super().__init__()
        self.scales = tuple(scales)
        for window, mels in self.scales:
            bank = torch.as_tensor(mel_filterbank(sample_rate_hz, window, mels, 0.0, sample_rate_hz / 2)).float()
            self.register_buffer(f"bank_{window}", bank)
            self.register_buffer(f"window_{window}", torch.hann_window(window))

    def _log_mel(self, samples: Tensor, window: int) -> Tensor:
        spectrum = torch.stft(
            samples, window, window // 4, window, getattr(self, f"window_{window}"), center=True, return_complex=True
        )
        magnitude = torch.sqrt(spectrum.real.square() + spectrum.imag.square() + 1e-9)
        return torch.log(torch.matmul(getattr(self, f"bank_{window}"), magnitude).clamp(min=1e-5))

    def forward(self, generated: Tensor, real: Tensor) -> Tensor:
        """Compare samples [B, T]."""
        total = generated.new_zeros(())
        for window, _ in self.scales:
            total = total + functional.l1_loss(self._log_mel(generated, window), self._log_mel(real, window))
        return total / len(self.scales)


class SpectrumLoss(nn.Module):
    """Log-magnitude L1 and spectral convergence at several resolutions, averaged.

    Source: multi-resolution STFT loss of Yamamoto et al. 2020 (arXiv 1910.11480), section 2.2; its resolutions follow
    the analysis here. The logarithm is softened by ``LEAST``, so that silence weighs little.
    """

    LEAST = 3e-3

    def __init__(self, windows: Sequence[int] = (512, 1024, 2048)) -> None:
        super().__init__()
        self.windows = tuple(windows)
        for window in self.windows:
            self.register_buffer(f"window_{window}", torch.hann_window(window))

    def _magnitude(self, samples: Tensor, window: int) -> Tensor:
        hann = getattr(self, f"window_{window}")
        spectrum = torch.stft(samples, window, window // 4, window, hann, return_complex=True)
        return torch.sqrt(spectrum.real.square() + spectrum.imag.square() + 1e-8)

    def forward(self, generated: Tensor, real: Tensor) -> Tensor:
        """Compare samples [B, T]."""
        total = generated.new_zeros(())
        for window in self.windows:
            ours, theirs = self._magnitude(generated, window), self._magnitude(real, window)
            logs = functional.l1_loss(torch.log(ours + self.LEAST), torch.log(theirs + self.LEAST))
            total = total + logs + torch.linalg.vector_norm(ours - theirs) / torch.linalg.vector_norm(theirs)
        return total / len(self.windows)


class ResidualExcess:
    """Collects what a generator's blocks add up, and tells how far it goes beyond a limit.

    A residual stream that explodes at single frames makes the layer norms behind it ill-conditioned: rounding a mel
    then turns the phase of a whole frame, and half precision loses 20 dB there (``docs/experiments.md``).
    """

    def __init__(self, generator: nn.Module, limit: float) -> None:
        self.limit = limit
        self._streams: list[Tensor] = []
        for block in getattr(generator, "blocks", ()):
            block.register_forward_hook(self._collect)

    def take(self) -> Tensor:
        """Return the mean square beyond the limit over the blocks that ran since the last call, and forget them."""
        streams, self._streams = self._streams, []
        return torch.stack([functional.relu(x.float().abs() - self.limit).square().mean() for x in streams]).mean()

    def _collect(self, _block: nn.Module, _inputs: tuple[Tensor, ...], stream: Tensor) -> None:
        if torch.is_grad_enabled():  # nothing is learned from an evaluation
            self._streams.append(stream)


def discriminator_loss(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Least-squares GAN loss of the discriminators (Mao et al. 2017, arXiv 1611.04076)."""
    losses = [(1.0 - r.float()).square().mean() + f.float().square().mean() for r, f in zip(real, fake, strict=True)]
    return torch.stack(losses).sum()


def generator_loss(fake: Sequence[Tensor]) -> Tensor:
    """Least-squares GAN loss of the generator."""
    return torch.stack([(1.0 - f.float()).square().mean() for f in fake]).sum()


def feature_loss(real: Sequence[Sequence[Tensor]], fake: Sequence[Sequence[Tensor]]) -> Tensor:
    """L1 between discriminator features of real and generated audio, summed over layers."""
    return torch.stack(
        [
            (r.detach() - f).abs().float().mean()
            for rs, fs in zip(real, fake, strict=True)
            for r, f in zip(rs, fs, strict=True)
        ]
    ).sum()
