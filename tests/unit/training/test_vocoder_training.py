"""Training the vocoder: the other memory layout computes the same, a run goes on where it stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from emotirt.models.checkpoint import load_weights, read_checkpoint
from emotirt.models.config import ModelConfig, SpectralConfig, VocoderConfig
from emotirt.models.spectral import SpectralGenerator
from emotirt.models.vocoder import Generator, build_vocoder
from emotirt.training.discriminators import Discriminators
from emotirt.training.features import DeviceData
from emotirt.training.journal import Journal
from emotirt.training.losses import ResidualExcess
from emotirt.training.vocoder import VocoderTrainer, VocoderTraining
from emotirt.training.wide_generator import generate_channels_last

TINY = ModelConfig(vocoder=VocoderConfig(channels=16, resblock_kernels=(3,), resblock_dilations=(1,)))
CONFIG = VocoderTraining(batch=2, segment_frames=16, warm_steps=1, report_every=1, max_steps=2)
SMALL = {"periods": (2,), "period_channels": (4, 8), "windows": (256,), "window_channels": 4}


def trainer_of(data: DeviceData, config: VocoderTraining) -> VocoderTrainer:
    trainer = VocoderTrainer(data, TINY, config)
    trainer.discriminators = Discriminators(**SMALL)  # type: ignore[arg-type]
    trainer.discriminator_optimizer = trainer._optimizer(trainer.discriminators)
    return trainer


def test_channels_last_computes_what_the_generator_computes() -> None:
    torch.manual_seed(0)
    generator = Generator(VocoderConfig(channels=32))
    for weight in generator.parameters():
        weight.data.mul_(4.0) if weight.dim() > 1 else None
    mel = torch.randn(2, 80, 12)
    plain, wide = generator(mel), generate_channels_last(generator, mel)
    assert plain.abs().max() > 1e-3
    torch.testing.assert_close(wide, plain, rtol=1e-4, atol=1e-6)


def test_a_run_saves_goes_on_and_takes_predicted_mels(spoken_data: DeviceData, tmp_path: Path) -> None:
    first = trainer_of(spoken_data, CONFIG)
    with Journal(tmp_path, "vocoder") as journal:
        first.train(journal, tmp_path)
    kept = read_checkpoint(tmp_path / "vocoder.pt")
    assert kept["step"] == 2
    second = trainer_of(spoken_data, replace(CONFIG, max_steps=4))
    second.resume(tmp_path / "vocoder_resume.pt", restart_schedule=False)
    for name, value in first.generator.state_dict().items():
        torch.testing.assert_close(second.generator.state_dict()[name], value, rtol=1e-2, atol=1e-3)
    known = np.arange(len(spoken_data.clips)) % 2 == 0
    given: list[int] = []

    def awaited() -> tuple[torch.Tensor, np.ndarray] | None:
        given.append(1)
        return torch.zeros_like(spoken_data.mels), known

    second.step = 50  # a step at which it looks
    second.config = replace(second.config, max_steps=51)
    second.awaited = awaited
    with Journal(tmp_path, "vocoder") as journal:
        second.train(journal, tmp_path)
    assert given == [1]
    assert set(second.train_clips) <= set(np.flatnonzero(known))
    lines = [json.loads(line) for line in (tmp_path / "vocoder.jsonl").read_text().splitlines()]
    assert any("discriminator" in line for line in lines)


def test_training_lowers_the_mel_loss(spoken_data: DeviceData, tmp_path: Path) -> None:
    trainer = trainer_of(
        spoken_data, replace(CONFIG, batch=4, warm_steps=100, max_steps=40, learning_rate=8e-3, max_seconds=1e6)
    )
    before = trainer.evaluate()
    with Journal(tmp_path, "vocoder") as journal:
        trainer.train(journal, tmp_path)
    assert trainer.evaluate() < 0.8 * before


def test_a_diverged_run_stops(spoken_data: DeviceData, tmp_path: Path) -> None:
    from emotirt.errors import TrainingError

    trainer = trainer_of(spoken_data, CONFIG)
    with torch.no_grad():
        trainer.generator.first.parametrizations.weight.original1.fill_(float("nan"))
    with pytest.raises(TrainingError, match="diverged"), Journal(tmp_path, "vocoder") as journal:
        trainer.train(journal, tmp_path)


def test_a_spectral_vocoder_learns_from_its_spectra_and_is_read_again(spoken_data: DeviceData, tmp_path: Path) -> None:
    model = replace(TINY, vocoder=SpectralConfig(channels=24, blocks=2, expansion=2))
    config = replace(
        CONFIG, batch=4, warm_steps=100, max_steps=40, learning_rate=8e-3, max_seconds=1e6, spectrum_weight=45.0
    )
    trainer = VocoderTrainer(spoken_data, model, config)
    before = trainer.evaluate()
    with Journal(tmp_path, "vocoder") as journal:
        trainer.train(journal, tmp_path)
    assert trainer.evaluate() < 0.9 * before
    kept = read_checkpoint(tmp_path / "vocoder.pt")
    restored = build_vocoder(ModelConfig.from_dict(kept["config"]))
    load_weights(restored, kept["weights"]["vocoder"], "vocoder")
    assert isinstance(restored, SpectralGenerator)


def test_noise_is_put_on_the_mels_and_on_nothing_else(spoken_data: DeviceData) -> None:
    picks = trainer_of(spoken_data, CONFIG).train_clips[:2]
    (plain, real), (noisy, same) = (
        trainer_of(spoken_data, replace(CONFIG, mel_noise=noise))._batch(picks, np.random.default_rng(0))
        for noise in (0.0, 0.1)
    )
    torch.testing.assert_close(same, real, rtol=0, atol=0)
    assert abs(float((noisy - plain).std()) - 0.1) < 0.01


def test_excess_counts_what_goes_beyond_the_limit_in_training_only() -> None:
    generator = build_vocoder(ModelConfig(vocoder=SpectralConfig(channels=16, blocks=2)))
    excess, mels = ResidualExcess(generator, limit=0.0), torch.randn(1, 80, 8)
    with torch.no_grad():
        generator(mels)
    generator(mels)
    assert len(excess._streams) == 2
    assert excess.take().item() > 0.0
    tolerant = ResidualExcess(generator, limit=1e6)
    generator(mels)
    assert tolerant.take().item() == 0.0
