"""The engine as its callers see it, on the tiny bundle: audio, controls, errors, threads."""

from __future__ import annotations

import math
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from emotirt.engine import Engine, SpeechRequest
from emotirt.errors import (
    BackendError,
    BackendUnavailable,
    BundleCorrupt,
    BundleNotFound,
    EmptyText,
    InvalidRequest,
    TextTooLong,
    UnknownEmotion,
    UnknownSymbol,
    UnknownVoice,
)
from emotirt.synthesis.speech import WHOLE_BLOCK_FRAMES
from emotirt.types import FloatArray, Prosody

ENGLISH = "The quick brown fox jumps over the lazy dog. Then it sleeps."
REQUESTS = (
    SpeechRequest(ENGLISH),
    SpeechRequest("今天天气很好，我们去公园散步吧。", emotion="高兴"),
    SpeechRequest("我用 Python 写程序。", voice="bo", prosody=Prosody(speed=1.3)),
    SpeechRequest("Hi.", emotion="sad", intensity=1.5),
    SpeechRequest("One. Two. Three. Four. Five. Six. Seven. Eight. Nine. Ten."),
    SpeechRequest("Wait [pause:0.3] for it."),
    SpeechRequest("One, two, three, four, five, six, seven, eight, nine, ten, eleven.", prosody=Prosody(speed=0.25)),
)


def samples(engine: Engine, text: str = ENGLISH, **options: object) -> FloatArray:
    return engine.say(SpeechRequest(text, **options)).audio.samples  # type: ignore[arg-type]  # varied on purpose


@pytest.mark.parametrize("request_", REQUESTS, ids=range(len(REQUESTS)))
def test_stream_equals_say(engine: Engine, request_: SpeechRequest) -> None:
    whole = engine.say(request_).audio
    chunks = list(engine.stream(request_))
    streamed = np.concatenate([chunk.samples for chunk in chunks])
    assert streamed.shape == whole.samples.shape
    assert np.abs(streamed - whole.samples).max() <= 1e-4
    assert {chunk.sample_rate_hz for chunk in chunks} == {whole.sample_rate_hz} == {engine.sample_rate_hz}


def test_the_same_request_gives_the_same_bytes(engine: Engine, tiny_bundle: Path) -> None:
    with Engine.open(tiny_bundle, threads=1) as second:
        for request in REQUESTS:
            first = engine.say(request).audio.samples.tobytes()
            assert engine.say(request).audio.samples.tobytes() == first
            assert second.say(request).audio.samples.tobytes() == first
            streams = [b"".join(chunk.samples.tobytes() for chunk in engine.stream(request)) for _ in range(2)]
            assert streams[0] == streams[1]


def test_sentences_sound_the_same_together_and_alone(engine: Engine) -> None:
    texts = ["Hi.", "This one is a good deal longer than the others are.", "你好。", "No way!"]
    together = samples(engine, "".join(text + " " for text in texts), voice="ada")
    parts = [samples(engine, text, voice="ada") for text in texts]
    gap = np.zeros(round(0.25 * engine.sample_rate_hz), np.float32)
    joined = np.concatenate([piece for part in parts for piece in (part, gap)][:-1])
    assert together.shape == joined.shape
    assert np.abs(together - joined).max() <= 1e-4


def test_threads_give_what_one_alone_gives(engine: Engine) -> None:
    expected = [engine.say(request).audio.samples for request in REQUESTS]
    work = [(index, whole) for index in range(len(REQUESTS)) for whole in (True, False, True)]

    def speak(item: tuple[int, bool]) -> FloatArray:
        index, whole = item
        if whole:
            return engine.say(REQUESTS[index]).audio.samples
        return np.concatenate([chunk.samples for chunk in engine.stream(REQUESTS[index])])

    with ThreadPoolExecutor(4) as pool:
        for (index, whole), found in zip(work, pool.map(speak, work), strict=True):
            if whole:
                np.testing.assert_array_equal(found, expected[index])
            assert np.abs(found - expected[index]).max() <= 1e-4


