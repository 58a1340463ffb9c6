"""Write Chinese text out: what the grammar of ``wetext`` reads wrongly is put right before, what it leaves after.

The grammar is imported on first need (0.3 s to load) and called clause by clause, because it takes 1 to 3 ms and joins
``30，100`` to one number.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any

from emotirt.text.emotivoice_numbers import chinese_number

_NOTATION = re.compile(r"[0-9%‰℃℉°$€£¥+=×÷<>≤≥≈±&@#~～²³/^*\u2044]")
_CLAUSE = re.compile("([，、；。？！…]+)")
_DIGITS = str.maketrans("0123456789", "零一二三四五六七八九")
_CURRENCIES = {
    "$": "美元", "US$": "美元", "€": "欧元", "£": "英镑", "¥": "元", "HK$": "港元", "A$": "澳元", "C$": "加元",
}  # fmt: skip
_SCALES = {"K": 10**3, "k": 10**3, "M": 10**6, "m": 10**6, "B": 10**9, "bn": 10**9}
_SYMBOLS = {
    "%": "百分之", "‰": "千分之", "℃": "摄氏度", "℉": "华氏度", "°": "度", "+": "加", "=": "等于", "×": "乘",
    "÷": "除以",
    "<": "小于", ">": "大于", "≤": "小于等于", "≥": "大于等于", "≈": "约等于", "±": "正负", "&": "和", "@": " at ",
    "²": "平方", "³": "立方", "$": "美元", "€": "欧元", "£": "英镑", "¥": "元", "#": "号", "/": " ", "*": " ", "^": " ",
    "\u2044": "分之",
}  # fmt: skip
_PHONE = "电话|手机|手机号|热线|传真|拨打|致电|座机"
_RANGE_ENDS = "点时分月日号年级楼岁元块度个天周次"
_NAMED_NUMBER = "QQ|微信|号码|账号|卡号|编号|学号|工号|证号|单号|车牌|密码|验证码|尾号|邮编|房号|ISBN"


def chinese_text(text: str) -> str:
    """Write numbers and symbols out in Chinese.

    Args:
        text: any text; what is not notation stays as it is.
    """
    return "".join(_clause_text(part) for part in _CLAUSE.split(text)) if _NOTATION.search(text) else text


@lru_cache(maxsize=512)
def _clause_text(clause: str) -> str:
    if not _NOTATION.search(clause):
        return clause
    for pattern, replacement in _FIXES:
        clause = pattern.sub(replacement, clause)
    grammar = _grammar()
    with suppress(Exception):  # the grammar fails in many ways on odd input; the text is spoken all the same
        clause = str(grammar.normalize(clause))
    return "".join(_SYMBOLS.get(char, char) for char in clause.translate(_DIGITS))


@lru_cache(maxsize=1)
def _grammar() -> Any:
    from wetext import Normalizer

    return Normalizer(lang="zh", operator="tn")


def _phone_digits(match: re.Match[str]) -> str:
    """Read a telephone number, where 1 is yāo."""
    head = match.groupdict().get("head") or ""
    return head + _digits_only(match.group()[len(head) :]).replace("一", "幺")


def _digits(match: re.Match[str]) -> str:
    """Read digits one by one; what stands before and between them stays, but for hyphens and spaces."""
    head = match.groupdict().get("head") or ""
    return head + _digits_only(match.group()[len(head) :])


def _digits_only(text: str) -> str:
    return re.sub(r"[\s-]+", "", text).replace("+", "加").translate(_DIGITS)


def _money(match: re.Match[str]) -> str:
    currency, amount, scale, unit = match.groups()
    if scale in _SCALES:
        amount = f"{float(amount.replace(',', '')) * _SCALES[scale]:.0f}"
        scale = ""
    return amount + scale + (unit or _CURRENCIES[currency])


def _version(match: re.Match[str]) -> str:
    return "点".join(chinese_number(part) for part in match.group().split("."))


_Replacement = str | Callable[[re.Match[str]], str]
_FIXES: tuple[tuple[re.Pattern[str], _Replacement], ...] = (
    (re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])"), lambda match: match.group().replace(",", "")),
    (re.compile(r"((?:US|HK|\b[AC])?\$|[€£¥])\s?(\d[\d,]*(?:\.\d+)?)\s*((?:[KkMmB]|bn)(?![A-Za-z])|[百千万亿]*)"
                r"(元|美元|欧元|英镑|港元|人民币)?"), _money),
    (re.compile(rf"(?P<head>(?:{_PHONE})[号码]{{0,2}}\s?[:是为]?\s?)\d[\d -]*\d"), _phone_digits),
    (re.compile(rf"(?P<head>(?:{_NAMED_NUMBER})[号码]{{0,2}}\s?[:是为]?\s?)\d[\d -]*\d"), _digits),
    (re.compile(r"\+\d{1,3}[ -]?\d[\d -]{5,}\d|(?<![\d.])\d{3,4}[ -]\d{3,4}[ -]\d{4}(?![\d.])"
                r"|(?<![\d.])0\d{2,3}-\d{7,8}(?![\d.])"), _phone_digits),
    (re.compile(r"(?<![\d.,])\d{13,}(?![\d.,])|(?<![\d.,-])\d{3,4}(?=室|号房|房间)"), _digits),
    (re.compile(r"(?<![\d.])(?!(?:19|20)\d\d\.)\d+\.\d+\.\d+(?![\d.])"), _version),
    (re.compile(r"(\d+(?:\.\d+)?)\s?‰"), r"千分之\1"),
    (re.compile(r"(\d+(?:\.\d+)?)%?[-~～–](\d+(?:\.\d+)?)%"), r"\1%到\2%"),
    (re.compile(rf"(?<=[\d{_RANGE_ENDS}])\s?[—–~～](?=\d)|(?<=[{_RANGE_ENDS}])-(?=\d)"), "到"),
    (re.compile(r"(?<=\d米)\d\d(?![\d.米厘])"), lambda match: match.group().translate(_DIGITS)),
    (re.compile(r"(时速\D{0,3})(\d+(?:\.\d+)?)\s?(?:km/h|公里/小时)"), r"\1\2公里"),
    (re.compile(r"(?<=月)2(?=[日号])|(?<![\d.])2(?=单元|栋|幢|号|楼|路)"), "二"),
    (re.compile(r"(?<=[周期拜][一二三四五六日天])(?=\d)"), "，"),
    (re.compile(r"(?<=\d)x(?![A-Za-z\d])"), "倍"),
    (re.compile(r"(?<=\d)\s?\*\s?(?=\d)"), "乘"),
    (re.compile(r"(?<=\d)\^(\d+)"), r"的\1次方"),
    (re.compile(r"(?<![\d/])(\d{1,3}) (\d{1,2})[/\u2044](\d{1,3})(?![\d/])"), r"\1又\2/\3"),
    (re.compile(r"(?<=\d)\u2044(?=\d)"), "/"),
    (re.compile(r"(?<![\d.:第])2(?=点(?!\d)|倍|公斤|吨|次)"), "两"),
    (re.compile(r"\bN[oO]\.?\s?(?=\d)"), "第"),
    (re.compile(r"\bC\+\+"), "C plus plus"),
    (re.compile(r"\bC#"), "C sharp"),
    (re.compile(r"(?<=[A-Za-z])&(?=[A-Za-z])"), " and "),
    (re.compile(r"(?<=[A-Za-z])-?\d{3,}(?![\d.,])"), lambda match: " " + match.group().lstrip("-").translate(_DIGITS)),
    (re.compile(r"(?<=[A-Za-z])-?(?=\d)|(?<=\d)(?=[A-Za-z]{3,})"), " "),
)  # fmt: skip
