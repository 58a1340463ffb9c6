"""The official client, unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
from tests.server.conftest import Running

from emotirt.audio.read import read_audio


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
