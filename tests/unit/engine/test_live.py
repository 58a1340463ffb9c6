"""The asynchronous engine in one process: what it gives, how requests end, what it says of itself."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import os
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.engine.conftest import TEXTS, Oracle, Recorder, assert_equals_oracle

from emotirt.engine import SpeechRequest
from emotirt.engine.live import AsyncEngine
from emotirt.engine.observe import HealthState, Outcome
from emotirt.engine.planner import cut_text
from emotirt.engine.request import SpeechOptions
from emotirt.engine.settings import EngineSettings
from emotirt.engine.stream import AsyncSpeechStream
from emotirt.errors import (
    BackendUnavailable,
    BundleNotFound,
    DeadlineExceeded,
    EmptyText,
    EngineClosed,
    InvalidRequest,
    Overloaded,
    TextTooLong,
    UnknownVoice,
)
from emotirt.scheduling.admission import AdmissionLimits
from emotirt.types import Chunk, Priority

LONG = SpeechRequest("One. Two. Three. Four. Five. Six. Seven. Eight. Nine. Ten.")
PATIENT = SpeechOptions(deadline_s=math.inf)
BULK = SpeechOptions(priority=Priority.BULK)
WAIT_S = 60.0


async def heard(stream: AsyncSpeechStream) -> list[Chunk]:
    return [chunk async for chunk in stream]


async def spoken(engine: AsyncEngine, request: SpeechRequest, options: SpeechOptions = PATIENT) -> list[Chunk]:
    return await heard(await engine.submit(request, options))


async def ended(engine: AsyncEngine) -> None:
    """Wait until nothing runs."""
    assert await asyncio.to_thread(engine._loop.wait_idle, WAIT_S)


@pytest.mark.parametrize("options", [PATIENT, BULK], ids=["live", "bulk"])
@pytest.mark.parametrize("request_", TEXTS, ids=range(len(TEXTS)))
def test_alone_it_gives_the_bytes_of_the_oracle(
    live: AsyncEngine, oracle: Oracle, request_: SpeechRequest, options: SpeechOptions
) -> None:
    """A bulk request sends its utterances and windows in batches; only a live one with one utterance is all alone."""
    chunks = asyncio.run(spoken(live, request_, options))
    is_alone = options is PATIENT and len({chunk.utterance_index for chunk in chunks}) == 1 and len(chunks) <= 2
    assert_equals_oracle(chunks, oracle(request_), exactly=is_alone)


def test_every_shape_alone_gives_the_same_bytes(tiny_bundle: Path, oracle: Oracle) -> None:
    """With batches of one, everything is computed in the oracle's shapes."""
    from emotirt.scheduling.policy import StageLimits

    async def run() -> None:
        one = EngineSettings(acoustic=StageLimits(1, 1), vocoder=StageLimits(1, 1))
        async with await AsyncEngine.open(tiny_bundle, threads=1, settings=one) as engine:
            for chunks, request in zip(
                await asyncio.gather(*(spoken(engine, request) for request in TEXTS * 2)), TEXTS * 2, strict=True
            ):
                assert_equals_oracle(chunks, oracle(request), exactly=True)

    asyncio.run(run())


@pytest.mark.parametrize("lanes", [1, 3])
def test_many_at_once_equal_the_oracle(tiny_bundle: Path, oracle: Oracle, lanes: int) -> None:
    async def run() -> None:
        recorder = Recorder()
        settings = EngineSettings(lanes=lanes)
        async with await AsyncEngine.open(tiny_bundle, threads=1, settings=settings, observers=[recorder]) as engine:
            requests = TEXTS * 5
            options = [BULK if index % 3 == 0 else PATIENT for index in range(len(requests))]
            found = await asyncio.gather(*map(spoken, [engine] * len(requests), requests, options))
            for chunks, request in zip(found, requests, strict=True):
                assert_equals_oracle(chunks, oracle(request))
            stats = engine.stats()
            assert (stats.accepted, stats.results, stats.running) == (len(requests), len(requests), 0)
            assert stats.chunks == sum(map(len, found)) == sum(record.chunk_count for record in recorder.requests)
            assert stats.audio_s == pytest.approx(
                sum(len(chunk.samples) / chunk.sample_rate_hz for chunks in found for chunk in chunks)
            )
            assert stats.tokens_per_s > 0
            assert max(batch.items for batch in recorder.batches) > 1
            assert all(batch.cost <= batch.padded_cost for batch in recorder.batches)

    asyncio.run(run())


