"""Seeded nonsense into the WebSocket: every connection ends in a proper close, and the server stays as it was."""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from socket import SHUT_RDWR

import httpx
import pytest
from tests.server.conftest import Running
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

SEEDS = range(40)
MOST_MESSAGES = 10
CLOSE_CODES = {1000, 1007, 1008, 1009, 1013}
"""Done; text that is no UTF-8; the client's mistake; a message that is too large; too much waiting."""
TOO_LARGE = b"\x81\xff" + (600_000).to_bytes(8, "big") + b"mask"
"""How a text message of that size begins; the rest would arrive, or not, after the server has closed."""
ERROR_FIELDS = {"message", "type", "param", "code"}
WORDS = (
    "Hi.",
    "One, two. ",
    "你好！",
    " and so on",
    "[[HH AY1]]",
    "[pause:0.2]",
    "\u0000\u001b",
    "🙂",
    "\ud83d",
    "a" * 400,
)
FIELDS: dict[str, tuple[object, ...]] = {
    "speed": (1, 2.5, "fast", None, float("nan"), 1e400, -3),
    "voice": ("ada", "nobody", {"id": "bo"}, 7, {"id": 7}),
    "sample_rate": (16_000, 8_000, 100, "16000"),
    "response_format": ("pcm", "wav", "opus", "midi"),
    "timestamps": ("word", ["viseme", "phoneme"], "syllable", []),
    "deadline_ms": (60_000, 0, "soon"),
    "seed": (1, -5, 2.5, 2**80),
    "surprise": (1,),
}


def message(chance: random.Random) -> str | bytes:
    """One message: mostly sensible, in no sensible order."""
    kind = chance.randrange(30)
    if kind < 18:
        return json.dumps({"type": "text", "text": "".join(chance.choices(WORDS, k=chance.randint(0, 4)))})
    if kind < 28:
        return json.dumps({"type": chance.choice(("flush", "cancel", "cancel", "end", "flush"))})
    if kind == 28:
        return start(chance)
    return chance.choice(
        (
            b"\x00\xff" * 30,
            b"",
            "",
            "{" * chance.randint(1, 50_000),
            '{"type": "text", "text": "' + "a" * 30_000 + '"}',
            json.dumps({"type": "text", "text": chance.choice((None, 3, ["Hi."]))}),
            json.dumps({"type": chance.choice(("Start", "", None, 5)), "x": 1}),
            json.dumps([{"type": "flush"}]),
            '{"type": "flush"',
            '{"type": "flush", "type": "end"}',
            "\ufeff{}",
        )
    )


def start(chance: random.Random) -> str:
    some = chance.sample(sorted(FIELDS), chance.randrange(3)) if chance.random() < 0.3 else []
    fields = {name: chance.choice(FIELDS[name]) for name in some}
    return json.dumps({"type": "start", **fields})


def play(socket: ClientConnection, chance: random.Random) -> bool:
    """Send nonsense, and return whether the client stays to hear how it ends."""
    sent: list[str | bytes] = [start(chance) if chance.random() < 0.85 else message(chance)]
    sent += [message(chance) for _ in range(chance.randrange(MOST_MESSAGES))]
    with suppress(ConnectionClosed):
        for item in sent:
            socket.send(item)
            if chance.random() < 0.2:
                with suppress(TimeoutError):
                    check(socket.recv(chance.choice((0, 0.02))))
        ending = chance.random()
        if ending < 0.2:
            return False
        if ending < 0.3:
            socket.send(b"\xff\xfe", text=True)  # no UTF-8: against the protocol, as is the next
        elif ending < 0.4:
            socket.socket.sendall(TOO_LARGE)
        else:
            socket.send('{"type": "end"}')
    return True


def check(received: str | bytes) -> None:
    if isinstance(received, str):
        event = json.loads(received)
        assert event["type"] in {
            "started", "timestamps", "warning", "flushed", "cancelled", "done", "error",
        }  # fmt: skip
        if event["type"] == "error":
            assert set(event["error"]) == ERROR_FIELDS
            assert event["error"]["type"] != "server_error", event


@pytest.fixture
def quiet(server: Running, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No error was logged, and nothing is left running."""
    with caplog.at_level(logging.WARNING):
        yield
    end_s = time.monotonic() + 20
    while server.stats().running and time.monotonic() < end_s:
        time.sleep(0.02)
    assert server.stats().running == 0
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("number", SEEDS)
def test_nonsense(server: Running, number: int) -> None:
    chance = random.Random(number)
    with connect(f"ws://{server.address}/v1/audio/stream", proxy=None, max_size=None, open_timeout=60) as socket:
        if not play(socket, chance):
            with suppress(OSError):  # the server may have been faster
                socket.socket.shutdown(SHUT_RDWR)  # without a word
            return
        with suppress(ConnectionClosed):
            while True:
                check(socket.recv(60))
        assert socket.close_code in CLOSE_CODES, (socket.close_code, socket.close_reason)


@pytest.mark.usefixtures("quiet")
def test_many_that_hang_up_at_once(server: Running, client: httpx.Client) -> None:
    with ExitStack() as stack:
        opened = (connect(f"ws://{server.address}/v1/audio/stream", proxy=None, max_size=None) for _ in range(12))
        sockets = [stack.enter_context(socket) for socket in opened]
        for index, socket in enumerate(sockets):
            socket.send('{"type": "start"}')
            socket.send(json.dumps({"type": "text", "text": "One, two, three. " * 20 * (index % 3)}))
        for socket in sockets:
            socket.socket.shutdown(SHUT_RDWR)
    assert client.get("/healthz").status_code == 200
