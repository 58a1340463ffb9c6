"""The real command in a process of its own: it listens, speaks, drains on SIGTERM, and explains what is wrong."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx

from emotirt.cli.main import main
from emotirt.server.run import bound_socket
from emotirt.server.settings import ServerSettings

BODY = {"input": "One, two, three, four, five. " * 20, "response_format": "pcm", "sample_rate": 192_000}


def test_sigterm_lets_running_requests_end(tiny_bundle: Path) -> None:
    command = [sys.executable, "-m", "emotirt", "serve", "--bundle", str(tiny_bundle), "--port", "0"]
    options = ["--threads", "1", "--live-deadline", "60", "--log-level", "warning"]
    with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line.startswith("emotirt: listening on http://127.0.0.1:"), line
            url = line.split()[-1]
            with (
                httpx.Client(base_url=url, timeout=60, trust_env=False) as http,
                http.stream("POST", "/v1/audio/speech", json=BODY) as answer,
            ):
                pieces = answer.iter_raw()
                size = len(next(pieces))
                process.send_signal(signal.SIGTERM)
                size += sum(map(len, pieces))  # raises when the reply is cut
            assert size > 2 * 192_000
            assert process.wait(30) == 143
            assert process.stderr.read() == ""
        finally:
            process.kill()


def test_while_it_drains_it_says_that_it_takes_no_more(tiny_bundle: Path) -> None:
    """A load balancer sees it, a client is told to go elsewhere, and a sentence under way on a WebSocket is ended."""
    command = [sys.executable, "-m", "emotirt", "serve", "--bundle", str(tiny_bundle), "--port", "0", "--threads", "1"]
    with subprocess.Popen(
        [*command, "--log-level", "warning", "--live-deadline", "60"], stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stderr is not None
            url = process.stderr.readline().decode().split()[-1]
            with (
                httpx.Client(base_url=url, timeout=60, trust_env=False) as http,
                http.stream("POST", "/v1/audio/speech", json={**BODY, "input": BODY["input"] * 4}) as answer,
            ):
                pieces = answer.iter_raw()  # not read on, so that it is held back, and the server waits for it
                next(pieces)
                assert httpx.get(f"{url}/readyz", trust_env=False).status_code == 200
                process.send_signal(signal.SIGTERM)
                while httpx.get(f"{url}/readyz", trust_env=False).status_code == 200:
                    pass
                assert httpx.get(f"{url}/readyz", trust_env=False).json()["status"] == "closed"
                assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
                refused = httpx.post(f"{url}/v1/audio/speech", json=BODY, trust_env=False)
                assert refused.status_code == 503
                assert refused.json()["error"]["code"] == "shutting_down"
                assert refused.headers["retry-after"] == "1"
                assert sum(map(len, pieces)) > 8 * 192_000
            assert process.wait(30) == 143
            assert process.stderr.read() == b""
        finally:
            process.kill()


def test_small_pieces_are_sent_at_once() -> None:
    async def is_set() -> bool:
        seen: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with bound_socket(ServerSettings(port=0)) as listener:
            async with await asyncio.start_server(connected, sock=listener):
                _, writer = await asyncio.open_connection(*listener.getsockname())
                found = await seen
                writer.close()
                await writer.wait_closed()
                return bool(found)

    assert asyncio.run(is_set())


def one_line(capsys) -> str:
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.startswith("emotirt: error: ")
    return line


def test_mistakes_are_one_line(tiny_bundle: Path, capsys, monkeypatch) -> None:
    for name in [name for name in os.environ if name.startswith("EMOTIRT_")]:
        monkeypatch.delenv(name)
    assert main(["serve", "--host", "0.0.0.0"]) == 2
    assert "EMOTIRT_API_KEYS" in one_line(capsys)
    assert main(["serve", "--port", "many"]) == 2
    assert "'many'" in one_line(capsys)
    assert main(["serve", "--bundle", "nowhere", "--port", "0"]) == 1
    assert "nowhere" in one_line(capsys)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--bundle", str(tiny_bundle), "--port", str(port)]) == 2
    assert f"cannot listen on 127.0.0.1:{port}" in one_line(capsys)
    monkeypatch.setenv("EMOTIRT_PRT", "1")
    assert main(["serve"]) == 2
    assert "EMOTIRT_PRT" in one_line(capsys)
