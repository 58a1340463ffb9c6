"""Times of words, phonemes and visemes against the audio they belong to."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from emotirt.engine import Engine, SpeechRequest
from emotirt.synthesis.times import phoneme_times, timestamps_from_spoken, viseme_times, word_times
from emotirt.types import SpokenUtterance, Utterance, Word


@pytest.fixture
def spoken() -> SpokenUtterance:
    utterance = Utterance("Hi you.", ("^", "HH", "AY1", "#", "Y", "UW1", ".", "$"), np.arange(8), (
        Word("hi", 1, 2), Word("you", 4, 2),
    ))  # fmt: skip
    return SpokenUtterance(utterance, np.asarray([2, 3, 5, 0, 4, 6, 7, 1]), 1000, 100)


def test_words_lie_where_their_tokens_do(spoken: SpokenUtterance) -> None:
    words = [(item.text, item.start_s, item.end_s) for item in word_times(spoken, 1000)]
    assert words == [("hi", 1.2, 2.0), ("you", 2.0, 3.0)]


def test_phonemes_are_those_of_the_words(spoken: SpokenUtterance) -> None:
    phonemes = [(item.text, item.start_s, item.end_s) for item in phoneme_times(spoken, 1000)]
    assert phonemes == [("HH", 1.2, 1.5), ("AY1", 1.5, 2.0), ("Y", 2.0, 2.4), ("UW1", 2.4, 3.0)]


def test_pauses_within_a_word_are_no_phonemes() -> None:
    utterance = Utterance("来", ("<sos/eos>", "l", "ai2", "sp0", "d", "ao4", "<sos/eos>"), np.arange(7), (
        Word("来到", 1, 5),
    ))  # fmt: skip
    spoken = SpokenUtterance(utterance, np.full(7, 2), 0, 10)
    assert [item.text for item in phoneme_times(spoken, 1000)] == ["l", "ai2", "d", "ao4"]


def visemes(symbols: str, frames: list[int], hop_samples: int = 16) -> list[tuple[str, int]]:
    """Shapes and their frames; a frame is 16 ms unless told otherwise."""
    names = tuple(symbols.split())
    spoken = SpokenUtterance(Utterance("", names, np.arange(len(names))), np.asarray(frames), 3_000, hop_samples)
    times = viseme_times(spoken, 1000)
    assert times[0].start_s == pytest.approx(3.0)
    assert all(before.end_s == after.start_s for before, after in pairwise(times))
    return [(item.text, round((item.end_s - item.start_s) * 1000 / hop_samples)) for item in times]


def test_visemes_fill_the_utterance_and_divide_glides_at_whole_frames() -> None:
    assert visemes("^ HH AY1 # Y UW1 . $", [2, 3, 5, 0, 4, 6, 7, 1]) == [
        ("sil", 2), ("kk", 3), ("aa", 3), ("ih", 6), ("ou", 6), ("sil", 8),
    ]  # fmt: skip
    assert visemes("^ x iao4 $", [1, 4, 8, 1]) == [("sil", 1), ("CH", 4), ("ih", 2), ("aa", 4), ("ou", 2), ("sil", 1)]
    assert visemes("^ AY1 $", [1, 1, 1]) == [("sil", 1), ("aa", 1), ("sil", 1)]  # the nucleus has the only frame


def test_equal_neighbours_are_one_viseme() -> None:
    assert visemes("^ S # SS0 B P M $", [1, 2, 0, 0, 2, 3, 4, 1]) == [("sil", 1), ("SS", 2), ("PP", 9), ("sil", 1)]


def test_the_mouth_rests_at_pauses_but_not_at_short_gaps() -> None:
    assert visemes("^ AA1 # B $", [1, 5, 1, 3, 1]) == [("sil", 1), ("aa", 6), ("PP", 3), ("sil", 1)]
    assert visemes("^ AA1 , B . $", [1, 5, 9, 3, 1, 1]) == [("sil", 1), ("aa", 5), ("sil", 9), ("PP", 3), ("sil", 2)]
    assert visemes("<sos/eos> h ao3 sp3 [Y] <sos/eos>", [1, 2, 6, 20, 4, 1]) == [
        ("sil", 1), ("kk", 2), ("aa", 4), ("ou", 2), ("sil", 20), ("ih", 4), ("sil", 1),
    ]  # fmt: skip


def test_json_holds_what_was_asked_for(spoken: SpokenUtterance) -> None:
    described = timestamps_from_spoken(spoken, 1000, ["word"], offset_s=1.0)
    assert described == {
        "text": "Hi you.",
        "start_s": 2.0,
        "end_s": 4.8,
        "words": [{"word": "hi", "start_s": 2.2, "end_s": 3.0}, {"word": "you", "start_s": 3.0, "end_s": 4.0}],
    }
    assert "words" not in timestamps_from_spoken(spoken, 1000, ["phoneme"])
    shapes = timestamps_from_spoken(spoken, 1000, ["viseme"], offset_s=1.0)["visemes"]
    assert isinstance(shapes, list)
    assert shapes[:2] == [
        {"id": 0, "viseme": "sil", "start_s": 2.0, "end_s": 2.2},
        {"id": 5, "viseme": "kk", "start_s": 2.2, "end_s": 2.5},
    ]
    assert shapes[-1] == {"id": 0, "viseme": "sil", "start_s": 4.0, "end_s": 4.8}


def test_times_of_real_speech_fill_its_audio(engine: Engine) -> None:
    result = engine.say(SpeechRequest("One two. [pause:0.4] 今天天气很好。"))
    rate_hz = engine.sample_rate_hz
    words = [word for spoken in result.spoken for word in word_times(spoken, rate_hz)]
    assert [word.text for word in words][:2] == ["One", "two"]
    assert all(before.end_s <= after.start_s for before, after in pairwise(words))
    assert words[0].start_s >= 0.0
    assert words[-1].end_s <= result.audio.duration_s
    first, second = (timestamps_from_spoken(spoken, rate_hz, []) for spoken in result.spoken)
    assert float(second["start_s"]) - float(first["end_s"]) >= 0.4  # type: ignore[arg-type]
    assert second["end_s"] == pytest.approx(result.audio.duration_s, abs=0.3)


def test_visemes_of_real_speech_change_at_its_phonemes(engine: Engine) -> None:
    (spoken,) = engine.say(SpeechRequest("Maybe 爸爸 saw five.")).spoken
    frame_s = spoken.hop_samples / engine.sample_rate_hz
    shapes = viseme_times(spoken, engine.sample_rate_hz)
    assert shapes[-1].end_s - shapes[0].start_s == pytest.approx(spoken.durations_frames.sum() * frame_s)
    for phoneme in phoneme_times(spoken, engine.sample_rate_hz):
        if phoneme.text in ("M", "B", "b", "F", "V", "S") and phoneme.end_s > phoneme.start_s:
            wanted = {"F": "FF", "V": "FF", "S": "SS"}.get(phoneme.text, "PP")
            covering = [item for item in shapes if item.start_s <= phoneme.start_s + 1e-9 < item.end_s]
            assert [item.text for item in covering] == [wanted]
            assert covering[0].end_s >= phoneme.end_s - 1e-9
