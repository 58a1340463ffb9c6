"""Measure how speech is understood, whose it sounds like, what is felt in it and how sound it is, beside people."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emotirt.cli.arguments import UsageError, add_engine_arguments

if TYPE_CHECKING:
    from emotirt.evaluation.findings import Findings
    from emotirt.evaluation.synthesizer import Synthesizer
    from emotirt.training.corpus import Clip, Pack
    from emotirt.types import Audio

RESULTS = Path("benchmarks/results")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``emotirt evaluate``."""
    add = parser.add_argument
    add("--pack", type=Path, metavar="DIR", help="pack with the human recordings (all parts but precision)")
    add("--corpus", type=Path, metavar="DIR", help="recordings to make the pack of, if it is not there yet")
    add("--part", action="append", choices=sorted(PARTS), help="what to measure; repeat (default: whatever can be)")
    add("--recognizer", type=Path, metavar="FILE", help="exported phoneme recognizer (onnx), for intelligibility")
    add("--asr", metavar="COMMAND", help="any speech recognizer: a command that reads a wav, or module:function")
    add("--language", action="append", choices=("en", "zh"), help="language to score (default: both)")
    add("--voice", action="append", default=[], metavar="SPEAKER=VOICE", help="voice made from a speaker; repeat")
    add("--synthesized", type=Path, metavar="DIR", help="folder for the synthesized sentences; those there are kept")
    add("--human-only", action="store_true", help="score only the recordings, for intelligibility")
    add("--sentences", type=int, default=500, metavar="N", help="sentences to check for sound (default: 500)")
    add("--against-bundle", type=Path, metavar="DIR", help="another bundle to compare with, for precision")
    add("--against-backend", metavar="NAME", help="another backend to compare with, for precision")
    add("--kind", choices=("float32", "float16", "int8"), default="float16", help="what it is compared as")
    add("--speaker-encoder", type=Path, metavar="FILE", help="weights of the foreign speaker encoder")
    add("--report", type=Path, metavar="FILE", help="write an HTML report with sounds, and its figures beside as JSON")
    add("--results", type=Path, default=RESULTS, metavar="DIR", help=f"folder for result files (default: {RESULTS})")
    add_engine_arguments(parser)


@dataclass(frozen=True, slots=True)
class Bench:
    """What the parts measure with."""

    args: argparse.Namespace
    synthesizer: Synthesizer
    voices: dict[str, str]
    languages: list[str]

    def pack(self) -> Pack:
        """Open the pack; made from the corpus first if it is not there."""
        from emotirt.training.corpus import load_pack

        args = self.args
        if args.pack is None:
            raise UsageError("name the human recordings: --pack DIR, as 'emotirt train pack' makes it")
        if args.corpus is not None and not (args.pack / "clips.jsonl").exists():
            from emotirt.training.main import run_pack

            args.workers = args.threads or 1
            run_pack(args)
        return load_pack(args.pack)


def run(args: argparse.Namespace) -> int:
    """Measure, print the figures, write result files and report; 1 when a target is missed."""
    if args.human_only:
        return _run_people_only(args)
    from emotirt.evaluation.synthesizer import Synthesizer

    voices = voices_from_arguments(args.voice)
    with Synthesizer.open(args.bundle, args.backend, args.threads) as synthesizer:
        bench = Bench(args, synthesizer, voices or _default_voices(synthesizer), args.language or ["en", "zh"])
        found = []
        for name in args.part or _possible(args):
            found.append(PARTS[name](bench))
            _write(found[-1], synthesizer.name, args.results)  # at once: the next part may take minutes
        if args.report is not None:
            _write_report(args.report, bench, found)
    for findings in found:
        for target in findings.targets:
            word = "reached" if target.reached else "NOT REACHED"
            sys.stdout.write(f"{findings.part}: {target.what}: {_number(target.value)}, {target.wanted}: {word}\n")
    return 0 if all(findings.reached for findings in found) else 1


def voices_from_arguments(pairs: list[str]) -> dict[str, str]:
    """Parse ``SPEAKER=VOICE`` options.

    Raises: UsageError: no ``=``.
    """
    for pair in pairs:
        if "=" not in pair:
            raise UsageError(f"--voice {pair!r} must look like SPEAKER=VOICE, e.g. lj_f=linda")
    return dict(pair.split("=", 1) for pair in pairs)


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4g}"


