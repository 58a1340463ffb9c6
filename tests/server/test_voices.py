"""Voices over HTTP: cloned, listed, spoken with, deleted, and every bad recording answered as OpenAI would."""

from __future__ import annotations

import asyncio
import base64
import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import openai
import pytest
from tests.assets.recordings import RATE_HZ, clip, not_speech, silence_flac, speech, wav
from tests.server.conftest import Running, running

from emotirt.server.edge import MOST_UPLOADS
from emotirt.server.settings import ServerSettings

VOICES = "/v1/audio/voices"
SPEECH = "/v1/audio/speech"
GIVEN = {"name": "Anna", "consent": "true"}
Files = list[tuple[str, tuple[str, bytes]]]


@pytest.fixture(scope="module")
def voices_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server") / "voices"


@pytest.fixture(scope="module")
def settings(server_settings: ServerSettings, voices_path: Path) -> ServerSettings:
    return server_settings.model_copy(update={"voices": voices_path})


@pytest.fixture(scope="module")
def here(settings: ServerSettings) -> Iterator[httpx.Client]:
    with running(settings) as server, httpx.Client(base_url=server.url, timeout=60, trust_env=False) as opened:
        yield opened


@pytest.fixture(autouse=True)
def emptied(voices_path: Path) -> None:
    for path in voices_path.glob("*"):
        path.unlink()


def sample(data: bytes, field: str = "audio_sample") -> Files:
    return [(field, ("sample.opus", data))]


def clone(client: httpx.Client, files: Files | None = None, **fields: str) -> httpx.Response:
    return client.post(VOICES, data=GIVEN | fields, files=sample(clip("linda")) if files is None else files)


def listed(client: httpx.Client) -> dict[str, bool]:
    return {voice["id"]: voice["custom"] for voice in client.get(VOICES).json()["data"]}


def problem(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["type"] == "invalid_request_error"
    assert "\n" not in body["error"]["message"]
    return answer.status_code, body["error"]["code"], body["error"]["param"]


def test_a_voice_is_cloned_listed_spoken_with_and_deleted(here: httpx.Client) -> None:
    made = clone(here, language="en", description="calm")
    assert made.status_code == 200
    body = made.json()
    assert (body["id"], body["name"], body["object"], body["custom"]) == ("Anna", "Anna", "audio.voice", True)
    assert (body["language"], body["description"], body["warnings"]) == ("en", "calm", [])
    assert body["recordings"][0]["duration_s"] == pytest.approx(len(speech("linda")) / RATE_HZ, abs=0.01)
    assert listed(here) == {"ada": False, "bo": False, "chen": False, "Anna": True}
    for voice in ("Anna", "anna", {"id": "Anna"}, "Anna:0.4+bo:0.6"):
        spoken = here.post(SPEECH, json={"input": "Hello", "voice": voice, "response_format": "wav"})
        assert spoken.status_code == 200
        assert spoken.headers["x-emotirt-voice"] in ("Anna", "bo:0.6+Anna:0.4")
    gone = here.delete(f"{VOICES}/Anna")
    assert gone.json() == {"id": "Anna", "object": "audio.voice.deleted", "deleted": True}
    assert "Anna" not in listed(here)
    assert problem(here.post(SPEECH, json={"input": "Hello", "voice": "Anna"})) == (400, "unknown_voice", "voice")


def test_voices_survive_a_restart(here: httpx.Client, settings: ServerSettings) -> None:
    assert clone(here, name="小明 2").status_code == 200
    with running(settings) as again, httpx.Client(base_url=again.url, timeout=60, trust_env=False) as client:
        assert listed(client)["小明 2"]
        assert client.post(SPEECH, json={"input": "你好", "voice": "小明 2"}).status_code == 200
        assert client.delete(f"{VOICES}/小明 2").status_code == 200
    assert "小明 2" not in listed(here)


def test_several_samples_make_one_voice(here: httpx.Client) -> None:
    made = clone(here, sample(clip("linda")) + sample(clip("kathleen"), "audio_sample[]"))
    assert len(made.json()["recordings"]) == 2


def test_recordings_touch_no_disk(here: httpx.Client, voices_path: Path) -> None:
    assert clone(here, sample(wav(np.resize(speech("linda"), 29 * RATE_HZ), RATE_HZ))).status_code == 200
    (file,) = voices_path.iterdir()
    assert file.stat().st_size < 12_000


@pytest.mark.parametrize(
    ("fields", "files", "expected"),
    [
        ({"consent": ""}, None, (400, "consent_required", "consent")),
        ({"consent": "false"}, None, (400, "consent_required", "consent")),
        ({"name": ""}, None, (400, "invalid_value", "name")),
        ({"name": "../../x"}, None, (400, "invalid_value", None)),
        ({"name": "x" * 65}, None, (400, "invalid_value", "name")),
        ({"name": "ADA"}, None, (409, "voice_exists", "name")),
        ({"language": "English"}, None, (400, "invalid_value", "language")),
        ({"extra": "1"}, None, (400, "unknown_parameter", "extra")),
        ({"name": "y" * 9000}, None, (400, "invalid_form", None)),
        ({}, sample(clip("linda"), "audio"), (400, "unknown_parameter", "audio_sample")),
        ({}, sample(clip("linda")) * 9, (400, "invalid_form", None)),
        ({}, sample(b""), (400, "invalid_audio", None)),
        ({}, sample(b"no audio" * 99), (400, "invalid_audio", None)),
        ({}, sample(clip("linda")[:200]), (400, "invalid_audio", None)),
        ({}, sample(wav(np.zeros(4 * RATE_HZ, np.float32))), (400, "invalid_audio", None)),
        ({}, sample(wav(not_speech("accompanied tune"))), (400, "invalid_audio", None)),
        ({}, sample(wav(speech("linda")[: 2 * RATE_HZ])), (400, "invalid_audio", None)),
        ({}, sample(silence_flac(3600, 8)), (400, "invalid_audio", None)),
        ({}, sample(b"\0" * (11 * 1024**2)), (413, "body_too_large", None)),
    ],
)  # fmt: skip
def test_bad_forms_get_the_right_answer(
    here: httpx.Client, voices_path: Path, fields: dict[str, str], files: Files | None, expected: tuple[object, ...]
) -> None:
    assert problem(clone(here, files, **fields)) == expected
    assert list(voices_path.glob("*")) == []


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{}", "application/json"),
        (b"name=Anna&consent=true", "application/x-www-form-urlencoded"),
        (b"", "multipart/form-data; boundary=x"),
        (b"garbage", "multipart/form-data; boundary=x"),
        (b"garbage", "multipart/form-data"),
        (b"--x\r\nContent-Disposition: form-data; name=", "multipart/form-data; boundary=x"),
        (b'--x\r\nContent-Disposition: form-data; name=n\r\n\r\n\xff\r\n--x--\r\n', "multipart/form-data; boundary=x"),
        (b"--x\r\n\r\nfoo\r\n--x--\r\n", "multipart/form-data; boundary=x; charset=nonsense"),
    ],
)  # fmt: skip
def test_what_is_no_form_gets_the_right_answer(here: httpx.Client, content: bytes, kind: str) -> None:
    answer = here.post(VOICES, content=content, headers={"content-type": kind})
    assert problem(answer)[0] == 400