@pytest.mark.parametrize("options", [{"threads": 2}, {"threads": 1, "backend": "torch"}])
def test_threads_and_backends_agree(engine: Engine, tiny_bundle: Path, options: dict[str, object]) -> None:
    with Engine.open(tiny_bundle, **options) as other:  # type: ignore[arg-type]  # varied on purpose
        for request in REQUESTS:
            expected, found = engine.say(request).audio.samples, other.say(request).audio.samples
            assert found.shape == expected.shape
            assert np.abs(found - expected).max() <= 1e-4
            assert other.say(request).audio.samples.tobytes() == found.tobytes()


def test_one_of_the_requests_is_longer_than_any_window(engine: Engine) -> None:
    """So that ``say`` joins windows too, not only the stream."""
    longest = max(engine.say(request).audio.samples.size for request in REQUESTS)
    assert longest > 1.5 * WHOLE_BLOCK_FRAMES * engine.bundle.manifest.hop_samples


@pytest.mark.parametrize("request_", REQUESTS, ids=range(len(REQUESTS)))
def test_no_click_at_the_edges_and_no_sample_out_of_range(engine: Engine, request_: SpeechRequest) -> None:
    audio = engine.say(request_).audio.samples
    assert audio.dtype == np.float32
    assert np.isfinite(audio).all()
    assert np.abs(audio).max() < 1.0
    assert audio[0] == audio[-1] == 0.0
    assert np.abs(audio[:3]).max() < 0.02
    assert np.abs(audio[-3:]).max() < 0.02


def test_the_ending_is_whole(engine: Engine) -> None:
    """The last frame is there in full length and loudness up to the fade of 2 ms."""
    audio = samples(engine, "Hi.")
    assert len(audio) % engine.bundle.manifest.hop_samples == 0
    tail, fade = audio[-1600:], round(0.002 * engine.sample_rate_hz)
    assert np.sqrt(np.mean(tail[-400:-fade] ** 2)) > 0.5 * np.sqrt(np.mean(tail[:1200] ** 2)) > 0


@pytest.mark.parametrize("seconds", [0.1, 1.0, 2.5])
def test_pauses_last_as_long_as_asked(engine: Engine, seconds: float) -> None:
    count = round(seconds * engine.sample_rate_hz)
    first, second = samples(engine, "Hello."), samples(engine, "There.")
    for audio in (
        samples(engine, f"Hello. [pause:{seconds}] There."),
        np.concatenate([c.samples for c in engine.stream(SpeechRequest(f"Hello. [pause:{seconds}] There."))]),
    ):
        assert len(audio) == len(first) + count + len(second)
        assert not audio[len(first) : len(first) + count].any()
        assert np.abs(audio[: len(first)] - first).max() <= 1e-4
        assert np.abs(audio[len(first) + count :] - second).max() <= 1e-4


def test_a_pause_at_the_end_is_kept(engine: Engine) -> None:
    spoken, held = samples(engine, "Hello."), samples(engine, "Hello. [pause:0.5]")
    assert len(held) - len(spoken) == round(0.5 * engine.sample_rate_hz)
    assert not held[len(spoken) :].any()


@pytest.mark.parametrize("emotion", ["happy", "sad", "难过"])
def test_intensity_zero_is_neutral(engine: Engine, emotion: str) -> None:
    neutral = samples(engine, emotion="neutral")
    assert samples(engine, emotion=emotion, intensity=0.0).tobytes() == neutral.tobytes()
    strong = samples(engine, emotion=emotion, intensity=1.0)
    assert strong.shape != neutral.shape or np.abs(strong - neutral).max() > 0.01


def test_intensity_of_neutral_changes_nothing(engine: Engine) -> None:
    neutral = samples(engine)
    for intensity in (0.0, 0.5, 1.5):
        other = samples(engine, intensity=intensity)
        assert np.abs(other - neutral).max() <= 1e-4


