"""One plan spoken whole and as a stream: the same audio, the same order, honest timings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.unit.synthesis.conftest import Speaking

from emotirt.synthesis import acoustic, speech
from emotirt.synthesis.pipeline import Pipeline
from emotirt.synthesis.speech import Progress, SpeechPlan, SpeechStream, Timings, speak_whole
from emotirt.synthesis.vocoder import FIRST_BLOCK_FRAMES
from emotirt.types import Utterance


@pytest.fixture
def plan(utterances: list[Utterance], speaking: Speaking) -> SpeechPlan:
    return SpeechPlan(tuple(utterances), speaking(), "ada", 0.5)


@pytest.mark.parametrize("count", [1, 2, 8])
def test_whole_equals_the_joined_stream(pipeline: Pipeline, plan: SpeechPlan, count: int) -> None:
    part = replace(plan, utterances=plan.utterances[-count:])
    audio, _ = speak_whole(pipeline, part)
    streamed = np.concatenate([chunk.samples for chunk in SpeechStream(pipeline, part)])
    assert streamed.shape == audio.samples.shape
    assert np.abs(streamed - audio.samples).max() <= 1e-4


def test_chunks_come_in_order_and_end_once(pipeline: Pipeline, plan: SpeechPlan) -> None:
    stream = SpeechStream(pipeline, plan)
    chunks = list(stream)
    indices = [chunk.utterance_index for chunk in chunks]
    assert indices == sorted(indices)
    assert set(indices) == set(range(len(plan.utterances))) == set(range(stream.utterance_count))
    assert [chunk.is_last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert all(len(chunk.samples) and chunk.samples.dtype == np.float32 for chunk in chunks)
    assert {chunk.sample_rate_hz for chunk in chunks} == {pipeline.sample_rate_hz}
    assert list(stream) == []


def test_the_first_chunk_is_short(pipeline: Pipeline, plan: SpeechPlan) -> None:
    long = replace(plan, utterances=plan.utterances[5:])
    assert len(next(SpeechStream(pipeline, long)).samples) == FIRST_BLOCK_FRAMES * pipeline.hop_samples


def test_timings_of_a_stream_grow_as_it_is_heard(pipeline: Pipeline, plan: SpeechPlan) -> None:
    stream = SpeechStream(pipeline, plan)
    assert stream.timings == Timings(frontend_s=0.5, total_s=0.5)
    first = next(stream)
    early = stream.timings
    assert early.audio_s == pytest.approx(len(first.samples) / pipeline.sample_rate_hz)
    assert 0.5 < early.first_audio_s == early.total_s
    rest = list(stream)
    late = stream.timings
    assert late.first_audio_s == early.first_audio_s
    assert late.total_s == pytest.approx(0.5 + late.acoustic_s + late.vocoder_s)
    seconds = sum(len(chunk.samples) for chunk in (first, *rest)) / pipeline.sample_rate_hz
    assert late.audio_s == pytest.approx(seconds)
    assert late.rtfx == pytest.approx(seconds / late.total_s)


def test_timings_of_the_whole(pipeline: Pipeline, plan: SpeechPlan) -> None:
    audio, progress = speak_whole(pipeline, plan)
    timings = progress.timings
    assert timings.audio_s == pytest.approx(audio.duration_s)
    assert timings.first_audio_s == timings.total_s
    assert timings.total_s == pytest.approx(0.5 + timings.acoustic_s + timings.vocoder_s)
    assert Timings().rtfx == 0.0


def test_what_was_sped_up_is_told(pipeline: Pipeline, plan: SpeechPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (acoustic, speech):
        monkeypatch.setattr(module, "MAX_FRAMES", 60)
    _, progress = speak_whole(pipeline, plan)
    stream = SpeechStream(pipeline, plan)
    assert stream.warnings == ()
    list(stream)
    assert list(stream.warnings) == progress.warnings
    assert 0 < len(progress.warnings) < len(plan.utterances)
    assert "sped up to 60 frames" in progress.warnings[0]


def test_progress_starts_from_the_front_end() -> None:
    progress = Progress(Timings(frontend_s=1.0, total_s=1.0))
    progress.add(acoustic_s=2.0)
    assert progress.timings.first_audio_s == 0.0
    progress.add(vocoder_s=3.0, audio_s=12.0)
    progress.add(vocoder_s=4.0, audio_s=1.0)
    assert progress.timings == Timings(1.0, 2.0, 7.0, 10.0, 6.0, 13.0)
    assert progress.timings.rtfx == 1.3
