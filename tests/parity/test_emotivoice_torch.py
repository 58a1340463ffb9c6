"""Our networks with a public checkpoint's weights against what the public code gave, in PyTorch float32."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.assets.emotivoice import CASES, GENERATORS, arrays, tiny_model

from emotirt.build.emotivoice import PublicModel

TOLERANCE = 1e-4
FLIPPED_SHARE = 1e-3
"""Samples of the saturated wavs that may change sign: the public code itself flips some with its thread count."""
GOLDEN = arrays("cases.npz")


@pytest.fixture(scope="module", params=GENERATORS)
def model(request: pytest.FixtureRequest) -> PublicModel:
    return tiny_model(request.param)


def golden(case: int, name: str) -> torch.Tensor:
    return torch.from_numpy(GOLDEN[f"case{case}_{name}"])


def encoded(model: PublicModel, cases: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Text encoder on a padded batch of cases: hidden, durations, lengths."""
    rows = [golden(case, "ids")[0] for case in cases]
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    vectors = list(model.speakers.values())
    speaker = torch.from_numpy(np.stack([vectors[int(golden(case, "speaker"))] for case in cases]))
    style, content = (torch.cat([golden(case, name) for case in cases]) for name in ("style", "content"))
    zero, one = torch.zeros(len(cases)), torch.ones(len(cases))
    with torch.no_grad():
        hidden, durations = model.networks.acoustic.text_encoder(
            ids, lengths, speaker, style, zero, one, zero, one, content
        )
    return hidden, durations, lengths


def decoded(model: PublicModel, cases: tuple[int, ...]) -> list[torch.Tensor]:
    hidden, durations, lengths = encoded(model, cases)
    frames = durations.sum(dim=1).long()
    mask = (torch.arange(int(frames.max())) < frames.unsqueeze(1)).float()
    with torch.no_grad():
        mels = model.networks.acoustic.decoder(hidden, durations, lengths, mask)
    return [mel[:count] for mel, count in zip(mels, frames.tolist(), strict=True)]


@pytest.mark.parametrize("case", range(CASES))
def test_durations_are_equal_and_mels_close(model: PublicModel, case: int) -> None:
    _, durations, _ = encoded(model, (case,))
    assert torch.equal(durations.long(), golden(case, "durations"))
    mel = decoded(model, (case,))[0]
    assert mel.shape == golden(case, "mel")[0].shape
    assert float((mel - golden(case, "mel")[0]).abs().max()) < TOLERANCE


@pytest.mark.parametrize("case", range(CASES))
def test_pitch_and_energy_are_close(model: PublicModel, case: int) -> None:
    encoder = model.networks.acoustic.text_encoder
    ids = golden(case, "ids")
    speaker = torch.from_numpy(list(model.speakers.values())[int(golden(case, "speaker"))])[None]
    with torch.no_grad():
        lengths = torch.tensor([ids.shape[1]])
        tokens, mask = encoder.encode(ids, lengths, speaker, golden(case, "style"), golden(case, "content"))
        _, pitch, energy = encoder.predict(tokens, mask)
    assert float((pitch[0] - golden(case, "pitch")).abs().max()) < TOLERANCE
    assert float((energy[0] - golden(case, "energy")).abs().max()) < TOLERANCE


@pytest.mark.parametrize("case", range(CASES))
def test_wavs_are_close(model: PublicModel, case: int) -> None:
    with torch.no_grad():
        from_golden_mel = model.networks.vocoder(golden(case, "mel").transpose(1, 2))
        spoken = model.networks.vocoder(decoded(model, (case,))[0].T.unsqueeze(0))
    wav = golden(case, "wav")[0]
    assert from_golden_mel.shape == spoken.shape == wav.shape
    assert float(((from_golden_mel - wav).abs() > TOLERANCE).float().mean()) < FLIPPED_SHARE
    assert float(((spoken - wav).abs() > TOLERANCE).float().mean()) < FLIPPED_SHARE


def test_wavs_below_full_scale_are_close() -> None:
    quiet, vocoder = arrays("quiet.npz"), tiny_model().networks.vocoder
    with torch.no_grad():
        vocoder.last.parametrizations.weight.original0 *= float(quiet["gain"])
        vocoder.last.bias.zero_()
        for case in (0, 2):
            wav = torch.from_numpy(quiet[f"case{case}_wav"])
            assert 0.1 < float(wav.abs().max()) < 0.99
            found = vocoder(golden(case, "mel").transpose(1, 2))[0]
            assert float((found - wav).abs().max()) < TOLERANCE


def test_a_batch_equals_its_singles(model: PublicModel) -> None:
    cases = tuple(range(CASES))
    _, durations, _ = encoded(model, cases)
    for row, case in zip(durations, cases, strict=True):
        expected = golden(case, "durations")[0]
        assert torch.equal(row[: len(expected)].long(), expected)
        assert not row[len(expected) :].any()
    for mel, case in zip(decoded(model, cases), cases, strict=True):
        assert float((mel - golden(case, "mel")[0]).abs().max()) < TOLERANCE


def test_prompts_have_the_same_pieces_and_vectors(model: PublicModel) -> None:
    prompts = arrays("prompts.npz")
    rows = [prompts[f"prompt{index}_ids"][0] for index in range(3)]
    width = max(map(len, rows))
    ids = torch.from_numpy(np.stack([np.pad(row, (0, width - len(row))) for row in rows]))
    mask = torch.tensor([[float(place < len(row)) for place in range(width)] for row in rows])
    assert model.networks.prompt is not None
    with torch.no_grad():
        vectors = model.networks.prompt(ids, mask)
    for index, (row, vector) in enumerate(zip(rows, vectors, strict=True)):
        assert model.tokenizer.encode(str(prompts[f"prompt{index}_text"])).ids == row.tolist()
        assert float((vector - torch.from_numpy(prompts[f"prompt{index}_pooled"][0])).abs().max()) < 1e-5


def test_speed_scales_durations_and_keeps_the_total(model: PublicModel) -> None:
    ids = golden(1, "ids").repeat(3, 1)
    speaker = torch.from_numpy(list(model.speakers.values())[2])[None].repeat(3, 1)
    style, content = (golden(1, name).repeat(3, 1) for name in ("style", "content"))
    zero, one, speed = torch.zeros(3), torch.ones(3), torch.tensor([0.5, 1.0, 1.7])
    with torch.no_grad():
        _, durations = model.networks.acoustic.text_encoder(
            ids, torch.tensor([ids.shape[1]] * 3), speaker, style, zero, one, zero, speed, content
        )
    total = float(golden(1, "durations").sum())
    assert torch.equal(durations[1].long(), golden(1, "durations")[0])
    assert [float(value) for value in durations.sum(dim=1)] == [2 * total, total, round(total / 1.7)]
    assert torch.equal(durations, durations.round())
