"""A server that has no computing left for another listener says so, and when to come again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from tests.server.conftest import Running, running
from websockets.sync.client import connect

from emotirt.engine.settings import EngineSettings
from emotirt.scheduling.admission import AdmissionLimits
from emotirt.server.settings import ServerSettings

PATH = "/v1/audio/speech"
LONG = {"input": "One, two, three, four. " * 100, "response_format": "pcm", "sample_rate": 192_000}
SHORT = {"input": "Hi.", "response_format": "pcm"}


@contextmanager
def exhausted(settings: ServerSettings, feeds: bool) -> Iterator[tuple[Running, httpx.Client]]:
    """A server that was seen to be a thousand times too slow, with a listener who has not heard all."""
    admission = AdmissionLimits(feeds_listeners=feeds)
    engine_settings = EngineSettings(live_deadline_s=60.0, warm_up=False, ahead_s=5.0, admission=admission)
    with (
        running(settings, engine_settings) as started,
        httpx.Client(base_url=started.url, timeout=60, trust_env=False) as http,
        http.stream("POST", PATH, json=LONG) as answer,
    ):
        pieces = answer.iter_raw()  # not read on, so that the request stays
        next(pieces)
        assert started.engine is not None
        started.engine._admission.note(0, 1.0, 1e6)
        yield started, http


def test_another_listener_is_told_to_come_again_and_bulk_is_not(server_settings: ServerSettings) -> None:
    with exhausted(server_settings, feeds=True) as (started, http):
        before = started.stats()
        refused = http.post(PATH, json=SHORT)
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "rate_limit_exceeded"
        assert "need all that can be computed" in refused.json()["error"]["message"]
        assert int(refused.headers["retry-after"]) >= 1
        assert http.post(PATH, json={**SHORT, "priority": "bulk"}).status_code == 200
        after = started.stats()
        assert (after.refused, after.accepted) == (before.refused + 1, before.accepted + 1)


def test_without_the_setting_everybody_is_taken_on(server_settings: ServerSettings) -> None:
    with exhausted(server_settings, feeds=False) as (_, http):
        assert http.post(PATH, json=SHORT).status_code == 200


def test_who_hears_already_is_not_turned_away_in_the_middle(server: Running, monkeypatch) -> None:
    """Over a WebSocket: the second sentence of a turn goes on where the first was."""
    assert server.engine is not None
    admission, seen = server.engine._admission, list[bool]()
    enter = admission.enter
    monkeypatch.setattr(admission, "enter", lambda priority, late: seen.append(late) or enter(priority, late))
    with connect(f"ws://{server.address}/v1/audio/stream", proxy=None, max_size=None) as socket:
        for message in ({"type": "start"}, {"type": "text", "text": "One. Two. "}, {"type": "end"}):
            socket.send(json.dumps(message))
        while isinstance(message := socket.recv(60), bytes) or json.loads(message)["type"] != "done":
            pass
    assert seen[0] is False
    assert set(seen[1:]) == {True}


@pytest.mark.parametrize(("value", "expected"), [("false", False), ("true", True)])
def test_it_is_a_setting(value: str, expected: bool) -> None:
    from emotirt.server.settings import settings_from_environment

    found = settings_from_environment({"EMOTIRT_FEEDS_LISTENERS": value})
    assert found.engine.admission.feeds_listeners is expected
