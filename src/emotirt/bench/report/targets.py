"""The targets that the project set itself, each with what was measured and, where it is missed, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotirt.bench.report.figures import plain
from emotirt.bench.report.parts import NOT_MEASURED, NOTHING, Both, Table, Words
from emotirt.bench.report.prose import both_by_name
from emotirt.errors import InvalidRequest

REASONS_FILE = "reasons.md"
"""Beside the directory of results: ``## key``, then a line ``en: ...`` and a line ``zh: ...``."""
REACHED, MISSED = Both("reached", "达到"), Both("not reached", "未达到")

GPU_GROUP = Both(
    "One GPU (set for an H200), a bundle of EmotiVoice's size", "单块 GPU（目标按 H200 设定），EmotiVoice 规模的模型包"
)
TRAINED_GROUP = Both("One GPU, the trained graphs of the default bundle", "单块 GPU，默认模型包的已训练计算图")
CPU_GROUP = Both("Two CPU cores, the default bundle", "两个 CPU 核心，默认模型包")
SPEECH_GROUP = Both("The speech itself, and a server under faults", "语音本身，以及故障中的服务器")


@dataclass(frozen=True, slots=True)
class Target:
    """One target.

    Attributes:
        key: of the summary.
        group: heading.
        what: is measured.
        bound: to keep; None where the project set none.
        is_least: whether more is better.
        unit: of both figures.
    """

    key: str
    group: Both
    what: Both
    bound: float | None
    is_least: bool
    unit: str

    @property
    def wanted(self) -> str:
        """The bound for people."""
        if self.bound is None:
            return NOTHING
        if not self.bound:
            return "0"
        return f"{'≥' if self.is_least else '≤'} {plain(self.bound)} {self.unit}".rstrip()

    def verdict(self, value: float | None) -> Words:
        """Return whether a value reaches the target."""
        if value is None:
            return NOT_MEASURED
        if self.bound is None:
            return NOTHING
        return REACHED if (value >= self.bound if self.is_least else value <= self.bound) else MISSED


def _gpu(key: str, what: Both, bound: float | None, is_least: bool, unit: str) -> Target:
    return Target(f"gpu.{key}", GPU_GROUP, what, bound, is_least, unit)


TARGETS = (
    _gpu("e2e_15s_p50_ms", Both("15 s utterance, text to PCM, p50", "15 秒语句，文本到 PCM，p50"), 4.5, False, "ms"),
    _gpu("e2e_15s_p99_ms", Both("the same, p99", "同上，p99"), 6.0, False, "ms"),
    _gpu(
        "ttfa_http_1_p50_ms",
        Both("first audio over HTTP, alone, p50", "HTTP 首段音频，单个请求，p50"),
        10.0,
        False,
        "ms",
    ),
    _gpu(
        "ttfa_http_64_p99_ms",
        Both("the same, 64 requests in flight, p99", "同上，64 个请求同时进行，p99"),
        50.0,
        False,
        "ms",
    ),
    _gpu(
        "ttfa_http_half_load_p99_ms",
        Both("the same, Poisson arrivals at half of capacity, p99", "同上，泊松到达，半负荷，p99"),
        50.0,
        False,
        "ms",
    ),
    _gpu("audio_s_per_s", Both("audio seconds per second, text to PCM", "每秒音频秒数，文本到 PCM"), 6000.0, True, "×"),
    _gpu(
        "vocoder_audio_s_per_s",
        Both("audio seconds per second, vocoder alone", "每秒音频秒数，仅声码器"),
        None,
        True,
        "×",
    ),
    _gpu("memory_64_mb", Both("GPU memory, 64 requests in flight", "GPU 显存，64 个请求同时进行"), 2048.0, False, "MB"),
    _gpu("busy_pct", Both("GPU busy at saturation", "饱和时 GPU 占用"), 85.0, True, "%"),
    _gpu("tflops", Both("arithmetic of the vocoder at its best", "声码器最快时的算力"), None, True, "TFLOP/s"),
    _gpu(
        "vs_pytorch_15s_ratio",
        Both("times PyTorch on the GPU, 15 s utterance", "相对 GPU 上的 PyTorch 的倍数，15 秒语句"),
        None,
        True,
        "×",
    ),
    Target(
        "frontend.p50_ms",
        CPU_GROUP,
        Both("text front end, 60 characters, p50", "文本前端，60 字符，p50"),
        1.0,
        False,
        "ms",
    ),
    Target("cpu.rtfx", CPU_GROUP, Both("audio seconds per second", "每秒音频秒数"), 10.0, True, "×"),
    Target("cpu.ttfa_ms", CPU_GROUP, Both("first audio, warm, p50", "首段音频（已预热），p50"), 150.0, False, "ms"),
    Target(
        "cpu.cold_start_s", CPU_GROUP, Both("`emotirt say` from a cold start", "`emotirt say` 冷启动"), 3.0, False, "s"
    ),
    Target(
        "cpu.streams",
        CPU_GROUP,
        Both("simultaneous streams without a gap", "同时播放而不中断的语音流"),
        None,
        True,
        "",
    ),
    Target(
        "fp16.snr_db",
        TRAINED_GROUP,
        Both("FP16 plan against float32, SNR", "FP16 计划对 float32 的信噪比"),
        30.0,
        True,
        "dB",
    ),
    Target("fp16.pesq", TRAINED_GROUP, Both("the same, PESQ-WB", "同上，PESQ-WB"), 4.3, True, ""),
    Target(
        "int8.pesq",
        TRAINED_GROUP,
        Both("INT8 vocoder against float32, PESQ-WB", "INT8 声码器对 float32 的 PESQ-WB"),
        4.0,
        True,
        "",
    ),
    Target(
        "int8.speedup", TRAINED_GROUP, Both("INT8 vocoder, times FP16", "INT8 声码器相对 FP16 的倍数"), 1.3, True, "×"
    ),
    Target(
        "quality.per_ratio_en",
        SPEECH_GROUP,
        Both("phoneme error against people, English", "音素错误率与真人之比，英语"),
        None,
        False,
        "×",
    ),
    Target(
        "quality.per_ratio_zh",
        SPEECH_GROUP,
        Both("the same, Mandarin with tones", "同上，普通话（含声调）"),
        None,
        False,
        "×",
    ),
    Target(
        "quality.speaker_top1_of_10",
        SPEECH_GROUP,
        Both("clones recognized among ten people", "十人中认出克隆音色的比例"),
        None,
        True,
        "",
    ),
    Target(
        "quality.emotion_accuracy",
        SPEECH_GROUP,
        Both("emotions recognized by a classifier", "分类器认出情感的比例"),
        None,
        True,
        "",
    ),
    Target("faults.lost", SPEECH_GROUP, Both("requests lost under faults", "故障中丢失的请求"), 0.0, False, ""),
    Target("faults.doubled", SPEECH_GROUP, Both("requests answered twice", "回答了两次的请求"), 0.0, False, ""),
    Target("faults.corrupt", SPEECH_GROUP, Both("answers with wrong audio", "音频错误的回答"), 0.0, False, ""),
)


