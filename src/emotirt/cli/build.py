"""Make a bundle from trained models, or of a bundle that exists its TensorRT plans or a copy in another precision.

--target makes plans and needs the extra 'tensorrt' or 'tensorrt-rtx'; --precision without it makes such a copy.
Making a bundle needs the extra 'train' (PyTorch and ONNX).
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from emotirt.cli import plans, precision
from emotirt.errors import BackendUnavailable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``emotirt build``, those of bundles only where PyTorch and ONNX are installed."""
    plans.add_arguments(parser.add_argument_group("plans of a bundle"))
    try:
        from emotirt.build import recipe
    except ModuleNotFoundError as exc:
        parser.add_argument("--out", type=Path, metavar="DIR", help="where the bundle goes")
        parser.set_defaults(run_recipe=None, missing=exc.name)
        return
    recipe.add_arguments(parser)
    parser.set_defaults(run_recipe=recipe.run)


def run(args: argparse.Namespace) -> int:
    """Run the recipe, build plans or derive a bundle, with progress on standard error.

    Raises: BackendUnavailable: a bundle is to be made, and PyTorch or ONNX is not installed.
    """
    logging.getLogger("emotirt").setLevel(logging.INFO)
    if args.target is not None:
        return plans.run(args)
    if args.precision is not None:
        return precision.run(args)
    plans.check_unused(args)
    if args.run_recipe is None:
        raise BackendUnavailable(f"building needs the package {args.missing!r}: pip install 'emotirt[train]'")
    args.run_recipe(args)
    return 0
