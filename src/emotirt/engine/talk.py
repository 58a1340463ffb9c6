"""One scheduled request: what comes next, and chunks in order from whatever order they are made."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from emotirt.engine.settings import ACOUSTIC, VOCODER
from emotirt.scheduling.admission import Ticket
from emotirt.scheduling.job import Clock, Job, Moment, Rank, Task
from emotirt.synthesis.acoustic import Acoustic
from emotirt.synthesis.finish import finished, gap_after_s
from emotirt.synthesis.speech import Progress, SpeechPlan, Timings
from emotirt.synthesis.vocoder import BLOCK_FRAMES, FIRST_BLOCK_FRAMES, kept_samples
from emotirt.synthesis.windows import even_windows, windows
from emotirt.types import Chunk, ChunkTimings, FloatArray, Priority, SpokenUtterance, Window


@dataclass(frozen=True, slots=True)
class Format:
    """What the bundle's audio is made of.

    Attributes:
        sample_rate_hz: of the audio.
        hop_samples: samples of a frame.
        context_frames: of the vocoder.
        is_even: whether windows have two widths only, for backends that are prepared for few shapes.
    """

    sample_rate_hz: int
    hop_samples: int
    context_frames: int
    is_even: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """How far a request may run ahead.

    Attributes:
        priority: of the request.
        lookahead: utterances in the acoustic stage at once.
        ahead_s: unread audio at which it is held back.
    """

    priority: Priority
    lookahead: int
    ahead_s: float


class Sink(Protocol):
    """Where a request's chunks go; called in the threads of the loop."""

    def give(self, chunk: Chunk) -> None:
        """Take the next chunk."""

    def ended(self, error: Exception | None) -> None:
        """Learn that nothing comes any more."""


@dataclass(frozen=True, slots=True)
class _Part:
    """An utterance between the stages."""

    acoustic: Acoustic
    windows: tuple[Window, ...]
    timings: ChunkTimings


@dataclass(frozen=True, slots=True)
class _Piece:
    """A window's kept audio and what it waited for."""

    samples: FloatArray
    timings: ChunkTimings


