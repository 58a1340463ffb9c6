"""Put load on a server from a process of its own: a running one, or one that is started for it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from emotirt.cli.arguments import add_engine_arguments, positive_int, server_options
from emotirt.errors import InvalidRequest

if TYPE_CHECKING:
    from emotirt.bench.http_stream import ServerAddress
    from emotirt.bench.load import LoadReport, LoadSettings
    from emotirt.bench.stats import Distribution
    from emotirt.bench.sweep import SweepReport

_LATE_MS = 500.0
ONE_AT_A_TIME = ("--requests-at-once", "1")
STARVING = ("--feeds-listeners", "false")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``emotirt bench serve``."""
    add = parser.add_argument
    add("--url", help="a running server, such as http://127.0.0.1:8880 (default: start one on a free port)")
    load = parser.add_mutually_exclusive_group(required=True)
    load.add_argument("--rate", type=_positive, metavar="R", help="open loop: R requests/s at Poisson times")
    load.add_argument("--clients", type=positive_int, metavar="N", help="closed loop: N clients, one request each")
    load.add_argument("--listeners", type=positive_int, metavar="N", help="N who hear sentence after sentence")
    load.add_argument("--sweep", action="store_true", help="raise the number of listeners until it is not held")
    load.add_argument("--levels", type=_counts, metavar="N,N", help="these numbers of listeners, one after the other")
    load.add_argument("--knee", action="store_true", help="open loop: raise the rate until it is not held, then half")
    add("--late-ms", type=_positive, default=_LATE_MS, metavar="MS", help="first audio is late after (default: 500)")
    add("--live-text", action="store_true", help="texts of 5 to 200 characters instead of sentences of like length")
    add("--bulk", type=int, default=0, metavar="N", help="clients that ask for long texts in bulk meanwhile")
    add("--seconds", type=_positive, default=10.0, metavar="S", help="counted, of each load (default: 10)")
    add("--warm-up", type=_not_negative, default=3.0, metavar="S", help="before, not counted (default: 3)")
    add("--first", type=positive_int, default=8, metavar="N", help="a sweep or --knee begins with (default: 8)")
    add("--most", type=positive_int, default=512, metavar="N", help="a sweep or --knee ends with (default: 512)")
    add("--compare", action="store_true", help="the same on a server that speaks one request at a time")
    add("--compare-feeding", action="store_true", help="the same on a server that takes on more than it can feed")
    add("--seed", type=int, default=0, help="of sentences and times (default: 0)")
    add_engine_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the load and keep the result.

    Raises: InvalidRequest: options that exclude each other, or no such URL. BackendError: no server, no measurement.
    """
    from emotirt.bench.partial import hardware_line
    from emotirt.bench.results import BenchmarkResult, describe_hardware, write_result

    if args.url and (args.compare or args.compare_feeding):
        raise InvalidRequest("--compare and --compare-feeding start servers of their own; leave out --url")
    write = sys.stdout.write
    write(f"{describe_hardware()}; {args.warm_up:g} s warm-up, {args.seconds:g} s counted\n")
    load_before = load_average()
    values: dict[str, Any] = {}
    details: dict[str, Any] = {"batching": _measured(args, (), values)}
    if args.compare:
        details["one_at_a_time"] = _measured(args, ONE_AT_A_TIME, {})
    if args.compare_feeding:
        details["takes_on_everybody"] = _measured(args, STARVING, {})
    details["load_average_before_and_after"] = [load_before, load_average()]
    result = BenchmarkResult("serve", values, _settings(args), details, _bundle(args), hardware_line())
    write(f"{write_result(result, args.results)}\n")
    return 0


def _measured(args: argparse.Namespace, options: tuple[str, ...], values: dict[str, Any]) -> dict[str, Any]:
    """Measure one server; ``values`` receives the targets that it is fit to measure."""
    from emotirt.bench.child_server import child_server
    from emotirt.bench.load import LoadSettings
    from emotirt.bench.served import readiness
    from emotirt.bench.speech_client import address_from_url

    settings = LoadSettings(args.seconds, args.warm_up, args.seed, args.late_ms, args.live_text, args.bulk)
    with nullcontext(args.url) if args.url else child_server((*server_options(args), *options)) as url:
        sys.stdout.write(f"{url} {' '.join(options)}\n")
        server = address_from_url(url)
        found: dict[str, Any]
        measured: dict[str, Any] = {}
        if args.sweep:
            found = _swept(server, settings, args).to_dict()
        elif args.levels:
            found = {"levels": [_level(server, settings, count) for count in args.levels]}
        elif args.knee:
            found = _knee(server, settings, args, measured)
        else:
            found = _loaded(server, settings, args, measured)
        server_state = readiness(server)
    if _is_of_targets(args, server_state):
        values.update(measured)
    return {**found, "server": server_state}


def _is_of_targets(args: argparse.Namespace, server_state: Mapping[str, Any]) -> bool:
    """Whether what was measured may stand for the targets: on a GPU all the while, a bundle of EmotiVoice's size."""
    from emotirt.bundle.manifest import EMOTIVOICE_FRONTEND
    from emotirt.bundle.store import default_bundle_path, open_bundle
    from emotirt.runtime.open import is_gpu_backend

    is_gpu = is_gpu_backend(server_state.get("backend", "")) and server_state.get("status") == "ready"
    if args.url or not is_gpu or args.bulk:
        return False
    return open_bundle(args.bundle or default_bundle_path()).manifest.frontend == EMOTIVOICE_FRONTEND


