"""``benchmarks/summary.json``: the newest value of every target, taken from result files and from nowhere else."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from emotirt.bench.results import RESULTS_DIRECTORY, write_json
from emotirt.errors import InvalidRequest

logger = logging.getLogger(__name__)

SUMMARY_PATH = Path("benchmarks/summary.json")

# Every target of the project; a result may hold other values too, which stay out of the summary.
SUMMARY_KEYS = (
    "gpu.e2e_15s_p50_ms",
    "gpu.e2e_15s_p99_ms",
    "gpu.ttfa_http_1_p50_ms",
    "gpu.ttfa_http_64_p99_ms",
    "gpu.ttfa_http_half_load_p99_ms",
    "gpu.audio_s_per_s",
    "gpu.vocoder_audio_s_per_s",
    "gpu.memory_64_mb",
    "gpu.busy_pct",
    "gpu.tflops",
    "gpu.vs_pytorch_15s_ratio",
    "frontend.p50_ms",
    "fp16.snr_db",
    "fp16.pesq",
    "int8.pesq",
    "int8.speedup",
    "cpu.rtfx",
    "cpu.ttfa_ms",
    "cpu.cold_start_s",
    "cpu.streams",
    "quality.per_ratio_en",
    "quality.per_ratio_zh",
    "quality.speaker_top1_of_10",
    "quality.emotion_accuracy",
    "faults.requests",
    "faults.lost",
    "faults.doubled",
    "faults.corrupt",
)


def collect_summary(directory: Path = RESULTS_DIRECTORY) -> dict[str, dict[str, Any]]:
    """Take the newest value of every key from a directory of result files.

    Returns: key -> value, unit, result (path from the directory above), hardware; keys without a result are absent.
    Raises: InvalidRequest: no directory, or a file that is no result, named.
    """
    if not directory.is_dir():
        raise InvalidRequest(f"no results in {str(directory)!r}; run 'emotirt bench cpu' in the source tree first")
    newest: dict[str, tuple[str, dict[str, Any]]] = {}
    for path in sorted(directory.glob("*.json")):
        result = _read_result(path)
        for key, entry in result["values"].items():
            if key not in SUMMARY_KEYS:
                logger.info("%s holds %s, which is no target", path, key)
                continue
            if key in newest and newest[key][0] > result["date"]:
                continue
            line = {
                "value": entry["value"],
                "unit": entry["unit"],
                "result": f"{directory.name}/{path.name}",
                "hardware": result["hardware"],
            }
            newest[key] = (result["date"], line)
    return {key: newest[key][1] for key in SUMMARY_KEYS if key in newest}


def write_summary(directory: Path = RESULTS_DIRECTORY, path: Path = SUMMARY_PATH) -> dict[str, dict[str, Any]]:
    """Collect the summary and write it.

    Raises: InvalidRequest: see ``collect_summary``. OutputError: not writable.
    """
    summary = collect_summary(directory)
    write_json(path, summary)
    return summary


def _read_result(path: Path) -> dict[str, Any]:
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        complete = {
            "date": str(result["date"]),
            "hardware": str(result["hardware"]),
            "values": {
                str(key): {"value": entry["value"], "unit": entry["unit"]} for key, entry in result["values"].items()
            },
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise InvalidRequest(
            f"{str(path)!r} is no result file ({type(exc).__name__}: {exc}); it needs date, hardware and values"
        ) from exc
    return complete
