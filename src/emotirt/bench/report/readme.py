"""The README's table between its markers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emotirt.bench.report.document import Report
from emotirt.bench.report.figures import plain
from emotirt.bench.report.markdown import table_lines
from emotirt.bench.report.parts import Both, Table, Words
from emotirt.bench.report.targets import TARGETS, Target
from emotirt.errors import InvalidRequest

BEGIN, END = "<!-- benchmarks: from results by 'emotirt bench report' -->", "<!-- end of benchmarks -->"
SHOWN = {
    "gpu.e2e_15s_p50_ms": Both("15 s of speech, text to PCM, one GPU", "15 秒语音，文本到 PCM，单块 GPU"),
    "gpu.vs_pytorch_15s_ratio": Both("the same, times PyTorch on that GPU", "同上，相对该 GPU 上 PyTorch 的倍数"),
    "gpu.ttfa_http_64_p99_ms": Both("first audio over HTTP, 64 in flight, p99", "HTTP 首段音频，64 个同时进行，p99"),
    "gpu.audio_s_per_s": Both("audio seconds per second, one GPU", "每秒音频秒数，单块 GPU"),
    "cpu.rtfx": Both("audio seconds per second, two CPU cores", "每秒音频秒数，两个 CPU 核心"),
    "cpu.ttfa_ms": Both("first audio, warm, two CPU cores", "首段音频（已预热），两个 CPU 核心"),
    "cpu.cold_start_s": Both("`emotirt say` from a cold start", "`emotirt say` 冷启动"),
}
"""Targets of the README; those of a GPU stand there once they were measured."""


def readme_block(report: Report, language: str) -> str:
    """Return what stands between the markers, the markers included."""
    by_key = {target.key: target for target in TARGETS}
    rows = [
        _row(by_key[key], what, report.summary[key], report) for key, what in SHOWN.items() if key in report.summary
    ]
    header = (
        Both("measured", "测量"),
        Both("value", "数值"),
        Both("target", "目标"),
        Both("quality beside it", "相应的音质"),
        Both("file in `benchmarks/results`", "`benchmarks/results` 中的文件"),
    )
    lines = table_lines(Table(header, rows), language)
    return "\n".join((BEGIN, *lines, END))


def _row(target: Target, what: Both, entry: Mapping[str, Any], report: Report) -> list[Words]:
    value = f"{plain(float(entry['value']))} {target.unit}".rstrip()
    return [what, value, target.wanted, _quality(target.key, report), f"`{Path(str(entry['result'])).name}`"]


def _quality(key: str, report: Report) -> Words:
    if key.startswith("gpu."):
        found = report.quality.figures("fp16")
        is_real = report.quality.source("fp16") is report.quality.real
        if not found:
            return "–"
        pesq = plain(found["pesq_mean"])
        return f"PESQ-WB {pesq}" if is_real else Both(f"PESQ-WB {pesq} (emulated)", f"PESQ-WB {pesq}（模拟）")
    ratios = [report.summary.get(f"quality.per_ratio_{language}") for language in ("en", "zh")]
    if not key.startswith("cpu.") or None in ratios:
        return "–"
    said = " / ".join(plain(float(ratio["value"])) for ratio in ratios if ratio is not None)
    return Both(f"float32; phoneme error {said} × people's", f"float32；音素错误率为真人的 {said} 倍")


def with_block(readme: str, block: str, name: str) -> str:
    """Return a README with a block in place of what stood between the markers.

    Raises: InvalidRequest: it has no markers, or not in order.
    """
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise InvalidRequest(f"{name!r} lacks the lines {BEGIN!r} and {END!r}; put them around its table of figures")
    return f"{head}{block}{tail}"
