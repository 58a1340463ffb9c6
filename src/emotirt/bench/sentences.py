"""An endless supply of new sentences, so that no timed request was ever seen before.

Sentences are put together from word lists by a seeded generator: the same seed gives the same sentences on every
machine, and an English sentence of ``sentences`` has 40 to 80 characters, a Chinese one 12 to 25.

``sixty_characters`` is for the text front end: its words are drawn from the whole dictionaries, so that hardly one of
them was met before and no memory of the front end helps; its grammar is of no account.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from functools import lru_cache

from emotirt.text import lexicon, zh_lexicon

KINDS = ("en", "zh", "mixed")
FEWEST_CHARACTERS, MOST_CHARACTERS = 55, 65
FEWEST_LIVE, MOST_LIVE = 5, 200

_EN = (
    (
        "The old captain",
        "My younger sister",
        "A quiet stranger",
        "Our new neighbour",
        "The tired doctor",
        "One of the students",
    ),
    ("carried", "painted", "sold", "repaired", "forgot", "discovered", "borrowed"),
    (
        "a heavy wooden box",
        "the blue bicycle",
        "several letters",
        "an enormous map",
        "two silver coins",
        "the kitchen window",
    ),
    (
        "near the harbour",
        "behind the library",
        "after the storm",
        "before sunrise",
        "on the way home",
        "during the long winter",
    ),
)
_ZH = (
    ("老船长", "我的妹妹", "那位医生", "新来的邻居", "几个学生", "隔壁的画家"),
    ("昨天下午", "下雨的时候", "回家的路上", "天亮以前", "刚才", "去年冬天"),
    ("修好了", "找到了", "忘记了", "买下了", "画完了", "带走了"),
    ("一辆蓝色的自行车", "很重的木头箱子", "两封旧信", "厨房的窗户", "一张巨大的地图", "三枚银币"),
)
_EN_GLUE = ("the", "and", "of", "with a", "near the", "but not", "was", "after", "from", "that", "into our", "very")
_ZH_GLUE = ("的", "和", "在", "了", "是", "把", "他们", "我的", "一个", "不", "就", "对", "从", "这样", "为了", "，")


def sentences(language: str, seed: int = 0) -> Iterator[str]:
    """Yield sentences of ``en`` or ``zh`` without end; the first thousand or so differ from each other."""
    generator = random.Random(f"{language}:{seed}")  # not for secrets
    parts, glue, stop = (_EN, " ", ".") if language == "en" else (_ZH, "", "。")
    seen: set[str] = set()
    while True:
        text = glue.join(generator.choice(words) for words in parts) + stop
        if text in seen and len(seen) < _combinations(parts) // 2:
            continue
        seen.add(text)
        yield text


def paragraphs(language: str, sentence_count: int, seed: int = 0) -> Iterator[str]:
    """Yield texts of ``sentence_count`` sentences without end."""
    source = sentences(language, seed)
    glue = " " if language == "en" else ""
    while True:
        yield glue.join(next(source) for _ in range(sentence_count))


def mixed_texts(sentence_count: int, seed: int) -> Iterator[str]:
    """Yield new texts without end, English and Chinese in turn."""
    english, chinese = paragraphs("en", sentence_count, seed), paragraphs("zh", sentence_count, seed)
    while True:
        yield next(english)
        yield next(chinese)


def live_texts(seed: int) -> Iterator[str]:
    """Yield what people have spoken live, without end: 5 to 200 characters, English and Chinese in turn.

    Lengths are uniform by their logarithm, so that short replies are as common as they are among agents and games: half
    of them have less than 32 characters.
    """
    generator = random.Random(f"live:{seed}")  # not for secrets
    low, high = math.log(FEWEST_LIVE), math.log(MOST_LIVE)
    while True:
        for language in ("en", "zh"):
            yield _cut(generator, language, round(math.exp(generator.uniform(low, high))))


def _cut(generator: random.Random, language: str, characters: int) -> str:
    """Put words of a language together up to so many characters, its stop included."""
    parts, glue, stop = (_EN, " ", ".") if language == "en" else (_ZH, "", "。")
    while True:
        words: list[str] = []
        while len(glue.join(words)) < characters:
            words += [generator.choice(choices) for choices in parts]
        text = glue.join(words)[: characters - 1]
        if not text.endswith(" "):
            return text + stop


def sixty_characters(kind: str, seed: int = 0, notation_every: int = 4) -> Iterator[str]:
    """Yield sentences of 55 to 65 characters without end.

    Args:
        kind: ``en``, ``zh``, or ``mixed`` for Chinese with English words in it.
        seed: the same seed gives the same sentences.
        notation_every: every how many sentences, from the first one, there is a number, date, time or price; 0 for
            never.
    """
    generator = random.Random(f"sixty:{kind}:{seed}")  # not for secrets
    count = 0
    while True:
        notation = _notation(kind, generator) if notation_every and count % notation_every == 0 else ""
        text = _sixty(kind, generator, notation)
        if FEWEST_CHARACTERS <= len(text) <= MOST_CHARACTERS:
            count += 1
            yield text


def unlisted_word(index: int, seed: int = 0) -> str:
    """Make up a pronounceable English word that the dictionary lacks."""
    generator = random.Random(f"word:{seed}:{index}")  # not for secrets
    while True:
        syllables = range(generator.randint(2, 4))
        word = "".join(generator.choice("bdfgklmnprstvz") + generator.choice("aeiou") for _ in syllables)
        word += generator.choice("nrtlsk")
        if lexicon.default_lexicon().get(word) is None:
            return word


def _sixty(kind: str, generator: random.Random, notation: str) -> str:
    english, chinese = dictionary_words()
    words = [notation] if notation else []
    glue = " " if kind == "en" else ""
    while len(glue.join(words)) < FEWEST_CHARACTERS - 1:
        if kind == "en":
            words += [generator.choice(_EN_GLUE), generator.choice(english)]
        else:
            words += [generator.choice(_ZH_GLUE), generator.choice(chinese)]
        if kind == "mixed" and generator.random() < 0.2:
            words.append(generator.choice(english))
    if notation:
        place = generator.randrange(len(words))
        words[0], words[place] = words[place], words[0]
    return glue.join(words) + ("." if kind == "en" else "。")


def _notation(kind: str, generator: random.Random) -> str:
    number = generator.randint
    if kind == "en":
        forms = (
            f"{number(2, 9999)}",
            f"${number(1, 99)}.{number(10, 99)}",
            f"May {number(1, 30)}",
            f"{number(1, 12)}:30",
        )
    else:
        forms = (
            f"{number(2, 9999)}个",
            f"{number(1, 99)}.5%",
            f"{number(1, 12)}月{number(1, 28)}日",
            f"{number(1, 23)}:30",
        )
    return generator.choice(forms)


@lru_cache(maxsize=1)
def dictionary_words() -> tuple[Sequence[str], Sequence[str]]:
    """Return words of the English and of the Mandarin dictionary, of usual lengths."""
    english = [word for word in lexicon.default_lexicon().words() if word.isalpha() and 3 <= len(word) <= 9]
    chinese = [word for word in zh_lexicon.default_lexicon().words() if 2 <= len(word) <= 4]
    return english, chinese


def _combinations(parts: tuple[tuple[str, ...], ...]) -> int:
    count = 1
    for words in parts:
        count *= len(words)
    return count
