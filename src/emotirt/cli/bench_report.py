"""Measure what this machine can, and write the report: documents, pictures, the README's table, a page with players."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from emotirt.cli.progress import progress_bar
from emotirt.errors import InvalidRequest

if TYPE_CHECKING:
    from emotirt.bench.report.document import Report
    from emotirt.bench.report.steps import Step


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``emotirt bench report``."""
    add = parser.add_argument
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--from-results", action="store_true", help="measure nothing; write what the results hold")
    how.add_argument("--check", action="store_true", help="write nothing; fail where documents and results disagree")
    add("--out", type=Path, default=Path("runs/report"), metavar="DIR", help="logs and pages (default: runs/report)")
    add("--root", type=Path, default=Path(), metavar="DIR", help="source tree whose documents are written (default: .)")
    add("--only", metavar="NAME,NAME", help="measure these steps only; an unknown name lists them")
    add("--again", action="store_true", help="measure what was measured before, too")
    add("--said", type=Path, action="append", default=[], metavar="FILE", help="pairs from scripts/measure_plans.py")
    add("--no-sound", action="store_true", help="a page without players")


def run(args: argparse.Namespace) -> int:
    """Run it; 1 where a step failed, or documents disagree.

    Raises: InvalidRequest: an unknown step, a damaged result, no source tree. OutputError: not writable.
    """
    from emotirt.bench.report.document import report_from_results
    from emotirt.bench.report.publish import disagreements, report_files, write_report

    failed: list[str] = []
    if not (args.from_results or args.check):
        failed = _measure(args)
    report = report_from_results(args.results)
    files = report_files(report, args.root)
    if args.check:
        wrong = disagreements(files, args.root)
        for path in wrong:
            sys.stderr.write(f"{path}: not as the results say; run 'emotirt bench report --from-results'\n")
        return 1 if wrong else 0
    changed = write_report(files, args.root)
    sys.stdout.write("".join(f"{args.root / path}\n" for path in changed))
    for path in _write_pages(args, report):
        sys.stdout.write(f"{path}\n")
    if failed:
        sys.stderr.write(f"emotirt: {', '.join(failed)} failed; logs are in {args.out}; call again to go on\n")
    return 1 if failed else 0


def _measure(args: argparse.Namespace) -> list[str]:
    from emotirt.bench.report.steps import run_steps

    steps = _steps(args)
    total = len(steps)
    with progress_bar("bench report", total, True) as advance:

        def tell(over: int, line: str) -> None:
            advance(over)
            sys.stderr.write(f"[{over}/{total}] {line}\n")
            sys.stderr.flush()

        return run_steps(steps, args.out, args.again, tell)


def _steps(args: argparse.Namespace) -> list[Step]:
    from emotirt.bench.gpu_watch import find_gpu
    from emotirt.bench.report.steps import cpu_steps, gpu_steps

    steps = cpu_steps(args.results)
    if not isinstance(find_gpu(), str):
        steps += gpu_steps(args.results, args.out)
    if not args.only:
        return steps
    wanted = args.only.split(",")
    names = [step.name for step in steps]
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise InvalidRequest(f"there is no step {', '.join(unknown)} here; there are {', '.join(names)}")
    return [step for step in steps if step.name in wanted]


def _write_pages(args: argparse.Namespace, report: Report) -> list[Path]:
    from emotirt.bench.report.page import pages, said_sounds, spoken_sounds
    from emotirt.cli.output import make_directory, write_file

    backends = [] if args.no_sound else ["onnxruntime", "tensorrt@fp16", "tensorrt@int8"]
    sounds = [*spoken_sounds(backends), *(sound for path in args.said for sound in said_sounds(path))]
    make_directory(args.out)
    made = []
    for name, html in pages(report, sounds).items():
        write_file(args.out / name, html.encode())
        made.append(args.out / name)
    return made