def _possible(args: argparse.Namespace) -> list[str]:
    """Name the parts that the options allow."""
    wanted = {
        "intelligibility": args.pack is not None and args.recognizer is not None,
        "transcripts": args.pack is not None and args.asr is not None,
        "precision": args.against_bundle is not None or args.against_backend is not None,
        "recordings": args.pack is not None and args.corpus is not None,
        **dict.fromkeys(("speakers", "emotions", "sound", "held_out"), args.pack is not None),
    }
    names = [name for name in PARTS if wanted[name]]
    if not names:
        raise UsageError("nothing to measure: give --pack DIR, or --against-bundle or --against-backend")
    return names


def _default_voices(synthesizer: Synthesizer) -> dict[str, str]:
    """Whose voices the default bundle's are; nothing for voices that it does not have."""
    from emotirt.training.default_voices import SPEAKERS

    there = {voice.name for voice in synthesizer.bundle.manifest.voices}
    return {speaker: voice.name for speaker, voice in SPEAKERS.items() if voice.name in there}


def _intelligibility(bench: Bench) -> Findings:
    from emotirt.evaluation.intelligibility import choose_sentences, score, unseen_speakers
    from emotirt.evaluation.intelligibility_findings import intelligibility_findings
    from emotirt.evaluation.recognize import PhonemeRecognizer

    if bench.args.recognizer is None:
        raise UsageError("intelligibility needs --recognizer FILE, a recognizer that heard people only")
    pack, recognizer = bench.pack(), PhonemeRecognizer(bench.args.recognizer, bench.args.threads or 1)
    clips = [clip for language in bench.languages for clip in choose_sentences(pack.clips, language)]
    with ExitStack() as stack:
        folder = _synthesized(bench, clips, stack)
        report = score(pack, recognizer, folder, bench.languages)
    details = {**report, "unseen_speakers": unseen_speakers(pack, recognizer), "recognizer": recognizer.training}
    return intelligibility_findings(report, details)


def _transcripts(bench: Bench) -> Findings:
    from emotirt.audio.read import read_audio
    from emotirt.evaluation.intelligibility import choose_sentences, file_name
    from emotirt.evaluation.transcribe import open_transcriber, score_transcripts

    if bench.args.asr is None:
        raise UsageError("transcripts need --asr COMMAND, a command that reads a wav and prints text")
    pack, transcribe = bench.pack(), open_transcriber(bench.args.asr)
    clips = [clip for language in bench.languages for clip in choose_sentences(pack.clips, language)]
    with ExitStack() as stack:
        folder = _synthesized(bench, clips, stack)
        ours = [read_audio(folder / file_name(clip)).samples for clip in clips]
    return score_transcripts(transcribe, clips, [pack.samples(clip) for clip in clips], ours)


def _synthesized(bench: Bench, clips: list[Clip], stack: ExitStack) -> Path:
    """Speak what is not there yet."""
    from emotirt.engine import SpeechRequest
    from emotirt.evaluation.intelligibility import synthesize
    from emotirt.types import Audio

    unnamed = sorted({clip.speaker for clip in clips} - set(bench.voices))
    if unnamed:
        raise UsageError(f"say which voice stands for {', '.join(unnamed)}: --voice {unnamed[0]}=VOICE")

    def speak(clip: Clip) -> Audio:
        spoken = bench.synthesizer.say(SpeechRequest(text=clip.text, voice=bench.voices[clip.speaker]))
        return Audio(spoken.samples, bench.synthesizer.bundle.manifest.sample_rate_hz)

    folder = bench.args.synthesized or Path(stack.enter_context(tempfile.TemporaryDirectory()))
    synthesize(clips, speak, folder)
    return Path(folder)


def _speakers(bench: Bench) -> Findings:
    from emotirt.evaluation.similarity import measure_speakers
    from emotirt.evaluation.speaker_encoder import SpeakerEncoder

    pack = bench.pack()
    return measure_speakers(pack, bench.synthesizer, SpeakerEncoder(bench.args.speaker_encoder), bench.voices)


