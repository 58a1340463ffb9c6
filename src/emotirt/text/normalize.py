"""Write out what is not words: character forms, numbers, dates, money, units, abbreviations.

Pure text to text; knows nothing of phonemes. Chinese notation goes through the grammar of ``wetext``, imported on first
need (it takes 0.3 s to load and about 3 ms a sentence), English notation through ``english_text``. In a sentence with
both languages a numeral is read in Chinese, unless it stands inside a stretch of at least three English words.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Any

from emotirt.text.english_text import english_text

HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HAN = re.compile(f"[{HAN}]")
_NON_HAN = re.compile(f"[^{HAN}]+")
_LATIN_WORD = re.compile(r"[A-Za-z]{2,}")
_PLAIN = re.compile(rf"[A-Za-z\s,;:?!'\"()\u2014\u201c\u201d…，。、？！；：《》「」『』【】（）\U000f0000-\U000ffffd{HAN}]*")
_CHINESE_MARK = re.compile("[，。、？！；：《》「」『』【】（）]")
_CHINESE_NOTATION = re.compile(r"[0-9%‰℃℉°$€£¥+=×÷<>≤≥≈±&@#~～²³/^*]")
_DASH = re.compile(r"\s-+\s|-{2,}")
_KEPT = {0x2026: "…", 0xFF5E: "～", 0x2103: "℃", 0x2109: "℉", 0x00B2: "²", 0x00B3: "³", 0x3002: "。"}
_FORMS: dict[int, str | int | None] = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {
    0x3000: 0x20, 0xFF61: 0x3002, 0xFFE5: 0xA5, 0xFFE1: 0xA3, 0x2019: 0x27, 0x02BC: 0x27, 0x2018: 0x22,
    0x00AD: None, 0x200B: None, 0x2060: None, 0xFEFF: None, 0x2010: 0x2D, 0x2011: 0x2D, 0x22EF: 0x2026,
    0xDF: "ss", 0xE6: "ae", 0xC6: "Ae", 0xF8: "o", 0xD8: "O", 0x142: "l", 0x141: "L", 0x153: "oe", 0x152: "Oe",
    0xFE: "th", 0xDE: "Th", 0xF0: "th", 0xD0: "Th", 0x111: "d", 0x110: "D", 0x131: "i",
}  # fmt: skip
_CHINESE_FIXES = (
    (re.compile(r"¥\s*(?=[\d.,]+\s*[百千万亿]*元)"), ""),
    (re.compile(r"\bNo\.?\s?(?=\d)"), "第"),
    (re.compile(r"\bC\+\+"), "C plus plus"),
    (re.compile(r"\bC#"), "C sharp"),
    (re.compile(r"(?<=[A-Za-z])-?(?=\d)|(?<=\d)(?=[A-Za-z]{3,})"), " "),
)
"""What the Chinese grammar reads wrongly: a doubled currency, ``No.``, and digits that touch Latin letters."""
_CHINESE_DIGITS = str.maketrans("0123456789", "零一二三四五六七八九")
_CHINESE_SYMBOLS = {
    "%": "百分之", "‰": "千分之", "℃": "摄氏度", "℉": "华氏度", "°": "度", "+": "加", "=": "等于", "×": "乘", "÷": "除以",
    "<": "小于", ">": "大于", "≤": "小于等于", "≥": "大于等于", "≈": "约等于", "±": "正负", "&": "和", "@": " at ",
    "²": "平方", "³": "立方", "$": "美元", "€": "欧元", "£": "英镑", "¥": "元", "#": "号", "/": " ", "*": " ", "^": " ",
}  # fmt: skip


def normalize(text: str) -> str:
    """Write a sentence out as words and punctuation.

    Args:
        text: any text.
    Returns: text whose words are Latin letters or hanzi; digits, symbols and emoji are gone. Private-use characters
        from U+F0000 on are kept for the caller.
    """
    if _PLAIN.fullmatch(text):
        return text
    is_chinese = bool(_HAN.search(text) or (_CHINESE_MARK.search(text) and not _LATIN_WORD.search(text)))
    text = _DASH.sub(" — ", _characters(text))
    if not is_chinese:
        return english_text(text)
    return _chinese_text(_NON_HAN.sub(_english_island, text))


def _characters(text: str) -> str:
    """Fold full-width, compatibility and accented forms and foreign digits; drop emoji and invisible characters."""
    folded = []
    for char in text.translate(_FORMS):
        code = ord(char)
        if code < 0x80 or code in _KEPT or 0x4E00 <= code <= 0x9FFF or 0xF0000 <= code <= 0xFFFFD:
            folded.append(char)
            continue
        for part in unicodedata.normalize("NFKD", char):
            category = unicodedata.category(part)
            if category == "Nd":
                folded.append(str(unicodedata.decimal(part)))
            elif category not in ("Mn", "Me", "Cf", "Cs", "Co", "Cn", "Sk"):
                folded.append(" " if category in ("So", "Cc") and part != "°" else part)
    return "".join(folded)


def _english_island(match: re.Match[str]) -> str:
    """Write out a stretch without hanzi in English if it reads as English."""
    stretch = match.group()
    is_english = len(_LATIN_WORD.findall(stretch)) >= 3 or "@" in stretch or "www." in stretch or "://" in stretch
    return english_text(stretch) if is_english else stretch


@lru_cache(maxsize=1)
def _chinese_grammar() -> Any:
    from wetext import Normalizer

    return Normalizer(lang="zh", operator="tn")


@lru_cache(maxsize=512)
def _chinese_text(text: str) -> str:
    if not _CHINESE_NOTATION.search(text):
        return text
    prepared = text
    for pattern, replacement in _CHINESE_FIXES:
        prepared = pattern.sub(replacement, prepared)
    try:
        spoken = str(_chinese_grammar().normalize(prepared))
    except Exception:  # the grammar fails in many ways on odd input; whatever it does, the text is still spoken
        spoken = prepared
    spoken = spoken.translate(_CHINESE_DIGITS)
    return "".join(_CHINESE_SYMBOLS.get(char, char) for char in spoken)
