"""The Studio page: its files and headers, and the page itself in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.architecture.tree import PACKAGE
from tests.server.chromium import CHROMIUM, Page, browser_page
from tests.server.conftest import Running, running

from emotirt.server.page import MEDIA_TYPES
from emotirt.server.settings import ServerSettings

STUDIO = PACKAGE / "server" / "studio"
FILES = sorted(path.name for path in STUDIO.iterdir())
IDLE = "document.querySelector('#stop').disabled"
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed (Debian: apt install chromium)")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser_page(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize("name", FILES)
def test_files_are_served_as_they_are(client: httpx.Client, name: str) -> None:
    answer = client.get("/" if name == "index.html" else f"/studio/{name}")
    assert answer.status_code == 200
    assert answer.content == (STUDIO / name).read_bytes()
    assert answer.headers["content-type"] == MEDIA_TYPES[Path(name).suffix]
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert client.head(str(answer.url)).content == b""


def test_nothing_else_is_served(client: httpx.Client) -> None:
    for path in ("/studio/", "/studio/index.html", "/studio/..%2fpage.py", "/studio/../page.py", "/studio/none.js"):
        assert client.get(path).status_code == 404
    assert client.post("/").status_code == 405
    assert "/" not in client.get("/openapi.json").json()["paths"]


@pytest.mark.parametrize("name", FILES)
def test_no_file_names_another_place(name: str) -> None:
    text = (STUDIO / name).read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert "//" not in re.sub(r"(^|\s)//\s.*", "", text, flags=re.MULTILINE)
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", text)


def test_both_languages_say_the_same(client: httpx.Client) -> None:
    parts = re.compile(r"^  (?:en|zh): \{\n(.*?)^  \},", re.MULTILINE | re.DOTALL)
    english, chinese = parts.findall(client.get("/studio/words.js").text)
    names = re.compile(r"(\w+): [\"{]")
    assert names.findall(english) == names.findall(chinese)
    assert len(names.findall(english)) > 40


@needs_chromium
def test_speaks_and_tells_of_errors(server: Running, page: Page) -> None:
    page.open(server.url)
    page.wait("document.querySelectorAll('#emotions button').length > 1")
    page.wait("document.querySelectorAll('#stats div').length > 5")
    page.type_into("#text", "One, two, three, four.")
    page.click("[data-emotion=happy]")
    page.click("#speak")
    page.wait(r"/^\d+ ms$/.test(document.querySelector('#first-audio').textContent)")
    page.wait(r"/^\d+ ms$/.test(document.querySelector('#first-audio-server').textContent)")
    page.wait(IDLE)
    assert page.run("document.querySelector('#state').textContent") == "Done."
    assert float(page.run("document.querySelector('#received').textContent").split()[0]) > 0.2
    drawn = "document.querySelector('#spectrogram').getContext('2d').getImageData(0, 0, 600, 160).data"
    assert page.run(f"{drawn}.some((value, i) => i % 4 === 0 && value > 60)")  # not black: there was a sound
    assert page.run("document.querySelector('#problem').hidden")

    page.type_into("#text", "")
    page.click("#speak")
    page.wait("!document.querySelector('#problem').hidden")
    assert "There is no text to speak" in page.text()
    page.run("document.querySelector('#text').value = 'word '.repeat(21_000)")
    page.click("#speak")
    page.wait("document.querySelector('#problem').textContent.startsWith('The text is too long')")
    page.wait(IDLE)
    assert page.complaints == []
    assert page.requested
    assert {httpx.URL(url).host for url in page.requested} <= {"127.0.0.1"}


@needs_chromium
def test_stop_ends_the_request(server: Running, client: httpx.Client, page: Page) -> None:
    def cancelled() -> int:
        return sum(map(int, re.findall(r'ended_total{.*outcome="cancelled".*} (\d+)', client.get("/metrics").text)))

    before = cancelled()
    page.open(server.url)
    page.wait("document.querySelectorAll('#emotions button').length > 1")
    page.run("document.querySelector('#text').value = 'One, two, three. '.repeat(1000)")
    page.click("#speak")
    page.wait("document.querySelector('#received').textContent !== '–'")
    page.click("#stop")
    page.wait(IDLE)
    assert page.run("document.querySelector('#state').textContent") == "Stopped."
    page.wait("fetch('metrics').then((got) => got.text()).then((text) => /^emotirt_running 0/m.test(text))")
    assert cancelled() == before + 1
    assert page.complaints == []


@needs_chromium
def test_tells_when_the_server_breaks_off_and_is_gone(server_settings: ServerSettings, page: Page) -> None:
    with running(server_settings) as failing:
        page.open(failing.url)
        page.wait("document.querySelectorAll('#emotions button').length > 1")
        page.run("document.querySelector('#text').value = 'One, two, three. '.repeat(1000)")
        page.click("#speak")
        page.wait("document.querySelector('#received').textContent !== '–'")
        failing.close_engine()
        page.wait("document.querySelector('#problem').textContent.startsWith('The server broke off')")
        page.click("#speak")
        page.wait("document.querySelector('#problem').textContent.startsWith('The server is shutting down')")
    page.click("#speak")
    page.wait("document.querySelector('#problem').textContent.startsWith('The server does not answer')")
    page.wait("document.querySelector('#stats').textContent.includes('no answer')")
    assert page.run(IDLE)
    assert page.complaints == []


@needs_chromium
def test_phone_in_chinese(server: Running, page: Page) -> None:
    page.open(server.url, width=360, height=740)
    page.click("[data-language=zh]")
    page.wait("document.querySelector('#speak').textContent === '朗读'")
    page.open(server.url, width=360, height=740)
    page.wait("document.querySelector('#speak').textContent === '朗读'")  # remembered
    page.wait("document.querySelectorAll('#stats div').length > 5")
    for language, words in (("en", "Speak"), ("zh", "朗读")):
        page.click(f"[data-language={language}]")
        page.wait(f"document.querySelector('#speak').textContent === '{words}'")
        page.run("document.querySelector('#text').value = ' '")
        page.click("#speak")
        page.wait("!document.querySelector('#problem').hidden")
        assert page.run("innerWidth") == 360
        assert page.run("document.documentElement.scrollWidth") == 360
        outside = "[...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > 360)"
        assert page.run(f"{outside}.map((e) => e.outerHTML)") == []
    assert "没有可以朗读的内容" in page.text()
    assert page.complaints == []


@needs_chromium
def test_asks_for_the_key(server_settings: ServerSettings, page: Page) -> None:
    with running(server_settings.model_copy(update={"api_keys": "alpha"})) as guarded:
        page.open(guarded.url)
        page.wait("!document.querySelector('#key-row').hidden")
        assert page.run("document.querySelectorAll('#emotions button').length") == 0
        page.type_into("#key", "alpha")
        page.click("#use-key")
        page.wait("document.querySelectorAll('#emotions button').length > 1")
        page.wait("document.querySelectorAll('#stats div').length > 5")
        page.click("#speak")
        page.wait(r"/^\d+ ms$/.test(document.querySelector('#first-audio').textContent)")
        page.wait(IDLE)
        assert page.run("document.querySelector('#problem').hidden")
        page.open("about:blank")
    assert page.complaints == []
