"""An endless supply of new sentences, so that no timed request was ever seen before.

Sentences are put together from word lists by a seeded generator: the same seed gives the same sentences on every
machine, and an English sentence has 40 to 80 characters, a Chinese one 12 to 25.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

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


def _combinations(parts: tuple[tuple[str, ...], ...]) -> int:
    count = 1
    for words in parts:
        count *= len(words)
    return count
