"""Both engines speak with voices that users made, with mixtures, and with recordings."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.assets.recordings import clip, not_speech, wav
from tests.unit.engine.conftest import assert_equals_oracle

from emotirt.engine import Engine, SpeechRequest
from emotirt.engine.live import AsyncEngine
from emotirt.engine.settings import EngineSettings
from emotirt.engine.stream import AsyncSpeechStream
from emotirt.engine.voices import MOST_WAITING, NewVoice
from emotirt.errors import (
    EngineClosed,
    InvalidAudio,
    InvalidRequest,
    Overloaded,
    UnknownVoice,
    VoiceExists,
    VoiceUnusable,
)
from emotirt.types import Chunk

ANNA = NewVoice("Anna", "Anna said yes", "en", "calm")
TEXT = "Hello there, how are you?"


async def heard(stream: AsyncSpeechStream) -> list[Chunk]:
    return [chunk async for chunk in stream]


@pytest.fixture
def voices_path(tmp_path: Path) -> Path:
    return tmp_path / "voices"


@pytest.fixture
def speaking(tiny_bundle: Path, voices_path: Path) -> Iterator[Engine]:
    with Engine.open(tiny_bundle, threads=1, voices_path=voices_path) as opened:
        yield opened


def test_a_cloned_voice_speaks_is_listed_and_survives(speaking: Engine, tiny_bundle: Path, voices_path: Path) -> None:
    made = speaking.clone(ANNA, [clip("linda"), clip("kathleen")])
    assert [report.refusal for report in made.reports] == ["", ""]
    assert [len(digest) for digest, _ in made.voice.recordings] == [64, 64]
    assert [voice.name for voice in speaking.voices] == ["ada", "bo", "chen", "Anna"]
    said = speaking.say(SpeechRequest(TEXT, voice="anna"))
    assert said.voice == "Anna"
    with Engine.open(tiny_bundle, threads=1, voices_path=voices_path) as again:
        np.testing.assert_array_equal(again.say(SpeechRequest(TEXT, voice="Anna")).audio.samples, said.audio.samples)
        again.remove_voice("Anna")
    with pytest.raises(UnknownVoice, match="no voice 'Anna'; nearest: ada"):
        speaking.say(SpeechRequest(TEXT, voice="Anna"))


def test_a_reference_speaks_as_its_clone_does(speaking: Engine) -> None:
    speaking.clone(ANNA, clip("linda"))
    by_name = speaking.say(SpeechRequest(TEXT, voice="Anna"))
    by_reference = speaking.say(SpeechRequest(TEXT, reference=clip("linda")))
    assert (by_name.voice, by_reference.voice) == ("Anna", "reference")
    np.testing.assert_array_equal(by_name.audio.samples, by_reference.audio.samples)
    other = speaking.say(SpeechRequest(TEXT, reference=(clip("kathleen"),)))
    assert not np.array_equal(other.audio.samples, by_name.audio.samples)
    assert list(speaking.own_voices.store.path.iterdir()) != []


def test_an_emotion_by_example_is_apart_from_the_speaker(speaking: Engine) -> None:
    plan = speaking._planner.plan
    plain = plan(SpeechRequest(TEXT, voice="bo")).condition
    moved = plan(SpeechRequest(TEXT, voice="bo", emotion_reference=clip("sad"))).condition
    np.testing.assert_array_equal(plain.speaker, moved.speaker)
    assert float(plain.emotion @ moved.emotion) < 0.99
    nothing = plan(SpeechRequest(TEXT, voice="bo", emotion_reference=clip("sad"), intensity=0.0)).condition
    np.testing.assert_allclose(nothing.emotion, plain.emotion, atol=1e-6)
    assert nothing.prosody == plain.prosody
    both = plan(SpeechRequest(TEXT, reference=clip("linda"), emotion_reference=clip("sad"))).condition
    np.testing.assert_array_equal(both.emotion, moved.emotion)
    assert not np.array_equal(both.speaker, moved.speaker)


def test_mixtures_speak_and_can_be_kept(speaking: Engine) -> None:
    speaking.clone(ANNA, clip("linda"))
    said = speaking.say(SpeechRequest(TEXT, voice="anna:0.3+chen:0.7"))
    assert said.voice == "chen:0.7+anna:0.3"
    kept = speaking.blend(NewVoice("Half", "both agreed"), "anna:0.3+chen:0.7")
    assert (kept.language, kept.emotion, kept.description) == ("zh", None, "a blend of chen, anna")
    speaking.remove_voice("Anna")
    again = speaking.say(SpeechRequest(TEXT, voice="half"))
    np.testing.assert_array_equal(again.audio.samples, said.audio.samples)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"consent": " "}, InvalidRequest, "consent is missing"),
        ({"name": "ADA"}, VoiceExists, "bundle 'tiny' has a voice 'ADA'; choose another name"),
        ({"name": "a+b"}, InvalidRequest, "cannot name a voice"),
        ({"language": "English"}, InvalidRequest, "language 'English' is not a code such as en"),
        ({"description": "x" * 501}, InvalidRequest, "the description is longer than 500"),
        ({"description": "calm\x1b[2J"}, InvalidRequest, "holds line breaks or control characters"),
        ({"consent": "yes\nno"}, InvalidRequest, "holds line breaks or control characters"),
    ],
)
def test_what_is_said_of_a_voice_is_checked(
    speaking: Engine, voices_path: Path, change: dict[str, str], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        speaking.clone(replace(ANNA, **change), clip("linda"))
    assert not voices_path.exists()


def test_a_voice_is_not_replaced_by_chance(speaking: Engine) -> None:
    speaking.clone(ANNA, clip("linda"))
    with pytest.raises(VoiceExists, match="'Anna' exists"):
        speaking.clone(ANNA, clip("kathleen"))
    speaking.clone(replace(ANNA, replace=True), clip("kathleen"))
    with pytest.raises(InvalidRequest, match="voice 'ada' belongs to bundle 'tiny' and stays"):
        speaking.remove_voice("ada")


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        (SpeechRequest(TEXT, voice="bo", reference=b"x"), InvalidAudio, "cannot be decoded"),
        (SpeechRequest(TEXT, voice="bo", reference=clip("linda")), InvalidRequest, "the voice 'bo' exclude each other"),
        (SpeechRequest(TEXT, emotion="sad", emotion_reference=clip("sad")), InvalidRequest, "exclude each other"),
        (SpeechRequest(TEXT, emotion_reference=wav(not_speech("tune"))), InvalidAudio, "not sound like one person"),
        (SpeechRequest(TEXT, voice="ada:0"), InvalidRequest, "has the weight '0'"),
    ],
)
def test_senseless_requests_are_refused(
    speaking: Engine, request_: SpeechRequest, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        speaking.stream(request_)


def test_the_asynchronous_engine_gives_the_same(speaking: Engine, tiny_bundle: Path, voices_path: Path) -> None:
    requests = (
        SpeechRequest(TEXT, voice="Anna"),
        SpeechRequest(TEXT, voice="Anna+chen:2"),
        SpeechRequest(TEXT, reference=clip("kathleen")),
        SpeechRequest(TEXT, voice="bo", emotion_reference=clip("angry"), intensity=0.7),
    )

    async def run() -> list[object]:
        settings = EngineSettings(live_deadline_s=60.0, warm_up=False)
        async with await AsyncEngine.open(tiny_bundle, threads=1, settings=settings, voices_path=voices_path) as engine:
            made = await engine.clone(ANNA, clip("linda"))
            assert engine.custom_voices[0].name == made.voice.name == "Anna"
            assert (await engine.blend(NewVoice("Half", "both agreed"), "Anna+bo")).name == "Half"
            for wrong in (SpeechRequest(TEXT, reference=b"x"), SpeechRequest(TEXT, voice="bo", reference=clip("sad"))):
                with pytest.raises(InvalidRequest):
                    await engine.submit(wrong)
            streams = [await engine.submit(request) for request in requests]
            chunks = [await heard(stream) for stream in streams]
            await engine.remove_voice("Half")
        with pytest.raises(EngineClosed):
            await engine.clone(replace(ANNA, name="Late"), clip("linda"))
        return list(chunks)

    for request, chunks in zip(requests, asyncio.run(run()), strict=True):
        assert isinstance(chunks, list)
        assert_equals_oracle(chunks, list(speaking.stream(request)))


def test_recordings_wait_in_a_bounded_queue(tiny_bundle: Path, voices_path: Path) -> None:
    async def run() -> list[BaseException | object]:
        settings = EngineSettings(warm_up=False)
        async with await AsyncEngine.open(tiny_bundle, threads=1, settings=settings, voices_path=voices_path) as engine:
            names = [replace(ANNA, name=f"Anna {index}") for index in range(MOST_WAITING + 3)]
            first = await asyncio.gather(*(engine.clone(new, clip("linda")) for new in names), return_exceptions=True)
            await engine.clone(replace(ANNA, name="later"), clip("linda"))
            return list(first)

    ends = asyncio.run(run())
    refused = [end for end in ends if isinstance(end, Overloaded)]
    assert len(refused) == 3
    assert refused[0].retry_after_s > 0
    assert not [end for end in ends if isinstance(end, BaseException) and not isinstance(end, Overloaded)]


def test_recordings_that_wait_when_the_engine_closes_are_told(tiny_bundle: Path, voices_path: Path) -> None:
    """Not cancelled: their callers did not give up, and want an answer."""

    async def run() -> list[BaseException | object]:
        settings = EngineSettings(warm_up=False)
        engine = await AsyncEngine.open(tiny_bundle, threads=1, settings=settings, voices_path=voices_path)
        gate = threading.Event()
        reading = [engine.own_voices.call(gate.wait, 60.0)]
        waiting = [engine.clone(replace(ANNA, name=f"Anna {index}"), clip("linda")) for index in range(3)]
        request = SpeechRequest(TEXT, reference=clip("kathleen"))
        calls = [asyncio.ensure_future(call) for call in (*reading, *waiting, engine.submit(request))]
        await asyncio.sleep(0)  # all have begun
        closing = asyncio.ensure_future(engine.close())
        await asyncio.wait(calls[1:], timeout=60)
        gate.set()
        await closing
        return list(await asyncio.gather(*calls, return_exceptions=True))

    first, *others = asyncio.run(run())
    assert first is True
    assert [type(end) for end in others] == [EngineClosed] * 4
    assert not voices_path.exists()


def test_emotivoice_bundles_say_why_not(emotivoice_engine: Engine, speaking: Engine, tmp_path: Path) -> None:
    for refused in (
        lambda: emotivoice_engine.clone(ANNA, clip("linda")),
        lambda: emotivoice_engine.say(SpeechRequest("你好", reference=clip("linda"))),
        lambda: emotivoice_engine.say(SpeechRequest("你好", emotion_reference=clip("sad"))),
        lambda: emotivoice_engine.blend(NewVoice("x", "yes"), "8051+9000"),
    ):
        with pytest.raises(InvalidRequest, match=r"needs a reference encoder.*EmotiVoice model has none"):
            refused()
    kept = speaking.clone(ANNA, clip("linda")).voice
    with pytest.raises(VoiceUnusable, match="clone it again from its recordings"):
        emotivoice_engine.own_voices.take(kept)
    first, second = [voice.name for voice in emotivoice_engine.voices][:2]
    assert emotivoice_engine.say(SpeechRequest("你好", voice=f"{first}:0.5+{second}")).audio.duration_s > 0
