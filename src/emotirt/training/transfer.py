"""Gives acted feeling to voices that never acted: what actors do to spectrum, melody and rate, put on other recordings.

The only acted speech here is German. So that an emotion vector works in every voice and language, some recordings of
other speakers are trained as if they were acted: their target mel gets the change of the spectrum that acting makes,
their targets of pitch and duration the change of melody and rate, and their emotion vector comes from an actor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emotirt.audio.mel import MelConfig
from emotirt.errors import TrainingError
from emotirt.models.acoustic import PITCH_SCALE_SEMITONES
from emotirt.training.features import DeviceData
from emotirt.training.vectors import ACTED_CORPUS, NEUTRAL, Shift

SMOOTHED_CHANNELS = 9
"""Profiles are averaged over so many mel channels: harmonics that move with pitch are no change of voice quality."""
MOST_PROFILE = 1.5
"""Nepers."""
WARP_LIMITS = (0.88, 1.14)
"""Vocal tract lengths, as ratios of frequency; the range of Jaitly and Hinton 2013 is 0.9 to 1.1."""


@dataclass(frozen=True, slots=True)
class EmotionTransfer:
    """What each acted emotion does relative to the same actors' neutral.

    Attributes:
        emotions: labels in the pack.
        actors: (speaker, emotion) keys whose recordings may lend their emotion vector.
        profiles: float32 [emotions, n_mels], added to log-mels; nepers.
        pitch_shift: float32 [emotions], normalized semitones.
        pitch_range: float32 [emotions], ratio.
        rate: float32 [emotions], ratio.
    """

    emotions: tuple[str, ...]
    actors: tuple[tuple[str, str], ...]
    profiles: Tensor
    pitch_shift: Tensor
    pitch_range: Tensor
    rate: Tensor


@dataclass(frozen=True, slots=True)
class Transferred:
    """Which rows of a batch are to be felt, and how.

    Attributes:
        rows: int64 [transferred].
        kinds: int64 [transferred], index of the emotion.
        keys: (actor, emotion) of each.
    """

    rows: NDArray[np.int64]
    kinds: NDArray[np.int64]
    keys: tuple[tuple[str, str], ...]


def emotion_transfer(data: DeviceData, shifts: Mapping[str, Shift]) -> EmotionTransfer:
    """Measure the profiles on the acted corpus.

    Args:
        data: the pack.
        shifts: of ``vectors.acted_shifts``.

    Raises: TrainingError: the pack holds no acted speech.
    """
    emotions = tuple(sorted(emotion for emotion in shifts if emotion != NEUTRAL))
    keys = {
        (clip.speaker, clip.emotion) for clip in data.clips if clip.corpus == ACTED_CORPUS and clip.split == "train"
    }
    actors = tuple(sorted(key for key in keys if key[1] in emotions))
    if not actors:
        raise TrainingError(f"the pack holds no acted speech ({ACTED_CORPUS}); make it from a corpus with it")
    profiles = spectral_profiles(data, emotions)

    def column(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=data.device)

    return EmotionTransfer(
        emotions,
        actors,
        torch.from_numpy(profiles).to(data.device),
        column([shifts[one].pitch_semitones / PITCH_SCALE_SEMITONES for one in emotions]),
        column([shifts[one].range_ratio for one in emotions]),
        column([shifts[one].rate_ratio for one in emotions]),
    )


def spectral_profiles(data: DeviceData, emotions: Sequence[str]) -> NDArray[np.float32]:
    """Average, over actors, the voiced log-mel of each emotion less that of the same actor's neutral.

    Returns: float32 [emotions, n_mels], smoothed over channels, the mean over channels taken out.
    """
    sums: dict[tuple[str, str], list[NDArray[np.float64]]] = {}
    for index, clip in enumerate(data.clips):
        if clip.corpus == ACTED_CORPUS:
            start = int(data.layout.frame_starts[index])
            span = slice(start, start + int(data.layout.frame_counts[index]))
            voiced = data.voiced[span]
            if voiced.any():
                mean = data.mels[span][voiced].double().mean(dim=0).cpu().numpy()
                sums.setdefault((clip.speaker, clip.emotion), []).append(mean)
    means = {key: np.mean(values, axis=0) for key, values in sums.items()}
    rows = []
    for emotion in emotions:
        pairs = [
            means[who, how] - means[who, NEUTRAL] for who, how in means if how == emotion and (who, NEUTRAL) in means
        ]
        if not pairs:
            raise TrainingError(f"no actor of the pack speaks both {emotion!r} and {NEUTRAL!r}")
        rows.append(_smooth(np.mean(pairs, axis=0)))
    return np.stack(rows).astype(np.float32)


def _smooth(profile: NDArray[np.float64]) -> NDArray[np.float64]:
    edge = SMOOTHED_CHANNELS // 2
    even = np.convolve(np.pad(profile, edge, mode="edge"), np.ones(SMOOTHED_CHANNELS) / SMOOTHED_CHANNELS, mode="valid")
    return np.asarray(np.clip(even - even.mean(), -MOST_PROFILE, MOST_PROFILE))


def choose_rows(
    transfer: EmotionTransfer, may: NDArray[np.bool_], share: float, rng: np.random.Generator
) -> Transferred:
    """Pick rows of a batch at random, and an actor's emotion for each.

    Args:
        transfer: what there is to give.
        may: bool [B], rows of unacted recordings.
        share: of those.
        rng: decides.
    """
    rows = np.flatnonzero(may & (rng.random(len(may)) < share))
    keys = tuple(transfer.actors[index] for index in rng.integers(len(transfer.actors), size=len(rows)))
    kinds = np.array([transfer.emotions.index(emotion) for _, emotion in keys], dtype=np.int64)
    return Transferred(rows, kinds, keys)


def felt_mels(transfer: EmotionTransfer, chosen: Transferred, mels: Tensor, mask: Tensor) -> Tensor:
    """Add the profiles to the chosen rows of log-mels [B, F, n_mels]; each row keeps its energy."""
    felt = mels.clone()
    rows = torch.from_numpy(chosen.rows).to(mels.device)
    changed = mels[rows] + transfer.profiles[torch.from_numpy(chosen.kinds).to(mels.device)].unsqueeze(1)
    gain = 0.5 * (_log_energy(changed, mask[rows]) - _log_energy(mels[rows], mask[rows]))
    felt[rows] = (changed - gain[:, None, None]) * mask[rows].unsqueeze(2)
    return felt


def _log_energy(mels: Tensor, mask: Tensor) -> Tensor:
    return torch.log((torch.exp(2.0 * mels).sum(dim=2) * mask).sum(dim=1) + 1e-9)


def felt_prosody(
    transfer: EmotionTransfer, chosen: Transferred, pitch: Tensor, log_durations: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Change the predictors' targets of the chosen rows; the decoder goes on hearing the true ones.

    Args: pitch, log_durations: [B, N], as the predictors give them. mask: [B, N].
    Returns: both, changed.
    """
    rows = torch.from_numpy(chosen.rows).to(pitch.device)
    kinds = torch.from_numpy(chosen.kinds).to(pitch.device)
    own, real = pitch[rows], mask[rows]
    mean = (own * real).sum(dim=1, keepdim=True) / real.sum(dim=1, keepdim=True)
    moved = mean + (own - mean) * transfer.pitch_range[kinds, None] + transfer.pitch_shift[kinds, None]
    slower = torch.log1p(torch.expm1(log_durations[rows]) / transfer.rate[kinds, None])
    pitch, log_durations = pitch.clone(), log_durations.clone()
    pitch[rows], log_durations[rows] = moved * real, slower * real
    return pitch, log_durations


