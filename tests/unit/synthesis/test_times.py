"""Times of words and phonemes against the audio they belong to."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from emotirt.engine import Engine, SpeechRequest
from emotirt.synthesis.times import phoneme_times, timestamps_from_spoken, word_times
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


def test_json_holds_what_was_asked_for(spoken: SpokenUtterance) -> None:
    described = timestamps_from_spoken(spoken, 1000, ["word"], offset_s=1.0)
    assert described == {
        "text": "Hi you.",
        "start_s": 2.0,
        "end_s": 4.8,
        "words": [{"word": "hi", "start_s": 2.2, "end_s": 3.0}, {"word": "you", "start_s": 3.0, "end_s": 4.0}],
    }
    assert "words" not in timestamps_from_spoken(spoken, 1000, ["phoneme"])


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
