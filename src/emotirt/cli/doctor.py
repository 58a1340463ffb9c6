"""Show what is installed, what is missing and what would be used."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from emotirt.errors import BackendUnavailable, EmotiRTError
from emotirt.runtime.open import AUTO, GPU_BACKENDS, default_threads, hindrances, is_gpu_backend, resolve_backend

if TYPE_CHECKING:
    from emotirt.bundle.store import Bundle


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        area: python, package, backend, player or bundle.
        name: what was looked at.
        state: ``ok``, ``unused``, ``missing`` (optional) or ``broken`` (speech will not work).
        detail: version, path, or how to install it.
    """

    area: str
    name: str
    state: str
    detail: str


@dataclass(frozen=True, slots=True)
class _Package:
    module: str
    distributions: tuple[str, ...]
    required: bool
    remedy: str


CHECK_REQUESTS = 1000
LISTED_VOICES = 12
"""So many at most stand on the line of a bundle."""

_PACKAGES = (
    _Package("numpy", ("numpy",), True, "pip install emotirt"),
    _Package("pydantic", ("pydantic",), True, "pip install emotirt"),
    _Package("wetext", ("wetext",), True, "pip install emotirt"),
    _Package("soxr", ("soxr",), True, "pip install emotirt"),
    _Package("av", ("av",), True, "pip install emotirt"),
    *(
        _Package(
            module,
            (module.replace("_", "-"),),
            False,
            "only for bundles from EmotiVoice: pip install 'emotirt[emotivoice]'",
        )
        for module in ("pypinyin", "pypinyin_dict", "tokenizers")
    ),
    *(
        _Package(module, (module.replace("_", "-"),), False, "only for serving: pip install 'emotirt[serve]'")
        for module in ("fastapi", "prometheus_client", "uvicorn", "websockets")
    ),
)
_BACKENDS = (
    _Package("onnxruntime", ("onnxruntime", "onnxruntime-gpu"), True, "pip install emotirt"),
    _Package("torch", ("torch",), False, "only for training and building: pip install 'emotirt[train]'"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``emotirt doctor``."""
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="bundle to check (default: the one inside EmotiRT)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--gpu",
        nargs="?",
        const=GPU_BACKENDS[0],
        metavar="BACKEND",
        help="check the GPU instead: build its plans if need be, run mixed requests, compare them with the CPU, watch "
        f"memory, print JSON (default backend: {GPU_BACKENDS[0]})",
    )
    parser.add_argument("--requests", type=int, default=CHECK_REQUESTS, metavar="N", help="of the check of the GPU")


def run(args: argparse.Namespace) -> int:
    """Print the report; 0 when EmotiRT can speak, else 1."""
    if args.gpu is not None:
        return _check_gpu(args)
    findings = [*system_findings(), *bundle_findings(args.bundle)]
    usable = all(finding.state != "broken" for finding in findings)
    if args.json:
        report = {"usable": usable, "findings": [asdict(finding) for finding in findings]}
        sys.stdout.write(json.dumps(report, ensure_ascii=False, indent=2) + "\n")
    else:
        sys.stdout.write(_report(findings, usable))
    return 0 if usable else 1


def system_findings() -> list[Finding]:
    """Look at Python, the packages, the backends and the players, without loading more than onnxruntime."""
    found = [Finding("python", platform.python_version(), "ok", f"{sys.executable}, {platform.platform()}")]
    found += [_package_finding("package", item) for item in _PACKAGES]
    found += [_package_finding("backend", item) for item in _BACKENDS]
    found.append(_player_finding())
    return found


def bundle_findings(path: Path | None) -> list[Finding]:
    """Open a bundle and check every file's hash."""
    from emotirt.bundle.store import default_bundle_path, open_bundle

    place = default_bundle_path() if path is None else path
    try:
        bundle = open_bundle(place)
        bundle.verify()
    except EmotiRTError as exc:
        return [Finding("bundle", str(place), "broken", str(exc))]
    names = [f"{name} ({entry.language})" for name, entry in bundle.voices.items()]
    more = f" and {len(names) - LISTED_VOICES} more" if len(names) > LISTED_VOICES else ""
    voices = ", ".join(names[:LISTED_VOICES]) + more
    weights = ", random weights: it speaks noise" if bundle.manifest.random_weights else ""
    return [
        *_gpu_findings(bundle),
        Finding("bundle", bundle.manifest.name, "ok", f"{place}, sha256 {bundle.digest[:16]}{weights}"),
        Finding(
            "bundle", "files", "ok", f"{len(bundle.manifest.files)} hashes verified, {bundle.size_bytes / 1e6:.1f} MB"
        ),
        Finding("bundle", "voices", "ok", voices),
        Finding("bundle", "emotions", "ok", ", ".join(bundle.emotions)),
    ]


def _gpu_findings(bundle: Bundle) -> list[Finding]:
    return [
        Finding("backend", name, "unused" if why else "ok", why or "its plans are there")
        for name, why in hindrances(bundle).items()
    ]


def _check_gpu(args: argparse.Namespace) -> int:
    """Check a GPU's backend; 0 when nothing was allocated on the way and nothing was out of reach."""
    from emotirt.bundle.store import default_bundle_path, open_bundle
    from emotirt.engine.gpu_check import check_gpu
    from emotirt.engine.plans import make_missing_plans

    resolve_backend(args.gpu)
    if not is_gpu_backend(args.gpu):
        raise BackendUnavailable(f"--gpu {args.gpu} computes on the CPU; give one of {', '.join(GPU_BACKENDS)}")
    bundle = open_bundle(default_bundle_path() if args.bundle is None else args.bundle)
    make_missing_plans(bundle, args.gpu)
    report = check_gpu(bundle, args.gpu, args.requests)
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    found = report["found"]
    return 1 if found["allocated_bytes"] or found["out_of_profile"] else 0


def _package_finding(area: str, package: _Package) -> Finding:
    if find_spec(package.module) is None:
        return Finding(area, package.module, "broken" if package.required else "missing", package.remedy)
    detail = next((found for found in map(_version, package.distributions) if found), "version unknown")
    if package.module == "onnxruntime":
        detail += _providers()
    return Finding(area, package.module, "ok", detail)


def _providers() -> str:
    import onnxruntime

    return ", " + ", ".join(name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers())


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _player_finding() -> Finding:
    from emotirt.cli.play import find_player

    try:
        return Finding("player", find_player(), "ok", "used by 'emotirt say --play'")
    except EmotiRTError as exc:
        return Finding("player", "for --play", "missing", str(exc))


def _report(findings: list[Finding], usable: bool) -> str:
    width = max(len(f"{finding.area} {finding.name}") for finding in findings)
    lines = [
        f"{finding.state:<8} {finding.area + ' ' + finding.name:<{width}}  {finding.detail}" for finding in findings
    ]
    verdict = "EmotiRT cannot speak: see 'broken' above."
    if usable:
        gpu = next((item.name for item in findings if item.name in GPU_BACKENDS and item.state == "ok"), None)
        backend = gpu or resolve_backend(AUTO)
        verdict = f"EmotiRT can speak; it would use {backend} with {default_threads()} CPU threads."
    return "\n".join([*lines, "", verdict, ""])
