"""Moves an emotion's vector and prosody until it does to speech what acting does to people's.

Nothing is trained: the graphs of the bundle stay as they are. The judges are classifiers that heard half of the actors,
not the one that the evaluation trains; voices and sentences are others than the evaluation's too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotirt.bundle.manifest import NEUTRAL, ProsodyEntry
from emotirt.engine.request import SpeechRequest
from emotirt.errors import TrainingError
from emotirt.evaluation.emotion_classifier import EmotionClassifier, train
from emotirt.evaluation.emotions import Acted
from emotirt.evaluation.search import lowest
from emotirt.evaluation.synthesizer import Synthesizer
from emotirt.training.corpus import Pack, text_fraction
from emotirt.training.prosodics import FEATURE_NAMES, features, prosodics
from emotirt.types import FloatArray, Prosody
from emotirt.voices.condition import NATURAL_PROSODY, blended_emotion, combined_prosody

Floats = NDArray[np.float64]

SENTENCES = (
    ("The train leaves in five minutes, and we are still at home.", "今天下午我们一起去公园散步。"),
    ("She asked him whether the letter had arrived.", "他说明天会有一个重要的会议。"),
    ("There is a small shop behind the station.", "火车站后面有一家小商店。"),
)
"""Pairs that the voices speak in turn."""
ACTORS = ("emodb_03", "emodb_08", "emodb_10", "emodb_12", "emodb_14")
"""Whom the judges of the calibration heard; three men, two women."""
SHRINKAGES = (0.1, 0.3, 0.6)
INTENSITIES = {1.0: 1.0, 1.5: 0.5}
"""Weight of being recognized at each."""
MOST_SURPRISE = 8.0
"""A rendering counts no worse than this, in nepers, so that a hopeless one does not decide."""
UNLIKENESS_WEIGHT = 0.5
NOISE_WEIGHT = 0.6
NOISE_FROM = 0.5
"""Deviations of people by which harmonicity may fall; beyond it a voice is hoarse, which actors' are not."""
STRANGER_WEIGHT = 1.5
PROSODY_WEIGHT = 0.15
VECTOR_WEIGHT = 0.03
DIRECTIONS = 9
PROSODY_UNITS = np.array([1.0, 4.0, 1.0, 4.0])
"""Nepers of speed, semitones, nepers of pitch range and decibels in one unit of the search."""
PROSODY_LIMITS = np.array([[-0.4, 0.3], [-1.5, 1.5], [-0.5, 0.5]])
ENERGY_LIMITS_DB = {"happy": (0.0, 6.0), "sad": (-3.0, 0.0), "angry": (0.0, 6.0), "fearful": (-3.0, 3.0)}
"""Actors' recordings were levelled and cannot say how loud a feeling is; nobody takes loud speech for sad."""
PROSODY_STEPS = np.array([0.35, 0.8, 0.4, 0.8])
FIRST_STEP = 0.3
VOICE_CORPUS = "librispeech-voices"
HARMONICITY = FEATURE_NAMES.index("harmonicity")


@dataclass(frozen=True, slots=True)
class Setting:
    """What an emotion is in a bundle.

    Attributes:
        vector: float32 [emotion_dim], unit norm.
        prosody: at intensity 1.
    """

    vector: FloatArray
    prosody: ProsodyEntry


