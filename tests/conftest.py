"""Settings and fixtures shared by all tests; other parts and fixtures live beside the tests that use them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# Before numpy, onnxruntime or torch start their thread pools: small tensors, many tests, few cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from emotirt.build.recipe import Built
    from emotirt.bundle.store import Bundle
    from emotirt.engine import Engine
    from emotirt.models.checkpoint import Networks

# No timing in tests: the machine may be busy. Continuous integration draws the same examples every time.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="session")
def tiny_built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The tiny bundle and how closely its graphs followed their networks when it was built; do not change it."""
    from tests.assets.make_tiny_bundle import make_tiny_bundle

    return make_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def tiny_bundle(tiny_built: Built) -> Path:
    """Directory of a really exported bundle with random weights; do not change it."""
    return tiny_built.bundle.path


@pytest.fixture(scope="session")
def opened_bundle(tiny_bundle: Path) -> Bundle:
    """The tiny bundle, opened."""
    from emotirt.bundle.store import open_bundle

    return open_bundle(tiny_bundle)


@pytest.fixture(scope="session")
def tiny_prepared() -> Networks:
    """The networks of the tiny bundle as they were exported; do not change them."""
    from tests.assets.make_tiny_bundle import tiny_networks

    from emotirt.build.export import prepare_networks

    return prepare_networks(tiny_networks())


@pytest.fixture(scope="session")
def emotivoice_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a bundle made from a tiny public EmotiVoice model; do not change it."""
    from tests.assets.emotivoice import make_bundle

    return make_bundle(tmp_path_factory.mktemp("bundles") / "emotivoice")


@pytest.fixture(scope="session")
def emotivoice_bundle(emotivoice_path: Path) -> Bundle:
    """The same, opened."""
    from emotirt.bundle.store import open_bundle

    return open_bundle(emotivoice_path)


@pytest.fixture(scope="session")
def emotivoice_engine(emotivoice_path: Path) -> Iterator[Engine]:
    """An engine on it."""
    from emotirt.engine import Engine

    with Engine.open(emotivoice_path, threads=1) as opened:
        yield opened


@pytest.fixture(scope="session")
def engine(tiny_bundle: Path) -> Iterator[Engine]:
    """An engine on the tiny bundle."""
    from emotirt.engine import Engine

    with Engine.open(tiny_bundle, threads=1) as opened:
        yield opened
