"""Speak a text into a file, a pipe or the loudspeaker."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emotirt.audio.encode import FORMATS, audio_format, encode, format_from_path
from emotirt.cli.arguments import (
    UsageError,
    add_engine_arguments,
    add_speech_arguments,
    open_engine,
    request_from_arguments,
)
from emotirt.cli.output import check_target, write_file
from emotirt.cli.progress import progress_bar
from emotirt.cli.text_input import read_text
from emotirt.synthesis.times import TIMESTAMP_KINDS, timestamps_from_spoken

if TYPE_CHECKING:
    from emotirt.engine import Engine, SpeechRequest, Timings
    from emotirt.types import SpokenUtterance

DEFAULT_STEM = "speech"
LONG_TEXT_CHARACTERS = 300  # about 20 s of speech: worth a progress bar


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``emotirt say``."""
    add = parser.add_argument
    add("text", nargs="?", metavar="TEXT", help="what to say; '-' reads standard input")
    add("--file", type=Path, metavar="FILE", help="read the text from a file (UTF-8)")
    add("--strict", action="store_true", help="refuse a text past 20,000 characters instead of cutting it")
    add_speech_arguments(parser)
    add("--format", choices=sorted(FORMATS), help="audio format (default: the ending of --out, else wav)")
    add("--out", metavar="FILE", help="file to write, '-' for standard output (default: speech.wav unless --play)")
    add("--play", action="store_true", help="play while speaking")
    add("--sample-rate", type=int, metavar="HZ", help="sample rate of the result (default: the bundle's)")
    add("--timestamps", type=Path, metavar="FILE", help="write when words, phonemes and visemes sound, as JSON")
    add(
        "--timestamp-kinds", type=_kinds, metavar="KINDS",
        help="which of word,phoneme,viseme --timestamps writes (default: all)",
    )  # fmt: skip
    add("--quiet", action="store_true", help="no progress bar and no timing line")
    add_engine_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Speak, and return the exit code."""
    text = read_text(args.text, args.file)
    output = output_from_arguments(args)
    if args.timestamps is not None:
        check_target(args.timestamps)
    elif args.timestamp_kinds is not None:
        raise UsageError("--timestamp-kinds says what --timestamps writes; give --timestamps FILE too")
    started = time.perf_counter()
    with open_engine(args) as engine:
        loaded_s = time.perf_counter() - started
        request = request_from_arguments(text, args)
        output.check_rate(args.sample_rate or engine.sample_rate_hz)
        if output.is_one_file and not (_is_long(text) and sys.stderr.isatty()):
            said = _speak_whole(engine, request, output, args)
        else:
            said = _speak_streamed(engine, request, output, args)
        if args.timestamps is not None:
            write_file(
                args.timestamps, _timestamps(said, engine.sample_rate_hz, args.timestamp_kinds or TIMESTAMP_KINDS)
            )
    for warning in said.warnings:
        sys.stderr.write(f"emotirt: warning: {warning}\n")
    if not args.quiet:
        sys.stderr.write(f"{output.description}: {_summary(said.timings)}, loaded in {loaded_s:.2f} s\n")
    return 0


@dataclass(frozen=True, slots=True)
class _Said:
    """What is known once the text has been spoken."""

    timings: Timings
    warnings: tuple[str, ...]
    spoken: tuple[SpokenUtterance, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """Where the audio goes, settled before anything is loaded.

    Attributes:
        targets: files, ``-`` for standard output, ``play`` for the loudspeaker; at least one.
        format_name: of the file or of standard output.
    """

    targets: tuple[Path | str, ...]
    format_name: str

    @property
    def is_one_file(self) -> bool:
        """Whether nobody hears anything before the end."""
        return len(self.targets) == 1 and isinstance(self.targets[0], Path)

    @property
    def description(self) -> str:
        """The targets, for people."""
        names = {"-": "standard output", "play": "played"}
        return ", ".join(names.get(str(target), str(target)) for target in self.targets)

    def check_rate(self, sample_rate_hz: int) -> None:
        """Refuse a rate that the format cannot hold.

        Raises: UnsupportedFormat: lists the rates it can.
        """
        if self.targets != ("play",):
            audio_format(self.format_name, sample_rate_hz)


def output_from_arguments(args: argparse.Namespace) -> Output:
    """Work out targets and format, and check that they can be reached.

    Raises: OutputError: the file cannot be written. UnsupportedFormat: unknown ending. InvalidRequest: senseless rate.
        BackendUnavailable: no player.
    """
    if args.sample_rate is not None:
        from emotirt.audio.resample import check_rate

        check_rate(args.sample_rate)
    targets: list[Path | str] = []
    if args.play:
        from emotirt.cli.play import find_player

        find_player()
        targets.append("play")
    format_name = args.format or "wav"
    out = args.out or ("" if args.play else f"{DEFAULT_STEM}{FORMATS[format_name].suffixes[0]}")
    if out == "-":
        targets.append("-")
    elif out:
        path = Path(out)
        check_target(path)
        format_name = args.format or format_from_path(path).name
        targets.append(path)
    return Output(tuple(targets), format_name)


def _speak_whole(engine: Engine, request: SpeechRequest, output: Output, args: argparse.Namespace) -> _Said:
    result = engine.say(request, args.strict)
    audio = result.audio
    if args.sample_rate is not None and args.sample_rate != audio.sample_rate_hz:
        from emotirt.audio.resample import resample

        audio = resample(audio, args.sample_rate)
    write_file(Path(output.targets[0]), encode(audio, output.format_name))
    return _Said(result.timings, result.warnings, result.spoken)


def _speak_streamed(engine: Engine, request: SpeechRequest, output: Output, args: argparse.Namespace) -> _Said:
    from emotirt.cli.sinks import open_sink

    stream = engine.stream(request, args.strict)
    rate_hz = args.sample_rate or engine.sample_rate_hz
    with ExitStack() as stack:
        sinks = [
            stack.enter_context(open_sink(target, output.format_name, engine.sample_rate_hz, rate_hz))
            for target in output.targets
        ]
        shown = not args.quiet and stream.utterance_count > 1
        advance = stack.enter_context(progress_bar("speaking", stream.utterance_count, shown))
        spoken = []
        for chunk in stream:
            if chunk.spoken is not None:
                spoken.append(chunk.spoken)
            for sink in sinks:
                sink.write(chunk.samples)
            advance(chunk.utterance_index)
    return _Said(stream.timings, stream.warnings, tuple(spoken))


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(dict.fromkeys(item.strip() for item in text.split(",")))
    unknown = [kind for kind in kinds if kind not in TIMESTAMP_KINDS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is unknown; give some of {','.join(TIMESTAMP_KINDS)}")
    return kinds


def _timestamps(said: _Said, sample_rate_hz: int, kinds: Iterable[str]) -> bytes:
    described = {
        "duration_s": round(said.timings.audio_s, 6),
        "utterances": [timestamps_from_spoken(spoken, sample_rate_hz, kinds) for spoken in said.spoken],
    }
    return json.dumps(described, ensure_ascii=False, indent=1).encode("utf-8", "replace") + b"\n"


def _is_long(text: str) -> bool:
    return len(text) > LONG_TEXT_CHARACTERS


def _summary(timings: Timings) -> str:
    parts = ", ".join(
        f"{name} {1000 * value:.0f} ms"
        for name, value in (
            ("frontend", timings.frontend_s),
            ("acoustic", timings.acoustic_s),
            ("vocoder", timings.vocoder_s),
            ("first audio", timings.first_audio_s),
        )
    )
    return f"{timings.audio_s:.2f} s of audio in {timings.total_s:.2f} s ({parts}), {timings.rtfx:.1f} x real time"