def test_say_collects_the_stream(live: AsyncEngine, oracle: Oracle) -> None:
    result = asyncio.run(live.say(TEXTS[0], PATIENT))
    expected = oracle(TEXTS[0])
    assert np.abs(result.audio.samples - np.concatenate([chunk.samples for chunk in expected])).max() <= 1e-4
    assert result.voice == "ada"
    assert len(result.spoken) == 2
    assert result.timings.audio_s == pytest.approx(result.audio.duration_s)


def test_timings_explain_each_chunk(live: AsyncEngine, recorder: Recorder) -> None:
    async def run() -> None:
        stream = await live.submit(TEXTS[0], replace(PATIENT, request_id="explained"))
        chunks = await heard(stream)
        first, *later = [chunk.timings for chunk in chunks]
        assert first is not None
        assert min(first.frontend_s, first.acoustic_s, first.vocoder_s) > 0
        known_s = first.queue_s + first.frontend_s + first.acoustic_s + first.vocoder_s
        assert 0 < known_s <= first.since_request_s
        assert all(item is not None and item.frontend_s == 0 for item in later)
        for chunk in chunks:
            assert chunk.timings is not None
            assert (chunk.timings.acoustic_s > 0) == (chunk.spoken is not None)
        times = [chunk.timings.since_request_s for chunk in chunks if chunk.timings is not None]
        assert times == sorted(times)
        total = stream.timings
        assert (total.first_audio_s, total.total_s) == (times[0], times[-1])
        (record,) = recorder.of("explained")
        assert (record.outcome, record.timings, record.error) == (Outcome.RESULT, total, "")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("request_", "options", "error", "words"),
    [
        (SpeechRequest("!!!"), PATIENT, EmptyText, ["nothing"]),
        (SpeechRequest("a" * 100_000), SpeechOptions(strict=True), TextTooLong, ["100000"]),
        (SpeechRequest("Hi", voice="adaa"), PATIENT, UnknownVoice, ["nearest: ada"]),
        (SpeechRequest(None), PATIENT, InvalidRequest, ["NoneType"]),  # type: ignore[arg-type]  # wrong on purpose
        (TEXTS[0], SpeechOptions(deadline_s=0.0), InvalidRequest, ["deadline 0.0", "more than 0"]),
        (TEXTS[0], SpeechOptions(deadline_s=math.nan), InvalidRequest, ["deadline nan"]),
        (TEXTS[0], SpeechOptions(deadline_s="soon"), InvalidRequest, ["'soon'"]),  # type: ignore[arg-type]  # wrong
        (TEXTS[0], SpeechOptions(priority="urgent"), InvalidRequest, ["'urgent'", "'live'"]),  # type: ignore[arg-type]
        (TEXTS[0], SpeechOptions(request_id=""), InvalidRequest, ["request id ''"]),
        (TEXTS[0], SpeechOptions(request_id="x" * 200), InvalidRequest, ["128"]),
    ],
)
def test_bad_requests_are_refused_by_submit(
    live: AsyncEngine, request_: SpeechRequest, options: SpeechOptions, error: type[Exception], words: list[str]
) -> None:
    before = live.stats()
    with pytest.raises(error) as caught:
        asyncio.run(live.submit(request_, options))
    assert [word for word in words if word not in str(caught.value)] == []
    assert live.stats() == replace(before, tokens_per_s=live.stats().tokens_per_s)


def test_a_text_past_the_limit_is_cut_with_a_warning(live: AsyncEngine) -> None:
    async def run() -> None:
        before = live.stats().truncated
        async with await live.submit(SpeechRequest("Go on. " * 5000), PATIENT) as stream:
            assert "35000 characters" in stream.warnings[0]
            assert stream.utterances[-1].text.strip() == "Go on."
            await anext(stream)
        assert live.stats().truncated == before + 1

    asyncio.run(run())


