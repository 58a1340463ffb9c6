"""The acoustic model: padding changes nothing, lengths come out right, every control acts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.assets.make_tiny_bundle import tiny_config, tiny_networks
from torch import Tensor

from emotirt.models.acoustic import (
    ENERGY_SCALE_DB,
    PITCH_SCALE_SEMITONES,
    AcousticModel,
    Decoder,
    TextEncoder,
    Variances,
)
from emotirt.models.layers import mask_from_lengths
from emotirt.text.symbols import DEFAULT_TABLE

LENGTHS = (23, 1, 9, 14)
TIGHT = {"rtol": 0.0, "atol": 2e-6}


@pytest.fixture(scope="module")
def model() -> AcousticModel:
    return tiny_networks().acoustic


def encoder_inputs(lengths: tuple[int, ...] = LENGTHS, **controls: float) -> dict[str, Tensor]:
    """Seeded inputs; padded ids are a real symbol, so that what the mask must hide is not harmless by itself."""
    generator = torch.Generator().manual_seed(5)
    ids = torch.randint(1, len(DEFAULT_TABLE), (len(lengths), max(lengths)), generator=generator)
    values = {"pitch_shift": 0.0, "pitch_range": 1.0, "energy": 0.0, "speed": 1.0} | controls
    return {
        "ids": ids,
        "lengths": torch.tensor(lengths),
        "speaker": torch.nn.functional.normalize(torch.randn(len(lengths), 256, generator=generator)),
        "emotion": torch.nn.functional.normalize(torch.randn(len(lengths), 256, generator=generator)),
        **{name: torch.full((len(lengths),), value) for name, value in values.items()},
    }


def row(inputs: dict[str, Tensor], index: int, tokens: int) -> dict[str, Tensor]:
    one = {name: value[index : index + 1] for name, value in inputs.items()}
    return one | {"ids": one["ids"][:, :tokens]}


@torch.no_grad()
def test_text_encoder_rows_equal_singles(model: AcousticModel) -> None:
    inputs = encoder_inputs(pitch_shift=2.0, pitch_range=0.4, energy=5.0, speed=1.3)
    hidden, durations = model.text_encoder(**inputs)
    for index, length in enumerate(LENGTHS):
        alone_hidden, alone_durations = model.text_encoder(**row(inputs, index, length))
        assert torch.equal(durations[index, :length], alone_durations[0])
        torch.testing.assert_close(hidden[index, :length], alone_hidden[0], **TIGHT)
        assert durations[index, length:].abs().sum() == 0
        assert hidden[index, length:].abs().sum() == 0


@torch.no_grad()
def test_decoder_rows_equal_singles(model: AcousticModel) -> None:
    generator = torch.Generator().manual_seed(6)
    hidden = torch.randn(len(LENGTHS), max(LENGTHS), 16, generator=generator)
    mask = mask_from_lengths(torch.tensor(LENGTHS), torch.arange(max(LENGTHS)))
    durations = torch.randint(0, 6, hidden.shape[:2], generator=generator) * mask
    durations[:, 0] += 1
    frames = durations.sum(dim=1).long()
    frame_mask = mask_from_lengths(frames, torch.arange(int(frames.max())))
    mel = model.decoder(hidden, durations, torch.tensor(LENGTHS), frame_mask)
    for index, (length, count) in enumerate(zip(LENGTHS, frames.tolist(), strict=True)):
        alone = model.decoder(
            hidden[index : index + 1, :length],
            durations[index : index + 1, :length],
            torch.tensor([length]),
            torch.ones(1, count),
        )
        torch.testing.assert_close(mel[index, :count], alone[0], **TIGHT)
        assert mel[index, count:].abs().sum() == 0


@torch.no_grad()
def test_tokens_of_zero_duration_are_legal(model: AcousticModel) -> None:
    hidden = torch.randn(1, 4, 16, generator=torch.Generator().manual_seed(7))
    mel = model.decoder(hidden, torch.tensor([[0.0, 3, 0, 2]]), torch.tensor([4]), torch.ones(1, 5))
    assert mel.isfinite().all()
    same = model.decoder(hidden[:, [1, 3]], torch.tensor([[3.0, 2]]), torch.tensor([2]), torch.ones(1, 5))
    torch.testing.assert_close(mel, same, **TIGHT)


def with_durations(frames: float) -> TextEncoder:
    """An encoder that predicts ``frames`` for every token."""
    encoder = tiny_networks().acoustic.text_encoder
    with torch.no_grad():
        encoder.duration_predictor.out.weight.zero_()
        encoder.duration_predictor.out.bias.fill_(torch.log1p(torch.tensor(frames)).item())
    return encoder


@pytest.mark.parametrize("frames", [0.2, 0.49, 1.3, 2.5, 7.77])
@torch.no_grad()
def test_cumulative_rounding_keeps_the_total(frames: float) -> None:
    inputs = encoder_inputs((200, 31, 1))
    _, durations = with_durations(frames)(**inputs)
    assert torch.equal(durations, durations.round())
    assert durations.min() >= 0
    for total, tokens in zip(durations.sum(dim=1).tolist(), (200, 31, 1), strict=True):
        assert abs(total - frames * tokens) <= 0.5 + 1e-3


@pytest.mark.parametrize("speed", [0.25, 0.5, 1.7, 4.0])
@torch.no_grad()
def test_speed_divides_durations(speed: float) -> None:
    encoder = with_durations(5.0)
    _, durations = encoder(**encoder_inputs((40,), speed=speed))
    assert abs(float(durations.sum()) - 40 * 5.0 / speed) <= 0.5 + 1e-3
    hidden_slow, _ = encoder(**encoder_inputs((40,), speed=speed))
    hidden, _ = encoder(**encoder_inputs((40,)))
    assert torch.equal(hidden, hidden_slow)


class Spy(torch.nn.Module):
    """Keeps what goes into an embedding of pitch or energy."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.seen = torch.zeros(0)

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x.clone()
        return self.inner(x)


