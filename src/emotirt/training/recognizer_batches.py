"""Batches for the phoneme recognizer: which clips, joined how, and what is done to their spectra.

All samples lie on the device as int16; a batch is gathered, analysed and augmented there. Isolated words and syllables
are joined into phrases of one speaker. Everything is human speech.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emotirt.audio.mel import DEFAULT_MEL
from emotirt.training.corpus import Clip, Pack
from emotirt.training.features import WIDTH_STEP_FRAMES, LogMel, even_batches, rounded_up
from emotirt.training.recognizer_tokens import LANGUAGES, ids_from_symbols, steps_needed

HOP = DEFAULT_MEL.hop_samples
RATE_HZ = DEFAULT_MEL.sample_rate_hz
SHARES = {
    "kathleen": 0.22, "ljspeech": 0.14, "speechocean762": 0.18,
    "aishell": 0.27, "cmn-words": 0.15, "cmn-syllables": 0.04,
}  # fmt: skip
"""Share of the training seconds; sentences like those that are scored weigh most."""
OTHER_SHARE = 0.1
ISOLATED = frozenset({"cmn-words", "cmn-syllables"})
LONGEST_S = 16.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One training sequence: stretches of the pack, joined.

    Attributes:
        starts: first sample of each stretch in the pack.
        counts: samples of each stretch.
        labels: int64 [tokens].
        tempo: factor of speed, pitch unchanged.
        frames: frames after the change of tempo.
    """

    starts: tuple[int, ...]
    counts: tuple[int, ...]
    labels: NDArray[np.int64]
    tempo: float
    frames: int


def fitted(starts: Sequence[int], counts: Sequence[int], labels: NDArray[np.int64], tempo: float) -> Sample | None:
    """Make a sample, slowed as far as CTC needs to write its labels in 32 ms steps; None when it never fits."""
    frames_now = sum(counts) // HOP
    needed = 2 * steps_needed(labels) + 2
    tempo = min(tempo, frames_now / needed)
    if tempo < 0.6 or frames_now < 8:
        return None
    return Sample(tuple(starts), tuple(counts), labels, tempo, max(needed, round(frames_now / tempo)))


class Source:
    """Draws samples from the labelled clips of a split, by each corpus's share of the seconds."""

    def __init__(self, clips: Sequence[Clip], rng: np.random.Generator) -> None:
        self.rng = rng
        self.clips: dict[str, list[Clip]] = {}
        self.labels = {clip.key: ids_from_symbols(clip.symbols or ()) for clip in clips}
        for clip in clips:
            self.clips.setdefault(clip.corpus, []).append(clip)
        self.shares = {corpus: SHARES.get(corpus, OTHER_SHARE) for corpus in self.clips}
        self.spoken_s = dict.fromkeys(self.clips, 0.0)
        self.waiting: dict[str, list[Clip]] = {corpus: [] for corpus in self.clips}

    def _next(self, corpus: str) -> Clip:
        if not self.waiting[corpus]:
            clips = self.clips[corpus]
            self.waiting[corpus] = [clips[index] for index in self.rng.permutation(len(clips))]
        return self.waiting[corpus].pop()

    def draw(self) -> Sample | None:
        """Draw one sample from the corpus that lags behind its share most; None when the draw cannot be used."""
        corpus = min(self.clips, key=lambda name: self.spoken_s[name] / self.shares[name])
        sample = self._phrase(corpus) if corpus in ISOLATED else self._sentence(corpus)
        self.spoken_s[corpus] += 1.0 if sample is None else sample.frames * HOP / RATE_HZ
        return sample

    def _sentence(self, corpus: str) -> Sample | None:
        clips = [self._next(corpus)]
        if self.rng.random() < 0.15:
            mate = self._next(corpus)
            if mate.speaker == clips[0].speaker and mate.sample_count + clips[0].sample_count < LONGEST_S * RATE_HZ:
                clips.append(mate)
        tempo = float(np.clip(self.rng.normal(1.0, 0.09), 0.8, 1.25))
        labels = np.concatenate([self.labels[clip.key] for clip in clips])
        return fitted([clip.offset_samples for clip in clips], [clip.sample_count for clip in clips], labels, tempo)

    def _phrase(self, corpus: str) -> Sample | None:
        """Join words of one speaker, with their silent edges cut short, and hurry them as fluent speech does."""
        target_s = self.rng.uniform(0.5, 6.0)
        starts: list[int] = []
        counts: list[int] = []
        labels: list[NDArray[np.int64]] = []
        while sum(counts) < target_s * RATE_HZ and len(starts) < 16:
            clip = self._next(corpus)
            before, after = (int(self.rng.uniform(0.0, edge_s) * RATE_HZ) for edge_s in (0.07, 0.13))
            if clip.sample_count - before - after > 0.2 * RATE_HZ:
                starts.append(clip.offset_samples + before)
                counts.append(clip.sample_count - before - after)
                labels.append(self.labels[clip.key])
        return fitted(starts, counts, np.concatenate(labels), float(self.rng.uniform(0.9, 1.7)))

    def batches(self, batch_s: float) -> Iterator[list[Sample]]:
        """Yield batches of like lengths without end; padded length is at most about ``batch_s`` seconds."""
        limit = batch_s * RATE_HZ / HOP
        while True:
            pool: list[Sample] = []
            while sum(sample.frames for sample in pool) < 24 * limit:
                sample = self.draw()
                if sample is not None and sample.frames < LONGEST_S * 1.3 * RATE_HZ / HOP:
                    pool.append(sample)
            for batch in even_batches(np.array([sample.frames for sample in pool]), int(limit), self.rng):
                yield [pool[index] for index in batch]


