"""Phonemes for the imported EmotiVoice checkpoint: Mandarin as its own front end writes it.

Kept apart from the Mandarin of the default bundle (``text/zh.py``): no sandhi, no erhua merging, EmotiVoice's symbols
and pauses. Readings come from pypinyin with CC-CEDICT's phrases laid over it, as that front end has them; both are
read as tables, nothing of pypinyin's global state changes.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from emotirt.errors import BackendUnavailable
from emotirt.text.emotivoice_numbers import chinese_number
from emotirt.text.emotivoice_syllables import emotivoice_syllable
from emotirt.text.emotivoice_symbols import AFTER_WORD, EDGE, IN_WORD, PAUSE
from emotirt.text.zh_segment import HANZI, words_from_text

PAUSING = re.escape("。，？！；：“”‘’《》〈〉【】『』—…、（）" + string.punctuation)
_SPAN = re.compile(
    rf"(?P<hanzi>[{HANZI}]+)|(?P<number>[0-9][0-9.]*[0-9]|[0-9])|(?P<latin>[A-Za-z]+)|(?P<pause>[{PAUSING}]+)"
)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of text of one kind: ``hanzi``, ``number``, ``latin`` or ``pause``; anything else is not spoken."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class _Readings:
    phrases: Mapping[str, Sequence[Sequence[str]]]
    overlay: Mapping[str, Sequence[Sequence[str]]]
    characters: Mapping[int, str]


def spans_from_text(text: str) -> Iterator[Span]:
    """Divide text into stretches of one kind, leaving out what has no sound and no pause."""
    for match in _SPAN.finditer(text):
        yield Span(str(match.lastgroup), match[0])


def emotivoice_phonemes(text: str) -> str:
    """Write Chinese text as EmotiVoice phonemes.

    ``<sos/eos>`` opens and closes; ``sp0`` stands between the syllables of a word, ``sp1`` after a word, ``sp3`` in
    its place at punctuation. A syllable without initial leaves its place empty, so two spaces meet there. A pause
    before the first word is dropped. Latin letters are not spoken; ``text/emotivoice_reader.py`` does both languages.

    Args: text: any text; numbers are read out.
    Raises: BackendUnavailable: the packages with the readings are not installed.
    """
    fields = [EDGE]
    for span in spans_from_text(text):
        if span.kind == "pause":
            if len(fields) > 1:
                fields[-1] = PAUSE
        elif span.kind != "latin":
            words = [chinese_number(span.text)] if span.kind == "number" else words_from_text(span.text)
            for word in words:
                spoken = _word_phonemes(word)
                fields.extend((spoken, AFTER_WORD) if spoken else ())
    return " ".join([*fields, EDGE])


def word_symbols(word: str) -> tuple[str, ...]:
    """Return a Chinese word's symbols, ``sp0`` between its syllables; none when it cannot be read."""
    return tuple(_word_phonemes(word).split())


@lru_cache(maxsize=8192)
def _word_phonemes(word: str) -> str:
    """Join a word's syllables: ``b ei3 sp0 j ing1``; "" when none can be read."""
    syllables = (emotivoice_syllable(pinyin) for pinyin in _pinyin(word))
    return f" {IN_WORD} ".join(f"{initial} {final}" for initial, final in syllables)


def _pinyin(word: str) -> Iterator[str]:
    """Read a word by its longest phrases from the left, else character by character."""
    from pypinyin.contrib.tone_convert import to_tone3

    tables = _readings()
    start = 0
    while start < len(word):
        for end in range(len(word), start, -1):
            phrase = word[start:end]
            found = tables.overlay.get(phrase) or tables.phrases.get(phrase)
            if found:
                accented = [options[0] for options in found]
                break
        else:
            end = start + 1
            accented = [tables.characters.get(ord(word[start]), "").split(",")[0]]
        yield from (to_tone3(reading, neutral_tone_with_five=True) for reading in accented if reading)
        start = end


@lru_cache(maxsize=1)
def _readings() -> _Readings:
    try:
        from pypinyin.constants import PHRASES_DICT, PINYIN_DICT

        # The package ships no types.
        from pypinyin_dict.phrase_pinyin_data.cc_cedict import phrases_dict  # type: ignore[import-untyped,unused-ignore]
    except ImportError as exc:
        raise BackendUnavailable(
            f"EmotiVoice-compatible Mandarin needs the package {exc.name!r}; run: pip install pypinyin pypinyin-dict"
        ) from exc
    return _Readings(PHRASES_DICT, phrases_dict, PINYIN_DICT)
