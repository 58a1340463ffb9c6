"""Whether a signal is plausibly speech at all: not silent, clipped, buzzing, hissing or cut off; no model needed."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from emotirt.audio.mel import log_mel
from emotirt.types import FloatArray

RATE_HZ = 16_000
BLOCK_SAMPLES = 160
FULL_SCALE = 0.999
FLOOR_DB = -100.0


@dataclass(frozen=True, slots=True)
class Soundness:
    """Measurements of one utterance.

    Attributes:
        duration_s: length.
        active_dbfs: RMS level of the frames within 25 dB of the loud ones.
        active_share: share of 10 ms frames within 25 dB of the loud ones.
        clipped_share: share of samples at full scale.
        level_range_db: 90th minus 10th percentile of the 10 ms levels.
        change_db: how much the spectrum's shape moves: median over mel channels of the standard deviation in time of
            the channel's level relative to its frame, in the louder half of the frames; a buzz or a hiss, even one
            that swells, hardly changes.
        flatness: mean ratio of geometric to arithmetic mean of the mel magnitudes in active frames; 1 is white.
        last_dbfs: level of the last 20 ms.
        first_step: size of the first sample, a click when large.
    """

    duration_s: float
    active_dbfs: float
    active_share: float
    clipped_share: float
    level_range_db: float
    change_db: float
    flatness: float
    last_dbfs: float
    first_step: float

    def to_dict(self) -> dict[str, float]:
        """Return plain numbers."""
        return {name: round(float(value), 4) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class SoundnessLimits:
    """What counts as speech, with margin around 223 held-out human clips of four voices.

    Their extremes: range 18.6 dB, change 6.3 dB, flatness 0.46, end 5.2 dB below the active level, first step 0.014.
    """

    least_dbfs: float = -45.0
    most_clipped_share: float = 0.001
    least_range_db: float = 12.0
    least_change_db: float = 4.0
    most_flatness: float = 0.6
    end_below_active_db: float = 4.0
    most_first_step: float = 0.05


DEFAULT_LIMITS = SoundnessLimits()


def measure(samples: FloatArray) -> Soundness:
    """Measure an utterance.

    Args:
        samples: float32 [samples] mono at 16 kHz, at least 0.1 s, finite.
    """
    count = len(samples) // BLOCK_SAMPLES
    blocks = samples[: count * BLOCK_SAMPLES].astype(np.float64).reshape(count, BLOCK_SAMPLES)
    level_db = _decibels(np.square(blocks).mean(axis=1))
    loud = level_db > np.percentile(level_db, 95) - 25.0
    mel = log_mel(samples)
    mel_db = 20.0 / np.log(10.0) * mel
    frame_level = mel_db.mean(axis=0)
    louder = frame_level >= np.median(frame_level)
    active = np.exp(mel[:, louder])
    shape_db = (mel_db - frame_level)[:, louder]
    flatness = np.exp(np.log(active).mean(axis=0)) / active.mean(axis=0)
    low, high = np.percentile(level_db, [10, 90])
    return Soundness(
        duration_s=len(samples) / RATE_HZ,
        active_dbfs=float(_decibels(np.square(blocks[loud]).mean())),
        active_share=float(loud.mean()),
        clipped_share=float((np.abs(samples) >= FULL_SCALE).mean()),
        level_range_db=float(high - low),
        change_db=float(np.median(shape_db.std(axis=1))),
        flatness=float(flatness.mean()),
        last_dbfs=float(_decibels(np.square(samples[-320:].astype(np.float64)).mean())),
        first_step=float(abs(samples[0])),
    )


def problems(samples: FloatArray, limits: SoundnessLimits = DEFAULT_LIMITS) -> tuple[str, ...]:
    """Name what keeps a signal from being speech; empty for sound speech.

    Args:
        samples: float32 [samples] mono at 16 kHz.
        limits: the bounds.
    """
    if samples.ndim != 1 or len(samples) < RATE_HZ // 10:
        return (f"too short: shape {samples.shape}",)
    if not np.isfinite(samples).all():
        return ("holds NaN or infinity",)
    found = measure(samples)
    checks = (
        (found.active_dbfs < limits.least_dbfs, f"silent: active level {found.active_dbfs:.1f} dBFS"),
        (found.clipped_share > limits.most_clipped_share, f"clipped: {found.clipped_share:.2%} of the samples"),
        (found.level_range_db < limits.least_range_db, f"steady: level range {found.level_range_db:.1f} dB"),
        (found.change_db < limits.least_change_db, f"buzz or hiss: mel channels vary by {found.change_db:.1f} dB only"),
        (found.flatness > limits.most_flatness, f"noise: spectral flatness {found.flatness:.2f}"),
        (
            found.last_dbfs > found.active_dbfs - limits.end_below_active_db,
            f"cut off: the last 20 ms have {found.last_dbfs:.1f} dBFS, the speech {found.active_dbfs:.1f}",
        ),
        (found.first_step > limits.most_first_step, f"click: first sample is {found.first_step:.3f}"),
    )
    return tuple(message for failed, message in checks if failed)


def _decibels(power: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    return np.asarray(np.maximum(10.0 * np.log10(np.maximum(power, 1e-12)), FLOOR_DB))
