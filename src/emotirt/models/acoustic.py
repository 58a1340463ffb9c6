"""The acoustic model: phonemes, speaker and emotion to a mel, cut in two where the length becomes data."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from emotirt.models.config import AcousticConfig, LinearVariances
from emotirt.models.layers import BlockStack, VariancePredictor, gaussian_upsample, mask_from_lengths
from emotirt.text.symbols import factors

PITCH_CENTER_SEMITONES = 9.0
"""Pitch is in semitones above 100 Hz; networks see (pitch - center) / scale."""
PITCH_SCALE_SEMITONES = 6.0
ENERGY_CENTER_DB = 0.0
"""Energy is 20 log10 of the L2 norm of a frame's mel magnitudes; networks see (energy - center) / scale."""
ENERGY_SCALE_DB = 12.0
LOG_PER_SEMITONE = math.log(2.0) / 12.0
LOG_PER_DB = math.log(10.0) / 20.0
MEAN_LOG_MEL = -5.0
"""Where the decoder's output starts before training; about the mean of speech."""


class Variances(NamedTuple):
    """Per-token values, each [B, N].

    log_durations: log(1 + frames); pitch: normalized semitones; energy: normalized dB.
    """

    log_durations: Tensor
    pitch: Tensor
    energy: Tensor


class SymbolEmbedding(nn.Module):
    """Embed symbols as the sum of their own, base phone, tone or stress, and language parts.

    Sharing parts lets rare toned finals learn from common ones; ``fold`` sums them into one table for export. Without
    ``factored`` there is only their own part.
    """

    def __init__(self, symbols: tuple[str, ...], hidden: int, factored: bool = True) -> None:
        super().__init__()
        self.own = nn.Embedding(len(symbols), hidden)
        nn.init.normal_(self.own.weight, std=0.3)
        self.parts = nn.ModuleList()
        for part in range(3 if factored else 0):
            names = [factors(symbol)[part] for symbol in symbols]
            kinds = sorted(set(names))
            self.register_buffer(f"index_{part}", torch.tensor([kinds.index(name) for name in names]), persistent=False)
            self.parts.append(nn.Embedding(len(kinds), hidden))
        self.register_buffer("table", None)

    def full_table(self) -> Tensor:
        """Return the summed table [symbols, hidden]."""
        total = self.own.weight
        for part, embedding in enumerate(self.parts):
            total = total + embedding(getattr(self, f"index_{part}"))
        return total

    def fold(self) -> None:
        """Sum the parts once, so that exported graphs hold a single table."""
        self.table = self.full_table().detach().clone()

    def forward(self, ids: Tensor) -> Tensor:
        """Embed ids [B, N] to [B, N, C]."""
        return nn.functional.embedding(ids, self.full_table() if self.table is None else self.table)


