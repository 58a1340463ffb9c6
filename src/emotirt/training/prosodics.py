"""What acting changes in speech, as numbers: pitch, energy, rate, pauses, and the shape of the spectrum.

The measures are the usual ones of emotion recognition (Eyben et al. 2016, the Geneva minimalistic acoustic parameter
set), computed with this package's own analysis. None of them knows the words. Level is no feature for telling emotions
apart, since the recordings of actors were levelled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotirt.audio.compare import mel_cepstra
from emotirt.audio.f0 import f0_track
from emotirt.audio.mel import log_mel, magnitude_spectrogram
from emotirt.audio.speech_span import speech_span
from emotirt.types import Audio, FloatArray

RATE_HZ = 16_000
FRAME_S = 0.016
PITCH_REFERENCE_HZ = 100.0
ACTIVE_BELOW_LOUD_DB = 25.0
SHORTEST_PAUSE_S = 0.12
NUCLEUS_DIP_DB = 2.0
"""A syllable nucleus stands out of its surroundings by so much (de Jong and Wempe 2009 take 2 dB)."""
LEAST_NUCLEUS_S = 0.1
CEPSTRA = 12

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Prosodics:
    """Prosody of one utterance.

    Attributes:
        pitch_semitones: median pitch, above 100 Hz.
        pitch_spread_semitones: standard deviation of pitch.
        energy_db: level of the active part.
        syllables_per_s: syllable nuclei a second, without pauses.
        pause_share: share of the time that is pauses.
        tilt_db: energy below 1 kHz over that above, voiced frames; less means a more pressed voice.
    """

    pitch_semitones: float
    pitch_spread_semitones: float
    energy_db: float
    syllables_per_s: float
    pause_share: float
    tilt_db: float


FEATURE_NAMES = (
    "pitch", "pitch_spread", "pitch_low", "pitch_high", "pitch_motion", "pitch_slope", "voiced_share",
    "energy_spread", "energy_motion", "syllable_rate", "pause_share", "tilt", "tilt_spread", "hammarberg",
    "centroid", "harmonicity",
    *(f"cepstrum_{order}" for order in range(1, CEPSTRA + 1)),
    *(f"cepstrum_spread_{order}" for order in range(1, CEPSTRA + 1)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Frames:
    """Per-frame measures of a trimmed utterance, all at the mel's frames."""

    mel: FloatArray
    level_db: Floats
    active: NDArray[np.bool_]
    pitch: Floats
    voiced: NDArray[np.bool_]
    power: Floats


def features(samples: FloatArray) -> Floats:
    """Measure an utterance.

    Args: samples: float32 [samples] at 16 kHz with its level as spoken; silent edges do not matter.
    Returns: float64 [40], in the order of ``FEATURE_NAMES``; finite.
    """
    frames = _frames(samples)
    pitch = frames.pitch[frames.voiced]
    pitch = pitch if len(pitch) else np.zeros(1)
    level = frames.level_db[frames.active]
    found = _prosodics(frames)
    tilt_db = _tilt_db(frames)
    low, high = np.percentile(pitch, [10, 90])
    cepstra = mel_cepstra_of(samples)[: len(frames.active)][frames.active][:, :CEPSTRA]
    values = [
        found.pitch_semitones, found.pitch_spread_semitones, low, high, _motion(frames.pitch, frames.voiced),
        _slope(frames.pitch, frames.voiced), float(frames.voiced.mean()),
        float(level.std()), _motion(frames.level_db, frames.active), found.syllables_per_s,
        found.pause_share, found.tilt_db, float(tilt_db.std()), _hammarberg_db(frames), _centroid(frames),
        float(frames.voiced.sum() / max(1, frames.active.sum())),
    ]  # fmt: skip
    return np.nan_to_num(np.concatenate((values, cepstra.mean(axis=0), cepstra.std(axis=0))))


def prosodics(samples: FloatArray) -> Prosodics:
    """Measure the prosody of an utterance, float32 [samples] at 16 kHz."""
    return _prosodics(_frames(samples))


def mel_cepstra_of(samples: FloatArray) -> Floats:
    """Mel cepstra of the trimmed utterance, float64 [frames, 13]."""
    return mel_cepstra(_trimmed(samples))


