"""Compare ways to run a bundle: stage by stage, and from text to PCM; several processes of one run can be merged."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotirt.cli.arguments import positive_int
from emotirt.errors import InvalidRequest

if TYPE_CHECKING:
    from emotirt.bench.inputs import Inputs
    from emotirt.bench.merge import Roles
    from emotirt.bench.partial import Partial
    from emotirt.bench.stages import SubjectReport
    from emotirt.bench.subjects import Subject
    from emotirt.bench.timing import Clock

IN_FLIGHT = "inflight"
WAYS = {
    "cpu": "onnxruntime,torch,torch-compile",
    "cuda": "torch,torch-graph-fp16,torch-compile-fp16,torch-shipped,tensorrt-fp32,tensorrt-fp16,tensorrt-int8",
}
IN_FLIGHT_WAYS = {
    "cpu": "onnxruntime,torch-shipped",
    "cuda": "torch-shipped,torch-graph-fp16,tensorrt-fp16,tensorrt-int8",
}
"""By PyTorch's device."""


def add_inputs_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``emotirt bench inputs``."""
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="FILE", help="where they go (npz)")
    add("--bundle", type=Path, metavar="DIR", help="whose front end counts tokens (default: the one inside EmotiRT)")
    add("--lengths", type=_lengths, metavar="S,S", help="seconds of audio (default: 1,2,5,15,30)")
    add("--count", type=positive_int, default=1000, help="sentences of each length (default: 1000)")


def add_arguments(parser: argparse.ArgumentParser, kind: str) -> None:
    """Declare the options of ``emotirt bench stages`` and ``emotirt bench latency``."""
    _add_subjects(parser)
    add = parser.add_argument
    add("--lengths", type=_lengths, metavar="S,S", help="seconds of audio (default: 1,2,5,15,30)")
    add("--batches", type=_batches, metavar="N,N", help="rows at once (default: 1,2,4,8,16,32)")
    add("--repeats", type=positive_int, default=100, help="timed calls of a cell at most (default: 100)")
    add("--cell-seconds", type=float, default=2.0, metavar="S", help="time of a cell, about (default: 2)")
    add("--warm-up", type=positive_int, default=5, help="untimed calls before (default: 5)")
    if kind == "stages":
        add("--profile", type=Path, metavar="FILE", help="write times of a plan's layers, for 'emotirt bench floors'")
        add("--stages", metavar="NAME,NAME", help="stages of the bundle (default: all)")
    _add_roles(parser)


def add_in_flight_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``emotirt bench inflight``."""
    _add_subjects(parser)
    add = parser.add_argument
    add("--length", dest="lengths", type=_lengths, default=(15.0,), metavar="S", help="of an utterance (default: 15)")
    add("--level-seconds", type=float, default=2.5, metavar="S", help="counted, of each number (default: 2.5)")
    add("--warm-up", type=float, default=0.5, metavar="S", help="before each, not counted (default: 0.5)")
    add("--first", type=positive_int, default=1, metavar="N", help="in flight to begin with (default: 1)")
    add("--most", type=positive_int, default=512, metavar="N", help="in flight to end with (default: 512)")
    add("--most-ms", type=float, default=500.0, metavar="MS", help="what p99 may be (default: 500)")
    _add_roles(parser)


