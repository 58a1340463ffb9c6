"""The front end as its callers see it: sentences, limits, inline control, mixed languages."""

from __future__ import annotations

import pytest

from emotirt.errors import EmptyText, InvalidRequest, TextTooLong, UnknownSymbol
from emotirt.text.frontend import Frontend, FrontendLimits
from emotirt.text.split import split_clauses, split_sentences

FRONTEND = Frontend()


def texts(text: str, frontend: Frontend = FRONTEND) -> list[str]:
    return [utterance.text for utterance in frontend.utterances(text)]


def symbols(text: str) -> str:
    return " | ".join(" ".join(utterance.symbols[1:-1]) for utterance in FRONTEND.utterances(text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Hi!", "HH AY1 !"),
        ("你好", "n i2 h ao3 ."),
        ("OK吗？", "OW1 K EY1 # m a5 ?"),
        ("我用Python。", "uo3 # iong4 # P AY1 TH AA0 N ."),
        ("He said “你好” to me.", "HH IY1 # S EH1 D , n i2 h ao3 , T AH0 # M IY1 ."),
        ("Hello大家好，welcome!", "HH AH0 L OW1 # d a4 j ia1 # h ao3 , W EH1 L K AH0 M !"),
        ("一二三, go!", "i1 er4 s an1 , G OW1 !"),
        ("等等…好。", "d eng2 d eng5 … | h ao3 ."),
        ("“Really?” she asked.", "R IH1 L IY0 ? SH IY1 # AE1 S K T ."),
        ("Wait (a bit)", "W EY1 T , AH0 # B IH1 T ."),
    ],
)
def test_words_boundaries_and_marks(text: str, said: str) -> None:
    assert symbols(text) == said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("我们team有5个engineer。", "我们 team 有 五个 engineer"),
        ("Hello大家好，welcome to我的频道！", "Hello 大家 好 welcome to 我 的 频道"),
        ("deadline是明天下午3:30。", "deadline 是 明天 下午 三点 三十分"),
        ("年薪$200,000，在Google。", "年薪 二十 万美元 在 Google"),
        ("Python 3.12的新feature", "Python 三点 一二 的 新 feature"),
        ("I was born in 1990年 in 北京.", "I was born in 一九九零年 in 北京"),
        ("I have 3 cats, 你呢？", "I have three cats 你 呢"),
        ("Mr. Wang说GPU温度75°C。", "Mister Wang 说 GPU 温度 七十五 摄氏度"),
        ("发到a@b.com，谢谢", "发到 a at b dot com 谢谢"),
        ("10:30", "ten thirty"),
        ("上课。10:30。", "上课 十点 三十分"),
    ],
)
def test_both_languages_in_one_sentence(text: str, words: str) -> None:
    assert [word.text for one in FRONTEND.utterances(text) for word in one.words] == words.split()


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("One. Two! Three?", ["One. ", "Two! ", "Three?"]),
        ("一。二！三？", ["一。", "二！", "三？"]),
        ("Dr. Smith met Mr. Jones. They left.", ["Dr. Smith met Mr. Jones. ", "They left."]),
        ("I left at 5 p.m. He stayed.", ["I left at 5 p.m. ", "He stayed."]),
        ("At 9 a.m. Monday it rained.", ["At 9 a.m. Monday it rained."]),
        ("The U.S. Senate met. Yes.", ["The U.S. Senate met. ", "Yes."]),
        ("J. K. Rowling wrote it. I read it.", ["J. K. Rowling wrote it. ", "I read it."]),
        ("See p. 45 and Fig. 3. Then stop.", ["See p. 45 and Fig. 3. ", "Then stop."]),
        ("作者是F. Scott Fitzgerald。完", ["作者是F. Scott Fitzgerald。", "完"]),
        ("Pi is 3.14. Right?", ["Pi is 3.14. ", "Right?"]),
        ("他说：“走吧。”她走了。", ["他说：“走吧。”", "她走了。"]),
        ("“Go!” he said. “Now.”", ["“Go!” he said. ", "“Now.”"]),
        ("第一行\n第二行", ["第一行\n", "第二行"]),
        ("first line\nsecond line", ["first line\nsecond line"]),
        ("Title\n\nBody text.", ["Title\n\n", "Body text."]),
        ("What?! No... yes", ["What?! ", "No... yes"]),
        ("No end", ["No end"]),
    ],
)
def test_sentences(text: str, pieces: list[str]) -> None:
    assert split_sentences(text) == pieces


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("One, two; three: four", ["One, ", "two; ", "three: ", "four"]),
        ("一，二、三；四：五", ["一，", "二、", "三；", "四：", "五"]),
        ("1,000 and 12:30", ["1,000 and 12:30"]),
        ("here - there – everywhere", ["here - ", "there – ", "everywhere"]),
        ("well-known", ["well-known"]),
    ],
)
def test_clauses(text: str, pieces: list[str]) -> None:
    assert split_clauses(text) == pieces


def test_long_sentence_is_divided_at_clauses_and_nothing_is_lost() -> None:
    text = "the quick brown fox jumps over the lazy dog, " * 20 + "and sleeps."
    utterances = FRONTEND.utterances(text)
    assert len(utterances) > 2
    assert "".join(one.text for one in utterances) == text
    assert all(one.ids.size <= 240 for one in utterances)
    assert all(one.text.endswith(", ") for one in utterances[:-1])
    assert sum(len(one.words) for one in utterances) == 20 * 9 + 2