def _trimmed(samples: FloatArray) -> FloatArray:
    start, end, _ = speech_span(samples)
    kept = samples[start:end]
    return np.pad(kept, (0, max(0, RATE_HZ // 4 - len(kept))))


def _frames(samples: FloatArray) -> _Frames:
    speech = _trimmed(samples)
    mel = log_mel(speech)
    power = magnitude_spectrogram(speech).astype(np.float64) ** 2
    level_db = 10.0 * np.log10(power.sum(axis=1) + 1e-9)
    active = level_db > np.percentile(level_db, 95) - ACTIVE_BELOW_LOUD_DB
    f0_hz = f0_track(Audio(speech, RATE_HZ)).astype(np.float64)
    times = np.minimum(np.round((np.arange(mel.shape[1]) + 0.5) * FRAME_S / 0.010 - 1.7).astype(int), len(f0_hz) - 1)
    at_frames = f0_hz[np.maximum(times, 0)]
    voiced = (at_frames > 0) & active
    pitch = 12.0 * np.log2(np.where(voiced, at_frames, PITCH_REFERENCE_HZ) / PITCH_REFERENCE_HZ)
    return _Frames(mel, level_db, active, _without_octave_jumps(pitch, voiced), voiced, power)


def _without_octave_jumps(pitch: Floats, voiced: NDArray[np.bool_]) -> Floats:
    """Fold values further than 9 semitones from the utterance's median back by octaves."""
    if not voiced.any():
        return pitch
    median = float(np.median(pitch[voiced]))
    away = pitch - median
    return np.where(voiced & (np.abs(away) > 9.0), pitch - 12.0 * np.round(away / 12.0), pitch)


def _prosodics(frames: _Frames) -> Prosodics:
    pitch = frames.pitch[frames.voiced]
    pauses = _pause_frames(frames.active)
    spoken_s = max(FRAME_S, (len(frames.active) - pauses) * FRAME_S)
    tilt_db = _tilt_db(frames)
    return Prosodics(
        pitch_semitones=float(np.median(pitch)) if len(pitch) else 0.0,
        pitch_spread_semitones=float(pitch.std()) if len(pitch) else 0.0,
        energy_db=float(10.0 * np.log10((10.0 ** (frames.level_db[frames.active] / 10.0)).mean())),
        syllables_per_s=_nuclei(frames) / spoken_s,
        pause_share=pauses / len(frames.active),
        tilt_db=float(np.median(tilt_db)) if len(tilt_db) else 0.0,
    )


def _pause_frames(active: NDArray[np.bool_]) -> int:
    """Count frames in inner stretches of at least the shortest pause that are not active."""
    spots = np.flatnonzero(active)
    gaps = np.diff(spots) - 1
    return int(gaps[gaps * FRAME_S >= SHORTEST_PAUSE_S].sum())


def _nuclei(frames: _Frames) -> int:
    """Count peaks of the level between 300 Hz and 3 kHz that stand out and are voiced."""
    band = frames.power[:, round(300 / 15.625) : round(3000 / 15.625)].sum(axis=1)
    level = np.convolve(10.0 * np.log10(band + 1e-9), np.array([0.25, 0.5, 0.25]), mode="same")
    least = np.percentile(level, 95) - ACTIVE_BELOW_LOUD_DB
    count, last, valley = 0, -100, level[0]
    for index in range(1, len(level) - 1):
        valley = min(valley, level[index])
        is_peak = level[index] >= level[index - 1] and level[index] > level[index + 1] and level[index] > least
        apart = (index - last) * FRAME_S >= LEAST_NUCLEUS_S
        if is_peak and frames.voiced[index] and apart and level[index] - valley >= NUCLEUS_DIP_DB:
            count, last, valley = count + 1, index, level[index]
    return count


def _tilt_db(frames: _Frames) -> Floats:
    voiced = frames.power[frames.voiced] if frames.voiced.any() else frames.power
    low, high = voiced[:, round(80 / 15.625) : 64].sum(axis=1), voiced[:, 64 : round(5000 / 15.625)].sum(axis=1)
    return np.asarray(10.0 * np.log10((low + 1e-9) / (high + 1e-9)))


def _hammarberg_db(frames: _Frames) -> float:
    """Strongest of 0 to 2 kHz over strongest of 2 to 5 kHz (Hammarberg et al. 1980), averaged over voiced frames."""
    voiced = frames.power[frames.voiced] if frames.voiced.any() else frames.power
    low, high = voiced[:, :128].max(axis=1), voiced[:, 128:320].max(axis=1)
    return float((10.0 * np.log10((low + 1e-9) / (high + 1e-9))).mean())


def _centroid(frames: _Frames) -> float:
    """Centre of the mel magnitudes in channels, averaged over active frames."""
    weights = np.exp(frames.mel[:, frames.active].astype(np.float64))
    return float(((np.arange(len(weights))[:, None] * weights).sum(axis=0) / weights.sum(axis=0)).mean())


def _motion(values: Floats, valid: NDArray[np.bool_]) -> float:
    """Mean absolute change between neighbouring valid frames."""
    pairs = valid[1:] & valid[:-1]
    return float(np.abs(np.diff(values))[pairs].mean()) if pairs.any() else 0.0


def _slope(values: Floats, valid: NDArray[np.bool_]) -> float:
    """Change a second by a straight line through the valid frames."""
    spots = np.flatnonzero(valid)
    return float(np.polyfit(spots * FRAME_S, values[spots], 1)[0]) if len(spots) > 2 else 0.0
