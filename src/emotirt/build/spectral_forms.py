"""Other ways to compute the spectral vocoder with the same weights and, within rounding, the same samples.

Which of them is fast depends on the compiler that gets the graph, so they are forms of the export and not of the
network. What each is expected to do is in docs/experiments.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from emotirt.build.cosines import compute_inverse_transform
from emotirt.build.export import checked_bytes, export_module
from emotirt.bundle.contract import VOCODER, stage_contract
from emotirt.bundle.store import Bundle
from emotirt.errors import BuildError
from emotirt.models.spectral import (
    LARGEST_LOG_MAGNITUDE,
    LEAST_MAGNITUDE,
    MEL_CENTER,
    MEL_SPREAD,
    SpectralBlock,
    SpectralGenerator,
)
from emotirt.runtime.eager import module_from_bundle

POINTWISE = ("matmul", "conv")
DEPTHWISE = ("conv", "shifts")
OVERLAP = ("add", "transposed", "phases")


@dataclass(frozen=True, slots=True)
class SpectralForm:
    """How to compute a spectral vocoder.

    Attributes:
        pointwise: the linear layers of a block as ``matmul`` on [B, T, C], or as ``conv`` of one tap on [B, C, T].
        depthwise: the convolution of each channel by itself as ``conv``, between two transpositions, or as ``shifts``:
            one product a tap, added up on [B, T, C].
        overlap: the inverse transform as one matrix product whose frames are padded and added (``add``), as one
            ``transposed`` convolution that adds them itself, or as ``phases``: that convolution as a plain one with
            one output channel for each sample of a hop, whose accumulator does the adding.
    """

    pointwise: str = "matmul"
    depthwise: str = "conv"
    overlap: str = "add"

    def __post_init__(self) -> None:
        for name, known in (("pointwise", POINTWISE), ("depthwise", DEPTHWISE), ("overlap", OVERLAP)):
            if getattr(self, name) not in known:
                raise BuildError(f"form {name} {getattr(self, name)!r} is not known; give one of {', '.join(known)}")


class FormedGenerator(nn.Module):
    """A spectral vocoder computed in a given form; shares the generator's weights."""

    def __init__(self, generator: SpectralGenerator, form: SpectralForm) -> None:
        """Wrap ``generator``.

        Raises: BuildError: its transform is not a whole number of hops, which ``phases`` needs.
        """
        super().__init__()
        self.generator = generator
        self.form = form
        if form.overlap == "phases" and generator.fft_samples % generator.hop_samples:
            raise BuildError(
                f"form 'phases' needs a transform of whole hops; {generator.fft_samples} samples are no multiple of "
                f"{generator.hop_samples}"
            )

    def forward(self, mel: Tensor) -> Tensor:
        """Generate; as ``SpectralGenerator.forward``."""
        own = self.generator
        x = own.norm(own.first((mel - MEL_CENTER) / MEL_SPREAD).transpose(1, 2))
        for block in own.blocks:
            assert isinstance(block, SpectralBlock)
            x = self._block(block, x)
        spectrum = self._spectrum(own.head(own.last(x)), mel)
        if self.form.overlap == "add":
            basis, window = own._basis(mel.device)
            frames = torch.matmul(spectrum, basis * window)
            weight = torch.ones_like(mel[:1, :1]).transpose(1, 2) * window.square()
            return own._overlapped(frames) / own._overlapped(weight)
        return self._joined(spectrum.transpose(1, 2), mel)

    def _block(self, block: SpectralBlock, x: Tensor) -> Tensor:
        if self.form.depthwise == "shifts":
            y = _shifted(x, block.depthwise)
        else:
            y = block.depthwise(x.transpose(1, 2)).transpose(1, 2)
        y = block.norm(y)
        if self.form.pointwise == "matmul":
            return x + block.scale * block.contract(functional.gelu(block.expand(y)))
        wide = functional.conv1d(y.transpose(1, 2), block.expand.weight.unsqueeze(2), block.expand.bias)
        scaled = block.contract.weight * block.scale.unsqueeze(1)
        narrow = functional.conv1d(functional.gelu(wide), scaled.unsqueeze(2), block.contract.bias * block.scale)
        return x + narrow.transpose(1, 2)

    def _spectrum(self, parts: Tensor, mel: Tensor) -> Tensor:
        """Return real and imaginary parts [B, T, 2 * bins], as ``SpectralGenerator._wave`` computes them."""
        own = self.generator
        detail, phase = parts.split(own.bins, dim=2)
        coarse = torch.log(torch.matmul(own.mel_inverse, mel.exp()).clamp(min=LEAST_MAGNITUDE)).transpose(1, 2)
        magnitude = torch.exp((detail + coarse).clamp(max=LARGEST_LOG_MAGNITUDE))
        return torch.cat((magnitude * torch.cos(phase), magnitude * torch.sin(phase)), dim=2)

    def _joined(self, spectrum: Tensor, mel: Tensor) -> Tensor:
        """Turn spectra [B, 2 * bins, T] into samples, overlap and inverse transform in one convolution."""
        own = self.generator
        basis, window = own._basis(mel.device)
        weight = window.square().reshape(1, 1, -1)
        ones = torch.ones_like(mel[:1, :1])
        if self.form.overlap == "transposed":
            wave = functional.conv_transpose1d(spectrum, (basis * window).unsqueeze(1), stride=own.hop_samples)
            level = functional.conv_transpose1d(ones, weight, stride=own.hop_samples)
        else:
            wave = _phased(spectrum, (basis * window).unsqueeze(1), own.hop_samples)
            level = _phased(ones, weight, own.hop_samples)
        edge = (own.fft_samples - own.hop_samples) // 2
        return (wave / level)[:, 0, edge:-edge]


def export_form(bundle: Bundle, form: SpectralForm) -> bytes:
    """Export the spectral vocoder of a bundle in another form, its weights in float32.

    Raises:
        BuildError: the bundle's vocoder is another one, or the form does not fit it.
        BackendError, BundleError: its weights cannot be read.
    """
    generator = module_from_bundle(bundle, VOCODER)
    if not isinstance(generator, SpectralGenerator):
        raise BuildError(
            f"the vocoder of bundle {bundle.manifest.name!r} is a {type(generator).__name__}; forms are for the "
            "spectral one, rewrites of graphs for the other"
        )
    model = export_module(
        FormedGenerator(generator, form), stage_contract(VOCODER, bundle.manifest.dimensions), VOCODER
    )
    if form.overlap == "add":
        compute_inverse_transform(model.graph, generator.fft_samples)
    return checked_bytes(model, VOCODER)


def _shifted(x: Tensor, conv: nn.Conv1d) -> Tensor:
    """Convolve every channel of ``x`` [B, T, C] by itself, without a transposition."""
    taps = conv.weight.shape[2]
    padded = functional.pad(x, (0, 0, taps // 2, taps // 2))
    count = x.shape[1]
    products = [padded[:, tap : tap + count] * conv.weight[:, 0, tap] for tap in range(taps)]
    total = products[0] if conv.bias is None else products[0] + conv.bias
    return sum(products[1:], total)


def _phased(x: Tensor, weight: Tensor, hop: int) -> Tensor:
    """Compute a transposed convolution of stride ``hop``, weight [in, 1, hop * taps], as a plain one.

    Sample q * hop + r of the result hears frame q - a with tap a * hop + r.
    """
    taps = math.ceil(weight.shape[2] / hop)
    kernel = weight.reshape(weight.shape[0], taps, hop).permute(2, 0, 1).flip(2)
    return functional.conv1d(x, kernel, padding=taps - 1).transpose(1, 2).flatten(1).unsqueeze(1)
