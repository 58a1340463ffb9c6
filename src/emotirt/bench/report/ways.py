"""The main table: ways to run the same model beside each other and beside the article's own figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emotirt.bench.inflight import IN_FLIGHT
from emotirt.bench.latency import PATH
from emotirt.bench.merge import Row
from emotirt.bench.report.archive import Archive, Result
from emotirt.bench.report.figures import number, plain, spread
from emotirt.bench.report.parts import NOT_MEASURED, NOTHING, Both, Table, Words

MAIN = (15.0, 1)
SHIPPED, ALL_ON_GPU, FP16, INT8 = "torch-shipped", "torch", "tensorrt-fp16", "tensorrt-int8"
BEST_TORCH = ("torch-graph-fp16", "torch-compile-fp16")
CPU_OURS = "onnxruntime"
COMMON = {ALL_ON_GPU, FP16, CPU_OURS}
"""Subjects of a comparison of backends, as against one of ways to write the same graph."""
PLAIN = "plain"
FEW_RUNS = 10
"""Percentiles of fewer runs say of how many they are."""
ARTICLE_ROWS = (
    (
        Both("the article: PyTorch, A10G", "原文：PyTorch，A10G"),
        {"p50": "420 ms", "in_flight": "15", "memory": "18.3 GB", "busy": "32 %"},
    ),
    (
        Both("the article: TensorRT FP16, A10G", "原文：TensorRT FP16，A10G"),
        {"p50": "98 ms", "p99": "≤ 130 ms", "in_flight": "56", "memory": "11.1 GB", "busy": "85 %"},
    ),
)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to run the model.

    Attributes:
        title: for people.
        labels: of subjects that count as this way; the fastest that was measured stands for it.
        precision: whose quality stands beside it, empty for the reference itself.
    """

    title: Both
    labels: Sequence[str]
    precision: str = ""


GPU_WAYS = (
    Way(Both("PyTorch as EmotiVoice ships it", "EmotiVoice 发布时的 PyTorch"), (SHIPPED,)),
    Way(Both("PyTorch, all of it on the GPU", "PyTorch，全部在 GPU 上"), (ALL_ON_GPU,)),
    Way(
        Both("PyTorch at its best: FP16, graph or compiled", "PyTorch 最快方式：FP16，CUDA graph 或编译"),
        BEST_TORCH,
        "of PyTorch",
    ),
    Way(Both("**EmotiRT FP16**", "**EmotiRT FP16**"), (FP16,), "fp16"),
    Way(Both("**EmotiRT, INT8 vocoder**", "**EmotiRT，INT8 声码器**"), (INT8,), "int8"),
)


