"""Mixtures of voices by name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotirt.bundle.store import Bundle
from emotirt.errors import InvalidRequest, UnknownVoice
from emotirt.voices.blend import MOST_PARTS, Part, blended, is_blend, parts_from_text, text_from_parts
from emotirt.voices.catalog import Catalog


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a:0.6+b:0.4", (Part("a", 0.6), Part("b", 0.4))),
        ("a:1+b:3", (Part("b", 0.75), Part("a", 0.25))),
        (" a + b ", (Part("a", 0.5), Part("b", 0.5))),
        ("a+b:1+a:2", (Part("a", 0.75), Part("b", 0.25))),
        ("a：2＋小明：2", (Part("a", 0.5), Part("小明", 0.5))),
        ("a:5", (Part("a", 1.0),)),
    ],
)
def test_parts_are_shares_the_heaviest_first(text: str, parts: tuple[Part, ...]) -> None:
    assert is_blend(text)
    assert parts_from_text(text) == parts


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.floats(1e-3, 1e3)), min_size=1, max_size=MOST_PARTS))
def test_shares_add_up_and_survive_being_written(named: list[tuple[str, float]]) -> None:
    parts = parts_from_text("+".join(f"{name}:{weight}" for name, weight in named))
    assert sum(part.weight for part in parts) == pytest.approx(1.0)
    again = {part.name: part.weight for part in parts_from_text(text_from_parts(parts))}
    assert again == pytest.approx({part.name: part.weight for part in parts}, rel=0.02)


@pytest.mark.parametrize(
    "text", ["a+", "+", ":", ":0.5", "a:+b", "a:x", "a:nan", "a:inf", "a:-1", "a:0", "a:1e9", "+".join("a" * 9)]
)
def test_senseless_mixtures_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="blend '"):
        parts_from_text(text)


def test_mixing_keeps_the_length_and_the_weights() -> None:
    east, north = np.eye(2, dtype=np.float32)
    mixed = blended([east, north], [0.5, 0.5])
    assert np.linalg.norm(mixed) == pytest.approx(1.0)
    assert mixed == pytest.approx(np.sqrt([0.5, 0.5]))
    assert blended([east, north], [0.9, 0.1])[0] > 0.99
    assert blended([4 * east, 2 * north], [0.5, 0.5], unit=False) == pytest.approx([2.0, 1.0])
    with pytest.raises(InvalidRequest, match="cancel each other out"):
        blended([east, -east], [0.5, 0.5])


def test_the_catalog_mixes_by_name(opened_bundle: Bundle) -> None:
    catalog, vectors = Catalog(opened_bundle), opened_bundle.vectors().voices
    entry, vector = catalog.voice("ADA:0.25+chen:0.75")
    assert (entry.name, entry.language) == ("chen:0.75+ADA:0.25", "zh")
    expected = 0.25 * vectors["ada"] + 0.75 * vectors["chen"]
    np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), atol=1e-6)
    with pytest.raises(UnknownVoice, match="no voice 'chenn'; nearest: chen"):
        catalog.voice("ada+chenn")


def test_voices_of_a_table_are_mixed_as_they_are(emotivoice_bundle: Bundle) -> None:
    catalog, vectors = Catalog(emotivoice_bundle), emotivoice_bundle.vectors().voices
    first, second = list(vectors)[:2]
    _, vector = catalog.voice(f"{first}+{second}")
    np.testing.assert_allclose(vector, (vectors[first] + vectors[second]) / 2, atol=1e-6)