def labelled(clips: Sequence[Clip], split: str) -> list[Clip]:
    """Return the clips of a split that have phonemes, not heard ones, in a language the recognizer writes."""
    return [
        clip
        for clip in clips
        if clip.split == split and clip.symbols and not clip.heard and clip.language in LANGUAGES
        and clip.sample_count < LONGEST_S * RATE_HZ and len(ids_from_symbols(clip.symbols)) > 0
    ]  # fmt: skip


class Analyser:
    """Gathers and analyses samples on the device.

    Attributes:
        device: where.
        seed: of the augmentation.
    """

    def __init__(self, pack: Pack, device: torch.device, seed: int = 0) -> None:
        self.device = device
        self.audio = torch.from_numpy(np.array(pack.audio)).to(device)
        self.spectrum = LogMel(DEFAULT_MEL).to(device)
        self.generator = torch.Generator(device=device).manual_seed(seed)

    def magnitudes(self, samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
        """Analyse without changing anything but joins.

        Returns: float32 [B, F, 513] and int64 [B] frames before the change of tempo.
        """
        rows, starts, counts, places = [], [], [], []
        for row, sample in enumerate(samples):
            place = 0
            for start, count in zip(sample.starts, sample.counts, strict=True):
                rows.append(row)
                starts.append(start)
                counts.append(count)
                places.append(place)
                place += count
        totals = torch.tensor([sum(sample.counts) // HOP for sample in samples], device=self.device)
        width = rounded_up(max(sum(sample.counts) for sample in samples) // HOP + 1, WIDTH_STEP_FRAMES) * HOP
        table = torch.tensor([rows, starts, counts, places], device=self.device)
        wave = torch.zeros(len(samples) * width, device=self.device)
        stretch = torch.repeat_interleave(torch.arange(len(rows), device=self.device), table[2])
        within = torch.arange(len(stretch), device=self.device) - (table[2].cumsum(0) - table[2])[stretch]
        wave[(table[0] * width + table[3])[stretch] + within] = self.audio[table[1][stretch] + within].float() / 32768.0
        return self.spectrum.magnitudes(wave.reshape(len(samples), width)).transpose(1, 2), totals

    def augmented(self, samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
        """Analyse with changed tempo, pitch and vocal tract, level, tilt and noise.

        Returns: float32 [B, F, 513] and int64 [B] frames.
        """
        magnitude, before = self.magnitudes(samples)
        frames = torch.tensor([sample.frames for sample in samples], device=self.device)
        magnitude = self._retimed(magnitude, before, frames)
        magnitude = self._reshaped(magnitude)
        return self._noised(magnitude), frames

    def _random(self, *shape: int) -> Tensor:
        return torch.rand(*shape, device=self.device, generator=self.generator)

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, device=self.device, generator=self.generator)

    def _retimed(self, magnitude: Tensor, before: Tensor, frames: Tensor) -> Tensor:
        ratio = (before.float() / frames.float()).unsqueeze(1)
        width = rounded_up(int(frames.max()), WIDTH_STEP_FRAMES)
        steps = torch.arange(width, device=self.device).unsqueeze(0)
        place = torch.minimum((steps + 0.5) * ratio - 0.5, (before - 1).float().unsqueeze(1)).clamp(min=0.0)
        low = place.floor().long()
        high = torch.minimum(low + 1, (before - 1).unsqueeze(1))
        share = (place - low).unsqueeze(2)
        row = torch.arange(len(before), device=self.device).unsqueeze(1)
        return magnitude[row, low] * (1.0 - share) + magnitude[row, high] * share

    def _reshaped(self, magnitude: Tensor) -> Tensor:
        """Stretch the frequency axis (pitch and formants together), tilt and scale."""
        batch, _, bins = magnitude.shape
        factor = (1.0 + 0.06 * self._normal(batch, 1)).clamp(0.84, 1.19)
        place = (torch.arange(bins, device=self.device).unsqueeze(0) / factor).clamp(max=bins - 1.001)
        low = place.floor().long()
        share = (place - low).unsqueeze(1)
        index = low.unsqueeze(1).expand(-1, magnitude.shape[1], -1)
        warped = magnitude.gather(2, index) * (1.0 - share) + magnitude.gather(2, index + 1) * share
        tilt_db = self._normal(batch, 1) * 4.0 * torch.linspace(-1.0, 1.0, bins, device=self.device)
        gain_db = self._normal(batch, 1) * 4.0
        return warped * torch.pow(10.0, (tilt_db + gain_db) / 20.0).unsqueeze(1)

    def _noised(self, magnitude: Tensor) -> Tensor:
        """Add noise of random colour, 10 to 50 dB below the speech, to four sequences in five."""
        batch, frames, bins = magnitude.shape
        level = magnitude.square().mean(dim=(1, 2)).sqrt().reshape(-1, 1, 1)
        below_db = 10.0 + 40.0 * self._random(batch, 1, 1)
        colour_db = -(self._random(batch, 1, 1) * 8.0) * torch.log2(torch.arange(bins, device=self.device) / 16.0 + 1.0)
        colour = torch.pow(10.0, colour_db / 20.0)
        colour = colour / colour.square().mean(dim=2, keepdim=True).sqrt()
        rayleigh = torch.sqrt(-torch.log(1.0 - self._random(batch, frames, bins) * 0.99999))
        used = (self._random(batch, 1, 1) < 0.8).float()
        noise = used * level * torch.pow(10.0, -below_db / 20.0) * colour * rayleigh
        return torch.sqrt(magnitude.square() + noise.square())


def hide_parts(features: Tensor, frames: Tensor, n_mels: int) -> Tensor:
    """Blank random stretches of time and bands of mel, and sometimes the pitch (Park et al. 2019, arXiv 1904.08779).

    Args:
        features: float32 [B, F, n_mels + pitch]; changed copies are returned.
        frames: int64 [B].
        n_mels: mel channels, first in the features.

    Returns: the features with blanks of 0, their mean.
    """
    batch, length, width = features.shape
    device = features.device
    steps, bands = torch.arange(length, device=device), torch.arange(n_mels, device=device)
    keep = torch.ones(batch, length, device=device)
    for index in range(10):
        size = torch.rand(batch, 1, device=device) * 9.0
        start = torch.rand(batch, 1, device=device) * frames.unsqueeze(1)
        used = frames.unsqueeze(1) > 30 * (index + 1)
        keep = keep * (1.0 - ((steps >= start) & (steps < start + size) & used).float())
    keep_bands = torch.ones(batch, n_mels, device=device)
    for _ in range(2):
        size = torch.rand(batch, 1, device=device) * 14.0
        start = torch.rand(batch, 1, device=device) * (n_mels - size)
        keep_bands = keep_bands * (1.0 - ((bands >= start) & (bands < start + size)).float())
    keep_pitch = (torch.rand(batch, 1, device=device) >= 0.06).float().expand(-1, width - n_mels)
    return features * keep.unsqueeze(2) * torch.cat((keep_bands, keep_pitch), dim=1).unsqueeze(1)
