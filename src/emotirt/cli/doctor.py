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

from emotirt.cli.doctor_gpu import (
    SPEAKING,
    add_gpu_arguments,
    check_gpu_backend,
    gpu_findings,
    plan_findings,
    speaking_findings,
)
from emotirt.cli.finding import Finding
from emotirt.environment import voices_directory
from emotirt.errors import EmotiRTError
from emotirt.runtime.open import AUTO, default_threads, resolve_backend


@dataclass(frozen=True, slots=True)
class _Package:
    module: str
    distributions: tuple[str, ...]
    required: bool
    remedy: str


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
    add_gpu_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the report; 0 when EmotiRT can speak, else 1."""
    if args.gpu is not None:
        return check_gpu_backend(args)
    findings = [*system_findings(), *bundle_findings(args.bundle), _own_voices()]
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
    found += gpu_findings()
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
        Finding("bundle", bundle.manifest.name, "ok", f"{place}, sha256 {bundle.digest[:16]}{weights}"),
        Finding(
            "bundle", "files", "ok", f"{len(bundle.manifest.files)} hashes verified, {bundle.size_bytes / 1e6:.1f} MB"
        ),
        Finding("bundle", "voices", "ok", voices),
        Finding("bundle", "emotions", "ok", ", ".join(bundle.emotions)),
        *plan_findings(bundle),
        *speaking_findings(bundle),
    ]


def _own_voices() -> Finding:
    from emotirt.voices.store import VoiceStore

    chosen = voices_directory()
    store = VoiceStore(chosen)
    count = len(store.voices())
    return Finding("voices", "your own", "ok", f"{count} in {store.path}{', as EMOTIRT_VOICES says' if chosen else ''}")


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
        gpu = next((item.name for item in findings if item.area == SPEAKING and item.state == "ok"), None)
        backend = gpu or resolve_backend(AUTO)
        verdict = f"EmotiRT can speak; it would use {backend} with {default_threads()} CPU threads."
    return "\n".join([*lines, "", verdict, ""])
