"""Measure how well synthesized speech is understood, against people saying the same unseen sentences."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotirt.cli.arguments import UsageError, add_engine_arguments

if TYPE_CHECKING:
    from emotirt.training.corpus import Clip, Pack
    from emotirt.types import Audio

RESULTS = Path("benchmarks/results")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``emotirt evaluate``."""
    add = parser.add_argument
    add("--pack", type=Path, required=True, metavar="DIR", help="pack with the human recordings")
    add("--recognizer", type=Path, required=True, metavar="FILE", help="exported phoneme recognizer (onnx)")
    add("--language", action="append", choices=("en", "zh"), help="language to score (default: both)")
    add("--voice", action="append", default=[], metavar="SPEAKER=VOICE", help="voice made from a speaker; repeat")
    add("--synthesized", type=Path, metavar="DIR", help="folder for the synthesized sentences; those there are kept")
    add("--human-only", action="store_true", help="score only the recordings")
    add("--results", type=Path, default=RESULTS, metavar="DIR", help=f"folder for the result file (default: {RESULTS})")
    add_engine_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Score, print the figures and write the result file; 1 when a target is missed."""
    from emotirt.bench.results import BenchmarkResult, write_result
    from emotirt.evaluation.intelligibility import score, unseen_speakers
    from emotirt.evaluation.recognize import PhonemeRecognizer
    from emotirt.training.corpus import load_pack

    pack, recognizer = load_pack(args.pack), PhonemeRecognizer(args.recognizer, args.threads or 1)
    languages = args.language or ["en", "zh"]
    folder = nullcontext(args.synthesized) if args.synthesized else tempfile.TemporaryDirectory()
    with folder as place:
        bundle = {} if args.human_only else _synthesize(args, pack, languages, Path(place))
        report = score(pack, recognizer, None if args.human_only else Path(place), languages)
    details = {**report, "unseen_speakers": unseen_speakers(pack, recognizer), "recognizer": recognizer.training}
    details["command"] = "emotirt " + " ".join(sys.argv[1:])
    values = {
        f"quality.per_ratio_{language}": {"value": found["ratio"]["value"], "unit": "ratio"}
        for language, found in report.items()
        if "ratio" in found
    }
    path = write_result(BenchmarkResult("intelligibility", values, details=details, bundle=bundle), args.results)
    sys.stdout.write(json.dumps(report, ensure_ascii=False, indent=1) + f"\nwritten to {path}\n")
    good = [one["recognizer_good_enough"] and one.get("ratio_within_target", True) for one in report.values()]
    return 0 if all(good) else 1


def voices_from_arguments(pairs: list[str]) -> dict[str, str]:
    """Parse ``SPEAKER=VOICE`` options.

    Raises: UsageError: no ``=``.
    """
    for pair in pairs:
        if "=" not in pair:
            raise UsageError(f"--voice {pair!r} must look like SPEAKER=VOICE, e.g. lj_f=linda")
    return dict(pair.split("=", 1) for pair in pairs)


def _synthesize(args: argparse.Namespace, pack: Pack, languages: list[str], folder: Path) -> dict[str, str]:
    """Speak what is not there yet; returns name and hash of the bundle, nothing if all was there already."""
    from emotirt.cli.arguments import open_engine
    from emotirt.engine import SpeechRequest
    from emotirt.evaluation.intelligibility import choose_sentences, file_name, synthesize

    voices = voices_from_arguments(args.voice)
    clips = [clip for language in languages for clip in choose_sentences(pack.clips, language)]
    if all((folder / file_name(clip)).exists() for clip in clips):
        return {}
    unnamed = sorted({clip.speaker for clip in clips} - set(voices))
    if unnamed:
        raise UsageError(f"say which voice stands for {', '.join(unnamed)}: --voice {unnamed[0]}=VOICE")
    engine: Any = open_engine(args)

    def speak(clip: Clip) -> Audio:
        spoken: Audio = engine.say(SpeechRequest(text=clip.text, voice=voices[clip.speaker])).audio
        return spoken

    synthesize(clips, speak, folder)
    return {"name": engine.bundle.manifest.name, "sha256": engine.bundle.digest}
