"""Checkpoints: what was saved comes back, and what is wrong with a file is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.assets.make_tiny_bundle import tiny_networks

from emotirt.errors import ManifestInvalid, TrainingError
from emotirt.models.checkpoint import Networks, half_state, load_networks, load_weights, read_checkpoint


def saved(networks: Networks, directory: Path) -> tuple[Path, Path]:
    """Save both checkpoints as the trainers do."""
    config = networks.config.to_dict()
    acoustic, vocoder = directory / "acoustic.pt", directory / "vocoder.pt"
    weights = {"acoustic": half_state(networks.acoustic), "reference": half_state(networks.reference)}
    sections = {key: config[key] for key in ("mel", "acoustic", "reference")}
    torch.save({"config": sections, "weights": weights}, acoustic)
    torch.save({"config": config, "weights": {"vocoder": half_state(networks.vocoder)}}, vocoder)
    return acoustic, vocoder


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return saved(tiny_networks(), tmp_path_factory.mktemp("checkpoints"))


def test_round_trip(checkpoints: tuple[Path, Path]) -> None:
    networks, loaded = tiny_networks(), load_networks(*checkpoints)
    assert loaded.config == networks.config
    for name in ("acoustic", "reference", "vocoder"):
        before, after = getattr(networks, name).state_dict(), getattr(loaded, name).state_dict()
        assert before.keys() == after.keys()
        for key, value in before.items():
            assert after[key].dtype == value.dtype
            torch.testing.assert_close(after[key], value, rtol=1e-3, atol=1e-6)
        assert not getattr(loaded, name).training


def test_half_state_is_half_and_a_copy() -> None:
    module = torch.nn.Linear(2, 2)
    state = half_state(module)
    assert {value.dtype for value in state.values()} == {torch.float16}
    before = state["weight"].clone()
    with torch.no_grad():
        module.weight.zero_()
    assert torch.equal(state["weight"], before)


class Unwelcome:
    """Anything that is neither a tensor nor a plain value."""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["does not exist", "emotirt train"]),
        (b"", ["cannot be read", "truncated"]),
        (b"PK\x03\x04 half a file", ["cannot be read", "truncated"]),
        (Unwelcome(), ["cannot be read", "Unwelcome"]),
        ([1, 2], ["holds list", "config", "weights"]),
        ({"weights": {}}, ["lacks 'config'"]),
        ({"config": 3, "weights": {}}, ["'config'", "3"]),
        ({"config": {}, "weights": {"reference": {}}}, ["lacks 'acoustic'", "reference"]),
    ],
)
def test_bad_files_are_named(checkpoints: tuple[Path, Path], tmp_path: Path, content: Any, words: list[str]) -> None:
    path = tmp_path / "bad.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(TrainingError) as caught:
        load_networks(path, checkpoints[1])
    assert [word for word in ["bad.pt", *words] if word not in str(caught.value)] == []


def test_a_directory_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="cannot be read"):
        read_checkpoint(tmp_path)


def test_foreign_config_keys_are_named(checkpoints: tuple[Path, Path], tmp_path: Path) -> None:
    path = tmp_path / "foreign.pt"
    torch.save({"config": {"acoustic": {"hiden": 3}}, "weights": {"acoustic": {}, "reference": {}}}, path)
    with pytest.raises(ManifestInvalid, match="hiden"):
        load_networks(path, checkpoints[1])


def test_weights_that_do_not_fit_are_named() -> None:
    module = torch.nn.Linear(3, 2)
    with pytest.raises(TrainingError) as caught:
        load_weights(module, {"weight": torch.zeros(2, 4), "scale": torch.zeros(1)}, "the layer")
    for word in ("the layer", "missing ['bias']", "extra ['scale']", "misshapen ['weight']"):
        assert word in str(caught.value)