def test_controls_act(engine: Engine) -> None:
    plain = samples(engine)
    slow, fast = samples(engine, prosody=Prosody(speed=0.5)), samples(engine, prosody=Prosody(speed=2.0))
    gap = round(0.25 * engine.sample_rate_hz)  # between the two sentences, whatever the speed
    assert (len(slow) - gap) / (len(plain) - gap) == pytest.approx(2.0, rel=0.03)
    assert (len(fast) - gap) / (len(plain) - gap) == pytest.approx(0.5, rel=0.03)
    for prosody in (Prosody(pitch_shift_semitones=6.0), Prosody(pitch_range=0.0), Prosody(energy_db=12.0)):
        changed = samples(engine, prosody=prosody)
        assert changed.shape == plain.shape  # of the controls only speed has a say in the length
        assert np.abs(changed - plain).max() > 0.001
    assert np.abs(samples(engine, voice="bo")[:1000] - plain[:1000]).max() > 0.001


@pytest.mark.parametrize(
    ("text", "asked", "voice"),
    [(ENGLISH, None, "ada"), ("你好。", None, "chen"), ("你好。", "bo", "bo"), (ENGLISH, "CHEN", "chen")],
)
def test_the_voice_that_spoke_is_told(engine: Engine, text: str, asked: str | None, voice: str) -> None:
    request = SpeechRequest(text, voice=asked)
    assert engine.say(request).voice == engine.stream(request).voice == voice
    np.testing.assert_array_equal(engine.say(request).audio.samples, samples(engine, text, voice=voice))


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        (SpeechRequest(""), EmptyText, ["nothing"]),
        (SpeechRequest("?!…。😀"), EmptyText, ["nothing"]),
        (SpeechRequest("[pause:1]"), EmptyText, ["nothing"]),
        (SpeechRequest("a" * 100_000), TextTooLong, ["100000", "20000"]),
        (SpeechRequest("Hi [pause:11]"), InvalidRequest, ["[pause:11]", "10"]),
        (SpeechRequest("[[QQ1 ZZ0]]"), UnknownSymbol, ["'QQ1'"]),
        (SpeechRequest("Hi", voice="adaa"), UnknownVoice, ["'adaa'", "nearest: ada"]),
        (SpeechRequest("Hi", voice=""), UnknownVoice, ["''"]),
        (SpeechRequest("Hi", emotion="hapy"), UnknownEmotion, ["'hapy'", "nearest: happy"]),
        (SpeechRequest("Hi", intensity=math.nan), InvalidRequest, ["intensity nan"]),
        (SpeechRequest("Hi", intensity=1.6), InvalidRequest, ["intensity 1.6", "0 to 1.5"]),
        (SpeechRequest("Hi", prosody=Prosody(speed=0.0)), InvalidRequest, ["speed 0", "0.25 to 4"]),
        (SpeechRequest("Hi", prosody=Prosody(speed=math.nan)), InvalidRequest, ["speed nan"]),
        (SpeechRequest("Hi", prosody=Prosody(pitch_shift_semitones=math.inf)), InvalidRequest, ["pitch shift"]),
        (SpeechRequest("Hi", prosody=Prosody(pitch_range=-0.1)), InvalidRequest, ["pitch range -0.1"]),
        (SpeechRequest("Hi", prosody=Prosody(energy_db=21)), InvalidRequest, ["energy in dB 21"]),
        (SpeechRequest(b"Hi"), InvalidRequest, ["bytes", "str"]),  # type: ignore[arg-type]  # wrong on purpose
        (SpeechRequest(None), InvalidRequest, ["NoneType", "str"]),  # type: ignore[arg-type]  # wrong on purpose
    ],
)
def test_bad_requests_are_refused_at_once(
    engine: Engine, request_: SpeechRequest, error: type[Exception], words: list[str]
) -> None:
    for speak in (engine.say, engine.stream):
        with pytest.raises(error) as caught:
            speak(request_)
        assert isinstance(caught.value, InvalidRequest)
        assert [word for word in words if word not in str(caught.value)] == []