def _add_subjects(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--subject", action="append", metavar="LABEL=WAY[:BUNDLE]", help="what to measure; may be given several times")
    add("--bundle", type=Path, metavar="DIR", help="of subjects that name none (default: the one inside EmotiRT)")
    add("--device", choices=["auto", "cpu", "cuda"], default="auto", help="where PyTorch computes (default: auto)")
    add("--threads", type=positive_int, metavar="N", help="of CPU backends (default: one for every core)")
    add("--inputs", type=Path, metavar="FILE", help="from 'emotirt bench inputs' (default: made for this run)")
    add("--seconds", type=float, default=600.0, metavar="S", help="for everything; what does not fit is named")
    add("--partial", type=Path, metavar="FILE", help="write a partial result, to be merged with others of the same run")


def add_merge_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``emotirt bench merge``."""
    parser.add_argument("partials", nargs="+", type=Path, metavar="FILE", help="partial results of one run")
    _add_roles(parser)


def _add_roles(parser: argparse.ArgumentParser) -> None:
    for name, what in {
        "baseline": "what ratios are against (default: torch)",
        "fp32": "plans in float32 (default: tensorrt-fp32)",
        "fp16": "plans in float16 (default: tensorrt-fp16)",
        "int8": "plans with an INT8 vocoder (default: tensorrt-int8)",
    }.items():
        parser.add_argument(f"--{name}", metavar="LABEL", help=f"label of {what}")


def run_inputs(args: argparse.Namespace) -> int:
    """Write shared inputs."""
    _write_inputs(args.out, args.bundle, args.lengths, args.count)
    sys.stdout.write(f"{args.out}\n")
    return 0


def run(args: argparse.Namespace) -> int:
    """Run ``emotirt bench stages``, ``emotirt bench latency`` or ``emotirt bench inflight``.

    Raises: InvalidRequest: subjects or inputs that do not fit. BundleError: a bundle cannot be opened.
    """
    from emotirt.bench.inputs import read_inputs
    from emotirt.bench.partial import described, partial_of_this_process, write_partial
    from emotirt.bench.stages import SubjectReport
    from emotirt.bench.timing import Clock

    subjects = _subjects(args)
    with tempfile.TemporaryDirectory() as folder:
        place = args.inputs
        if place is None:
            place = Path(folder) / "inputs.npz"
            _write_inputs(place, subjects[0].bundle.path, args.lengths, 400)
        inputs = read_inputs(place)
    measured: dict[str, SubjectReport] = {}
    clock = Clock(args.seconds)
    try:
        for index, subject in enumerate(subjects):
            share = Clock(max(0.0, clock.left_s) / (len(subjects) - index))
            _measure(args, subject, inputs, share, measured.setdefault(subject.label, SubjectReport()))
    finally:  # what was measured before an interruption counts, too
        found = {
            item.label: described(item, _reported(args, item, measured[item.label]))
            for item in subjects
            if item.label in measured
        }
        partial = partial_of_this_process(args.kind, inputs.digest, _settings(args), found)
        if args.partial is not None:
            write_partial(partial, args.partial)
    if args.partial is None:
        return _finish([partial], args)
    sys.stdout.write(f"{args.partial}\n")
    return 0


def run_merge(args: argparse.Namespace) -> int:
    """Merge partial results.

    Raises: InvalidRequest: they do not belong together.
    """
    from emotirt.bench.partial import read_partial

    return _finish([read_partial(path) for path in args.partials], args)


def _finish(partials: Sequence[Partial], args: argparse.Namespace) -> int:
    from emotirt.bench.comparison_table import comparison_table
    from emotirt.bench.merge import merged
    from emotirt.bench.results import write_result

    result = merged(partials, _roles(args))
    path = write_result(result, args.results)
    sys.stdout.write(f"{result.hardware}\n{comparison_table(result)}{path}\n")
    return 0


def _measure(args: argparse.Namespace, subject: Subject, inputs: Inputs, clock: Clock, report: SubjectReport) -> None:
    from emotirt.bench.cells import BATCHES, LENGTHS_S
    from emotirt.bench.latency import LatencySettings, measure_latency
    from emotirt.bench.results import write_json
    from emotirt.bench.stages import StageSettings, measure_stages
    from emotirt.bench.timing import Repeats

    if args.kind == IN_FLIGHT:
        _measure_in_flight(args, subject, inputs, clock, report)
        return
    repeats = Repeats(args.warm_up, args.repeats, args.cell_seconds)
    lengths, batches = args.lengths or LENGTHS_S, args.batches or BATCHES
    if args.kind == "latency":
        measure_latency(subject, inputs, LatencySettings(lengths, batches, repeats), clock, report, _tell)
        return
    stages = args.stages.split(",") if args.stages else list(subject.bundle.manifest.stages)
    settings = StageSettings(stages, lengths, batches, repeats, args.profile is not None)
    measure_stages(subject, inputs, settings, clock, report, _tell)
    if report.layers:
        write_json(args.profile, report.layers)


def _measure_in_flight(
    args: argparse.Namespace, subject: Subject, inputs: Inputs, clock: Clock, report: SubjectReport
) -> None:
    from emotirt.bench.inflight import InFlightSettings, measure_in_flight
    from emotirt.bench.sweep import SweepSettings

    numbers = SweepSettings(args.first, args.most)
    settings = InFlightSettings(args.lengths[0], args.level_seconds, args.warm_up, args.most_ms, numbers)
    measure_in_flight(subject, inputs, settings, clock, report, _tell)


def _reported(args: argparse.Namespace, subject: Subject, report: SubjectReport) -> dict[str, Any]:
    """Return the report, for stages with the vocoder's arithmetic, so that rates can be told in FLOP too."""
    from emotirt.cli.bench_floors import vocoder_gflop_per_s

    found = None
    if args.kind == "stages" and "vocoder" in report.rows:
        found = vocoder_gflop_per_s(subject.bundle)
    return report.to_dict() if found is None else {**report.to_dict(), "vocoder_gflop_per_s": found}


def _subjects(args: argparse.Namespace) -> list[Subject]:
    from emotirt.bench.gpu_watch import find_gpu
    from emotirt.bench.subjects import subject_from_text

    has_gpu = not isinstance(find_gpu(), str)
    device = ("cuda" if has_gpu else "cpu") if args.device == "auto" else args.device
    ways = IN_FLIGHT_WAYS if args.kind == IN_FLIGHT else WAYS
    texts = args.subject or ways[device].split(",")
    subjects = [subject_from_text(text, args.bundle, device, args.threads) for text in texts]
    labels = [subject.label for subject in subjects]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise InvalidRequest(f"label {', '.join(twice)} is given twice; name subjects apart: LABEL=WAY")
    return subjects


def _write_inputs(path: Path, bundle_path: Path | None, lengths: Sequence[float] | None, count: int) -> None:
    from emotirt.bench.cells import LENGTHS_S, cells
    from emotirt.bench.inputs import write_inputs
    from emotirt.bundle.store import default_bundle_path, open_bundle
    from emotirt.synthesis.frontend import frontend_from_bundle

    bundle = open_bundle(bundle_path or default_bundle_path())
    made = cells(bundle.manifest, [""], lengths or LENGTHS_S, (1,))
    tokens = {cell.seconds: cell.tokens for cell in made}
    write_inputs(path, frontend_from_bundle(bundle), bundle.manifest, tokens, count)


def _roles(args: argparse.Namespace) -> Roles:
    from emotirt.bench.merge import Roles

    given = {name: getattr(args, name) for name in asdict(Roles()) if getattr(args, name) is not None}
    return Roles(**given)


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    from emotirt.cli.bench_serve import load_average

    names = ("repeats", "cell_seconds", "level_seconds", "warm_up", "first", "most", "most_ms")
    given = {name: getattr(args, name) for name in (*names, "seconds", "threads", "device") if hasattr(args, name)}
    return {**given, "load_average": load_average()}


def _lengths(text: str) -> tuple[float, ...]:
    return tuple(_above_zero(part) for part in text.split(","))


def _batches(text: str) -> tuple[int, ...]:
    return tuple(positive_int(part) for part in text.split(","))


def _above_zero(text: str) -> float:
    value = float(text)
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
