"""Digits to Chinese numerals, in the form that EmotiVoice's front end was trained with."""

from __future__ import annotations

_DIGITS = "零一二三四五六七八九"
_PLACES = ("", "十", "百", "千")
_GROUPS = ("", "万", "亿", "万亿")
# Numbers of more digits than four groups of four hold are read digit by digit.
_LONGEST_DIGITS = 16


def chinese_number(digits: str) -> str:
    """Write a number in hanzi: 21 -> 二十一, 10.05 -> 十点零五.

    Args: digits: ASCII digits with at most one dot between them; with more dots, or more than 16 digits before the
        dot, every digit is read by itself.
    """
    whole, dot, fraction = digits.partition(".")
    if "." in fraction or len(whole) > _LONGEST_DIGITS or not whole:
        return "".join("点" if digit == "." else _DIGITS[int(digit)] for digit in digits.strip("."))
    spoken_fraction = "".join(_DIGITS[int(digit)] for digit in fraction)
    return _integer(whole) + (f"点{spoken_fraction}" if dot and fraction else "")


def _integer(digits: str) -> str:
    stripped = digits.lstrip("0")
    if not stripped:
        return _DIGITS[0]
    groups = [stripped[max(0, end - 4) : end] for end in range(len(stripped), 0, -4)]
    spoken = ""
    for index in range(len(groups) - 1, -1, -1):
        group = groups[index]
        if int(group) == 0:
            continue
        needs_zero = spoken != "" and not spoken.endswith("零") and group[0] == "0"
        spoken += ("零" if needs_zero else "") + _group(group.lstrip("0")) + _group_unit(groups, index)
    return spoken[1:] if spoken.startswith("一十") else spoken


def _group_unit(groups: list[str], index: int) -> str:
    """Name a group of four; the highest says only 万 when the 亿 group below it speaks for itself."""
    return "万" if index == 3 and int(groups[2]) else _GROUPS[index]


def _group(digits: str) -> str:
    """Write one to four digits without leading zeros."""
    spoken = ""
    for position, digit in enumerate(digits):
        if digit != "0":
            spoken += _DIGITS[int(digit)] + _PLACES[len(digits) - 1 - position]
        elif spoken and digits[position:].strip("0") and not spoken.endswith("零"):
            spoken += "零"
    return spoken
