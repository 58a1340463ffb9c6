"""Argument parsing shared by the commands: one-line errors, and the options every speaking command has."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from emotirt.environment import voices_directory

if TYPE_CHECKING:
    from emotirt.engine import Engine, SpeechRequest

UNRECOGNIZED = "unrecognized arguments: "
VOICES_HELP = "where voices of your own are kept (default: EMOTIRT_VOICES, else your own place)"


class UsageError(Exception):
    """The command line itself is wrong."""


class OneLineParser(argparse.ArgumentParser):
    """A parser that reports a mistake as one line instead of its whole usage."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print.

        Raises: UsageError: always.
        """
        if self.prog.endswith(" say") and message.startswith(UNRECOGNIZED) and message[len(UNRECOGNIZED)] != "-":
            message += "; put a text of several words in quotes, and a file to write after --out"
        raise UsageError(f"{message} (see {self.prog} --help)")


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which bundle, backend and thread count to use."""
    add = parser.add_argument
    add("--bundle", type=Path, metavar="DIR", help="bundle to speak with (default: the one inside EmotiRT)")
    add("--backend", default="auto", help="auto, or a name that 'emotirt doctor' lists (default: auto)")
    add("--voices", type=Path, metavar="DIR", default=voices_directory(), help=VOICES_HELP)
    add("--threads", type=positive_int, metavar="N", help="CPU threads (default: one for every core)")


def add_store_arguments(parser: argparse.ArgumentParser, is_within: bool = False) -> None:
    """Declare where the user's voices are kept, and which bundle makes them.

    Args:
        parser: of a command, or of an action within one.
        is_within: leave what the command was given as it is, unless the action is given something else.
    """
    bundle, voices = (argparse.SUPPRESS,) * 2 if is_within else (None, voices_directory())
    add = parser.add_argument
    add("--voices", type=Path, metavar="DIR", default=voices, help=VOICES_HELP)
    add("--bundle", type=Path, metavar="DIR", default=bundle, help="bundle to use (default: the one inside EmotiRT)")


def add_speech_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how to speak; ranges are checked by the engine, which knows them."""
    add = parser.add_argument
    add("--voice", help="name, or a mixture such as kathleen:0.6+lan (default: the bundle's for the text's language)")
    add(
        "--reference",
        type=Path,
        action="append",
        metavar="FILE",
        help="a recording whose speaker speaks; may be repeated",
    )
    add("--emotion", default="neutral", help="name of an emotion, English or Chinese (default: neutral)")
    add("--prompt", help="the way of speaking in your own words, such as 非常开心 (bundles imported from EmotiVoice)")
    add("--emotion-reference", type=Path, action="append", metavar="FILE",
        help="a recording that sounds as this should, of any speaker; may be repeated")  # fmt: skip
    add("--intensity", type=float, default=1.0, help="strength of the emotion, 0 to 1.5 (default: 1)")
    add("--speed", type=float, default=1.0, help="speaking rate, 1 is the voice's own (default: 1)")
    add("--pitch", type=float, default=0.0, metavar="SEMITONES", help="raise or lower the voice (default: 0)")
    add("--pitch-range", type=float, default=1.0, metavar="RATIO", help="liveliness of the melody (default: 1)")
    add("--energy", type=float, default=0.0, metavar="DB", help="speak with more or less force (default: 0)")


def open_engine(args: argparse.Namespace) -> Engine:
    """Open the engine that the arguments of ``add_engine_arguments`` ask for.

    Raises: BundleError, BackendError: it cannot be opened.
    """
    from emotirt.engine import Engine

    return Engine.open(args.bundle, backend=args.backend, threads=args.threads, voices_path=args.voices)


def request_from_arguments(text: str, args: argparse.Namespace) -> SpeechRequest:
    """Make a request from the arguments of ``add_speech_arguments``.

    Raises: InvalidRequest: a value out of range.
    """
    from emotirt.engine import SpeechRequest
    from emotirt.types import Prosody

    prosody = Prosody(args.speed, args.pitch, args.pitch_range, args.energy)
    return SpeechRequest(
        text, args.voice, args.emotion, args.intensity, prosody, args.prompt, args.reference, args.emotion_reference
    )


def positive_int(text: str) -> int:
    """Parse a whole number of at least 1, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def server_options(args: argparse.Namespace) -> tuple[str, ...]:
    """Return the engine's arguments as options of ``emotirt serve``."""
    named = {"--bundle": args.bundle, "--backend": args.backend, "--threads": args.threads}
    return tuple(str(part) for name, value in named.items() if value is not None for part in (name, value))
