"""Gaussian upsampling: every frame belongs to the token that sounds in it, and padding takes no part."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from emotirt.models.layers import gaussian_upsample, mask_from_lengths, sinusoidal_positions

DELTA = 12.0


def upsampled(hidden: Tensor, durations: Tensor, token_mask: Tensor, scaled: bool = True) -> Tensor:
    frame_mask = mask_from_lengths(durations.sum(dim=1).long(), torch.arange(int(durations.sum(dim=1).max())))
    return gaussian_upsample(hidden, durations, token_mask, frame_mask, DELTA, scaled)


def one_hot(tokens: int) -> Tensor:
    return torch.eye(tokens).unsqueeze(0)


def test_mask_from_lengths() -> None:
    mask = mask_from_lengths(torch.tensor([0, 2, 3]), torch.arange(3))
    assert mask.tolist() == [[0, 0, 0], [1, 1, 0], [1, 1, 1]]


def test_positions_are_interleaved_sine_and_cosine() -> None:
    codes = sinusoidal_positions(torch.zeros(2, 5, 4))
    assert codes.shape == (1, 5, 4)
    torch.testing.assert_close(codes[0, :, 0], torch.arange(5.0).sin())
    torch.testing.assert_close(codes[0, :, 1], torch.arange(5.0).cos())
    torch.testing.assert_close(codes[0, :, 2], (torch.arange(5.0) / 100).sin())


def test_weights_add_up_to_one_and_follow_the_durations() -> None:
    durations = torch.tensor([[3.0, 1.0, 6.0, 2.0]])
    weights = upsampled(one_hot(4), durations, torch.ones(1, 4))
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(1, 12))
    owner = torch.repeat_interleave(torch.arange(4), durations[0].long())
    assert weights.argmax(dim=2)[0].tolist() == owner.tolist()


def test_unscaled_weights_follow_the_nearest_centre() -> None:
    weights = upsampled(one_hot(3), torch.tensor([[3.0, 1.0, 6.0]]), torch.ones(1, 3), scaled=False)
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(1, 10))
    centres = torch.tensor([1.5, 3.5, 7.0])
    nearest = (torch.arange(10).unsqueeze(1) + 0.5 - centres).abs().argmin(dim=1)
    assert weights.argmax(dim=2)[0].tolist() == nearest.tolist()


def test_neighbours_weigh_the_same_at_their_border_whatever_their_lengths() -> None:
    weights = upsampled(one_hot(2), torch.tensor([[20.0, 2.0]]), torch.ones(1, 2))
    before, after = weights[0, 19, 0], weights[0, 20, 1]
    assert 0.5 < float(before) < 1.0
    assert 0.5 < float(after) < 1.0


def test_a_token_without_frames_takes_none() -> None:
    durations = torch.tensor([[2.0, 0.0, 3.0, 0.0]])
    weights = upsampled(one_hot(4), durations, torch.ones(1, 4))
    assert weights[0, :, 1].abs().max() == 0
    assert weights[0, :, 3].abs().max() == 0
    without = upsampled(one_hot(2), torch.tensor([[2.0, 3.0]]), torch.ones(1, 2))
    torch.testing.assert_close(weights[:, :, [0, 2]], without)


@pytest.mark.parametrize("scaled", [True, False])
def test_padded_tokens_do_not_leak(scaled: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(1, 3, 5, generator=generator)
    durations = torch.tensor([[2.0, 1.0, 4.0]])
    alone = upsampled(hidden, durations, torch.ones(1, 3), scaled)
    loud = torch.cat((hidden, torch.full((1, 4, 5), 1e3)), dim=1)
    padded = torch.nn.functional.pad(durations, (0, 4))
    mask = mask_from_lengths(torch.tensor([3]), torch.arange(7))
    torch.testing.assert_close(upsampled(loud, padded, mask, scaled), alone, rtol=0, atol=1e-6)


def test_padded_frames_are_zero() -> None:
    frames = gaussian_upsample(
        torch.ones(1, 2, 3),
        torch.tensor([[2.0, 1.0]]),
        torch.ones(1, 2),
        torch.tensor([[1.0, 1, 1, 0, 0]]),
        DELTA,
        True,
    )
    assert frames[0, :3].min() > 0.99
    assert frames[0, 3:].abs().max() == 0


def test_long_utterances_stay_finite_and_sharp() -> None:
    durations = torch.full((1, 400), 10.0)
    weights = upsampled(one_hot(400), durations, torch.ones(1, 400))
    assert weights.isfinite().all()
    assert weights.argmax(dim=2)[0, -1] == 399
