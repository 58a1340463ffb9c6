"""The generator's receptive field, derived and confirmed, and the folding of its weight normalization."""

from __future__ import annotations

import pytest
import torch
from tests.assets.make_tiny_bundle import tiny_networks

from emotirt.models.config import VocoderConfig
from emotirt.models.vocoder import Generator, context_frames, without_weight_norm

V1 = VocoderConfig(channels=16)
"""The published V1 but for its width, which no receptive field depends on."""


@pytest.fixture(scope="module")
def far_sighted() -> Generator:
    """A generator of V1's shape in float64 whose convolutions use their outermost taps only, all positive.

    Influence then neither cancels nor drowns: through equal taps the farthest frame counts for 1e-25 of the nearest.
    """
    generator = without_weight_norm(Generator(V1)).double()
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            parameter.zero_()
            if name.endswith("weight"):
                parameter[:, :, 0] = parameter[:, :, -1] = 0.5 / parameter.shape[0 if "upsamplers" in name else 1]
    return generator


def crops_differ(generator: Generator, context: int) -> float:
    """How far a block vocoded with ``context`` frames around it is from the same block of the whole."""
    mel = torch.rand(1, V1.n_mels, 60, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole = generator(mel)
        window = generator(mel[:, :, 28 - context : 31 + context])
    block = whole[:, 28 * 256 : 31 * 256]
    return float((window[:, context * 256 : (context + 3) * 256] - block).abs().max() / whole.abs().max())


def test_v1_needs_13_frames() -> None:
    assert context_frames(VocoderConfig(channels=512)) == context_frames(V1) == 13


def test_13_frames_are_enough_and_12_are_not(far_sighted: Generator) -> None:
    assert crops_differ(far_sighted, 13) < 1e-14
    assert crops_differ(far_sighted, 12) > 1e-12


@pytest.mark.parametrize(
    "config",
    [
        V1,
        VocoderConfig(channels=16, resblock_kernels=(3,), resblock_dilations=(1, 2)),
        VocoderConfig(channels=8, upsample_rates=(8, 8, 4), upsample_kernels=(16, 16, 8)),
        VocoderConfig(channels=8, upsample_rates=(4, 4), upsample_kernels=(8, 8), resblock_kernels=(3, 5)),
    ],
)
def test_context_is_the_reach_of_the_gradient(config: VocoderConfig) -> None:
    generator = without_weight_norm(Generator(config)).double()
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.fill_(1e-2)
    mel = torch.ones(1, config.n_mels, 81, dtype=torch.float64, requires_grad=True)
    wav = generator(mel)
    hop = wav.shape[1] // 81
    wav[0, 40 * hop : 41 * hop].sum().backward()
    assert mel.grad is not None
    reached = mel.grad.abs().sum(dim=(0, 1)).nonzero().squeeze(1)
    assert max(40 - int(reached.min()), int(reached.max()) - 40) == context_frames(config)


def test_folding_weight_norm_changes_nothing() -> None:
    normed, plain = tiny_networks().vocoder, without_weight_norm(tiny_networks().vocoder)
    assert any("parametrizations" in name for name in normed.state_dict())
    assert not any("parametrizations" in name for name in plain.state_dict())
    mel = torch.randn(2, 80, 20, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(plain(mel), normed(mel), rtol=0, atol=1e-6)
    without_weight_norm(plain)  # once more is harmless


def test_output_is_one_hop_a_frame_within_full_scale() -> None:
    generator = tiny_networks().vocoder
    with torch.no_grad():
        wav = generator(100 * torch.randn(3, 80, 5, generator=torch.Generator().manual_seed(3)))
    assert wav.shape == (3, 5 * 256)
    assert wav.abs().max() <= 1.0