@given(text=st.text("ab .!?[]1:pause。，", max_size=80), most=st.integers(1, 60))
def test_cutting_keeps_the_beginning_within_the_limit(text: str, most: int) -> None:
    kept = cut_text(text, most)
    assert text.startswith(kept)
    assert len(kept) <= most
    assert kept.rfind("[") <= kept.rfind("]")


def test_cutting_keeps_whole_sentences_or_words() -> None:
    assert cut_text("One two. Three four. Five six.", 25) == "One two. Three four. "
    assert cut_text("One two three four", 10) == "One two"
    assert cut_text("Wait [pause:0.5] now", 12) == "Wait "
    assert cut_text("一二三四五六", 3) == "一二三"


def test_a_missed_deadline_is_an_error_that_is_counted(live: AsyncEngine, recorder: Recorder) -> None:
    async def run() -> None:
        before = live.stats()
        stream = await live.submit(TEXTS[0], SpeechOptions(deadline_s=1e-6, request_id="late"))
        with pytest.raises(DeadlineExceeded, match="no audio within 0 ms"):
            await anext(stream)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        after = live.stats()
        assert after.deadlines_missed == before.deadlines_missed + 1
        assert after.errors == before.errors + 1
        (record,) = recorder.of("late")
        assert (record.outcome, record.error, record.chunk_count) == (Outcome.ERROR, "DeadlineExceeded", 0)

    asyncio.run(run())


def test_bulk_requests_have_no_deadline_of_their_own() -> None:
    settings = EngineSettings()
    assert settings.deadline_s(Priority.LIVE) == 0.5
    assert settings.deadline_s(Priority.BULK) == math.inf


def test_a_consumer_that_does_not_read_holds_up_only_itself(tiny_bundle: Path, oracle: Oracle) -> None:
    async def run() -> None:
        settings = EngineSettings(ahead_s=0.5)
        async with await AsyncEngine.open(tiny_bundle, threads=1, settings=settings) as engine:
            slow = await engine.submit(LONG, PATIENT)
            assert_equals_oracle(await spoken(engine, TEXTS[1]), oracle(TEXTS[1]))
            ends_s = time.monotonic() + WAIT_S

            def is_busy() -> bool:
                stats = engine.stats()
                return stats.waiting_acoustic + stats.waiting_vocoder > 0 and time.monotonic() < ends_s

            for _ in iter(is_busy, False):
                await asyncio.sleep(0.01)
            stats = engine.stats()
            assert (stats.running, stats.waiting_acoustic, stats.waiting_vocoder) == (1, 0, 0)
            assert slow.timings.audio_s < 5.0
            assert_equals_oracle(await heard(slow), oracle(LONG))

    asyncio.run(run())


def test_a_full_engine_says_when_to_come_again(tiny_bundle: Path) -> None:
    async def run() -> None:
        settings = EngineSettings(ahead_s=0.1, admission=AdmissionLimits(requests=3, tokens=140))
        async with await AsyncEngine.open(tiny_bundle, threads=1, settings=settings) as engine:
            held = [await engine.submit(LONG, PATIENT), await engine.submit(LONG, PATIENT)]
            with pytest.raises(Overloaded, match="tokens are waiting") as caught:
                await engine.submit(LONG, PATIENT)
            assert caught.value.retry_after_s > 0
            held.append(await engine.submit(TEXTS[3], PATIENT))
            with pytest.raises(Overloaded, match="3 requests") as caught:
                await engine.submit(TEXTS[3], PATIENT)
            assert caught.value.retry_after_s > 0
            assert engine.stats().refused == 2
            for stream in held:
                await heard(stream)
            await spoken(engine, LONG)
            assert (engine.stats().backlog_tokens, engine.stats().accepted) == (0, 4)

    asyncio.run(run())


def test_one_request_at_once_shares_no_batch(tiny_bundle: Path, oracle: Oracle) -> None:
    async def check() -> list[list[Chunk]]:
        settings = EngineSettings(requests_at_once=1, warm_up=False)
        async with await AsyncEngine.open(tiny_bundle, threads=2, settings=settings, observers=[own]) as engine:
            return await asyncio.gather(*(spoken(engine, request) for request in TEXTS))

    own = Recorder()
    for request, chunks in zip(TEXTS, asyncio.run(check()), strict=True):
        assert_equals_oracle(chunks, oracle(request))
    assert {record.items for record in own.batches if record.stage == "acoustic"} == {1}


