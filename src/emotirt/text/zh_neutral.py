"""Mandarin neutral tones by grammar, and erhua; lexical ones (衣服, 月亮) come with the readings."""

from __future__ import annotations

from functools import lru_cache

from emotirt.text.zh_data import data_words
from emotirt.text.zh_sentence import NEUTRAL, Sentence, Syllable, Word

# Sentence particles and suffixes with only a neutral reading when they stand as words or end one.
_PARTICLES = {
    "的": "de",
    "了": "le",
    "着": "zhe",
    "吗": "ma",
    "呢": "ne",
    "吧": "ba",
    "们": "men",
    "嘛": "ma",
    "么": "me",
}
# Kin names and the like: the second half is neutral, but a third tone before it does not rise (奶奶, 姐姐).
_KIN_REPEATS = frozenset("奶姐嫂姥婶宝爸妈爷哥弟妹叔伯舅姑公婆太娃星猩蛐蝈饽宝")
# Verbs after which a word-final 过 is the light one of experience: 去过, 看过.
_EXPERIENCED_VERBS = frozenset("去吃来见听说做学用有买读写住坐想玩试爱问教喝看")
# What the segmentation joins to a 儿 that belongs to the word before: 花园|儿里.
_AFTER_SUFFIX = frozenset(("里", "上", "下", "外", "边", "后", "前"))
# What stands before a 儿 of its own that means child.
_CHILD_BEFORE = frozenset("女婴幼孤健胎宠弃产侄妻育患的和与、")


@lru_cache(maxsize=1)
def _full_repeats() -> frozenset[str]:
    return data_words("zh_full_repeats.txt")


@lru_cache(maxsize=1)
def _child_words() -> frozenset[str]:
    return data_words("zh_child_words.txt")


def apply_neutral_tones(sentence: Sentence) -> None:
    """Set neutral tones that follow from grammar, in place: particles and repeated words."""
    for position, word in enumerate(sentence.words):
        last = word.syllables[-1]
        if len(word.syllables) == 1:
            if position and word.text in _PARTICLES and last.letters == _PARTICLES[word.text]:
                last.tone = NEUTRAL
        elif last.hanzi == "们" or (last.hanzi in "的了着么" and last.letters == _PARTICLES[last.hanzi]):
            last.tone = NEUTRAL
        if last.hanzi == "地" and len(word.text) == 3 and word.text[0] == word.text[1]:  # 嗡嗡地
            last.letters, last.tone = "de", NEUTRAL
        if len(word.syllables) in (2, 3):
            _repeat(word.syllables[:2], word.text[:2])
        if len(word.syllables) == 2 and last.hanzi == "过" and word.text[0] in _EXPERIENCED_VERBS:
            last.tone = NEUTRAL
    for left, right in zip(sentence.words, sentence.words[1:], strict=False):
        if len(left.text) == 1 and left.text == right.text:
            _repeat([left.syllables[0], right.syllables[0]], left.text + right.text)


def _repeat(pair: list[Syllable], text: str) -> None:
    first, second = pair
    if first.hanzi != second.hanzi or text in _full_repeats() or first.letters != second.letters:
        return
    if first.hanzi not in _KIN_REPEATS and first.tone == 3:
        first.tone = 2
    second.tone = NEUTRAL


def apply_erhua(sentence: Sentence) -> None:
    """Merge a final 儿 into the syllable before it, in place, where it is not the word for child."""
    syllables = sentence.syllables
    for word in sentence.words:
        for offset, syllable in enumerate(word.syllables):
            index = word.start + offset
            if syllable.hanzi != "儿" or not index or not _is_suffix(sentence, word, offset):
                continue
            before = syllables[index - 1]
            if not before.silent and before.letters != "er":
                before.erhua = True
                syllable.silent = True


def _is_suffix(sentence: Sentence, word: Word, offset: int) -> bool:
    index = word.start + offset
    before = sentence.text[index - 1]
    if len(word.syllables) == 1:
        return before not in _CHILD_BEFORE and sentence.syllables[index - 1].tone != NEUTRAL
    if offset == 0:
        return word.text[1:] in _AFTER_SUFFIX and before not in _CHILD_BEFORE
    if offset == len(word.syllables) - 1:
        return word.text not in _child_words()
    return before not in _CHILD_BEFORE and word.text[offset + 1] not in "育女童子孙科歌戏"
