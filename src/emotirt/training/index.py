"""Make the clip list of a pack: trim, level, fundamental frequency, split and phonemes of every recording."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotirt.audio.speech_span import PEAK_LIMIT, SPEECH_LEVEL_DBFS, speech_span
from emotirt.training.corpus import SAMPLE_RATE_HZ, Clip, Row, decode, iter_files, text_fraction, with_offsets
from emotirt.types import FloatArray

HOP_SAMPLES = 256
LEVEL_PER_SPEAKER = frozenset({"emodb"})
"""Corpora whose loudness differences are meant (acted emotion): one gain a speaker, not a clip."""
TEST_FRACTIONS = {"kathleen": 0.07, "ljspeech": 0.07, "aishell": 0.11, "speechocean762": 0.05, "cmn-words": 0.03}
UNSEEN_SPEAKERS = 10


@dataclass(frozen=True, slots=True)
class Analysis:
    """What one recording measures.

    Attributes:
        key: path in the corpus.
        start_samples: first kept sample.
        sample_count: kept samples, a multiple of the hop.
        level_dbfs: RMS of the active part.
        peak: largest magnitude in the kept part.
        f0_hz: float16 [frames], 0 where unvoiced.
    """

    key: str
    start_samples: int
    sample_count: int
    level_dbfs: float
    peak: float
    f0_hz: NDArray[np.float16]


def fundamental_hz(samples: FloatArray) -> NDArray[np.float16]:
    """Track the fundamental at mel frame centres with WORLD's DIO and StoneMask (Morise et al. 2016).

    Returns: float16 [samples // hop], Hz, 0 where unvoiced.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyworld imports pkg_resources, which warns of its own age
        import pyworld

    wave = samples.astype(np.float64)
    half_hop_ms = 1000.0 * HOP_SAMPLES / SAMPLE_RATE_HZ / 2
    coarse, times_s = pyworld.dio(wave, SAMPLE_RATE_HZ, f0_floor=60.0, f0_ceil=700.0, frame_period=half_hop_ms)
    fine = pyworld.stonemask(wave, coarse, times_s, SAMPLE_RATE_HZ)
    frames = len(samples) // HOP_SAMPLES
    centers = np.minimum(2 * np.arange(frames) + 1, len(fine) - 1)
    return fine[centers].astype(np.float16)


def analyse(job: tuple[str, bytes]) -> Analysis:
    """Measure one recording."""
    key, data = job
    samples = decode(data)
    start, end, level = speech_span(samples)
    count = (end - start) // HOP_SAMPLES * HOP_SAMPLES
    kept = samples[start : start + count]
    return Analysis(key, start, count, level, float(np.abs(kept).max(initial=1e-4)), fundamental_hz(kept))


def analyse_corpora(
    folder: Path, rows: Iterable[Row], workers: int, progress: Callable[[int], None] = lambda done: None
) -> dict[str, Analysis]:
    """Measure every recording of the rows, with ``progress`` called with the number done."""
    by_corpus: dict[str, list[str]] = {}
    for row in rows:
        by_corpus.setdefault(row.corpus, []).append(row.path)
    found: dict[str, Analysis] = {}
    with ProcessPoolExecutor(workers) as pool:
        for corpus, names in by_corpus.items():
            for analysis in pool.map(analyse, iter_files(folder, corpus, names), chunksize=32):
                found[analysis.key] = analysis
                progress(len(found))
    return found


def unseen_speakers(rows: Iterable[Row]) -> frozenset[str]:
    """Choose speakers that no network is trained on: those of speechocean762 with the smallest name hash."""
    speakers = sorted({row.speaker for row in rows if row.corpus == "speechocean762"}, key=text_fraction)
    return frozenset(speakers[:UNSEEN_SPEAKERS])


def split_of(row: Row, unseen: frozenset[str]) -> str:
    """Assign ``train``, ``valid`` (unseen speaker) or ``test`` (unseen sentence)."""
    if row.speaker in unseen:
        return "valid"
    return "test" if text_fraction(row.text) < TEST_FRACTIONS.get(row.corpus, 0.0) else "train"


def gains(rows: Iterable[Row], analyses: dict[str, Analysis]) -> dict[str, float]:
    """Choose each clip's gain: to the common speech level, never past the peak limit."""
    neutral: dict[str, list[float]] = {}
    rows = [row for row in rows if row.path in analyses]
    for row in rows:
        if row.corpus in LEVEL_PER_SPEAKER and row.emotion == "neutral":
            neutral.setdefault(row.speaker, []).append(analyses[row.path].level_dbfs)
    chosen = {}
    for row in rows:
        measured = analyses[row.path]
        level = float(np.mean(neutral[row.speaker])) if row.speaker in neutral else measured.level_dbfs
        gain = 10.0 ** ((SPEECH_LEVEL_DBFS - level) / 20.0)
        chosen[row.path] = min(gain, PEAK_LIMIT / measured.peak)
    return chosen


def clips_from_rows(
    rows: list[Row], analyses: dict[str, Analysis], symbols_of: Callable[[Row], tuple[str, ...] | None]
) -> list[Clip]:
    """Join rows with their measurements; clips under 0.3 s are left out."""
    unseen, gain_of = unseen_speakers(rows), gains(rows, analyses)
    clips = []
    for row in rows:
        measured = analyses.get(row.path)
        if measured is None or measured.sample_count < 0.3 * SAMPLE_RATE_HZ:
            continue
        language = row.language.partition("-")[0]
        clips.append(
            Clip(row.path, row.corpus, row.speaker, language, row.emotion, row.text, symbols_of(row),
                 measured.start_samples, gain_of[row.path], 0, measured.sample_count, split_of(row, unseen))
        )  # fmt: skip
    return with_offsets(clips)