def _loaded(
    server: ServerAddress, settings: LoadSettings, args: argparse.Namespace, measured: dict[str, Any]
) -> dict[str, Any]:
    from emotirt.bench.load import closed_loop, listeners, open_loop
    from emotirt.bench.served import closed_loop_values, watched

    def load() -> LoadReport:
        if args.rate:
            return open_loop(server, args.rate, settings)
        if args.clients:
            return closed_loop(server, args.clients, settings)
        return listeners(server, args.listeners, settings)

    found = watched(load)
    report = found.report
    if args.clients:
        measured.update(closed_loop_values(args.clients, found))
    names = {"first audio": report.ttfa_ms, "between chunks": report.gap_ms, "end to end": report.end_to_end_ms}
    for name, spread in {**names, "underrun": report.underrun_ms, "client lag": report.client_lag_ms}.items():
        sys.stdout.write(f"{name:14} {_percentiles(spread)}\n")
    sys.stdout.write(f"{_line(report)}\n")
    return found.to_dict()


def _knee(
    server: ServerAddress, settings: LoadSettings, args: argparse.Namespace, measured: dict[str, Any]
) -> dict[str, Any]:
    from dataclasses import replace

    from emotirt.bench.load import open_loop
    from emotirt.bench.served import WatchedLoad, find_knee, knee_values, watched
    from emotirt.bench.sweep import SweepSettings

    def at_rate(rate_per_s: float) -> WatchedLoad:
        own = replace(settings, seed=settings.seed + round(rate_per_s))
        found = watched(lambda: open_loop(server, rate_per_s, own))
        verdict = "held" if found.is_held else "not held"
        sys.stdout.write(f"{rate_per_s:5g} requests/s {verdict:8} {_line(found.report)}\n")
        sys.stdout.flush()
        return found

    knee = find_knee(at_rate, SweepSettings(args.first, args.most))
    measured.update(knee_values(knee))
    bound = "" if knee.rates.is_bounded else ", and no more were tried"
    sys.stdout.write(f"{knee.rates.held} requests/s held{bound}; at most {knee.capacity_per_s:.1f}/s were spoken\n")
    return knee.to_dict()


def _level(server: ServerAddress, settings: LoadSettings, count: int) -> dict[str, Any]:
    from dataclasses import replace

    from emotirt.bench.load import listeners

    report = listeners(server, count, replace(settings, seed=settings.seed + count))
    fed = f"late {100 * report.fed_late_share:.1f} %, underrun {100 * report.fed_underrun_share:.1f} %"
    sys.stdout.write(f"{count:4} listeners, refused {100 * report.refused_share:.1f} %, of the others {fed}; ")
    sys.stdout.write(f"{_line(report)}\n")
    sys.stdout.flush()
    return {"listeners": count, "is_held": report.is_held, **report.to_dict()}


def _swept(server: ServerAddress, settings: LoadSettings, args: argparse.Namespace) -> SweepReport[LoadReport]:
    from dataclasses import replace

    from emotirt.bench.load import listeners
    from emotirt.bench.sweep import SweepSettings, sweep

    def measure(count: int) -> LoadReport:
        report = listeners(server, count, replace(settings, seed=settings.seed + count))
        verdict = "held" if report.is_held else "not held"
        sys.stdout.write(f"{count:4} listeners {verdict:8} {_line(report)}\n")
        sys.stdout.flush()
        return report

    found = sweep(measure, SweepSettings(args.first, args.most))
    bound = "" if found.is_bounded else ", and no more were tried"
    sys.stdout.write(f"{found.held} listeners held{bound}\n")
    return found


def _line(report: LoadReport) -> str:
    first = "none" if report.ttfa_ms is None else f"{report.ttfa_ms.p50:.0f}/{report.ttfa_ms.p99:.0f} ms"
    problems = ", ".join(f"{count} x {name}" for name, count in sorted(report.problems.items())) or "none"
    return (
        f"{report.requests} requests, first audio p50/p99 {first}, late or failed {100 * report.late_share:.1f} %, "
        f"underrun {100 * report.underrun_share:.1f} %, {report.rtfx:.1f} x real time, failures: {problems}"
    )


def _percentiles(spread: Distribution | None) -> str:
    if spread is None:
        return "none"
    return f"p50 {spread.p50:.1f}, p90 {spread.p90:.1f}, p95 {spread.p95:.1f}, p99 {spread.p99:.1f} ms ({spread.count})"


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    from emotirt.bench.load import MOST_SHARE, UNDERRUN_MS

    names = (
        "rate",
        "clients",
        "listeners",
        "sweep",
        "levels",
        "knee",
        "live_text",
        "bulk",
        "backend",
        "seconds",
        "warm_up",
        "first",
        "most",
        "compare",
        "compare_feeding",
        "seed",
        "threads",
    )
    given = {name: getattr(args, name) for name in names}
    held = {"late_ms": args.late_ms, "underrun_ms": UNDERRUN_MS, "most_share": MOST_SHARE}
    return {**given, "own_server": not args.url, "held": held}


def _bundle(args: argparse.Namespace) -> dict[str, str]:
    """Name the bundle of a server of our own; what a running one speaks with is not known."""
    from emotirt.bundle.store import default_bundle_path, open_bundle

    if args.url:
        return {}
    bundle = open_bundle(args.bundle or default_bundle_path())
    return {"name": bundle.manifest.name, "sha256": bundle.digest}


def load_average() -> list[float] | None:
    """Return how many processes wanted a core in the last minutes, where the system tells."""
    read: Callable[[], tuple[float, float, float]] | None = getattr(os, "getloadavg", None)
    return None if read is None else [round(value, 2) for value in read()]


def _counts(text: str) -> list[int]:
    return [positive_int(part) for part in text.split(",")]


def _positive(text: str) -> float:
    value = _not_negative(text)
    if value == 0.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return value


def _not_negative(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0")
    return value
