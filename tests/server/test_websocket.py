"""The WebSocket by a real client: text in pieces, audio out, flush, cancel, and every way to get it wrong."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.server.conftest import Running, running
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from emotirt.audio.pcm import float_from_s16le
from emotirt.engine import Engine, SpeechRequest
from emotirt.server.settings import ServerSettings
from emotirt.server.websocket import Refused, Session

START = {"type": "start", "sample_rate": 16_000}
TWO = '{"type": "text", "text": "Hi. Ho."}'
MUCH = json.dumps({"type": "text", "text": "a" * 9_000})
LONG = "One, two, three, four, five. " * 40


@contextmanager
def connected(server: Running, **start: object) -> Iterator[ClientConnection]:
    with connect(f"ws://{server.address}/v1/audio/stream", proxy=None, max_size=None) as socket:
        send(socket, **{**START, **start})
        assert json.loads(socket.recv(60))["type"] == "started"
        yield socket


def send(socket: ClientConnection, **message: object) -> None:
    socket.send(json.dumps(message))


def settled(server: Running) -> int:
    """Wait until nothing runs, also nothing that a client left; returns how many requests were cancelled."""
    ends_s = time.monotonic() + 60
    while server.stats().running and time.monotonic() < ends_s:
        time.sleep(0.01)
    assert server.stats().running == 0
    return server.stats().cancelled


def until(socket: ClientConnection, kind: str) -> tuple[bytes, list[dict[str, object]]]:
    """Read up to an event; return the audio and the events."""
    audio, events = [], []
    while True:
        message = socket.recv(60)
        if isinstance(message, bytes):
            audio.append(message)
            continue
        events.append(json.loads(message))
        if events[-1]["type"] == kind:
            return b"".join(audio), events


def test_pieces_join_to_sentences(server: Running, engine: Engine) -> None:
    with connected(server, voice="bo", timestamps="word") as socket:
        for piece in ("Hel", "lo there. How ", "are you?", " Fine"):
            send(socket, type="text", text=piece)
        send(socket, type="flush")
        audio, events = until(socket, "flushed")
    parts = [engine.say(SpeechRequest(text, "bo")) for text in ("Hello there.", "How are you?", "Fine")]
    heard = float_from_s16le(audio)
    wanted = np.concatenate([part.audio.samples for part in parts])
    assert heard.shape == wanted.shape
    assert np.abs(heard - wanted).max() < 2e-3
    spoken = [event for event in events if event["type"] == "timestamps"]
    words = [word["word"] for event in spoken for word in event["words"]]
    assert [word.casefold() for word in words] == ["hello", "there", "how", "are", "you", "fine"]
    assert spoken[1]["start_s"] == pytest.approx(parts[0].audio.duration_s, abs=1e-5)


def test_visemes_and_seed(server: Running) -> None:
    with connect(f"ws://{server.address}/v1/audio/stream", proxy=None, max_size=None) as socket:
        send(socket, **START, seed=7, timestamps=["viseme"])
        assert json.loads(socket.recv(60))["seed"] == 7
        send(socket, type="text", text="My mouth. 我爱妈妈。")
        send(socket, type="flush")
        audio, events = until(socket, "flushed")
    first, second = (event for event in events if event["type"] == "timestamps")
    assert set(first) == {"type", "text", "start_s", "end_s", "visemes"}
    assert "PP" in {shape["viseme"] for shape in first["visemes"]}  # type: ignore[attr-defined]
    assert second["visemes"][0]["start_s"] >= first["visemes"][-1]["end_s"]  # type: ignore[index]
    assert second["end_s"] == pytest.approx(len(audio) / 2 / 16_000, abs=0.3)


def test_a_sentence_is_spoken_before_the_next_is_there(server: Running) -> None:
    with connected(server) as socket:
        send(socket, type="text", text="Hello. And")
        assert isinstance(socket.recv(60), bytes)


def test_every_turn_is_a_whole_stream(server: Running) -> None:
    with connected(server, response_format="wav") as socket:
        for _ in range(2):
            send(socket, type="text", text="Hi.")
            send(socket, type="flush")
            assert until(socket, "flushed")[0].startswith(b"RIFF")


def test_cancel_stops_at_once_and_the_next_turn_works(server: Running) -> None:
    before = settled(server)
    with connected(server) as socket:
        send(socket, type="text", text=LONG)
        assert isinstance(socket.recv(60), bytes)
        send(socket, type="cancel")
        until(socket, "cancelled")
        send(socket, type="text", text="Hi.")
        send(socket, type="end")
        audio, events = until(socket, "done")
        assert 0 < len(audio) < 3 * 2 * 16_000
        assert [event["type"] for event in events] == ["done"]
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(60)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000
    assert server.stats().cancelled == before + 1


def test_end_speaks_what_is_left(server: Running) -> None:
    with connected(server) as socket:
        send(socket, type="text", text="No full stop")
        send(socket, type="end")
        assert until(socket, "done")[0]


def test_nothing_to_say_is_no_error(server: Running) -> None:
    with connected(server) as socket:
        send(socket, type="text", text=" … ")
        send(socket, type="flush")
        assert until(socket, "flushed") == (b"", [{"type": "flushed"}])


def test_client_that_leaves_cancels(server: Running) -> None:
    before = settled(server)
    with connected(server, sample_rate=192_000) as socket:
        send(socket, type="text", text=LONG)
        socket.recv(60)
    assert settled(server) > before


@pytest.mark.parametrize(
    ("messages", "code", "param", "close_code"),
    [
        (['{"type": "text", "text": "Hi."}'], "out_of_order", None, 1008),
        (['{"type": "flush"}'], "out_of_order", None, 1008),
        (["not JSON"], "invalid_json", None, 1008),
        (["[]"], "invalid_json", None, 1008),
        (['{"type": "begin"}'], "invalid_json", None, 1008),
        ([b"\x00\x01"], "invalid_json", None, 1008),
        (['{"type": "start", "speed": NaN}'], "invalid_value", "speed", 1008),
        (['{"type": "start", "speeed": 1}'], "unknown_parameter", "speeed", 1008),
        (['{"type": "start", "model": "whisper-1"}'], "model_not_found", "model", 1008),
        (['{"type": "start", "response_format": "midi"}'], "invalid_value", "response_format", 1008),
        (['{"type": "start"}', '{"type": "start"}'], "out_of_order", None, 1008),
        (['{"type": "start"}', '{"type": "text"}'], "missing_required_parameter", "text", 1008),
        (['{"type": "start", "voice": "nobody"}'], "unknown_voice", "voice", 1008),
        (['{"type": "start", "voice": "nobody:1+none:1"}'], "unknown_voice", "voice", 1008),
        (['{"type": "start"}', MUCH, MUCH, MUCH], "rate_limit_exceeded", None, 1013),
        (['{"type": "start", "deadline_ms": 0.001}', TWO], "deadline_exceeded", "deadline_ms", 1013),
    ],
)  # fmt: skip
def test_mistakes(server: Running, messages: list[str | bytes], code: str, param: str | None, close_code: int) -> None:
    with connect(f"ws://{server.address}/v1/audio/stream", proxy=None) as socket:
        for message in messages:
            socket.send(message)
        _, events = until(socket, "error")
        error = events[-1]["error"]
        assert (error["code"], error["param"]) == (code, param)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(60)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == close_code


MESSAGES = st.one_of(
    st.sampled_from([json.dumps(START), TWO, '{"type": "flush"}', '{"type": "cancel"}', '{"type": "end"}']),
    st.builds(
        lambda kind, fields: json.dumps({"type": kind, **fields}),
        st.sampled_from(["start", "text", "flush", "cancel", "end", "other"]),
        st.dictionaries(
            st.sampled_from(["text", "speed", "voice", "emotion", "sample_rate", "x"]),
            st.none() | st.booleans() | st.floats() | st.text(max_size=12),
            max_size=2,
        ),
    ),
    st.text(max_size=20),
    st.binary(max_size=20),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(MESSAGES, max_size=5))
def test_no_messages_make_the_server_fail(server: Running, messages: list[str | bytes]) -> None:
    with connect(f"ws://{server.address}/v1/audio/stream", proxy=None, max_size=None) as socket:
        with suppress(ConnectionClosed):
            for message in [json.dumps(START), *messages, '{"type": "end"}', '{"type": "end"}']:
                socket.send(message)
            for _ in socket:
                pass
        socket.close()
        assert socket.close_code in (1000, 1008), socket.close_reason


def test_flushes_do_not_pile_up_without_end(server: Running) -> None:
    with connected(server) as socket:
        send(socket, type="text", text="One, two, three, four, five. " * 650)
        with suppress(ConnectionClosed):  # it may close before the last is sent
            for _ in range(1_500):
                send(socket, type="flush")
        _, events = until(socket, "error")
    assert events[-1]["error"]["code"] == "rate_limit_exceeded"  # type: ignore[index]


def test_plain_http_on_its_path_is_no_server_error(client: httpx.Client) -> None:
    assert client.get("/v1/audio/stream").status_code == 404


def test_who_says_nothing_for_long_is_let_go(server_settings: ServerSettings) -> None:
    with running(server_settings.model_copy(update={"idle_timeout_s": 0.01})) as quick:
        with connect(f"ws://{quick.address}/v1/audio/stream", proxy=None, max_size=None) as socket:
            send(socket, **START)
            _, events = until(socket, "error")
            assert events[-1]["error"]["code"] == "idle"  # type: ignore[index]  # the events are of any shape
            with pytest.raises(ConnectionClosed) as caught:
                socket.recv(60)
            assert caught.value.rcvd is not None
            assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1008, "idle")
        settled(quick)


def test_nobody_is_let_go_while_text_waits_to_be_spoken() -> None:
    class Silent:
        async def receive(self) -> dict[str, object]:
            await asyncio.sleep(3600)
            raise AssertionError("nobody waits so long")

    async def wait() -> None:
        session = Session(Silent(), None, 0.001)  # type: ignore[arg-type]  # only what a silent client needs
        session._waiting = 5
        waiting = asyncio.create_task(session._next_message())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        session._waiting = 0
        with pytest.raises(Refused, match="no message for"):
            await waiting

    asyncio.run(wait())
