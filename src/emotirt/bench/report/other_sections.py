"""Sections about servers, about where time goes, about quality, and about what was measured on what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from emotirt.bench.report.archive import Archive, Result
from emotirt.bench.report.figures import file_of, measured_on, plain
from emotirt.bench.report.http_load import (
    BATCHING,
    Served,
    flight_table,
    late_ms,
    listener_table,
    rate_table,
)
from emotirt.bench.report.parts import NOT_MEASURED, NOTHING, Block, Both, Paragraph, Picture, Section, Table, Words
from emotirt.bench.report.pictures import curve_picture, timeline_picture
from emotirt.bench.report.prose import joined, say, say_both
from emotirt.bench.report.quality import Quality
from emotirt.bench.report.ways import CPU_OURS, FP16, MAIN, Ways, variant_table
from emotirt.bench.report.where_time_goes import (
    Timeline,
    group_table,
    layer_table,
    newest_floors,
    stage_table,
    timelines,
)

GPU = Both("On a GPU, a bundle of EmotiVoice's size", "GPU 上，EmotiVoice 规模的模型包")
GPU_TRAINED = Both("On a GPU, the default bundle", "GPU 上，默认模型包")
CPU = Both("On a CPU, the default bundle", "CPU 上，默认模型包")
RANDOM = "emotivoice-random"


def http_section(on_gpu: Served, trained: Served, on_cpu: Served, quality: Quality) -> Section:
    """Return what servers do under load, client and server in processes of their own."""
    heard = quality.words("fp16")
    said = {"quality": heard if isinstance(heard, Both) else _same(heard)}
    blocks: list[Block] = [Paragraph(say("http.intro")), Paragraph(say_both("http.quality", said))]
    blocks += _served_blocks(GPU, on_gpu, "gpu")
    if trained.results:
        blocks += _served_blocks(GPU_TRAINED, trained, "gpu-default")
    blocks += _served_blocks(CPU, on_cpu, "cpu")
    return Section(Both("Over HTTP", "HTTP 服务"), blocks)


def _served_blocks(where: Both, served: Served, name: str) -> list[Block]:
    if not served.results:
        return [Paragraph(Both(f"**{where.en}**: {NOT_MEASURED.en}.", f"**{where.zh}**：{NOT_MEASURED.zh}。"))]
    blocks: list[Block] = [Paragraph(Both(f"**{where.en}**", f"**{where.zh}**"))]
    if served.knee is not None:
        blocks += _knee_blocks(served.knee, name)
    single = [item for item in (served.alone, served.crowd, served.steady, served.bulk) if item is not None]
    if single:
        blocks += [flight_table(served), *(Paragraph(measured_on(item)) for item in single)]
    for result in (served.sweep, served.levels):
        if result is not None:
            said = joined(say("http.listeners", bound=f"{late_ms(result):g}"), measured_on(result))
            blocks += [listener_table(result), Paragraph(said)]
    return blocks


def _knee_blocks(result: Result, name: str) -> list[Block]:
    found = result.details[BATCHING]
    figures = {
        "texts": say("http.live") if result.settings.get("live_text") else say("http.sentences"),
        "knee": _same(f"{found['held']}{'' if found['is_bounded'] else '+'}"),
        "bound": _same(f"{late_ms(result):g}"),
        "capacity": _same(plain(found["capacity_per_s"])),
    }
    levels = [level for level in found["levels"] if level["ttfa_ms"]]
    title = Both("First audio against offered load", "首段音频与负载的关系")

    def draw(language: str) -> str:
        axes = Both("requests/s", "请求/秒").of(language), "ms"
        series = {
            part: [(float(level["rate_per_s"]), float(level["ttfa_ms"][part])) for level in levels]
            for part in ("p50", "p99")
        }
        return curve_picture(title.of(language), axes, series)

    said = joined(say_both("http.knee", figures), measured_on(result))
    blocks: list[Block] = [Paragraph(said), rate_table(result)]
    return [*blocks, Picture(f"offered-load-{name}", title, draw)] if len(levels) > 1 else blocks


def _same(words: str) -> Both:
    return Both(words, words)


def time_section(archive: Archive, gpu: Ways, cpu: Ways) -> Section:
    """Return the stages, the chunks of a request, and the vocoder's layers against their floors."""
    blocks: list[Block] = []
    for ways, label, name in ((gpu, FP16, "gpu"), (cpu, CPU_OURS, "cpu")):
        lines = timelines(ways, label)
        if lines:
            title = Both(
                f"Chunks of the slowest request, alone and under load ({name.upper()})",
                f"最慢请求的各音频块，单独与负载下（{name.upper()}）",
            )
            blocks.append(Picture(f"timeline-{name}", title, partial(_timeline, title, lines)))
            break
    stages = next((result for result in (*gpu.stages, *cpu.stages) if _has_rows(result)), None)
    if stages is not None:
        seconds = MAIN[0] if any(stages.cell(label, "vocoder", *MAIN) for label in stages.subjects) else 1.0
        said = joined(say("time.stages", seconds=f"{seconds:g}"), measured_on(stages))
        blocks += [Paragraph(said), stage_table(stages, seconds)]
    for result in gpu.variants[:1]:
        said = joined(say("time.variants"), measured_on(result))
        blocks += [Paragraph(said), variant_table(result, "vocoder")]
    floors, timed = newest_floors(archive, RANDOM)
    if floors is not None:
        blocks += _floor_blocks(floors, timed)
    return Section(Both("Where the time goes", "时间花在哪里"), blocks)


