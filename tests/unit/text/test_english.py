"""What English text is spoken in, against expectations written by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotirt.text import english_numbers as numbers
from emotirt.text.frontend import Frontend
from emotirt.text.g2p import UNDIVIDED_PRODUCT, default_model, product
from emotirt.text.symbols import EN_CONSONANTS, EN_STRESSES, EN_VOWELS

ASSETS = Path(__file__).parents[2] / "assets"
FRONTEND = Frontend()
PHONEMES = {vowel + stress for vowel in EN_VOWELS for stress in EN_STRESSES} | set(EN_CONSONANTS)


def rows(name: str) -> list[list[str]]:
    lines = (ASSETS / name).read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("# ")]


def spoken(text: str) -> list[tuple[str, str]]:
    """Every word and its phonemes."""
    return [
        (word.text, " ".join(one.symbols[word.first_token : word.first_token + word.token_count]))
        for one in FRONTEND.utterances(text)
        for word in one.words
    ]


@pytest.mark.parametrize(("text", "words"), rows("en_spoken_words.tsv"))
def test_written_out_as_a_speaker_says_it(text: str, words: str) -> None:
    expected = [{"ay": "a"}.get(word, word) for word in words.split()]
    assert [{"ay": "a"}.get(word.lower(), word.lower()) for word, _ in spoken(text)] == expected


@pytest.mark.parametrize(("text", "word", "phonemes"), rows("en_pronunciations.tsv"))
def test_pronounced_as_a_speaker_says_it(text: str, word: str, phonemes: str) -> None:
    name, _, occurrence = word.partition("#")
    found = [symbols for one, symbols in spoken(text) if one == name]
    assert found[int(occurrence or 1) - 1] == phonemes


@pytest.mark.parametrize("text", ["AT&T", "A100", "a.k.a.", "A.I."])
def test_the_letter_a_is_no_article(text: str) -> None:
    assert all(symbols != "AH0" for _, symbols in spoken(text))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"), (10, "ten"), (42, "forty two"), (110, "one hundred ten"), (1000, "one thousand"),
        (1001, "one thousand one"), (10**6, "one million"), (10**15 + 1, "one quadrillion one"), (-5, "minus five"),
        (10**18, "one " + "zero " * 17 + "zero"),
    ],
)  # fmt: skip
def test_cardinals(number: int, words: str) -> None:
    assert numbers.cardinal(number) == words


@pytest.mark.parametrize(
    ("year", "words"),
    [
        (1066, "ten sixty six"), (1200, "twelve hundred"), (1905, "nineteen oh five"), (2000, "two thousand"),
        (2009, "two thousand nine"), (2010, "twenty ten"), (2101, "twenty one oh one"),
    ],
)  # fmt: skip
def test_years(year: int, words: str) -> None:
    assert numbers.year(year) == words


@given(st.integers(min_value=0, max_value=10**18 - 1))
def test_every_number_has_words_that_add_up(number: int) -> None:
    ones = {numbers.cardinal(value): value for value in range(20)}
    ones |= {numbers.cardinal(value): value for value in range(20, 100, 10)}
    scales = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "quadrillion": 10**15}
    total = group = 0
    for word in numbers.cardinal(number).split():
        if word == "hundred":
            group *= 100
        elif word in scales:
            total, group = total + group * scales[word], 0
        else:
            group += ones[word]
    assert total + group == number


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=20))
def test_the_spelling_model_gives_phonemes_with_one_primary_stress(word: str) -> None:
    symbols = default_model().read(word)
    assert set(symbols) <= PHONEMES
    has_vowel = any(symbol[-1].isdigit() for symbol in symbols)
    assert sum(symbol.endswith("1") for symbol in symbols) == has_vowel


@pytest.mark.parametrize(
    ("word", "phonemes"),
    [
        ("blicket", "B L IH1 K AH0 T"), ("snorple", "S N AO1 R P AH0 L"), ("dax", "D AE1 K S"),
        ("splandering", "S P L AE1 N D ER0 IH0 NG"),
    ],
)  # fmt: skip
def test_made_up_words_are_read_as_english(word: str, phonemes: str) -> None:
    assert " ".join(default_model().read(word)) == phonemes


@pytest.mark.parametrize("count", [1, 3, 4, 5, 9, 40])
def test_divided_products_equal_the_whole(count: int) -> None:
    generator = np.random.default_rng(count)
    rows = generator.standard_normal((count, 192)).astype(np.float32)
    matrix = generator.standard_normal((192, 576)).astype(np.float32)
    assert (count * matrix.size > UNDIVIDED_PRODUCT) == (count > 3)
    np.testing.assert_allclose(product(rows, matrix), rows @ matrix, rtol=1e-4, atol=1e-4)
