"""A pack on the training device: samples, cached log-mels and per-frame contours, gathered into batches there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from emotirt.audio.mel import MelConfig, mel_filterbank
from emotirt.models.acoustic import ENERGY_CENTER_DB, ENERGY_SCALE_DB, PITCH_CENTER_SEMITONES, PITCH_SCALE_SEMITONES
from emotirt.training.corpus import Clip, Pack

PITCH_REFERENCE_HZ = 100.0
ANALYSED_FRAMES = 20_000
WIDTH_STEP_FRAMES = 64
"""Batches are padded to multiples of it: each new shape costs cuDNN milliseconds to plan, for every convolution."""


class LogMel(torch.nn.Module):
    """Log-mel spectrogram on the device, equal to ``emotirt.audio.mel.log_mel``."""

    bank: Tensor
    window: Tensor

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        self.config = config
        bank = mel_filterbank(config.sample_rate_hz, config.fft_samples, config.n_mels, config.low_hz, config.high_hz)
        self.register_buffer("bank", torch.from_numpy(np.asarray(bank, dtype=np.float32)))
        self.register_buffer("window", torch.hann_window(config.window_samples))

    def magnitudes(self, samples: Tensor) -> Tensor:
        """Return linear magnitudes [B, fft/2+1, T] of samples [B, hop * T]."""
        edge = (self.config.fft_samples - self.config.hop_samples) // 2
        return self._spectrum(functional.pad(samples.float().unsqueeze(1), (edge, edge), mode="reflect").squeeze(1))

    def _spectrum(self, padded: Tensor) -> Tensor:
        config = self.config
        spectrum = torch.stft(
            padded, config.fft_samples, config.hop_samples, config.window_samples, self.window,
            center=False, return_complex=True,
        )  # fmt: skip
        return torch.sqrt(spectrum.real.square() + spectrum.imag.square() + 1e-9)

    def forward(self, samples: Tensor) -> Tensor:
        """Return log-mel float32 [B, n_mels, T] of samples [B, hop * T]."""
        return self._mel(self.magnitudes(samples))

    def analysed(self, padded: Tensor) -> Tensor:
        """Return log-mel float32 [B, n_mels, T] of samples that have their reflected edges already."""
        return self._mel(self._spectrum(padded))

    def _mel(self, magnitude: Tensor) -> Tensor:
        return torch.log(torch.matmul(self.bank, magnitude).clamp(min=self.config.log_floor))


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each clip's frames and tokens lie in the flat arrays; int64 numpy arrays [clips]."""

    frame_starts: NDArray[np.int64]
    frame_counts: NDArray[np.int64]
    token_starts: NDArray[np.int64]
    token_counts: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TokenTargets:
    """Flat per-token targets in clip order: ids int64, durations int64, pitch and energy float32, each [tokens]."""

    ids: NDArray[np.int64]
    durations: NDArray[np.int64]
    pitch: NDArray[np.float32]
    energy: NDArray[np.float32]


