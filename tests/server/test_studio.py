"""The Studio page: its files and headers, and the page itself in a real Chromium."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from tests.architecture.tree import PACKAGE
from tests.server.chromium import CHROMIUM, Page, browser_page
from tests.server.conftest import Running, running

from emotirt.audio.wav import wav_from_audio
from emotirt.engine import Engine, SpeechRequest
from emotirt.server.page import MEDIA_TYPES
from emotirt.server.settings import ServerSettings

STUDIO = PACKAGE / "server" / "studio"
FILES = sorted(path.name for path in STUDIO.iterdir())
IDLE = "document.querySelector('#stop').disabled"
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed (Debian: apt install chromium)")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some seconds of speech by the packaged bundle, for the microphone and for uploads."""
    path = tmp_path_factory.mktemp("recording") / "speech.wav"
    with Engine.open(threads=1) as engine:
        said = engine.say(SpeechRequest("The evening was quiet. Somebody laughed across the street, then a door shut."))
    path.write_bytes(wav_from_audio(said.audio))
    return path


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, recording: Path) -> Iterator[Page]:
    with browser_page(tmp_path_factory.mktemp("profile"), recording) as opened:
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
def test_tells_when_the_server_closes_breaks_off_and_is_gone(server_settings: ServerSettings, page: Page) -> None:
    def speak_at_length() -> None:
        page.open(failing.url)
        page.wait("document.querySelectorAll('#emotions button').length > 1")
        page.run("document.querySelector('#text').value = 'One, two, three. '.repeat(1000)")
        page.click("#speak")
        page.wait("document.querySelector('#received').textContent !== '–'")

    with running(server_settings) as failing:
        speak_at_length()
        failing.cut_connections()
        page.wait("document.querySelector('#problem').textContent.startsWith('The server broke off')")
        speak_at_length()
        failing.close_engine()
        page.wait("document.querySelector('#problem').textContent.startsWith('The server is shutting down')")
        page.click("#speak")
        page.wait("document.querySelector('#problem').textContent.startsWith('The server is shutting down')")
    page.click("#speak")
    page.wait("document.querySelector('#problem').textContent.startsWith('The server does not answer')")
    page.wait("document.querySelector('#stats').textContent.includes('no answer')")
    assert page.run(IDLE)
    assert page.complaints == []


VISEMES = [
    {"viseme": "sil", "start_s": 0.0, "end_s": 0.5},
    {"viseme": "aa", "start_s": 0.5, "end_s": 1.0},
    {"viseme": "PP", "start_s": 1.0, "end_s": 1.5},
]
FACE_AT = """import('/studio/face.js').then(async ({ Face }) => {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  document.body.append(svg);
  const face = new Face(svg);
  let second = -1;
  face.add(VISEMES);
  face.follow(() => second);
  const openings = [];
  for (second of [0.2, 0.7, 1.2, 3]) {
    for (let i = 0; i < 30; i++) await new Promise(requestAnimationFrame);
    openings.push([svg.dataset.viseme, svg.querySelector('.lips').getBBox().height]);
  }
  svg.remove();
  return openings;
})"""


@needs_chromium
def test_the_mouth_is_where_the_clock_is(server: Running, page: Page) -> None:
    page.open(server.url)
    found = page.run(FACE_AT.replace("VISEMES", json.dumps(VISEMES)))
    assert [name for name, _ in found] == ["sil", "aa", "PP", "sil"]
    closed, opened, pressed, rest = (height for _, height in found)
    assert opened > 20 > max(closed, pressed, rest)


