"""The plan half of ``emotirt build``: every stage of a bundle through TensorRT into the plan cache."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from emotirt.bundle.contract import STAGES
from emotirt.bundle.plan_cache import PlanCache
from emotirt.bundle.plans import FP16, PLAN_PRECISIONS
from emotirt.cli.arguments import UsageError
from emotirt.cli.plan_jobs import build_parts
from emotirt.errors import BackendUnavailable
from emotirt.runtime.tensorrt_library import TARGETS, load_library

if TYPE_CHECKING:
    from emotirt.build.plan import PlanBuilder, PlanOutcome
    from emotirt.build.plan_adapter import PlanOptions
    from emotirt.bundle.store import Bundle

PERCENT = 100
MOST_LEVEL = 5
_PLAN_OPTIONS = (
    "bundle",
    "precision",
    "stage",
    "part",
    "jobs",
    "compute_capability",
    "version_compatible",
    "optimization_level",
    "cache",
    "result",
)


def add_arguments(parser: argparse._ArgumentGroup) -> None:
    """Declare the options that go with ``--target``."""
    add = parser.add_argument
    add("--target", choices=TARGETS, help="build plans with this TensorRT, for the bundle given by --bundle")
    add("--bundle", type=Path, metavar="DIR", help="bundle to build plans for (default: the one inside EmotiRT)")
    add(
        "--precision",
        choices=PLAN_PRECISIONS,
        help=f"of the plans (default: {FP16}), or without --target of a copy of the bundle that goes to --out; "
        "int8 is the vocoder's alone; kernels: EmotiRT's own for a HiFi-GAN vocoder, of plans only",
    )
    add("--stage", choices=STAGES, action="append", metavar="NAME", help="only this stage; may be repeated")
    add("--part", type=_counted, metavar="N", help="only the Nth of the plans that a stage has, from 1")
    add("--jobs", type=_counted, metavar="N", help="plans to build at once (default: 1, which measures undisturbed)")
    add(
        "--compute-capability",
        action="append",
        metavar="X.Y",
        help="GPUs to build for, may be repeated (tensorrt-rtx; default: 8.6, 8.9 and 12.0)",
    )
    add("--version-compatible", action="store_true", default=None, help="for later TensorRT of this major version too")
    add("--optimization-level", type=int, choices=range(MOST_LEVEL + 1), help="0 builds fast, 5 runs fast")
    add("--cache", type=Path, metavar="DIR", help="plan cache (default: the user's cache directory)")
    add("--result", type=Path, metavar="DIR", help="also write how long each build took as a result file into DIR")


def run(args: argparse.Namespace) -> int:
    """Build what the cache lacks; one line a stage on standard output.

    Raises: BackendUnavailable: TensorRT, its GPU or ONNX is missing. PlanFailed, OutputError, BundleError: as
        ``PlanBuilder.plans``.
    """
    library = load_library(args.target)
    builder_type, options_type = _builder_types()
    from emotirt.bundle.store import default_bundle_path, open_bundle

    bundle = open_bundle(default_bundle_path() if args.bundle is None else args.bundle)
    cache = PlanCache(args.cache)
    options = options_type(bool(args.version_compatible), args.optimization_level, tuple(args.compute_capability or ()))
    builder = builder_type(library, cache, options)
    _say_place(builder)
    outcomes: list[PlanOutcome] = []
    cpu_s: list[float] = []
    precision = args.precision or FP16
    start = time.process_time()
    with _progress() as progress:
        made = _made_at_once(args, builder, bundle, precision, progress)
        for found in builder.plans(bundle, precision, args.stage or (), progress, args.part):
            outcome = replace(found, built=found.built or (found.record.key.stage, found.part) in made)
            outcomes.append(outcome)
            cpu_s.append(time.process_time() - start - sum(cpu_s))
            sys.stdout.write(_line(outcome))
            sys.stdout.flush()
    sys.stdout.write(
        f"{len(outcomes)} plans for {', '.join(builder.place.compute_capabilities)} in {cache.directory}\n"
    )
    if args.result is not None:
        path = _write_result(args.result, bundle, builder, outcomes, cpu_s)
        sys.stdout.write(f"{path}\n")
    return 0


def _made_at_once(
    args: argparse.Namespace,
    builder: PlanBuilder,
    bundle: Bundle,
    precision: str,
    progress: Callable[[str, float], None],
) -> list[tuple[str, int]]:
    """Build what is missing in several processes where that is asked for; returns stage and part of each plan."""
    if (args.jobs or 1) == 1 or args.part is not None:
        return []
    missing = builder.missing(bundle, precision, args.stage or ())
    options = ["--target", args.target, "--precision", precision, "--bundle", str(bundle.path)]
    if args.cache is not None:
        options += ["--cache", str(args.cache)]
    if args.version_compatible:
        options.append("--version-compatible")
    if args.optimization_level is not None:
        options += ["--optimization-level", str(args.optimization_level)]
    for capability in args.compute_capability or ():
        options += ["--compute-capability", capability]
    done: list[tuple[str, int]] = []

    def note(part: tuple[str, int]) -> None:
        done.append(part)
        progress(f"{len(done)} of {len(missing)} plans", len(done) / len(missing))

    build_parts(missing, options, args.jobs, note)
    return done


def _counted(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 on")
    return number


def check_unused(args: argparse.Namespace, but: tuple[str, ...] = ()) -> None:
    """Refuse options of plans without a target, all but some.

    Raises: UsageError: names the first one.
    """
    for name in _PLAN_OPTIONS:
        if name not in but and getattr(args, name) is not None:
            raise UsageError(f"--{name.replace('_', '-')} goes with --target {' or '.join(TARGETS)}")


def _builder_types() -> tuple[type[PlanBuilder], type[PlanOptions]]:
    try:
        from emotirt.build.plan import PlanBuilder
        from emotirt.build.plan_adapter import PlanOptions
    except ModuleNotFoundError as exc:
        raise BackendUnavailable(
            f"building plans needs the package {exc.name!r}: pip install 'emotirt[tensorrt]' or 'emotirt[tensorrt-rtx]'"
        ) from exc
    return PlanBuilder, PlanOptions


def _say_place(builder: PlanBuilder) -> None:
    place = builder.place
    where = f"tuned on {place.gpu_name}" if place.gpu_name else "for any GPU of these"
    logging.getLogger(__name__).info(
        "TensorRT %s (%s), compute capability %s, %s",
        place.tensorrt_version,
        place.adapter,
        ", ".join(place.compute_capabilities),
        where,
    )


def _line(outcome: PlanOutcome) -> str:
    record = outcome.record
    how = f"built in {record.build_s:.1f} s" if outcome.built else "in the cache"
    name = record.key.stage + (f" {outcome.part}/{outcome.parts}" if outcome.parts > 1 else "")
    return f"{name:<20} {record.key.precision:<8} {how:<18} {record.plan_bytes / 1e6:8.1f} MB\n"


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """Show which stage is being built and how far it is, where someone can see it."""
    if not sys.stderr.isatty():
        yield lambda stage, done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("plans", total=PERCENT)
        yield lambda stage, done: shown.update(task, description=stage, completed=done * PERCENT)


def _write_result(
    directory: Path, bundle: Bundle, builder: PlanBuilder, outcomes: list[PlanOutcome], cpu_s: list[float]
) -> Path:
    from emotirt.bench.results import BenchmarkResult, measured, write_result

    place = builder.place
    plans = [
        {
            "stage": outcome.record.key.stage,
            "part": outcome.part,
            "precision": outcome.record.key.precision,
            "built": outcome.built,
            "build_s": outcome.record.build_s,
            "cpu_s": round(spent_s, 3),
            "plan_bytes": outcome.record.plan_bytes,
            "profiles": len(outcome.record.key.profiles),
            "graph_sha256": outcome.record.key.graph_sha256,
            "built_graph_sha256": outcome.record.built_graph_sha256,
            "plan_sha256": outcome.record.plan_sha256,
        }
        for outcome, spent_s in zip(outcomes, cpu_s, strict=True)
    ]
    return write_result(
        BenchmarkResult(
            "plans",
            {
                "plans.build_s": measured(sum(outcome.record.build_s for outcome in outcomes if outcome.built), "s"),
                "plans.build_cpu_s": measured(sum(cpu_s), "s"),
            },
            settings={
                "adapter": place.adapter,
                "tensorrt": place.tensorrt_version,
                "gpu": place.gpu_name,
                "compute_capabilities": list(place.compute_capabilities),
            },
            details={"plans": plans},
            bundle={"name": bundle.manifest.name, "sha256": bundle.digest},
        ),
        directory,
    )
