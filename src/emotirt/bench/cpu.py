"""Speed on this machine's CPU: real-time factor, first audio, cold start, simultaneous streams.

Every timed request is a new sentence, English and Chinese in turn, after a stated number of warm-up requests. RTFX is
seconds of audio per second of wall time, text to samples.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from emotirt.bench.results import BenchmarkResult, measured
from emotirt.bench.sentences import mixed_texts
from emotirt.bench.stats import Distribution, distribution
from emotirt.engine import Engine, SpeechRequest
from emotirt.errors import BackendError

PARAGRAPH_SENTENCES = 4  # 10 to 15 s of speech
STREAM_SECONDS = 12.0  # how long each simultaneous stream keeps talking
STREAM_LEVELS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
_COLD_TEXTS = ("The first sentence of a new day.", "今天的第一句话。")


@dataclass(frozen=True, slots=True)
class CpuSettings:
    """How much to measure.

    Attributes:
        repeats: timed requests of each kind.
        cold_starts: runs of ``emotirt say`` in a new process.
        warm_up: untimed requests before.
        seed: of the sentences.
        streams: whether to look for the largest number of simultaneous streams.
    """

    repeats: int = 40
    cold_starts: int = 10
    warm_up: int = 3
    seed: int = 0
    streams: bool = True


@dataclass(frozen=True, slots=True)
class CpuReport:
    """What was measured; distributions are over requests.

    Attributes:
        rtfx: audio seconds per wall second over all paragraphs together.
        paragraph_rtfx: the same for each paragraph.
        ttfa_ms: time to the first chunk of a streamed sentence.
        cold_start_s: wall time of a whole ``emotirt say`` process.
        streams: simultaneous streams without a gap in any, 0 if not measured.
        stream_levels: what happened at each number of streams tried.
    """

    rtfx: float
    paragraph_rtfx: Distribution
    ttfa_ms: Distribution
    cold_start_s: Distribution | None
    streams: int
    stream_levels: list[dict[str, float]] = field(default_factory=list)


def measure_cpu(
    engine: Engine, bundle_path: Path | None, settings: CpuSettings, tell: Callable[[str], None]
) -> CpuReport:
    """Run every measurement in turn.

    Args:
        engine: open engine, not yet warm.
        bundle_path: what the cold process is told to open, None for the default.
        settings: how much to measure.
        tell: receives one line about what goes on.
    """
    texts = mixed_texts(1, settings.seed)
    for text in itertools.islice(texts, settings.warm_up):
        engine.say(SpeechRequest(text))
    tell(f"real-time factor: {settings.repeats} paragraphs")
    rtfx, paragraph_rtfx = _real_time_factor(engine, settings)
    tell(f"first audio: {settings.repeats} sentences")
    ttfa_ms = distribution([1000.0 * _first_audio_s(engine, next(texts)) for _ in range(settings.repeats)])
    cold: Distribution | None = None
    if settings.cold_starts:
        tell(f"cold start: {settings.cold_starts} processes")
        cold = distribution([cold_start_s(index, bundle_path) for index in range(settings.cold_starts)])
    levels: list[dict[str, float]] = []
    if settings.streams:
        levels = _stream_levels(engine, settings.seed + 1, tell)
    kept = [int(level["streams"]) for level in levels if level["underruns"] == 0]
    return CpuReport(rtfx, paragraph_rtfx, ttfa_ms, cold, max(kept, default=0), levels)


def cpu_result(report: CpuReport, settings: CpuSettings, bundle: dict[str, str], threads: int) -> BenchmarkResult:
    """Put a report into the form of a result file."""
    values = {
        "cpu.rtfx": measured(report.rtfx, "x"),
        "cpu.ttfa_ms": measured(report.ttfa_ms.p50, "ms"),
    }
    details: dict[str, Any] = {
        "paragraph_rtfx": report.paragraph_rtfx.to_dict(),
        "ttfa_ms": report.ttfa_ms.to_dict(),
        "stream_levels": report.stream_levels,
    }
    if report.cold_start_s is not None:
        values["cpu.cold_start_s"] = measured(report.cold_start_s.p50, "s")
        details["cold_start_s"] = report.cold_start_s.to_dict()
    if report.stream_levels:
        values["cpu.streams"] = measured(report.streams, "streams")
    return BenchmarkResult("cpu", values, {**asdict(settings), "threads": threads}, details, bundle)


def cold_start_s(index: int, bundle_path: Path | None) -> float:
    """Return the wall time of one ``emotirt say`` process, from start to exit.

    Raises: BackendError: the process failed, with its message.
    """
    with tempfile.TemporaryDirectory() as folder:
        text = _COLD_TEXTS[index % len(_COLD_TEXTS)]
        command = [sys.executable, "-m", "emotirt", "say", text, "--out", str(Path(folder) / "cold.wav")]
        command += ["--bundle", str(bundle_path)] if bundle_path else []
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        elapsed_s = time.perf_counter() - started
    if done.returncode:
        raise BackendError(f"'emotirt say' failed with code {done.returncode}: {done.stderr.strip()}")
    return elapsed_s


def _real_time_factor(engine: Engine, settings: CpuSettings) -> tuple[float, Distribution]:
    audio_s, wall_s = [], []
    for text in itertools.islice(mixed_texts(PARAGRAPH_SENTENCES, settings.seed + 100), settings.repeats):
        started = time.perf_counter()
        result = engine.say(SpeechRequest(text))
        wall_s.append(time.perf_counter() - started)
        audio_s.append(result.audio.duration_s)
    each = [audio / wall for audio, wall in zip(audio_s, wall_s, strict=True)]
    return sum(audio_s) / sum(wall_s), distribution(each)


def _first_audio_s(engine: Engine, text: str) -> float:
    started = time.perf_counter()
    chunks = iter(engine.stream(SpeechRequest(text)))
    next(chunks)
    elapsed_s = time.perf_counter() - started
    for _ in chunks:  # the rest is spoken too, so that the next request finds the engine idle
        continue
    return elapsed_s


def _stream_levels(engine: Engine, seed: int, tell: Callable[[str], None]) -> list[dict[str, float]]:
    levels: list[dict[str, float]] = []
    for count in STREAM_LEVELS:
        tell(f"simultaneous streams: {count}")
        talks = [_Talk(engine, mixed_texts(1, seed + 1000 * count + index)) for index in range(count)]
        for talk in talks:
            talk.start()
        for talk in talks:
            talk.join()
        failed = [talk.failure for talk in talks if talk.failure]
        if failed:
            raise BackendError(f"a stream failed among {count}: {failed[0]}") from failed[0]
        underruns = sum(talk.underruns for talk in talks)
        worst_ms = 1000.0 * max(talk.first_audio_s for talk in talks)
        levels.append({"streams": count, "underruns": underruns, "largest_ttfa_ms": round(worst_ms, 1)})
        if underruns:
            break
    return levels


class _Talk(threading.Thread):
    """One listener: hears sentence after sentence without a pause and notes when sound comes too late."""

    def __init__(self, engine: Engine, texts: Iterator[str]) -> None:
        super().__init__(daemon=True)
        self.underruns = 0
        self.first_audio_s = 0.0
        self.failure: Exception | None = None
        self._engine = engine
        self._texts = texts

    def run(self) -> None:
        try:
            self._listen()
        except Exception as exc:  # handed to the measuring thread, which raises it
            self.failure = exc

    def _listen(self) -> None:
        started = time.perf_counter()
        heard_until = 0.0  # when the listener will have heard everything received, 0 before the first chunk
        while heard_until == 0.0 or heard_until - started < STREAM_SECONDS:
            for chunk in self._engine.stream(SpeechRequest(next(self._texts))):
                now = time.perf_counter()
                if heard_until == 0.0:
                    self.first_audio_s = now - started
                    heard_until = now
                elif now > heard_until:
                    self.underruns += 1
                    heard_until = now
                heard_until += len(chunk.samples) / chunk.sample_rate_hz
            ahead_s = heard_until - time.perf_counter()
            if ahead_s > 2.0:  # a listener asks for the next sentence a little before the last one ends
                time.sleep(ahead_s - 2.0)
