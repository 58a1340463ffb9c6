"""The server's examples in the README, run against a real server."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import openai
import pytest
from tests.architecture.test_docs import README, code_blocks
from tests.server.conftest import Running

from emotirt.audio.read import read_audio

ADDRESS = "127.0.0.1:8880"


def test_curl(server: Running, tmp_path: Path) -> None:
    (block,) = (block for block in code_blocks(README, "sh") if "curl" in block)
    install, serve, command = block.split("\n", 2)
    assert re.fullmatch(r"\.venv/bin/python -m pip install --editable '\.\[serve\]'", install)
    assert re.fullmatch(r"\.venv/bin/emotirt serve &", serve)
    assert ADDRESS in command
    command = command.replace(ADDRESS, server.address).replace("curl ", "curl --silent --fail --noproxy '*' ")
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert read_audio(tmp_path / "hello.mp3").duration_s > 0.1


def test_official_client(server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = code_blocks(README, "py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    names: dict[str, object] = {"__name__": "readme"}
    exec(compile(block.replace(ADDRESS, server.address), "README.md", "exec"), names)
    client = names["client"]
    assert isinstance(client, openai.OpenAI)
    client.close()
    assert read_audio(tmp_path / "hello.mp3").duration_s > 0.1
