"""Partial results of one run as one result: ratios against PyTorch, the article's figures beside ours, the targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emotirt.bench.cells import MAIN_LENGTH_S
from emotirt.bench.inflight import COLUMNS as IN_FLIGHT_COLUMNS
from emotirt.bench.inflight import IN_FLIGHT
from emotirt.bench.latency import COLUMNS as PATH_COLUMNS
from emotirt.bench.latency import PATH
from emotirt.bench.partial import INFLIGHT, LATENCY, STAGES, Partial, check_one_run
from emotirt.bench.results import BenchmarkResult, measured
from emotirt.bench.stages import COLUMNS as STAGE_COLUMNS
from emotirt.bundle.contract import VOCODER
from emotirt.bundle.manifest import EMOTIVOICE_FRONTEND
from emotirt.errors import InvalidRequest

ARTICLE = {
    "fp16_speedup": "1.5 to 2 times",
    "fp16_memory_ratio": "half",
    "kernel_calls": "40 % fewer",
    "int8_speedup": "30 to 50 % faster than FP16",
    "15_s_latency": "420 to 98 ms, PyTorch to TensorRT FP16 on an A10G: 4.3 times",
}
"""What the article says that the project started from; its GPU is another one."""


@dataclass(frozen=True, slots=True)
class Roles:
    """Which label plays which part; a part whose label was not measured leaves its figures out.

    Attributes:
        baseline: what ratios are against.
        fp32: plans in float32.
        fp16: plans in float16, which also give the targets of the whole path.
        int8: plans with an INT8 vocoder.
    """

    baseline: str = "torch"
    fp32: str = "tensorrt-fp32"
    fp16: str = "tensorrt-fp16"
    int8: str = "tensorrt-int8"


@dataclass(frozen=True, slots=True)
class Row:
    """One measured cell, read from a line of a file; times in ms, ``last`` as the columns say, None for -."""

    seconds: float
    batch: int
    count: int
    p50: float
    p90: float
    p95: float
    p99: float
    last: float | None

    @property
    def place(self) -> tuple[float, int]:
        """Length and batch."""
        return self.seconds, self.batch


def row_from_text(text: str) -> Row:
    """Read a line; raises InvalidRequest."""
    parts = text.split()
    try:
        if len(parts) != len(STAGE_COLUMNS.split()):
            raise ValueError(f"{len(parts)} figures")
        p50, p90, p95, p99 = (float(part) for part in parts[3:7])
        last = None if parts[7] == "-" else float(parts[7])
        return Row(float(parts[0]), int(parts[1]), int(parts[2]), p50, p90, p95, p99, last)
    except ValueError as exc:
        raise InvalidRequest(f"row {text!r} of a partial result cannot be read: {exc}") from exc


_DEFAULT_ROLES = Roles()


def merged(partials: Sequence[Partial], roles: Roles = _DEFAULT_ROLES) -> BenchmarkResult:
    """Merge the partial results of one run.

    Args:
        partials: of one kind, from one machine, with the same inputs.
        roles: which label is compared with which.

    Returns: a result whose ``details`` hold every row, ``ratios`` and ``comparison``.
    Raises: InvalidRequest: they do not belong together, or a row is damaged.
    """
    check_one_run(partials)
    first = partials[0]
    subjects = {label: item for partial in partials for label, item in partial.subjects.items()}
    rows = {label: _rows(item) for label, item in subjects.items()}
    columns, values_of = _KINDS[first.kind]
    values = values_of(subjects, rows, roles)
    details: dict[str, Any] = {
        "columns": columns,
        "inputs_sha256": first.inputs,
        "gpu": dict(first.gpu),
        "processes": [dict(partial.versions) for partial in partials],
        "ratios": _ratios(rows, roles.baseline, on_device=first.kind == STAGES),
        "comparison": _comparison(subjects, rows, roles),
        "subjects": subjects,
    }
    settings = {"roles": {name: getattr(roles, name) for name in roles.__slots__}, **first.settings}
    bundles = {item["bundle"]["name"]: item["bundle"]["sha256"] for item in subjects.values()}
    name, digest = next(iter(bundles.items()))
    return BenchmarkResult(first.kind, values, settings, details, {"name": name, "sha256": digest}, first.hardware)


def _rows(subject: Mapping[str, Any]) -> dict[str, dict[tuple[float, int], Row]]:
    made: dict[str, dict[tuple[float, int], Row]] = {}
    for stage, lines in subject["rows"].items():
        read = [row_from_text(line) for line in lines]
        made[stage] = {row.place: row for row in read}
    return made


Rows = Mapping[str, Mapping[str, Mapping[tuple[float, int], Row]]]


def _ratios(rows: Rows, baseline: str, on_device: bool) -> dict[str, Any]:
    """Return how many times faster than the baseline each cell is: by the host's clock, and on the device."""
    against = rows.get(baseline, {})
    made: dict[str, Any] = {"baseline": baseline if against else f"{baseline} was not measured"}
    for label, stages in rows.items():
        for stage, cells in stages.items():
            lines = []
            for place, row in sorted(cells.items()):
                base = against.get(stage, {}).get(place)
                if base is None or label == baseline:
                    continue
                device = _quotient(base.last, row.last) if on_device else None
                tail = "" if device is None else f" {device:.3g}"
                lines.append(f"{place[0]:g} {place[1]} {base.p50 / row.p50:.3g}{tail}")
            if lines:
                made[f"{label} {stage}"] = lines
    return made