def test_word_without_end_is_still_divided() -> None:
    small = Frontend(limits=FrontendLimits(max_tokens=16))
    assert all(one.ids.size <= 16 for one in small.utterances("supercalifragilistic" * 5))
    assert "".join(texts("好" * 300, small)) == "好" * 300


def test_limits_are_checked() -> None:
    with pytest.raises(TextTooLong, match="text has 11 characters, the limit is 10; send it in parts"):
        Frontend(limits=FrontendLimits(max_characters=10)).utterances("hello world")
    with pytest.raises(ValueError, match="at least 16"):
        FrontendLimits(max_tokens=15)


# -- pauses


def test_pause_stands_behind_what_it_follows() -> None:
    first, second = FRONTEND.utterances("One.[pause:0.5] Two.")
    assert (first.text, first.pause_after_s) == ("One.", 0.5)
    assert (second.text, second.pause_after_s) == (" Two.", 0.0)


def test_pause_divides_a_sentence() -> None:
    assert [(one.text, one.pause_after_s) for one in FRONTEND.utterances("等一下[pause:1]好了")] == [
        ("等一下", 1.0),
        ("好了", 0.0),
    ]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Hi [pause:0.25][pause:.5] there", 0.75), ("Hi [PAUSE:1s] there", 1.0), ("Hi [pause: 2 ] there", 2.0),
        ("Hi [pause:0] there", 0.0), ("Hi [pause:10] there", 10.0), ("[pause:3]Hi [pause:1] there", 1.0),
    ],
)  # fmt: skip
def test_pause_forms(text: str, seconds: float) -> None:
    assert FRONTEND.utterances(text)[0].pause_after_s == seconds


@pytest.mark.parametrize("value", ["-1", "10.01", "nan", "inf", "long", "", "1e999", "0,5"])
def test_wrong_pause_is_named(value: str) -> None:
    with pytest.raises(InvalidRequest, match=r"give seconds from 0 to 10, as in \[pause:0.5\]") as caught:
        FRONTEND.utterances(f"Hi [pause:{value}] there")
    assert f"[pause:{value}] is not a pause" in str(caught.value)


def test_pauses_in_a_row_have_a_limit() -> None:
    with pytest.raises(InvalidRequest, match="pauses in a row add up to 12 s; at most 10 s"):
        FRONTEND.utterances("Hi [pause:6][pause:6] there")


def test_pauses_alone_say_nothing() -> None:
    with pytest.raises(EmptyText):
        FRONTEND.utterances("[pause:1][pause:1]")


# -- phonemes given by the caller


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[HH AH0 L OW1]]", "HH AH0 L OW1 ."),
        ("[[n i2 h ao3]]。", "n i2 h ao3 ."),
        ("I [[R EH1 D]] it.", "AY1 # R EH1 D # IH1 T ."),
        ("我在[[h ang2]]里", "uo3 # z ai4 # h ang2 # l i3 ."),
        ("say [[zh ong1]], [[K AE1 T]]!", "S EY1 # zh ong1 , K AE1 T !"),
        ("[[ g uo2  rr ]]", "g uo2 rr ."),
    ],
)
def test_phonemes_are_taken_as_given(text: str, said: str) -> None:
    assert symbols(text) == said


def test_source_of_phonemes_stays_in_the_text() -> None:
    assert texts("I [[R EH1 D]] it. Yes.") == ["I [[R EH1 D]] it. ", "Yes."]


@pytest.mark.parametrize(
    ("text", "wrong", "nearest"),
    [
        ("[[HH AH3 L OW1]]", "AH3", "AH0"),
        ("[[HH AH L OW1]]", "AH", "AH"),
        ("[[n i6]]", "i6", "i5"),
        ("[[hh ah0]]", "hh", "HH"),
        ("[[K AE1 TT]]", "TT", "T"),
        ("[[zho ng1 zh ong1]]", "zho", "zh"),
    ],
)
def test_unknown_phoneme_is_answered_with_the_nearest(text: str, wrong: str, nearest: str) -> None:
    with pytest.raises(UnknownSymbol, match=r"is not in this bundle's table; nearest: ") as caught:
        FRONTEND.utterances(f"Say {text} now.")
    message = str(caught.value)
    assert f"phoneme '{wrong}' in {text}" in message
    assert nearest in message.split("nearest: ")[1]


@pytest.mark.parametrize(
    "text", ["[note] this", "[[see below]] this", "[[ ]] this", "[[]] this", "[pause] this", "]] this"]
)
def test_other_brackets_are_only_brackets(text: str) -> None:
    assert symbols(text).endswith("DH IH1 S .")


def test_private_characters_of_the_caller_are_harmless() -> None:
    assert symbols("a\U000f0000b [[K AE1 T]]").endswith("K AE1 T .")


# -- one utterance for labelling


def test_symbols_join_sentences() -> None:
    assert FRONTEND.symbols("Hi. 你好!") == ("^", "HH", "AY1", ".", "n", "i2", "h", "ao3", "!", "$")
