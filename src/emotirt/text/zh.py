"""Mandarin words and their pronunciations: segmentation, readings by phrase, tone sandhi, erhua."""

from __future__ import annotations

from emotirt.text.phonemes import Pronunciation
from emotirt.text.symbols import ERHUA
from emotirt.text.zh_lexicon import default_lexicon
from emotirt.text.zh_neutral import apply_erhua, apply_neutral_tones
from emotirt.text.zh_readings import readings_of_words
from emotirt.text.zh_sandhi import apply_sandhi
from emotirt.text.zh_segment import words_from_text
from emotirt.text.zh_sentence import Sentence, Word, sentence_from_readings
from emotirt.text.zh_syllables import symbols_from_pinyin

__all__ = ["chinese_sentence", "chinese_words", "symbols_from_pinyin"]

# Function characters: the model for unknown words may not join them to their neighbours.
_FUNCTION_CHARACTERS = frozenset(
    "的地得了着过和是在我你他她它不也都就很把被给到说这那有吗呢吧啊一个没还又再才最更太请让"
)


def chinese_sentence(text: str) -> Sentence:
    """Segment and read Chinese text, with neutral tones, erhua and sandhi applied.

    Args: text: as for ``chinese_words``.
    """
    words = words_from_text(text, _FUNCTION_CHARACTERS)
    sentence = sentence_from_readings(list(zip(words, readings_of_words(words), strict=True)))
    apply_neutral_tones(sentence)
    apply_erhua(sentence)
    apply_sandhi(sentence, default_lexicon().__contains__)
    return sentence


def chinese_words(text: str) -> list[Pronunciation]:
    """Segment Chinese text into words and read them.

    Characters that have no Mandarin reading are skipped.

    Args: text: a run of Chinese, already normalized (digits written out); anything else in it is ignored.
    Returns: one pronunciation per spoken word, in order, tone sandhi applied.
    """
    sentence = chinese_sentence(text)
    pronunciations = (Pronunciation(word.text, _symbols(word)) for word in sentence.words)
    return [pronunciation for pronunciation in pronunciations if pronunciation.symbols]


def _symbols(word: Word) -> tuple[str, ...]:
    symbols: list[str] = []
    for syllable in word.syllables:
        if not syllable.silent:
            symbols.extend(symbols_from_pinyin(f"{syllable.letters}{syllable.tone}"))
        if syllable.erhua:
            symbols.append(ERHUA)
    return tuple(symbols)
