"""A bundle of a public EmotiVoice checkpoint behind the engine and the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.assets.emotivoice import arrays

from emotirt.audio.read import read_audio
from emotirt.cli.main import main
from emotirt.engine import Engine, SpeechRequest
from emotirt.errors import EmptyText, InvalidRequest, UnknownEmotion, UnknownVoice
from emotirt.types import FloatArray, Prosody
from emotirt.voices.clone import VoiceEncoder

MIXED = "今天天气真不错！我们用 Python 写 three programs. It works."


def samples(engine: Engine, text: str = "今天天气真不错。", **options: object) -> FloatArray:
    return engine.say(SpeechRequest(text, **options)).audio.samples  # type: ignore[arg-type]  # varied on purpose


@pytest.mark.parametrize(
    "request_",
    [
        SpeechRequest(MIXED, voice="8051", prompt="非常开心"),
        SpeechRequest("你好", emotion="悲伤", intensity=1.5),
        SpeechRequest("Hello, world.", voice="11614", prosody=Prosody(1.4, 2.0, 1.2, 3.0)),
        SpeechRequest("等一下[pause:0.2]好"),
    ],
)
def test_stream_equals_say(emotivoice_engine: Engine, request_: SpeechRequest) -> None:
    whole = emotivoice_engine.say(request_).audio.samples
    streamed = np.concatenate([chunk.samples for chunk in emotivoice_engine.stream(request_)])
    assert streamed.shape == whole.shape
    assert (np.abs(streamed - whole) > 1e-4).mean() < 1e-3  # its untrained vocoder saturates, see parity
    assert np.isfinite(whole).all()


def test_voice_prompt_emotion_and_prosody_each_matter(emotivoice_engine: Engine) -> None:
    plain = samples(emotivoice_engine)
    for options in (
        {"voice": "11614"},
        {"prompt": "非常开心"},
        {"emotion": "happy"},
        {"prosody": Prosody(speed=1.5)},
        {"prosody": Prosody(pitch_shift_semitones=3.0)},
        {"prosody": Prosody(energy_db=6.0)},
    ):
        other = samples(emotivoice_engine, **options)
        assert other.shape != plain.shape or np.abs(other - plain).max() > 1e-3, options


def test_an_emotion_is_its_prompt(emotivoice_engine: Engine) -> None:
    named, described = (samples(emotivoice_engine, **how) for how in ({"emotion": "happy"}, {"prompt": "开心"}))
    assert named.shape == described.shape
    assert (np.abs(named - described) > 1e-4).mean() < 1e-3
    neutral = samples(emotivoice_engine)
    none = samples(emotivoice_engine, prompt="非常开心", intensity=0.0)
    assert none.shape == neutral.shape
    assert (np.abs(none - neutral) > 1e-4).mean() < 1e-3


def test_prompts_are_computed_once(emotivoice_engine: Engine) -> None:
    prompts = emotivoice_engine._pipeline.prompts
    assert prompts is not None
    first = prompts.style("非常生气")
    assert prompts.style("  非常生气 ") is first
    assert np.abs(first - arrays("prompts.npz")["prompt1_pooled"][0]).max() < 1e-5
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0.0


def test_contents_are_cut_and_prompts_refused_past_the_limit(emotivoice_engine: Engine) -> None:
    prompts = emotivoice_engine._pipeline.prompts
    assert prompts is not None
    long = "开心" * 60
    assert np.isfinite(prompts.contents([long])).all()
    assert np.array_equal(prompts.contents([long]), prompts.contents([long[:62] + "天"]))
    with pytest.raises(InvalidRequest, match="has 122 word pieces, at most 64 are possible; shorten it"):
        prompts.style(long)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"prompt": ""}, InvalidRequest, "says nothing; describe a way of speaking"),
        ({"prompt": "   "}, InvalidRequest, "says nothing"),
        ({"prompt": 3}, InvalidRequest, "prompt 3 says nothing"),
        ({"prompt": "开心", "emotion": "sad"}, InvalidRequest, "a prompt and the emotion 'sad' exclude each other"),
        ({"emotion": "非常开心"}, UnknownEmotion, "or describe it in your own words as a prompt"),
        ({"voice": "9999999"}, UnknownVoice, "no voice '9999999'.*available: 8051"),
        ({"text": "🙂"}, EmptyText, "nothing"),
    ],
)
def test_bad_requests_are_named(
    emotivoice_engine: Engine, options: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        samples(emotivoice_engine, **({"text": "你好"} | options))


def test_the_default_bundle_takes_no_prompts(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match="bundle 'tiny' takes no prompt in words; choose an emotion: neutral, "):
        samples(engine, prompt="非常开心")


def test_what_needs_recordings_is_refused(emotivoice_engine: Engine, engine: Engine) -> None:
    encoder = VoiceEncoder(emotivoice_engine.bundle)
    for what in ("cloning a voice", "an emotion by example", "blending with a cloned voice"):
        with pytest.raises(
            InvalidRequest, match=f"{what} needs a reference encoder.*the public EmotiVoice model has none"
        ):
            encoder.require(what)
    VoiceEncoder(engine.bundle).require("cloning a voice")


def test_command_line(emotivoice_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "x.wav"
    bundle = ["--bundle", str(emotivoice_path)]
    assert main(["say", *bundle, "--voice", "8051", "--prompt", "非常开心", "你好", "--out", str(out)]) == 0
    audio = read_audio(out)
    assert audio.sample_rate_hz == 16_000
    assert audio.duration_s > 0.1
    capsys.readouterr()
    assert main(["voices", *bundle, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["voices"][0]["name"] == "8051"
    assert main(["doctor", *bundle]) == 0
    assert "8051 (mul)" in capsys.readouterr().out
