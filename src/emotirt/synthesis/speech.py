"""One request being spoken: its checked plan, its chunks, its timings."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from emotirt.runtime.durations import MAX_FRAMES
from emotirt.synthesis.finish import finished, gap_after_s
from emotirt.synthesis.pipeline import Pipeline
from emotirt.types import Audio, Chunk, FloatArray, IntArray, SpokenUtterance, Utterance
from emotirt.voices.condition import Condition

WHOLE_BLOCK_FRAMES = 512
"""Without streaming the vocoder takes utterances up to 12 s at once; longer ones go in parts, to bound memory."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of a request went.

    Attributes:
        frontend_s: text to phonemes.
        acoustic_s: phonemes to mel.
        vocoder_s: mel to samples.
        total_s: from the request to the last sample, without the time a consumer kept a stream waiting.
        first_audio_s: from the request to the first sample that a caller could hear.
        audio_s: length of the audio.
        queue_s: waiting for the stages; 0 where there is no queue.
    """

    frontend_s: float = 0.0
    acoustic_s: float = 0.0
    vocoder_s: float = 0.0
    total_s: float = 0.0
    first_audio_s: float = 0.0
    audio_s: float = 0.0
    queue_s: float = 0.0

    @property
    def rtfx(self) -> float:
        """Seconds of audio for each second of work."""
        return self.audio_s / self.total_s if self.total_s > 0.0 else 0.0


@dataclass(slots=True)
class Progress:
    """What a running request has done so far.

    Attributes:
        timings: up to now.
        warnings: up to now.
        spoken: token times of the utterances so far.
        sample_count: samples made.
    """

    timings: Timings
    warnings: list[str] = field(default_factory=list)
    spoken: list[SpokenUtterance] = field(default_factory=list)
    sample_count: int = 0

    def add(self, acoustic_s: float = 0.0, vocoder_s: float = 0.0, audio_s: float = 0.0) -> None:
        """Add work done and audio made."""
        now = self.timings
        total_s = now.total_s + acoustic_s + vocoder_s
        self.timings = replace(
            now,
            acoustic_s=now.acoustic_s + acoustic_s,
            vocoder_s=now.vocoder_s + vocoder_s,
            total_s=total_s,
            audio_s=now.audio_s + audio_s,
            first_audio_s=now.first_audio_s or (total_s if audio_s else 0.0),
        )

    def begin(self, utterance: Utterance, durations_frames: IntArray, hop_samples: int) -> SpokenUtterance:
        """Note where an utterance begins, and warn of one that had to be sped up."""
        spoken = SpokenUtterance(utterance, durations_frames, self.sample_count, hop_samples)
        self.spoken.append(spoken)
        if durations_frames.sum() >= MAX_FRAMES:
            self.warnings.append(
                f"{utterance.text[:40]!r} was too long at this speed and was sped up to {MAX_FRAMES} frames"
            )
        return spoken


@dataclass(frozen=True, slots=True)
class SpeechPlan:
    """A checked request.

    Attributes:
        utterances: at least one.
        condition: the same for all of them.
        voice: name of the voice that will speak.
        frontend_s: time it took to get here.
        warnings: what will not be done exactly as asked, for people.
        is_truncated: whether the text was cut at the hard limit.
    """

    utterances: tuple[Utterance, ...]
    condition: Condition
    voice: str
    frontend_s: float
    warnings: tuple[str, ...] = ()
    is_truncated: bool = False

    def progress(self) -> Progress:
        """Start counting."""
        return Progress(Timings(frontend_s=self.frontend_s, total_s=self.frontend_s), list(self.warnings))


class SpeechStream(Iterator[Chunk]):
    """Chunks of a request, made as they are asked for.

    Attributes:
        utterances: what will be spoken.
        voice: the voice that speaks.
    """

    def __init__(self, pipeline: Pipeline, plan: SpeechPlan) -> None:
        """Speak ``plan``; nothing is computed before the first ``next``."""
        self.utterances = plan.utterances
        self.voice = plan.voice
        self._progress = plan.progress()
        self._chunks = _chunks(pipeline, plan, self._progress)

    def __next__(self) -> Chunk:
        """Make the next chunk; raises BackendError when a stage fails."""
        return next(self._chunks)

    @property
    def utterance_count(self) -> int:
        """Number of utterances."""
        return len(self.utterances)

    @property
    def timings(self) -> Timings:
        """Times up to the last chunk made."""
        return self._progress.timings

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings up to the last chunk made."""
        return tuple(self._progress.warnings)


