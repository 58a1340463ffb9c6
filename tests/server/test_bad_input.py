"""What clients get wrong: the right 4xx in OpenAI's shape, never a 500, and nothing of their text in the log."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import time

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.server.conftest import Running, running

from emotirt.server.settings import ServerSettings

PATH = "/v1/audio/speech"
SECRET = "xylophone"
JSON = {"content-type": "application/json"}


def problem(answer: httpx.Response, status: int) -> dict[str, str | None]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["type"] == ("invalid_request_error" if status < 500 else "server_error")
    assert body["error"]["message"]
    assert "\n" not in body["error"]["message"]
    return body["error"]


@pytest.mark.parametrize(
    ("fields", "status", "param", "code"),
    [
        ({"input": 7}, 400, "input", "invalid_value"),
        ({"input": None}, 400, "input", "invalid_value"),
        ({"input": ""}, 400, "input", "invalid_value"),
        ({"input": "   "}, 400, "input", "empty_text"),
        ({"input": "\x00\x01\x02\x1b"}, 400, "input", "empty_text"),
        ({"input": "!?…"}, 400, "input", "empty_text"),
        ({"input": "a" * 100_001}, 400, "input", "invalid_value"),
        ({"voice": "nobody"}, 400, "voice", "unknown_voice"),
        ({"voice": 3}, 400, "voice", "invalid_value"),
        ({"voice": {"id": "ada", "x": 1}}, 400, "voice", "invalid_value"),
        ({"model": "whisper-1"}, 404, "model", "model_not_found"),
        ({"emotion": "hapy"}, 400, "emotion", "unknown_emotion"),
        ({"intensity": 9}, 400, "intensity", "invalid_value"),
        ({"response_format": "midi"}, 400, "response_format", "invalid_value"),
        ({"response_format": "opus", "sample_rate": 44_100}, 400, "response_format", "unsupported_format"),
        ({"sample_rate": 100}, 400, "sample_rate", "invalid_value"),
        ({"sample_rate": 16_000.5}, 400, "sample_rate", "invalid_value"),
        ({"speed": "fast"}, 400, "speed", "invalid_value"),
        ({"speed": "1.0"}, 400, "speed", "invalid_value"),
        ({"speed": True}, 400, "speed", "invalid_value"),
        ({"speed": float("nan")}, 400, "speed", "invalid_value"),
        ({"speed": float("inf")}, 400, "speed", "invalid_value"),
        ({"speed": 4.5}, 400, "speed", "invalid_value"),
        ({"deadline_ms": 0}, 400, "deadline_ms", "invalid_value"),
        ({"priority": "urgent"}, 400, "priority", "invalid_value"),
        ({"strict": "yes"}, 400, "strict", "invalid_value"),
        ({"stream_format": "ws"}, 400, "stream_format", "invalid_value"),
        ({"timestamps": "syllable", "stream_format": "sse"}, 400, "timestamps", "invalid_value"),
        (
            {"timestamps": ["word", "phoneme", "viseme", "word"], "stream_format": "sse"},
            400,
            "timestamps",
            "invalid_value",
        ),
        ({"timestamps": "viseme"}, 400, None, "invalid_value"),
        ({"seed": 1.5}, 400, "seed", "invalid_value"),
        ({"seed": "1"}, 400, "seed", "invalid_value"),
        ({"seed": 2**53}, 400, "seed", "invalid_value"),
        ({"pitch": 13}, 400, "pitch", "invalid_value"),
        ({"pitch_range": -0.1}, 400, "pitch_range", "invalid_value"),
        ({"energy": float("-inf")}, 400, "energy", "invalid_value"),
        ({"timestamps": "word"}, 400, None, "invalid_value"),
        ({"instructions": "x" * 5000}, 400, "instructions", "invalid_value"),
        ({"speeed": 1}, 400, "speeed", "unknown_parameter"),
    ],
)
def test_fields(client: httpx.Client, fields: dict[str, object], status: int, param: str | None, code: str) -> None:
    content = json.dumps({"model": "tts-1", "voice": "alloy", "input": "Hi.", **fields})
    found = problem(client.post(PATH, content=content, headers=JSON), status)
    assert (found["param"], found["code"]) == (param, code)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"hello",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe\x00",
        b'{"input": "\\ud800"}',
        b'{"\\ud800": 1, "input": "Hi."}',
        b'{"input": "Hi.", "speed": ' + b"9" * 5000 + b"}",
        b'{"input": ' + b"[" * 100_000,
        b'{"input": "Hi.", "input": 3}',
    ],
)
def test_bodies(client: httpx.Client, content: bytes) -> None:
    problem(client.post(PATH, content=content, headers=JSON), 400)


def test_an_empty_body_is_called_so(client: httpx.Client) -> None:
    assert "the body is empty" in str(problem(client.post(PATH, content=b"", headers=JSON), 400)["message"])


def test_missing_input_and_missing_content_type(client: httpx.Client) -> None:
    assert problem(client.post(PATH, json={"model": "tts-1"}), 400)["code"] == "missing_required_parameter"
    problem(client.post(PATH, content=b'{"input": "Hi."}', headers={"content-type": "text/plain"}), 400)


def test_large_body_is_refused_unread(client: httpx.Client) -> None:
    body = json.dumps({"input": "a " * 500_000}).encode()
    assert problem(client.post(PATH, content=body, headers=JSON), 413)["code"] == "body_too_large"
    pieces = (body[first : first + 65_536] for first in range(0, len(body), 65_536))  # of undeclared length
    problem(client.post(PATH, content=pieces, headers=JSON), 413)


def test_half_a_body_does_not_hold_a_connection(server_settings: ServerSettings) -> None:
    impatient = server_settings.model_copy(update={"body_timeout_s": 1.0})
    with running(impatient) as started, socket.create_connection(started.listener.getsockname(), timeout=10) as raw:
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
        raw.sendall(head.encode() + b'{"inp')
        answer = http.client.HTTPResponse(raw)
        answer.begin()
        assert answer.status == 408
        assert json.loads(answer.read())["error"]["code"] == "body_timeout"


def test_routes_and_methods(client: httpx.Client) -> None:
    nothing, wrong = problem(client.get("/v1/nothing"), 404), problem(client.get(PATH), 405)
    assert (nothing["code"], wrong["code"]) == ("not_found", "method_not_allowed")
    assert "/openapi.json" in str(nothing["message"])
    assert str(wrong["message"]).endswith("send POST")
    problem(client.put("/v1/audio/voices"), 405)


def _lines_logged(caplog: pytest.LogCaptureFixture, at_least: int) -> list[str]:
    """The server's log once it holds that many lines, or after 10 s: a line follows its reply a moment later."""
    deadline_s = time.monotonic() + 10
    while True:
        lines = [record.getMessage() for record in list(caplog.records) if not record.name.startswith("http")]
        if len(lines) >= at_least or time.monotonic() > deadline_s:
            return lines
        time.sleep(0.01)


def test_text_stays_out_of_the_log(client: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        client.post(PATH, json={"input": f"The {SECRET}."})
        client.post(PATH, json={"input": f"[[{SECRET}]]"})
        client.post(PATH, json={"input": SECRET, "voice": SECRET, SECRET: 1})
        client.post(PATH, content=f'{{"input": "{SECRET}'.encode(), headers=JSON)
        client.get(f"/{SECRET}")
        logged = _lines_logged(caplog, at_least=5)
    assert len(logged) >= 5
    assert not [message for message in logged if SECRET in message]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
FIELDS = st.sampled_from(
    ["model", "voice", "input", "instructions", "response_format", "speed", "stream_format", "emotion", "intensity",
     "sample_rate", "priority", "deadline_ms", "strict", "timestamps", "other"]
)  # fmt: skip


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(FIELDS, VALUES, max_size=4))
def test_no_body_makes_the_server_fail(client: httpx.Client, server: Running, fields: dict[str, object]) -> None:
    content = json.dumps({"input": "Hi.", "response_format": "pcm", **fields})
    answer = client.post(PATH, content=content, headers=JSON)
    assert answer.status_code in (200, 400, 404, 504), answer.text
    assert server.stats().errors <= server.stats().deadlines_missed