@needs_chromium
def test_the_mouth_moves_with_what_is_heard(server: Running, client: httpx.Client, page: Page) -> None:
    text = "My mouth moves very fast. 妈妈！"
    body = {"input": text, "stream_format": "sse", "timestamps": "viseme", "emotion": "sad", "intensity": 1.2}
    events = [json.loads(part[6:]) for part in client.post("/v1/audio/speech", json=body).text.split("\n\n") if part]
    wanted = [shape["viseme"] for event in events for shape in event.get("visemes", ())]
    page.open(server.url)
    page.wait("document.querySelectorAll('#emotions button').length > 1")
    page.run("""(() => {
      const face = document.querySelector('#face');
      const caption = document.querySelector('#caption');
      window.seen = [];
      window.words = new Set();
      new MutationObserver(() => window.seen.push(face.dataset.viseme))
        .observe(face, { attributeFilter: ['data-viseme'] });
      new MutationObserver(() => caption.querySelectorAll('.now').forEach((word) => window.words.add(word.textContent)))
        .observe(caption, { subtree: true, attributeFilter: ['class'] });
    })()""")
    page.type_into("#text", text)
    page.click("[data-emotion=sad]")
    page.run(
        "(() => { const e = document.querySelector('#intensity'); e.value = 1.2; "
        "e.dispatchEvent(new Event('input')); })()"
    )
    page.click("#speak")
    page.wait("document.querySelector('#state').textContent === 'Done.'")
    seen = [name for name in page.run("window.seen") if name != "sil"]
    left = iter(wanted)
    assert all(name in left for name in seen), (seen, wanted)  # in this order; a slow browser passes some over
    assert len(set(seen)) >= 3
    assert {"My", "mouth", "moves", "very", "fast", "妈妈"} & set(page.run("[...window.words]"))
    page.wait("document.querySelector('#face').dataset.viseme === 'sil'")
    assert page.run("document.querySelector('#caption').textContent") == ""
    assert page.complaints == []


CHOSEN = (
    "[document.querySelector('#emotions [aria-pressed=true]').dataset.emotion, "
    "document.querySelector('#intensity').value]"
)


@needs_chromium
def test_the_wheel_chooses_by_pointer_and_by_keys(server: Running, page: Page) -> None:
    page.open(server.url)
    page.wait("document.querySelectorAll('#pad .sector').length === 2")  # happy above, sad below
    x, y, scale = page.run("""(() => {
      const pad = document.querySelector('#pad');
      pad.scrollIntoView({ block: 'center' });
      const box = pad.getBoundingClientRect();
      return [box.x + box.width / 2, box.y + box.height / 2, box.height / 208];
    })()""")
    assert page.run(CHOSEN) == ["neutral", "1"]
    for kind, rise in (("mousePressed", 60), ("mouseMoved", 84), ("mouseReleased", 84)):
        page.send(
            "Input.dispatchMouseEvent", type=kind, x=x, y=y - rise * scale, button="left", buttons=1, clickCount=1
        )
    assert page.run(CHOSEN) == ["happy", "1.5"]
    for kind in ("mousePressed", "mouseReleased"):
        page.send("Input.dispatchMouseEvent", type=kind, x=x, y=y + 62 * scale, button="left", clickCount=1)
    assert page.run(CHOSEN) == ["sad", "1"]
    page.run("document.querySelector('#pad').focus()")
    page.press("ArrowUp")
    assert page.run(CHOSEN) == ["sad", "1.05"]
    page.press("ArrowRight")
    assert page.run("document.querySelector('#pad').getAttribute('aria-valuetext')") == "happy, 1.05"
    page.press("End")
    page.press("ArrowDown")
    assert page.run(CHOSEN) == ["happy", "1.45"]
    page.press("Home")
    assert page.run(CHOSEN) == ["neutral", "1.45"]
    assert page.run("document.querySelector('#intensity').disabled")
    page.click("[data-emotion=sad]")
    assert page.run("document.querySelector('#pad').getAttribute('aria-valuetext')") == "sad, 1.45"
    assert page.complaints == []


MADE = "!document.querySelector('#clone-done').hidden"


@needs_chromium
def test_clones_from_a_file_and_forgets(server: Running, client: httpx.Client, page: Page, recording: Path) -> None:
    page.open(server.url)
    page.wait("document.querySelectorAll('#voice option').length > 1")
    page.click("#clone summary")
    for fill, complaint in (
        (lambda: None, "Give the voice a name"),
        (lambda: page.type_into("#clone-name", "Mira"), "Record something first"),
        (lambda: page.choose_file("#clone-file", recording), "Tick the box"),
    ):
        fill()
        page.click("#create")
        page.wait(f"document.querySelector('#clone-problem').textContent.includes({json.dumps(complaint)})")
    page.click("#consent")
    page.click("#create")
    page.wait(MADE)
    assert page.run("document.querySelector('#voice').value") == "Mira"
    assert "Mira" in [voice["id"] for voice in client.get("/v1/audio/voices").json()["data"] if voice["custom"]]
    page.click("#speak")
    page.wait("document.querySelector('#state').textContent === 'Done.'")
    page.click("#delete-voice")
    assert page.run("document.querySelector('#delete-voice').textContent") == "Really delete?"
    page.click("#delete-voice")
    page.wait("![...document.querySelectorAll('#voice option')].some((option) => option.value === 'Mira')")
    assert "Mira" not in [voice["id"] for voice in client.get("/v1/audio/voices").json()["data"]]
    assert page.complaints == []


