"""The speech endpoint by real HTTP: formats, streaming, style, headers, limits."""

from __future__ import annotations

import base64
import json
import time
from itertools import pairwise

import httpx
import numpy as np
import pytest
from tests.server.conftest import Running, running

from emotirt.audio.pcm import float_from_s16le
from emotirt.audio.read import read_audio
from emotirt.engine import Engine, SpeechRequest
from emotirt.engine.settings import EngineSettings
from emotirt.scheduling.admission import AdmissionLimits
from emotirt.server.settings import ServerSettings
from emotirt.types import Prosody

PATH = "/v1/audio/speech"
HI = {"model": "tts-1", "voice": "alloy", "input": "Hi."}
LONG = "One, two, three, four, five. " * 40
FAST_PCM = {"response_format": "pcm", "sample_rate": 192_000}
"""So many bytes a second that a client that does not read soon holds its request up."""


def events(text: str) -> list[dict[str, object]]:
    return [json.loads(line[len("data: ") :]) for line in text.split("\n\n") if line]


def pcm(client: httpx.Client, **fields: object) -> bytes:
    answer = client.post(PATH, json={**HI, "response_format": "pcm", **fields})
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("mp3", "audio/mpeg"),
        ("opus", "audio/ogg"),
        ("aac", "audio/aac"),
        ("flac", "audio/flac"),
        ("wav", "audio/wav"),
    ],
)
def test_formats(client: httpx.Client, tmp_path, name: str, media_type: str) -> None:
    answer = client.post(PATH, json={**HI, "response_format": name})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == media_type
    path = tmp_path / f"hi.{name}"
    path.write_bytes(answer.content)
    assert read_audio(path).duration_s > 0.1


def test_mp3_is_the_default(client: httpx.Client) -> None:
    assert client.post(PATH, json=HI).headers["content-type"] == "audio/mpeg"


def test_pcm_is_what_the_engine_says_at_24_khz(client: httpx.Client, engine: Engine) -> None:
    said = engine.say(SpeechRequest("Hi.")).audio
    data = pcm(client)
    assert len(data) / 2 / 24_000 == pytest.approx(said.duration_s, abs=0.01)
    own = float_from_s16le(pcm(client, sample_rate=said.sample_rate_hz))
    assert own.shape == said.samples.shape
    assert np.abs(own - said.samples).max() < 2e-3  # 16 bits, and another batch shape


def test_style_reaches_the_engine(client: httpx.Client, engine: Engine) -> None:
    rate_hz = engine.sample_rate_hz
    asked = SpeechRequest("Hi.", "bo", "happy", 1.4, Prosody(speed=2.0))
    said = engine.say(asked).audio.samples
    by_fields = float_from_s16le(pcm(client, voice="bo", emotion="高兴", intensity=1.4, speed=2.0, sample_rate=rate_hz))
    by_words = float_from_s16le(
        pcm(client, voice={"id": "bo"}, instructions="Sound very happy.", speed=2, sample_rate=rate_hz)
    )
    for heard in (by_fields, by_words):
        assert heard.shape == said.shape
        assert np.abs(heard - said).max() < 2e-3


def test_pitch_and_loudness_reach_the_engine(client: httpx.Client, engine: Engine) -> None:
    rate_hz = engine.sample_rate_hz
    asked = SpeechRequest("Hi.", prosody=Prosody(pitch_shift_semitones=4.0, pitch_range=0.5, energy_db=-6.0))
    said = engine.say(asked).audio.samples
    heard = float_from_s16le(pcm(client, pitch=4, pitch_range=0.5, energy=-6.0, sample_rate=rate_hz))
    assert heard.shape == said.shape
    assert np.abs(heard - said).max() < 2e-3
    assert np.abs(said - engine.say(SpeechRequest("Hi.")).audio.samples).max() > 2e-3


def test_every_seed_gives_the_same_speech_and_comes_back(client: httpx.Client) -> None:
    spoken = [pcm(client), pcm(client, seed=1), pcm(client, seed=1), pcm(client, seed=-(2**53) + 1)]
    assert spoken.count(spoken[0]) == 4
    answer = client.post(PATH, json={**HI, "seed": 2**53 - 1, "stream_format": "sse"})
    assert answer.headers["x-emotirt-seed"] == "9007199254740991"
    assert events(answer.text)[-1]["seed"] == 2**53 - 1
    assert "x-emotirt-seed" not in client.post(PATH, json=HI).headers


def test_headers_explain_the_latency(client: httpx.Client) -> None:
    headers = client.post(PATH, json=HI).headers
    assert headers["x-request-id"].startswith("req_")
    parts = dict(item.split(";dur=") for item in headers["server-timing"].split(", "))
    assert set(parts) == {"queue", "frontend", "acoustic", "vocoder", "first_audio"}
    assert float(parts["first_audio"]) >= float(parts["acoustic"]) > 0.0
    assert headers["x-emotirt-voice"] == "ada"


def test_audio_comes_in_pieces(client: httpx.Client) -> None:
    sizes = []
    with client.stream("POST", PATH, json={**HI, "input": "One. Two. Three.", "response_format": "pcm"}) as answer:
        assert answer.headers["transfer-encoding"] == "chunked"
        sizes = [len(piece) for piece in answer.iter_raw()]
    assert len(sizes) >= 3