class TextEncoder(nn.Module):
    """Stage ``text_encoder``: phonemes and controls to hidden tokens and their durations."""

    def __init__(self, config: AcousticConfig) -> None:
        super().__init__()
        hidden = config.encoder.hidden
        padding = (config.variance_embed_kernel - 1) // 2
        self.linear = config.linear_variances
        self.whole_durations = config.whole_durations
        self.embedding = SymbolEmbedding(config.symbols, hidden, config.factored_symbols)
        self.stack = BlockStack(config.encoder)
        self.speaker = nn.Linear(config.speaker_dim, hidden) if config.projected_vectors else nn.Identity()
        self.emotion = nn.Linear(config.emotion_dim, hidden) if config.projected_vectors else nn.Identity()
        vectors = 2 * hidden if config.projected_vectors else config.speaker_dim + config.emotion_dim
        self.merge = nn.Linear(hidden + vectors + config.content_dim, hidden)
        self.duration_predictor = VariancePredictor(hidden, config.duration)
        self.pitch_predictor = VariancePredictor(hidden, config.pitch)
        self.energy_predictor = VariancePredictor(hidden, config.energy)
        self.pitch_embed = nn.Conv1d(1, hidden, config.variance_embed_kernel, padding=padding)
        self.energy_embed = nn.Conv1d(1, hidden, config.variance_embed_kernel, padding=padding)

    def encode(
        self, ids: Tensor, lengths: Tensor, speaker: Tensor, emotion: Tensor, content: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return conditioned tokens [B, N, C] and the token mask [B, N]."""
        mask = mask_from_lengths(lengths, torch.arange(ids.shape[1], device=ids.device))
        tokens = self.stack(self.embedding(ids) * mask.unsqueeze(2), mask)
        vectors = (self.speaker(speaker), self.emotion(emotion), *(() if content is None else (content,)))
        spread = (vector.unsqueeze(1).expand(-1, ids.shape[1], -1) for vector in vectors)
        merged = self.merge(torch.cat((tokens, *spread), dim=2))
        return merged * mask.unsqueeze(2), mask

    def predict(self, tokens: Tensor, mask: Tensor) -> Variances:
        """Predict durations, pitch and energy."""
        return Variances(
            self.duration_predictor(tokens, mask),
            self.pitch_predictor(tokens, mask),
            self.energy_predictor(tokens, mask),
        )

    def add_variances(self, tokens: Tensor, mask: Tensor, pitch: Tensor, energy: Tensor) -> Tensor:
        """Add embedded pitch and energy (normalized, [B, N]) to the tokens."""
        pitch_part = self.pitch_embed((pitch * mask).unsqueeze(1)).transpose(1, 2)
        energy_part = self.energy_embed((energy * mask).unsqueeze(1)).transpose(1, 2)
        return (tokens + pitch_part + energy_part) * mask.unsqueeze(2)

    def forward(  # noqa: PLR0913  # the inputs of the graph
        self,
        ids: Tensor,
        lengths: Tensor,
        speaker: Tensor,
        emotion: Tensor,
        pitch_shift: Tensor,
        pitch_range: Tensor,
        energy: Tensor,
        speed: Tensor,
        content: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Encode for synthesis.

        Args:
            ids: int64 [B, N].
            lengths: int64 [B], tokens per row.
            speaker: float32 [B, speaker_dim].
            emotion: float32 [B, emotion_dim].
            pitch_shift: float32 [B], semitones.
            pitch_range: float32 [B], ratio about the utterance's mean.
            energy: float32 [B], dB.
            speed: float32 [B], ratio; durations are divided by it.
            content: float32 [B, content_dim], where the configuration has one.

        Returns: hidden [B, N, C]; durations [B, N], integer-valued frames, 0 on padding. Rounding is cumulative, so
            that the total stays within half a frame of the sum that ``speed`` asks for.
        """
        tokens, mask = self.encode(ids, lengths, speaker, emotion, content)
        log_durations, pitch, loudness = self.predict(tokens, mask)
        count = mask.sum(dim=1, keepdim=True)
        mean = (pitch * mask).sum(dim=1, keepdim=True) / count
        pitch = mean + (pitch - mean) * pitch_range.unsqueeze(1)
        if self.linear is None:
            pitch = pitch + pitch_shift.unsqueeze(1) / PITCH_SCALE_SEMITONES
            loudness = loudness + energy.unsqueeze(1) / ENERGY_SCALE_DB
        else:
            pitch, loudness = _scaled(pitch, loudness, pitch_shift, energy, self.linear)
        frames = (torch.exp(log_durations) - 1.0).clamp(min=0.0) * mask
        if self.whole_durations:
            frames = _whole(frames, mask)
        frames = frames / speed.unsqueeze(1)
        ends = torch.round(torch.cumsum(frames, dim=1))
        durations = (ends - torch.nn.functional.pad(ends[:, :-1], (1, 0))) * mask
        return self.add_variances(tokens, mask, pitch, loudness), durations


def _scaled(
    pitch: Tensor, loudness: Tensor, shift_semitones: Tensor, energy_db: Tensor, units: LinearVariances
) -> tuple[Tensor, Tensor]:
    """Multiply normalized linear values [B, N] as semitones and decibels [B] say; 0 of either changes nothing."""
    pitch_gain = torch.exp(shift_semitones.unsqueeze(1) * LOG_PER_SEMITONE) - 1.0
    energy_gain = torch.exp(energy_db.unsqueeze(1) * LOG_PER_DB) - 1.0
    pitch = pitch + (pitch + units.pitch_mean_hz / units.pitch_deviation_hz) * pitch_gain
    return pitch, loudness + (loudness + units.energy_mean / units.energy_deviation) * energy_gain


def _whole(frames: Tensor, mask: Tensor) -> Tensor:
    """Round every duration [B, N]; a row of nothing but zeros becomes a row of ones, as in the public model."""
    frames = torch.round(frames)
    return torch.where(frames.sum(dim=1, keepdim=True) > 0, frames, mask)


class Decoder(nn.Module):
    """Stage ``decoder``: hidden tokens and durations to a log-mel."""

    def __init__(self, config: AcousticConfig) -> None:
        super().__init__()
        self.delta = config.upsampling_delta
        self.scaled = config.upsampling_scaled
        self.offset_frames = config.upsampling_offset_frames
        self.stack = BlockStack(config.decoder)
        self.to_mel = nn.Linear(config.decoder.hidden, config.n_mels)
        nn.init.constant_(self.to_mel.bias, MEAN_LOG_MEL)

    def forward(self, hidden: Tensor, durations: Tensor, lengths: Tensor, frame_mask: Tensor) -> Tensor:
        """Decode.

        Args:
            hidden: float32 [B, N, C].
            durations: float32 [B, N], integer-valued frames.
            lengths: int64 [B], tokens per row.
            frame_mask: float32 [B, F], 1 on real frames.

        Returns: log-mel float32 [B, F, n_mels], zero on padded frames.
        """
        token_mask = mask_from_lengths(lengths, torch.arange(hidden.shape[1], device=hidden.device))
        frames = gaussian_upsample(
            hidden, durations, token_mask, frame_mask, self.delta, self.scaled, self.offset_frames
        )
        return self.to_mel(self.stack(frames, frame_mask)) * frame_mask.unsqueeze(2)


class AcousticModel(nn.Module):
    """Text encoder and decoder together, as trained."""

    def __init__(self, config: AcousticConfig) -> None:
        super().__init__()
        self.text_encoder = TextEncoder(config)
        self.decoder = Decoder(config)

    def forward(
        self,
        ids: Tensor,
        lengths: Tensor,
        vectors: tuple[Tensor, Tensor],
        targets: Variances,
        frame_mask: Tensor,
    ) -> tuple[Tensor, Variances]:
        """Teacher-forced pass for training.

        Args:
            ids: int64 [B, N].
            lengths: int64 [B].
            vectors: speaker and emotion, each [B, 256].
            targets: true durations in frames (not logarithms), normalized pitch and energy, each [B, N].
            frame_mask: [B, F].

        Returns: mel [B, F, n_mels] and the predicted variances.
        """
        tokens, mask = self.text_encoder.encode(ids, lengths, *vectors)
        predicted = self.text_encoder.predict(tokens, mask)
        hidden = self.text_encoder.add_variances(tokens, mask, targets.pitch, targets.energy)
        return self.decoder(hidden, targets.log_durations, lengths, frame_mask), predicted