def test_giving_up_frees_everything(tiny_bundle: Path, oracle: Oracle) -> None:
    async def run() -> None:
        recorder = Recorder()
        settings = EngineSettings(ahead_s=0.1, admission=AdmissionLimits(requests=4))
        async with await AsyncEngine.open(tiny_bundle, threads=1, settings=settings, observers=[recorder]) as engine:
            closed = await engine.submit(LONG, replace(PATIENT, request_id="closed"))
            await anext(closed)
            await closed.aclose()
            await closed.aclose()
            with pytest.raises(StopAsyncIteration):
                await anext(closed)
            async with await engine.submit(LONG, replace(PATIENT, request_id="left")) as left:
                await anext(left)
            waiting = await engine.submit(LONG, replace(PATIENT, request_id="cancelled"))
            reader = asyncio.create_task(heard(waiting))
            await asyncio.sleep(0)
            reader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reader
            await engine.submit(LONG, replace(PATIENT, request_id="dropped"))
            gc.collect()
            await ended(engine)
            assert [record.outcome for record in recorder.requests] == [Outcome.CANCELLED] * 4
            assert sorted(record.request_id for record in recorder.requests) == [
                "cancelled", "closed", "dropped", "left",
            ]  # fmt: skip
            stats = engine.stats()
            assert (stats.cancelled, stats.backlog_tokens, stats.waiting_acoustic, stats.waiting_vocoder) == (
                4,
                0,
                0,
                0,
            )
            assert_equals_oracle(await spoken(engine, TEXTS[0]), oracle(TEXTS[0]))

    asyncio.run(run())


fates = st.sampled_from(["read", "bulk", "close", "close later", "cancel", "drop", "late"])
plans = st.lists(st.tuples(st.integers(0, len(TEXTS) - 1), fates, st.integers(0, 3)), min_size=1, max_size=10)
numbers = iter(range(10**9))


async def met(engine: AsyncEngine, request: SpeechRequest, fate: str, count: int, name: str) -> list[Chunk] | None:
    """Submit a request and do with it what its fate says; gives the chunks if they were all read."""
    deadline_s = 1e-6 if fate == "late" else math.inf
    priority = Priority.BULK if fate == "bulk" else Priority.LIVE
    stream = await engine.submit(request, SpeechOptions(priority, deadline_s, name))
    if fate in ("read", "bulk"):
        return await heard(stream)
    if fate == "late":
        with pytest.raises(DeadlineExceeded):
            await heard(stream)
    elif fate == "cancel":
        reader = asyncio.create_task(heard(stream))
        for _ in range(count):
            await asyncio.sleep(0)
        reader.cancel()
        await asyncio.wait([reader])
    elif fate != "drop":
        if fate == "close later":
            await anext(stream)
        await stream.aclose()
    return None


@settings(max_examples=25)
@given(plan=plans)
def test_as_many_ends_as_requests_whatever_their_callers_do(
    live: AsyncEngine, recorder: Recorder, oracle: Oracle, plan: list[tuple[int, str, int]]
) -> None:
    async def run() -> None:
        before = live.stats()
        names = [f"random-{next(numbers)}" for _ in plan]
        found = await asyncio.gather(
            *(met(live, TEXTS[text], fate, count, name) for (text, fate, count), name in zip(plan, names, strict=True))
        )
        gc.collect()
        await ended(live)
        for chunks, (text, _, _) in zip(found, plan, strict=True):
            if chunks is not None:
                assert_equals_oracle(chunks, oracle(TEXTS[text]))
        counted = Counter(record.request_id for record in recorder.requests)
        assert [counted[name] for name in names] == [1] * len(names)
        after = live.stats()
        assert after.accepted - before.accepted == len(plan)
        assert after.running == after.backlog_tokens == after.waiting_acoustic == after.waiting_vocoder == 0
        assert after.accepted == after.results + after.errors + after.cancelled

    asyncio.run(run())