def _quotient(one: float | None, other: float | None) -> float | None:
    return one / other if one and other else None


def _device_ms(rows: Rows, label: str, stage: str, place: tuple[float, int]) -> float | None:
    row = rows.get(label, {}).get(stage, {}).get(place)
    return None if row is None else row.last or row.p50


def _comparison(subjects: Mapping[str, Mapping[str, Any]], rows: Rows, roles: Roles) -> dict[str, Any]:
    """Put FP16 against FP32 plans, INT8 against FP16, plans against eager kernels, each beside the article's figure."""
    made: dict[str, Any] = {"article": ARTICLE}
    main = (MAIN_LENGTH_S, 1)
    for stage in dict.fromkeys(stage for stages in rows.values() for stage in stages if stage not in (PATH, IN_FLIGHT)):
        found: dict[str, Any] = {
            "fp16_speedup": _quotient(
                _device_ms(rows, roles.fp32, stage, main), _device_ms(rows, roles.fp16, stage, main)
            ),
            "int8_speedup": _quotient(
                _device_ms(rows, roles.fp16, stage, main), _device_ms(rows, roles.int8, stage, main)
            ),
        }
        for kind in ("weights", "activations"):
            sizes = [_fact(subjects, label, stage, "memory_bytes", kind) for label in (roles.fp16, roles.fp32)]
            found[f"fp16_{kind}_ratio"] = _quotient(*sizes)
        kernels = [_fact(subjects, label, stage, "launched", "kernels") for label in (roles.fp16, roles.baseline)]
        share = _quotient(*kernels)
        found["fewer_kernels_pct"] = None if share is None else 100.0 * (1.0 - share)
        made[stage] = {key: float(f"{value:.4g}") for key, value in found.items() if value is not None}
    return {key: value for key, value in made.items() if value}


def _fact(subjects: Mapping[str, Mapping[str, Any]], label: str, stage: str, kind: str, name: str) -> float | None:
    value = subjects.get(label, {}).get("facts", {}).get(stage, {}).get(kind, {}).get(name)
    return None if value is None else float(value)


def _is_published_size(subjects: Mapping[str, Mapping[str, Any]], label: str) -> bool:
    """Whether a label's figures may stand for the targets: they are set for bundles of EmotiVoice's size."""
    return label in subjects and subjects[label]["bundle"]["frontend"] == EMOTIVOICE_FRONTEND


def _path_values(subjects: Mapping[str, Mapping[str, Any]], rows: Rows, roles: Roles) -> dict[str, Any]:
    values: dict[str, Any] = {}
    cells = rows.get(roles.fp16, {}).get(PATH, {})
    main = cells.get((MAIN_LENGTH_S, 1))
    if main is None or not _is_published_size(subjects, roles.fp16):
        return values
    values["gpu.e2e_15s_p50_ms"] = measured(main.p50, "ms")
    values["gpu.e2e_15s_p99_ms"] = measured(main.p99, "ms")
    values["gpu.audio_s_per_s"] = measured(max(row.last or 0.0 for row in cells.values()), "x")
    base = rows.get(roles.baseline, {}).get(PATH, {}).get(main.place)
    if base is not None:
        values["gpu.vs_pytorch_15s_ratio"] = measured(base.p50 / main.p50, "x")
    return values


def _stage_values(subjects: Mapping[str, Mapping[str, Any]], rows: Rows, roles: Roles) -> dict[str, Any]:
    values: dict[str, Any] = {}
    cells = rows.get(roles.fp16, {}).get(VOCODER, {})
    if cells and _is_published_size(subjects, roles.fp16):
        best = max(1000.0 * row.seconds * row.batch / (row.last or row.p50) for row in cells.values())
        values["gpu.vocoder_audio_s_per_s"] = measured(best, "x")
        flop = subjects[roles.fp16].get("vocoder_gflop_per_s")
        if flop:
            values["gpu.tflops"] = measured(best * flop / 1000.0, "TFLOP/s")
    trained = all(
        not subjects[label]["bundle"]["random_weights"] for label in (roles.fp16, roles.int8) if label in subjects
    )
    main = (MAIN_LENGTH_S, 1)
    gain = _quotient(_device_ms(rows, roles.fp16, VOCODER, main), _device_ms(rows, roles.int8, VOCODER, main))
    if gain is not None and trained:  # its quality is that of the same trained graphs
        values["int8.speedup"] = measured(gain, "x")
    return values


def _in_flight_values(subjects: Mapping[str, Mapping[str, Any]], rows: Rows, roles: Roles) -> dict[str, Any]:
    """Take how busy the GPU is where most audio is made."""
    cells = rows.get(roles.fp16, {}).get(IN_FLIGHT, {})
    if not cells or not _is_published_size(subjects, roles.fp16):
        return {}
    fullest = max(cells.values(), key=lambda row: row.last or 0.0)
    busy = subjects[roles.fp16]["facts"].get(f"{IN_FLIGHT} {fullest.batch}", {}).get("busy_pct")
    return {} if busy is None else {"gpu.busy_pct": measured(busy, "%")}


_KINDS: Mapping[str, tuple[str, Callable[[Mapping[str, Mapping[str, Any]], Rows, Roles], dict[str, Any]]]] = {
    STAGES: (STAGE_COLUMNS, _stage_values),
    LATENCY: (PATH_COLUMNS, _path_values),
    INFLIGHT: (IN_FLIGHT_COLUMNS, _in_flight_values),
}
