"""How far one rendering is from another: signal-to-noise ratio, log-mel distance, mel cepstral distortion, pitch error.

Signals of one sentence from two precisions or backends have the same length and are compared sample by sample; a
synthesized and a human rendering differ in timing and are aligned by dynamic time warping first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotirt.audio.f0 import f0_track
from emotirt.audio.mel import DEFAULT_MEL, MelConfig, log_mel
from emotirt.errors import InvalidAudio
from emotirt.types import Audio, FloatArray

CEPSTRA = 13  # coefficients 1..13, as Kubichek 1993 ("Mel-cepstral distance measure"), who leaves out the energy c0
_DB_PER_NEPER = 10.0 / np.log(10.0)
GROSS_PITCH_SHARE = 0.2  # Rabiner et al. 1976, "A comparative performance study of several pitch detection algorithms"
SILENCE_SNR_DB = 200.0  # reported for equal signals, where the ratio is infinite


@dataclass(frozen=True, slots=True)
class PitchError:
    """Difference between two pitch tracks.

    Attributes:
        cents: root mean square over frames voiced in both, 100 cents a semitone; NaN where there is none.
        voicing_error: share of frames where only one of them is voiced.
        gross_error: share of the frames voiced in both whose pitch differs by more than 20 %, such as octave errors of
            the tracker; NaN where there is none.
        fine_cents: ``cents`` over the other frames voiced in both; NaN where there is none.
    """

    cents: float
    voicing_error: float
    gross_error: float = float("nan")
    fine_cents: float = float("nan")


def snr_db(reference: FloatArray, candidate: FloatArray) -> float:
    """Signal-to-noise ratio, the noise being ``candidate - reference``.

    Args: both float32 [samples], same length.
    Returns: decibels, 200 for equal signals.
    Raises: InvalidAudio: lengths differ.
    """
    if reference.shape != candidate.shape:
        raise InvalidAudio(f"SNR needs equal lengths, got {len(reference)} and {len(candidate)} samples")
    wanted = reference.astype(np.float64)
    noise_power = float(((candidate.astype(np.float64) - wanted) ** 2).sum())
    if noise_power == 0.0:
        return SILENCE_SNR_DB
    signal_power = float((wanted**2).sum())
    return 10.0 * float(np.log10(max(signal_power, 1e-20) / noise_power))


def log_mel_l1(reference: FloatArray, candidate: FloatArray, config: MelConfig = DEFAULT_MEL) -> float:
    """Mean absolute difference of log-mel spectrograms over the frames that both have, in nepers."""
    first, second = log_mel(reference, config), log_mel(candidate, config)
    frames = min(first.shape[1], second.shape[1])
    return float(np.abs(first[:, :frames] - second[:, :frames]).mean())


def mel_cepstral_distortion_db(
    reference: FloatArray, candidate: FloatArray, align: bool = False, config: MelConfig = DEFAULT_MEL
) -> float:
    """Mel cepstral distortion of Kubichek (1993), from the cosine transform of this package's log-mel.

    Values compare with each other only, since the spectral analysis differs between toolkits.

    Args:
        reference: float32 [samples].
        candidate: float32 [samples].
        align: warp time first; otherwise frames are paired in order, up to the shorter.
        config: the analysis.

    Returns: decibels, averaged over frame pairs.
    """
    first, second = mel_cepstra(reference, config), mel_cepstra(candidate, config)
    if align:
        pairs = warping_path(first, second)
        first, second = first[pairs[:, 0]], second[pairs[:, 1]]
    frames = min(len(first), len(second))
    distance = np.sqrt(2.0 * ((first[:frames] - second[:frames]) ** 2).sum(axis=1))
    return float(_DB_PER_NEPER * distance.mean())


def mel_cepstra(samples: FloatArray, config: MelConfig = DEFAULT_MEL) -> NDArray[np.float64]:
    """Return cepstral coefficients 1..13 of the log power mel, float64 [frames, 13]."""
    log_power = 2.0 * log_mel(samples, config).astype(np.float64).T
    channels = np.arange(config.n_mels) + 0.5
    orders = np.arange(1, CEPSTRA + 1)[:, None]
    basis = np.cos(np.pi * orders * channels / config.n_mels) / config.n_mels
    cepstra: NDArray[np.float64] = log_power @ basis.T
    return cepstra


def warping_path(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.int64]:
    """Align two feature sequences by dynamic time warping (Sakoe and Chiba 1978, symmetric steps of one).

    Args: first: [n, features]. second: [m, features].
    Returns: int64 [pairs, 2], from (0, 0) to (n - 1, m - 1).
    """
    distance = np.sqrt(((first[:, None, :] - second[None, :, :]) ** 2).sum(axis=2))
    total = _accumulated(distance)
    row, column = len(first) - 1, len(second) - 1
    pairs = [(row, column)]
    while row or column:
        steps = [(row - 1, column - 1), (row - 1, column), (row, column - 1)]
        row, column = min((step for step in steps if min(step) >= 0), key=lambda step: total[step])
        pairs.append((row, column))
    return np.array(pairs[::-1], dtype=np.int64)


def _accumulated(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum distances along the best path to every cell, one anti-diagonal at a time."""
    rows, columns = distance.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0.0
    for diagonal in range(rows + columns - 1):
        row = np.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
        column = diagonal - row
        before = np.minimum(np.minimum(total[row, column], total[row, column + 1]), total[row + 1, column])
        total[row + 1, column + 1] = distance[row, column] + before
    return total[1:, 1:]


def pitch_error(reference: Audio, candidate: Audio) -> PitchError:
    """Compare pitch tracks frame by frame, up to the shorter; the signals must share their timing."""
    first, second = f0_track(reference), f0_track(candidate)
    frames = min(len(first), len(second))
    first, second = first[:frames], second[:frames]
    both = (first > 0) & (second > 0)
    voicing_error = float(((first > 0) != (second > 0)).mean()) if frames else 0.0
    if not both.any():
        return PitchError(float("nan"), voicing_error)
    cents = 1200.0 * np.log2(second[both] / first[both])
    fine = cents[np.abs(second[both] / first[both] - 1.0) <= GROSS_PITCH_SHARE]
    fine_cents = float(np.sqrt((fine**2).mean())) if len(fine) else float("nan")
    return PitchError(float(np.sqrt((cents**2).mean())), voicing_error, 1.0 - len(fine) / len(cents), fine_cents)