def test_events_carry_the_same_audio_and_its_times(client: httpx.Client, engine: Engine) -> None:
    fields = {"input": "One two. 你好！", "stream_format": "sse", "timestamps": ["word", "phoneme", "viseme"]}
    answer = client.post(PATH, json={**HI, **fields, "response_format": "pcm", "sample_rate": 16_000})
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = events(answer.text)
    audio = b"".join(base64.b64decode(str(event["audio"])) for event in found if event["type"] == "speech.audio.delta")
    assert audio == pcm(client, input="One two. 你好！", sample_rate=16_000)
    spoken = [event for event in found if event["type"] == "speech.audio.timestamps"]
    assert [word["word"] for event in spoken for word in event["words"]] == ["One", "two", "你好"]
    assert spoken[0]["phonemes"][0]["phoneme"] == "W"
    said = engine.say(SpeechRequest("One two. 你好！"))
    starts = [item.first_sample / engine.sample_rate_hz for item in said.spoken]
    assert [event["start_s"] for event in spoken] == pytest.approx(starts, abs=1e-5)
    for event in spoken:  # the shapes of the mouth fill the utterance
        shapes = event["visemes"]
        assert (shapes[0]["start_s"], shapes[-1]["end_s"]) == (event["start_s"], event["end_s"])
        assert all(before["end_s"] == after["start_s"] for before, after in pairwise(shapes))
    for event in spoken:  # an utterance's times come before its audio
        before = found[: found.index(event)]
        heard_s = sum(len(base64.b64decode(str(item.get("audio", "")))) for item in before) / 2 / 16_000
        assert heard_s <= float(str(event["start_s"])) + 1e-6
    assert found[-1]["type"] == "speech.audio.done"
    assert found[-1]["usage"]["total_tokens"] > found[-1]["usage"]["input_tokens"] > 0


def test_text_past_the_limit_is_cut_with_a_warning_or_refused(client: httpx.Client) -> None:
    text = "Yes. " + " " * 20_000
    with client.stream("POST", PATH, json={**HI, "input": text}) as answer:
        assert answer.status_code == 200
        assert "the limit is 20000" in answer.headers["x-emotirt-warning"]
    refused = client.post(PATH, json={**HI, "input": text, "strict": True})
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "text_too_long"


def test_client_that_leaves_cancels_its_request(client: httpx.Client, server: Running) -> None:
    before = server.stats().cancelled
    with client.stream("POST", PATH, json={**HI, "input": LONG, "response_format": "pcm"}) as answer:
        next(answer.iter_raw())
    ends_s = time.monotonic() + 10
    while server.stats().cancelled == before and time.monotonic() < ends_s:
        time.sleep(0.01)
    assert server.stats().cancelled > before


def test_models_and_voices(client: httpx.Client) -> None:
    models = client.get("/v1/models").json()
    assert [item["id"] for item in models["data"]] == ["tiny", "tts-1", "tts-1-hd", "gpt-4o-mini-tts"]
    assert client.get("/v1/models/tiny").json()["object"] == "model"
    assert client.get("/v1/models/whisper-1").json()["error"]["code"] == "model_not_found"
    voices = client.get("/v1/audio/voices").json()
    assert [item["id"] for item in voices["data"]] == ["ada", "bo", "chen"]
    assert [item["name"] for item in voices["emotions"]] == ["neutral", "happy", "sad"]


def test_health_and_metrics(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz").json()
    assert (ready["status"], ready["backend"], ready["bundle"]) == ("ready", "onnxruntime", "tiny")
    pcm(client)
    counted, deadline_s = 'emotirt_http_responses_total{path="/v1/audio/speech",status="200"}', time.monotonic() + 10
    while counted not in (text := client.get("/metrics").text) and time.monotonic() < deadline_s:
        time.sleep(0.01)  # a reply is counted a moment after its last byte
    values = {line.split(" ")[0]: line.split(" ")[1] for line in text.splitlines() if not line.startswith("#")}
    assert float(values["emotirt_first_audio_seconds_count"]) >= 1
    assert float(values['emotirt_requests_ended_total{error="",outcome="result",priority="live"}']) >= 1
    assert float(values['emotirt_batch_fill_count{stage="vocoder"}']) >= 1
    assert float(values['emotirt_http_responses_total{path="/v1/audio/speech",status="200"}']) >= 1
    assert float(values["emotirt_audio_seconds_total"]) > 0


def test_full_and_late(server_settings: ServerSettings) -> None:
    engine_settings = EngineSettings(warm_up=False, live_deadline_s=60.0, admission=AdmissionLimits(requests=1))
    with running(server_settings, engine_settings) as started, httpx.Client(base_url=started.url, timeout=60) as http:
        late = http.post(PATH, json={**HI, "deadline_ms": 0.001})
        assert late.status_code == 504
        assert late.headers["x-should-retry"] == "false"
        assert late.json()["error"]["code"] == "deadline_exceeded"
        with http.stream("POST", PATH, json={**HI, "input": LONG, **FAST_PCM}) as answer:
            pieces = answer.iter_raw()  # held on to: dropping it closes the connection
            next(pieces)
            full = http.post(PATH, json=HI)
            assert full.status_code == 429
            assert int(full.headers["retry-after"]) >= 1
            assert full.json()["error"]["type"] == "rate_limit_error"


def test_wav_declares_its_rate(client: httpx.Client) -> None:
    data = client.post(PATH, json={**HI, "response_format": "wav", "sample_rate": 8_000}).content
    assert int.from_bytes(data[24:28], "little") == 8_000