async def closed(engine: AsyncEngine, drain_s: float, *streams: AsyncSpeechStream) -> list[object]:
    """Close an engine while streams are being read; gives what their readers got."""
    readers = [asyncio.create_task(heard(stream)) for stream in streams]
    closing = asyncio.create_task(engine.close(drain_s))
    await asyncio.sleep(0)
    assert engine.health().state is HealthState.CLOSED
    with pytest.raises(EngineClosed, match="closed"):
        await engine.submit(LONG)
    await closing
    await engine.close()
    assert engine.stats().running == 0
    return await asyncio.gather(*readers, return_exceptions=True)


def test_closing_with_patience_lets_requests_end(tiny_bundle: Path, oracle: Oracle) -> None:
    async def run() -> None:
        engine = await AsyncEngine.open(tiny_bundle, threads=1, settings=EngineSettings(ahead_s=0.1))
        for chunks in await closed(engine, WAIT_S, *[await engine.submit(LONG, PATIENT) for _ in range(3)]):
            assert isinstance(chunks, list)
            assert_equals_oracle(chunks, oracle(LONG))

    asyncio.run(run())


def test_closing_at_once_fails_what_is_left(tiny_bundle: Path) -> None:
    async def run() -> None:
        engine = await AsyncEngine.open(tiny_bundle, threads=1, settings=EngineSettings(ahead_s=0.1))
        unread = await engine.submit(LONG, PATIENT)
        await closed(engine, 0.0)
        with pytest.raises(EngineClosed, match="before this request was finished"):
            await heard(unread)
        with pytest.raises(StopAsyncIteration):
            await anext(unread)

    asyncio.run(run())


def test_an_observer_that_fails_harms_nobody(
    tiny_bundle: Path, oracle: Oracle, caplog: pytest.LogCaptureFixture
) -> None:
    class Clumsy(Recorder):
        def batch_done(self, record: object) -> None:
            raise ValueError("oops")

    async def run() -> None:
        good = Recorder()
        async with await AsyncEngine.open(tiny_bundle, threads=1, observers=[Clumsy(), good]) as engine:
            assert_equals_oracle(await spoken(engine, TEXTS[0]), oracle(TEXTS[0]))
        assert good.batches

    with caplog.at_level(logging.CRITICAL, logger="emotirt.engine.counters"):
        asyncio.run(run())


def test_what_an_engine_offers(live: AsyncEngine) -> None:
    assert [voice.name for voice in live.voices] == ["ada", "bo", "chen"]
    assert [emotion.name for emotion in live.emotions] == ["neutral", "happy", "sad"]
    assert live.sample_rate_hz == 16_000
    health = live.health()
    assert (health.state, health.backend, health.worker_pid) == (HealthState.READY, "onnxruntime", None)
    assert live.settings.isolation == "inline"


def test_what_cannot_be_opened_is_named(tiny_bundle: Path, tmp_path: Path) -> None:
    for error, words, options in (
        (BundleNotFound, "nowhere", {"bundle_path": tmp_path / "nowhere"}),
        (BackendUnavailable, "'abacus'", {"bundle_path": tiny_bundle, "backend": "abacus"}),
        (InvalidRequest, "0 threads", {"bundle_path": tiny_bundle, "threads": 0}),
        (InvalidRequest, "0 requests", {"bundle_path": tiny_bundle, "settings": EngineSettings(requests_at_once=0)}),
        (InvalidRequest, "0 lanes", {"bundle_path": tiny_bundle, "settings": EngineSettings(lanes=0)}),
        (InvalidRequest, "'cell'", {"bundle_path": tiny_bundle, "settings": EngineSettings(isolation="cell")}),
    ):
        with pytest.raises(error, match=words):
            asyncio.run(AsyncEngine.open(**options))  # type: ignore[arg-type]  # varied on purpose


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks for what is left in Linux's /proc")
def test_closing_leaves_nothing_behind(tiny_bundle: Path) -> None:
    async def run() -> None:
        async with await AsyncEngine.open(tiny_bundle, threads=1) as engine:
            await asyncio.gather(*(spoken(engine, request) for request in TEXTS))

    asyncio.run(run())
    before = (threading.active_count(), len(os.listdir("/proc/self/fd")))
    for _ in range(3):
        asyncio.run(run())
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before
