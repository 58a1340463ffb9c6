"""Speaker and emotion kept apart, and feeling put on voices that never acted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.unit.training.conftest import Spoken, true_targets
from tests.unit.training.test_acoustic_training import CONFIG, TINY
from torch.nn import functional

from emotirt.audio.mel import DEFAULT_MEL, log_mel
from emotirt.errors import TrainingError
from emotirt.models.config import ReferenceConfig
from emotirt.models.reference import ReferenceEncoder
from emotirt.training.acoustic import AcousticTrainer
from emotirt.training.corpus import Pack, load_pack
from emotirt.training.disentangle import DISENTANGLED, Adversary, across_speakers, heard_again
from emotirt.training.features import DeviceData, TokenTargets
from emotirt.training.journal import Journal
from emotirt.training.transfer import (
    EmotionTransfer,
    Transferred,
    choose_rows,
    draw_factors,
    emotion_transfer,
    felt_mels,
    felt_prosody,
    spectral_profiles,
    warped,
)
from emotirt.training.vectors import Shift


def unit_rows(count: int, seed: int) -> torch.Tensor:
    return functional.normalize(torch.randn(count, 16, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_an_adversary_learns_while_the_vectors_unlearn() -> None:
    torch.manual_seed(0)
    adversary, labels = Adversary(16, 2), torch.arange(64) % 2
    vectors = unit_rows(64, 0)
    vectors[:, 0] += 2.0 * labels
    vectors.requires_grad_()
    before, _ = adversary(vectors, labels)
    before.backward()
    assert vectors.grad is not None
    easier, _ = adversary(vectors - 0.1 * vectors.grad / vectors.grad.norm(), labels)
    assert easier > before  # a step of the vectors makes the adversary's task harder
    optimizer = torch.optim.SGD(adversary.parameters(), lr=0.5)
    for _ in range(60):
        optimizer.zero_grad()
        loss, accuracy = adversary(vectors.detach(), labels)
        loss.backward()
        optimizer.step()
    assert loss < before
    assert accuracy > 0.9


def test_contrast_rewards_emotions_that_agree_across_speakers() -> None:
    emotions, speakers = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    axes = torch.eye(4)
    by_emotion, by_speaker = axes[emotions], axes[speakers]
    assert across_speakers(by_emotion, emotions, speakers) < 0.1
    assert across_speakers(by_speaker, emotions, speakers) > 5.0
    assert float(across_speakers(axes, torch.arange(4), torch.zeros(4, dtype=torch.int64))) == 0.0


def test_hearing_predicted_mels_again_teaches_the_mels_and_not_the_encoder() -> None:
    torch.manual_seed(0)
    encoder = ReferenceEncoder(ReferenceConfig(channels=32, blocks=1))
    mels = torch.randn(3, 40, 80, requires_grad=True)
    frames = torch.tensor([40, 40, 30])
    with torch.no_grad():
        own = encoder(mels.transpose(1, 2), frames)
    for loss in heard_again(encoder, mels, frames, own):
        assert float(loss.detach()) == pytest.approx(0.0, abs=1e-5)
    other = heard_again(encoder, mels, frames, (own[0].roll(1, 0), own[1].roll(1, 0)))
    assert float(other[0].detach()) > 1e-3
    (other[0] + other[1]).backward()
    assert mels.grad is not None
    assert float(mels.grad.abs().sum()) > 0.0
    assert all(value.grad is None for value in encoder.parameters())


@pytest.fixture(scope="module")
def acted_data(spoken_folder: Path) -> DeviceData:
    """The made-up pack, its odd speaker an actor whose happy clips are brighter and an octave higher."""
    pack = load_pack(spoken_folder)
    audio = np.array(pack.audio)
    clips = []
    with np.load(spoken_folder / "f0.npz") as stored:
        f0_hz = np.array(stored["f0_hz"])
    for clip in pack.clips:
        is_actor = clip.speaker == "speaker1"
        span = slice(clip.offset_samples, clip.offset_samples + clip.sample_count)
        if is_actor and clip.emotion == "happy":
            bright = np.diff(audio[span].astype(np.float64), prepend=0.0)
            audio[span] = np.clip(3.0 * bright, -32768, 32767).astype(np.int16)
            f0_hz[span.start // 256 : span.stop // 256] *= 2
        names = ("emodb", "emodb_1", clip.emotion) if is_actor else ("made", "speaker0", "neutral")
        clips.append(replace(clip, corpus=names[0], speaker=names[1], emotion=names[2]))
    return DeviceData(Pack(tuple(clips), audio), f0_hz, DEFAULT_MEL, torch.device("cpu"))


@pytest.fixture(scope="module")
def acted_targets(acted_data: DeviceData, recordings: list[Spoken]) -> TokenTargets:
    return true_targets(acted_data, recordings)


@pytest.fixture(scope="module")
def transfer(acted_data: DeviceData) -> EmotionTransfer:
    return emotion_transfer(acted_data, {"neutral": Shift(0, 1, 0, 1), "happy": Shift(12.0, 1.2, 0.0, 0.9)})


def test_what_acting_does_is_measured_on_actors(transfer: EmotionTransfer) -> None:
    assert transfer.emotions == ("happy",)
    assert transfer.actors == (("emodb_1", "happy"),)
    profile = transfer.profiles[0].numpy()
    assert profile[60:].mean() > profile[:20].mean() + 0.5  # brighter
    assert abs(float(profile.mean())) < 0.1  # what was clipped remains
    assert float(transfer.pitch_shift[0]) * 6.0 == pytest.approx(12.0)


def test_no_actor_is_an_error(spoken_data: DeviceData) -> None:
    with pytest.raises(TrainingError, match="no actor"):
        spectral_profiles(spoken_data, ["happy"])
    with pytest.raises(TrainingError, match="no acted speech"):
        emotion_transfer(spoken_data, {})


def test_a_feeling_changes_the_spectrum_and_keeps_the_energy(transfer: EmotionTransfer) -> None:
    mels, mask = torch.randn(3, 20, 80) - 4.0, torch.ones(3, 20)
    chosen = Transferred(np.array([1]), np.array([0]), transfer.actors)
    felt = felt_mels(transfer, chosen, mels, mask)
    assert torch.equal(felt[[0, 2]], mels[[0, 2]])
    assert not torch.equal(felt[1], mels[1])
    assert float(felt[1].mul(2).exp().sum()) == pytest.approx(float(mels[1].mul(2).exp().sum()), rel=1e-3)
    difference = (felt[1] - mels[1]).mean(dim=0)
    assert torch.allclose(difference - difference.mean(), transfer.profiles[0] - transfer.profiles[0].mean(), atol=1e-4)


def test_a_feeling_moves_pitch_and_rate_of_its_rows_only(transfer: EmotionTransfer) -> None:
    slow = replace(transfer, rate=torch.tensor([0.5]))
    pitch, frames, mask = torch.tensor([[0.0, 1.0], [0.0, 1.0]]), torch.tensor([[3.0, 5.0]] * 2), torch.ones(2, 2)
    chosen = Transferred(np.array([1]), np.array([0]), transfer.actors)
    moved, durations = felt_prosody(slow, chosen, pitch, torch.log1p(frames), mask)
    assert torch.equal(moved[0], pitch[0])
    assert torch.allclose(torch.expm1(durations[1]), torch.tensor([6.0, 10.0]))
    assert float(moved[1].mean() - 0.5) == pytest.approx(float(transfer.pitch_shift[0]), abs=1e-5)
    assert float(moved[1, 1] - moved[1, 0]) == pytest.approx(1.2, abs=1e-5)


def test_only_unacted_rows_are_chosen(transfer: EmotionTransfer) -> None:
    may = np.array([True, False] * 50)
    chosen = choose_rows(transfer, may, 0.5, np.random.default_rng(0))
    assert set(chosen.rows % 2) == {0}
    assert 10 < len(chosen.rows) < 40
    assert len(chosen.keys) == len(chosen.rows) == len(chosen.kinds)


def test_another_vocal_tract_moves_formants_by_its_factor() -> None:
    times_s = np.arange(8000) / 16_000

    def peak(hz: float) -> torch.Tensor:
        return torch.from_numpy(log_mel(np.sin(2 * np.pi * hz * times_s).astype(np.float32))).T[None]

    mels = peak(2000.0)
    assert torch.allclose(warped(mels, torch.ones(1), DEFAULT_MEL), mels, atol=1e-3)
    moved = warped(mels, torch.tensor([1.1]), DEFAULT_MEL)[0].mean(dim=0).argmax()
    assert abs(int(moved) - int(peak(2200.0)[0].mean(dim=0).argmax())) <= 1
    assert int(moved) > int(mels[0].mean(dim=0).argmax())


def test_some_rows_keep_their_vocal_tract() -> None:
    factors = draw_factors(400, 0.25, np.random.default_rng(0))
    assert 0.6 < float((factors == 1.0).mean()) < 0.9
    assert factors.min() >= 0.88
    assert factors.max() <= 1.14


def test_a_trainer_without_a_transfer_refuses(acted_data: DeviceData, acted_targets: TokenTargets) -> None:
    with pytest.raises(TrainingError, match="EmotionTransfer"):
        AcousticTrainer(acted_data, acted_targets, TINY, replace(CONFIG, disentangling=DISENTANGLED))


def test_it_learns_with_everything_on(
    acted_data: DeviceData, acted_targets: TokenTargets, transfer: EmotionTransfer, tmp_path: Path
) -> None:
    config = replace(CONFIG, max_steps=30, disentangling=replace(DISENTANGLED, heard_again_rows=3))
    trainer = AcousticTrainer(acted_data, acted_targets, TINY, config, transfer)
    before = trainer.evaluate()
    found = trainer.losses(trainer.train_clips[:6], np.random.default_rng(1))
    assert {"speaker_again", "emotion_again", "speaker_told", "emotion_told", "contrast"} <= set(found)
    assert all(bool(torch.isfinite(value)) for value in found.values())
    with Journal(tmp_path, "acoustic") as journal:
        trainer.train(journal, tmp_path)
    assert trainer.evaluate()["mel"] < 0.9 * before["mel"]
    again = AcousticTrainer(acted_data, acted_targets, TINY, config, transfer)
    again.resume(tmp_path / "acoustic_resume.pt", restart_schedule=False)
    assert again.step == 30
    plain = AcousticTrainer(acted_data, acted_targets, TINY, replace(CONFIG, max_steps=30))
    with pytest.raises(TrainingError, match="resume it with the same --disentangle"):
        plain.resume(tmp_path / "acoustic_resume.pt", restart_schedule=False)