def _timeline(title: Both, lines: Sequence[Timeline], language: str) -> str:
    return timeline_picture(title.of(language), lines, language)


def _has_rows(result: Result) -> bool:
    return any(item["rows"] for item in result.subjects.values())


def _floor_blocks(floors: Result, timed: Result | None) -> list[Block]:
    given = {name: f"{floors.settings[name]:g}" for name in ("frames", "tflops", "gbps")}
    said = say("time.floors", **given, bytes=str(floors.settings["value_bytes"]), file=file_of(floors))
    blocks: list[Block] = [Paragraph(said), group_table(floors)]
    if timed is not None:
        found = timed.details["timed"]
        added = found["added_by_the_plan"]
        figures = {"time": found["time_ms"], "layers": found["layers"], "added": added["layers"]}
        told = {name: plain(value) for name, value in figures.items()}
        told |= {"added_ms": plain(added["time_ms"]), "file": file_of(timed)}
        blocks.append(Paragraph(say("time.plan", **told)))
    return [*blocks, layer_table(timed)]


def quality_section(quality: Quality, summary: Mapping[str, Mapping[str, Any]], archive: Archive) -> Section:
    """Return what precisions cost, and what the speech itself is like."""
    rows: list[list[Words]] = []
    for key, what in {
        "quality.per_ratio_en": Both(
            "phoneme error, English, times that of people", "音素错误率，英语，相对真人的倍数"
        ),
        "quality.per_ratio_zh": Both(
            "phoneme error, Mandarin with tones, times that of people", "音素错误率，普通话含声调，相对真人的倍数"
        ),
    }.items():
        entry = summary.get(key)
        said: Words = NOT_MEASURED if entry is None else plain(float(entry["value"]))
        rows.append([what, said])
    vocoders = archive.newest("vocoders")
    natural = None if vocoders is None else _natural_pesq(vocoders)
    if natural is not None:
        rows.append(
            [Both("PESQ-WB of the vocoder from natural mels", "声码器由自然梅尔谱重建的 PESQ-WB"), plain(natural)]
        )
    blocks: list[Block] = [
        Paragraph(say("quality.intro")),
        quality.table(),
        Table([Both("speech", "语音"), Both("measured", "实测")], rows),
    ]
    return Section(Both("Quality", "音质"), blocks)


def _natural_pesq(vocoders: Result) -> float | None:
    found = vocoders.details.get("spectral", {})
    values = [found[language]["pesq_wb"] for language in ("en", "zh") if language in found]
    return min(values) if values else None


def origin_section(used: Sequence[Result]) -> Section:
    """Return where every figure comes from, and how to measure it again."""
    rows: list[list[Words]] = []
    for result in used:
        packages = ("tensorrt", "tensorrt-rtx", "torch", "onnxruntime")
        versions = ", ".join(f"{name} {result.versions[name]}" for name in packages if name in result.versions)
        bundle = f"{result.bundle['name']} `{result.bundle['sha256'][:8]}`" if result.bundle else NOTHING
        rows.append(
            [
                file_of(result),
                f"`{result.commit[:8]}`",
                bundle,
                result.hardware,
                f"Python {result.versions['python']}, {versions}",
            ]
        )
    header = (
        Both("file", "文件"),
        Both("commit", "提交"),
        Both("bundle", "模型包"),
        Both("machine", "机器"),
        Both("software", "软件"),
    )
    return Section(Both("Where the figures come from", "数字的来源"), [Paragraph(say("origin")), Table(header, rows)])
