"""Voice and emotion vectors of a bundle, and the prosody that each emotion still needs, from recordings.

A voice is the mean of its own reference vectors. An emotion is the mean over the actors of EMO-DB. What acting does to
pitch, range, energy and rate is measured per actor against the same actor's neutral; what the emotion vector alone
makes the model do is measured too, and the rest becomes the emotion's explicit prosody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emotirt.models.acoustic import ENERGY_SCALE_DB, PITCH_SCALE_SEMITONES, AcousticModel
from emotirt.models.reference import ReferenceEncoder
from emotirt.text.symbols import factors
from emotirt.training.features import DeviceData, TokenTargets
from emotirt.training.sampling import References
from emotirt.types import FloatArray, Prosody

ACTED_CORPUS = "emodb"
NEUTRAL = "neutral"
DRAWS = 96
SHIFT_LIMIT_SEMITONES = 6.0
RANGE_LIMITS = (0.6, 1.8)
ENERGY_LIMIT_DB = 8.0
SPEED_LIMITS = (0.7, 1.4)


@dataclass(frozen=True, slots=True)
class Shift:
    """Difference to neutral speech.

    Attributes:
        pitch_semitones: of the mean.
        range_ratio: of the standard deviation of pitch.
        energy_db: of the mean.
        rate_ratio: of phones per second.
    """

    pitch_semitones: float
    range_ratio: float
    energy_db: float
    rate_ratio: float


@torch.no_grad()
def mean_vectors(
    data: DeviceData, reference: ReferenceEncoder, keys: Sequence[tuple[str, str]], seed: int = 5
) -> tuple[FloatArray, FloatArray]:
    """Average the vectors of ``DRAWS`` references drawn from (speaker, emotion) keys.

    Returns: speaker [256] and emotion [256], unit norm.
    """
    rng = np.random.default_rng(seed)
    splits = np.array([clip.split for clip in data.clips])
    allowed = np.flatnonzero((splits == "train") & (data.layout.frame_counts >= 20))
    references = References(data.clips, data.layout, allowed)
    drawn = [keys[index % len(keys)] for index in range(DRAWS)]
    spots, counts = references.draw(drawn, rng)
    mels = data.mels[torch.from_numpy(spots).to(data.device)].float().transpose(1, 2)
    speaker, emotion = reference(mels, torch.from_numpy(counts).to(data.device))
    return _unit_mean(speaker), _unit_mean(emotion)


def _unit_mean(vectors: Tensor) -> FloatArray:
    mean = vectors.float().mean(dim=0)
    return np.asarray((mean / mean.norm()).cpu().numpy(), dtype=np.float32)


def vowel_mask(symbols: Sequence[str]) -> NDArray[np.bool_]:
    """Mark vowels and finals, which carry pitch."""
    return np.array([factors(symbol)[1] != "-" for symbol in symbols])


def acted_shifts(data: DeviceData, targets: TokenTargets) -> dict[str, Shift]:
    """Measure each acted emotion against the same actor's neutral, averaged over actors."""
    figures: dict[tuple[str, str], list[tuple[float, float, float, float]]] = {}
    for index, clip in enumerate(data.clips):
        if clip.corpus != ACTED_CORPUS or clip.symbols is None:
            continue
        span = slice(int(data.layout.token_starts[index]), int(data.layout.token_starts[index] + len(clip.symbols)))
        vowels = vowel_mask(clip.symbols)
        phones = np.array([factors(symbol)[2] != "-" for symbol in clip.symbols])
        pitch = targets.pitch[span][vowels] * PITCH_SCALE_SEMITONES
        energy = targets.energy[span][vowels].mean() * ENERGY_SCALE_DB
        frames = float(targets.durations[span][phones].mean())
        figures.setdefault((clip.speaker, clip.emotion), []).append(
            (float(pitch.mean()), float(pitch.std()), float(energy), frames)
        )
    means = {key: np.mean(values, axis=0) for key, values in figures.items()}
    shifts = {}
    for emotion in sorted({emotion for _, emotion in means}):
        pairs = [
            (means[actor, emotion], means[actor, NEUTRAL])
            for actor in {actor for actor, _ in means}
            if (actor, emotion) in means and (actor, NEUTRAL) in means
        ]
        acted, neutral = np.array([a for a, _ in pairs]), np.array([n for _, n in pairs])
        shifts[emotion] = Shift(
            float((acted[:, 0] - neutral[:, 0]).mean()),
            float(np.exp(np.log(acted[:, 1] / neutral[:, 1]).mean())),
            float((acted[:, 2] - neutral[:, 2]).mean()),
            float(np.exp(np.log(neutral[:, 3] / acted[:, 3]).mean())),
        )
    return shifts


@torch.no_grad()
def model_shift(
    acoustic: AcousticModel, sentences: Sequence[tuple[Sequence[str], Tensor]], voices: Sequence[FloatArray],
    neutral: FloatArray, emotion: FloatArray,
) -> Shift:  # fmt: skip
    """Measure what the emotion vector alone changes in the predictions, averaged over sentences and voices."""
    rows = []
    encoder = acoustic.text_encoder
    for symbols, ids in sentences:
        vowels = torch.from_numpy(vowel_mask(symbols))
        lengths = torch.tensor([len(symbols)])
        for voice in voices:
            figures = []
            for vector in (emotion, neutral):
                tokens, mask = encoder.encode(
                    ids.unsqueeze(0), lengths, torch.from_numpy(voice)[None], torch.from_numpy(vector)[None]
                )
                predicted = encoder.predict(tokens, mask)
                pitch = predicted.pitch[0][vowels] * PITCH_SCALE_SEMITONES
                frames = predicted.log_durations[0].exp() - 1.0
                energy = predicted.energy[0][vowels].mean() * ENERGY_SCALE_DB
                figures.append((float(pitch.mean()), float(pitch.std()), float(energy), float(frames[vowels].mean())))
            (pitch_a, spread_a, energy_a, frames_a), (pitch_n, spread_n, energy_n, frames_n) = figures
            rows.append(
                (pitch_a - pitch_n, np.log(spread_a / spread_n), energy_a - energy_n, np.log(frames_n / frames_a))
            )
    pitch_mean, spread_mean, energy_mean, rate_mean = np.mean(rows, axis=0)
    return Shift(float(pitch_mean), float(np.exp(spread_mean)), float(energy_mean), float(np.exp(rate_mean)))


def remaining_prosody(wanted: Shift, made: Shift) -> Prosody:
    """Return the explicit prosody that takes what the vector makes to what acting does, within limits."""
    return Prosody(
        speed=float(np.clip(wanted.rate_ratio / made.rate_ratio, *SPEED_LIMITS)),
        pitch_shift_semitones=float(
            np.clip(wanted.pitch_semitones - made.pitch_semitones, -SHIFT_LIMIT_SEMITONES, SHIFT_LIMIT_SEMITONES)
        ),
        pitch_range=float(np.clip(wanted.range_ratio / made.range_ratio, *RANGE_LIMITS)),
        energy_db=float(np.clip(wanted.energy_db - made.energy_db, -ENERGY_LIMIT_DB, ENERGY_LIMIT_DB)),
    )


def emotion_vectors(data: DeviceData, reference: ReferenceEncoder, emotions: Sequence[str]) -> Mapping[str, FloatArray]:
    """Average each acted emotion's vector over all its actors."""
    actors = {(clip.speaker, clip.emotion) for clip in data.clips if clip.corpus == ACTED_CORPUS}
    return {
        emotion: mean_vectors(data, reference, sorted(key for key in actors if key[1] == emotion))[1]
        for emotion in emotions
    }
