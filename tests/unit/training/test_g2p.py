"""Training of the spelling model: alignment, what is held out, and that the same seed gives the same model."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import numpy as np
import torch

from emotirt.text.distance import edit_distance
from emotirt.text.g2p import SpellingModel
from emotirt.text.lexicon import Lexicon, compile_lexicon, default_lexicon
from emotirt.text.spelling_score import error_pcts, score, split_words, without_stress
from emotirt.training.g2p import align, fit, weights_from_network

WORDS = {
    "cat": "K AE1 T", "cats": "K AE1 T S", "bat": "B AE1 T", "sat": "S AE1 T", "mat": "M AE1 T", "tab": "T AE1 B",
    "back": "B AE1 K", "sack": "S AE1 K", "tack": "T AE1 K", "cab": "K AE1 B", "box": "B AA1 K S", "tax": "T AE1 K S",
}  # fmt: skip
ENTRIES = {word: tuple(symbols.split()) for word, symbols in WORDS.items()}


def test_alignment_gives_every_letter_its_phonemes() -> None:
    aligned = dict(align(ENTRIES))
    assert set(aligned) == set(ENTRIES)
    assert aligned["cat"] == (("K",), ("AE1",), ("T",))
    assert aligned["box"] == (("B",), ("AA1",), ("K", "S"))
    assert all(tuple(phone for chunk in path for phone in chunk) == ENTRIES[word] for word, path in aligned.items())
    assert all(len(path) == len(word) for word, path in aligned.items())


def test_words_that_cannot_be_aligned_are_left_out() -> None:
    assert align({"a": ("EY1", "B", "IY1")}) == []


def trained(path: Path, epochs: int) -> bytes:
    torch.set_num_threads(1)
    aligned = align(ENTRIES)
    chunks = sorted({chunk for _, found in aligned for chunk in found})
    network = fit(aligned, chunks, epochs, seed=0).eval()
    np.savez_compressed(path, **weights_from_network(network, chunks))  # type: ignore[arg-type]
    return path.read_bytes()


def test_training_learns_its_words_and_repeats(tmp_path: Path) -> None:
    first = trained(tmp_path / "first.npz", 40)
    with np.load(tmp_path / "first.npz") as one:
        again = trained(tmp_path / "again.npz", 40)
        with np.load(tmp_path / "again.npz") as two:
            assert all(np.array_equal(one[name], two[name]) for name in one.files)
    learned, untrained = SpellingModel(first), SpellingModel(trained(tmp_path / "untrained.npz", 1))
    assert again
    assert score(learned, ENTRIES).phoneme_error_pct < 5
    assert score(untrained, ENTRIES).phoneme_error_pct > 30


def test_held_out_words_are_apart_and_the_same_every_time() -> None:
    entries = {f"word{chr(97 + index // 26)}{chr(97 + index % 26)}": ("W", "ER1", "D") for index in range(500)}
    lexicon = Lexicon(compile_lexicon({**entries, "it's": ("IH1", "T", "S"), "xx": ("EH1", "K", "S", "EH1", "K")}))
    split = split_words(lexicon, seed=0)
    assert split == split_words(lexicon, seed=0)
    together = [*split.train, *split.valid, *split.test]
    assert sorted(together) == sorted(entries)
    assert split != split_words(lexicon, seed=1) or not split.valid


def test_packaged_lexicon_is_divided_as_the_result_says() -> None:
    split = split_words(default_lexicon())
    assert (len(split.valid), len(split.test)) == (1000, 4000)
    assert not set(split.train) & (set(split.test) | set(split.valid))
    assert len(split.train) > 100_000


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [("", "", 0), ("abc", "abc", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)],
)
def test_edit_distance(one: str, other: str, distance: int) -> None:
    assert edit_distance(one, other) == distance


def test_errors_are_counted_over_the_right_phonemes() -> None:
    read = {"cat": "K AE1 T", "bat": "B AE2 T", "box": "B AA1"}
    pairs = [(tuple(symbols.split()), ENTRIES[word]) for word, symbols in read.items()]
    assert error_pcts(pairs) == (pytest.approx(100 * 3 / 10), pytest.approx(200 / 3))
    plain = [(without_stress(one), without_stress(other)) for one, other in pairs]
    assert error_pcts(plain) == (pytest.approx(100 * 2 / 10), pytest.approx(100 / 3))
