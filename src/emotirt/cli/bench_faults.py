"""Faults under load, and the soak: on servers of their own, with a worker process."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from emotirt.cli.arguments import add_engine_arguments, open_engine, positive_int, server_options

if TYPE_CHECKING:
    from emotirt.bench.faults import FaultSettings, Round

KNOWN = 240
"""Different requests whose audio is computed beforehand."""


def add_fault_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``emotirt bench faults``."""
    add = parser.add_argument
    add("--requests", type=positive_int, default=10_000, metavar="N", help="besides bursts (default: 10000)")
    add("--rounds", type=positive_int, default=3, metavar="N", help="servers, one after the other (default: 3)")
    add("--clients", type=positive_int, default=24, metavar="N", help="requests at once (default: 24)")
    add("--pause", type=float, default=2.0, metavar="S", help="between two faults of the worker (default: 2)")
    add("--burst", type=positive_int, default=500, metavar="N", help="at the same moment, twice a round (default: 500)")
    add("--seed", type=int, default=0, help="of everything random (default: 0)")
    add_engine_arguments(parser)


def add_soak_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``emotirt bench soak``."""
    add = parser.add_argument
    add("--minutes", type=float, default=30.0, metavar="M", help="of traffic (default: 30)")
    add("--rate", type=float, default=10.0, metavar="R", help="requests/s at Poisson times (default: 10)")
    add("--rest", type=float, default=8.0, metavar="S", help="before files and threads are compared (default: 8)")
    add("--seed", type=int, default=0, help="of everything random (default: 0)")
    add_engine_arguments(parser)


def run_faults(args: argparse.Namespace) -> int:
    """Run a fault campaign and keep the result; 1 if anything went wrong."""
    from emotirt.bench.askers import LONG_TEXT
    from emotirt.bench.expected_speech import known_requests, known_speech
    from emotirt.bench.faults import FaultSettings, run_campaign
    from emotirt.bench.results import write_result

    with open_engine(args) as engine:
        known, long = known_requests(engine, KNOWN, args.seed), known_speech(engine, LONG_TEXT)
        bundle = {"name": engine.bundle.manifest.name, "sha256": engine.bundle.digest}
    settings = FaultSettings(
        args.requests, args.rounds, args.clients, args.pause, args.burst, args.seed, server_options(args)
    )
    rounds = run_campaign(known, long, settings, _tell)
    result = fault_result(rounds, settings, len(known), bundle)
    path = write_result(result, args.results)
    values = {key: entry["value"] for key, entry in result.values.items()}
    for key, value in values.items():
        sys.stdout.write(f"{key:16} {value:g}\n")
    sys.stdout.write(f"{path}\n")
    is_good = not any(values[key] for key in values if key != "faults.requests")
    return 0 if is_good and result.details["is_clean"] and not result.details["failed"] else 1


def run_soak(args: argparse.Namespace) -> int:
    """Run a soak and keep the result; 1 if anything grew or went wrong."""
    from emotirt.bench.expected_speech import known_requests
    from emotirt.bench.results import BenchmarkResult, write_result
    from emotirt.bench.soak import SoakSettings, run_soak

    with open_engine(args) as engine:
        known = known_requests(engine, KNOWN, args.seed)
        bundle = {"name": engine.bundle.manifest.name, "sha256": engine.bundle.digest}
    report = run_soak(known, SoakSettings(args.minutes, args.rate, args.rest, args.seed, server_options(args)), _tell)
    details = {
        "requests": report.tally.requests,
        "kinds": dict(report.tally.kinds),
        "judgements": dict(report.tally.counts),
        "examples": report.tally.examples,
        "server": report.server.to_dict(),
        "worker": report.worker.to_dict(),
        "is_good": report.is_good,
    }
    settings = {"minutes": args.minutes, "rate_per_s": args.rate, "seed": args.seed, "threads": args.threads}
    path = write_result(BenchmarkResult("soak", {}, settings, details, bundle), args.results)
    for name, watched in (("server", report.server), ("worker", report.worker)):
        line = watched.memory
        sys.stdout.write(f"{name}: {line.per_hour:+.2f} MiB an hour ({line.low:+.2f} to {line.high:+.2f})\n")
    sys.stdout.write(f"{report.tally.requests} requests {dict(report.tally.counts)}\n{path}\n")
    return 0 if report.is_good else 1


def fault_result(rounds: list[Round], settings: FaultSettings, known: int, bundle: dict[str, str]) -> Any:
    """Return what a campaign found as a result, with the keys of the summary."""
    from emotirt.bench.results import BenchmarkResult
    from emotirt.bench.traffic import FAILED

    values = {
        "faults.requests": sum(item.tally.requests for item in rounds),
        "faults.lost": sum(item.lost for item in rounds),
        "faults.doubled": sum(item.doubled for item in rounds),
        "faults.corrupt": sum(item.corrupt for item in rounds),
    }
    details = {
        "failed": sum(item.tally.counts[FAILED] for item in rounds),
        "is_clean": all(item.is_clean for item in rounds),
        "rounds": [item.to_dict() for item in rounds],
    }
    asked = {
        "requests": settings.requests, "rounds": settings.rounds, "clients": settings.clients,
        "pause_s": settings.pause_s, "burst": settings.burst, "seed": settings.seed, "known_requests": known,
    }  # fmt: skip
    counted = {key: {"value": value, "unit": "requests"} for key, value in values.items()}
    return BenchmarkResult("faults", counted, asked, details, bundle)


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
