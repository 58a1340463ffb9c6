"""What clients see when the engine goes away under them."""

from __future__ import annotations

import json
import logging

import httpx
import pytest
from tests.server.conftest import running
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from emotirt.server.settings import ServerSettings

PATH = "/v1/audio/speech"
TEXT = "One, two, three, four, five. " * 60
BODY = {"input": TEXT, "response_format": "pcm", "sample_rate": 192_000}


def test_engine_that_closes(server_settings: ServerSettings, caplog: pytest.LogCaptureFixture) -> None:
    with running(server_settings) as started, httpx.Client(base_url=started.url, timeout=60, trust_env=False) as http:
        with (
            caplog.at_level(logging.INFO),
            http.stream("POST", PATH, json=BODY) as audio,
            http.stream("POST", PATH, json={**BODY, "stream_format": "sse"}) as events,
            connect(f"ws://{started.address}/v1/audio/stream", proxy=None, max_size=None) as socket,
        ):
            pieces, lines = audio.iter_raw(), events.iter_lines()
            next(pieces)
            next(lines)
            socket.send(json.dumps({"type": "start", "sample_rate": 192_000}))
            socket.send(json.dumps({"type": "text", "text": TEXT}))
            socket.recv(60)
            socket.recv(60)
            started.close_engine()
            with pytest.raises(httpx.RemoteProtocolError):  # cut, so that nobody takes it for the whole
                for _ in pieces:
                    pass
            last = [line for line in lines if line][-1]
            assert json.loads(last.removeprefix("data: "))["error"]["code"] == "shutting_down"
            with pytest.raises(ConnectionClosed) as closed:
                for _ in socket:
                    pass
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
        refused = http.post(PATH, json=BODY)
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "shutting_down"
        assert http.get("/readyz").status_code == 503
        assert http.get("/healthz").status_code == 200
        assert started.stats().running == 0
    assert "EngineClosed" in caplog.text
    assert "three" not in caplog.text