class Ways:
    """Everything that results say of one model on one machine, by way."""

    def __init__(self, archive: Archive, wanted: Callable[[Result], bool]) -> None:
        """Look at the results that are ``wanted``, about one model, of the machine that most of them are from."""
        machine = archive.machine(wanted, ("latency", "inflight", "stages"))
        found = {
            kind: [result for result in archive.all(kind, wanted) if result.hardware == machine]
            for kind in ("latency", "inflight", "stages")
        }
        self._archive = archive
        self.latency, self.in_flight = found["latency"], found["inflight"]
        self.stages = [result for result in found["stages"] if COMMON & set(result.subjects)]
        self.variants = [result for result in found["stages"] if PLAIN in result.subjects]

    @property
    def main(self) -> Result | None:
        """The newest result of the whole path in which something was measured."""
        return next((result for result in self.latency if any(map(self._has_rows(result), result.subjects))), None)

    @property
    def widest(self) -> Result | None:
        """The result of the whole path with the most cells, the newest of several."""

        def cells(result: Result) -> int:
            return sum(len(result.rows(label, PATH)) for label in result.subjects)

        return max(self.latency, key=cells, default=None)

    def label(self, way: Way) -> str | None:
        """Return the fastest label of a way that was measured at the main length, None for none."""
        timed = [(row.p50, label) for label in way.labels if (row := self.main_row(label)) is not None]
        return min(timed)[1] if timed else next(iter(self._in_flight_labels(way)), None)

    def main_row(self, label: str) -> Row | None:
        """Return the newest cell of 15 s alone."""
        return _first(result.cell(label, PATH, *MAIN) for result in self.latency)

    def interval_words(self, label: str, name: str) -> Words:
        """Return a percentile of 15 s alone over its repetitions; in flight alone where the path was not timed."""
        first = next((item for item in self.latency if item.cell(label, PATH, *MAIN)), None)
        if first is not None:
            found = self._archive.interval(first, lambda item: _percentile(item, label, PATH, name))
            return _with_runs(spread(found, "ms"), first.cell(label, PATH, *MAIN))
        alone = next((item for item in self.in_flight if item.cell(label, IN_FLIGHT, *MAIN)), None)
        row = None if alone is None else alone.cell(label, IN_FLIGHT, *MAIN)
        return NOT_MEASURED if row is None else f"{plain(getattr(row, name))} ms*"

    def held(self, label: str) -> Words:
        """Return how many whole utterances in flight are held."""
        found = self.in_flight_facts(label, IN_FLIGHT)
        if not found:
            return NOT_MEASURED
        said = f"{found['held']}{'' if found['is_bounded'] else '+'}"
        stood_in = found.get("fallbacks", 0)
        return Both(f"{said} ({stood_in} calls by the CPU)", f"{said}（CPU 代算 {stood_in} 次）") if stood_in else said

    def in_flight_facts(self, label: str, name: str) -> Mapping[str, Any]:
        """Return facts of the newest run in flight that has a label."""
        return next((result.facts(label, name) for result in self.in_flight if result.facts(label, name)), {})

    def levels(self, label: str) -> list[Row]:
        """Return the rows of the newest run in flight, by number."""
        rows = next((result.rows(label, IN_FLIGHT) for result in self.in_flight if result.rows(label, IN_FLIGHT)), [])
        return sorted(rows, key=lambda row: row.batch)

    def most_audio(self, label: str) -> float | None:
        """Return the most audio per second, in batches by hand or in flight."""
        rows = [row for result in self.latency for row in result.rows(label, PATH)] + self.levels(label)
        return max((row.last for row in rows if row.last is not None), default=None)

    def gpu_at_most(self, label: str, name: str) -> float | None:
        """Return a figure of the GPU where most audio is made in flight."""
        rows = self.levels(label)
        if not rows:
            return None
        fullest = max(rows, key=lambda row: row.last or 0.0)
        value = self.in_flight_facts(label, f"{IN_FLIGHT} {fullest.batch}").get(name)
        return None if value is None else float(value)

    def kernels(self, label: str) -> float | None:
        """Return the kernels of one 15 s utterance: those of its stages together."""
        label = ALL_ON_GPU if label == SHIPPED else label
        for result in self.stages:
            facts = result.subjects.get(label, {}).get("facts", {})
            counts = [
                facts.get(stage, {}).get("launched", {}).get("kernels")
                for stage in ("text_encoder", "decoder", "vocoder")
            ]
            if all(count is not None for count in counts):
                return float(sum(counts))
        return None

    @staticmethod
    def _has_rows(result: Result) -> Callable[[str], bool]:
        return lambda label: bool(result.rows(label, PATH))

    def _in_flight_labels(self, way: Way) -> Iterable[str]:
        return (label for label in way.labels if self.levels(label))


def _first(found: Iterable[Row | None]) -> Row | None:
    return next((row for row in found if row is not None), None)


def _with_runs(said: Words, row: Row | None) -> Words:
    """Say how many runs a percentile is of, where they are too few for it."""
    if row is None or row.count >= FEW_RUNS:
        return said
    runs = Both(f"of {row.count} run{'s' if row.count > 1 else ''}", f"仅 {row.count} 次")
    given = said if isinstance(said, Both) else Both(said, said)
    return Both(f"{given.en} ({runs.en})", f"{given.zh}（{runs.zh}）")


def _percentile(result: Result, label: str, stage: str, name: str) -> float | None:
    row = result.cell(label, stage, *MAIN)
    return None if row is None else float(getattr(row, name))


