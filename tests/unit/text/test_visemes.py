"""Every symbol of both tables has its visemes."""

from __future__ import annotations

import re

import pytest
from tests.assets.emotivoice import FOLDER

from emotirt.text.emotivoice_reader import EmotiVoiceReader
from emotirt.text.emotivoice_symbols import EDGE, PAUSES, expected_symbols
from emotirt.text.frontend import Frontend
from emotirt.text.symbols import SPECIALS, SymbolTable, default_symbols
from emotirt.text.visemes import SILENCE, VISEMES, visemes_from_symbol

LISTED = tuple(FOLDER.joinpath("tokenlist").read_text(encoding="utf-8").split("\n")[:-1])
NO_SOUND = {*SPECIALS, EDGE, *PAUSES}
RESERVED = re.compile(r"(?:eng)?sp\d|spn|uncased\d+")
"""Pauses and empty places of the public list that no front end writes."""


@pytest.mark.parametrize("symbols", [default_symbols(), expected_symbols(), LISTED], ids=["default", "public", "list"])
def test_every_symbol_has_visemes(symbols: tuple[str, ...]) -> None:
    for symbol in symbols:
        shapes = visemes_from_symbol(symbol)
        assert set(shapes) <= set(VISEMES), symbol
        if symbol in NO_SOUND or RESERVED.fullmatch(symbol):
            assert shapes == (SILENCE,), symbol
        else:
            assert shapes
            assert SILENCE not in shapes, symbol


def test_every_viseme_has_a_symbol() -> None:
    assert {shape for symbol in default_symbols() for shape in visemes_from_symbol(symbol)} == set(VISEMES)
    assert len(VISEMES) == 15


@pytest.mark.parametrize(
    ("symbol", "shapes"),
    [
        ("P", "PP"), ("b", "PP"), ("f", "FF"), ("DH", "TH"), ("zh", "CH"), ("x", "CH"), ("c", "SS"), ("l", "nn"),
        ("NG", "kk"), ("ER0", "RR"), ("rr", "RR"), ("OW2", "oh oh ou"), ("[OW2]", "oh oh ou"), ("uang3", "ou aa aa kk"),
        ("AH0", "E"), ("AH1", "aa"), ("uar1", "ou aa aa RR"), ("er2", "E RR"), ("y", "ih"), ("#", "sil"),
        ("sp3", "sil"), ("arr4", "aa RR"), ("engsp4", "sil"),
         ("<sos/eos>", "sil"), ("?", "sil"), ("nonsense", "sil"), ("", "sil"), ("Q1", "sil"),
    ],
)  # fmt: skip
def test_shapes(symbol: str, shapes: str) -> None:
    assert " ".join(visemes_from_symbol(symbol)) == shapes


def test_spoken_erhua_of_the_public_list_ends_in_r() -> None:
    table = SymbolTable((*dict.fromkeys((*expected_symbols(), *LISTED)),))
    frontend = Frontend(table, reader=EmotiVoiceReader(table))
    symbols = [symbol for utterance in frontend.utterances("一会儿去花园玩儿。") for symbol in utterance.symbols]
    assert all(symbol in NO_SOUND or SILENCE not in visemes_from_symbol(symbol) for symbol in symbols), symbols
