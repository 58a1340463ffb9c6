"""Scoring with a real exported recognizer (tiny, untrained) on a made-up pack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from emotirt.audio.mel import magnitude_spectrogram
from emotirt.errors import BackendUnavailable, InvalidAudio, TrainingError
from emotirt.evaluation.intelligibility import choose_sentences, file_name, score, synthesize, unseen_speakers
from emotirt.evaluation.recognize import PhonemeRecognizer, leveled
from emotirt.models.checkpoint import half_state
from emotirt.training.corpus import Clip, Pack
from emotirt.training.recognizer_network import Recognizer, RecognizerConfig
from emotirt.training.recognizer_tokens import TOKENS
from emotirt.types import Audio

EN = ("^", "M", "AA1", "#", "S", "IY1", ".", "$")
ZH = ("^", "m", "a1", "s", "ii4", ".", "$")
SIZES = RecognizerConfig(hidden=32, layers=2, heads=2, feed_forward=48, kernel=5, conditioned_layers=(1,))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("recognizer") / "recognizer.pt"
    torch.save({"config": SIZES.to_dict(), "weights": half_state(Recognizer(SIZES))}, path)
    (path.parent / "report.json").write_text('{"step": 7}')
    return path


@pytest.fixture(scope="module")
def recognizer_path(weights: Path) -> Path:
    from emotirt.training.recognizer_export import export_recognizer

    path = weights.parent / "recognizer.onnx"
    export_recognizer(weights, path)
    return path


@pytest.fixture(scope="module")
def recognizer(recognizer_path: Path) -> PhonemeRecognizer:
    return PhonemeRecognizer(recognizer_path)


@pytest.fixture(scope="module")
def pack() -> Pack:
    rows = [("kathleen", "en", "test", EN)] * 3 + [("aishell", "zh", "test", ZH)] * 3
    rows += [("aishell", "zh", "test", (*ZH[:-1], "B", "$")), ("aishell", "zh", "train", ZH)]
    rows += [("speechocean762", "en", "valid", EN)]
    clips = [
        Clip(f"{corpus}/{index}.opus", corpus, f"{corpus}_f", language, "neutral", f"text {index}", symbols, 0, 1.0,
             index * 12_800, 12_800, split)
        for index, (corpus, language, split, symbols) in enumerate(rows)
    ]  # fmt: skip
    return Pack(tuple(clips), np.random.default_rng(0).normal(0, 2000, len(rows) * 12_800).astype(np.int16))


def test_the_graph_answers_as_the_network_does(weights: Path, recognizer_path: Path) -> None:
    import onnxruntime

    from emotirt.training.recognizer import load_recognizer

    samples = np.random.default_rng(1).normal(0, 0.1, 9_000).astype(np.float32)
    magnitude = magnitude_spectrogram(samples)[None]
    session = onnxruntime.InferenceSession(str(recognizer_path), providers=["CPUExecutionProvider"])
    frames = np.array([magnitude.shape[1]])
    given = session.run(None, {"magnitude": magnitude, "frames": frames})[0]
    with torch.no_grad():
        wanted = load_recognizer(weights)(torch.from_numpy(magnitude), torch.from_numpy(frames)).numpy()
    assert given.shape == (1, (len(samples) // 256 + 1) // 2, len(TOKENS))
    assert np.abs(given - wanted).max() < 5e-3


def test_recognition_keeps_to_its_language_and_ignores_the_level(recognizer: PhonemeRecognizer) -> None:
    samples = np.random.default_rng(1).normal(0, 0.1, 16_000).astype(np.float32)
    found = recognizer.phonemes(samples, "zh")
    assert all(not token[0].isupper() for token in found)
    assert recognizer.phonemes(samples * 0.1, "zh") == found
    assert recognizer.training == {"step": 7}


def test_levelling_trims_silence_and_sets_the_level() -> None:
    speech = np.random.default_rng(1).normal(0, 0.02, 16_000).astype(np.float32)
    silent_edges = np.concatenate([np.zeros(8_000, np.float32), speech, np.zeros(8_000, np.float32)])
    result = leveled(silent_edges)
    assert 16_000 <= len(result) <= 16_000 + 4_000
    assert 10 * np.log10(np.square(result).mean()) == pytest.approx(-23.0, abs=1.5)


def test_sentences_are_unseen_of_one_language_and_picked_by_nobody(pack: Pack) -> None:
    chosen = choose_sentences(pack.clips, "zh")
    assert {clip.key for clip in chosen} == {"aishell/3.opus", "aishell/4.opus", "aishell/5.opus"}
    assert choose_sentences(reversed(pack.clips), "zh") == chosen
    assert len(choose_sentences(pack.clips, "zh", 2)) == 2


def test_repeating_the_recordings_themselves_scores_a_ratio_of_one(
    pack: Pack, recognizer: PhonemeRecognizer, tmp_path: Path
) -> None:
    clips = [clip for language in ("en", "zh") for clip in choose_sentences(pack.clips, language)]
    synthesize(clips, lambda clip: Audio(pack.samples(clip), 16_000), tmp_path)
    report = score(pack, recognizer, tmp_path, ("en", "zh"))
    for language in ("en", "zh"):
        assert report[language]["sentences"] == 3
        assert report[language]["ratio"]["value"] == pytest.approx(1.0, abs=0.1)
        assert report[language]["synthesized"]["unsound"]
        assert 0.0 <= report[language]["human"]["last_phoneme_right"] <= 1.0


def test_people_alone_and_unseen_speakers_are_scored_too(pack: Pack, recognizer: PhonemeRecognizer) -> None:
    report = score(pack, recognizer, None, ("en",))
    assert "ratio" not in report["en"]
    assert set(report["en"]["speakers"]) == {"kathleen_f"}
    assert unseen_speakers(pack, recognizer)["speechocean762"]["clips"] == 1


def test_a_missing_counterpart_is_named(pack: Pack, recognizer: PhonemeRecognizer, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"kathleen__\d\.wav is missing"):
        score(pack, recognizer, tmp_path, ("en",))
    assert file_name(pack.clips[0]) == "kathleen__0.wav"


def test_bad_files_and_bad_audio_are_refused(recognizer: PhonemeRecognizer, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a graph")
    with pytest.raises(BackendUnavailable, match=r"broken\.onnx"):
        PhonemeRecognizer(tmp_path / "broken.onnx")
    with pytest.raises(InvalidAudio):
        recognizer.phonemes(np.zeros(0, dtype=np.float32), "en")
