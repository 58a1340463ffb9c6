"""The tiny public EmotiVoice model of ``emotivoice_tiny/`` as our networks and as a bundle."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotirt.build.emotivoice import PublicModel, load_public_model
from emotirt.build.emotivoice_bundle import build_public_bundle
from emotirt.build.emotivoice_files import EmotiVoiceFiles
from emotirt.build.parity import ShapeCase

FOLDER = Path(__file__).parent / "emotivoice_tiny"
GENERATORS = ("g_00000001", "g_00000001_weight_norm_legacy")
CASES = 3


def tiny_files(folder: Path = FOLDER, generator: str = GENERATORS[0]) -> EmotiVoiceFiles:
    return EmotiVoiceFiles(
        folder / generator,
        folder / "checkpoint_000001",
        folder / "bert",
        folder / "tokenlist",
        folder / "speaker2",
        folder / "config.yaml",
    )


def tiny_model(generator: str = GENERATORS[0]) -> PublicModel:
    return load_public_model(tiny_files(generator=generator))


def copied_files(directory: Path) -> EmotiVoiceFiles:
    """Copy the model, for tests that break it."""
    return tiny_files(Path(shutil.copytree(FOLDER, directory / "emotivoice")))


def arrays(name: str) -> Mapping[str, NDArray[Any]]:
    with np.load(FOLDER / name) as archive:
        return {key: archive[key] for key in archive.files}


def make_bundle(directory: Path) -> Path:
    cases = (ShapeCase("min", 1, 1, 1), ShapeCase("batch", 2, 20, 90))
    return build_public_bundle(directory, tiny_model(), "tiny-emotivoice", "tests", cases).bundle.path
