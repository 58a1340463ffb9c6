"""Symbols for recordings without a transcript: the word search, times of phones, pauses, and what is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from emotirt.errors import TrainingError
from emotirt.evaluation.intelligibility import choose_sentences
from emotirt.text.frontend import Frontend
from emotirt.training.corpus import Clip, Pack, load_clips, load_pack, write_clips
from emotirt.training.hearing import pieces_of, sureness, token_steps
from emotirt.training.hearsay import (
    LEAST_TRUE_CLIPS,
    WEIGHTS,
    Hearing,
    Listener,
    chosen,
    english_words,
    error_line,
    label,
    pauses_s,
    punctuated,
)
from emotirt.training.recognizer import TINY
from emotirt.training.recognizer_batches import Analyser, labelled
from emotirt.training.recognizer_network import Recognizer
from emotirt.training.recognizer_tokens import TOKEN_IDS, TOKENS, spoken_tokens
from emotirt.training.word_model import WordModel, words_of
from emotirt.training.word_search import SearchWeights, WordSearch

RATE_HZ = 16_000
DICTIONARY = {
    ("DH", "AH0"): 5.0, ("K", "AE1", "T"): 1.0, ("S", "AE1", "T"): 1.0, ("DH", "IH1", "S"): 2.0,
    ("S", "AH1", "N"): 1.0, ("AH0", "B", "AW1", "T"): 1.0,
}  # fmt: skip


def scores_of(tokens: list[str], doubts: dict[int, tuple[str, float]] | None = None) -> np.ndarray:
    """CTC scores that say the tokens, a blank after each; in ``doubts`` another token has that probability."""
    rows = np.full((2 * len(tokens) + 1, len(TOKENS)), 1e-6)
    rows[::2, 0] = 0.9
    for place, token in enumerate(tokens):
        other, share = (doubts or {}).get(place, ("", 0.0))
        rows[2 * place + 1, TOKEN_IDS[token]] = 0.95 - share
        if other:
            rows[2 * place + 1, TOKEN_IDS[other]] = share
    return np.log(rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def small() -> WordModel:
    return WordModel([("DH", "AH1"), ("DH", "AH0"), ("DH", "AH0"), ("K", "AE1", "T")], DICTIONARY)


def test_a_dictionary_mends_what_was_misheard_and_finds_where_words_end(small: WordModel) -> None:
    search = WordSearch(small, SearchWeights(0.6, 0.0))
    scores = scores_of(["DH", "AH", "K", "AE", "P", "S", "AE", "T"], {4: ("T", 0.4)})
    assert scores[9].argmax() == TOKEN_IDS["P"]
    assert search.search(scores) == [("DH", "AH"), ("K", "AE", "T"), ("S", "AE", "T")]


def test_the_same_phone_on_both_sides_of_a_boundary_is_written_twice(small: WordModel) -> None:
    search = WordSearch(small, SearchWeights(0.6, 0.0))
    tokens = ["DH", "IH", "S", "S", "AH", "N"]
    assert search.search(scores_of(tokens)) == [("DH", "IH", "S"), ("S", "AH", "N")]
    without_blank = np.delete(scores_of(tokens), 6, axis=0)
    assert sum(search.search(without_blank), ()).count("S") == 1


def test_a_word_of_no_list_is_spelt_as_it_was_heard(small: WordModel) -> None:
    search = WordSearch(small, SearchWeights(0.6, 0.0))
    heard = search.search(scores_of(["DH", "AH", "B", "AW", "N", "AH", "K", "AE", "T"]))
    assert sum(heard, ()) == ("DH", "AH", "B", "AW", "N", "AH", "K", "AE", "T")
    assert heard[-1] == ("K", "AE", "T")
    assert search.search(scores_of([])) == []


def test_stress_is_the_transcripts_then_the_dictionarys_then_the_likeliest(small: WordModel) -> None:
    assert small.stressed(("DH", "AH")) == ("DH", "AH0")
    assert small.stressed(("S", "AH", "N")) == ("S", "AH1", "N")
    strange = small.stressed(("B", "AW", "T", "K"))
    assert spoken_tokens(strange) == ("B", "AW", "T", "K")
    assert strange[1] == "AW1"


def test_running_english_is_divided_and_stressed_as_the_front_end_does() -> None:
    symbols = Frontend().symbols("my captain was about to return home before winter came")
    listener = Listener(english_words([]), WEIGHTS)
    scores = scores_of(list(spoken_tokens(symbols)))
    found = listener.hear(scores, np.zeros(len(scores) * 512, dtype=np.float32))
    assert found is not None
    assert spoken_tokens(found.symbols) == spoken_tokens(symbols)
    assert found.words == tuple(words_of(symbols))
    assert found.symbols[0] == "^"
    assert found.symbols[-2:] == (".", "$")
    assert found.sureness > 0.9


def test_tokens_are_found_where_they_are_likeliest() -> None:
    scores = scores_of(["S", "S", "AE"])
    assert token_steps(scores, [TOKEN_IDS[token] for token in ("S", "S", "AE")]).tolist() == [1, 3, 5]
    assert token_steps(scores, []).tolist() == []
    doubtful = scores_of(["S", "S"], {1: ("Z", 0.38)})
    assert sureness(doubtful, [TOKEN_IDS["S"]] * 2, np.array([1, 3])) == pytest.approx(
        (1.0 + 0.57 / 0.95) / 2, abs=0.01
    )


def spoken_with_pause(pause_s: float) -> np.ndarray:
    samples = np.random.default_rng(0).normal(0, 1e-4, int((2.0 + pause_s) * RATE_HZ))
    times_s = np.arange(RATE_HZ) / RATE_HZ
    for start in (0, len(samples) - RATE_HZ):
        samples[start : start + RATE_HZ] += 0.1 * np.sin(2 * np.pi * 440.0 * times_s)
    return samples.astype(np.float32)


def test_a_long_pause_becomes_a_comma_a_short_one_does_not() -> None:
    assert pauses_s(spoken_with_pause(0.4)).tolist() == pytest.approx([1.2], abs=0.02)
    assert pauses_s(spoken_with_pause(0.1)).tolist() == []
    words = (("S", "AH1", "N"), ("K", "AE1", "T"), ("S", "AE1", "T"))
    symbols = punctuated(words, [0.1, 0.6, 1.5], np.array([1.2]))
    assert " ".join(symbols) == "^ S AH1 N # K AE1 T , S AE1 T . $"


def clip(index: int, split: str, symbols: tuple[str, ...] | None, seconds: float = 0.8) -> Clip:
    return Clip(f"kathleen/{index}", "kathleen", f"k{index}", "en", "neutral", f"text {index}" if symbols else "",
                symbols, 0, 1.0, 0, int(seconds * RATE_HZ), split)  # fmt: skip


def test_long_clips_are_cut_where_they_are_quietest_and_nothing_is_lost() -> None:
    samples = spoken_with_pause(0.4)
    pack = Pack((replace(clip(0, "train", None), sample_count=len(samples)),), (samples * 32767).astype(np.int16))
    pieces = pieces_of(pack, pack.clips[0], longest_s=2.0)
    assert len(pieces) == 2
    assert pieces[1].offset_samples / RATE_HZ == pytest.approx(1.2, abs=0.1)
    assert sum(piece.sample_count for piece in pieces) == len(samples)
    assert pieces_of(pack, pack.clips[0]) == [pack.clips[0]]


def test_clips_that_would_be_too_wrong_stay_without_symbols() -> None:
    right, wrong = ("^", "S", "AH1", "N", ".", "$"), ("^", "S", "IH1", "N", ".", "$")
    true = [clip(index, "test", right) for index in range(20)]
    heard = [Hearing((), right, 0.99) if index % 2 else Hearing((), wrong, 0.6) for index in range(20)]
    silent = [clip(20, "train", None), clip(21, "train", None), clip(22, "train", None)]
    pack = Pack((*silent[:2], *true, silent[2]), np.zeros(0, dtype=np.int16))
    done = chosen(pack, true, silent, [*heard, Hearing((), wrong, 0.95), Hearing((), right, 0.5), None])
    assert (done.heard, done.refused) == (1, 2)
    assert done.true_error == pytest.approx(1 / 6)
    assert done.expected_error == pytest.approx(1 / 3 * (0.04 / 0.39), abs=1e-6)
    assert [one.key for one in done.clips] == [one.key for one in pack.clips]
    assert done.clips[0] == replace(silent[0], symbols=wrong, heard=True)
    assert done.clips[1:] == pack.clips[1:]


def test_errors_to_expect_lie_on_a_line_over_how_unsure_it_was() -> None:
    constant, slope = error_line([0.9, 0.8, 0.6], [(1, 10), (4, 20), (2, 5)])
    assert constant == pytest.approx(0.0, abs=1e-9)
    assert slope == pytest.approx(1.0)


def test_heard_symbols_are_nobodys_truth(tmp_path: Path) -> None:
    symbols = ("^", "S", "AH1", "N", ".", "$")
    clips = [clip(0, "test", symbols), replace(clip(1, "test", symbols), heard=True)]
    assert labelled(clips, "test") == clips[:1]
    assert list(choose_sentences(clips, "en")) == clips[:1]
    assert english_words([replace(one, split="train") for one in clips]).stressed(("S", "AH", "N")) == symbols[1:4]
    write_clips(tmp_path, clips)
    assert load_clips(tmp_path) == tuple(clips)
    lines = [json.loads(line) for line in (tmp_path / "clips.jsonl").read_text(encoding="utf-8").splitlines()]
    for line in lines:
        del line["heard"]
    (tmp_path / "clips.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    assert [one.heard for one in load_clips(tmp_path)] == [False, False]


def test_a_whole_pack_is_heard_or_refused_with_a_reason(spoken_folder: Path) -> None:
    pack = load_pack(spoken_folder)
    torch.manual_seed(0)
    network, analyser = Recognizer(TINY), Analyser(pack, torch.device("cpu"))
    with pytest.raises(TrainingError, match="nothing to label"):
        label(network, analyser, pack, 1)
    silent = replace(pack.clips[0], symbols=None, text="")
    with pytest.raises(TrainingError, match=f"it takes {LEAST_TRUE_CLIPS}"):
        label(network, analyser, replace(pack, clips=(silent, *pack.clips[1:])), 1)
    held_out = tuple(replace(one, split="test") for one in pack.clips[1 : LEAST_TRUE_CLIPS + 1])
    done = label(network, analyser, replace(pack, clips=(silent, *held_out)), 1)
    assert done.heard + done.refused == 1
    assert done.true_error > 0.5, "a network that learned nothing hears nothing right"
    assert done.clips[1:] == held_out