def main_table(ways: Ways, listeners: Words, quality: Callable[[str], Words]) -> Table:
    """Put the ways beside the article.

    Args:
        ways: what was measured.
        listeners: real-time listeners that a server with our FP16 plans holds.
        quality: of a precision, for people.
    """
    header: list[Words] = [
        Both("way", "方式"),
        "15 s p50",
        "p90",
        "p99",
        Both("utterances in flight", "同时合成的语句"),
        Both("listeners", "实时听者"),
        Both("audio s/s", "音频秒/秒"),
        Both("GPU memory", "显存"),
        Both("GPU busy", "GPU 占用"),
        Both("kernels", "内核数"),
        Both("Wh per audio hour", "每小时音频 Wh"),
        Both("PESQ / STOI / MCD / F0", "PESQ / STOI / MCD / F0"),
    ]
    rows = [_way_row(ways, way, listeners, quality) for way in GPU_WAYS]
    for title, said in ARTICLE_ROWS:
        cells = (said.get(name, NOTHING) for name in ("p50", "p90", "p99", "in_flight"))
        rows.append([title, *cells, NOTHING, NOTHING, said["memory"], said["busy"], NOTHING, NOTHING, NOTHING])
    return Table(header, rows)


def _way_row(ways: Ways, way: Way, listeners: Words, quality: Callable[[str], Words]) -> list[Words]:
    label = ways.label(way) or way.labels[0]
    memory = ways.gpu_at_most(label, "memory_mb")
    title = way.title
    if len(way.labels) > 1 and ways.label(way) is not None:
        title = Both(f"{title.en} (`{label}`)", f"{title.zh}（`{label}`）")
    return [
        title,
        *(ways.interval_words(label, name) for name in ("p50", "p90", "p99")),
        ways.held(label),
        listeners if label == FP16 else NOTHING,
        number(ways.most_audio(label)),
        NOT_MEASURED if memory is None else f"{memory / 1024.0:.1f} GB",
        number(ways.gpu_at_most(label, "busy_pct"), "%"),
        number(ways.kernels(label)),
        number(ways.gpu_at_most(label, "energy_wh_per_audio_hour")),
        quality(way.precision),
    ]


def variant_table(result: Result, stage: str) -> Table:
    """Return ways to write the same graph beside the plain one, in a single cell."""
    rows: list[list[Words]] = []
    base = next(iter(result.rows(PLAIN, stage)), None)
    for label in result.subjects:
        for row in result.rows(label, stage)[:1]:
            time_ms = row.last or row.p50
            ratio = NOTHING if base is None else f"{plain((base.last or base.p50) / time_ms)} ×"
            rows.append([f"`{label}`", f"{row.seconds:g} s × {row.batch}", plain(time_ms), ratio])
    header = (
        Both("graph", "计算图"),
        Both("cell", "条件"),
        Both("p50, ms", "p50，ms"),
        Both("times the plain one", "相对原图的倍数"),
    )
    return Table(header, rows)


def cell_table(result: Result, stage: str) -> Table:
    """Return every cell of a stage or of the whole path, a column a subject, with ratios against the baseline."""
    baseline = str(result.details["ratios"]["baseline"])
    labels = [label for label in result.subjects if result.rows(label, stage)]
    places = sorted({row.place for label in labels for row in result.rows(label, stage)})
    rows: list[list[Words]] = []
    for seconds, batch in places:
        base = result.cell(baseline, stage, seconds, batch)
        cells: list[Words] = [f"{seconds:g} s × {batch}"]
        for label in labels:
            row = result.cell(label, stage, seconds, batch)
            cells.append(NOTHING if row is None else _timed(row, base if label != baseline else None))
        rows.append(cells)
    return Table([Both("cell", "条件"), *(f"`{label}`" for label in labels)], rows)


def _timed(row: Row, base: Row | None) -> Words:
    ratio = "" if base is None else f", {plain(base.p50 / row.p50)} ×"
    return _with_runs(f"{plain(row.p50)} / {plain(row.p99)} ms{ratio}", row)
