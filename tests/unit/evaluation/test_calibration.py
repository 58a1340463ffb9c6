"""Emotions are calibrated against people's shifts by a search that finds low points."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from emotirt.bundle.manifest import ProsodyEntry
from emotirt.engine.request import SpeechRequest
from emotirt.errors import TrainingError
from emotirt.evaluation.calibration import (
    ACTORS,
    MOST_SURPRISE,
    Setting,
    Space,
    Trial,
    acted_directions,
    calibrated,
    judges_of,
    other_voices,
    restraint,
)
from emotirt.evaluation.emotions import TAGS, Acted
from emotirt.evaluation.search import lowest
from emotirt.evaluation.synthesizer import Synthesizer
from emotirt.training.corpus import Clip, Pack
from emotirt.training.prosodics import FEATURE_NAMES, Prosodics
from emotirt.types import FloatArray

PITCH, HARMONICITY = FEATURE_NAMES.index("pitch"), FEATURE_NAMES.index("harmonicity")


@pytest.fixture(scope="module")
def speaker() -> Iterator[Synthesizer]:
    """The bundle inside the package."""
    with Synthesizer.open(threads=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def acted() -> Acted:
    """Made-up actors: an emotion moves one feature each, and those who are no judges move the other way."""
    rng = np.random.default_rng(0)
    rows, speakers, tags = [], [], []
    for speaker in (*ACTORS, "emodb_99"):
        for index, tag in enumerate(TAGS):
            for _ in range(12):
                row = rng.standard_normal(len(FEATURE_NAMES)) * 0.3
                row[index] += (4.0 if index else 0.0) * (1.0 if speaker in ACTORS else -1.0)
                rows.append(row)
                speakers.append(speaker)
                tags.append(tag)
    nothing = np.zeros(256, dtype=np.float32)
    still = Prosodics(0.0, 1.0, 0.0, 4.0, 0.0, 0.0)
    return Acted(
        np.stack(rows), tuple(speakers), tuple(tags), ("a",) * len(rows), (still,) * len(rows), (nothing,) * len(rows)
    )


def unit(values: list[float]) -> FloatArray:
    return np.asarray(np.array(values) / np.linalg.norm(values), dtype=np.float32)


def test_a_search_finds_the_bottom_of_a_crooked_bowl() -> None:
    bottom = np.array([0.4, -0.3, 1.2, 0.0])
    turned = np.linalg.qr(np.random.default_rng(1).standard_normal((4, 4)))[0] * np.array([1.0, 3.0, 10.0, 0.5])

    def bowl(point: np.ndarray) -> float:
        return float(np.square(turned.T @ (point - bottom)).sum())

    found = lowest(bowl, np.zeros(4), np.full(4, 0.3), 80)
    assert found.value == bowl(found.point) < 1e-4
    assert np.allclose(found.mean, bottom, atol=0.05)
    again = lowest(bowl, np.zeros(4), np.full(4, 0.3), 80)
    assert np.array_equal(found.point, again.point)


def test_a_search_never_ends_worse_than_it_began() -> None:
    found = lowest(lambda point: float(np.abs(point).sum()), np.zeros(3), np.ones(3), 2)
    assert found.value == 0.0
    assert np.array_equal(found.point, np.zeros(3))


def test_directions_are_those_in_which_actors_move() -> None:
    rng = np.random.default_rng(2)
    moves = np.linalg.qr(rng.standard_normal((6, 2)))[0].T
    own = {"a": rng.standard_normal(6), "b": rng.standard_normal(6), "mute": rng.standard_normal(6)}
    rows = [
        ("a", "neutral", 0),
        ("a", "sad", 1),
        ("a", "angry", 2),
        ("b", "neutral", 0),
        ("b", "sad", 1),
        ("mute", "sad", 1),
    ]
    vectors = np.stack([own[who] + (moves[kind - 1] if kind else 0.0) for who, _, kind in rows])
    found = acted_directions(vectors, [row[0] for row in rows], [row[1] for row in rows])
    assert np.allclose(found @ found.T, np.eye(len(found)), atol=1e-9)
    assert np.allclose(moves @ found.T @ found, moves, atol=1e-9)


def test_points_and_settings_lead_to_each_other() -> None:
    directions = np.eye(4)[1:]
    space = Space(unit([1, 0, 0, 0]), directions, (-3.0, 0.0))
    setting = Setting(unit([1, 0.5, -0.25, 0]), ProsodyEntry(0.9, -1.0, 1.2, -2.0))
    back = space.setting(space.point(setting))
    assert np.allclose(back.vector, setting.vector, atol=1e-6)
    assert back.prosody == setting.prosody
    wild = space.setting(np.array([0.0, 0.0, 0.0, 9.0, -9.0, 9.0, 9.0])).prosody
    assert wild == ProsodyEntry(round(float(np.exp(0.3)), 3), -6.0, round(float(np.exp(0.5)), 3), 0.0)
    assert restraint(space.point(setting)) > restraint(np.zeros(7)) == 0.0


def test_judges_hear_some_actors_only(acted: Acted) -> None:
    judges = judges_of(acted)
    how = np.array(acted.tags)
    heard = np.isin(np.array(acted.speakers), ACTORS)
    right, other = acted.relative[heard & (how == "sad")], acted.relative[~heard & (how == "sad")]
    assert judges.surprise(right, "sad") < 0.1
    assert judges.surprise(other, "sad") > judges.surprise(right, "sad")
    assert judges.surprise(right * 100.0, "angry") <= MOST_SURPRISE
    assert judges.unlikeness(right, "sad") < 0.1 < judges.unlikeness(other, "sad")


def test_a_setting_costs_more_the_stranger_it_is(acted: Acted, speaker: Synthesizer) -> None:
    vectors = speaker.bundle.vectors()
    trial = Trial(speaker, judges_of(acted), [vectors.voices["kathleen"]])
    still = Setting(vectors.emotions["neutral"], ProsodyEntry())
    shrill = Setting(vectors.emotions["angry"], ProsodyEntry(1.3, 6.0, 1.6, 0.0))
    assert trial.cost(still, "neutral") < trial.cost(shrill, "neutral")
    space = Space(vectors.emotions["neutral"], np.eye(256)[:2], (-3.0, 3.0))
    found, before, after = calibrated(trial, space, shrill, "neutral", 1)
    assert after <= before
    assert np.linalg.norm(found.vector) == pytest.approx(1.0, abs=1e-5)


def test_calibration_speaks_with_other_voices(speaker: Synthesizer) -> None:
    samples = speaker.say(SpeechRequest("Nobody in the house had heard the bell.", voice="jun")).samples
    kept = samples[: len(samples) // 256 * 256]
    clip = Clip("l/1", "librispeech-voices", "l", "en", "neutral", "", None, 0, 1.0, 0, len(kept), "train")
    pack = Pack((clip,), np.round(kept * 32767).astype(np.int16))
    (voice,) = other_voices(pack, speaker, 1)
    assert float(voice @ speaker.clone(kept)) > 0.99
    with pytest.raises(TrainingError, match="calibration needs 2"):
        other_voices(pack, speaker, 2)