def test_timings_and_warnings(engine: Engine) -> None:
    result = engine.say(SpeechRequest(ENGLISH))
    timings = result.timings
    assert min(timings.frontend_s, timings.acoustic_s, timings.vocoder_s) > 0
    assert timings.total_s == pytest.approx(timings.frontend_s + timings.acoustic_s + timings.vocoder_s)
    assert timings.audio_s == pytest.approx(result.audio.duration_s)
    assert result.warnings == ()


@pytest.mark.parametrize(
    ("text", "unspoken"),
    [
        ("One こんに。", "こんに"),
        ("One Да, Да.", "Да"),
        ("One 안녕.", "안녕"),
        ("Café naïve ÆØ ß ł ＡＢ １ ½ ² ª μm π 😀 東京 \uf900.", ""),
    ],
)
def test_letters_that_nobody_reads_are_told(engine: Engine, text: str, unspoken: str) -> None:
    told = f"letters that are neither English nor Chinese are not spoken: {unspoken}"
    assert engine.say(SpeechRequest(text)).warnings == ((told,) if unspoken else ())


def test_what_an_engine_offers(engine: Engine) -> None:
    assert [voice.name for voice in engine.voices] == ["ada", "bo", "chen"]
    assert [emotion.name for emotion in engine.emotions] == ["neutral", "happy", "sad"]
    assert engine.backend == "onnxruntime"
    assert engine.threads == 1
    assert engine.sample_rate_hz == 16_000


def test_a_stream_that_nobody_finishes_harms_nobody(engine: Engine) -> None:
    expected = samples(engine)
    for _ in range(3):
        next(engine.stream(SpeechRequest(ENGLISH)))
    np.testing.assert_array_equal(samples(engine), expected)


def test_a_closed_engine_says_so(tiny_bundle: Path) -> None:
    engine = Engine.open(tiny_bundle, threads=1)
    stream = engine.stream(SpeechRequest(ENGLISH))
    engine.close()
    engine.close()
    with pytest.raises(BackendError, match="closed"):
        engine.say(SpeechRequest("Hi"))
    with pytest.raises(BackendError, match="closed"):
        next(stream)


def test_what_cannot_be_opened_is_named(tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleNotFound, match="nowhere"):
        Engine.open(tmp_path / "nowhere")
    with pytest.raises(BackendUnavailable, match="'abacus'"):
        Engine.open(tiny_bundle, backend="abacus")
    for threads in (0, -2):
        with pytest.raises(InvalidRequest, match=f"{threads} threads"):
            Engine.open(tiny_bundle, threads=threads)
    for name in ("decoder.onnx", "vectors.npz"):
        copy = Path(shutil.copytree(tiny_bundle, tmp_path / name))
        data = bytearray((copy / name).read_bytes())
        data[100] ^= 1
        (copy / name).write_bytes(data)
        with pytest.raises(BundleCorrupt, match=name):
            Engine.open(copy, threads=1)


def test_token_times_cover_the_audio(engine: Engine) -> None:
    """Every utterance's frames lie where they are said to, whole and streamed."""
    result = engine.say(SpeechRequest("Hello there. [pause:0.5] 你好。 And so on."))
    stream = engine.stream(SpeechRequest("Hello there. [pause:0.5] 你好。 And so on."))
    chunks = list(stream)
    streamed = [chunk.spoken for chunk in chunks if chunk.spoken is not None]
    ends = [0, *np.cumsum([len(chunk.samples) for chunk in chunks])]
    assert [chunk.first_sample for chunk in chunks] == ends[:-1]
    assert len(result.spoken) == len(streamed) == stream.utterance_count == 3
    for whole, piece in zip(result.spoken, streamed, strict=True):
        np.testing.assert_array_equal(whole.durations_frames, piece.durations_frames)
        assert whole.first_sample == piece.first_sample
        assert whole.utterance is not None
        stop = whole.first_sample + int(whole.durations_frames.sum()) * whole.hop_samples
        assert result.audio.samples[whole.first_sample + 1 : stop - 1].any()
        assert not result.audio.samples[stop : stop + 1000].any()
    last = result.spoken[-1]
    assert last.first_sample + int(last.durations_frames.sum()) * last.hop_samples == len(result.audio.samples)
