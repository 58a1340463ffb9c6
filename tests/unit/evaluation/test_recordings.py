"""Real recordings go the way of uploads: refused ones are counted, presets and unseen speakers compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.assets.recordings import RATE_HZ, clip, not_speech, speech, wav

from emotirt.bundle.store import default_bundle_path
from emotirt.errors import InvalidRequest, TrainingError
from emotirt.evaluation.recordings import measure_recordings
from emotirt.evaluation.synthesizer import Synthesizer
from emotirt.training.corpus import Clip, Pack, with_offsets

UNSEEN = {"so_1": "kathleen", "so_2": "linda"}


def row(key: str, speaker: str, emotion: str, samples: np.ndarray, split: str = "train") -> Clip:
    corpus = key.partition("/")[0]
    return Clip(key, corpus, speaker, "en", emotion, key, None, 0, 1.0, 0, len(samples), split)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Pack]:
    """A folder of recordings, one of them music, and their pack."""
    folder = tmp_path_factory.mktemp("corpus")
    found: list[tuple[Clip, bytes, np.ndarray]] = []

    def add(
        key: str, speaker: str, data: bytes, samples: np.ndarray, emotion: str = "neutral", split: str = "train"
    ) -> None:
        found.append((row(key, speaker, emotion, samples, split), data, samples))

    add("kathleen/0.opus", "kathleen_f", clip("kathleen"), speech("kathleen"))
    add("ljspeech/0.opus", "lj_f", clip("linda"), speech("linda"))
    add("aishell/0.wav", "ai", wav(not_speech("tune")), not_speech("tune"))
    for name in ("sad", "angry"):
        add(f"emodb/{name}.opus", "actor", clip(name), speech(name), name)
    for speaker, name in UNSEEN.items():
        for index in range(6):
            piece = speech(name)[index * 1000 :][: int((3.0 if index else 3.2) * RATE_HZ)]
            add(f"speechocean762/{speaker}-{index}.wav", speaker, wav(piece), piece, split="valid")
    for made, data, _ in found:
        (folder / made.key).parent.mkdir(exist_ok=True)
        (folder / made.key).write_bytes(data)
    clips = with_offsets(made for made, _, _ in found)
    audio = np.round(np.concatenate([samples for _, _, samples in found]) * 32767).astype(np.int16)
    return folder, Pack(tuple(clips), audio)


def test_what_cloning_makes_of_recordings(corpus: tuple[Path, Pack]) -> None:
    folder, pack = corpus
    with Synthesizer.open(default_bundle_path(), threads=1) as synthesizer:
        found = measure_recordings(
            folder, pack, synthesizer, {"kathleen_f": "kathleen", "lj_f": "linda", "gone": "lan"}
        )
    refused = found.details["refusals"]
    assert list(refused["aishell"]["refused"]) == ["aishell/0.wav"]
    assert [len(refused[name]["refused"]) for name in ("kathleen", "ljspeech", "emodb")] == [0, 0, 0]
    presets = found.details["presets"]
    assert presets["kathleen"]["cosine"] > 0.8 > 0.6 > presets["kathleen"]["nearest_other"]
    assert presets["lan"] == {"cosine": None}
    assert found.details["emotions"] == {"clips": 2, "refused": 0, "nearest_is_right": 1.0}
    unseen = found.details["unseen_speakers_own_encoder"]
    assert unseen["people_same"] > 0.9 > 0.5 > unseen["people_different"]
    assert unseen["cloned"] > unseen["people_different"]
    assert found.targets[0].reached is False
    assert len(found.tables[0].rows) == len(refused)


def test_what_cannot_be_measured_says_why(corpus: tuple[Path, Pack], emotivoice_path: Path, tiny_bundle: Path) -> None:
    folder, pack = corpus
    with Synthesizer.open(emotivoice_path, threads=1) as mute, pytest.raises(InvalidRequest, match="reference encoder"):
        measure_recordings(folder, pack, mute, {})
    few = Pack(tuple(item for item in pack.clips if item.split != "valid"), pack.audio)
    with (
        Synthesizer.open(tiny_bundle, threads=1) as synthesizer,
        pytest.raises(TrainingError, match="two unseen speakers"),
    ):
        measure_recordings(folder, few, synthesizer, {})
