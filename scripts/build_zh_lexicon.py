"""Build src/emotirt/text/data/zh_lexicon.xz, the Mandarin front end's dictionary, from two MIT-licensed packages.

Words, their counts and the character model for unknown words come from jieba 0.42.1 (Sun Junyi, MIT); readings come
from pypinyin 0.55.0 (mozillazg, MIT). The file is one xz stream of UTF-8 text, sections divided by form feeds:

    0  a line of provenance, a line with the sum of all counts
    1  one line a pinyin syllable: the syllable, then every character whose first reading it is
    2  one line a first character: that character, then the rest of each word that starts with it, space-separated
    3  the counts of those words, line by line
    4  where a word is not read as its characters are by themselves: index:syllable'syllable, space-separated
    5  per state B M E S two lines: characters; all of the state's count in a segmented corpus, then each character's

Run: python scripts/build_zh_lexicon.py   (needs jieba and pypinyin; the result is the same bytes every time)
"""

from __future__ import annotations

import lzma
import math
import re
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parents[1] / "src/emotirt/text/data/zh_lexicon.xz"
# Phrase readings in pypinyin already carry the sandhi of these two; the front end applies it itself.
CITATION_TONES = {"一": "yi1", "不": "bu4"}
# Characters whose first reading in pypinyin is not the one that most words without an entry of their own need.
FIRST_READINGS = {
    "长": "cháng",
    "得": "de",
    "调": "tiáo",
    "倒": "dǎo",
    "挣": "zhèng",
    "勒": "lè",
    "帖": "tiě",
    "谁": "shéi",
}
# Bodies and places whose head is called after them with 长.
LED = "部局处科厂市省县区乡镇村院会团队班组排连营师军舰船机站所校行州酋族社台馆店庄室委司课"
# Words without an entry: pattern, index of the character, its reading there.
UNLISTED = (
    (re.compile("得."), 0, "de2"),
    (re.compile("..+弹$"), -1, "dan4"),
    (re.compile(".+为$"), -1, "wei2"),
    (
        re.compile(".*[部局处科厂市省县区乡镇村院会团队班组排连营师军舰船机站所校行州酋族社台馆店庄室委司课]长$"),
        -1,
        "zhang3",
    ),
)


def tone_digit_reading() -> Callable[[str], list[str]]:
    """Return a function from a string to one pinyin syllable per character, "" where there is none."""
    import pypinyin
    from pypinyin.constants import PHRASES_DICT

    pypinyin.load_single_dict({ord(hanzi): reading for hanzi, reading in FIRST_READINGS.items()})

    def silence(text: str) -> Any:  # pypinyin accepts a list here, one item per character, though its types do not
        return [""] * len(text)

    def readings(text: str) -> list[str]:
        found = pypinyin.lazy_pinyin(text, style=pypinyin.Style.TONE3, neutral_tone_with_five=True, errors=silence)
        found = [CITATION_TONES.get(hanzi, syllable) for hanzi, syllable in zip_longest(text, found, fillvalue="")]
        for pattern, index, reading in UNLISTED if text not in PHRASES_DICT else ():
            if pattern.match(text):
                found[index] = reading
        return found

    return readings


def word_counts() -> dict[str, int]:
    """Read jieba's dictionary: word -> count."""
    import jieba

    lines = (Path(jieba.__file__).parent / "dict.txt").read_text(encoding="utf-8").splitlines()
    fields = (line.split(" ") for line in lines)
    return {word: int(count) for word, count, *_ in fields}


def character_section(readings: Callable[[str], list[str]]) -> tuple[str, dict[str, str]]:
    """Group all characters by their first reading."""
    from pypinyin.pinyin_dict import pinyin_dict

    first = {chr(code): readings(chr(code))[0] for code in sorted(pinyin_dict)}
    groups: dict[str, list[str]] = defaultdict(list)
    for hanzi, syllable in first.items():
        if syllable:
            groups[syllable].append(hanzi)
    return "\n".join(syllable + "".join(groups[syllable]) for syllable in sorted(groups)), first


def word_sections(
    counts: Mapping[str, int], first: Mapping[str, str], readings: Callable[[str], list[str]]
) -> tuple[str, str, str]:
    """Lay words, counts and exceptional readings out by first character."""
    groups: dict[str, list[str]] = defaultdict(list)
    for word in sorted(counts):
        groups[word[0]].append(word)
    words, numbers, exceptions = [], [], []
    for hanzi in sorted(groups):
        group = groups[hanzi]
        words.append(hanzi + " ".join(word[1:] for word in group))
        numbers.append(" ".join(str(counts[word]) for word in group))
        unusual = []
        for index, word in enumerate(group):
            found = readings(word)
            if len(word) > 1 and len(found) == len(word) and found != [first.get(part, "") for part in word]:
                unusual.append(f"{index}:" + "'".join(found))
        exceptions.append(" ".join(unusual))
    return "\n".join(words), "\n".join(numbers), "\n".join(exceptions)


def model_section() -> str:
    """Recover the corpus counts behind jieba's emission probabilities; the rarest character was seen once."""
    from jieba.finalseg.prob_emit import P as LOG_PROBABILITIES

    lines = []
    for state in "BMES":
        log_probabilities = {c: p for c, p in sorted(LOG_PROBABILITIES[state].items()) if p > -1e10}
        log_total = -min(log_probabilities.values())
        counts = (round(math.exp(p + log_total)) for p in log_probabilities.values())
        lines.append("".join(log_probabilities))
        lines.append(" ".join(str(count) for count in (round(math.exp(log_total)), *counts)))
    return "\n".join(lines)


def main() -> int:
    """Write the file and say how large it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jieba imports the deprecated pkg_resources
        counts = word_counts()
        readings = tone_digit_reading()
        characters, first = character_section(readings)
        sections = (
            f"words: jieba 0.42.1 (MIT); readings: pypinyin 0.55.0 (MIT)\n{sum(counts.values())}",
            characters,
            *word_sections(counts, first, readings),
            model_section(),
        )
    payload = "\f".join(sections).encode()
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_bytes(lzma.compress(payload, preset=9 | lzma.PRESET_EXTREME))
    sys.stdout.write(f"{TARGET}: {TARGET.stat().st_size} bytes, {len(payload)} unpacked, {len(counts)} words\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
