"""Any text gives utterances or an error of ours, in bounded time, and loses no character on the way."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotirt.errors import EmotiRTError, EmptyText, TextTooLong
from emotirt.text.frontend import Frontend, FrontendLimits
from emotirt.text.normalize import normalize
from emotirt.text.split import split_clauses, split_half, split_sentences
from emotirt.text.symbols import BOUNDARY, DEFAULT_TABLE, END, PUNCTUATION, START
from emotirt.types import Utterance

FRONTEND = Frontend()
SMALL = Frontend(limits=FrontendLimits(max_characters=5000, max_tokens=16))
WIDE = Frontend(limits=FrontendLimits(max_characters=200_000))
NEVER_SPOKEN = frozenset(START + END)

ANY_CHARACTER = st.characters(exclude_categories=()) | st.characters(categories=("Cs", "Cc", "Mn", "So", "Nd", "No"))
HOSTILE = st.sampled_from(
    [
        "[pause:", "[pause:0.5]", "[pause:-1]", "[pause:nan]", "[pause:1e999]", "[pause:11]", "[[", "]]", "[",
        "]", "[[HH AH0]]", "[[n i2", "[[[[AA1]]]]", "[[zz9]]", "[[ ]]", "\ud800", "\udfff", "\x00", "\x1b[0m",
        "\u202e", "שלום", "مرحبا", "e\u0301\u0301", "👩‍👩‍👧‍👦", "🇨🇳", "1️⃣", "\U000f0000", "\U000ffffd",
        "\U0010ffff", "1" * 400, "0" * 30, "9" * 19 + ".", "1,000,", "-", "−3", "½", "②", "Ⅷ", "㎏", "㍿", "ﷺ",
        "²", "12:30", "99:99", "2024-13-45", "13/45/2024", "0/0", "1/0", "$", "$.5", "¥1.234.5", "%", "5%",
        "1e309", "一", "不", "儿", "了", "第", "〇", "𠀀", "点", "，", "。", "…", "...", "--", "——", "'", "’s", "a'",
        "'s", "-ly", "re-", "A.", "A.B.", "www.", "http://", "a@b.c", "C++", "\n\n", "\r\n", "\u2028", "\t",
        " ", "hello", "X", "IV", "King IV", "qzxv", "HTTPServer's", "你好",
    ]
)  # fmt: skip
TEXTS = st.text(ANY_CHARACTER, max_size=60) | st.lists(HOSTILE | st.text(ANY_CHARACTER, max_size=4), max_size=12).map(
    "".join
)


def check(utterance: Utterance, most: int) -> None:
    assert utterance.symbols[0] == START
    assert utterance.symbols[-1] == END
    assert utterance.symbols[-2] in PUNCTUATION
    assert not NEVER_SPOKEN & set(utterance.symbols[1:-1])
    assert 4 <= len(utterance.symbols) <= most
    assert utterance.ids.dtype == np.int64
    assert DEFAULT_TABLE.symbols_from_ids(utterance.ids) == utterance.symbols
    end = 1
    for word in utterance.words:
        assert word.first_token == end
        spoken = utterance.symbols[word.first_token : word.first_token + word.token_count]
        assert spoken
        assert not {BOUNDARY, *PUNCTUATION} & set(spoken)
        end = word.first_token + word.token_count + 1
    assert end == len(utterance.symbols) - 1


def check_message(message: str) -> None:
    assert len(message.splitlines()) == 1
    assert message.encode("utf-8")
    assert len(message) < 600


@settings(max_examples=150, deadline=30_000)
@given(TEXTS)
def test_any_text_gives_utterances_or_our_error(text: str) -> None:
    try:
        utterances = FRONTEND.utterances(text)
    except EmotiRTError as error:
        check_message(str(error))
        return
    assert utterances
    for utterance in utterances:
        check(utterance, 240)


@settings(max_examples=150, deadline=30_000)
@given(TEXTS)
def test_small_utterances_keep_their_limit(text: str) -> None:
    try:
        utterances = SMALL.utterances(text)
    except EmotiRTError:
        return
    for utterance in utterances:
        check(utterance, 16)


@settings(max_examples=150, deadline=30_000)
@given(TEXTS)
def test_a_whole_text_is_labelled_or_refused_as_its_utterances_are(text: str) -> None:
    try:
        utterances = FRONTEND.utterances(text)
    except EmotiRTError as error:
        with pytest.raises(type(error)):
            FRONTEND.symbols(text)
        return
    symbols = FRONTEND.symbols(text)
    assert (symbols[0], symbols[-1]) == (START, END)
    assert utterances


@settings(max_examples=150, deadline=30_000)
@given(TEXTS)
def test_splitting_loses_no_character(text: str) -> None:
    for split in (split_sentences, split_clauses, split_half):
        pieces = split(text)
        assert "".join(pieces) == text
        assert all(pieces)


@settings(max_examples=150, deadline=30_000)
@given(st.lists(HOSTILE.filter(lambda part: "[" not in part and "]" not in part) | st.just("word "), max_size=12))
def test_utterances_join_to_the_text(parts: list[str]) -> None:
    """Without pauses nothing of the text is missing, not even what is not spoken."""
    text = "".join(parts)
    try:
        utterances = SMALL.utterances(text)
    except EmptyText:
        return
    assert "".join(utterance.text for utterance in utterances) == text


@settings(max_examples=150, deadline=30_000)
@given(TEXTS)
def test_normalized_text_has_words_and_marks_only(text: str) -> None:
    normalized = normalize(text)
    assert not any(char.isdigit() for char in normalized)
    assert not any(0xD800 <= ord(char) <= 0xDFFF for char in normalized)


@pytest.mark.parametrize(
    "text",
    ["", " ", "\n\t", "...", "！？。", "🙂👍", "\u200b\ufeff", "\ud83d", "[pause:1]", "—", "()", "ひらがな", "한국어"],
)
def test_nothing_to_say_is_named(text: str) -> None:
    with pytest.raises(EmptyText, match="can be spoken; give English or Chinese words"):
        FRONTEND.utterances(text)


def test_too_long_text_says_how_long_it_is() -> None:
    with pytest.raises(TextTooLong, match="text has 100000 characters, the limit is 20000; send it in parts"):
        FRONTEND.utterances("a" * 100_000)
    with pytest.raises(TextTooLong):
        FRONTEND.symbols("好" * 20_001)


# Each of these once took, or easily takes, quadratic time somewhere: run-on words, marks that repeat, open brackets,
# candidates for numbers, addresses and clauses that never come true.
RUNS = [
    "a", "ab ", "A", "Ab", "a'", "'", '"', "(", "[", "[[", "[[AA1", "[pause:", "]]", ".", "...", ",", ":", "::", ";",
    "-", "--", " - ", "!?", "…", "，", "。", " ", "\n", "a\n\n", "我", "一", "不", "好，", "你好。", "儿", "\u0301",
    "🙂", "\ud800", "a.", "A.", "a@", "@", "www.", "http://", "a_", "Jan ", "Chapter ", "C++", "\U000f0000", "#", "~",
    "$", "e\u0301",
]  # fmt: skip
DIGIT_RUNS = ["1", "0", "1,", "1.", "1-", "1:", "1/", "1 ", "$1", "%", "+1", "1x"]
MANY_CHARACTERS = 12_000
LONGEST_CPU_S = 2.0  # the slowest takes about 0.6 s on two slow cores; quadratic splitting at '::' took 3.6 s


@pytest.mark.parametrize("unit", RUNS + DIGIT_RUNS)
def test_time_grows_with_the_text_only(unit: str) -> None:
    text = (unit * MANY_CHARACTERS)[:MANY_CHARACTERS]
    started_s = time.process_time()
    try:
        WIDE.utterances(text)
    except EmotiRTError as error:
        check_message(str(error))
    assert time.process_time() - started_s < LONGEST_CPU_S


@pytest.mark.parametrize("unit", ["好1", "3.5%，", "12:30到", "电话1", "1万"])
def test_numbers_in_chinese_take_linear_time(unit: str) -> None:
    text = (unit * 1500)[:1500]
    started_s = time.process_time()
    assert FRONTEND.utterances(text)
    assert time.process_time() - started_s < 2 * LONGEST_CPU_S


def test_a_book_of_100_000_characters_is_read_in_seconds() -> None:
    text = "今天天气很好，我们去公园。She said: “I don't know, maybe at 10:30?” (Nobody answered.)\n\n"
    text *= 100_000 // len(text)
    started_s = time.process_time()
    utterances = WIDE.utterances(text)
    assert time.process_time() - started_s < 10 * LONGEST_CPU_S
    assert "".join(utterance.text for utterance in utterances) == text
    assert max(utterance.ids.size for utterance in utterances) <= 240