def warped(mels: Tensor, factors: Tensor, config: MelConfig) -> Tensor:
    """Stretch the frequency axis of each row, as another vocal tract would (Jaitly and Hinton 2013).

    Args:
        mels: log-mels [B, T, n_mels].
        factors: [B], 1 for no change; more moves formants up.
        config: of the analysis.

    Returns: [B, T, n_mels]; above the highest channel its value goes on.
    """
    edges = _mel(torch.tensor([config.low_hz, config.high_hz], device=mels.device))
    step = (edges[1] - edges[0]) / (config.n_mels + 1)
    centres_hz = _hz(edges[0] + step * torch.arange(1, config.n_mels + 1, device=mels.device))
    source = (_mel(centres_hz.unsqueeze(0) / factors.unsqueeze(1)) - edges[0]) / step - 1.0
    source = source.clamp(0.0, config.n_mels - 1.0)
    below = source.floor().long().clamp(max=config.n_mels - 2)
    part = (source - below).unsqueeze(1)
    index = below.unsqueeze(1).expand(-1, mels.shape[1], -1)
    return mels.gather(2, index) * (1.0 - part) + mels.gather(2, index + 1) * part


def _mel(hz: Tensor) -> Tensor:
    """Slaney's scale, as in ``audio.mel``."""
    return torch.where(hz < 1000.0, hz * 0.015, 15.0 + torch.log(hz.clamp(min=1.0) / 1000.0) * (27.0 / np.log(6.4)))


def _hz(mel: Tensor) -> Tensor:
    return torch.where(mel < 15.0, mel / 0.015, 1000.0 * torch.exp((mel - 15.0) * (np.log(6.4) / 27.0)))


def draw_factors(rows: int, share: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw warping factors, 1 for the rows that stay; float32 [rows]."""
    drawn = rng.uniform(*WARP_LIMITS, rows)
    return np.where(rng.random(rows) < share, drawn, 1.0).astype(np.float32)
