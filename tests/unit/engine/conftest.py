"""What the asynchronous engine's tests share: an observer that keeps everything, and what the oracle says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from emotirt.engine import Engine, SpeechRequest
from emotirt.engine.live import AsyncEngine
from emotirt.engine.observe import BackendRecord, BatchRecord, RequestRecord
from emotirt.engine.settings import EngineSettings
from emotirt.scheduling.admission import AdmissionLimits
from emotirt.types import Chunk, Prosody

TEXTS = (
    SpeechRequest("The quick brown fox jumps over the lazy dog. Then it sleeps."),
    SpeechRequest("今天天气很好，我们去公园散步吧。", emotion="高兴"),
    SpeechRequest("我用 Python 写程序。", voice="bo", prosody=Prosody(speed=1.3)),
    SpeechRequest("Hi.", emotion="sad", intensity=1.5),
    SpeechRequest("One. Two. Three. [pause:0.3] Four. Five.", voice="chen"),
    SpeechRequest("One, two, three, four, five, six, seven, eight, nine, ten.", prosody=Prosody(speed=0.5)),
)


class Recorder:
    """An observer that keeps every record."""

    def __init__(self) -> None:
        self.requests: list[RequestRecord] = []
        self.batches: list[BatchRecord] = []
        self.backend: list[BackendRecord] = []

    def request_ended(self, record: RequestRecord) -> None:
        self.requests.append(record)

    def batch_done(self, record: BatchRecord) -> None:
        self.batches.append(record)

    def backend_changed(self, record: BackendRecord) -> None:
        self.backend.append(record)

    def of(self, request_id: str) -> list[RequestRecord]:
        return [record for record in self.requests if record.request_id == request_id]


Oracle = Callable[[SpeechRequest], list[Chunk]]


@pytest.fixture(scope="session")
def oracle(engine: Engine) -> Oracle:
    """Speak without a queue; each request once."""
    known: dict[SpeechRequest, list[Chunk]] = {}

    def spoken(request: SpeechRequest) -> list[Chunk]:
        if request not in known:
            known[request] = list(engine.stream(request))
        return known[request]

    return spoken


@pytest.fixture(scope="session")
def recorder() -> Recorder:
    """Sees everything that ``live`` does."""
    return Recorder()


@pytest.fixture(scope="session")
def live(tiny_bundle: Path, recorder: Recorder) -> Iterator[AsyncEngine]:
    """An asynchronous engine in this process that many tests share."""
    settings = EngineSettings(admission=AdmissionLimits(feeds_listeners=False))  # the machine may be busy
    opened = asyncio.run(AsyncEngine.open(tiny_bundle, threads=1, settings=settings, observers=(recorder,)))
    yield opened
    asyncio.run(opened.close())


def assert_equals_oracle(chunks: list[Chunk], expected: list[Chunk], exactly: bool = False) -> None:
    """Same chunks in the same order with the same durations, and samples as close as promised."""
    assert [chunk.utterance_index for chunk in chunks] == [chunk.utterance_index for chunk in expected]
    assert [chunk.first_sample for chunk in chunks] == [chunk.first_sample for chunk in expected]
    assert [chunk.is_last for chunk in chunks] == [chunk.is_last for chunk in expected]
    for found, wanted in zip(chunks, expected, strict=True):
        assert found.samples.shape == wanted.samples.shape
        assert found.samples.dtype == np.float32
        if exactly:
            np.testing.assert_array_equal(found.samples, wanted.samples)
        assert np.abs(found.samples - wanted.samples).max() <= 1e-4
        assert (found.spoken is None) == (wanted.spoken is None)
        if found.spoken is not None and wanted.spoken is not None:
            np.testing.assert_array_equal(found.spoken.durations_frames, wanted.spoken.durations_frames)
            assert found.spoken.first_sample == wanted.spoken.first_sample
            assert found.spoken.utterance.symbols == wanted.spoken.utterance.symbols
