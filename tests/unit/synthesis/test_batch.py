"""Which utterances go together, and the padded arrays they become."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from emotirt.synthesis.batch import decoder_feeds, grouped, text_encoder_feeds
from emotirt.types import Prosody, Utterance
from emotirt.voices.condition import Condition


@given(st.lists(st.integers(1, 300), max_size=40), st.integers(1, 9), st.integers(1, 1000))
def test_groups_hold_every_member_once_within_the_bounds(costs: list[int], items: int, padded: int) -> None:
    groups = grouped(costs, items, padded)
    assert sorted(index for group in groups for index in group) == list(range(len(costs)))
    for group in groups:
        assert 1 <= len(group) <= items
        assert len(group) == 1 or len(group) * max(costs[index] for index in group) <= padded


def test_neighbours_in_cost_go_together() -> None:
    assert grouped([90, 10, 11, 95], 8, 200) == [[1, 2], [0, 3]]
    assert grouped([5, 5, 5, 5, 5], 2, 100) == [[0, 1], [2, 3], [4]]
    assert grouped([500], 8, 100) == [[0]]
    assert grouped([], 8, 100) == []


def utterance(*ids: int) -> Utterance:
    return Utterance("", tuple(map(str, ids)), np.array(ids))


def condition(seed: int, prosody: Prosody) -> Condition:
    rng = np.random.default_rng(seed)
    return Condition(*rng.standard_normal((2, 4)).astype(np.float32), prosody)


def test_text_encoder_feeds() -> None:
    conditions = [condition(1, Prosody(1.5, 2.0, 0.5, -3.0)), condition(2, Prosody())]
    feeds = text_encoder_feeds([utterance(4, 5, 6), utterance(7)], conditions)
    assert feeds["ids"].tolist() == [[4, 5, 6], [7, 0, 0]]
    assert feeds["lengths"].tolist() == [3, 1]
    np.testing.assert_array_equal(feeds["speaker"], [item.speaker for item in conditions])
    np.testing.assert_array_equal(feeds["emotion"], [item.emotion for item in conditions])
    controls = {name: feeds[name].tolist() for name in ("speed", "pitch_shift", "pitch_range", "energy")}
    assert controls == {
        "speed": [1.5, 1.0],
        "pitch_shift": [2.0, 0.0],
        "pitch_range": [0.5, 1.0],
        "energy": [-3.0, 0.0],
    }
    assert {array.dtype.name for array in feeds.values()} == {"int64", "float32"}


def test_decoder_feeds() -> None:
    hidden = [np.ones((3, 2), np.float32), 2 * np.ones((1, 2), np.float32)]
    durations = [np.array([2.0, 0.0, 1.0], np.float32), np.array([5.0], np.float32)]
    feeds = decoder_feeds(hidden, durations)
    assert feeds["hidden"][:, :, 0].tolist() == [[1, 1, 1], [2, 0, 0]]
    assert feeds["durations"].tolist() == [[2, 0, 1], [5, 0, 0]]
    assert feeds["lengths"].tolist() == [3, 1]
    assert feeds["frame_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
