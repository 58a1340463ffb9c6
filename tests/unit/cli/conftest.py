"""A tiny bundle for all tests of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A really exported bundle with random weights; do not change it."""
    from tests.assets.make_tiny_bundle import make_tiny_bundle

    directory = tmp_path_factory.mktemp("bundles") / "tiny"
    make_tiny_bundle(directory)
    return directory
