"""Argument parsing shared by the commands: one-line errors, and the options every speaking command has."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn


class UsageError(Exception):
    """The command line itself is wrong."""


class OneLineParser(argparse.ArgumentParser):
    """A parser that reports a mistake as one line instead of its whole usage."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print.

        Raises: UsageError: always.
        """
        raise UsageError(f"{message} (see {self.prog} --help)")


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which bundle, backend and thread count to use."""
    parser.add_argument(
        "--bundle", type=Path, metavar="DIR", help="bundle to speak with (default: the one inside EmotiRT)"
    )
    parser.add_argument(
        "--backend", default="auto", help="auto, onnxruntime or another name that 'emotirt doctor' lists"
    )
    parser.add_argument("--threads", type=positive_int, metavar="N", help="CPU threads (default: one for every core)")


def positive_int(text: str) -> int:
    """Parse a whole number of at least 1, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value
