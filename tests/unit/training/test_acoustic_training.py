"""Training the acoustic model: it learns, saves what build reads, goes on, and refuses another pack's checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.unit.training.conftest import Spoken, true_targets

from emotirt.errors import TrainingError
from emotirt.models.checkpoint import build_networks, load_weights, read_checkpoint
from emotirt.models.config import AcousticConfig, BlockConfig, ModelConfig, ReferenceConfig
from emotirt.text.symbols import DEFAULT_TABLE
from emotirt.training.acoustic import AcousticTrainer, AcousticTraining, TokenTargets
from emotirt.training.features import DeviceData
from emotirt.training.journal import Journal

BLOCK = BlockConfig(hidden=32, heads=2, filter=48, blocks=1)
TINY = ModelConfig(
    acoustic=AcousticConfig(symbols=DEFAULT_TABLE.symbols, encoder=BLOCK, decoder=BLOCK),
    reference=ReferenceConfig(channels=32, blocks=1),
)
CONFIG = AcousticTraining(
    frames_per_batch=600, extra_references=4, report_every=5, max_steps=40, learning_rate=5e-3, max_seconds=1e6
)


@pytest.fixture(scope="module")
def targets(spoken_data: DeviceData, recordings: list[Spoken]) -> TokenTargets:
    return true_targets(spoken_data, recordings)


def test_it_learns_and_leaves_what_build_reads(spoken_data: DeviceData, targets: TokenTargets, tmp_path: Path) -> None:
    trainer = AcousticTrainer(spoken_data, targets, TINY, CONFIG)
    before = trainer.evaluate()
    with Journal(tmp_path, "acoustic") as journal:
        trainer.train(journal, tmp_path)
    after = trainer.evaluate()
    assert after["mel"] < 0.8 * before["mel"]
    kept = read_checkpoint(tmp_path / "acoustic.pt")
    networks = build_networks(TINY)
    load_weights(networks.acoustic, kept["weights"]["acoustic"], "acoustic model")
    load_weights(networks.reference, kept["weights"]["reference"], "reference encoder")
    assert kept["step"] == 40


def test_a_run_goes_on_where_it_stopped(spoken_data: DeviceData, targets: TokenTargets, tmp_path: Path) -> None:
    first = AcousticTrainer(spoken_data, targets, TINY, replace(CONFIG, max_steps=3))
    with Journal(tmp_path, "acoustic") as journal:
        first.train(journal, tmp_path)
    second = AcousticTrainer(spoken_data, targets, TINY, replace(CONFIG, max_steps=5))
    second.resume(tmp_path / "acoustic_resume.pt", restart_schedule=False)
    assert second.step == 3
    for name, value in first.modules.state_dict().items():
        torch.testing.assert_close(second.modules.state_dict()[name], value, rtol=1e-2, atol=1e-3)
    with Journal(tmp_path, "acoustic") as journal:
        second.train(journal, tmp_path)
    assert second.step == 5


def test_a_checkpoint_of_other_speakers_is_refused(
    spoken_data: DeviceData, targets: TokenTargets, tmp_path: Path
) -> None:
    trainer = AcousticTrainer(spoken_data, targets, TINY, CONFIG)
    trainer.save(tmp_path)
    trainer.speakers = ["someone else"]
    with pytest.raises(TrainingError, match="other speakers"):
        trainer.resume(tmp_path / "acoustic_resume.pt", restart_schedule=False)