def test_a_missing_sample_or_name_is_named(here: httpx.Client) -> None:
    empty = {"x": ("", b"")}
    assert problem(here.post(VOICES, data=GIVEN, files=empty))[0] == 400
    form = httpx.Request("POST", here.base_url, files={key: (None, value) for key, value in GIVEN.items()})
    headers = {"content-type": form.headers["content-type"]}
    bare = here.post(VOICES, content=form.read(), headers=headers)
    assert problem(bare) == (400, "missing_required_parameter", "audio_sample")
    nameless = here.post(VOICES, data={"consent": "true"}, files=sample(clip("linda")))
    assert problem(nameless) == (400, "missing_required_parameter", "name")


def test_a_name_is_taken_once(here: httpx.Client) -> None:
    assert clone(here).status_code == 200
    assert problem(clone(here, name="ANNA")) == (409, "voice_exists", "name")


def test_what_cannot_be_deleted(here: httpx.Client) -> None:
    assert problem(here.delete(f"{VOICES}/nobody")) == (404, "voice_not_found", "voice")
    assert problem(here.delete(f"{VOICES}/..%2F..%2Fetc"))[0] == 404
    assert problem(here.delete(f"{VOICES}/ada"))[0] == 400


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_a_request_brings_its_speaker_and_its_emotion(here: httpx.Client) -> None:
    clone(here)
    wanted = here.post(SPEECH, json={"input": "Hello", "voice": "Anna", "response_format": "pcm"}).content
    client = openai.OpenAI(base_url=f"{here.base_url}/v1", api_key="none", max_retries=0)
    for audio in (encoded(clip("linda")), f"data:audio/ogg;base64,{encoded(clip('linda'))}"):
        answer = client.audio.speech.create(
            model="tts-1", input="Hello", voice="alloy", response_format="pcm", extra_body={"reference_audio": audio}
        )
        assert answer.content == wanted
    moved = here.post(
        SPEECH,
        json={
            "input": "Hello",
            "voice": "Anna",
            "response_format": "pcm",
            "emotion_audio": encoded(clip("sad")),
            "instructions": "very happy",
        },
    )
    assert moved.status_code == 200
    assert moved.content != wanted
    client.close()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"reference_audio": "!!!"}, (400, "invalid_audio", None)),
        ({"reference_audio": ""}, (400, "invalid_value", "reference_audio")),
        ({"reference_audio": "data:audio/wav"}, (400, "invalid_audio", None)),
        ({"reference_audio": 5}, (400, "invalid_value", "reference_audio")),
        ({"reference_audio": encoded(b"nothing")}, (400, "invalid_audio", None)),
        ({"emotion_audio": encoded(wav(not_speech("chord")))}, (400, "invalid_audio", None)),
        ({"reference_audio": encoded(clip("linda")), "voice": "bo"}, (400, "invalid_value", None)),
        ({"emotion_audio": encoded(clip("sad")), "emotion": "happy"}, (400, "invalid_value", None)),
        ({"reference_audio": encoded(silence_flac(600, 8))}, (400, "invalid_audio", None)),
        ({"reference_audio": encoded(bytes(600_000))}, (413, "body_too_large", None)),
    ],
)
def test_bad_recordings_in_requests_get_the_right_answer(
    here: httpx.Client, fields: dict[str, object], expected: tuple[object, ...]
) -> None:
    assert problem(here.post(SPEECH, json={"input": "Hello"} | fields)) == expected


