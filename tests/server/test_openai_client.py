"""The official client, unchanged."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import httpx
import openai
import pytest
from tests.server.conftest import Running, running

from emotirt.audio.read import read_audio
from emotirt.server.settings import ServerSettings


@pytest.fixture(scope="module")
def official(server: Running) -> Iterator[openai.OpenAI]:
    http = httpx.Client(trust_env=False, timeout=60)
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0, http_client=http) as client:
        yield client


def test_create(official: openai.OpenAI, tmp_path: Path) -> None:
    made = official.audio.speech.create(
        model="gpt-4o-mini-tts", voice="nova", input="Hello.", instructions="Cheerful.", response_format="wav"
    )
    path = tmp_path / "hello.wav"
    made.write_to_file(path)
    assert read_audio(path).duration_s > 0.1


def test_streaming(official: openai.OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "hello.mp3"
    with official.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input="Hello. Bye."
    ) as made:
        made.stream_to_file(path)
    assert read_audio(path).duration_s > 0.1


def test_extensions_and_events(official: openai.OpenAI) -> None:
    with official.audio.speech.with_streaming_response.create(
        model="tts-1",
        voice="bo",
        input="Hello.",
        stream_format="sse",
        extra_body={"emotion": "happy", "intensity": 0.5, "timestamps": "word"},
    ) as made:
        lines = [line for line in made.iter_lines() if line]
    assert all(line.startswith("data: {") for line in lines)
    assert "speech.audio.timestamps" in lines[0]
    assert "speech.audio.done" in lines[-1]


def test_models(official: openai.OpenAI) -> None:
    assert "tts-1" in [model.id for model in official.models.list()]
    assert official.models.retrieve("tts-1").owned_by == "emotirt"


def test_errors_are_the_clients_own(official: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        official.audio.speech.create(model="tts-1", voice="nobody", input="Hello.")
    assert caught.value.param == "voice"
    assert caught.value.code == "unknown_voice"
    assert "available: ada, bo, chen" in str(caught.value)
    with pytest.raises(openai.NotFoundError):
        official.audio.speech.create(model="whisper-1", voice="alloy", input="Hello.")


@pytest.mark.parametrize("name", ["mp3", "opus", "aac", "flac", "wav"])
def test_every_format(
    official: openai.OpenAI, tmp_path: Path, name: Literal["mp3", "opus", "aac", "flac", "wav"]
) -> None:
    path = tmp_path / f"hello.{name}"
    made = official.audio.speech.create(model="tts-1-hd", voice="onyx", input="Hello.", response_format=name, speed=1.5)
    path.write_bytes(made.read())
    assert read_audio(path).duration_s > 0.1


def test_pcm_arrives_while_it_is_made(official: openai.OpenAI) -> None:
    with official.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts-2025-12-15", voice="marin", input="One. Two. Three.", response_format="pcm"
    ) as made:
        pieces = list(made.iter_bytes())
        assert made.headers["content-type"] == "audio/pcm"
        assert made.headers["x-request-id"].startswith("req_")
        assert float(made.headers["openai-processing-ms"]) >= 0
    assert len(pieces) >= 3
    assert sum(map(len, pieces)) / 2 / 24_000 > 0.3


def test_a_voice_by_id_and_no_choice_of_format(official: openai.OpenAI) -> None:
    made = official.audio.speech.with_raw_response.create(model="tts-1", voice={"id": "bo"}, input="Hello.")
    assert made.headers["x-emotirt-voice"] == "bo"
    assert made.headers["content-type"] == "audio/mpeg"


def test_asynchronous_client(server: Running) -> None:
    async def speak() -> bytes:
        http = httpx.AsyncClient(trust_env=False, timeout=60)
        async with (
            openai.AsyncOpenAI(
                base_url=f"{server.url}/v1", api_key="unused", max_retries=0, http_client=http
            ) as client,
            client.audio.speech.with_streaming_response.create(
                model="tts-1", voice="ash", input="Hello. Bye.", response_format="wav"
            ) as made,
        ):
            return b"".join([piece async for piece in made.iter_bytes()])

    assert asyncio.run(speak()).startswith(b"RIFF")


def test_a_missed_deadline_is_not_tried_again(server: Running) -> None:
    sent: list[httpx.Request] = []
    http = httpx.Client(trust_env=False, timeout=60, event_hooks={"request": [sent.append]})
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=3, http_client=http) as client:
        with pytest.raises(openai.InternalServerError) as caught:
            client.audio.speech.create(model="tts-1", voice="ash", input="Hello.", extra_body={"deadline_ms": 0.001})
        assert caught.value.status_code == 504
        assert caught.value.code == "deadline_exceeded"
    assert len(sent) == 1


def test_keys(server_settings: ServerSettings) -> None:
    with running(server_settings.model_copy(update={"api_keys": "alpha"})) as guarded:
        http = httpx.Client(trust_env=False, timeout=60)
        with openai.OpenAI(base_url=f"{guarded.url}/v1", api_key="wrong", max_retries=0, http_client=http) as client:
            with pytest.raises(openai.AuthenticationError) as caught:
                client.audio.speech.create(model="tts-1", voice="ash", input="Hello.")
            assert caught.value.code == "invalid_api_key"
            known = client.with_options(api_key="alpha")
            assert known.audio.speech.create(model="tts-1", voice="ash", input="Hello.").read()
