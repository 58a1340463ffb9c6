"""Recordings become vectors: the right ones, once, prepared as training does, and only from what can be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from tests.assets.recordings import RATE_HZ, SPEECH, clip, not_speech, silence_flac, speech, wav, wav_header

from emotirt.audio.mel import log_mel
from emotirt.audio.speech_span import SPEECH_LEVEL_DBFS, speech_span
from emotirt.bundle.store import Bundle, default_bundle_path, open_bundle
from emotirt.errors import InvalidAudio, InvalidRequest
from emotirt.runtime.runner import Array, Runner
from emotirt.voices import clone as cloning
from emotirt.voices.clone import SHORTER_FRAMES, WINDOW_FRAMES, VoiceEncoder, prepared, unit_mean, windows_from_mel
from emotirt.voices.recording import MAX_RECORDINGS

LENGTHS = 1 + len(SHORTER_FRAMES)
"""A recording is heard once in windows of each length."""


class Counted:
    """A runner that counts its calls."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.inputs, self.outputs = runner.inputs, runner.outputs
        self.calls = 0

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        self.calls += 1
        return self.runner.run(feeds)

    def close(self) -> None:
        self.runner.close()


@pytest.fixture(scope="module")
def trained() -> Bundle:
    return open_bundle(default_bundle_path())


@pytest.fixture(scope="module")
def encoder(trained: Bundle) -> Iterator[VoiceEncoder]:
    opened = VoiceEncoder(trained, threads=1)
    yield opened
    opened.close()


@pytest.fixture
def counted(opened_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> tuple[VoiceEncoder, list[Counted]]:
    runners: list[Counted] = []
    really_open = cloning.open_runner

    def opened(*args: object) -> Counted:
        runners.append(Counted(really_open(*args)))  # type: ignore[arg-type]  # passed on as they came
        return runners[-1]

    monkeypatch.setattr(cloning, "open_runner", opened)
    return VoiceEncoder(opened_bundle, threads=1), runners


@pytest.mark.parametrize("name", ["kathleen", "linda"])
def test_presets_are_found_again_in_recordings_of_their_speakers(
    encoder: VoiceEncoder, trained: Bundle, name: str
) -> None:
    found = encoder.clone(clip(name))
    alike = {preset: float(found.speaker @ vector) for preset, vector in trained.vectors().voices.items()}
    assert max(alike, key=lambda preset: alike[preset]) == name
    assert alike[name] > 0.75
    assert sorted(alike.values())[-2] < 0.6


@pytest.mark.parametrize("name", ["sad", "angry"])
def test_emotions_are_found_in_recordings(encoder: VoiceEncoder, trained: Bundle, name: str) -> None:
    found = encoder.emotion(clip(name)).emotion
    alike = {tag: float(found @ vector) for tag, vector in trained.vectors().emotions.items()}
    assert max(alike, key=lambda tag: alike[tag]) == name


def test_level_silence_format_and_rate_do_not_change_a_voice(encoder: VoiceEncoder) -> None:
    plain = encoder.clone(clip("linda")).speaker
    samples = speech("linda")
    quiet = wav(np.concatenate([np.zeros(2 * RATE_HZ, np.float32), 0.1 * samples, np.zeros(RATE_HZ, np.float32)]))
    stereo = wav_header(RATE_HZ, 2, np.repeat((20_000 * samples).astype(np.int16), 2).tobytes())
    for changed in (wav(samples), quiet, stereo):
        assert float(plain @ encoder.clone(changed).speaker) > 0.95


def test_several_recordings_are_averaged(encoder: VoiceEncoder, tmp_path: Path) -> None:
    path = tmp_path / "kathleen.opus"
    path.write_bytes(clip("kathleen"))
    both = encoder.clone([path, clip("linda")])
    one, other = encoder.clone(str(path)), encoder.clone(clip("linda"))
    middle = one.speaker + other.speaker
    np.testing.assert_allclose(both.speaker, middle / np.linalg.norm(middle), atol=1e-4)
    assert [report.name for report in both.reports] == [f"recording {str(path)!r}", "recording 2"]
    assert both.sha256 == (*one.sha256, *other.sha256)


def test_a_known_recording_is_not_encoded_again(counted: tuple[VoiceEncoder, list[Counted]]) -> None:
    encoder, runners = counted
    first = encoder.clone(clip("linda"))
    encoder.emotion([clip("linda")])
    again = encoder.clone((clip("linda"),))
    assert [runner.calls for runner in runners] == [LENGTHS]
    np.testing.assert_array_equal(first.speaker, again.speaker)
    encoder.clone(clip("kathleen"))
    assert [runner.calls for runner in runners] == [2 * LENGTHS]


def test_the_cache_forgets_the_oldest(
    counted: tuple[VoiceEncoder, list[Counted]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloning, "CACHED_RECORDINGS", 2)
    encoder, runners = counted
    for name in ("linda", "kathleen", "linda", "sad", "linda", "kathleen"):
        encoder.emotion(clip(name))
    assert runners[0].calls == 4 * LENGTHS


def test_what_is_refused_runs_no_encoder(counted: tuple[VoiceEncoder, list[Counted]]) -> None:
    encoder, runners = counted
    (report,) = encoder.check(wav(not_speech("tune")))
    assert report.refusal
    for _ in range(2):
        with pytest.raises(InvalidAudio, match="the recording cannot be used: it does not sound like one person"):
            encoder.clone(wav(not_speech("tune")))
    assert runners == []


LONG = np.resize(speech("linda"), 31 * RATE_HZ)


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        (b"", "the recording is empty"),
        (b"no audio at all", "the recording cannot be decoded"),
        (clip("linda")[:300], "the recording (cannot be decoded|holds no sound)"),
        ("nowhere.wav", "cannot read recording 'nowhere.wav': No such file"),
        (Path("/"), "cannot read recording '/'"),
        ([], "0 recordings are not accepted; give 1 to"),
        ([b"x"] * (MAX_RECORDINGS + 1), "17 recordings are not accepted"),
        (7, "recording is int; give a path, bytes, or several"),
        ([clip("linda"), None], "recording is list"),
        (wav(np.zeros(4 * RATE_HZ, np.float32)), "it is silent"),
        (wav(speech("linda")[: 2 * RATE_HZ]), "the recording lasts 2.0 s, at least 3 s are needed; record more"),
        (wav(speech("linda")[:1000]), "it lasts 0.06 s; record at least 3 s"),
        (wav(LONG), "the recording is longer than 30 s; cut it shorter"),
        (silence_flac(600, 8), "longer than 30 s"),
        (wav_header(1, 1, b"\1\2" * 40), "sample rate of 1 Hz"),
        (wav_header(RATE_HZ, 200, b"\1\2" * 200 * 8000), "has 200 channels"),
        ([clip("linda"), wav(not_speech("chord"))], "recording 2 cannot be used"),
    ],
)  # fmt: skip
def test_what_cannot_be_cloned_says_why(encoder: VoiceEncoder, sources: object, words: str) -> None:
    with pytest.raises(InvalidAudio, match=words):
        encoder.clone(sources)  # type: ignore[arg-type]  # wrong on purpose


