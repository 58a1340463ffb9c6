"""Where the time of an utterance goes: stage by stage, chunk by chunk, and layer by layer of the vocoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emotirt.bench.inflight import IN_FLIGHT
from emotirt.bench.merge import Row
from emotirt.bench.report.archive import Archive, Result
from emotirt.bench.report.figures import number, plain
from emotirt.bench.report.parts import NOT_MEASURED, NOTHING, Both, Table, Words
from emotirt.bench.report.ways import Ways

SLOWEST = 12
"""Layers of a plan in the table."""


@dataclass(frozen=True, slots=True)
class ChunkTime:
    """Where the time of a chunk went, in ms.

    Attributes:
        queue: waited for others.
        frontend: text to phonemes, of the first chunk.
        acoustic: of the first chunk of an utterance.
        vocoder: its window.
        since_request: when it was there.
    """

    queue: float
    frontend: float
    acoustic: float
    vocoder: float
    since_request: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """The chunks of one request.

    Attributes:
        in_flight: requests at once, this one among them.
        chunks: in order.
    """

    in_flight: int
    chunks: Sequence[ChunkTime]


def timelines(ways: Ways, label: str) -> list[Timeline]:
    """Return the slowest request alone, and the slowest among as many as are held."""
    held = int(ways.in_flight_facts(label, IN_FLIGHT).get("held", 0))
    counts = [row.batch for row in ways.levels(label)]
    loaded = [count for count in counts if 1 < count <= held] or [count for count in counts if count > 1][:1]
    wanted = dict.fromkeys([*counts[:1], *loaded[-1:]])
    made = []
    for count in wanted:
        lines = ways.in_flight_facts(label, f"{IN_FLIGHT} {count}").get("slowest_chunks", ())
        if lines:
            made.append(Timeline(count, [ChunkTime(*map(float, line.split())) for line in lines]))
    return made


def stage_table(result: Result, seconds: float) -> Table:
    """Return every stage by itself at a length, alone, a line a stage and subject: host, device, kernels, memory."""
    rows: list[list[Words]] = []
    stages = dict.fromkeys(stage for item in result.subjects.values() for stage in item["rows"])
    for stage in stages:
        for label in result.subjects:
            row = result.cell(label, stage, seconds, 1)
            if row is not None:
                rows.append([f"`{stage}`", f"`{label}`", *_stage_cells(row, result.facts(label, stage))])
    header = (
        Both("stage", "阶段"),
        Both("way", "方式"),
        Both("host p50 / p99, ms", "主机 p50 / p99，ms"),
        Both("device p50, ms", "设备 p50，ms"),
        Both("kernels", "内核数"),
        Both("activations, MB", "激活内存，MB"),
    )
    return Table(header, rows)


def _stage_cells(row: Row, facts: Mapping[str, Any]) -> list[Words]:
    is_here = facts.get("seconds") == row.seconds
    kernels = facts.get("launched", {}).get("kernels") if is_here else None
    memory = facts.get("memory_bytes", {}).get("activations") if is_here else None
    return [
        f"{plain(row.p50)} / {plain(row.p99)}",
        NOTHING if row.last is None else plain(row.last),
        NOTHING if kernels is None else plain(kernels),
        NOTHING if memory is None else plain(memory / 2**20),
    ]


def newest_floors(archive: Archive, bundle: str) -> tuple[Result | None, Result | None]:
    """Return the newest floors of a bundle's vocoder, and the newest that have a plan's times beside them."""

    def wanted(item: Result) -> bool:
        return item.bundle.get("name") == bundle and item.settings.get("stage") == "vocoder"

    return archive.newest("floors", wanted), archive.newest(
        "floors", lambda item: wanted(item) and "timed" in item.details
    )


def group_table(result: Result) -> Table:
    """Return the arithmetic and the bytes of the vocoder's parts, and the least time that each can take."""
    header = (
        Both("part", "部分"),
        Both("layers", "层数"),
        "GFLOP",
        Both("arithmetic, ms", "算力下限，ms"),
        Both("memory, ms", "访存下限，ms"),
        Both("floor, ms", "下限，ms"),
    )
    names = ("layers", "gflop", "arithmetic_ms", "memory_ms", "floor_ms")
    groups = {**result.details["groups"], "**all**": result.details["totals"]}
    return Table(header, [[part, *(plain(found[name]) for name in names)] for part, found in groups.items()])


def layer_table(timed: Result | None) -> Table:
    """Return the slowest layers of a plan beside their floors."""
    header = (
        Both("layer of the plan", "计划中的层"),
        Both("measured, ms", "实测，ms"),
        Both("floor, ms", "下限，ms"),
        Both("times its floor", "下限的倍数"),
        "TFLOP/s",
    )
    if timed is None:
        return Table(header, [[NOT_MEASURED, *[NOTHING] * 4]])
    rows: list[list[Words]] = []
    for layer in timed.details["timed"]["slowest"][:SLOWEST]:
        times = layer["time_ms"] / layer["floor_ms"] if layer["floor_ms"] else None
        rows.append(
            [
                f"`{layer['name'][:48]}`",
                plain(layer["time_ms"]),
                plain(layer["floor_ms"]),
                NOTHING if times is None else number(times, "×"),
                plain(layer["tflops"]),
            ]
        )
    return Table(header, rows)
