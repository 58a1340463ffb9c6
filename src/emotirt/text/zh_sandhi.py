"""Mandarin tone sandhi: 一, 不, and third tones in a row.

Rules after the national standard's description (Putonghua Shuiping Ceshi Gangyao, chapter on connected speech):
一 and 不 by the tone that follows; a third tone before a third tone rises to the second, first inside words and then
inside feet of two or three syllables.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from emotirt.text.zh_sentence import NEUTRAL, Sentence, Syllable, Word

_DIGITS = frozenset("〇零一二三四五六七八九")
_DIGITS_OR_TEN = _DIGITS | {"十"}
# Before 一百, 一千, 一万 these make it an ordinal, or digits read one by one.
_DIGITS_AND_ORDINALS = frozenset("〇一二三四五六七八九第初")
_NUMBER_TAIL = frozenset("十百千万亿点第初")
_BIG_UNITS = frozenset("百千万亿")
# What follows 一 where it is an ordinal, and keeps its first tone: 一月, 一号, 一年级.
_ORDINAL_AFTER_ONE = ("月份", "月", "号", "楼", "年级", "等奖", "等", "级", "班", "中全会")
_CARDINAL_BEFORE_MONTH = frozenset("每整这那头上下")
# What follows the light 不 between a verb and its result: 看不见, 来不及, 说不定.
_RESULTS_AFTER_NOT = frozenset("住起了到见得及动开上下来去过出进完成清懂着掉够多定消离通准透回惯")
# First character of a number or pointing word with its measure.
_COUNTING = frozenset("一二两三四五六七八九十几半这那哪每某各")
# Adverbs that lean on the word after them: 我|很好, not 我很|好.
_ADVERBS_OF_DEGREE = frozenset("很更最挺好也不太总只")
# What stands before an ordinary 不 although such a word may follow: 从不来, 也不去.
_ADVERBS_BEFORE_NOT = frozenset("并决从毫绝也又再都就还更若要而岂莫既永可且则却只我你他她它们真很太实是谁人才")


def apply_sandhi(sentence: Sentence, in_lexicon: Callable[[str], bool]) -> None:
    """Change tones in place: 一, then 不, then third tones.

    Args:
        sentence: base readings, neutral tones already set.
        in_lexicon: whether a string is a word; tells how three- and four-syllable words divide.
    """
    for word in sentence.words:
        for offset, syllable in enumerate(word.syllables):
            if syllable.hanzi == "一" and syllable.letters == "yi" and syllable.tone == 1:
                syllable.tone = _tone_of_one(sentence, word, offset)
            elif syllable.hanzi == "不" and syllable.letters == "bu" and syllable.tone == 4:
                syllable.tone = _tone_of_not(sentence, word, offset)
    _third_tones(sentence, in_lexicon)


def _next_spoken(sentence: Sentence, index: int) -> Syllable | None:
    """Return the syllable after an index, past a merged 儿; None at the end or before something unspoken."""
    for syllable in sentence.syllables[index + 1 :]:
        if not syllable.silent:
            return syllable
        if syllable.hanzi != "儿":
            return None
    return None


def _is_repeated_around(text: str, index: int) -> bool:
    """Whether the same character stands on both sides, as in 看一看 and 好不好."""
    return 0 < index < len(text) - 1 and text[index - 1] == text[index + 1]


def _one_is_ordinal_or_digit(text: str, index: int) -> bool:
    before = text[index - 1] if index else ""
    after = text[index + 1 : index + 2]
    if after in _BIG_UNITS and after:
        return before != "" and before in _DIGITS_AND_ORDINALS
    if before and (before in _DIGITS or before in _NUMBER_TAIL):
        return True
    if after and (after in _DIGITS or after == "十"):
        return True
    if before == "月" and after in ("日", "号"):
        return True
    if after in ("点", "比") and text[index + 2 : index + 3] in _DIGITS_OR_TEN:  # 一点五, 一比三
        return True
    rest = text[index + 1 : index + 4]
    if rest.startswith("月"):
        return before not in _CARDINAL_BEFORE_MONTH
    return rest.startswith(_ORDINAL_AFTER_ONE)


def _tone_of_one(sentence: Sentence, word: Word, offset: int) -> int:
    index = word.start + offset
    text = sentence.text
    following = _next_spoken(sentence, index)
    if following is None:
        return 1
    if _is_repeated_around(text, index) and text[index - 1] not in _DIGITS and text[max(0, index - 2)] != "一":
        return NEUTRAL
    if offset == len(word.syllables) - 1 and _one_ends_word(word):
        return 1
    if _one_is_ordinal_or_digit(text, index):
        return 1
    return 2 if _underlying_fourth(following) else 4


def _one_ends_word(word: Word) -> bool:
    """Whether 一 ends a word as its own, as in 统一 or 星期一; 有一, 这一, 每一 still count what follows."""
    return len(word.text) > 1 and word.text[-2] not in "有这那每某另哪前后进任何"


def _underlying_fourth(syllable: Syllable) -> bool:
    return syllable.tone == 4 or (syllable.tone == NEUTRAL and syllable.hanzi in "个下次上")


def _tone_of_not(sentence: Sentence, word: Word, offset: int) -> int:
    index = word.start + offset
    if _is_repeated_around(sentence.text, index):
        return NEUTRAL
    if offset == 1 and word.text[2:] in _RESULTS_AFTER_NOT and word.text[0] not in _ADVERBS_BEFORE_NOT:
        return NEUTRAL
    following = _next_spoken(sentence, index)
    return 2 if following is not None and following.tone == 4 else 4


def _third_tones(sentence: Sentence, in_lexicon: Callable[[str], bool]) -> None:
    for phrase in _phrases(sentence):
        tones = [syllable.tone for word in phrase for syllable in word.syllables if not syllable.silent]
        if (3, 3) in pairwise(tones):
            _third_tones_of_phrase(phrase, in_lexicon)


def _third_tones_of_phrase(words: list[Word], in_lexicon: Callable[[str], bool]) -> None:
    for word in words:
        if len(word.syllables) > 1:
            for group in _divisions(word, in_lexicon):
                _raise_thirds(group)
        if len(word.syllables) == 3:
            _raise_thirds(_spoken(word.syllables))
    for foot in feet(words):
        spoken = [syllable for word in foot for syllable in _spoken(word.syllables)]
        if len(foot) > 2 and foot[1].text in _ADVERBS_OF_DEGREE:
            _raise_thirds(spoken[1:])
        _raise_thirds(spoken)


def _spoken(syllables: list[Syllable]) -> list[Syllable]:
    return [syllable for syllable in syllables if not syllable.silent]


def _raise_thirds(syllables: list[Syllable]) -> None:
    """Turn each third tone that still stands before a third tone into a second, left to right."""
    for left, right in pairwise(syllables):
        if left.tone == 3 and right.tone == 3:
            left.tone = 2


def _divisions(word: Word, in_lexicon: Callable[[str], bool]) -> list[list[Syllable]]:
    """Divide a word into the parts where third tones meet first: 展览|馆, 纸|老虎, 老虎|钳子."""
    syllables, text = word.syllables, word.text
    if len(syllables) == 3:
        if not in_lexicon(text[:2]) and in_lexicon(text[1:]):
            return [_spoken(syllables[1:])]
        return [_spoken(syllables[:2])]
    if len(syllables) < 3:
        return [_spoken(syllables)]
    return [_spoken(syllables[index : index + 2]) for index in range(0, len(syllables), 2)]


def _phrases(sentence: Sentence) -> list[list[Word]]:
    """Divide the words where something unspoken stands between them; a merged 儿 divides nothing."""
    phrases: list[list[Word]] = [[]]
    for word in sentence.words:
        if _spoken(word.syllables):
            phrases[-1].append(word)
        elif word.text != "儿":
            phrases.append([])
    return phrases


def feet(words: list[Word]) -> list[list[Word]]:
    """Group words into feet: the stretches inside which third tones of neighbouring words meet.

    One-syllable words pair up from the left; one left over leans on the longer word after it, else on the foot
    before it. Neutral-tone words lean on what stands before, a number with its measure (三点, 这本) on what follows.
    Other longer words stand alone.
    """
    result: list[list[Word]] = []
    run: list[Word] = []
    for word in words:
        if len(word.syllables) == 1:
            if word.syllables[0].tone == NEUTRAL and (run or result):
                _close_run(run, result, None)
                result[-1].append(word)
            else:
                run.append(word)
        else:
            leaning = _close_run(run, result, word)
            if result and _counts(result[-1][-1]):
                leaning = [*result.pop(), *leaning]
            result.append([*leaning, word])
    _close_run(run, result, None)
    return result


def _counts(word: Word) -> bool:
    return len(word.text) == 2 and word.text[0] in _COUNTING and word.syllables[1].tone != NEUTRAL


def _close_run(run: list[Word], result: list[list[Word]], following: Word | None) -> list[Word]:
    """Move a run of one-syllable words into feet; return what leans on the following word."""
    words = run.copy()
    run.clear()
    leaning: list[Word] = []
    if len(words) % 2:
        if following is not None:
            leaning = [words.pop()]
        elif len(words) == 1 and result and len(result[-1][-1].syllables) <= 2:
            result[-1].append(words.pop())
    pairs = [words[index : index + 2] for index in range(0, len(words), 2)]
    if len(pairs) > 1 and len(pairs[-1]) == 1:
        pairs[-2].extend(pairs.pop())
    result.extend(pairs)
    return leaning
