"""The recognizer network: what pitch looks like to it, and that padding and batch-mates change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emotirt.audio.mel import magnitude_spectrogram
from emotirt.training.recognizer import TINY
from emotirt.training.recognizer_network import (
    PITCH_BINS_PER_OCTAVE,
    PITCH_LOWEST_HZ,
    Recognizer,
    RecognizerConfig,
)


@pytest.fixture(scope="module")
def network() -> Recognizer:
    torch.manual_seed(0)
    return Recognizer(TINY).eval()


@pytest.mark.parametrize("fundamental_hz", [90.0, 140.0, 220.0, 400.0])
def test_the_pitch_spectrum_peaks_at_the_fundamental(network: Recognizer, fundamental_hz: float) -> None:
    times_s = np.arange(8000) / 16_000
    tones = [np.cos(2 * np.pi * fundamental_hz * harmonic * times_s) / harmonic for harmonic in range(1, 9)]
    magnitude = torch.from_numpy(magnitude_spectrogram((0.1 * np.sum(tones, axis=0)).astype(np.float32)))[None]
    features = network.features(magnitude, torch.ones(1, magnitude.shape[1]))
    best = float(features[0, 15, 80:].argmax())
    found_hz = PITCH_LOWEST_HZ * 2.0 ** (best / PITCH_BINS_PER_OCTAVE)
    assert abs(12 * np.log2(found_hz / fundamental_hz)) < 0.5


def test_features_do_not_depend_on_the_level(network: Recognizer) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    ones = torch.ones(1, 31)
    loud, soft = (
        network.features(torch.from_numpy(magnitude_spectrogram(samples * gain))[None], ones) for gain in (1, 0.25)
    )
    assert torch.allclose(loud, soft, atol=2e-3)


@pytest.mark.parametrize("frames", [7, 20, 33])
def test_batch_mates_and_padding_change_nothing(network: Recognizer, frames: int) -> None:
    magnitude = torch.rand(2, 40, 513, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        together = network(magnitude, torch.tensor([40, frames]))[1, : (frames + 1) // 2]
        alone = network(magnitude[1:, :frames], torch.tensor([frames]))[0]
    assert torch.allclose(together, alone, atol=1e-4)


def test_the_configuration_survives_a_round_trip() -> None:
    config = RecognizerConfig(layers=5, conditioned_layers=(2, 4))
    assert RecognizerConfig.from_dict(config.to_dict()) == config
