"""The load generator against real servers: one that runs, one that it starts, one that is not there."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import Running

from emotirt.bench.http_stream import ServerAddress
from emotirt.bench.load import LoadReport, LoadSettings, closed_loop, listeners, open_loop, report_from_outcomes
from emotirt.bench.speech_client import Outcome, address_from_url, speak
from emotirt.bench.workload import Playback
from emotirt.cli.main import main
from emotirt.engine.observe import EngineStats

QUICK = LoadSettings(seconds=0.5, warm_up_s=0.0)


@pytest.fixture
def address(server: Running) -> ServerAddress:
    return address_from_url(server.url)


def idle(server: Running) -> EngineStats:
    """Wait until every request has been counted, which is a moment after its reply."""
    ends_s = time.monotonic() + 60
    while (stats := server.stats()).accepted > stats.results + stats.errors + stats.cancelled:
        assert time.monotonic() < ends_s
        time.sleep(0.01)
    return stats


def run(address: ServerAddress, kind: str) -> LoadReport:
    if kind == "open":
        return open_loop(address, 20.0, QUICK)
    return closed_loop(address, 2, QUICK) if kind == "closed" else listeners(address, 4, QUICK)


@pytest.mark.parametrize("kind", ["open", "closed", "listeners"])
def test_every_request_is_spoken_and_counted(address: ServerAddress, server: Running, kind: str) -> None:
    before = server.stats()
    report = run(address, kind)
    assert report.problems == {}
    assert report.requests > 0
    assert report.ttfa_ms is not None
    assert report.end_to_end_ms is not None
    assert 0.0 < report.ttfa_ms.p50 <= report.end_to_end_ms.p50
    assert report.rtfx > 0.0
    assert server.stats().accepted - before.accepted >= report.requests


def test_all_audio_of_a_request_is_heard(address: ServerAddress, server: Running) -> None:
    before = idle(server)
    outcome = asyncio.run(speak(address, "One, two, three.", time.perf_counter()))
    assert outcome.problem == ""
    assert outcome.playback.audio_s == pytest.approx(idle(server).audio_s - before.audio_s, abs=0.01)


def test_refusals_and_absent_servers_are_told_apart(address: ServerAddress) -> None:
    assert asyncio.run(speak(address, "", time.perf_counter())).problem == "400"
    with socket.socket() as reserved:  # bound and not listening, so that nobody else can be there
        reserved.bind(("127.0.0.1", 0))
        absent = ServerAddress(*reserved.getsockname())
        assert asyncio.run(speak(absent, "a", 0.0)).problem == "no answer (ConnectionRefusedError)"


def test_a_reply_cut_short_is_no_success() -> None:
    async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n8\r\nabc")
        await writer.drain()
        writer.close()

    async def ask() -> tuple[str, float]:
        async with await asyncio.start_server(cut, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            outcome = await speak(ServerAddress("127.0.0.1", port), "a", time.perf_counter())
        return outcome.problem, outcome.playback.audio_s

    assert asyncio.run(ask()) == ("cut off", 1 / 24_000)


def result_in(folder: Path) -> Any:
    (path,) = folder.iterdir()
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_command_sweeps_servers_of_its_own(tiny_bundle: Path, tmp_path: Path, capsys) -> None:
    quick = ["--first", "1", "--most", "1", "--seconds", "0.4", "--warm-up", "0", "--threads", "1"]
    command = ["bench", "serve", "--sweep", "--compare", "--bundle", str(tiny_bundle), "--results", str(tmp_path)]
    assert main([*command, *quick]) == 0
    result = result_in(tmp_path)
    assert result["benchmark"] == "serve"
    for server in ("batching", "one_at_a_time"):
        (level,) = result["details"][server]["levels"][:1]
        assert level["listeners"] == 1
        assert level["requests"] > 0
        assert level["problems"] == {}
    assert re.search(r"^[01] listeners held", capsys.readouterr().out, re.MULTILINE)  # as this machine may be busy


def test_the_command_measures_the_levels_it_is_given(server: Running, tmp_path: Path, capsys) -> None:
    quick = ["--seconds", "0.4", "--warm-up", "0", "--url", server.url, "--results", str(tmp_path)]
    assert main(["bench", "serve", "--levels", "1,3", *quick]) == 0
    levels = result_in(tmp_path)["details"]["batching"]["levels"]
    assert [level["listeners"] for level in levels] == [1, 3]
    assert all(level["refused_share"] == 0.0 <= level["fed_late_share"] <= 1.0 for level in levels)
    assert "refused 0.0 %" in capsys.readouterr().out


def test_those_refused_are_told_apart_from_those_starved() -> None:
    heard = Playback()
    for now_s in (1.0, 3.0):
        heard.hear(now_s, 1.0)
    outcomes = [
        Outcome(0.0, 0.0, 0.1, "429", Playback()),
        Outcome(0.0, 0.0, 0.1, "504", Playback()),
        Outcome(0.9, 0.9, 3.0, "", heard),
    ]
    report = report_from_outcomes(outcomes)
    assert report.refused_share == pytest.approx(1 / 3)
    assert (report.fed_late_share, report.fed_underrun_share) == (0.5, 0.5)
    assert (report.late_share, report.underrun_share) == (pytest.approx(2 / 3), pytest.approx(1 / 3))


def test_mistakes_are_one_line(tiny_bundle: Path, tmp_path: Path, capsys) -> None:
    for arguments, part in (
        (["--sweep", "--url", "ftp://x"], "ftp://x"),
        (["--sweep", "--url", "http://127.0.0.1:1", "--compare"], "--compare"),
        (["--rate", "-1"], "-1"),
        ([], "--sweep"),
        (["--levels", "8,x"], "x"),
        (["--listeners", "1", "--bundle", "nowhere"], "nowhere"),
    ):
        assert main(["bench", "serve", *arguments, "--results", str(tmp_path)]) != 0
        line = capsys.readouterr().err
        assert line.count("\n") == 1, line
        assert part in line
