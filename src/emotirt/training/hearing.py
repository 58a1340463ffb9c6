"""What the phoneme recognizer hears in clips: its scores, and where in them given tokens lie.

Clips longer than the recognizer was trained on are heard in pieces that are cut where they are quietest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from emotirt.audio.speech_span import FRAMES_PER_S, frame_levels_db
from emotirt.training.corpus import Clip, Pack
from emotirt.training.recognizer_batches import HOP, LONGEST_S, RATE_HZ, Analyser, Sample
from emotirt.training.recognizer_network import Recognizer
from emotirt.training.recognizer_tokens import language_bias

STEP_S = 2 * HOP / RATE_HZ
"""Time between two outputs of the recognizer."""
SMOOTHED_FRAMES = 20
"""A cut looks for the quietest 0.2 s."""


def pieces_of(pack: Pack, clip: Clip, longest_s: float = LONGEST_S) -> list[Clip]:
    """Cut a clip at its quietest place in the middle half, again and again, until every piece is short enough."""
    if clip.sample_count <= longest_s * RATE_HZ:
        return [clip]
    levels_db = frame_levels_db(pack.samples(clip))
    smooth = np.convolve(levels_db, np.ones(SMOOTHED_FRAMES) / SMOOTHED_FRAMES, mode="same")
    first = len(smooth) // 4
    quietest = first + int(smooth[first : len(smooth) - first].argmin())
    cut = round(quietest * RATE_HZ / FRAMES_PER_S / (2 * HOP)) * 2 * HOP
    before = replace(clip, sample_count=cut)
    after = replace(clip, offset_samples=clip.offset_samples + cut, sample_count=clip.sample_count - cut)
    return [*pieces_of(pack, before, longest_s), *pieces_of(pack, after, longest_s)]


@torch.no_grad()
def log_probabilities(network: Recognizer, analyser: Analyser, pack: Pack, clip: Clip) -> NDArray[np.float32]:
    """Return the recognizer's log probabilities of a clip within its language, float32 [steps, tokens].

    Args:
        network: in evaluation mode.
        analyser: of the same pack.
        pack: holds the samples.
        clip: which.
    """
    empty, parts = np.zeros(0, dtype=np.int64), []
    for piece in pieces_of(pack, clip):
        frames = piece.sample_count // HOP
        sample = Sample((piece.offset_samples,), (piece.sample_count,), empty, 1.0, frames)
        magnitude, counts = analyser.magnitudes([sample])
        scores = network(magnitude, counts)[0, : (frames + 1) // 2]
        biased = scores + torch.from_numpy(language_bias(clip.language)).to(scores.device)
        parts.append(torch.log_softmax(biased, dim=1).cpu().numpy())
    return np.concatenate(parts)


def token_steps(log_probs: NDArray[np.float32], ids: Sequence[int]) -> NDArray[np.int64]:
    """Find the step at which each token is likeliest on the best CTC path that writes them all.

    Args:
        log_probs: float32 [steps, tokens], id 0 the blank.
        ids: recognizer ids, writable within the steps.

    Returns: int64 [ids], rising.
    """
    states = np.zeros(2 * len(ids) + 1, dtype=np.int64)
    states[1::2] = ids
    skips = np.zeros(len(states), dtype=bool)
    skips[3::2] = states[3::2] != states[1:-2:2]
    score = np.full(len(states), -np.inf)
    score[0] = 0.0
    came = np.zeros((len(log_probs), len(states)), dtype=np.int8)
    for step, row in enumerate(log_probs):
        options = np.full((3, len(states)), -np.inf)
        options[0] = score
        options[1, 1:] = score[:-1]
        options[2, 2:] = np.where(skips[2:], score[:-2], -np.inf)
        came[step] = options.argmax(axis=0)
        score = options.max(axis=0) + row[states]
    place = len(states) - 1 if score[-1] >= score[-2:][0] else len(states) - 2
    path = np.zeros(len(log_probs), dtype=np.int64)
    for step in range(len(log_probs) - 1, -1, -1):
        path[step] = place
        place -= int(came[step, place])
    steps = []
    for index, token in enumerate(ids):
        own = np.flatnonzero(path == 2 * index + 1)
        steps.append(int(own[log_probs[own, token].argmax()]))
    return np.array(steps, dtype=np.int64)


def sureness(log_probs: NDArray[np.float32], ids: Sequence[int], steps: NDArray[np.int64]) -> float:
    """Return the mean probability of the tokens at their steps, 0 to 1; 0 where there is none."""
    return float(np.exp(log_probs[steps, np.asarray(ids, dtype=np.int64)]).mean()) if len(ids) else 0.0
