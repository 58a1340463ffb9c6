"""Make a voice from recordings of one person who has agreed: 3 to 30 s of speech, alone, in a quiet room.

Only the voice is kept, as numbers in a file of your own; the recordings are not. 'emotirt voices' lists and removes it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emotirt.cli.arguments import UsageError, add_store_arguments
from emotirt.cli.voices import table

if TYPE_CHECKING:
    from emotirt.engine.voices import NewVoice, UserVoices
    from emotirt.voices.recording_check import RecordingReport

AGREEMENT = "confirmed on the command line"
QUESTION = "Does the person in the recording agree that this voice is made and used? [y/N] "


def add_arguments(parser: argparse.ArgumentParser, is_within: bool = False) -> None:
    """Declare the options of ``emotirt clone``; see ``add_store_arguments`` for ``is_within``."""
    add = parser.add_argument
    add("name", metavar="NAME", help="what the voice is to be called")
    add("recordings", metavar="CLIP", nargs="+", type=Path, help="audio files of one speaker; several are averaged")
    add("--consent", action="store_true", help="the person in the recording agrees that this voice is made and used")
    add("--consent-note", metavar="TEXT", help="who agreed, when and to what; kept with the voice (implies --consent)")
    add("--language", default="und", metavar="CODE", help="the speaker's own language, such as en or zh")
    add("--description", default="", metavar="TEXT", help="how it sounds, in one line")
    add("--replace", action="store_true", help="replace a voice of yours with the same name")
    add("--check", action="store_true", help="only report on the recordings")
    add_store_arguments(parser, is_within)


def run(args: argparse.Namespace) -> int:
    """Report on the recordings, make the voice, and return the exit code."""
    voices = open_voices(args)
    voices.encoder.require("cloning a voice")
    reports = voices.encoder.check(args.recordings)
    sys.stdout.write(_table(reports))
    for report in reports:
        for warning in report.warnings:
            sys.stderr.write(f"emotirt: warning: {report.name}: {warning}\n")
    if args.check:
        return _checked(reports)
    made = voices.clone(_new(args), args.recordings)
    sys.stdout.write(
        f"voice {made.voice.name!r} kept in {voices.store.path}; the recordings are not kept. "
        f'Try: emotirt say --voice {_quoted(made.voice.name)} "Hello, 你好"\n'
    )
    return 0


def open_voices(args: argparse.Namespace) -> UserVoices:
    """Open the user's voices for the bundle of the arguments; raises its errors."""
    from emotirt.bundle.store import default_bundle_path, open_bundle
    from emotirt.engine.voices import UserVoices

    bundle = open_bundle(default_bundle_path() if args.bundle is None else args.bundle)
    return UserVoices(bundle, args.voices)


def _new(args: argparse.Namespace) -> NewVoice:
    from emotirt.engine.voices import NewVoice

    consent = args.consent_note or (AGREEMENT if args.consent or _agreed() else "")
    return NewVoice(args.name, consent, args.language, args.description, args.replace)


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise UsageError("cloning needs the agreement of the person in the recording; confirm it with --consent")
    sys.stderr.write(QUESTION)
    sys.stderr.flush()
    if sys.stdin.readline().strip().casefold() not in ("y", "yes", "是"):
        raise UsageError("no voice is made without the agreement of the person in the recording")
    return True


def _checked(reports: Sequence[RecordingReport]) -> int:
    refused = [report for report in reports if report.refusal]
    for report in refused:
        sys.stderr.write(f"emotirt: {report.name} cannot be used: {report.refusal}\n")
    return 2 if refused else 0


def _table(reports: Sequence[RecordingReport]) -> str:
    rows = [
        (
            report.name.removeprefix("recording "),
            f"{report.duration_s:.1f} s",
            f"{report.speech_s:.1f} s",
            f"{report.level_dbfs:.0f} dBFS",
            f"{report.snr_db:.0f} dB",
            f"{100 * report.clipped_ratio:.1f} %",
            f"{report.bandwidth_hz / 1000:.1f} kHz",
            "refused" if report.refusal else "usable, could be better" if report.warnings else "good",
        )
        for report in reports
    ]
    return table(("recording", "length", "speech", "level", "above noise", "clipped", "up to", "verdict"), rows)


def _quoted(name: str) -> str:
    from shlex import quote

    return quote(name)