def spied(**controls: float) -> tuple[Tensor, Tensor, Tensor]:
    """Normalized pitch and energy of one utterance, and the hidden tokens they led to."""
    encoder = tiny_networks().acoustic.text_encoder
    encoder.pitch_embed, encoder.energy_embed = Spy(encoder.pitch_embed), Spy(encoder.energy_embed)
    with torch.no_grad():
        hidden, _ = encoder(**encoder_inputs((12,), **controls))
    return encoder.pitch_embed.seen[0, 0], encoder.energy_embed.seen[0, 0], hidden


def test_pitch_and_energy_controls_have_their_units() -> None:
    pitch, energy, hidden = spied()
    raised, same_energy, other = spied(pitch_shift=3.0)
    torch.testing.assert_close(raised - pitch, torch.full((12,), 3.0 / PITCH_SCALE_SEMITONES))
    torch.testing.assert_close(same_energy, energy)
    assert (other - hidden).abs().max() > 1e-3
    flat, _, _ = spied(pitch_range=0.0)
    torch.testing.assert_close(flat, pitch.mean().expand(12))
    wide, _, _ = spied(pitch_range=2.0)
    torch.testing.assert_close(wide - wide.mean(), 2 * (pitch - pitch.mean()))
    torch.testing.assert_close(wide.mean(), pitch.mean())
    same_pitch, louder, other = spied(energy=6.0)
    torch.testing.assert_close(louder - energy, torch.full((12,), 6.0 / ENERGY_SCALE_DB))
    torch.testing.assert_close(same_pitch, pitch)
    assert (other - hidden).abs().max() > 1e-3


@torch.no_grad()
def test_voice_and_emotion_reach_the_tokens(model: AcousticModel) -> None:
    inputs = encoder_inputs((12,))
    hidden, _ = model.text_encoder(**inputs)
    for name in ("speaker", "emotion"):
        other, _ = model.text_encoder(**(inputs | {name: -inputs[name]}))
        assert (other - hidden).abs().max() > 1e-3


@torch.no_grad()
def test_folding_the_symbol_parts_changes_nothing() -> None:
    embedding = tiny_networks().acoustic.text_encoder.embedding
    ids = torch.arange(len(DEFAULT_TABLE)).unsqueeze(0)
    before = embedding(ids)
    embedding.fold()
    torch.testing.assert_close(embedding(ids), before)


@pytest.mark.parametrize("scaled", [True, False])
def test_training_pass_follows_the_targets_and_trains_everything(scaled: bool) -> None:
    torch.manual_seed(0)
    model = AcousticModel(replace(tiny_config().acoustic, upsampling_scaled=scaled))
    inputs = encoder_inputs((6, 4))
    durations = torch.tensor([[2.0, 0, 1, 3, 1, 1], [1.0, 1, 1, 2, 0, 0]])
    frame_mask = mask_from_lengths(torch.tensor([8, 5]), torch.arange(8))
    targets = Variances(durations, torch.randn(2, 6), torch.randn(2, 6))
    mel, predicted = model(
        inputs["ids"], inputs["lengths"], (inputs["speaker"], inputs["emotion"]), targets, frame_mask
    )
    assert mel.shape == (2, 8, 80)
    assert mel[1, 5:].abs().sum() == 0
    assert all(values.shape == (2, 6) and values[1, 4:].abs().sum() == 0 for values in predicted)
    (mel.square().sum() + sum(values.square().sum() for values in predicted)).backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]


def test_decoder_starts_at_the_mean_of_speech() -> None:
    torch.manual_seed(0)
    decoder = Decoder(tiny_config().acoustic).eval()
    with torch.no_grad():
        mel = decoder(torch.zeros(1, 2, 16), torch.ones(1, 2), torch.tensor([2]), torch.ones(1, 2))
    assert -7 < float(mel.mean()) < -3
