"""A pipeline on the tiny bundle, and sentences to speak with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from emotirt.bundle.store import Bundle
from emotirt.synthesis.pipeline import Pipeline
from emotirt.text.frontend import Frontend
from emotirt.text.symbols import SymbolTable
from emotirt.types import Prosody, Utterance
from emotirt.voices.catalog import Catalog
from emotirt.voices.condition import NATURAL_PROSODY, Condition

TEXTS = (
    "Hi.",
    "The quick brown fox jumps over the lazy dog, and then it sleeps.",
    "今天天气很好，我们去公园散步吧。",
    "No.",
    "我用 Python 写程序。",
    "One, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve.",
    "好。",
    "Is this the last of them?",
)

Speaking = Callable[..., Condition]


@pytest.fixture(scope="session")
def utterances(opened_bundle: Bundle) -> list[Utterance]:
    frontend = Frontend(SymbolTable(opened_bundle.symbols))
    return [utterance for text in TEXTS for utterance in frontend.utterances(text)]


@pytest.fixture(scope="session")
def speaking(opened_bundle: Bundle) -> Speaking:
    """Make a condition from names and controls."""
    catalog = Catalog(opened_bundle)

    def condition(voice: str = "ada", emotion: str = "neutral", prosody: Prosody = NATURAL_PROSODY) -> Condition:
        return catalog.condition(voice, emotion, 1.0, prosody)

    return condition


@pytest.fixture(scope="session")
def conditions(utterances: list[Utterance], speaking: Speaking) -> list[Condition]:
    """A different one for every utterance, as in a batch of strangers."""
    voices, emotions = ("ada", "bo", "chen"), ("neutral", "happy", "sad", "happy")
    return [
        speaking(voices[index % 3], emotions[index % 4], Prosody(speed=0.8 + 0.1 * index, energy_db=index - 3.0))
        for index in range(len(utterances))
    ]


@pytest.fixture(scope="session")
def pipeline(opened_bundle: Bundle) -> Iterator[Pipeline]:
    made = Pipeline(opened_bundle, threads=1)
    yield made
    made.close()
