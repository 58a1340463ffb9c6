"""Sections about speed: the article's table, what each step gains, and the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emotirt.bench.inflight import IN_FLIGHT
from emotirt.bench.latency import PATH
from emotirt.bench.report.archive import Archive, Result
from emotirt.bench.report.figures import measured_on, number, plain
from emotirt.bench.report.http_load import Served
from emotirt.bench.report.parts import (
    NOT_MEASURED,
    NOTHING,
    Block,
    Both,
    Bullets,
    Paragraph,
    Picture,
    Section,
    Table,
    Words,
)
from emotirt.bench.report.pictures import bar_picture
from emotirt.bench.report.prose import joined, say
from emotirt.bench.report.quality import Quality
from emotirt.bench.report.ways import BEST_TORCH, FEW_RUNS, FP16, GPU_WAYS, INT8, SHIPPED, Ways, cell_table, main_table

_BUSY = 2.0
"""Load of a machine with two cores above which others take part of the time."""
DIFFERENCES = ("a10g", "concurrent", "asked", "inside", "quality")


def article_section(ways: Ways, trained: Ways, served: Served, quality: Quality) -> Section:
    """Return the table that the project started from."""
    blocks: list[Block] = []
    if ways.main is None:
        blocks.append(Paragraph(say("article.none")))
    else:
        blocks.append(Paragraph(_with_gpu(measured_on(ways.main), ways.main)))
    blocks.append(main_table(ways, served.held(), quality.words))
    if ways.main is not None:
        bars = _bars(ways)
        title = Both("A 15 s utterance, text to PCM, p50", "15 秒语句，文本到 PCM，p50")
        blocks.append(Picture("latency", title, lambda language: bar_picture(title.of(language), bars[language], "ms")))
    blocks += [Paragraph(say("differs")), Bullets([say(f"differs.{name}") for name in DIFFERENCES])]
    for which in (ways, trained):
        if which.widest is not None:
            said = joined(say("article.cells", bundle=which.widest.bundle["name"]), measured_on(which.widest))
            blocks += [Paragraph(said), cell_table(which.widest, PATH)]
    return Section(Both("The article's table", "原文的表格"), blocks)


def _with_gpu(said: Both, result: Result) -> Both:
    gpu = result.details.get("gpu", {})
    if "driver" not in gpu:
        return said
    clocks = gpu["clocks_mhz"]
    speed = f"{clocks.get('multiprocessors')} / {clocks.get('memory')}"
    return joined(said, say("article.gpu", driver=gpu["driver"], cuda=gpu["cuda"], clocks=speed))


def _bars(ways: Ways) -> Mapping[str, list[tuple[str, float]]]:
    found = [
        (way, row)
        for way in GPU_WAYS
        if (label := ways.label(way)) and (row := ways.main_row(label)) and row.count >= FEW_RUNS
    ]
    return {
        language: [(way.title.of(language).replace("*", ""), row.p50) for way, row in found]
        for language in ("en", "zh")
    }


def ablation_section(ways: Ways, archive: Archive, served: Served, quality: Quality) -> Section:
    """Return what each step gains, from the public script to INT8, and batching, streaming and the front end."""
    base = ways.main_row(SHIPPED)
    rows: list[list[Words]] = []
    for label, precision, what in _STEPS:
        row = ways.main_row(label)
        ratio = NOTHING
        if row is not None and base is not None and min(row.count, base.count) >= FEW_RUNS:
            ratio = f"{plain(base.p50 / row.p50)} ×"
        rows.append([what, ways.interval_words(label, "p50"), ratio, quality.words(precision)])
    header: list[Words] = [Both("step", "步骤"), "15 s p50", Both("times as shipped", "相对发布时的倍数"), _QUALITY]
    table = Table(header, rows)
    return Section(
        Both("What each step gains", "每一步的收益"), [table, Table(_GAIN_HEADER, _gains(ways, archive, served))]
    )


_QUALITY = "PESQ / STOI / MCD / F0"
_STEPS = (
    (SHIPPED, "", Both("as shipped: eager, BERT on the CPU", "发布时：eager，BERT 在 CPU 上")),
    ("torch", "", Both("everything on the GPU", "全部在 GPU 上")),
    (BEST_TORCH[1], "of PyTorch", Both("FP16, compiled", "FP16，编译")),
    (BEST_TORCH[0], "of PyTorch", Both("FP16, CUDA graphs", "FP16，CUDA graph")),
    (FP16, "fp16", Both("TensorRT FP16 with graphs, stages chained", "TensorRT FP16 加 graph，阶段在 GPU 上相连")),
    (INT8, "int8", Both("the same with an INT8 vocoder", "同上，INT8 声码器")),
)
_GAIN_HEADER: tuple[Words, ...] = (
    Both("what", "内容"),
    Both("without", "不用"),
    Both("with", "使用"),
    Both("measured as", "测量方式"),
)


def _gains(ways: Ways, archive: Archive, served: Served) -> list[list[Words]]:
    batched = max((row.last for item in ways.latency for row in item.rows(FP16, PATH) if row.last), default=None)
    alone = ways.main_row(FP16)
    first = ways.in_flight_facts(FP16, f"{IN_FLIGHT} 1").get("first_ms")
    whole = next((row for row in ways.levels(FP16) if row.batch == 1), None)
    frontend = archive.newest("frontend")
    share = None if frontend is None else frontend.values["frontend.p50_ms"]["value"]
    rows: list[list[Words]] = [
        [
            Both("batching (FP16)", "批处理（FP16）"),
            number(None if alone is None else alone.last, "×"),
            number(batched, "×"),
            Both("audio seconds per second", "每秒音频秒数"),
        ],
        [
            Both("streaming (FP16)", "流式输出（FP16）"),
            number(None if whole is None else whole.p50, "ms"),
            number(first[1] if first else None, "ms"),
            Both(
                "15 s utterance through the scheduler: all of it, first audio", "15 秒语句经调度器：全部音频，首段音频"
            ),
        ],
        [
            Both("text front end (FP16)", "文本前端（FP16）"),
            number(None if whole is None or first is None else whole.p50 - _frontend_ms(ways), "ms"),
            number(None if whole is None else whole.p50, "ms"),
            Both("the same 15 s utterance", "同一句 15 秒语句"),
        ],
        [
            Both("text front end alone", "仅文本前端"),
            NOTHING,
            number(share, "ms"),
            Both("60 characters", "60 字符"),
        ],
    ]
    if served.compared is not None:
        found: Mapping[str, Any] = served.compared.details
        rows.append(
            [
                Both("batching over HTTP", "HTTP 服务的批处理"),
                str(found["one_at_a_time"]["held"]),
                str(found["batching"]["held"]),
                Both("listeners held", "撑住的听者"),
            ]
        )
    return rows


def _frontend_ms(ways: Ways) -> float:
    """Return what the front end takes of an utterance, as the scheduler noted it."""
    lines = ways.in_flight_facts(FP16, f"{IN_FLIGHT} 1").get("slowest_chunks", ())
    return float(lines[0].split()[1]) if lines else 0.0


def cpu_section(ways: Ways, archive: Archive) -> Section:
    """Return PyTorch beside ONNX Runtime on the CPU, and what one CPU does."""
    blocks: list[Block] = [Paragraph(say("cpu.intro"))]
    main = ways.main
    if main is None:
        blocks.append(Paragraph(NOT_MEASURED))
    else:
        load = main.settings.get("load_average")
        note = say("cpu.threads", threads=str(main.settings.get("threads") or "all"))
        if load and load[0] > _BUSY:
            note = joined(note, say("cpu.busy", load=plain(load[0])))
        blocks += [cell_table(main, PATH), Paragraph(joined(note, measured_on(main)))]
    if ways.in_flight:
        blocks += _in_flight_blocks(ways, ways.in_flight[0])
    cpu = archive.newest("cpu")
    if cpu is not None:
        blocks += _cpu_values(cpu)
    return Section(Both("On a CPU", "CPU 上"), blocks)


def _in_flight_blocks(ways: Ways, result: Result) -> list[Block]:
    rows: list[list[Words]] = []
    seconds = 0.0
    for label in result.subjects:
        levels = result.rows(label, IN_FLIGHT)
        if levels:
            seconds = levels[0].seconds
            most = max(row.last or 0.0 for row in levels)
            rows.append([f"`{label}`", ways.held(label), plain(most)])
    most_ms = result.settings.get("most_ms", 500.0)
    said = joined(say("cpu.in_flight", seconds=f"{seconds:g}", most=f"{most_ms:g}"), measured_on(result))
    header = (Both("way", "方式"), Both("in flight", "同时合成"), Both("audio s/s at most", "最多音频秒/秒"))
    return [Table(header, rows), Paragraph(said)]


def _cpu_values(cpu: Result) -> list[Block]:
    names = {
        "paragraph_rtfx": Both("audio seconds per second, a paragraph", "每秒音频秒数，一段文字"),
        "ttfa_ms": Both("first audio, ms", "首段音频，ms"),
        "cold_start_s": Both("`emotirt say` from a cold start, s", "`emotirt say` 冷启动，s"),
    }
    rows: list[list[Words]] = []
    for name, what in names.items():
        found = cpu.details.get(name)
        if found:
            rows.append([what, *(plain(found[key]) for key in ("p50", "p90", "p99", "count"))])
    header: list[Words] = [Both("one request at a time", "每次一个请求"), "p50", "p90", "p99", Both("runs", "次数")]
    return [Table(header, rows), Paragraph(measured_on(cpu))]
