"""Log-mel spectrogram in numpy, the one analysis shared by training, voices and evaluation.

Analysis of HiFi-GAN (Kong et al. 2020, arXiv 2010.05646): reflect-padded frames, periodic Hann window, magnitude
``sqrt(re^2 + im^2 + 1e-9)``, mel filters with the Slaney scale and area normalization (Slaney, Auditory Toolbox,
technical report 1998-010, section "mfcc"), natural logarithm of the magnitude clipped from below.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from emotirt.errors import InvalidAudio
from emotirt.types import FloatArray

MAGNITUDE_EPSILON = 1e-9  # added under the square root, as in HiFi-GAN's analysis

# Slaney's mel scale: linear up to 1 kHz (3 mel per 200 Hz), then 27 steps for each factor of 6.4.
_LINEAR_HZ_PER_MEL = 200.0 / 3.0
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0


@dataclass(frozen=True, slots=True)
class MelConfig:
    """Log-mel analysis.

    Attributes:
        sample_rate_hz: audio rate.
        n_mels: mel channels.
        fft_samples: FFT size.
        hop_samples: samples per frame.
        window_samples: Hann window length.
        low_hz: lowest filter edge.
        high_hz: highest filter edge.
        log_floor: magnitudes are clipped to it before the natural logarithm.
    """

    sample_rate_hz: int = 16_000
    n_mels: int = 80
    fft_samples: int = 1024
    hop_samples: int = 256
    window_samples: int = 1024
    low_hz: float = 0.0
    high_hz: float = 8_000.0
    log_floor: float = 1e-5


DEFAULT_MEL = MelConfig()


def mel_filterbank(
    sample_rate_hz: int = 16_000,
    fft_samples: int = 1024,
    n_mels: int = 80,
    low_hz: float = 0.0,
    high_hz: float = 8_000.0,
) -> FloatArray:
    """Compute triangular mel filters of equal area.

    Returns: float32 [n_mels, fft_samples // 2 + 1], weights of the magnitude bins.
    """
    bins_hz = np.linspace(0.0, sample_rate_hz / 2.0, fft_samples // 2 + 1)
    edges_mel = np.linspace(_mel_from_hz(low_hz), _mel_from_hz(high_hz), n_mels + 2)
    edges_hz = _hz_from_mel(edges_mel)
    left, centre, right = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rising = (bins_hz - left) / (centre - left)
    falling = (right - bins_hz) / (right - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    weights: FloatArray = (triangles * (2.0 / (right - left))).astype(np.float32)
    return weights


def log_mel(samples: FloatArray, config: MelConfig = DEFAULT_MEL) -> FloatArray:
    """Compute the log-mel spectrogram of a mono signal.

    Args:
        samples: float32 [samples] in [-1, 1] at the configured rate, at least one hop long.
        config: the analysis.

    Returns: float32 [n_mels, samples // hop_samples], natural logarithm.
    Raises: InvalidAudio: fewer samples than one hop, or not one-dimensional.
    """
    magnitude = magnitude_spectrogram(samples, config)
    filters = _cached_filterbank(config)
    mel: FloatArray = np.log(np.maximum(filters @ magnitude.T, config.log_floor)).astype(np.float32)
    return mel


def magnitude_spectrogram(samples: FloatArray, config: MelConfig = DEFAULT_MEL) -> FloatArray:
    """Compute the linear magnitude spectrogram behind ``log_mel``.

    Returns: float32 [samples // hop_samples, fft_samples // 2 + 1].
    Raises: InvalidAudio: fewer samples than one hop, or not one-dimensional.
    """
    if samples.ndim != 1 or len(samples) < config.hop_samples:
        raise InvalidAudio(
            f"log-mel analysis needs mono audio of at least {config.hop_samples} samples, got shape {samples.shape}"
        )
    edge = (config.fft_samples - config.hop_samples) // 2
    padded = np.pad(samples.astype(np.float32, copy=False), edge, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, config.fft_samples)[:: config.hop_samples]
    spectrum = np.fft.rfft(frames * _window(config.fft_samples, config.window_samples), axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    magnitude: FloatArray = np.sqrt(power + MAGNITUDE_EPSILON).astype(np.float32)
    return magnitude


def frame_count(sample_count: int, config: MelConfig = DEFAULT_MEL) -> int:
    """Return how many frames ``log_mel`` gives for a number of samples."""
    return sample_count // config.hop_samples


def hann_window(window_samples: int) -> FloatArray:
    """Return the periodic Hann window, float32 [window_samples]."""
    phase = 2.0 * np.pi * np.arange(window_samples) / window_samples
    window: FloatArray = (0.5 - 0.5 * np.cos(phase)).astype(np.float32)
    return window


@lru_cache(maxsize=8)
def _cached_filterbank(config: MelConfig) -> FloatArray:
    return mel_filterbank(config.sample_rate_hz, config.fft_samples, config.n_mels, config.low_hz, config.high_hz)


@lru_cache(maxsize=8)
def _window(fft_samples: int, window_samples: int) -> FloatArray:
    before = (fft_samples - window_samples) // 2
    return np.pad(hann_window(window_samples), (before, fft_samples - window_samples - before))


def _mel_from_hz(hz: float) -> float:
    if hz < _BREAK_HZ:
        return hz / _LINEAR_HZ_PER_MEL
    return float(_BREAK_MEL + np.log(hz / _BREAK_HZ) / _LOG_STEP)


def _hz_from_mel(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = mel * _LINEAR_HZ_PER_MEL
    logarithmic = _BREAK_HZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, linear, logarithmic)
