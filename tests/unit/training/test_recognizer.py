"""Training the recognizer: drawing, augmentation, learning, files and resuming, on a small made-up pack."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from emotirt.errors import TrainingError
from emotirt.training.corpus import Clip, Pack, write_clips
from emotirt.training.features import WIDTH_STEP_FRAMES, rounded_up
from emotirt.training.recognizer import (
    AVERAGED,
    RAW,
    STATE,
    TINY,
    RecognizerTrainer,
    TrainConfig,
    load_recognizer,
    main,
)
from emotirt.training.recognizer_batches import Analyser, Source, fitted, hide_parts, labelled
from emotirt.training.recognizer_tokens import steps_needed

SYMBOLS = {"en": ("^", "M", "AA1", "#", "S", "IY1", ".", "$"), "zh": ("^", "m", "a1", "s", "ii4", ".", "$")}


def make_clip(index: int, corpus: str, language: str, split: str, seconds: float) -> Clip:
    count = int(seconds * 16_000) // 256 * 256
    key = f"{corpus}/{index}.opus"
    return Clip(key, corpus, corpus + "_f", language, "neutral", f"text {index}", SYMBOLS[language],
                0, 1.0, 0, count, split)  # fmt: skip


@pytest.fixture
def pack_folder(tmp_path: Path) -> Path:
    plan = [("kathleen", "en", "train", 1.2)] * 6 + [("aishell", "zh", "train", 1.0)] * 6
    plan += [("cmn-words", "zh", "train", 0.6)] * 12 + [("kathleen", "en", "test", 1.1), ("aishell", "zh", "test", 0.9)]
    clips, offset = [], 0
    for index, (corpus, language, split, seconds) in enumerate(plan):
        clip = make_clip(index, corpus, language, split, seconds)
        fields = {name: getattr(clip, name) for name in Clip.__slots__}
        clips.append(Clip(**{**fields, "offset_samples": offset}))
        offset += clip.sample_count
    write_clips(tmp_path, clips)
    np.random.default_rng(0).normal(0, 2000, offset).astype(np.int16).tofile(tmp_path / "audio.i16")
    return tmp_path


@pytest.fixture
def pack(pack_folder: Path) -> Pack:
    from emotirt.training.corpus import load_pack

    return load_pack(pack_folder)


def test_every_drawn_sample_can_be_written_by_ctc_and_corpora_keep_their_shares(pack: Pack) -> None:
    source = Source(labelled(pack.clips, "train"), np.random.default_rng(0))
    samples = [sample for _ in range(200) if (sample := source.draw()) is not None]
    assert all((sample.frames + 1) // 2 >= steps_needed(sample.labels) for sample in samples)
    assert source.spoken_s["aishell"] / source.spoken_s["cmn-words"] == pytest.approx(0.27 / 0.15, rel=0.2)
    assert any(len(sample.starts) > 3 for sample in samples)


def test_a_clip_too_short_for_its_labels_is_refused() -> None:
    assert fitted([0], [256 * 20], np.arange(1, 30), 1.0) is None
    slowed = fitted([0], [256 * 20], np.arange(1, 12), 1.0)
    assert slowed is not None
    assert slowed.tempo < 1.0


def test_batches_stay_within_their_padded_length(pack: Pack) -> None:
    batches = Source(labelled(pack.clips, "train"), np.random.default_rng(0)).batches(10.0)
    for samples, _ in zip(batches, range(20), strict=False):
        assert len(samples) * max(sample.frames for sample in samples) <= 10.0 * 62.5 or len(samples) == 1


def test_joined_words_equal_their_samples_laid_end_to_end(pack: Pack) -> None:
    analyser = Analyser(pack, torch.device("cpu"))
    first, second = pack.clips[0], pack.clips[8]
    starts, counts = (first.offset_samples, second.offset_samples), (first.sample_count, second.sample_count)
    sample = fitted(starts, counts, np.array([1]), 1.0)
    assert sample is not None
    magnitude, frames = analyser.magnitudes([sample])
    from emotirt.audio.mel import magnitude_spectrogram

    wanted = magnitude_spectrogram(np.concatenate([pack.samples(first), pack.samples(second)]))
    assert frames.tolist() == [len(wanted)]
    assert np.allclose(magnitude[0, : len(wanted) - 2].numpy(), wanted[:-2], atol=2e-3)


def test_augmented_batches_are_finite_and_have_the_promised_lengths(pack: Pack) -> None:
    samples = next(Source(labelled(pack.clips, "train"), np.random.default_rng(0)).batches(20.0))
    magnitude, frames = Analyser(pack, torch.device("cpu")).augmented(samples)
    assert frames.tolist() == [sample.frames for sample in samples]
    assert magnitude.shape[1] == rounded_up(max(sample.frames for sample in samples), WIDTH_STEP_FRAMES)
    assert torch.isfinite(magnitude).all()


def test_hiding_blanks_some_of_the_features_and_changes_nothing_else() -> None:
    torch.manual_seed(0)
    features = torch.rand(4, 200, 156) + 1.0
    hidden = hide_parts(features, torch.tensor([200, 150, 100, 50]), 80)
    kept = hidden != 0.0
    assert torch.equal(hidden[kept], features[kept])
    assert 0.4 < float(kept.float().mean()) < 0.98


def test_the_loss_falls_and_weights_stay_finite(pack: Pack) -> None:
    config = TrainConfig(max_s=1e6, batch_s=15.0, warm_share=1e-9)
    trainer = RecognizerTrainer(pack, TINY, config, torch.device("cpu"))
    trainer.spent_s = 1.0
    batches = Source(trainer.train_clips, np.random.default_rng(0)).batches(15.0)
    losses = [float(trainer._update(samples)) for samples, _ in zip(batches, range(12), strict=False)]
    assert np.mean(losses[-3:]) < 0.7 * losses[0]


def test_the_command_writes_its_files_and_goes_on_where_it_stopped(
    pack_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["--pack", str(pack_folder), "--out", str(out), "--max-seconds", "0.3", "--batch-seconds", "10", "--tiny"]
    main([*command, "--device", "cpu"])
    first = json.loads((out / STATE).read_text())
    assert {path.name for path in out.iterdir()} == {AVERAGED, RAW, STATE, "report.json"}
    assert set(json.loads((out / "report.json").read_text())["phoneme_errors"]) == {"aishell/test", "kathleen/test"}
    main([*command, "--device", "cpu", "--resume"])
    assert json.loads((out / STATE).read_text())["step"] > first["step"]
    assert "PER aishell/test=" in capsys.readouterr().out
    assert load_recognizer(out / AVERAGED).config == TINY


def test_a_pack_without_labelled_training_clips_is_refused(pack: Pack) -> None:
    held_out = Pack(tuple(clip for clip in pack.clips if clip.split == "test"), pack.audio)
    with pytest.raises(TrainingError, match="no labelled training clip"):
        RecognizerTrainer(held_out, TINY, TrainConfig(max_s=1.0), torch.device("cpu"))