def target_tables(
    summary: Mapping[str, Mapping[str, Any]], reasons: Mapping[str, Both]
) -> list[tuple[Both, Table, list[Both]]]:
    """Return for every group its heading, its table, and the reasons for what is missed or not measured."""
    made = []
    for group in (GPU_GROUP, TRAINED_GROUP, CPU_GROUP, SPEECH_GROUP):
        rows: list[tuple[Words, ...]] = []
        why: list[Both] = []
        for target in (item for item in TARGETS if item.group == group):
            entry = summary.get(target.key)
            verdict = target.verdict(None if entry is None else float(entry["value"]))
            rows.append((target.what, target.wanted, _said(entry, target.unit), verdict, _machine(entry), _file(entry)))
            reason = reasons.get(target.key)
            if reason is not None and verdict in (MISSED, NOT_MEASURED):
                is_missed = verdict == MISSED
                why.append(
                    Both(
                        f"**{target.what.en}**{' ' if is_missed else ' (not measured) '}— {reason.en}",
                        f"**{target.what.zh}**{'' if is_missed else '（未测量）'}：{reason.zh}",
                    )
                )
        header = (
            Both("what", "内容"),
            Both("target", "目标"),
            Both("measured", "实测"),
            Both("verdict", "结论"),
            Both("on", "机器"),
            Both("file", "文件"),
        )
        made.append((group, Table(header, rows), why))
    return made


def _said(entry: Mapping[str, Any] | None, unit: str) -> Words:
    return NOT_MEASURED if entry is None else f"{plain(float(entry['value']))} {unit}".rstrip()


def _machine(entry: Mapping[str, Any] | None) -> str:
    """Return the part of the machine that is meant: its GPU, or else its CPU."""
    return NOTHING if entry is None else str(entry["hardware"]).split(",")[0]


def _file(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return NOTHING
    path = Path(str(entry["result"]))
    return f"[{path.stem}](../benchmarks/results/{path.name})"


def read_reasons(path: Path) -> dict[str, Both]:
    """Read why targets are missed, and what was tried; empty where there is no such file.

    Raises: InvalidRequest: a part has no target of that name, or lacks a language.
    """
    if not path.is_file():
        return {}
    try:
        found = both_by_name(path.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise InvalidRequest(f"{str(path)!r}: {exc}") from exc
    unknown = sorted(set(found) - {target.key for target in TARGETS})
    if unknown:
        raise InvalidRequest(f"{str(path)!r}: there is no target {', '.join(unknown)}; name parts after targets")
    return found
