"""The last touch: no click, no clipping, no swallowed ending, silence as asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotirt.synthesis.finish import (
    CLAUSE_GAP_S,
    LIMIT_CEILING,
    LIMIT_KNEE,
    SENTENCE_GAP_S,
    finished,
    gap_after_s,
    limited,
)
from emotirt.types import Utterance

RATE = 16_000
FADE = 32


def noise(count: int, peak: float = 0.8) -> np.ndarray:
    samples = np.random.default_rng(count).uniform(-peak, peak, count).astype(np.float32)
    samples[0] = samples[-1] = peak
    return samples


def test_quiet_samples_are_untouched() -> None:
    samples = noise(1000, LIMIT_KNEE)
    assert limited(samples) is samples


@given(st.lists(st.floats(-3.0, 3.0, width=32), min_size=1, max_size=50))
def test_peaks_bend_below_the_ceiling_in_order(values: list[float]) -> None:
    samples = np.array(sorted(values), np.float32)
    bent = limited(samples)
    assert np.abs(bent).max() <= LIMIT_CEILING
    assert (np.diff(bent) >= -1e-6).all()  # float32 rounding of tanh
    np.testing.assert_array_equal(bent[np.abs(samples) <= LIMIT_KNEE], samples[np.abs(samples) <= LIMIT_KNEE])
    np.testing.assert_array_equal(limited(-samples), -bent)


def test_edges_are_faded_and_nothing_else_changes() -> None:
    samples = noise(2000)
    whole = finished(samples, RATE, True, 0.0)
    assert len(whole) == 2000
    assert whole[0] == whole[-1] == 0.0
    assert np.abs(whole[:4]).max() < 0.05
    assert np.abs(whole[-4:]).max() < 0.05
    np.testing.assert_array_equal(whole[FADE:-FADE], samples[FADE:-FADE])
    assert not np.shares_memory(whole, samples)
    assert samples[0] == np.float32(0.8)


@pytest.mark.parametrize("gap_s", [0.0, 0.08, 0.5])
def test_pieces_join_to_the_whole(gap_s: float) -> None:
    samples = noise(3000, 1.2)
    pieces = [
        finished(samples[:700], RATE, True, None),
        finished(samples[700:2100], RATE, False, None),
        finished(samples[2100:], RATE, False, gap_s),
    ]
    np.testing.assert_array_equal(np.concatenate(pieces), finished(samples, RATE, True, gap_s))


def test_the_gap_is_silence_of_the_asked_length() -> None:
    whole = finished(noise(500), RATE, True, 0.25)
    assert len(whole) == 500 + 4000
    assert not whole[500:].any()


@pytest.mark.parametrize("count", [1, 2, 20, 50])
def test_pieces_shorter_than_a_fade_are_safe(count: int) -> None:
    whole = finished(noise(count), RATE, True, 0.0)
    assert len(whole) == count
    assert np.isfinite(whole).all()
    assert whole[0] == whole[-1] == 0.0


def utterance(*symbols: str, pause_s: float = 0.0) -> Utterance:
    return Utterance("", symbols, np.zeros(len(symbols), np.int64), pause_after_s=pause_s)


@pytest.mark.parametrize(
    ("symbols", "expected"),
    [
        (("^", "AY1", ".", "$"), SENTENCE_GAP_S),
        (("^", "AY1", "?", "$"), SENTENCE_GAP_S),
        (("^", "AY1", "…", "$"), SENTENCE_GAP_S),
        (("^", "AY1", ",", "$"), CLAUSE_GAP_S),
        (("^", "AY1", ";", "$"), CLAUSE_GAP_S),
    ],
)
def test_gaps_suit_the_punctuation(symbols: tuple[str, ...], expected: float) -> None:
    assert gap_after_s(utterance(*symbols), is_last=False) == expected
    assert gap_after_s(utterance(*symbols), is_last=True) == 0.0
    for is_last in (True, False):
        assert gap_after_s(utterance(*symbols, pause_s=0.7), is_last) == 0.7