@dataclass(frozen=True, slots=True)
class Space:
    """Settings as points: steps along directions in which acting moves emotion vectors, then four of prosody.

    Attributes:
        neutral: float32 [emotion_dim], unit norm.
        directions: float64 [directions, emotion_dim], orthonormal.
        energy_db: least and most of the emotion.
    """

    neutral: FloatArray
    directions: Floats
    energy_db: tuple[float, float]

    def setting(self, point: Floats) -> Setting:
        """Return the setting at a point, float64 [directions + 4]."""
        moved = self.neutral + point[:-4] @ self.directions
        controls = np.clip(point[-4:-1], *PROSODY_LIMITS.T) * PROSODY_UNITS[:-1]
        speed, shift, spread = (float(value) for value in controls)
        energy_db = float(np.clip(point[-1] * PROSODY_UNITS[-1], *self.energy_db))
        prosody = ProsodyEntry(
            round(float(np.exp(speed)), 3), round(shift, 3), round(float(np.exp(spread)), 3), round(energy_db, 3)
        )
        return Setting(np.asarray(moved / np.linalg.norm(moved), dtype=np.float32), prosody)

    def point(self, setting: Setting) -> Floats:
        """Return the point nearest to a setting, float64 [directions + 4]."""
        moved = setting.vector / float(setting.vector @ self.neutral) - self.neutral
        prosody = setting.prosody
        values = (np.log(prosody.speed), prosody.pitch_shift_semitones, np.log(prosody.pitch_range), prosody.energy_db)
        return np.concatenate((self.directions @ moved, np.array(values) / PROSODY_UNITS))