def test_nothing_of_a_recording_or_a_name_is_logged(here: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert clone(here, name="Xylophone").status_code == 200
    clone(here, sample(b"xylophone" * 100), name="Xylophone 2")
    here.post(SPEECH, json={"input": "Hello", "reference_audio": encoded(b"xylophone" * 9)})
    here.post(VOICES, content=b"xylophone", headers={"content-type": "multipart/form-data; boundary=x"})
    here.delete(f"{VOICES}/Xylophone")
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    logged = "\n".join(record.getMessage() for record in ours)
    assert {record.name.partition(".")[0] for record in ours} == {"emotirt"}
    assert "xylophone" not in logged.lower()
    assert encoded(b"xylophone")[:12] not in logged


def test_a_socket_takes_a_reference(here: httpx.Client) -> None:
    from websockets.sync.client import connect

    clone(here)

    def said(**style: str) -> bytes:
        with connect(f"ws://{here.base_url.host}:{here.base_url.port}/v1/audio/stream", proxy=None) as socket:
            for message in ({"type": "start", **style}, {"type": "text", "text": "Hello."}, {"type": "end"}):
                socket.send(httpx.Response(200, json=message).text)
            return b"".join(item for item in socket if isinstance(item, bytes))

    assert said(voice="Anna") == said(reference_audio=encoded(clip("linda"))) != b""


def test_uploads_beside_speech_do_not_hold_it_up(settings: ServerSettings) -> None:
    async def run(server: Running) -> list[int]:
        async with httpx.AsyncClient(base_url=server.url, timeout=60, trust_env=False) as client:
            uploads = [
                client.post(VOICES, data=GIVEN | {"name": f"many {index}"}, files={"audio_sample": clip("linda")})
                for index in range(6)
            ]
            talks = [client.post(SPEECH, json={"input": "Hello"}) for _ in range(6)]
            return [answer.status_code for answer in await asyncio.gather(*uploads, *talks)]

    with running(settings) as server:
        assert asyncio.run(run(server)) == [200] * 12


@pytest.mark.parametrize(("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200)])
def test_pages_of_other_sites_make_no_voices(here: httpx.Client, site: str, status: int) -> None:
    answer = here.post(VOICES, data=GIVEN, files=sample(clip("linda")), headers={"sec-fetch-site": site})
    assert answer.status_code == status
    assert listed(here).get("Anna", False) is (status == 200)
    if status == 403:
        assert problem(answer)[1] == "origin_not_allowed"


def test_keys_guard_voices_too(settings: ServerSettings) -> None:
    guarded = settings.model_copy(update={"api_keys": "secret"})
    with running(guarded) as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        assert clone(client).status_code == 401
        assert client.delete(f"{VOICES}/Anna").status_code == 401


def test_only_so_many_uploads_are_held_at_once(settings: ServerSettings) -> None:
    fields = "host: x\r\ncontent-type: multipart/form-data; boundary=x\r\ncontent-length: 99"
    head = f"POST {VOICES} HTTP/1.1\r\n{fields}\r\n\r\n"
    with running(settings) as server, ExitStack() as stack:
        slow = [
            stack.enter_context(socket.create_connection(server.listener.getsockname())) for _ in range(MOST_UPLOADS)
        ]
        for connection in slow:
            connection.sendall(head.encode() + b"--x")
        with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
            for _ in range(1000):
                answer = clone(client, name="one too many")
                if answer.status_code == 429:
                    break
                assert answer.status_code in (200, 409)  # not all of the others have arrived yet
            assert answer.json()["error"]["code"] == "rate_limit_exceeded"
            assert answer.headers["retry-after"] == "1"
            assert client.get(VOICES).status_code == 200
            for connection in slow:
                connection.close()
            for _ in range(1000):
                if clone(client, name="then there is room").status_code in (200, 409):
                    return
        pytest.fail("uploads that were broken off still count")