def test_little_speech_gives_an_emotion_but_no_voice(encoder: VoiceEncoder) -> None:
    short = wav(speech("sad")[: 2 * RATE_HZ])
    assert encoder.emotion(short).emotion.shape == (256,)
    with pytest.raises(InvalidAudio, match="at least 3 s are needed"):
        encoder.clone(short)


def test_bundles_without_an_encoder_refuse(emotivoice_bundle: Bundle) -> None:
    encoder = VoiceEncoder(emotivoice_bundle)
    for refused in (encoder.clone, encoder.emotion):
        with pytest.raises(InvalidRequest, match=r"needs a reference encoder.*the public EmotiVoice model has none"):
            refused(clip("linda"))


@pytest.mark.parametrize("name", SPEECH)
def test_preparation_trims_and_levels_as_training_does(name: str) -> None:
    made = prepared(speech(name))
    assert len(made) % 256 == 0
    start, end, level_dbfs = speech_span(speech(name))
    assert len(made) == (end - start) // 256 * 256
    assert np.abs(made).max() <= 0.9501
    assert speech_span(made)[2] == pytest.approx(SPEECH_LEVEL_DBFS, abs=0.3) or np.abs(made).max() > 0.94
    assert level_dbfs != SPEECH_LEVEL_DBFS


@pytest.mark.parametrize(("frames", "count"), [(1, 1), (200, 1), (320, 1), (321, 2), (480, 2), (481, 3), (1875, 11)])
def test_windows_cover_everything_and_lie_flush(frames: int, count: int) -> None:
    mel = np.tile(np.arange(frames, dtype=np.float32), (80, 1))
    windows, counts = windows_from_mel(mel)
    width = min(frames, WINDOW_FRAMES)
    assert windows.shape == (count, 80, width)
    assert counts.tolist() == [width] * count
    assert windows[0, 0, 0] == 0
    assert windows[-1, 0, -1] == frames - 1
    assert set(windows[:, 0].ravel().tolist()) == set(range(frames))


def test_windows_may_be_shorter() -> None:
    windows, counts = windows_from_mel(np.tile(np.arange(320, dtype=np.float32), (80, 1)), 125)
    assert windows.shape == (5, 80, 125)
    assert counts.tolist() == [125] * 5
    assert (windows[0, 0, 0], windows[-1, 0, -1]) == (0, 319)


def test_a_voice_is_the_mean_over_lengths_of_window(counted: tuple[VoiceEncoder, list[Counted]]) -> None:
    encoder, runners = counted
    samples = speech("linda")
    mel = log_mel(prepared(samples))
    speaker, emotion = encoder.vectors_of(samples)
    found = []
    for most_frames in (WINDOW_FRAMES, *SHORTER_FRAMES):
        mels, counts = windows_from_mel(mel, most_frames)
        found.append(runners[0].run({"mel": mels, "frames": counts}))
    expected = unit_mean(np.stack([unit_mean(one["speaker"]) for one in found]))
    np.testing.assert_allclose(speaker, expected, atol=1e-5)
    np.testing.assert_allclose(emotion, unit_mean(found[0]["emotion"]), atol=1e-5)
