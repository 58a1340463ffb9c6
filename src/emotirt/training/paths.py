"""The best monotonic path of tokens over frames, searched for many clips at once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

NEVER = -1e9


@torch.no_grad()
def best_paths(scores: Tensor, optional: Tensor, token_counts: Tensor, frame_counts: Tensor) -> Tensor:
    """Search the best monotonic path of every row; optional tokens may be skipped.

    Args:
        scores: log scores [B, F, N].
        optional: bool [B, N]; the first and the last token of a row are not.
        token_counts: int64 [B].
        frame_counts: int64 [B].

    Returns: int64 [B, N], frames per token; 0 only where optional or padded.
    """
    batch, frames, tokens = scores.shape
    total = scores.new_full((batch, tokens), NEVER)
    total[:, 0] = scores[:, 0, 0]
    may_skip = functional.pad(optional, (1, 0))[:, :-1]
    moves = torch.zeros((frames, batch, tokens), dtype=torch.int8, device=scores.device)
    for frame in range(1, frames):
        best, move = _arrivals(total, may_skip).max(dim=0)
        moves[frame] = move
        total = best + scores[:, frame]
    durations = torch.zeros((batch, tokens), dtype=torch.int64, device=scores.device)
    at = (token_counts - 1).unsqueeze(1)
    for frame in range(frames - 1, -1, -1):
        active = (frame < frame_counts).long().unsqueeze(1)
        durations.scatter_add_(1, at, active)
        at = at - moves[frame].gather(1, at).long() * active
    return durations


def _arrivals(total: Tensor, may_skip: Tensor) -> Tensor:
    """Scores of staying, advancing by one and skipping one optional token, [3, B, N]."""
    advance = functional.pad(total, (1, 0), value=NEVER)[:, :-1]
    skip = functional.pad(total, (2, 0), value=NEVER)[:, :-2].masked_fill(~may_skip, NEVER)
    return torch.stack((total, advance, skip))
