"""Clicks and missing ends are noticed in real speech that is damaged, and not in the same speech whole."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from emotirt.engine.request import SpeechRequest
from emotirt.errors import TrainingError
from emotirt.evaluation.clicks import click_ratio, clicks_at_s
from emotirt.evaluation.damage import DAMAGES, detected, detection_rates, human_rates
from emotirt.evaluation.endings import ending, swallowed
from emotirt.evaluation.sentences import SENTENCES
from emotirt.evaluation.sound_check import choose_texts
from emotirt.evaluation.synthesizer import Spoken, Synthesizer
from emotirt.training.corpus import Clip


@pytest.fixture(scope="module")
def speaker() -> Iterator[Synthesizer]:
    """The bundle inside the package."""
    with Synthesizer.open(threads=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def renderings(speaker: Synthesizer) -> list[Spoken]:
    texts = [*SENTENCES["en"][:6], *SENTENCES["zh"][:6]]
    voices = ("kathleen", "linda", "lan", "jun")
    return [speaker.say(SpeechRequest(text, voice=voices[index % 4])) for index, text in enumerate(texts)]


def test_whole_speech_has_no_fault(renderings: list[Spoken]) -> None:
    assert [detected(one) for one in renderings] == [()] * len(renderings)


def test_damage_is_noticed(renderings: list[Spoken]) -> None:
    rates = detection_rates(renderings)
    assert set(rates) == {"none", *DAMAGES}
    assert rates["none"] == 0.0
    assert min(rates["impulse"], rates["step"], rates["gap"]) >= 0.75
    assert min(rates["missing end"], rates["faded end"], rates["cut short"]) >= 0.9


def test_a_click_is_found_where_it_is(renderings: list[Spoken]) -> None:
    samples = renderings[0].samples.copy()
    place = int(np.argmin(np.abs(samples[8000:16_000])) + 8000)
    samples[place] += 0.3
    assert clicks_at_s(samples) == (pytest.approx(place / 16_000, abs=0.002),)
    assert len(click_ratio(samples)) == len(samples)


def test_silence_has_no_click() -> None:
    assert clicks_at_s(np.zeros(5000, dtype=np.float32)) == ()


def test_recordings_are_counted(renderings: list[Spoken]) -> None:
    found = human_rates([one.samples for one in renderings])
    assert found == {"recordings": len(renderings), "clicks": 0.0, "cut off": 0.0, "clipped": 0.0}


def test_an_ending_is_measured_and_named() -> None:
    tone = 0.2 * np.sin(2 * np.pi * 200 * np.arange(256 * 30) / 16_000)
    symbols, frames = ("^", "AA1", "AA1", "S", "IY1", "T", "$"), np.array([0, 5, 5, 5, 10, 1, 4])
    samples = tone.astype(np.float32)
    whole = ending(samples, symbols, frames)
    assert whole is not None
    assert whole.last_vowel_db == pytest.approx(0.0, abs=0.1)
    assert whole.last_vowel_s == pytest.approx(0.16)
    assert [one.partition(" lasts")[0] for one in swallowed(whole)] == ["swallowed: last phoneme"]
    samples[15 * 256 :] *= 0.01
    faded = ending(samples, symbols, frames)
    assert faded is not None
    assert any("last vowel" in one for one in swallowed(faded))
    assert ending(samples, ("^", "AA1", "$"), np.array([0, 20, 10])) is None


def test_texts_come_in_both_languages_and_once() -> None:
    def clip(corpus: str, text: str) -> Clip:
        return Clip(f"{corpus}/{text}", corpus, "s", "en", "neutral", text, None, 0, 1.0, 0, 4096, "train")

    clips = [clip("kathleen", f"SAY {index}") for index in range(4)] + [
        clip("aishell", f"说{index}") for index in range(4)
    ]
    chosen = choose_texts([*clips, *clips], 8)
    assert sorted(language for language, _ in chosen) == ["en"] * 4 + ["zh"] * 4
    assert len(set(chosen)) == 8
    assert ("en", "Say 0") in chosen
    with pytest.raises(TrainingError, match="4 en sentences, 10 are needed"):
        choose_texts(clips, 20)
