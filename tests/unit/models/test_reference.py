"""The reference encoder: unit vectors that padding does not change."""

from __future__ import annotations

import torch
from tests.assets.make_tiny_bundle import tiny_networks

FRAMES = (60, 1, 37)


@torch.no_grad()
def test_rows_equal_singles_whatever_lies_in_the_padding() -> None:
    encoder = tiny_networks().reference
    mel = -5 + 2 * torch.randn(len(FRAMES), 80, max(FRAMES), generator=torch.Generator().manual_seed(1))
    for index, count in enumerate(FRAMES):
        mel[index, :, count:] = 50.0
    speakers, emotions = encoder(mel, torch.tensor(FRAMES))
    for index, count in enumerate(FRAMES):
        speaker, emotion = encoder(mel[index : index + 1, :, :count], torch.tensor([count]))
        torch.testing.assert_close(speakers[index], speaker[0], rtol=0, atol=1e-6)
        torch.testing.assert_close(emotions[index], emotion[0], rtol=0, atol=1e-6)


@torch.no_grad()
def test_vectors_have_unit_norm_and_depend_on_the_recording() -> None:
    encoder = tiny_networks().reference
    mel = -5 + 2 * torch.randn(2, 80, 50, generator=torch.Generator().manual_seed(2))
    for vectors in encoder(mel, torch.tensor([50, 50])):
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2), rtol=0, atol=1e-4)
        assert (vectors[0] - vectors[1]).abs().max() > 1e-4


@torch.no_grad()
def test_silence_gives_finite_vectors() -> None:
    encoder = tiny_networks().reference
    speaker, emotion = encoder(torch.full((1, 80, 20), -11.5), torch.tensor([20]))
    assert speaker.isfinite().all()
    assert emotion.isfinite().all()
