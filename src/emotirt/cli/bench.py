"""Measure speed on this machine, and collect results into benchmarks/summary.json."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from emotirt.cli import bench_compare, bench_faults, bench_floors, bench_report, bench_serve
from emotirt.cli.arguments import add_engine_arguments, open_engine, positive_int

if TYPE_CHECKING:
    from emotirt.bench.stats import Distribution

RESULTS = Path("benchmarks/results")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be measured."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="|".join(_RUNS))
    cpu = kinds.add_parser("cpu", help="real-time factor, first audio, cold start, simultaneous streams")
    cpu.add_argument("--repeats", type=positive_int, default=40, help="timed requests of each kind (default: 40)")
    cpu.add_argument("--cold-starts", type=int, default=10, help="new processes to time, 0 for none (default: 10)")
    cpu.add_argument("--seed", type=int, default=0, help="of the sentences (default: 0)")
    cpu.add_argument("--no-streams", action="store_true", help="leave out simultaneous streams")
    add_engine_arguments(cpu)
    frontend = kinds.add_parser("frontend", help="text to phonemes")
    frontend.add_argument(
        "--repeats", type=positive_int, default=1000, help="timed sentences of each kind (default: 1000)"
    )
    frontend.add_argument("--seed", type=int, default=0, help="of the sentences (default: 0)")
    spelling = kinds.add_parser("spelling", help="English words that no dictionary lists, against held-out ones")
    serve = kinds.add_parser("serve", help="a running server under load: delays, underrun, how many listeners it holds")
    bench_serve.add_arguments(serve)
    faults = kinds.add_parser("faults", help="a server whose worker fails again and again: nothing lost, nothing wrong")
    bench_faults.add_fault_arguments(faults)
    soak = kinds.add_parser("soak", help="a server under steady traffic for long: nothing grows")
    bench_faults.add_soak_arguments(soak)
    stages = kinds.add_parser("stages", help="every stage in several ways: PyTorch, ONNX Runtime, TensorRT")
    bench_compare.add_arguments(stages, "stages")
    latency = kinds.add_parser("latency", help="new sentences from text to PCM in several ways")
    bench_compare.add_arguments(latency, "latency")
    inflight = kinds.add_parser("inflight", help="how many whole utterances may be in flight, in several ways")
    bench_compare.add_in_flight_arguments(inflight)
    inputs = kinds.add_parser("inputs", help="write inputs that several processes of one run share")
    bench_compare.add_inputs_arguments(inputs)
    merge = kinds.add_parser("merge", help="merge what several processes of one run measured")
    bench_compare.add_merge_arguments(merge)
    floors = kinds.add_parser("floors", help="arithmetic, bytes and least time of every layer of a graph")
    bench_floors.add_arguments(floors)
    report = kinds.add_parser("report", help="measure what this machine can, and write the report with all results")
    bench_report.add_arguments(report)
    for part in (cpu, serve, faults, soak, frontend, spelling, stages, latency, inflight, merge, floors, report):
        part.add_argument(
            "--results",
            type=Path,
            default=RESULTS,
            metavar="DIR",
            help=f"where to keep the result (default: {RESULTS})",
        )
    summary = kinds.add_parser("summary", help="collect the newest value of every target")
    summary.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="result files")
    summary.add_argument("--out", type=Path, default=Path("benchmarks/summary.json"), metavar="FILE")


def run(args: argparse.Namespace) -> int:
    """Run one benchmark."""
    return _RUNS[args.kind](args)


def _run_cpu(args: argparse.Namespace) -> int:
    from emotirt.bench.cpu import CpuSettings, cpu_result, measure_cpu
    from emotirt.bench.results import describe_hardware, usable_cores, write_result

    settings = CpuSettings(args.repeats, args.cold_starts, seed=args.seed, streams=not args.no_streams)
    engine = open_engine(args)
    report = measure_cpu(engine, args.bundle, settings, _tell)
    threads = args.threads or usable_cores()
    path = write_result(
        cpu_result(report, settings, {"name": engine.bundle.manifest.name, "sha256": engine.bundle.digest}, threads),
        args.results,
    )
    out = sys.stdout.write
    out(f"{describe_hardware()}; {threads} threads\n")
    out(f"real-time factor     {report.rtfx:.1f} x ({_spread(report.paragraph_rtfx, 'x')})\n")
    out(f"first audio, warm    {report.ttfa_ms.p50:.1f} ms ({_spread(report.ttfa_ms, 'ms')})\n")
    if report.cold_start_s is not None:
        out(f"cold start of 'say'  {report.cold_start_s.p50:.2f} s ({_spread(report.cold_start_s, 's')})\n")
    if report.stream_levels:
        out(f"simultaneous streams {report.streams}\n")
    out(f"{path}\n")
    return 0


def _run_frontend(args: argparse.Namespace) -> int:
    from emotirt.bench.frontend import TARGET_MS, FrontendSettings, frontend_result, measure_frontend
    from emotirt.bench.results import describe_hardware, write_result
    from emotirt.cli.voices import table

    settings = FrontendSettings(args.repeats, seed=args.seed)
    report = measure_frontend(settings)
    path = write_result(frontend_result(report, settings), args.results)
    named = {"all kinds": report.every, **report.kinds, "plain": report.plain, "with numbers": report.notation}
    named["with one unlisted word"] = report.unlisted
    rows = [
        (name, str(spread.count), *(f"{value:.3f}" for value in (spread.p50, spread.p90, spread.p95, spread.p99)))
        for name, spread in named.items()
    ]
    out = sys.stdout.write
    out(f"{describe_hardware()}; {settings.warm_up} sentences of each kind as warm-up\n")
    out(f"text to phonemes, {report.characters:.0f} characters a sentence, milliseconds (target: p50 {TARGET_MS:g})\n")
    out(table(("sentences", "count", "p50", "p90", "p95", "p99"), rows))
    out(f"{path}\n")
    return 0


def _run_spelling(args: argparse.Namespace) -> int:
    from emotirt.bench.results import write_result
    from emotirt.bench.spelling import measure_spelling

    result = measure_spelling()
    path = write_result(result, args.results)
    test = result.details["test"]
    out = sys.stdout.write
    out(f"{test['words']} words that training never saw, against the dictionary:\n")
    out(
        f"phoneme error {test['phoneme_error_pct']:.1f} %, {test['phoneme_error_no_stress_pct']:.1f} % without stress\n"
    )
    out(f"words wrong   {test['word_error_pct']:.1f} %, {test['word_error_no_stress_pct']:.1f} % without stress\n")
    out(f"{test['ms_per_word']:.2f} ms a word\n{path}\n")
    return 0


def _run_summary(args: argparse.Namespace) -> int:
    from emotirt.bench.summary import SUMMARY_KEYS, write_summary
    from emotirt.cli.voices import table

    summary = write_summary(args.results, args.out)
    rows = [(key, f"{entry['value']:g} {entry['unit']}", entry["result"]) for key, entry in summary.items()]
    sys.stdout.write(table(("target", "value", "result"), rows))
    sys.stdout.write(f"{args.out}: {len(summary)} of {len(SUMMARY_KEYS)} targets measured\n")
    return 0


def _spread(values: Distribution, unit: str) -> str:
    percentiles = f"p90 {values.p90:.3g}, p95 {values.p95:.3g}, p99 {values.p99:.3g} {unit}"
    return f"{percentiles}, {values.count} runs"


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


_RUNS: dict[str, Callable[[argparse.Namespace], int]] = {
    "cpu": _run_cpu,
    "serve": bench_serve.run,
    "faults": bench_faults.run_faults,
    "soak": bench_faults.run_soak,
    "stages": bench_compare.run,
    "latency": bench_compare.run,
    "inflight": bench_compare.run,
    "inputs": bench_compare.run_inputs,
    "merge": bench_compare.run_merge,
    "floors": bench_floors.run,
    "report": bench_report.run,
    "frontend": _run_frontend,
    "spelling": _run_spelling,
    "summary": _run_summary,
}