@needs_chromium
def test_clones_from_the_microphone(server: Running, client: httpx.Client, page: Page, tmp_path: Path) -> None:
    page.open(server.url)
    page.wait("document.querySelectorAll('#voice option').length > 1")
    page.click("#clone summary")
    (tmp_path / "song.wav").write_bytes(b"RIFF but no sound at all")
    page.choose_file("#clone-file", tmp_path / "song.wav")
    page.wait("document.querySelector('#sample').textContent === 'Recording: ? s'")
    page.type_into("#clone-name", "Nora")
    page.click("#consent")
    page.click("#create")
    page.wait("document.querySelector('#clone-problem').textContent.startsWith('This recording cannot be used')")
    page.click("#record")
    page.wait("parseFloat(document.querySelector('#sample').textContent) > 4")
    assert page.run("document.querySelector('#level').value") > 0
    page.click("#record")
    page.wait("document.querySelector('#sample').textContent.startsWith('Recording:')")
    assert not page.run("document.querySelector('#listen').disabled")
    page.click("#create")
    page.wait(MADE)
    assert page.run("document.querySelector('#voice').value") == "Nora"
    assert page.run("document.querySelector('#listen').disabled")  # the recording is gone from the page too
    assert client.delete("/v1/audio/voices/Nora").status_code == 200
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
        page.run("document.querySelector('#clone').open = true")
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


ATTEMPT = """(async () => {
  const tried = async (options) => {
    try {
      const answer = await fetch("%s/v1/audio/speech", {method: "POST", ...options});
      return answer.type === "opaque" ? "opaque" : `${answer.status} ${answer.headers.get("x-emotirt-voice")}`;
    } catch (error) {
      return error.name;
    }
  };
  const body = JSON.stringify({input: "Hi."});
  const form = new FormData();
  form.append("input", "Hi.");
  return {
    plain: await tried({mode: "no-cors", headers: {"content-type": "text/plain"}, body}),
    form: await tried({mode: "no-cors", body: form}),
    json: await tried({headers: {"content-type": "application/json", "x-stainless-lang": "js"}, body}),
    socket: await new Promise((done) => {
      const socket = new WebSocket("%s/v1/audio/stream");
      socket.onopen = () => done("open");
      socket.onerror = () => done("refused");
    }),
  };
})()"""


@contextmanager
def page_elsewhere() -> Iterator[str]:
    """Serve an empty page from a port of its own; gives its origin."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as elsewhere:
        thread = threading.Thread(target=elsewhere.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{elsewhere.server_port}"
        finally:
            elsewhere.shutdown()
            thread.join()


@needs_chromium
def test_a_page_from_elsewhere_speaks_only_if_it_is_let_in(
    server: Running, server_settings: ServerSettings, page: Page
) -> None:
    with page_elsewhere() as origin:
        page.open(origin)
        accepted = server.stats().accepted
        attempt = ATTEMPT % (server.url, f"ws://{server.address}")
        assert page.run(attempt) == {"plain": "opaque", "form": "opaque", "json": "TypeError", "socket": "refused"}
        assert server.stats().accepted == accepted
        with running(server_settings.model_copy(update={"allow_origins": origin})) as sharing:
            assert sharing.engine is not None
            attempt = ATTEMPT % (sharing.url, f"ws://{sharing.address}")
            voice = sharing.engine.bundle.manifest.default_voice["en"]
            found = page.run(attempt)
            assert (found["json"], found["socket"]) == (f"200 {voice}", "open")
            page.open("about:blank")
