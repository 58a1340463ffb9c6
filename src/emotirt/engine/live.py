"""The asynchronous engine: takes many requests at once and schedules them on one set of stages."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import numpy as np

from emotirt.bundle.contract import PROMPT_ENCODER
from emotirt.bundle.manifest import EmotionEntry, VoiceEntry
from emotirt.bundle.store import Bundle
from emotirt.engine.backend import Backend, opened_backend
from emotirt.engine.counters import Counters
from emotirt.engine.observe import EngineStats, Health, HealthState, Observer
from emotirt.engine.opening import opened_parts
from emotirt.engine.planner import Planner
from emotirt.engine.request import SpeechOptions, SpeechRequest, SpeechResult, check_options
from emotirt.engine.settings import (
    ACOUSTIC,
    STAND_IN_LIMITS,
    VOCODER,
    WORKER,
    EngineSettings,
    batch_limits,
    resolved_settings,
)
from emotirt.engine.stages import AcousticBatches, VocoderBatches
from emotirt.engine.stream import AsyncSpeechStream, Mailbox
from emotirt.engine.talk import Format, Pace, Talk
from emotirt.engine.voices import AsyncUserVoices, ClonedVoice, NewVoice, UserVoices
from emotirt.errors import EngineClosed
from emotirt.runtime.open import AUTO, is_gpu_backend
from emotirt.scheduling.admission import Admission, Ticket
from emotirt.scheduling.capacity import CapacityRules
from emotirt.scheduling.job import Job
from emotirt.scheduling.loop import Loop, Stage
from emotirt.scheduling.policy import StageLimits
from emotirt.synthesis.speech import SpeechPlan
from emotirt.synthesis.vocoder import BLOCK_FRAMES, FIRST_BLOCK_FRAMES
from emotirt.types import Audio, Priority
from emotirt.voices.prompts import PromptVectors
from emotirt.voices.recording import Sources
from emotirt.voices.voice_file import StoredVoice

logger = logging.getLogger(__name__)

_DEFAULT_SETTINGS = EngineSettings()
_DEFAULT_OPTIONS = SpeechOptions()
_WARM_UP_TEXTS = ("Warm, 1 2 3.", "你好，世界。")


class AsyncEngine:
    """Speaks many requests at once; belongs to the event loop that uses it.

    Open it with ``AsyncEngine.open``; ``close`` it or use it in an ``async with`` statement.
    """

    def __init__(
        self,
        bundle: Bundle,
        backend: str,
        threads: int,
        settings: EngineSettings,
        observers: Sequence[Observer],
        voices_path: Path | str | None = None,
    ) -> None:
        """Load ``bundle``, which takes seconds; prefer ``AsyncEngine.open``."""
        self.bundle = bundle
        self.settings = settings = resolved_settings(settings, backend, threads)
        lanes = settings.lanes or 1
        lane_threads = threads if settings.isolation == WORKER else max(1, threads // lanes)
        self._limit: Callable[[Mapping[str, StageLimits]], None] = lambda _: None
        manifest = bundle.manifest
        is_even = is_gpu_backend(backend)
        self._format = Format(manifest.sample_rate_hz, manifest.hop_samples, manifest.vocoder_context_frames, is_even)
        self._admission = Admission(settings.admission, lanes, _capacity_rules(settings, self._format))
        self._limits = limits = batch_limits(settings)
        self._counters = Counters(observers, self._admission, limits)
        self._backend: Backend = opened_backend(
            bundle, backend, lane_threads, Planner(bundle), settings, self._backend_changed
        )
        runners = self._backend.runners
        encoder = runners.get(PROMPT_ENCODER)
        self.own_voices = AsyncUserVoices(UserVoices(bundle, voices_path, threads))
        prompts = None if encoder is None else PromptVectors(bundle, encoder)
        self._planner = Planner(bundle, prompts, self.own_voices.voices)
        stages: dict[str, Stage] = {
            ACOUSTIC: AcousticBatches(bundle, runners, limits[ACOUSTIC]),
            VOCODER: VocoderBatches(runners, self._format.hop_samples, self._format.context_frames),
        }
        side_by_side = 1 if settings.isolation == WORKER else lanes
        self._loop = Loop(
            stages,
            limits,
            settings.rules,
            lanes,
            side_by_side,
            on_batch=self._counters.batch_done,
            jobs_at_once=settings.requests_at_once,
        )
        self._limit = self._loop.limit
        self._readers = ThreadPoolExecutor(settings.frontend_threads, thread_name_prefix="emotirt-frontend")
        self._names = itertools.count(1)
        self._is_closed = False
        logger.info(
            "engine open: bundle %s, backend %s, %s, %d threads, %d lanes",
            manifest.name, backend, settings.isolation, threads, lanes,
        )  # fmt: skip

    @classmethod
    async def open(
        cls,
        bundle_path: Path | str | None = None,
        backend: str = AUTO,
        threads: int | None = None,
        settings: EngineSettings = _DEFAULT_SETTINGS,
        observers: Sequence[Observer] = (),
        voices_path: Path | str | None = None,
    ) -> AsyncEngine:
        """Open an engine, and speak a little so that the first request is as fast as the others.

        Args:
            bundle_path: directory of a bundle, None for the one inside the package.
            backend: a name of ``runtime.open.backends()`` or ``auto``.
            threads: CPU threads of all lanes together, None for one a core.
            settings: how to schedule.
            observers: receive records of requests, batches and the backend.
            voices_path: directory of the user's voices, None for the user's own.

        Raises:
            BundleError: the bundle is missing, broken or tampered with.
            BackendError: the backend is unknown, missing or failing.
            InvalidRequest: a setting is not accepted.
        """

        def opened() -> AsyncEngine:
            return cls(*opened_parts(bundle_path, backend, threads), settings, observers, voices_path)

        engine = await asyncio.to_thread(opened)
        if settings.warm_up:
            try:
                await engine._warm_up()
            except BaseException:  # also a cancelled caller leaves no worker and no thread behind
                await engine.close()
                raise
        return engine

    @property
    def sample_rate_hz(self) -> int:
        """Samples per second of the audio."""
        return self._format.sample_rate_hz

    @property
    def voices(self) -> tuple[VoiceEntry, ...]:
        """Voices offered by name: the bundle's, then the user's."""
        catalog = self._planner.catalog
        return (*catalog.voices, *(voice.entry for voice in catalog.custom_voices))

    def has_voice(self, name: str) -> bool:
        """Return whether a voice of this name is offered, without reading all of them."""
        return self._planner.catalog.has(name)

    @property
    def custom_voices(self) -> tuple[StoredVoice, ...]:
        """The user's voices that this engine speaks with."""
        return self._planner.catalog.custom_voices

    @property
    def emotions(self) -> tuple[EmotionEntry, ...]:
        """Emotions offered by name."""
        return self._planner.catalog.emotions

    def check_voice(self, name: str) -> None:
        """Look up a voice or a mixture, and raise what a request with it would raise."""
        self._planner.catalog.voice(name)

    async def submit(self, request: SpeechRequest, options: SpeechOptions = _DEFAULT_OPTIONS) -> AsyncSpeechStream:
        """Take on a request.

        Raises:
            InvalidRequest: it cannot be spoken as asked.
            Overloaded: there is too much to do; says when to come again.
            EngineClosed: the engine is closed or closing.
        """
        started_s = time.perf_counter()
        self._check_open()
        check_options(options)
        ticket = self._counters.entered(options.priority, self._deadline_s(options) == math.inf)
        try:
            if request.has_recordings:
                request = await self.own_voices.call(self._planner.encoded, request)
                self._check_open()
            plan = await asyncio.get_running_loop().run_in_executor(
                self._readers, self._planner.plan_or_cut, request, options.strict
            )
            self._check_open()
            self._counters.charged(ticket, sum(item.token_count for item in plan.utterances))
        except BaseException:  # also a cancelled caller leaves no trace
            ticket.release()
            raise
        return self._begun(plan, options, ticket, started_s)

    async def say(self, request: SpeechRequest, options: SpeechOptions = _DEFAULT_OPTIONS) -> SpeechResult:
        """Speak a request as a whole; raises what ``submit`` and reading its stream raise."""
        async with await self.submit(request, options) as stream:
            chunks = [chunk async for chunk in stream]
        audio = Audio(np.concatenate([chunk.samples for chunk in chunks]), self.sample_rate_hz)
        spoken = tuple(chunk.spoken for chunk in chunks if chunk.spoken is not None)
        return SpeechResult(audio, stream.timings, stream.warnings, stream.voice, spoken)

    async def clone(self, new: NewVoice, recordings: Sources) -> ClonedVoice:
        """Make a voice from recordings of one person and keep it; see ``UserVoices.clone``, and Overloaded."""
        self._check_open()
        return await self.own_voices.call(self.own_voices.voices.clone, new, recordings)

    async def blend(self, new: NewVoice, mixture: str) -> StoredVoice:
        """Keep a mixture of voices under a name; see ``UserVoices.blend``, and Overloaded."""
        self._check_open()
        return await self.own_voices.call(self.own_voices.voices.blend, new, mixture)

    async def remove_voice(self, name: str) -> None:
        """Forget a voice of the user; see ``UserVoices.remove``, and Overloaded."""
        self._check_open()
        await self.own_voices.call(self.own_voices.voices.remove, name)

    def stats(self) -> EngineStats:
        """Return counters and gauges of this moment."""
        return self._counters.snapshot(self._loop.waiting(ACOUSTIC), self._loop.waiting(VOCODER))

    def health(self) -> Health:
        """Return whether it takes requests, and what speaks them."""
        health = self._backend.health()
        if self._is_closed:
            return Health(HealthState.CLOSED, health.backend, "closed")
        return health

    async def close(self, drain_s: float = 0.0) -> None:
        """Refuse new requests, let running ones end within ``drain_s``, fail the rest, release everything."""
        if self._is_closed:
            return
        self._is_closed = True
        await asyncio.to_thread(self._release, drain_s)

    async def __aenter__(self) -> AsyncEngine:
        """Return the engine itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the engine."""
        await self.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise EngineClosed("the engine is closed; open another one")

    def _begun(self, plan: SpeechPlan, options: SpeechOptions, ticket: Ticket, started_s: float) -> AsyncSpeechStream:
        settings = self.settings
        is_bulk = options.priority is Priority.BULK
        pace = Pace(options.priority, settings.bulk_lookahead if is_bulk else 1, settings.ahead_s)
        mailbox = Mailbox()
        talk = Talk(plan, self._format, pace, mailbox, ticket, self._counters.request_ended, time.perf_counter)
        deadline_s = self._deadline_s(options)
        name = options.request_id or f"speech-{next(self._names)}"
        job = Job(name, talk, started_s, started_s + deadline_s)
        self._counters.accepted(plan)
        try:
            self._loop.submit(job)
        except EngineClosed:
            ticket.release()
            self._counters.withdrawn(plan)
            raise
        mailbox.expect_first_by(job.deadline_s - time.perf_counter(), lambda: self._loop.expire(job))
        return AsyncSpeechStream(name, job, talk, mailbox, self._loop)

    def _deadline_s(self, options: SpeechOptions) -> float:
        return self.settings.deadline_s(options.priority) if options.deadline_s is None else options.deadline_s

    def _backend_changed(self, event: str, detail: str) -> None:
        self._counters.backend_changed(event, detail)
        if event in ("lost", "start_failed"):
            self._limit(STAND_IN_LIMITS)
        elif event == "started":
            self._limit(self._limits)

    async def _warm_up(self) -> None:
        plans = [await asyncio.to_thread(self._planner.plan, SpeechRequest(text)) for text in _WARM_UP_TEXTS]
        runners = self._backend.runners
        acoustic = AcousticBatches(self.bundle, runners, self._limits[ACOUSTIC])
        vocoder = VocoderBatches(runners, self._format.hop_samples, self._format.context_frames)
        for plan in plans:
            made = await asyncio.to_thread(acoustic.run, [(plan.utterances[0], plan.condition)])
            for item in made:
                if not isinstance(item, Exception):
                    await asyncio.to_thread(vocoder.run, [item.mel])

    def _release(self, drain_s: float) -> None:
        self._loop.close(drain_s)
        self._readers.shutdown(wait=True)
        self.own_voices.close()
        self._backend.close()
        logger.info("engine closed")


def _capacity_rules(settings: EngineSettings, format_: Format) -> CapacityRules:
    hop_s = format_.hop_samples / format_.sample_rate_hz
    return CapacityRules(
        first_s=FIRST_BLOCK_FRAMES * hop_s, chunk_s=BLOCK_FRAMES * hop_s, bulk_part=1.0 / settings.rules.share
    )
