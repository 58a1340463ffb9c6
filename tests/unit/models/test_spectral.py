"""The spectral vocoder: its inverse transform is exact, its context is what it says, it exports and is configurable."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emotirt.audio.mel import DEFAULT_MEL
from emotirt.errors import ManifestInvalid
from emotirt.models.config import ModelConfig, SpectralConfig, VocoderConfig
from emotirt.models.spectral import SpectralGenerator, spectral_context_frames
from emotirt.models.vocoder import Generator, build_vocoder, vocoder_context_frames

TINY = SpectralConfig(channels=24, blocks=2, kernel=5, expansion=2)


@pytest.fixture
def generator() -> SpectralGenerator:
    torch.manual_seed(0)
    return SpectralGenerator(TINY, DEFAULT_MEL).eval()


def test_the_inverse_transform_gives_back_the_samples(generator: SpectralGenerator) -> None:
    samples = torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, 40 * 256)).float()
    edge = (1024 - 256) // 2
    padded = torch.nn.functional.pad(samples, (edge, edge))
    basis, window = generator._basis(samples.device)
    frames = padded.unfold(0, 1024, 256)
    spectrum = torch.fft.rfft(frames * window)
    parts = torch.cat((spectrum.real, spectrum.imag), dim=1).unsqueeze(0)
    weight = torch.ones(1, len(frames), 1) * window.square()
    again = generator._overlapped(parts @ (basis * window)) / generator._overlapped(weight)
    torch.testing.assert_close(again[0], samples, rtol=0, atol=2e-6)


def test_one_frame_of_audio_depends_on_the_frames_it_says_and_no_others(generator: SpectralGenerator) -> None:
    mel = (torch.randn(1, 80, 61) - 4.0).requires_grad_()
    generator(mel)[0, 30 * 256 : 31 * 256].square().sum().backward()
    assert mel.grad is not None
    reached = np.flatnonzero(mel.grad[0].abs().sum(dim=0).numpy())
    context = spectral_context_frames(TINY, DEFAULT_MEL)
    assert (30 - reached.min(), reached.max() - 30) == (context, context)
    assert vocoder_context_frames(ModelConfig(vocoder=TINY)) == context


def test_a_window_with_context_equals_the_whole(generator: SpectralGenerator) -> None:
    mel, context = torch.randn(1, 80, 90) - 4.0, spectral_context_frames(TINY, DEFAULT_MEL)
    with torch.no_grad():
        whole, window = generator(mel), generator(mel[:, :, 40 - context : 50 + context])
        head = generator(mel[:, :, : 20 + context])
    torch.testing.assert_close(window[:, context * 256 : (context + 10) * 256], whole[:, 40 * 256 : 50 * 256])
    torch.testing.assert_close(head[:, : 20 * 256], whole[:, : 20 * 256])


@pytest.mark.parametrize("frames", [1, 2, 3, 50])
def test_any_length_gives_one_hop_a_frame(generator: SpectralGenerator, frames: int) -> None:
    with torch.no_grad():
        wave = generator(torch.randn(2, 80, frames) - 4.0)
    assert wave.shape == (2, 256 * frames)
    assert torch.isfinite(wave).all()


def test_the_configuration_says_which_vocoder() -> None:
    config = ModelConfig(vocoder=TINY)
    assert ModelConfig.from_dict(config.to_dict()) == config
    assert isinstance(build_vocoder(config), SpectralGenerator)
    assert isinstance(build_vocoder(ModelConfig(vocoder=VocoderConfig(channels=16))), Generator)
    with pytest.raises(ManifestInvalid, match="known: hifigan, spectral"):
        ModelConfig.from_dict({"vocoder": {"kind": "wavenet"}})
    with pytest.raises(ManifestInvalid, match="channles"):
        ModelConfig.from_dict({"vocoder": {"kind": "spectral", "channles": 3}})
