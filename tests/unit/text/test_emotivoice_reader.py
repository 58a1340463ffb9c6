"""Both languages in EmotiVoice's symbols: layout, pauses, stand-ins, words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.assets.emotivoice import ASSETS, FOLDER

from emotirt.errors import EmptyText, UnknownSymbol
from emotirt.text.emotivoice_reader import EmotiVoiceReader
from emotirt.text.emotivoice_symbols import expected_symbols
from emotirt.text.frontend import Frontend, FrontendLimits
from emotirt.text.symbols import SymbolTable
from emotirt.voices.language import spoken_language

TABLE = SymbolTable(tuple(FOLDER.joinpath("tokenlist").read_text(encoding="utf-8").split("\n")[:-1]))
PUBLIC_PATH = ASSETS / "emotivoice_aishell.tsv"
PUBLIC = [tuple(line.split("\t")) for line in PUBLIC_PATH.read_text(encoding="utf-8").splitlines()[1:]]
FRONTEND = Frontend(TABLE, reader=EmotiVoiceReader(TABLE))


def spoken(text: str, frontend: Frontend = FRONTEND) -> str:
    return " ".join(symbol for utterance in frontend.utterances(text) for symbol in utterance.symbols)


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("来到北京，清华。", "<sos/eos> l ai2 sp0 d ao4 sp1 b ei3 sp0 j ing1 sp3 q ing1 sp0 h ua2 <sos/eos>"),
        ("Happy New Year", "<sos/eos> [HH] [AE1] [P] [IY0] engsp1 [N] [UW1] engsp1 [Y] [IH1] [R] <sos/eos>"),
        ("Well, yes!", "<sos/eos> [W] [EH1] [L] engsp4 [Y] [EH1] [S] <sos/eos>"),
        ("I said “yes” now", "<sos/eos> [AY1] engsp1 [S] [EH1] [D] engsp1 [Y] [EH1] [S] engsp1 [N] [AW1] <sos/eos>"),
        ("我用 Python 写", "<sos/eos> uo3 sp0 iong4 sp1 [P] [AY1] [TH] [AA0] [N] eng_cn_sp x ie3 <sos/eos>"),
        ("你好，yes", "<sos/eos> n i3 sp0 h ao3 sp3 [Y] [EH1] [S] <sos/eos>"),
        ("花城(东门),再见", "<sos/eos> h ua1 sp0 ch eng2 sp1 d ong1 sp0 m en2 sp3 z ai4 sp0 j ian4 <sos/eos>"),
        ("“你好”", "<sos/eos> n i3 sp0 h ao3 <sos/eos>"),
        ("[[zh ong1]]和[[HH AH0]]", "<sos/eos> zh ong1 sp1 h e2 sp1 [HH] [AH0] <sos/eos>"),
    ],
)  # fmt: skip
def test_layout(text: str, symbols: str) -> None:
    assert spoken(text) == symbols


@pytest.mark.parametrize(("text", "phonemes"), PUBLIC)
def test_equals_the_public_front_end(text: str, phonemes: str) -> None:
    """Sentences of AISHELL-1 (Apache-2.0) and a few with punctuation, as the public front end writes them."""
    assert " ".join(FRONTEND.symbols(text)) == phonemes


def test_words_own_their_tokens() -> None:
    (utterance,) = FRONTEND.utterances("我们用 Python。")
    found = [
        (word.text, utterance.symbols[word.first_token : word.first_token + word.token_count])
        for word in utterance.words
    ]
    assert found == [
        ("我们", ("uo3", "sp0", "m", "en5")),
        ("用", ("iong4",)),
        ("Python", ("[P]", "[AY1]", "[TH]", "[AA0]", "[N]")),
    ]
    assert utterance.ids.tolist() == [TABLE.symbols.index(symbol) for symbol in utterance.symbols]


def test_numbers_are_written_out() -> None:
    assert "s an1 sp0 g e4" in spoken("我有3个。") or "s an1 sp1 g e4" in spoken("我有3个。")
    assert "[TH] [R] [IY1]" in spoken("I have 3 apples")


def test_what_the_list_lacks_gets_a_relative_or_is_named() -> None:
    assert "ver2" in TABLE
    assert "inr3" not in TABLE
    reader = EmotiVoiceReader(TABLE)
    assert reader._listed(("q", "inr3", "ueng5", "zz9")) == ("q", "in3", "ueng4", "zz9")
    without = SymbolTable(tuple(symbol for symbol in TABLE.symbols if symbol != "[ZH]"))
    with pytest.raises(UnknownSymbol, match=r"\[ZH\]"):
        spoken("vision", Frontend(without, reader=EmotiVoiceReader(without)))


def test_the_published_list_holds_every_expected_symbol() -> None:
    assert len(TABLE) == 502
    assert set(expected_symbols()) <= set(TABLE.symbols)


def test_language_is_found() -> None:
    assert spoken_language(FRONTEND.utterances("你好，世界")[0].symbols) == "zh"
    assert spoken_language(FRONTEND.utterances("Hello my good old friend")[0].symbols) == "en"


def test_long_sentences_are_split_within_the_limit() -> None:
    frontend = Frontend(TABLE, FrontendLimits(max_tokens=40), EmotiVoiceReader(TABLE))
    utterances = frontend.utterances("今天天气真不错，我们一起去公园散步吧，然后 we go home together，好不好呢" * 3)
    assert len(utterances) > 3
    assert all(item.token_count <= 40 for item in utterances)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        utterances = FRONTEND.utterances(text)
    except EmptyText:
        return
    for utterance in utterances:
        assert utterance.symbols[0] == utterance.symbols[-1] == "<sos/eos>"
        assert not utterance.symbols[-2].startswith(("sp", "engsp", "eng_", "cn_"))
