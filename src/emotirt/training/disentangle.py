"""Keeps who speaks and how it is felt apart: adversaries, contrast across actors, and hearing predicted mels again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from emotirt.models.reference import ReferenceEncoder


@dataclass(frozen=True, slots=True)
class Disentangling:
    """What keeps speaker and emotion apart and makes the model follow both; all of it is off by default.

    Attributes:
        transfer_share: share of unacted rows trained as if an actor's emotion were put on them; needs a transfer.
        warp_share: share of rows spoken through a stretched vocal tract, in target and reference alike.
        heard_again_weight: of the loss that the encoder hears the wanted speaker and emotion in predicted mels.
        heard_again_rows: rows of a batch that it hears.
        adversary_weight: of speakers read from emotion vectors and emotions read from speaker vectors.
        contrast_weight: of the contrast of emotions across actors.
    """

    transfer_share: float = 0.0
    warp_share: float = 0.0
    heard_again_weight: float = 0.0
    heard_again_rows: int = 24
    adversary_weight: float = 0.0
    contrast_weight: float = 0.0


NO_DISENTANGLING = Disentangling()
DISENTANGLED = Disentangling(
    transfer_share=0.35, warp_share=0.25, heard_again_weight=0.3, adversary_weight=0.03, contrast_weight=0.05
)
"""What ``emotirt train acoustic --disentangle`` uses."""

TEMPERATURE = 0.1
"""Of the contrast, as in Khosla et al. 2020."""


class _Reversed(torch.autograd.Function):
    """Identity forward, negated gradient backward (Ganin and Lempitsky 2015, arXiv 1409.7495)."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        return -gradients[0]


class Adversary(nn.Module):
    """Learns to read from a vector what it should not tell; the vector learns to hide it."""

    def __init__(self, dimension: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(dimension, 128), nn.ReLU(), nn.Linear(128, classes))

    def forward(self, vectors: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss, whose gradient is reversed on the vectors, and the accuracy; labels int64 [B]."""
        scores = self.layers(_Reversed.apply(vectors.float()))
        return functional.cross_entropy(scores, labels), (scores.argmax(dim=1) == labels).float().mean()


def across_speakers(vectors: Tensor, emotions: Tensor, speakers: Tensor) -> Tensor:
    """Pull together the same emotion of different speakers, push apart different emotions, also of one speaker.

    Supervised contrast of Khosla et al. 2020 (arXiv 2004.11362), with positives from other speakers only and the same
    emotion of the same speaker left out, so that the speaker is of no help.

    Args: vectors: [B, D] of unit norm. emotions, speakers: int64 [B].
    Returns: the loss, 0 where no row has a positive.
    """
    scores = vectors.float() @ vectors.float().T / TEMPERATURE
    same_emotion = emotions.unsqueeze(0) == emotions.unsqueeze(1)
    same_speaker = speakers.unsqueeze(0) == speakers.unsqueeze(1)
    positive = same_emotion & ~same_speaker
    usable = positive.any(dim=1)
    if not usable.any():
        return scores.sum() * 0.0
    scores = scores.masked_fill(same_emotion & same_speaker, -1e9)
    shares = scores - torch.logsumexp(scores, dim=1, keepdim=True)
    mean = (shares * positive).sum(dim=1)[usable] / positive.sum(dim=1)[usable]
    return -mean.mean()


def heard_again(
    reference: ReferenceEncoder, mels: Tensor, frames: Tensor, wanted: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Encode predicted mels and compare with the vectors they were asked for; the encoder itself learns nothing by it.

    Args:
        reference: the encoder as it is now.
        mels: predicted, [B, F, n_mels].
        frames: int64 [B].
        wanted: speaker [B, D] and emotion [B, D].

    Returns: one minus the mean cosine, for speaker and emotion.
    """
    fixed = {name: value.detach() for name, value in reference.state_dict().items()}
    found = torch.func.functional_call(reference, fixed, (mels.transpose(1, 2), frames))
    speaker, emotion = (
        1.0 - (ours.float() * asked.detach().float()).sum(dim=1).mean()
        for ours, asked in zip(found, wanted, strict=True)
    )
    return speaker, emotion
