"""The tiny public EmotiVoice model of ``emotivoice_tiny/`` as our networks and as a bundle."""

from __future__ import annotations

import atexit
import functools
import lzma
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emotirt.build.emotivoice import PublicModel, load_public_model
from emotirt.build.emotivoice_bundle import build_public_bundle
from emotirt.build.emotivoice_files import EmotiVoiceFiles
from emotirt.build.parity import ShapeCase

ASSETS = Path(__file__).parent


def _unpacked() -> Path:
    """Lay the model out in a folder of its own, its weights unpacked; gone when the tests are."""
    place = Path(tempfile.mkdtemp(prefix="emotivoice-tiny-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    folder = shutil.copytree(ASSETS / "emotivoice_tiny", place / "emotivoice_tiny")
    for packed in folder.glob("*.xz"):
        packed.with_suffix("").write_bytes(lzma.decompress(packed.read_bytes()))
        packed.unlink()
    return Path(folder)


FOLDER = _unpacked()
GENERATORS = ("parametrizations", "legacy")
"""Spellings of weight normalization."""
_LEGACY = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
CASES = 3


def tiny_files(folder: Path = FOLDER, spelling: str = GENERATORS[0]) -> EmotiVoiceFiles:
    return EmotiVoiceFiles(
        folder / "g_00000001" if spelling == GENERATORS[0] else legacy_generator(),
        folder / "checkpoint_000001",
        folder / "bert",
        folder / "tokenlist",
        folder / "speaker2",
        folder / "config.yaml",
    )


@functools.cache
def legacy_generator() -> Path:
    """Write the same generator as PyTorch's older weight normalization names its tensors; returns the file."""
    place = Path(tempfile.mkdtemp(prefix="emotivoice-legacy-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    tensors = torch.load(FOLDER / "g_00000001", weights_only=True)["generator"]
    for new, old in _LEGACY.items():
        tensors = {name.replace(new, old): tensor for name, tensor in tensors.items()}
    assert not any("parametrizations" in name for name in tensors)
    torch.save({"generator": tensors}, place / "g_00000001_legacy")
    return place / "g_00000001_legacy"


def tiny_model(spelling: str = GENERATORS[0]) -> PublicModel:
    return load_public_model(tiny_files(spelling=spelling))


def copied_files(directory: Path) -> EmotiVoiceFiles:
    """Copy the model, for tests that break it."""
    return tiny_files(Path(shutil.copytree(FOLDER, directory / "emotivoice")))


def arrays(name: str) -> Mapping[str, NDArray[Any]]:
    with np.load(FOLDER / name) as archive:
        return {key: archive[key] for key in archive.files}


def make_bundle(directory: Path) -> Path:
    cases = (ShapeCase("min", 1, 1, 1), ShapeCase("batch", 2, 20, 90))
    return build_public_bundle(directory, tiny_model(), "tiny-emotivoice", "tests", cases).bundle.path
