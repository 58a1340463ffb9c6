"""A real headless Chromium, driven through its DevTools protocol."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
    "--no-proxy-server", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--autoplay-policy=no-user-gesture-required", "--remote-debugging-port=0", "--lang=en-US",
)  # fmt: skip
MICROPHONE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
"""A microphone that gives what a file holds, and a user who allows it."""
KEYS = {"End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
START_S = 60.0
WAIT_S = 60.0


@dataclass(slots=True)
class Page:
    """One page of the browser.

    Attributes:
        complaints: errors of scripts and of the page's policy, and what scripts wrote to the console as errors. That
            an answer had an error status is not among them: the page must tell the user.
        requested: addresses of everything that the page asked for.
    """

    connection: ClientConnection
    complaints: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def send(self, method: str, **params: object) -> dict[str, Any]:
        """Call the protocol, and note the events that come before the answer."""
        number = next(self.ids)
        self.connection.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self.connection.recv(timeout=WAIT_S))
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self._note(message.get("method"), message.get("params", {}))

    def run(self, script: str) -> Any:
        """Evaluate JavaScript; a promise is waited for."""
        result = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until an expression is true."""
        end_s = time.monotonic() + WAIT_S
        while not self.run(condition):
            assert time.monotonic() < end_s, f"{condition} did not come true; page: {self.text()!r}"
            time.sleep(0.05)

    def open(self, url: str, width: int = 1000, height: int = 900) -> None:
        """Load an address in a window of a size in CSS pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.send("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def text(self) -> str:
        """What can be read on the page."""
        return str(self.run("document.body.innerText"))

    def click(self, selector: str) -> None:
        """Press the mouse on an element and release it."""
        place = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); "
            "e.scrollIntoView({block: 'center'}); "
            "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def type_into(self, selector: str, text: str) -> None:
        """Replace the text of a field as a keyboard does."""
        self.run(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.focus(); e.select(); }})()")
        if text:
            self.send("Input.insertText", text=text)
        else:
            for kind in ("keyDown", "keyUp"):
                self.send(
                    "Input.dispatchKeyEvent", type=kind, key="Backspace", code="Backspace", windowsVirtualKeyCode=8
                )

    def press(self, key: str) -> None:
        """Press a key that has a name, and release it."""
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=KEYS[key])

    def choose_file(self, selector: str, path: Path) -> None:
        """Choose a file in a field for files."""
        script = f"document.querySelector({json.dumps(selector)})"
        field = self.send("Runtime.evaluate", expression=script)["result"]["objectId"]
        self.send("DOM.setFileInputFiles", objectId=field, files=[str(path)])

    def _note(self, method: str | None, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.complaints.append(str(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            if params["entry"]["source"] != "network":
                self.complaints.append(str(params["entry"]))
        elif method == "Network.requestWillBeSent":
            self.requested.append(params["request"]["url"])


@contextmanager
def browser_page(profile: Path, heard: Path | None = None) -> Iterator[Page]:
    """Start the browser with an empty profile and give its page; its microphone hears a WAV file."""
    assert CHROMIUM is not None
    microphone = () if heard is None else (*MICROPHONE, f"--use-file-for-fake-audio-capture={heard}")
    command = [CHROMIUM, *FLAGS, *microphone, f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            with connect(_page_address(profile, process), max_size=None, proxy=None) as connection:
                page = Page(connection)
                for domain in ("Page", "Runtime", "Log", "Network"):
                    page.send(f"{domain}.enable")
                yield page
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _page_address(profile: Path, process: subprocess.Popen[bytes]) -> str:
    end_s = time.monotonic() + START_S
    told = profile / "DevToolsActivePort"
    while time.monotonic() < end_s:
        assert process.poll() is None, f"the browser ended with {process.returncode}"
        if told.exists() and (port := told.read_text().partition("\n")[0]):
            for target in httpx.get(f"http://127.0.0.1:{port}/json/list", trust_env=False).json():
                if target["type"] == "page":
                    return str(target["webSocketDebuggerUrl"])
        time.sleep(0.1)
    raise AssertionError("the browser did not open its debugging port")
