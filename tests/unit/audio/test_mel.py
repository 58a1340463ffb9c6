"""The log-mel analysis: shapes, the mel scale, agreement with torch's STFT."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from emotirt.audio.mel import MelConfig, frame_count, hann_window, log_mel, mel_filterbank
from emotirt.errors import InvalidAudio


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(7).normal(0.0, 0.1, count).astype(np.float32)


@pytest.mark.parametrize("count", [256, 257, 511, 512, 1000, 16_000, 16_383])
def test_frames_are_samples_over_hop(count: int) -> None:
    mel = log_mel(noise(count))
    assert mel.shape == (80, count // 256) == (80, frame_count(count))
    assert mel.dtype == np.float32


def test_filters_have_unit_area_in_hertz() -> None:
    # Slaney: a triangle of height 2 / width has area 1; 2^16 bins make the sum a good integral.
    filters = mel_filterbank(16_000, 65_536, 80, 0.0, 8_000.0)
    assert_allclose(filters.sum(axis=1) * (16_000 / 65_536), np.ones(80), rtol=2e-3)


def test_filter_centres_follow_slaney_scale() -> None:
    # 0..8000 Hz is 0..45.245 mel; below 1 kHz (15 mel) centres are equally spaced by (45.245 / 81) * 66.67 Hz.
    top_mel = 15.0 + np.log(8.0) / (np.log(6.4) / 27.0)
    filters = mel_filterbank(16_000, 65_536, 80, 0.0, 8_000.0)
    centres_hz = filters.argmax(axis=1) * (16_000 / 65_536)
    expected_low = np.arange(1, 20) * top_mel / 81 * (200.0 / 3.0)
    assert_allclose(centres_hz[:19], expected_low, atol=0.3)
    ratios = centres_hz[40:] / centres_hz[39:-1]
    assert_allclose(ratios, np.exp(top_mel / 81 * np.log(6.4) / 27.0), rtol=1e-3)


def test_equals_torch_stft() -> None:
    torch = pytest.importorskip("torch")
    samples = noise(20_000)
    padded = torch.nn.functional.pad(torch.from_numpy(samples)[None, None], (384, 384), mode="reflect")[0, 0]
    spectrum = torch.stft(padded, 1024, 256, 1024, torch.hann_window(1024), center=False, return_complex=True)
    magnitude = torch.sqrt(spectrum.real**2 + spectrum.imag**2 + 1e-9)
    expected = torch.log(torch.clamp(torch.from_numpy(mel_filterbank()) @ magnitude, min=1e-5)).numpy()
    assert_allclose(log_mel(samples), expected, atol=2e-4)


def test_sine_lands_in_its_channel() -> None:
    time_s = np.arange(16_000) / 16_000
    mel = log_mel((0.5 * np.sin(2 * np.pi * 1000.0 * time_s)).astype(np.float32))
    filters = mel_filterbank()
    assert abs(int(mel[:, 30].argmax()) - int(filters[:, 64].argmax())) <= 1


def test_silence_is_at_the_floor_of_the_epsilon() -> None:
    mel = log_mel(np.zeros(4096, dtype=np.float32))
    assert np.isfinite(mel).all()
    assert mel.max() < np.log(1e-3)


def test_window_is_periodic() -> None:
    window = hann_window(8)
    assert window[0] == 0.0
    assert_allclose(window[4], 1.0)
    assert_allclose(window[1:4], window[:4:-1])


def test_other_configs_change_the_shape() -> None:
    config = MelConfig(n_mels=40, fft_samples=512, hop_samples=128, window_samples=400)
    assert log_mel(noise(1280), config).shape == (40, 10)


@pytest.mark.parametrize("samples", [np.zeros(255, np.float32), np.zeros((2, 4000), np.float32)])
def test_unusable_audio_is_named(samples: np.ndarray) -> None:
    with pytest.raises(InvalidAudio, match="at least 256 samples"):
        log_mel(samples)