class Talk:
    """The script of a request; ``read_s`` is written by its consumer, everything else under the job's lock."""

    def __init__(
        self,
        plan: SpeechPlan,
        format_: Format,
        pace: Pace,
        sink: Sink,
        ticket: Ticket,
        on_end: Callable[[Job, Talk], None],
        clock: Clock,
    ) -> None:
        """Prepare to speak ``plan``.

        Args:
            plan: what to say.
            format_: of the bundle.
            pace: how far to run ahead.
            sink: receives the chunks.
            ticket: the request's place, charged with its tokens.
            on_end: called once, before the sink learns of the end.
            clock: of the loop.
        """
        self.plan = plan
        self.priority = pace.priority
        self.progress = Progress(Timings(frontend_s=plan.frontend_s), list(plan.warnings))
        self.chunk_count = 0
        self.read_s = 0.0
        self.is_held = False
        self._format = format_
        self._pace = pace
        self._sink = sink
        self._ticket = ticket
        self._on_end = on_end
        self._clock = clock
        self._parts: dict[int, _Part] = {}
        self._pieces: dict[tuple[int, int], _Piece] = {}
        self._next_utterance = 0
        self._in_acoustic = 0
        self._next_piece = (0, 0)
        self._started_s = math.nan  # when the first chunk was given
        self._waited_s = 0.0  # for the front end
        self._planned_s = 0.0  # audio of the utterances that went through the acoustic stage

    def begin(self, job: Job, now_s: float) -> Sequence[Task]:
        """Return the first utterances."""
        self._waited_s = max(0.0, now_s - job.submitted_s - self.plan.frontend_s)
        return self._released(job, now_s)

    def resume(self, job: Job, now_s: float) -> Sequence[Task]:
        """Return the next utterances if the consumer has read enough."""
        return self._released(job, now_s)

    def advance(self, job: Job, task: Task, made: Any, moment: Moment) -> Sequence[Task]:
        """Cut a mel into windows, or hand on the audio whose turn it is."""
        if task.stage == ACOUSTIC:
            self._in_acoustic -= 1
            tasks = self._window_tasks(job, task, made, moment)
            return [*tasks, *self._released(job, moment.ended_s)]
        self._keep(task, made, moment)
        while job.is_running and self._next_piece in self._pieces:
            self._give_next(job)
        return self._released(job, moment.ended_s) if job.is_running else ()

    def ended(self, job: Job) -> None:
        """Tell whoever keeps count and then the sink; give up what is not needed any more."""
        self._parts.clear()
        self._pieces.clear()
        self._ticket.release()
        self._on_end(job, self)
        self._sink.ended(job.error)  # last: who sees the end finds it counted

    def _released(self, job: Job, now_s: float) -> list[Task]:
        tasks = []
        while self._next_utterance < len(self.plan.utterances) and self._in_acoustic < self._pace.lookahead:
            if self._is_ahead():
                self.is_held = True
                if self._is_ahead():  # again: the consumer may have read everything before it saw the mark
                    break
                self.is_held = False
            index = self._next_utterance
            utterance = self.plan.utterances[index]
            rank = self._rank(is_first=index == 0)
            due_s = self._due_s(job, rank, self._planned_s, now_s)
            payload = (utterance, self.plan.condition)
            tasks.append(Task(job, ACOUSTIC, utterance.token_count, None, rank, due_s, now_s, payload, index))
            self._next_utterance += 1
            self._in_acoustic += 1
        return tasks

    def _is_ahead(self) -> bool:
        return self.progress.timings.audio_s - self.read_s >= self._pace.ahead_s

    def _window_tasks(self, job: Job, task: Task, acoustic: Acoustic, moment: Moment) -> list[Task]:
        index: int = task.place
        cut = even_windows if self._format.is_even else windows
        cuts = cut(len(acoustic.mel), self._format.context_frames, BLOCK_FRAMES, FIRST_BLOCK_FRAMES)
        timings = ChunkTimings(queue_s=moment.started_s - task.since_s, acoustic_s=moment.compute_s)
        self._parts[index] = _Part(acoustic, tuple(cuts), timings)
        hop_s = self._format.hop_samples / self._format.sample_rate_hz
        tasks = []
        for place, window in enumerate(cuts):
            rank = self._rank(is_first=index == 0 and place == 0)
            due_s = self._due_s(job, rank, self._planned_s + window.keep_start * hop_s, moment.ended_s)
            mel = acoustic.mel[window.start : window.stop]
            tasks.append(Task(job, VOCODER, len(mel), len(mel), rank, due_s, moment.ended_s, mel, (index, place)))
        is_last = index == len(self.plan.utterances) - 1
        audio_s = len(acoustic.mel) * hop_s + gap_after_s(self.plan.utterances[index], is_last)
        self._planned_s += audio_s
        self._ticket.planned(self.plan.utterances[index].token_count, audio_s)
        return tasks

    def _rank(self, is_first: bool) -> Rank:
        if self._pace.priority is Priority.BULK:
            return Rank.BULK
        return Rank.FIRST if is_first else Rank.LATER

    def _due_s(self, job: Job, rank: Rank, audio_before_s: float, now_s: float) -> float:
        """Return when a listener who hears everything at once would need it; without a listener, its turn in line."""
        if rank is Rank.BULK:
            return now_s
        if rank is Rank.FIRST:
            return job.submitted_s
        return (now_s if math.isnan(self._started_s) else self._started_s) + audio_before_s

    def _keep(self, task: Task, samples: FloatArray, moment: Moment) -> None:
        index, place = task.place
        part = self._parts[index]
        waited_s = moment.started_s - task.since_s
        timings = ChunkTimings(queue_s=waited_s, vocoder_s=moment.compute_s)
        if place == 0:
            timings = replace(part.timings, queue_s=part.timings.queue_s + waited_s, vocoder_s=moment.compute_s)
        if task.place == (0, 0):
            queue_s = timings.queue_s + self._waited_s
            timings = replace(timings, queue_s=queue_s, frontend_s=self.plan.frontend_s)
        kept = kept_samples(part.windows[place], samples, self._format.hop_samples)
        is_end = place == len(part.windows) - 1
        gap_s = gap_after_s(self.plan.utterances[index], index == len(self.plan.utterances) - 1) if is_end else None
        audio = finished(kept, self._format.sample_rate_hz, place == 0, gap_s)
        if audio.base is not None:
            audio = audio.copy()  # a view would keep the whole batch in memory as long as somebody holds the chunk
        self._pieces[task.place] = _Piece(audio, timings)
        self._ticket.made(len(audio) / self._format.sample_rate_hz)

    def _give_next(self, job: Job) -> None:
        now_s = self._clock()
        if not job.give(now_s):
            return
        index, place = self._next_piece
        piece, part = self._pieces.pop(self._next_piece), self._parts[index]
        utterance = self.plan.utterances[index]
        spoken: SpokenUtterance | None = None
        if place == 0:
            spoken = self.progress.begin(utterance, part.acoustic.durations_frames, self._format.hop_samples)
        is_end = place == len(part.windows) - 1
        is_last = is_end and index == len(self.plan.utterances) - 1
        timings = replace(piece.timings, since_request_s=now_s - job.submitted_s)
        first_sample = self.progress.sample_count
        rate_hz = self._format.sample_rate_hz
        self._note(piece, timings)
        if is_end:
            del self._parts[index]
            self._ticket.spend(utterance.token_count)
        self._next_piece = (index + 1, 0) if is_end else (index, place + 1)
        if math.isnan(self._started_s):
            self._started_s = now_s
        self._ticket.gave(now_s, len(piece.samples) / rate_hz)
        self._sink.give(Chunk(piece.samples, rate_hz, index, is_last, first_sample, spoken, timings))
        if is_last:
            job.end()

    def _note(self, piece: _Piece, timings: ChunkTimings) -> None:
        self.chunk_count += 1
        self.progress.sample_count += len(piece.samples)
        total = self.progress.timings
        self.progress.timings = replace(
            total,
            acoustic_s=total.acoustic_s + timings.acoustic_s,
            vocoder_s=total.vocoder_s + timings.vocoder_s,
            total_s=timings.since_request_s,
            first_audio_s=total.first_audio_s or timings.since_request_s,
            audio_s=total.audio_s + len(piece.samples) / self._format.sample_rate_hz,
            queue_s=total.queue_s or timings.queue_s,
        )
