"""Write out what is not words: character forms, numbers, dates, money, units, abbreviations.

Pure text to text; knows nothing of phonemes. Chinese notation goes through ``chinese_text``, English notation through
``english_text``, and text without notation through neither. In a sentence with both languages a numeral is read in
Chinese, unless it stands inside a stretch of at least three English words.
"""

from __future__ import annotations

import re
import unicodedata

from emotirt.text.chinese_text import chinese_text
from emotirt.text.english_text import english_text, has_roman_numeral

HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HAN = re.compile(f"[{HAN}]")
_NON_HAN = re.compile(f"[^{HAN}，、；。？！：]+")
_LATIN_WORD = re.compile(r"[A-Za-z]{2,}|\b[Ia]\b")
_PLAIN = re.compile(
    rf"[A-Za-z\s,;:?!'\"()\u2014\u201c\u201d…，。、？！；：《》「」『』【】（）\U000f0000-\U000ffffd{HAN}]*"
)
_CHINESE_MARK = re.compile("[，。、？！；：《》「」『』【】（）]")
_ADDRESS = re.compile(r"\w@\w+\.[A-Za-z]|www\.|://")
_LAST_NUMERAL = re.compile(r"(?<![\w$£€.-])[\d.,%:~-]*\d\s?$|(?<=[，、；。？！])[^A-Za-z]*$")
_DASH = re.compile(r"(?<!\d)\s-+\s|\s-+\s(?!\d)|-{2,}")
_TITLE = re.compile(r"(?<![A-Za-z])(?:Mr|Mrs|Ms|Dr|Prof|Jr|Sr)\.")
_KEPT = frozenset(map(ord, "…～℃℉²³。，"))
_HALF_WIDTH: dict[int, str | int | None] = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F) if code != 0xFF0C}
_FORMS: dict[int, str | int | None] = _HALF_WIDTH | {
    0x3000: 0x20, 0xFF61: 0x3002, 0xFFE5: 0xA5, 0xFFE1: 0xA3, 0x2019: 0x27, 0x02BC: 0x27, 0x2018: 0x22,
    0x00AD: None, 0x200B: None, 0x2060: None, 0xFEFF: None, 0x2010: 0x2D, 0x2011: 0x2D, 0x22EF: 0x2026,
    0x33A1: "m²", 0x33A2: "km²", 0x33A0: "cm²", 0x33A5: "m³", 0x33A4: "cm³", 0x2116: "No.", 0x2122: None,
    0xDF: "ss", 0xE6: "ae", 0xC6: "Ae", 0xF8: "o", 0xD8: "O", 0x142: "l", 0x141: "L", 0x153: "oe", 0x152: "Oe",
    0xFE: "th", 0xDE: "Th", 0xF0: "th", 0xD0: "Th", 0x111: "d", 0x110: "D", 0x131: "i",
}  # fmt: skip


def normalize(text: str, bare_numbers_in_chinese: bool = False) -> str:
    """Write a sentence out as words and punctuation.

    Args:
        text: any text.
        bare_numbers_in_chinese: how to read a sentence with neither hanzi nor English words, such as ``10:30``.
    Returns: text whose words are Latin letters or hanzi; digits, symbols and emoji are gone. Private-use characters
        from U+F0000 on are kept for the caller.
    """
    if _PLAIN.fullmatch(text) and not has_roman_numeral(text):
        return text
    has_words = _LATIN_WORD.search(text)
    is_chinese = _HAN.search(text) or (not has_words and (bare_numbers_in_chinese or _CHINESE_MARK.search(text)))
    text = _DASH.sub(" — ", _characters(text))
    return chinese_text(_NON_HAN.sub(_english_island, text)) if is_chinese else english_text(text)


def unspoken_letters(text: str) -> str:
    """Return the letters of other scripts in a text, each once and in order: nobody reads them.

    Accented and full-width letters fold to Latin; Greek letters, which often are symbols, do not count.
    """
    if text.isascii():
        return ""
    return "".join(char for char in dict.fromkeys(text) if ord(char) >= 0x80 and _is_foreign_letter(char))


def _is_foreign_letter(char: str) -> bool:
    if unicodedata.category(char) not in ("Lu", "Ll", "Lo") or _HAN.match(char):
        return False
    folded = unicodedata.normalize("NFKD", char)
    return not (folded[0].isascii() or _HAN.match(folded) or unicodedata.name(char, "").startswith(("LATIN", "GREEK")))


def _characters(text: str) -> str:
    """Fold full-width, compatibility and accented forms and foreign digits; drop emoji and invisible characters."""
    if text.isascii():
        return text
    folded: list[str] = []
    for char in text.translate(_FORMS):
        code = ord(char)
        if code < 0x80 or code in _KEPT or 0x4E00 <= code <= 0x9FFF or 0xF0000 <= code <= 0xFFFFD:
            folded.append(char)
            continue
        if unicodedata.decomposition(char).startswith(("<fraction>", "<circle>")):
            folded.append(" ")  # 2½ is no 21/2, and ①② are no 12
        for part in unicodedata.normalize("NFKD", char):
            category = unicodedata.category(part)
            if category == "Nd":
                folded.append(str(unicodedata.decimal(part)))
            elif category not in ("Mn", "Me", "Cf", "Cs", "Co", "Cn", "Sk"):
                folded.append(" " if category in ("So", "Cc") and part != "°" else part)
    return "".join(folded)


def _english_island(match: re.Match[str]) -> str:
    """Write out a stretch without hanzi in English if it reads as English.

    A numeral at its end counts in Chinese, as in ``I love it, 3个``.
    """
    stretch = match.group()
    is_english = len(_LATIN_WORD.findall(stretch)) >= 3 or _ADDRESS.search(stretch)
    if not is_english:
        return _TITLE.sub(lambda title: english_text(title.group()), stretch)
    followed = match.end() < len(match.string)
    tail = _LAST_NUMERAL.search(stretch) if followed else None
    end = tail.start() if tail else len(stretch)
    return english_text(stretch[:end]) + stretch[end:]
