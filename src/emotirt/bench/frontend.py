"""Speed of the text front end: one new sentence of about 60 characters at a time, on one core.

Kinds of sentence: English, Chinese and both in one; a quarter of each holds a number, a date, a time or a price, which
calls the slower grammars. ``frontend.p50_ms`` is over all kinds together, in equal parts. What one word that no
dictionary lists costs is measured apart, because most sentences have none.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from emotirt.bench.results import BenchmarkResult, measured
from emotirt.bench.sentences import KINDS, sixty_characters, unlisted_word
from emotirt.bench.stats import Distribution, distribution
from emotirt.text.frontend import Frontend

TARGET_MS = 1.0
"""What the median of ``frontend.p50_ms`` is to stay within."""


@dataclass(frozen=True, slots=True)
class FrontendSettings:
    """How much to measure.

    Attributes:
        repeats: timed sentences of each kind.
        warm_up: untimed sentences of each kind before, never the timed ones; they load dictionaries and grammars.
        notation_every: every how many sentences one holds a number, date, time or price.
        seed: of the sentences.
    """

    repeats: int = 1000
    warm_up: int = 100
    notation_every: int = 4
    seed: int = 0


@dataclass(frozen=True, slots=True)
class FrontendReport:
    """Milliseconds from text to utterances; distributions are over sentences.

    Attributes:
        every: all kinds together.
        kinds: each kind by itself, ``en``, ``zh`` and ``mixed``.
        plain: all kinds, the sentences without notation.
        notation: all kinds, the sentences with notation.
        unlisted: English sentences with one word that no dictionary lists.
        characters: mean length of the sentences behind ``every``.
    """

    every: Distribution
    kinds: dict[str, Distribution]
    plain: Distribution
    notation: Distribution
    unlisted: Distribution
    characters: float


def measure_frontend(settings: FrontendSettings, frontend: Frontend | None = None) -> FrontendReport:
    """Time the front end on sentences that it has never seen.

    Args:
        settings: how much to measure.
        frontend: what to time, the default one unless given.
    """
    spoken = frontend or Frontend()
    times_ms: dict[str, list[float]] = {kind: [] for kind in KINDS}
    sources = {kind: sixty_characters(kind, settings.seed, settings.notation_every) for kind in KINDS}
    for kind in KINDS:
        _times_ms(spoken, itertools.islice(sources[kind], settings.warm_up))
    length = 0
    for _ in range(settings.repeats):  # the kinds take turns, so that a slow moment of the machine meets all of them
        for kind in KINDS:
            text = next(sources[kind])
            length += len(text)
            times_ms[kind].extend(_times_ms(spoken, [text]))
    unlisted = _with_unlisted_words(settings.seed)
    _times_ms(spoken, itertools.islice(unlisted, min(settings.warm_up, 10)))
    notation, plain = _apart(times_ms, settings)
    every = [value for values in times_ms.values() for value in values]
    return FrontendReport(
        every=distribution(every),
        kinds={kind: distribution(values) for kind, values in times_ms.items()},
        plain=distribution(plain or every),
        notation=distribution(notation or every),
        unlisted=distribution(_times_ms(spoken, itertools.islice(unlisted, settings.repeats))),
        characters=length / len(every),
    )


def frontend_result(report: FrontendReport, settings: FrontendSettings) -> BenchmarkResult:
    """Put a report into the form of a result file."""
    names = {**report.kinds, "plain": report.plain, "with_notation": report.notation}
    names |= {"with_one_unlisted_word": report.unlisted}
    return BenchmarkResult(
        "frontend",
        {"frontend.p50_ms": measured(report.every.p50, "ms")},
        asdict(settings),
        {
            "unit": "ms",
            "load_average": [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else [],
            "characters_mean": round(report.characters, 1),
            "all": report.every.to_dict(),
            **{name: spread.to_dict() for name, spread in names.items()},
        },
    )


def _times_ms(frontend: Frontend, texts: Iterator[str] | Sequence[str]) -> list[float]:
    times_ms: list[float] = []
    for text in texts:
        started = time.perf_counter()
        frontend.utterances(text)
        times_ms.append(1000.0 * (time.perf_counter() - started))
    return times_ms


def _apart(times_ms: dict[str, list[float]], settings: FrontendSettings) -> tuple[list[float], list[float]]:
    """Divide times into those of sentences with notation and those without."""
    notation: list[float] = []
    plain: list[float] = []
    for values in times_ms.values():
        for index, value in enumerate(values, settings.warm_up):
            (notation if index % settings.notation_every == 0 else plain).append(value)
    return notation, plain


def _with_unlisted_words(seed: int) -> Iterator[str]:
    for index, text in enumerate(sixty_characters("en", seed + 1, notation_every=0)):
        yield text.replace(" ", f" {unlisted_word(index, seed)} ", 1)
