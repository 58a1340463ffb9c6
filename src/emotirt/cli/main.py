"""The ``emotirt`` command: finds the subcommand, imports only its module, and turns errors into one line.

Exit codes: 0 done, 1 failed, 2 the input or the usage is wrong, 130 interrupted, 141 the reader of standard output
left, 143 terminated.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

from emotirt.cli.arguments import OneLineParser, UsageError
from emotirt.errors import EmotiRTError, InvalidRequest

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_PIPE_CLOSED = 141
EXIT_TERMINATED = 143

COMMANDS = {
    "say": "speak a text into a file, a pipe or the loudspeaker",
    "serve": "serve speech over HTTP and WebSocket, with OpenAI's interface",
    "clone": "make a voice from recordings of a few seconds",
    "voices": "list voices and emotions; add, remove, blend, export and import your own",
    "doctor": "show what is installed, what is missing and what would be used",
    "demo": "write samples in several languages, voices and emotions",
    "bench": "measure speed, and collect results",
    "train": "train the models of a bundle",
    "build": "make a bundle from trained models, or TensorRT plans of a bundle",
    "import": "make a bundle from a model that another project trained",
    "evaluate": "measure the speech against people: understood, voice, emotion, sound",
}

_MODULES = {"import": "importing"}
"""Where a module has another name than its command, here because it is a keyword."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; never raises but for --debug."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    previous = _catch_termination()
    try:
        return _dispatch([item for item in arguments if item != "--debug"], debug)
    except KeyboardInterrupt:
        _complain("interrupted")
        return EXIT_INTERRUPTED
    except _Terminated:
        return EXIT_TERMINATED
    except BrokenPipeError:
        _silence_stdout()
        return EXIT_PIPE_CLOSED
    except (EmotiRTError, UsageError) as exc:
        if debug:
            raise
        _complain(f"error: {exc}")
        return EXIT_USAGE if isinstance(exc, (InvalidRequest, UsageError)) else EXIT_FAILED
    except Exception as exc:
        if debug:
            raise
        _complain(f"internal error: {type(exc).__name__}: {exc} (run again with --debug for the traceback)")
        return EXIT_FAILED
    finally:
        if previous is not None:
            previous()


def _dispatch(arguments: list[str], debug: bool) -> int:
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING, format="emotirt: %(message)s", stream=sys.stderr
    )
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        sys.stdout.write(_overview())
        return 0 if arguments else EXIT_USAGE
    if arguments[0] in ("-V", "--version"):
        from importlib.metadata import version

        sys.stdout.write(f"emotirt {version('emotirt')}\n")
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        raise UsageError(f"unknown command {name!r}; available: {', '.join(COMMANDS)}{_nearest(name)}")
    command = importlib.import_module(f"emotirt.cli.{_MODULES.get(name, name)}")
    parser = OneLineParser(prog=f"emotirt {name}", description=command.__doc__)
    command.add_arguments(parser)
    code = command.run(parser.parse_args(arguments[1:]))
    sys.stdout.flush()
    return int(code)


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {purpose}" for name, purpose in COMMANDS.items()]
    return "\n".join(
        (
            "usage: emotirt COMMAND [OPTIONS]",
            "",
            *lines,
            "",
            "  emotirt COMMAND --help tells more; --version names the version; --debug shows tracebacks.",
            "",
        )
    )


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, COMMANDS, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _complain(message: str) -> None:
    one_line = " ".join(message.split())
    sys.stderr.write(f"emotirt: {one_line}\n")


class _Terminated(BaseException):
    """SIGTERM, raised in the main thread so that temporary files are removed."""


def _catch_termination() -> Callable[[], None] | None:
    def raise_terminated(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    try:
        before = signal.signal(signal.SIGTERM, raise_terminated)
    except ValueError:  # not the main thread: signals stay with whoever owns them
        return None

    def restore() -> None:
        signal.signal(signal.SIGTERM, before)

    return restore


def _silence_stdout() -> None:
    """Point standard output at nothing, so that the interpreter's last flush does not fail again."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # a stream without a descriptor needs none
        return