def speak_whole(pipeline: Pipeline, plan: SpeechPlan) -> tuple[Audio, Progress]:
    """Speak a plan with batched acoustic stages; the audio equals the joined stream within 1e-4 of full scale.

    Raises: BackendError: a stage failed.
    """
    progress = plan.progress()
    if pipeline.speaks_at_once:
        return _spoken_at_once(pipeline, plan, progress)
    started = time.perf_counter()
    made = pipeline.acoustics(plan.utterances, [plan.condition] * len(plan.utterances))
    progress.add(acoustic_s=time.perf_counter() - started)
    parts = []
    for index, (utterance, acoustic) in enumerate(zip(plan.utterances, made, strict=True)):
        progress.begin(utterance, acoustic.durations_frames, pipeline.hop_samples)
        started = time.perf_counter()
        samples = np.concatenate(list(pipeline.stream(acoustic.mel, WHOLE_BLOCK_FRAMES, WHOLE_BLOCK_FRAMES)))
        gap_s = gap_after_s(utterance, index == len(made) - 1)
        parts.append(finished(samples, pipeline.sample_rate_hz, True, gap_s))
        progress.sample_count += len(parts[-1])
        progress.add(vocoder_s=time.perf_counter() - started)
    audio = Audio(np.concatenate(parts), pipeline.sample_rate_hz)
    progress.add(audio_s=audio.duration_s)
    return audio, progress


def _spoken_at_once(pipeline: Pipeline, plan: SpeechPlan, progress: Progress) -> tuple[Audio, Progress]:
    """Speak in one call; all of its time counts as the vocoder's, which has nearly all of the work."""
    started = time.perf_counter()
    parts = []
    spoken = pipeline.spoken(plan.utterances, [plan.condition] * len(plan.utterances))
    for index, (utterance, item) in enumerate(zip(plan.utterances, spoken, strict=True)):
        progress.begin(utterance, item.durations_frames, pipeline.hop_samples)
        gap_s = gap_after_s(utterance, index == len(spoken) - 1)
        parts.append(finished(item.samples, pipeline.sample_rate_hz, True, gap_s))
        progress.sample_count += len(parts[-1])
    audio = Audio(np.concatenate(parts), pipeline.sample_rate_hz)
    progress.add(vocoder_s=time.perf_counter() - started, audio_s=audio.duration_s)
    return audio, progress


def _chunks(pipeline: Pipeline, plan: SpeechPlan, progress: Progress) -> Iterator[Chunk]:
    last = len(plan.utterances) - 1
    for index, utterance in enumerate(plan.utterances):
        started = time.perf_counter()
        acoustic = pipeline.acoustics([utterance], [plan.condition])[0]
        progress.add(acoustic_s=time.perf_counter() - started)
        spoken: SpokenUtterance | None = progress.begin(utterance, acoustic.durations_frames, pipeline.hop_samples)
        gap_s = gap_after_s(utterance, index == last)
        for samples, is_end in _finished_pieces(pipeline, acoustic.mel, gap_s, progress):
            is_last = is_end and index == last
            yield Chunk(samples, pipeline.sample_rate_hz, index, is_last, progress.sample_count, spoken)
            progress.sample_count += len(samples)
            spoken = None


def _finished_pieces(
    pipeline: Pipeline, mel: FloatArray, gap_s: float, progress: Progress
) -> Iterator[tuple[FloatArray, bool]]:
    pieces = pipeline.stream(mel)
    made, wanted = 0, len(mel) * pipeline.hop_samples
    while made < wanted:
        started = time.perf_counter()
        piece = next(pieces)
        is_first, made = made == 0, made + len(piece)
        samples = finished(piece, pipeline.sample_rate_hz, is_first, gap_s if made == wanted else None)
        progress.add(vocoder_s=time.perf_counter() - started, audio_s=len(samples) / pipeline.sample_rate_hz)
        yield samples, made == wanted
