"""Train the models of a bundle; needs the extra 'train' (PyTorch)."""

from __future__ import annotations

import argparse
import logging

from emotirt.errors import BackendUnavailable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``emotirt train``, which training itself knows.

    Raises: BackendUnavailable: PyTorch is not installed.
    """
    try:
        from emotirt.training import main as training
    except ModuleNotFoundError as exc:
        raise BackendUnavailable(f"training needs the package {exc.name!r}: pip install 'emotirt[train]'") from exc
    training.add_arguments(parser)
    parser.set_defaults(run_training=training.run)


def run(args: argparse.Namespace) -> int:
    """Run one training step, with its progress on standard error."""
    logging.getLogger("emotirt").setLevel(logging.INFO)
    args.run_training(args)
    return 0