def _emotions(bench: Bench) -> Findings:
    from emotirt.evaluation.emotions import measure_emotions
    from emotirt.evaluation.speaker_encoder import SpeakerEncoder

    return measure_emotions(bench.pack(), bench.synthesizer, SpeakerEncoder(bench.args.speaker_encoder))


def _sound(bench: Bench) -> Findings:
    from emotirt.evaluation.sound_check import check_sound

    return check_sound(bench.pack(), bench.synthesizer, bench.args.sentences)


def _held_out(bench: Bench) -> Findings:
    from emotirt.errors import BackendUnavailable
    from emotirt.evaluation.held_out import measure_held_out
    from emotirt.evaluation.no_reference import SignalRater

    try:
        rater = SignalRater(threads=bench.args.threads or 1)
    except BackendUnavailable as exc:
        sys.stderr.write(f"without signal quality: {exc}\n")
        rater = None
    return measure_held_out(bench.pack(), bench.synthesizer, bench.voices, rater, bench.languages)


def _recordings(bench: Bench) -> Findings:
    from emotirt.evaluation.recordings import measure_recordings

    if bench.args.corpus is None:
        raise UsageError("recordings need --corpus DIR, the recordings as they came, beside --pack DIR")
    return measure_recordings(bench.args.corpus, bench.pack(), bench.synthesizer, bench.voices)


def _precision(bench: Bench) -> Findings:
    from emotirt.evaluation.renderings import compare_renderings
    from emotirt.evaluation.synthesizer import Synthesizer

    args = bench.args
    if args.against_bundle is None and args.against_backend is None:
        raise UsageError("precision needs --against-bundle DIR or --against-backend NAME")
    backend = args.against_backend or args.backend
    with Synthesizer.open(args.against_bundle or args.bundle, backend, args.threads) as candidate:
        return compare_renderings(bench.synthesizer, candidate, args.kind)


PARTS = {
    "intelligibility": _intelligibility,
    "transcripts": _transcripts,
    "speakers": _speakers,
    "emotions": _emotions,
    "sound": _sound,
    "held_out": _held_out,
    "precision": _precision,
    "recordings": _recordings,
}


def _write(findings: Findings, bundle: dict[str, str], folder: Path) -> None:
    from emotirt.bench.results import BenchmarkResult, write_result

    targets = [target.to_dict() for target in findings.targets]
    details = {"targets": targets, **findings.details, "command": "emotirt " + " ".join(sys.argv[1:])}
    path = write_result(BenchmarkResult(findings.part, findings.values, details=details, bundle=bundle), folder)
    sys.stdout.write(f"written to {path}\n")
    sys.stdout.flush()


def _write_report(path: Path, bench: Bench, found: list[Findings]) -> None:
    from emotirt.bench.results import describe_hardware, source_commit, write_json
    from emotirt.cli.output import write_file
    from emotirt.evaluation.page import page

    facts = {
        "bundle": f"{bench.synthesizer.name['name']} {bench.synthesizer.name['sha256'][:12]}",
        "backend": bench.synthesizer.backend,
        "hardware": describe_hardware(),
        "commit": source_commit()[0],
    }
    write_file(path, page("EmotiRT evaluation", facts, found).encode())
    parts = {
        one.part: {
            "targets": [target.to_dict() for target in one.targets],
            "values": one.values,
            "details": one.details,
        }
        for one in found
    }
    write_json(path.with_suffix(".json"), {**facts, "parts": parts})
    sys.stdout.write(f"report: {path}\n")


def _run_people_only(args: argparse.Namespace) -> int:
    """Score people's recordings with the phoneme recognizer; 1 when it is too weak to judge."""
    from emotirt.evaluation.intelligibility import score
    from emotirt.evaluation.recognize import PhonemeRecognizer
    from emotirt.training.corpus import load_pack

    if args.pack is None or args.recognizer is None:
        raise UsageError("--human-only needs --pack DIR and --recognizer FILE")
    recognizer = PhonemeRecognizer(args.recognizer, args.threads or 1)
    report = score(load_pack(args.pack), recognizer, None, args.language or ["en", "zh"])
    sys.stdout.write(json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    return 0 if all(one["recognizer_good_enough"] for one in report.values()) else 1
