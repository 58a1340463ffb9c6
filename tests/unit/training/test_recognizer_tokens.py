"""Tokens of the recognizer: normalization, factors, collapsing, distance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotirt.text.distance import edit_distance
from emotirt.training.recognizer_tokens import (
    TOKENS,
    collapse,
    factor_matrix,
    ids_from_symbols,
    language_bias,
    spoken_tokens,
    steps_needed,
)

WORDS = st.lists(st.sampled_from("abc"), max_size=8)


def test_stress_edges_boundaries_and_punctuation_go_while_tones_stay() -> None:
    symbols = ("^", "HH", "AH0", "L", "OW1", "#", "n", "i3", ",", "h", "ao3", "rr", ".", "$")
    assert spoken_tokens(symbols) == ("HH", "AH", "L", "OW", "n", "i3", "h", "ao3", "rr")


def test_the_token_set_has_the_blank_first_and_nothing_twice() -> None:
    assert TOKENS[0] == "<blank>"
    assert len(set(TOKENS)) == len(TOKENS) == 1 + 39 + 21 + 39 * 5 + 1


def test_every_token_has_its_own_mix_of_factors() -> None:
    matrix = factor_matrix()
    assert len(np.unique(matrix, axis=0)) == len(TOKENS)


def test_each_language_forbids_the_other_ones_tokens_only() -> None:
    en, zh = language_bias("en"), language_bias("zh")
    assert (en[0], zh[0]) == (0.0, 0.0)
    assert ((en[1:] == 0.0) != (zh[1:] == 0.0)).all()
    assert not language_bias("de").any()


def test_collapse_merges_repeats_unless_a_blank_parts_them() -> None:
    assert collapse([0, 3, 3, 0, 3, 4, 4, 0]) == (3, 3, 4)
    assert collapse([]) == ()


def test_steps_needed_counts_a_blank_between_equal_neighbours() -> None:
    assert steps_needed(ids_from_symbols(["B", "B", "AH0", "B"])) == 5


@pytest.mark.parametrize(
    ("reference", "hypothesis", "errors"),
    [("abc", "abc", 0), ("abc", "ac", 1), ("", "ab", 2), ("kitten", "sitting", 3)],
)
def test_edit_distance_of_known_pairs(reference: str, hypothesis: str, errors: int) -> None:
    assert edit_distance(reference, hypothesis) == errors


@given(WORDS, WORDS, WORDS)
def test_edit_distance_is_a_metric(a: list[str], b: list[str], c: list[str]) -> None:
    assert edit_distance(a, b) == edit_distance(b, a)
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)
