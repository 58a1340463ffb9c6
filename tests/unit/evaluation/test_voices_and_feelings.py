"""Speakers, emotions, closeness and precision, measured on the bundle inside the package and on a tiny one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from emotirt.engine.request import SpeechRequest
from emotirt.errors import BackendUnavailable, InvalidAudio, TrainingError
from emotirt.evaluation.emotion_classifier import EmotionClassifier
from emotirt.evaluation.emotions import INTENSITIES, TAGS, Rendering, _findings, judge, rises, shifts
from emotirt.evaluation.held_out import warped_errors
from emotirt.evaluation.no_reference import SignalRater
from emotirt.evaluation.renderings import compare_pair
from emotirt.evaluation.sentences import SENTENCES
from emotirt.evaluation.similarity import Scale, clone_summary, cloned, copied, human_scale, owners, reference_of
from emotirt.evaluation.speaker_encoder import SpeakerEncoder, _Network
from emotirt.evaluation.synthesizer import Synthesizer
from emotirt.training.corpus import Clip, Pack, with_offsets
from emotirt.training.prosodics import Prosodics
from emotirt.types import FloatArray

VOICES = ("kathleen", "jun")


@pytest.fixture(scope="module")
def speaker() -> Iterator[Synthesizer]:
    """The bundle inside the package."""
    with Synthesizer.open(threads=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def said(speaker: Synthesizer) -> dict[str, list[FloatArray]]:
    """Four sentences by each voice."""
    return {
        voice: [speaker.say(SpeechRequest(text, voice=voice)).samples for text in SENTENCES["en"][:4]]
        for voice in VOICES
    }


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> SpeakerEncoder:
    """The foreign encoder, or where it is not installed, its network with random weights."""
    if find_spec("resemblyzer") is not None:
        return SpeakerEncoder()
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("encoder") / "random.pt"
    torch.save({"model_state": _Network().state_dict()}, path)
    return SpeakerEncoder(path)


@pytest.fixture(scope="module")
def pack(said: dict[str, list[FloatArray]]) -> Pack:
    """The renderings as if they were recordings of two people."""
    audio, clips = [], []
    for voice, sentences in said.items():
        for index, samples in enumerate(sentences):
            kept = samples[: len(samples) // 256 * 256]
            text = SENTENCES["en"][index]
            clips.append(
                Clip(f"{voice}/{index}", "made", voice, "en", "neutral", text, None, 0, 1.0, 0, len(kept), "valid")
            )
            audio.append(np.round(kept * 32767).astype(np.int16))
    return Pack(tuple(with_offsets(clips)), np.concatenate(audio))


def clips_of(pack: Pack) -> dict[str, list[Clip]]:
    return {voice: [clip for clip in pack.clips if clip.speaker == voice] for voice in VOICES}


def test_a_speaker_vector_knows_no_level(encoder: SpeakerEncoder, said: dict[str, list[FloatArray]]) -> None:
    samples = said["kathleen"][0]
    vector = encoder.vector(samples)
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)
    assert float(vector @ encoder.vector(samples * np.float32(0.25))) > 0.999
    assert encoder.vector(samples[:6000]).shape == vector.shape
    with pytest.raises(InvalidAudio, match="finite"):
        encoder.vector(np.full(100, np.nan, dtype=np.float32))


def test_missing_or_foreign_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match="cannot load the speaker encoder"):
        SpeakerEncoder(tmp_path / "nothing.pt")
    torch.save({"model_state": {"linear.weight": torch.zeros(3)}}, tmp_path / "other.pt")
    with pytest.raises(BackendUnavailable, match="cannot load the speaker encoder"):
        SpeakerEncoder(tmp_path / "other.pt")


@pytest.mark.skipif(find_spec("resemblyzer") is None, reason="the weights are in the extra 'evaluate'")
def test_the_foreign_encoder_tells_voices_apart(pack: Pack, encoder: SpeakerEncoder) -> None:
    people = owners(pack, encoder, clips_of(pack))
    scale, report = human_scale(people)
    assert report["top1"] == 1.0
    assert scale.same > scale.different + 0.1
    assert scale.position(scale.same) == pytest.approx(1.0)
    assert scale.position(scale.different) == pytest.approx(0.0)


def test_too_few_recordings_are_an_error(pack: Pack, encoder: SpeakerEncoder) -> None:
    few = {voice: clips[:3] for voice, clips in clips_of(pack).items()}
    with pytest.raises(TrainingError, match="needs 4"):
        owners(pack, encoder, few)
    with pytest.raises(TrainingError, match="fewer than two"):
        owners(pack, encoder, {"kathleen": clips_of(pack)["kathleen"]})


def test_cloning_is_scored_against_everybody(pack: Pack, encoder: SpeakerEncoder, speaker: Synthesizer) -> None:
    people = owners(pack, encoder, clips_of(pack))
    rows, players = cloned(speaker, encoder, people[:1], 3.0)
    assert {row["language"] for row in rows} == {"en", "zh"}
    assert all(row["first"] for row in rows)  # there is nobody else
    assert len(players) == 2
    found = clone_summary(rows, Scale(0.9, 0.6))
    assert found["position"] == pytest.approx((found["cosine"] - 0.6) / 0.3, abs=1e-3)
    vocoded = copied(speaker, encoder, people)
    assert len(vocoded) == sum(len(owner.others) for owner in people)
    assert np.mean([row["cosine"] for row in vocoded]) > 0.8


def test_references_are_as_long_as_asked(pack: Pack, encoder: SpeakerEncoder) -> None:
    owner = owners(pack, encoder, clips_of(pack))[0]
    first, second = reference_of(owner, 2.0, 0), reference_of(owner, 2.0, 1)
    assert len(first) == len(second) == 32_000
    assert not np.array_equal(first, second)


def test_a_rendering_is_as_close_as_can_be_to_itself(said: dict[str, list[FloatArray]]) -> None:
    samples = said["kathleen"][0]
    same = warped_errors(samples, samples)
    assert same["mcd_db"] == same["f0_rmse_cents"] == same["voicing_error"] == 0.0
    other = warped_errors(samples, said["jun"][0])
    assert other["mcd_db"] > 2.0
    assert other["f0_rmse_cents"] > other["f0_shape_rmse_cents"]
    pair = compare_pair(samples, samples)
    assert pair["snr_db"] == 200.0
    assert pair["log_mel_l1"] == 0.0


def test_noise_costs_precision(said: dict[str, list[FloatArray]]) -> None:
    samples = said["jun"][0]
    noise = np.random.default_rng(0).normal(0, 1, len(samples)).astype(np.float32)
    found = compare_pair(samples, samples + noise * np.float32(0.1 * samples.std()))
    assert found["snr_db"] == pytest.approx(20.0, abs=0.5)
    assert found["mcd_db"] > 0.5
    assert found.get("pesq_wb", 1.0) < 4.6


@pytest.mark.skipif(find_spec("speechmos") is None, reason="the network is in the extra 'evaluate'")
def test_noise_is_rated_lower(said: dict[str, list[FloatArray]]) -> None:
    rater, samples = SignalRater(), said["kathleen"][0]
    noise = np.random.default_rng(0).normal(0, 0.02, len(samples)).astype(np.float32)
    clean, noisy = rater.rate(samples), rater.rate(samples + noise)
    assert clean.background > noisy.background + 0.5
    assert 1.0 <= noisy.overall < clean.overall <= 5.0


def test_intensity_must_raise_the_probability() -> None:
    def judged(*values: float) -> dict[float, dict[str, dict[str, float]]]:
        return {i: {"sad": {"probability": value}} for i, value in zip(INTENSITIES, values, strict=True)}

    assert rises(judged(0.0, 0.2, 0.5, 0.6), "sad")
    assert rises(judged(0.0, 0.2, 0.5, 0.49), "sad")
    assert not rises(judged(0.0, 0.5, 0.2, 0.6), "sad")
    assert not rises(judged(0.5, 0.5, 0.5, 0.5), "sad")


def test_renderings_are_judged_against_the_same_voice() -> None:
    """A classifier on one number, whose sign tells happy from neutral: the voice's own place must not matter."""
    weights = np.array([[-9.0], [9.0], [-9.0], [0.0], [-9.0]])
    bias = np.array([-99.0, 0.0, -99.0, 4.0, -99.0])
    classifier = EmotionClassifier(
        ("angry", "happy", "fearful", "neutral", "sad"), np.zeros(1), np.ones(1), weights, bias
    )
    prosody, vector = Prosodics(0, 1, 0, 4, 0, 0), np.ones(1, dtype=np.float32)
    rows = []
    for voice, place in (("a", 0.0), ("b", 50.0)):
        for language in SENTENCES:
            for sentence in range(2):
                for tag in TAGS:
                    for intensity in (0.0,) if tag == "neutral" else INTENSITIES[1:]:
                        moved = place + (intensity if tag == "happy" else 0.0)
                        rows.append(
                            Rendering(voice, language, sentence, tag, intensity, np.array([moved]), prosody, vector)
                        )
    found = judge(rows, classifier)
    assert found[1.0]["happy"]["right"] == found[1.0]["neutral"]["right"] == 1.0
    assert found[1.0]["angry"]["heard"] == {"neutral": 8}
    assert found[0.0]["happy"]["right"] == 0.0
    assert rises(found, "happy")
    moved = shifts([(row.voice, row.tag, row.prosody) for row in rows])
    lost = {tag: {"people": 0.2, "synthesized": 0.01} for tag in TAGS[1:]}
    details = {"speaker_loss": lost, "shifts": {"people": moved, "synthesized": moved}}
    summary = _findings(details, found, [])
    assert summary.values["quality.emotion_accuracy"]["value"] == pytest.approx(0.4)
    assert [target.reached for target in summary.targets] == [False, False, True]
    assert len(summary.charts) == len(summary.tables) == 3


def test_shifts_are_relative_to_the_own_neutral() -> None:
    base = Prosodics(5.0, 2.0, -20.0, 4.0, 0.1, 10.0)
    angry = replace(base, pitch_semitones=9.0, pitch_spread_semitones=4.0, tilt_db=4.0, syllables_per_s=5.0)
    rows = []
    for who, up in (("a", 0.0), ("b", 7.0)):
        rows += [(who, "neutral", replace(base, pitch_semitones=5.0 + up))]
        rows += [(who, tag, replace(angry, pitch_semitones=9.0 + up)) for tag in TAGS[1:]]
    found = shifts(rows)["angry"]
    assert found["pitch_semitones"] == pytest.approx(4.0)
    assert found["pitch_spread_ratio"] == pytest.approx(2.0)
    assert found["rate_ratio"] == pytest.approx(1.25)
    assert found["tilt_db"] == pytest.approx(-6.0)
