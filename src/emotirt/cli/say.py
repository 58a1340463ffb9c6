"""Speak a text into a file, a pipe or the loudspeaker."""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from pathlib import Path

from emotirt.audio.encode import FORMATS
from emotirt.cli.arguments import add_engine_arguments, add_speech_arguments, open_engine, request_from_arguments
from emotirt.cli.text_input import read_text

DEFAULT_STEM = "speech"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``emotirt say``."""
    add = parser.add_argument
    add("text", nargs="?", metavar="TEXT", help="what to say; '-' reads standard input")
    add("--file", type=Path, metavar="FILE", help="read the text from a file (UTF-8)")
    add_speech_arguments(parser)
    add("--format", choices=sorted(FORMATS), help="audio format (default: the ending of --out, else wav)")
    add("--out", metavar="FILE", help="file to write, '-' for standard output (default: speech.wav unless --play)")
    add("--play", action="store_true", help="play while speaking")
    add("--sample-rate", type=int, metavar="HZ", help="sample rate of the result (default: the bundle's)")
    add("--quiet", action="store_true", help="no progress bar and no timing line")
    add_engine_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Speak, and return the exit code."""
    text = read_text(args.text, args.file)
    output = output_from_arguments(args)
    started = time.perf_counter()
    engine = open_engine(args)
    loaded_s = time.perf_counter() - started
    stream = engine.stream(request_from_arguments(text, args))
    rate_hz = args.sample_rate or engine.sample_rate_hz
    from emotirt.cli.progress import progress_over
    from emotirt.cli.sinks import open_sink

    with ExitStack() as stack:
        sinks = [
            stack.enter_context(open_sink(target, output.format_name, engine.sample_rate_hz, rate_hz))
            for target in output.targets
        ]
        for chunk in progress_over(stream, quiet=args.quiet):
            for sink in sinks:
                sink.write(chunk.samples)
    return 0
