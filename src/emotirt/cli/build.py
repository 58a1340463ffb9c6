"""Make a bundle from trained models; needs the extra 'train' (PyTorch and ONNX)."""

from __future__ import annotations

import argparse
import logging

from emotirt.errors import BackendUnavailable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``emotirt build``, which the recipe itself knows.

    Raises: BackendUnavailable: PyTorch or ONNX is not installed.
    """
    try:
        from emotirt.build import recipe
    except ModuleNotFoundError as exc:
        raise BackendUnavailable(f"building needs the package {exc.name!r}: pip install 'emotirt[train]'") from exc
    recipe.add_arguments(parser)
    parser.set_defaults(run_recipe=recipe.run)


def run(args: argparse.Namespace) -> int:
    """Run the recipe, with its progress on standard error."""
    logging.getLogger("emotirt").setLevel(logging.INFO)
    args.run_recipe(args)
    return 0
