"""What one process measured, on its way to a result: processes of one run write partial files, a merge reads them.

A GPU host may need PyTorch in one interpreter and TensorRT in another. Both read the same inputs, whose hash stands in
every partial file, so that only what belongs together is merged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotirt.bench.gpu_watch import find_gpu
from emotirt.bench.results import describe_hardware, installed_versions, write_json
from emotirt.bench.subjects import Subject
from emotirt.errors import InvalidRequest

STAGES, LATENCY, INFLIGHT = "stages", "latency", "inflight"
KINDS = (STAGES, LATENCY, INFLIGHT)


@dataclass(frozen=True, slots=True)
class Partial:
    """What one process measured.

    Attributes:
        kind: one of ``KINDS``.
        inputs: SHA-256 of the inputs' file.
        hardware: one line about the machine and its GPU.
        gpu: driver and clocks, or why there is none.
        versions: of this process.
        settings: as given.
        subjects: by label: ``way``, ``bundle`` and what ``SubjectReport.to_dict`` gives.
    """

    kind: str
    inputs: str
    hardware: str
    gpu: Mapping[str, Any]
    versions: Mapping[str, str]
    settings: Mapping[str, Any]
    subjects: Mapping[str, Mapping[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return {name: getattr(self, name) for name in self.__slots__}


def partial_of_this_process(
    kind: str, inputs: str, settings: Mapping[str, Any], subjects: Mapping[str, Mapping[str, Any]]
) -> Partial:
    """Describe this machine and its software around what was measured."""
    gpu = find_gpu()
    about = {"absent": gpu} if isinstance(gpu, str) else gpu.to_dict()
    return Partial(kind, inputs, hardware_line(), about, installed_versions(), settings, subjects)


def hardware_line() -> str:
    """Return the machine in one line, its GPU first where it has one that NVML sees."""
    gpu = find_gpu()
    return (
        describe_hardware() if isinstance(gpu, str) else f"{gpu.name}, {gpu.memory_gib:.0f} GiB; {describe_hardware()}"
    )


def described(subject: Subject, report: Mapping[str, Any]) -> dict[str, Any]:
    """Put a subject's bundle and the hashes of its graphs beside what was measured."""
    manifest = subject.bundle.manifest
    bundle = {
        "name": manifest.name,
        "sha256": subject.bundle.digest,
        "frontend": manifest.frontend,
        "random_weights": manifest.random_weights,
        "graphs": {stage: entry.sha256 for stage, entry in manifest.stages.items()},
    }
    return {"way": subject.way, "device": subject.device, "bundle": bundle, **report}


def write_partial(partial: Partial, path: Path) -> None:
    """Write a partial file; raises OutputError."""
    write_json(path, partial.to_dict())


def read_partial(path: Path) -> Partial:
    """Read what ``write_partial`` wrote.

    Raises: InvalidRequest: it is missing or another file.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        partial = Partial(**data)
        complete = partial.kind in KINDS and all(
            {"way", "bundle", "rows"} <= set(item) for item in partial.subjects.values()
        )
    except (OSError, ValueError, TypeError, AttributeError) as exc:
        raise InvalidRequest(f"{str(path)!r} is no partial result ({type(exc).__name__}: {exc})") from exc
    if not complete:
        raise InvalidRequest(
            f"{str(path)!r} is no partial result: its kind or a subject is not as written by 'emotirt bench'"
        )
    return partial


def check_one_run(partials: Sequence[Partial]) -> None:
    """Check that partial files may be compared.

    Raises: InvalidRequest: none, or of different kinds, inputs or machines; or a label that stands in two of them.
    """
    if not partials:
        raise InvalidRequest("no partial results were given; make them with 'emotirt bench stages --partial FILE'")
    for name in ("kind", "inputs", "hardware"):
        found = sorted({str(getattr(item, name)) for item in partials})
        if len(found) > 1:
            raise InvalidRequest(f"these partial results do not belong together: {name} is {' and '.join(found)}")
    labels = [label for item in partials for label in item.subjects]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise InvalidRequest(
            f"subject {', '.join(twice)} stands in several partial results; name them apart: LABEL=WAY"
        )