def layout_of(clips: Sequence[Clip], hop_samples: int) -> Layout:
    """Lay frames and tokens of the clips end to end; a clip without symbols has 0 tokens."""
    tokens = np.array([len(clip.symbols or ()) for clip in clips], dtype=np.int64)
    return Layout(
        np.array([clip.offset_samples // hop_samples for clip in clips], dtype=np.int64),
        np.array([clip.sample_count // hop_samples for clip in clips], dtype=np.int64),
        np.concatenate(([0], np.cumsum(tokens)[:-1])),
        tokens,
    )


def ranges(
    starts: NDArray[np.int64], counts: NDArray[np.int64], width: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Make gather indices.

    Returns: int64 [B, width] flat positions (clamped into the row on padding) and float32 mask [B, width].
    """
    start = torch.as_tensor(starts, device=device).unsqueeze(1)
    count = torch.as_tensor(counts, device=device).unsqueeze(1)
    steps = torch.arange(width, device=device).unsqueeze(0)
    return start + torch.minimum(steps, (count - 1).clamp(min=0)), (steps < count).float()


class DeviceData:
    """A pack's samples, mels and contours on a device.

    Attributes:
        audio: int16 [samples].
        mels: float16 [frames, n_mels], natural-log mel.
        pitch: float32 [frames], normalized semitones, interpolated through unvoiced frames.
        voiced: bool [frames].
        energy: float32 [frames], normalized dB.
    """

    def __init__(self, pack: Pack, f0_hz: NDArray[np.float16], config: MelConfig, device: torch.device) -> None:
        self.clips = pack.clips
        self.config = config
        self.device = device
        self.layout = layout_of(pack.clips, config.hop_samples)
        self.audio = torch.from_numpy(np.array(pack.audio)).to(device)
        self.log_mel = LogMel(config).to(device)
        self.mels, self.energy = self._mels_and_energy()
        contour, voiced = self._contours(f0_hz)
        self.pitch = torch.from_numpy(contour).to(device)
        self.voiced = torch.from_numpy(voiced).to(device)

    @torch.no_grad()
    def _mels_and_energy(self) -> tuple[Tensor, Tensor]:
        total = len(self.audio) // self.config.hop_samples
        mels = torch.empty(total, self.config.n_mels, dtype=torch.float16, device=self.device)
        energy = torch.empty(total, device=self.device)
        every = np.arange(len(self.clips))
        for picked in batches_by_length(every, self.layout.frame_counts, ANALYSED_FRAMES, np.random.default_rng(0)):
            counts = self.layout.frame_counts[picked]
            spots, mask = ranges(self.layout.frame_starts[picked], counts, int(counts.max()), self.device)
            mel = self._analysed(picked, int(counts.max())).transpose(1, 2)
            real = mask > 0
            mels[spots[real]] = mel[real].half()
            level_db = 20.0 * torch.log10(torch.linalg.vector_norm(mel.exp(), dim=2))
            energy[spots[real]] = ((level_db - ENERGY_CENTER_DB) / ENERGY_SCALE_DB)[real]
        return mels, energy

    def _analysed(self, picked: NDArray[np.int64], width: int) -> Tensor:
        """Log-mel [B, n_mels, width] of clips of at most ``width`` frames, each reflected at its own ends."""
        hop, edge = self.config.hop_samples, (self.config.fft_samples - self.config.hop_samples) // 2
        starts = torch.as_tensor(self.layout.frame_starts[picked] * hop, device=self.device).unsqueeze(1)
        last = torch.as_tensor(self.layout.frame_counts[picked] * hop - 1, device=self.device).unsqueeze(1)
        place = torch.arange(-edge, width * hop + edge, device=self.device).abs().unsqueeze(0)
        place = torch.where(place > last, 2 * last - place, place).clamp(min=0)
        return self.log_mel.analysed(self.audio[starts + place].float() / 32768.0)

    def _contours(self, f0_hz: NDArray[np.float16]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        f0 = f0_hz.astype(np.float32)
        voiced = f0 > 0
        semitones = 12.0 * np.log2(np.maximum(f0, 1.0) / PITCH_REFERENCE_HZ)
        normalized = (semitones - PITCH_CENTER_SEMITONES) / PITCH_SCALE_SEMITONES
        contour = np.zeros_like(f0)
        for start, count in zip(self.layout.frame_starts, self.layout.frame_counts, strict=True):
            spots = np.flatnonzero(voiced[start : start + count])
            if len(spots):
                contour[start : start + count] = np.interp(np.arange(count), spots, normalized[start + spots])
        return contour.astype(np.float32), voiced

    def frames(self, picked: NDArray[np.int64], step: int = 1) -> tuple[Tensor, Tensor]:
        """Gather whole mels, float32 [B, F, n_mels] zero on padding, and the mask [B, F]; ``step`` divides F."""
        counts = self.layout.frame_counts[picked]
        spots, mask = ranges(self.layout.frame_starts[picked], counts, rounded_up(int(counts.max()), step), self.device)
        return self.mels[spots].float() * mask.unsqueeze(2), mask

    def segments(self, picked: NDArray[np.int64], frames: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Gather random stretches of clips that are at least that long.

        Returns: flat frame positions int64 [B, frames] and samples float32 [B, hop * frames].
        """
        room = self.layout.frame_counts[picked] - frames
        starts = self.layout.frame_starts[picked] + (rng.random(len(picked)) * (room + 1)).astype(np.int64)
        start = torch.as_tensor(starts, device=self.device).unsqueeze(1)
        hop = self.config.hop_samples
        spots = start + torch.arange(frames, device=self.device)
        samples = self.audio[start * hop + torch.arange(frames * hop, device=self.device)].float() / 32768.0
        return spots, samples


def batches_by_length(
    picked: NDArray[np.int64], frame_counts: NDArray[np.int64], frames_per_batch: int, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Group clips of like length so that batch size times the longest stays within ``frames_per_batch``."""
    ordered = picked[np.argsort(frame_counts[picked], kind="stable")]
    batches: list[NDArray[np.int64]] = []
    current: list[int] = []
    for index in ordered.tolist():
        if current and (len(current) + 1) * int(frame_counts[index]) > frames_per_batch:
            batches.append(np.array(current, dtype=np.int64))
            current = []
        current.append(index)
    if current:
        batches.append(np.array(current, dtype=np.int64))
    rng.shuffle(batches)
    return batches


def rounded_up(count: int, step: int) -> int:
    """Return the next multiple of ``step``."""
    return -(-count // step) * step


def even_batches(
    lengths: NDArray[np.int64], frames_per_batch: int, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Group items by padded length so that every padded length has one batch size; what does not fill a batch is left.

    Items left over at one length join the next longer ones.

    Args:
        lengths: frames of each item.
        frames_per_batch: most padded frames of a batch.
        rng: shuffles the batches.

    Returns: indices into ``lengths``.
    """
    batches: list[NDArray[np.int64]] = []
    waiting: list[int] = []
    order = np.argsort(lengths, kind="stable")
    widths = -(-lengths[order] // WIDTH_STEP_FRAMES) * WIDTH_STEP_FRAMES
    for width in np.unique(widths):
        waiting.extend(order[widths == width].tolist())
        size = max(1, int(frames_per_batch // width))
        while len(waiting) >= size:
            batches.append(np.array(waiting[-size:], dtype=np.int64))
            del waiting[-size:]
    rng.shuffle(batches)
    return batches
