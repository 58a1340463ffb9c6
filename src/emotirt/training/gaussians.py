"""One Gaussian a phone class over cepstra: the model that finds the first alignment from nothing.

A generative model started from evenly divided clips is what hidden Markov toolkits begin with (Rabiner 1989; "flat
start" in Young et al., The HTK Book, section 3.2.3). A network started so learns to call everything by one class.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emotirt.training.features import DeviceData

CEPSTRA = 16
SLOPE_WEIGHTS = ((1, 0.1), (2, 0.2))
"""Regression of the slope over two frames on each side (The HTK Book, equation 5.16)."""
SHRINKAGE = 0.05
LEAST_FRAMES = 200.0


def cepstra(data: DeviceData, loud: Tensor) -> Tensor:
    """Compute cepstra and their slopes, each normalized over the loud frames of a speaker.

    Args:
        data: holds the log-mels.
        loud: float32 [frames], 1 on loud frames.

    Returns: float32 [frames, 2 * CEPSTRA].
    """
    n_mels = data.config.n_mels
    steps = torch.arange(n_mels, device=data.device) + 0.5
    orders = torch.arange(CEPSTRA, device=data.device)
    cosines = torch.cos(math.pi / n_mels * steps.unsqueeze(1) * orders) * math.sqrt(2.0 / n_mels)
    still = torch.cat([part.float() @ cosines for part in data.mels.split(100_000)])
    by_speaker: dict[str, list[NDArray[np.int64]]] = {}
    for clip, start, count in zip(data.clips, data.layout.frame_starts, data.layout.frame_counts, strict=True):
        by_speaker.setdefault(clip.speaker, []).append(np.arange(start, start + count))
    for pieces in by_speaker.values():
        spots = torch.from_numpy(np.concatenate(pieces)).to(data.device)
        own = still[spots]
        voiced = own[loud[spots] > 0]
        still[spots] = (own - voiced.mean(dim=0)) / (voiced.std(dim=0) + 1e-3)
    slope = torch.zeros_like(still)
    for distance, weight in SLOPE_WEIGHTS:
        slope += weight * (still.roll(-distance, 0) - still.roll(distance, 0))
    return torch.cat((still, 3.0 * slope), dim=1)


class PhoneGaussians:
    """Full-covariance Gaussians, one a class."""

    def __init__(self, features: Tensor, labels: Tensor, classes: int) -> None:
        """Fit.

        Args:
            features: float32 [frames, dimensions].
            labels: int64 [frames], -1 on frames that are left out.
            classes: how many.
        """
        dimensions = features.shape[1]
        known = labels >= 0
        whole = torch.cov(features[known].T)
        self.means = torch.zeros(classes, dimensions, device=features.device)
        self.whitening = torch.zeros(classes, dimensions, dimensions, device=features.device)
        self.offsets = torch.zeros(classes, device=features.device)
        for index in range(classes):
            own = features[labels == index]
            share = len(own) / (len(own) + LEAST_FRAMES)
            if len(own):
                self.means[index] = share * own.mean(dim=0)
            spread = torch.cov(own.T) if len(own) > 1 else whole
            spread = share * ((1.0 - SHRINKAGE) * spread + SHRINKAGE * whole) + (1.0 - share) * whole
            root = torch.linalg.cholesky(spread)
            self.whitening[index] = torch.linalg.inv(root)
            self.offsets[index] = -root.diagonal().log().sum()

    def log_likelihoods(self, features: Tensor) -> Tensor:
        """Return log densities [frames, classes], up to a constant, of features [frames, dimensions]."""
        columns = []
        for mean, whitening, offset in zip(self.means, self.whitening, self.offsets, strict=True):
            columns.append(offset - 0.5 * ((features - mean) @ whitening.T).square().sum(dim=1))
        return torch.stack(columns, dim=1)
