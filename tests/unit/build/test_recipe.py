"""From networks to a bundle: whole or not at all, and what does not fit together is named."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.assets.make_tiny_bundle import DESCRIPTION, TINY_STAGES, tiny_config, tiny_networks, tiny_vectors

from emotirt.build.parity import ShapeCase
from emotirt.build.recipe import Built, add_arguments, build_bundle, description_from_json, run
from emotirt.bundle.manifest import VoiceEntry
from emotirt.bundle.store import open_bundle
from emotirt.errors import BuildError, ManifestInvalid, TrainingError
from emotirt.models.checkpoint import half_state
from emotirt.models.vocoder import context_frames

QUICK = (ShapeCase("min", 1, 1, 1),)


def test_the_manifest_tells_of_networks_and_description(tiny_built: Built) -> None:
    manifest, config = tiny_built.bundle.manifest, tiny_config()
    assert manifest.name == "tiny"
    assert manifest.symbols == config.acoustic.symbols
    assert manifest.vocoder_context_frames == context_frames(config.vocoder) == 13
    assert manifest.sample_rate_hz == config.mel.sample_rate_hz
    assert manifest.hop_samples == config.mel.hop_samples == np.prod(config.vocoder.upsample_rates)
    assert manifest.voices == DESCRIPTION.voices
    assert manifest.emotions == DESCRIPTION.emotions
    assert manifest.created_by.commit == "tests"
    assert "symbols" not in manifest.model["acoustic"]
    assert {item.stage for item in tiny_built.differences} == set(TINY_STAGES)


def test_vectors_that_lack_a_voice_leave_the_old_bundle(tmp_path: Path) -> None:
    place = tmp_path / "bundle"
    description = replace(DESCRIPTION, voices=(*DESCRIPTION.voices, VoiceEntry("eve", "en")))
    with pytest.raises(ManifestInvalid, match="voice/eve is missing"):
        build_bundle(place, tiny_networks(), tiny_vectors(), description, "x", QUICK)
    assert list(tmp_path.iterdir()) == []


def description_json() -> dict[str, object]:
    return json.loads(json.dumps(asdict(DESCRIPTION)))


def test_description_round_trip() -> None:
    assert description_from_json(json.dumps(description_json()), "d.json") == DESCRIPTION


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"licence": 3}, ["licence"]),
        ({"licence": None}, ["licence"]),
        ({"licens": "MIT"}, ["licens", "did you mean 'licence'?"]),
        ({"voices": [{"name": "x", "language": "en", "age": 3}]}, ["voices.0.age", "known: name, language"]),
        ({"voices": [{"name": "x"}]}, ["voices.0.language"]),
        ({"emotions": [{"name": "x", "prosody": {"speed": "fast"}}]}, ["emotions.0.prosody.speed", "'fast'"]),
    ],
)
def test_description_errors_are_named(changes: dict[str, object], words: list[str]) -> None:
    with pytest.raises(BuildError) as caught:
        description_from_json(json.dumps(description_json() | changes), "d.json")
    assert [word for word in ["d.json", *words] if word not in str(caught.value)] == []


@pytest.mark.parametrize("text", ["", "{", "[]", b"\xff"])
def test_what_is_no_description_is_refused(text: str | bytes) -> None:
    with pytest.raises(BuildError, match=r"d\.json"):
        description_from_json(text, "d.json")


@pytest.fixture
def arguments(tmp_path: Path) -> argparse.Namespace:
    """The files that ``emotirt build`` takes, as trainers and people write them."""
    networks, config = tiny_networks(), tiny_config().to_dict()
    weights = {"acoustic": half_state(networks.acoustic), "reference": half_state(networks.reference)}
    torch.save({"config": config, "weights": weights}, tmp_path / "acoustic.pt")
    torch.save({"config": config, "weights": {"vocoder": half_state(networks.vocoder)}}, tmp_path / "vocoder.pt")
    np.savez(tmp_path / "vectors.npz", **tiny_vectors())
    (tmp_path / "description.json").write_text(json.dumps(description_json()), encoding="utf-8")
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    options = {"acoustic": "acoustic.pt", "vocoder": "vocoder.pt", "vectors": "vectors.npz"}
    options |= {"description": "description.json", "out": "out"}
    return parser.parse_args([part for name, file in options.items() for part in (f"--{name}", str(tmp_path / file))])


def test_build_from_files(arguments: argparse.Namespace) -> None:
    assert run(arguments) == 0
    bundle = open_bundle(arguments.out)
    bundle.verify()
    assert set(bundle.vectors().voices) == {voice.name for voice in DESCRIPTION.voices}


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("description", None, BuildError),
        ("description", b"{}", BuildError),
        ("vectors", None, BuildError),
        ("vectors", b"PK\x03\x04", BuildError),
        ("vectors", b"\x93NUMPY", BuildError),
        ("acoustic", None, TrainingError),
        ("vocoder", b"half a fi", TrainingError),
    ],
)
def test_bad_files_are_named_and_nothing_is_written(
    arguments: argparse.Namespace, name: str, content: bytes | None, error: type[Exception]
) -> None:
    path: Path = getattr(arguments, name)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=path.name):
        run(arguments)
    assert not arguments.out.exists()
