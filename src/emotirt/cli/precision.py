"""The half of ``emotirt build`` that derives a bundle in another precision; needs ONNX."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from emotirt.bundle.plans import FLOAT32, FP16, INT8
from emotirt.cli import plans
from emotirt.cli.arguments import UsageError
from emotirt.errors import BackendUnavailable
from emotirt.runtime.open import default_threads

if TYPE_CHECKING:
    from emotirt.build.derive import Derived

_SHOWN = ("snr_db", "snr_worst_db", "log_mel_l1", "mcd_db", "pitch_cents", "cosine", "durations_changed")


def run(args: argparse.Namespace) -> int:
    """Derive, with a table of what it cost on standard output.

    Raises: UsageError: options that do not go together. BackendUnavailable: ONNX is missing. ParityFailed, BundleError:
        as ``build.derive.derive_bundle``.
    """
    plans.check_unused(args, but=("bundle", "precision", "result"))
    out = getattr(args, "out", None)
    if out is None or args.precision == FLOAT32:
        raise UsageError(
            f"without --target, --precision {FP16} or {INT8} writes a bundle derived from --bundle: give --out DIR"
        )
    try:
        from emotirt.build.derive import derive_bundle
    except ModuleNotFoundError as exc:
        raise BackendUnavailable(f"this needs the package {exc.name!r}: pip install 'emotirt[train]'") from exc
    from emotirt.bundle.store import default_bundle_path, open_bundle

    bundle = open_bundle(default_bundle_path() if args.bundle is None else args.bundle)
    derived = derive_bundle(bundle, args.precision, out, threads=default_threads())
    for item in derived.parity:
        sys.stdout.write(f"{item.stage:<18} {_figures(item.figures())}\n")
    if derived.quantization is not None:
        kept = ", ".join(derived.quantization.kept) or "none"
        sys.stdout.write(f"layers not quantized: {kept}, of {len(derived.quantization.costs)}\n")
    sys.stdout.write(f"{derived.bundle.path}: {derived.bundle.size_bytes / 1e6:.1f} MB in {args.precision}\n")
    if args.result is not None:
        from emotirt.bench.results import BenchmarkResult, write_result

        about = {"name": bundle.manifest.name, "sha256": bundle.digest}
        settings = {"precision": args.precision, "emulated": True}
        path = write_result(BenchmarkResult("parity", {}, settings, _details(derived), about), args.result)
        sys.stdout.write(f"{path}\n")
    return 0


def _figures(figures: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {figures[name]:.4g}" for name in _SHOWN if name in figures)


def _details(derived: Derived) -> dict[str, Any]:
    stages = {
        item.stage: {name: float(f"{value:.4g}") for name, value in item.figures().items()} for item in derived.parity
    }
    if derived.quantization is None:
        return {"stages": stages}
    return {
        "stages": stages,
        "kept": list(derived.quantization.kept),
        "layers": [cost.to_dict() for cost in derived.quantization.costs],
    }
