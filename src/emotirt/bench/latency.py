"""The whole path: new sentences in, PCM in host memory out, at every length and batch.

Every timed request is a sentence that was never spoken before; front end, content vectors and all copies are inside.
Vectors of voices and of named emotions are cached, as in serving.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from emotirt.bench.cells import BATCHES, LENGTHS_S, MAIN_LENGTH_S, Cell, cells
from emotirt.bench.gpu_watch import GpuUse, GpuWatch
from emotirt.bench.inputs import Inputs
from emotirt.bench.speakers import Speaker, open_speaker
from emotirt.bench.stages import Pace, SubjectReport
from emotirt.bench.subjects import Subject
from emotirt.bench.timing import DEFAULT_REPEATS, Clock, Repeats, brief, timed_ms
from emotirt.errors import BackendError, InvalidRequest

PATH = "path"
FEWEST_BATCHES = 2
"""One to warm up and one to time."""
COLUMNS = "seconds batch count p50_ms p90_ms p95_ms p99_ms audio_s_per_s"
"""Of a row: audio per second of wall time in the last column, over all timed batches."""


@dataclass(frozen=True, slots=True)
class LatencySettings:
    """What to measure.

    Attributes:
        lengths_s: seconds of audio.
        batches: sentences at once.
        repeats: of each cell; a cell with too few sentences for them is measured less often.
    """

    lengths_s: Sequence[float] = LENGTHS_S
    batches: Sequence[int] = BATCHES
    repeats: Repeats = DEFAULT_REPEATS


def measure_latency(
    subject: Subject,
    inputs: Inputs,
    settings: LatencySettings,
    clock: Clock,
    report: SubjectReport,
    tell: Callable[[str], None],
) -> None:
    """Time every cell until the clock is over; arguments as of ``stages.measure_stages``.

    Raises: InvalidRequest: the inputs' sentences are for another front end.
    """
    manifest = subject.bundle.manifest
    if inputs.frontend != manifest.frontend:
        raise InvalidRequest(
            f"the inputs are for front end {inputs.frontend!r}, bundle {manifest.name!r} has {manifest.frontend!r}; "
            "write inputs for this bundle with 'emotirt bench inputs'"
        )
    try:
        speaker = open_speaker(subject)
    except BackendError as exc:
        report.absent[PATH] = str(exc)
        tell(f"{subject.label}: {exc}")
        return
    pace = Pace(clock)
    unspoken = {f"{seconds:g}": iter(inputs.sentences(seconds)) for seconds in settings.lengths_s}
    try:
        for cell in cells(manifest, [""], settings.lengths_s, settings.batches):
            if not pace.allows(cell):
                report.leave_out(cell)
                continue
            try:
                batches = _batches(unspoken[f"{cell.seconds:g}"], cell, settings.repeats)
                _measure(speaker, batches, cell, (settings.repeats, manifest.sample_rate_hz), report)
                tell(f"{subject.label} {PATH}: {report.rows[PATH][-1]}")
            except BackendError as exc:
                report.absent[cell.name] = str(exc)
                tell(f"{subject.label} {cell.name}: {exc}")
            pace.note(cell)
    finally:
        speaker.close()


def _batches(source: Iterator[str], cell: Cell, repeats: Repeats) -> list[list[str]]:
    """Take batches of sentences that were not spoken before, at most as many as are wanted."""
    batches: list[list[str]] = []
    while len(batches) < repeats.warm_up + repeats.timed:
        texts = list(islice(source, cell.batch))
        if len(texts) < cell.batch:
            break
        batches.append(texts)
    if len(batches) < FEWEST_BATCHES:
        raise BackendError("no unspoken sentences are left; write more of them with 'emotirt bench inputs'")
    return batches


def _measure(
    speaker: Speaker, batches: list[list[str]], cell: Cell, how: tuple[Repeats, int], report: SubjectReport
) -> None:
    repeats, rate_hz = how
    warm_up = min(repeats.warm_up, max(1, len(batches) // 4))
    samples: list[int] = []
    with GpuWatch() as watch:
        spread = timed_ms(
            lambda index: samples.append(speaker.speak(batches[index])),
            Repeats(warm_up, len(batches) - warm_up, repeats.seconds),
        )
    audio_s = sum(samples[-spread.count :]) / rate_hz
    figures = " ".join(f"{value:g}" for value in brief(spread))
    rtfx = 1000.0 * audio_s / (spread.mean * spread.count)
    report.rows.setdefault(PATH, []).append(f"{cell.seconds:g} {cell.batch} {figures} {rtfx:.4g}")
    if watch.use is not None:
        report.facts[cell.name] = _gpu_facts(watch.use, sum(samples) / rate_hz)
    elif cell.seconds == MAIN_LENGTH_S and cell.batch == 1:
        report.facts[cell.name] = {"gpu": watch.absence}


def _gpu_facts(use: GpuUse, audio_s: float) -> dict[str, Any]:
    """Put what was seen beside the audio made meanwhile, warm-up included."""
    if use.energy_j is None:
        return use.to_dict()
    return {**use.to_dict(), "energy_wh_per_audio_hour": float(f"{use.energy_j / audio_s:.4g}")}