def acted_directions(vectors: Floats, speakers: Sequence[str], tags: Sequence[str]) -> Floats:
    """Find the main directions between each actor's neutral and acted emotion vectors.

    Args: vectors: float64 [recordings, emotion_dim].
    Returns: float64 [at most ``DIRECTIONS``, emotion_dim], orthonormal.
    """
    who, how = np.array(speakers), np.array(tags)
    moves = [
        vectors[(who == speaker) & (how == tag)].mean(axis=0)
        - vectors[(who == speaker) & (how == NEUTRAL)].mean(axis=0)
        for speaker in sorted(set(speakers))
        for tag in sorted(set(tags) - {NEUTRAL})
        if ((who == speaker) & (how == tag)).any() and ((who == speaker) & (how == NEUTRAL)).any()
    ]
    return np.asarray(np.linalg.svd(np.stack(moves), full_matrices=False)[2][:DIRECTIONS], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Judges:
    """What people do, from half of the actors.

    Attributes:
        classifiers: of different shrinkage; their mean decides.
        shifts: tag -> float64 [features], mean difference to neutral over deviations.
        scale: float64 [features], those deviations.
        whitening: float64 [features, features]; unlikeness is the length of a difference times it.
    """

    classifiers: tuple[EmotionClassifier, ...]
    shifts: dict[str, Floats]
    scale: Floats
    whitening: Floats

    def surprise(self, relative: Floats, tag: str) -> float:
        """Return how unlikely renderings [renderings, features] are to be heard as ``tag``, nepers, at least 0."""
        heard = np.mean([one.probabilities(relative)[:, one.emotions.index(tag)] for one in self.classifiers], axis=0)
        return float(np.minimum(-np.log(heard + 1e-12), MOST_SURPRISE).mean())

    def unlikeness(self, relative: Floats, tag: str) -> float:
        """Return how far the mean of renderings lies from people's, in deviations of people."""
        return float(np.linalg.norm(self.whitening @ (relative.mean(axis=0) / self.scale - self.shifts[tag])))


def judges_of(acted: Acted, actors: Sequence[str] = ACTORS) -> Judges:
    """Train the judges on some of the actors; raises TrainingError when they acted fewer than two emotions."""
    kept = np.isin(np.array(acted.speakers), actors)
    relative, tags = acted.relative[kept], np.array(acted.tags)[kept]
    classifiers = tuple(train(relative, tags.tolist(), shrinkage) for shrinkage in SHRINKAGES)
    scale = classifiers[0].scale
    shifts = {str(tag): relative[tags == tag].mean(axis=0) / scale for tag in sorted(set(tags.tolist()))}
    inner = np.concatenate([relative[tags == tag] / scale - shift for tag, shift in shifts.items()])
    covariance = inner.T @ inner / len(inner)
    covariance = 0.7 * covariance + 0.3 * np.diag(np.diag(covariance))
    return Judges(classifiers, shifts, scale, np.linalg.inv(np.linalg.cholesky(covariance)))


class Trial:
    """Speaks with voices that the evaluation does not use, and says how good a setting is."""

    def __init__(self, synthesizer: Synthesizer, judges: Judges, voices: Sequence[FloatArray]) -> None:
        """Speak neutrally once.

        Args: voices: speaker vectors, float32 [speaker_dim] each; each speaks one pair of ``SENTENCES``.
        """
        self._synthesizer, self._judges = synthesizer, judges
        self._neutral = synthesizer.bundle.vectors().emotions[NEUTRAL]
        self._lines = [
            (voice, text) for index, voice in enumerate(voices) for text in SENTENCES[index % len(SENTENCES)]
        ]
        spoken = [self._say(voice, text, self._neutral, NATURAL_PROSODY) for voice, text in self._lines]
        self._base = [features(samples) for samples in spoken]
        self._owners = [synthesizer.clone(samples) for samples in spoken]

    def _say(self, voice: FloatArray, text: str, emotion: FloatArray, prosody: Prosody) -> FloatArray:
        return self._synthesizer.say(SpeechRequest(text, prosody=prosody), voice, emotion).samples

    def cost(self, setting: Setting, tag: str) -> float:
        """Return what is wrong with a setting: not recognized, unlike people, hoarse, another's voice."""
        total, everything, cosines = 0.0, [], []
        for intensity, weight in INTENSITIES.items():
            emotion = blended_emotion(self._neutral, setting.vector, intensity)
            prosody = combined_prosody(NATURAL_PROSODY, setting.prosody, intensity)
            spoken = [self._say(voice, text, emotion, prosody) for voice, text in self._lines]
            relative = np.stack([features(one) - base for one, base in zip(spoken, self._base, strict=True)])
            cosines += [
                float(self._synthesizer.clone(one) @ owner) for one, owner in zip(spoken, self._owners, strict=True)
            ]
            total += weight * self._judges.surprise(relative, tag)
            everything.append(relative)
        rows = np.concatenate(everything)
        hoarse = np.maximum(0.0, -rows[:, HARMONICITY] / self._judges.scale[HARMONICITY] - NOISE_FROM)
        return (
            total
            + UNLIKENESS_WEIGHT * self._judges.unlikeness(rows, tag)
            + NOISE_WEIGHT * float(np.square(hoarse).mean())
            + STRANGER_WEIGHT * (1.0 - float(np.mean(cosines)))
        )


def restraint(point: Floats) -> float:
    """Return the price of going far, so that of equal settings the plainest wins."""
    return float(VECTOR_WEIGHT * np.square(point[:-4]).sum() + PROSODY_WEIGHT * np.square(0.7 * point[-4:]).sum())


def calibrated(trial: Trial, space: Space, start: Setting, tag: str, generations: int) -> tuple[Setting, float, float]:
    """Search for a better setting of an emotion.

    Returns: the setting; cost at the start and there, restraint included.
    """
    first = space.point(start)

    def cost(point: Floats) -> float:
        return trial.cost(space.setting(point), tag) + restraint(point)

    steps = FIRST_STEP * np.concatenate((np.ones(len(first) - 4), PROSODY_STEPS))
    found = lowest(cost, first, steps, generations)
    return space.setting(found.point), cost(first), found.value


def other_voices(pack: Pack, synthesizer: Synthesizer, count: int = 6) -> list[FloatArray]:
    """Clone speakers of whom the pack has one recording each, low and high voices alike.

    Raises: TrainingError: the pack holds too few.
    """
    clips = sorted((clip for clip in pack.clips if clip.corpus == VOICE_CORPUS), key=lambda c: text_fraction(c.key))
    if len(clips) < count:
        raise TrainingError(f"the pack holds {len(clips)} recordings of {VOICE_CORPUS}; calibration needs {count}")
    samples = [pack.samples(clip) for clip in clips[: 4 * count]]
    ordered = sorted(samples, key=lambda one: prosodics(one).pitch_semitones)
    return [synthesizer.clone(ordered[index]) for index in np.linspace(0, len(ordered) - 1, count).round().astype(int)]
