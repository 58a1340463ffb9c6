"""Web pages from elsewhere: refused before the upgrade and before a body is read, unless a setting lets them in."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import httpx
import pytest
from tests.server.conftest import Running, running
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from emotirt.errors import InvalidRequest
from emotirt.server.origins import Origins, origin_from_text
from emotirt.server.settings import ServerSettings, settings_from_environment

SPEECH = "/v1/audio/speech"
BODY = {"input": "Hi.", "response_format": "pcm"}
FOREIGN = "https://evil.example"
ALLOWED = "https://app.example:8443"


@pytest.fixture(scope="module")
def sharing(server_settings: ServerSettings) -> Iterator[Running]:
    """A server that wants a key and lets two origins in."""
    settings = {"allow_origins": f"{ALLOWED}, http://localhost:3000", "api_keys": "alpha"}
    with running(server_settings.model_copy(update=settings)) as started:
        yield started


def asked(server: Running, method: str = "POST", path: str = SPEECH, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = None if method in ("GET", "OPTIONS") else json.dumps(BODY)
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as http:
        return http.request(method, path, content=content, headers={"content-type": "application/json"} | named)


def handshake_status(server: Running, origin: str | None) -> tuple[int, dict[str, object]]:
    try:
        with connect(f"ws://{server.address}/v1/audio/stream", proxy=None, origin=origin) as socket:  # type: ignore[arg-type]
            socket.send('{"type": "start"}')
            assert json.loads(socket.recv(60))["type"] == "started"
            return 101, {}
    except InvalidStatus as exc:
        return exc.response.status_code, json.loads(exc.response.body or b"{}")


def test_a_socket_opens_for_own_pages_and_for_other_clients_only(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    assert handshake_status(server, None)[0] == 101
    assert handshake_status(server, server.url)[0] == 101
    for origin in (FOREIGN, "null", "http://127.0.0.1:1", server.url.replace("127.0.0.1", "localhost"), "nonsense"):
        status, body = handshake_status(server, origin)
        assert status == 403, origin
        error = body["error"]
        assert isinstance(error, dict)
        assert set(error) == {"message", "type", "param", "code"}
        assert (error["type"], error["code"]) == ("invalid_request_error", "origin_not_allowed")
        assert "--allow-origin" in error["message"]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data; boundary=x"])
def test_no_request_of_a_page_from_elsewhere_is_served(server: Running, content_type: str) -> None:
    before = server.stats()
    answer = asked(server, content_type=content_type, origin=FOREIGN)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "origin_not_allowed"
    assert f"--allow-origin {FOREIGN}" in answer.json()["error"]["message"]
    assert "access-control-allow-origin" not in answer.headers
    assert asked(server, origin="null", content_type=content_type).status_code == 403
    assert server.stats().running == before.running


def test_requests_of_own_pages_and_other_clients_are_served(server: Running) -> None:
    assert asked(server).status_code == 200
    own = asked(server, origin=server.url)
    assert own.status_code == 200
    assert "access-control-allow-origin" not in own.headers


def test_what_a_browser_says_of_the_site_counts_where_it_leaves_the_origin_out(server: Running) -> None:
    assert asked(server, sec_fetch_site="cross-site").status_code == 403
    assert asked(server, "DELETE", "/v1/audio/voices/x", sec_fetch_site="same-site").status_code == 403
    assert asked(server, sec_fetch_site="same-origin").status_code == 200
    assert asked(server, "GET", "/v1/models", sec_fetch_site="cross-site").status_code == 200  # a link


def test_a_foreign_page_may_not_even_ask_and_the_log_says_why(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="emotirt"):
        answer = asked(server, "OPTIONS", origin=FOREIGN, access_control_request_method="POST")
    assert answer.status_code == 403
    assert any(FOREIGN in record.getMessage() for record in caplog.records)
    assert asked(server, "GET", "/healthz", origin=FOREIGN).status_code == 200  # as for everybody


def test_allowed_pages_ask_without_a_key_and_read_every_answer(sharing: Running) -> None:
    wanted = "authorization,content-type,x-stainless-lang"
    ask = {"access_control_request_method": "POST", "access_control_request_headers": wanted}
    preflight = asked(sharing, "OPTIONS", origin=ALLOWED, access_control_request_private_network="true", **ask)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == ALLOWED
    assert preflight.headers["access-control-allow-headers"] == wanted
    assert preflight.headers["access-control-allow-private-network"] == "true"
    assert "DELETE" in preflight.headers["access-control-allow-methods"]
    assert preflight.headers["x-request-id"].startswith("req_")
    spoken = asked(sharing, origin=ALLOWED, authorization="Bearer alpha", sec_fetch_site="cross-site")
    assert spoken.status_code == 200
    assert spoken.headers["access-control-allow-origin"] == ALLOWED
    assert "x-emotirt-voice" in spoken.headers["access-control-expose-headers"]
    refused = asked(sharing, origin="http://localhost:3000")
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert asked(sharing, origin=FOREIGN, authorization="Bearer alpha").status_code == 403


def test_an_allowed_page_opens_a_socket(sharing: Running) -> None:
    url = f"ws://{sharing.address}/v1/audio/stream"
    key = {"authorization": "Bearer alpha"}
    with connect(url, proxy=None, origin=ALLOWED, additional_headers=key) as socket:  # type: ignore[arg-type]
        socket.send('{"type": "start"}')
        assert json.loads(socket.recv(60))["type"] == "started"
    assert handshake_status(sharing, ALLOWED)[0] == 401
    assert handshake_status(sharing, FOREIGN)[0] == 403


def test_every_page_may_be_let_in(server_settings: ServerSettings) -> None:
    with running(server_settings.model_copy(update={"allow_origins": "*"})) as started:
        assert handshake_status(started, FOREIGN)[0] == handshake_status(started, "null")[0] == 101
        answer = asked(started, origin=FOREIGN)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "*"
        assert asked(started, sec_fetch_site="cross-site").status_code == 200


@pytest.mark.parametrize(
    ("origin", "host", "allowed", "guards_names", "is_served"),
    [
        ("http://127.0.0.1:8880", "127.0.0.1:8880", (), True, True),
        ("http://localhost:8880", "localhost:8880", (), True, True),
        ("http://[::1]:8880", "[::1]:8880", (), True, True),
        ("http://studio.localhost", "studio.localhost", (), True, True),
        ("https://tts.example", "tts.example", (), False, True),
        ("https://tts.example", "TTS.example:443", (), False, True),
        ("https://tts.example:443", "tts.example", (), False, True),
        ("https://tts.example", "tts.example:80", (), False, False),
        ("http://rebound.example:8880", "rebound.example:8880", (), True, False),
        ("http://rebound.example:8880", "rebound.example:8880", ("http://rebound.example:8880",), True, True),
        ("https://tts.example", "127.0.0.1:8880", ("https://tts.example",), True, True),
        ("https://tts.example", "", ("https://tts.example",), True, True),
        ("https://tts.example", "", (), False, False),
        ("https://tts.example.evil", "tts.example", ("https://tts.example",), False, False),
        ("http://tts.example", "x", ("https://tts.example",), False, False),
        ("null", "null", (), False, False),
        ("null", "x", ("null",), True, True),
        ("file://", "x", ("null",), True, True),
        ("file://", "x", (), True, False),
        ("*", "*", (), False, False),
        ("://", "", (), False, False),
        ("chrome-extension://abcdef", "127.0.0.1:8880", ("chrome-extension://abcdef",), True, True),
    ],
)
def test_whose_page_it_is(
    origin: str, host: str, allowed: tuple[str, ...], guards_names: bool, is_served: bool
) -> None:
    headers = [(b"host", host.encode()), (b"origin", origin.encode())]
    scope = {"type": "http", "method": "POST", "headers": headers if host else headers[1:]}
    assert (Origins(allowed, guards_names).refusal(scope) == "") is is_served


def test_names_are_guarded_where_nothing_else_guards() -> None:
    assert ServerSettings().is_open_to_this_machine_only
    assert not ServerSettings(api_keys="alpha").is_open_to_this_machine_only
    assert not ServerSettings(host="0.0.0.0", allow_public=True).is_open_to_this_machine_only


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("HTTPS://App.Example:443/", "https://app.example"),
        (" http://[::1]:80 ", "http://[::1]"),
        ("http://a:08080", "http://a:8080"),
        ("NULL", "null"),
        ("file://", "null"),
        ("*", "*"),
    ],
)
def test_origins_are_written_as_browsers_do(text: str, written: str) -> None:
    assert origin_from_text(text) == written
    assert settings_from_environment({"EMOTIRT_ALLOW_ORIGINS": f"{text}, ,http://b"}).origins == (written, "http://b")


@pytest.mark.parametrize("text", ["app.example", "https://app.example/studio", "https://*.example", "https://", "a b"])
def test_what_is_no_origin_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        settings_from_environment({}, {"allow_origins": text})
    for part in ("EMOTIRT_ALLOW_ORIGINS", repr(text), "https://example.org:8080"):
        assert part in str(caught.value)
