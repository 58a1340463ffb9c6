"""Write English text out: numbers, dates, times, money, units, phone numbers, addresses, abbreviations, symbols.

One pass with one pattern; each alternative has a handler of the same name.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from emotirt.text import english_numbers as en
from emotirt.text.english_roman import NUMERAL, roman_text
from emotirt.text.english_terms import (
    ABBREVIATIONS,
    ADDRESS_WORDS,
    COUNTRIES,
    CURRENCIES,
    DAYS,
    INVARIABLE,
    LETTER_A,
    MONTH_OF,
    MONTHS,
    SCALES,
    SYMBOLS,
    UNITS,
)

_NUM = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|June?|July?|Aug|Sept?|Oct|Nov|Dec)(?:uary|ruary|ch|il|e|y|ust|ember|tember|ober)?"
_DOMAIN = (
    r"com|org|net|io|ai|cn|edu|gov|uk|de|dev|app|info|co|me|tv"
    r"|txt|pdf|py|md|jpe?g|png|gif|zip|csv|json|html?|js|exe|docx?|xlsx?|mp3|mp4|wav|onnx"
)
_DAY = r"(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs?)?|Fri|Sat(?:ur)?|Sun)(?:day)?"
_SHORT_DAY = r"(?:Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)"
_NUMBERED = "Room|Flight|Route|Highway|Interstate|Boeing|Airbus|Suite|Apartment|Apt|Bus|Train|Gate|Channel|Unit"
_MONEY_PARTS = re.compile(r"([A-Z]*)([$£€¥])\s?([\d,.]*\d)(?:\s?[-–]\s?[$£€¥]?([\d,.]*\d))?\s?([A-Za-z]*)")
_UNIT = "|".join(sorted(map(re.escape, UNITS), key=len, reverse=True))
_RANGE_UNIT = re.compile(rf"(?:{_UNIT})$")
_ALTERNATIVES = {
    "address": rf"(?:https?://|www\.)[^\s\u3000-\u9fff]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    rf"|\b[A-Za-z0-9][\w-]*(?:\.[\w-]+)*\.(?:{_DOMAIN})\b(?:/[^\s\u3000-\u9fff]*)?",
    "hexadecimal": r"\b0x[0-9A-Fa-f]+\b",
    "emoticon": r"<3(?!\d)|\${2,}(?!\d)",
    "doctorate": r"\bPh\.\s?D\b\.?",
    "power": r"\^\d{1,3}(?!\d)",
    "days": rf"\b{_DAY}\b\.?\s?[-–]\s?{_DAY}\b"
    rf"|\b{_SHORT_DAY}(?:\.(?=,?\s\d)|\.?(?=,?\s{_MONTH}\b)|(?=,\s\d))",
    "page": r"\bpp?\.\s?(?=\d)",
    "nine_eleven": r"(?<![\w/])9/11(?![\w/])",
    "day_of_month": r"(?<=\b[Oo]n )(?:1[0-2]|0?[1-9])/(?:3[01]|[12]\d|0?[1-9])(?![\w/]|\sof\b)",
    "early_year": r"(?<=\b[Ii]n )10\d\d(?![\w,.]?\d)"
    r"(?=[,.;)]|$|\s(?:the|an?|and|or|when|by|to|he|she|it|they|after|before)\b)"
    r"|(?<=\byear )10\d\d\b(?![,.]\d)",
    "numbered": rf"\b(?:{_NUMBERED})\s\d{{3,4}}\b(?![,.]\d)|\b(?:RTX|GTX|RX)\s\d{{3,4}}\b",
    "fifty_fifty": r"(?<![\w.-])50[-/]50(?![\w-])",
    "iso_date": r"\b\d{4}-\d{1,2}-\d{1,2}\b",
    "slash_date": r"\b\d{4}/\d{1,2}/\d{1,2}\b|\b\d{1,2}/\d{1,2}/(?:\d{4}|\d{2})\b",
    "month_day": rf"\b{_MONTH}\b\.?\s+\d{{1,2}}(?:st|nd|rd|th)?\b(?![:,.]\d)(?:,?\s+\d{{4}}\b)?",
    "day_month": rf"\b\d{{1,2}}(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH}\b",
    "times": r"(?<=[\dmM])\s?[-–]\s?(?=\d{1,2}(?::\d\d|\s?[ap]\.?m\b|\s?[AP]\.?M\b))",
    "dialled": r"(?<=\b[Cc]all )\d{3,5}\b(?![-.,]\d)|(?<=\b[Dd]ial )\d{3,5}\b(?![-.,]\d)",
    "clock": r"\b\d{1,2}:\d{2}(?::\d{2})?(?:\s?[AaPp]\.?[Mm]\b\.?)?(?!\d)",
    "hour": r"\b\d{1,2}\s?(?:[ap]\.?m\b\.?|[AP]\.?M\b\.?)",
    "phone": r"(?<![\w.])(?:\+\d{1,3}[ -]?)?(?:\(\d{3}\)\s?|\d{3}[-. ])?\d{3}[-.]\d{4}\b"
    r"|(?<![\w.-])\d+(?:-\d+){2,}\b|(?<![\w.])\+\d[\d -]{7,20}\d\b|(?<![\w.,$£€¥-])\d{10,11}\b(?![.,]\d)",
    "version": r"\b[vV]?\d+(?:\.\d+){2,}\b|\b[vV]\d+(?:\.\d+)?\b",
    "money": rf"(?:\b(?:US|HK|NZ|[AC])(?=\$))?[$£€¥]\s?(?:{_NUM})(?:\s?[-–]\s?[$£€¥]?(?:{_NUM}))?"
    r"(?:\s?(?:million|billion|trillion|thousand|bn|[kKmMB])\b)?",
    "decade": r"\b(?:1[1-9]|20)\d0'?s\b|(?<=the )[2-9]0'?s\b|(?<=['\u2019])[2-9]0s\b|(?<=(?:mid|ate|rly)[ -])[2-9]0s\b",
    "nth": r"\b\d[\d,]*(?:st|nd|rd|th)\b",
    "range": rf"(?<![\w.-])\d+(?:\.\d+)?%?\s?[-–~]\s?\d+(?:\.\d+)?(?![\w-]|\.\d)(?:\s?(?:{_UNIT})(?![A-Za-z\d]))?"
    rf"|(?<![\w.-])\d+(?:\.\d+)?\s?[-–~]\s?\d+(?:\.\d+)?\s?(?:{_UNIT})(?![A-Za-z\d])",
    "score": r"(?<![\w:.])\d{1,4}:\d{1,2}(?![\w:]|\.\d)",
    "feet": r"(?<![\w.])\d+\s?(?:'|ft\.?)\s?\d{1,2}(?:\s?in\b|\")?(?![\w.]\d)",
    "mixed": r"(?<![\w./])(?:\d{1,3}\s)?\d{1,3}[/\u2044]\d{1,3}(?![\w/])",
    "duration": r"\b\d{1,3}h\s?\d{1,2}m(?:in)?\b",
    "measure": rf"(?<![\w.])[-\u2212]?(?:{_NUM})\s?(?:{_UNIT})(?![A-Za-z\d])(?:\.(?=,|\s[a-z]))?",
    "by": r"(?<=\d[a-z]|[a-z][a-z])\s[x×]\s(?=\d)",
    "product": r"(?<=\d)\s?[x×*]\s?(?=\d)",
    "minus": r"(?<=\d)\s[-\u2212]\s(?=\d)",
    "signed": rf"(?<![\w.)-])[-\u2212](?:{_NUM})",
    "hash": r"\#(?=\d)|\bNos?\.\s?(?=\d)",
    "about": r"~(?=[\d$£€])",
    "formula": r"\b(?:CO|NO|SO)[23]\b|\bmc(?=²|\^2)",
    "letter_and": r"\b[A-Z]{1,2}\s?&\s?[A-Z]{1,2}\b",
    "letter_a": r"\bA(?=-?\d)|(?<=\d)A\b",
    "wireless": r"\b[Ww]i-[Ff]i\b",
    "model": r"(?<=[A-Za-z])-?\d+(?:s\b)?(?!\d|[.,]\d)|(?<![\w.,])\d+(?=[A-Za-z])",
    "plain": rf"{_NUM}|(?<![\w.])\.\d+",
    "language": r"\bC\+\+|\b[CF]\#",
    "roman": NUMERAL.pattern,
    "abbreviation": rf"\b(?:{'|'.join(sorted(map(re.escape, ABBREVIATIONS), key=len, reverse=True))})\.",
    "short": r"\bw/o\b|\bw/(?=\s|[a-z])",
    "initials": r"\b(?:[A-Za-z]\.){2,}(?:[A-Za-z]\b)?|\b[A-Z]\.(?=\s?[A-Z])",
    "symbol": f"[{re.escape(''.join(SYMBOLS))}]",
}
_LOOSE_S = re.compile(r"(?<=\w) +'s\b")
_PATTERN = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _ALTERNATIVES.items()))


def has_roman_numeral(text: str) -> bool:
    """Whether a text without other notation has a Roman numeral to write out."""
    return NUMERAL.search(text) is not None


def english_text(text: str) -> str:
    """Write numbers, symbols and abbreviations out in English.

    Args:
        text: any text; what is not English notation stays as it is.
    """
    spoken = _PATTERN.sub(lambda match: f" {_HANDLERS[match.lastgroup or 'symbol'](match)} ", text)
    return _LOOSE_S.sub("'s", spoken)


def _address(match: re.Match[str]) -> str:
    body = re.sub(r"^https?://", "", match.group())
    tail = re.search(r"[.,;:!?)\]'\"]*$", body)
    end = tail.start() if tail else len(body)
    spoken = re.sub(r"\bwww\b", "W W W", body[:end])
    spoken = "".join(ADDRESS_WORDS.get(char, char) for char in spoken)
    return re.sub(r"\d+", lambda run: f" {en.digits(run.group())} ", spoken) + " " + body[end:]


def _letters(text: str) -> str:
    """Set letters apart; the letter A is told from the article."""
    return " ".join(LETTER_A if char in "aA" else char.upper() for char in text if char != ".")


def _month_and_day(month: int, day: int) -> str:
    return f"{MONTHS[month - 1]} {en.ordinal(day)}"


def _numbered(match: re.Match[str]) -> str:
    name, number = match.group().split()
    return f"{name} {en.pairs(number)}"


def _date(year: str, month: int, day: int) -> str:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return " ".join(_integer(part) for part in (year, str(month), str(day)))
    return f"{MONTHS[month - 1]} {en.ordinal(day)}, {_integer(year)}"


def _iso_date(match: re.Match[str]) -> str:
    year, month, day = match.group().split("-")
    return _date(year, int(month), int(day))


def _slash_date(match: re.Match[str]) -> str:
    first, second, third = match.group().split("/")
    year, month, day = (first, second, third) if len(first) == 4 else (third, first, second)
    if len(year) == 2:
        year = ("20" if year < "50" else "19") + year
    return _date(year, int(month), int(day))


def _month_day(match: re.Match[str]) -> str:
    name, day, *rest = re.findall(r"[A-Za-z]{3,}|\d+", match.group())
    spoken = f"{MONTH_OF[name[:3].lower()]} {en.ordinal(int(day))}"
    return f"{spoken}, {_integer(rest[0])}" if rest else spoken


def _day_month(match: re.Match[str]) -> str:
    day, *_, name = re.findall(r"\d+|[A-Za-z]{3,}", match.group())
    article = "" if match.string[: match.start()].lower().endswith("the ") else "the "
    return f"{article}{en.ordinal(int(day))} of {MONTH_OF[name[:3].lower()]}"


def _half_day(text: str) -> str:
    letters = re.sub(r"[^apm]", "", text.lower())
    return f" {letters[0].upper()} M" if letters else ""


def _clock(match: re.Match[str]) -> str:
    hour, minute, *seconds = (int(part) for part in re.findall(r"\d+", match.group()))
    half_day = _half_day(match.group())
    if minute == 0 and not seconds:
        spoken = en.cardinal(hour) + ("" if half_day else " o'clock" if 1 <= hour <= 12 else " hundred")
    else:
        spoken = f"{en.cardinal(hour)} {'oh ' if minute < 10 else ''}{en.cardinal(minute)}"
    return spoken + (f" and {en.cardinal(seconds[0])} seconds" if seconds else "") + half_day


def _hour(match: re.Match[str]) -> str:
    return en.cardinal(int(re.findall(r"\d+", match.group())[0])) + _half_day(match.group())


def _phone(match: re.Match[str]) -> str:
    plus = "plus " if match.group().startswith("+") else ""
    return plus + ", ".join(en.digits(group) for group in re.findall(r"\d+", match.group()))


def _version(match: re.Match[str]) -> str:
    text = match.group()
    parts = text.lstrip("vV").split(".")
    join = " dot " if len(parts) == 4 else " point "
    return ("version " if text[0] in "vV" else "") + join.join(_small(part) for part in parts)


def _small(text: str) -> str:
    return en.digits(text) if text.startswith("0") and len(text) > 1 else en.number(text)


def _money(match: re.Match[str]) -> str:
    country, sign, first, second, scale = _MONEY_PARTS.findall(match.group())[0]
    one, cent = CURRENCIES[sign]
    one = COUNTRIES[country] + one
    many = one if one == "yuan" else one + "s"
    if second:
        return " ".join([en.number(first), "to", en.number(second), SCALES.get(scale, scale), many])
    whole, _, fraction = first.replace(",", "").partition(".")
    if scale:
        return f"{en.number(first)} {SCALES.get(scale, scale)} {many}"
    if len(fraction) != 2 or not cent:
        return f"{en.number(first)} {one if first == '1' else many}"
    cents = f"{en.cardinal(int(fraction))} {cent if fraction == '01' else 'pence' if cent == 'penny' else cent + 's'}"
    if int(whole) == 0:
        return cents
    spoken = f"{en.number(whole)} {one if whole == '1' else many}"
    return spoken if fraction == "00" else f"{spoken} and {cents}"


def _decade(match: re.Match[str]) -> str:
    return en.decade(int(re.findall(r"\d+", match.group())[0]))


def _nth(match: re.Match[str]) -> str:
    return en.ordinal(int(re.sub(r"\D", "", match.group())))


def _integer(text: str) -> str:
    """A bare numeral: years of four digits are read as years."""
    if len(text) == 4 and text.isdigit() and "1100" <= text <= "2099":
        return en.year(int(text))
    return en.number(text)


def _range(match: re.Match[str]) -> str:
    low, high = re.findall(r"\d+(?:\.\d+)?", match.group())
    word = "to"
    if " " in match.group() and "=" in match.string[match.end() :]:
        word = "minus"
    elif " " in match.group() and float(low) > float(high):
        word = "—"
    unit = _RANGE_UNIT.search(match.group())
    return f"{_integer(low)} {word} {_integer(high)}" + (f" {UNITS[unit.group()]}" if unit else "")


def _feet(match: re.Match[str]) -> str:
    feet, inches = (int(part) for part in re.findall(r"\d+", match.group()))
    return f"{en.cardinal(feet)} foot {en.cardinal(inches)}"


def _model(match: re.Match[str]) -> str:
    number = match.group().strip("-s")
    return en.plural(en.pairs(number)) if match.group().endswith("s") else en.pairs(number)


def _mixed(match: re.Match[str]) -> str:
    *whole, numerator, denominator = (int(part) for part in re.findall(r"\d+", match.group()))
    if numerator > denominator and not whole:
        return f"{en.cardinal(numerator)} {en.cardinal(denominator)}"
    spoken = en.fraction(numerator, denominator)
    if whole and numerator == 1:
        spoken = spoken.replace("one ", "a ", 1)
    return f"{en.cardinal(whole[0])} and {spoken}" if whole else spoken


def _measure(match: re.Match[str]) -> str:
    numeral, unit = re.findall(r"([-\u2212]?[\d,.]*\d)\s?(.+)", match.group())[0]
    name = UNITS[unit.rstrip(".")]
    if numeral == "1" and name not in INVARIABLE:
        head, _, rest = name.partition(" ")
        name = ("foot" if head == "feet" else head.removesuffix("s")) + (" " + rest if rest else "")
    return f"{en.number(numeral)} {name}"


def _abbreviation(match: re.Match[str]) -> str:
    name = match.group()[:-1]
    following = match.string[match.end() : match.end() + 2].strip()
    if name == "St" and not following.isupper():
        return "Street"
    return ABBREVIATIONS[name]


_HANDLERS: dict[str, Callable[[re.Match[str]], str]] = {
    "address": _address, "iso_date": _iso_date, "slash_date": _slash_date, "month_day": _month_day,
    "day_month": _day_month, "clock": _clock, "hour": _hour, "phone": _phone, "version": _version, "money": _money,
    "decade": _decade, "nth": _nth, "range": _range, "mixed": _mixed, "measure": _measure, "roman": roman_text,
    "abbreviation": _abbreviation,
    "score": lambda match: " to ".join(en.number(part) for part in match.group().split(":")),
    "hexadecimal": lambda match: " ".join(en.digits(c) or c.upper() for c in match.group()),
    "emoticon": lambda _: " ",
    "doctorate": lambda _: "PhD",
    "power": lambda match: {"^2": "squared", "^3": "cubed"}.get(match.group())
    or f"to the power of {en.number(match.group()[1:])}",
    "page": lambda match: "pages" if match.group().startswith("pp") else "page",
    "nine_eleven": lambda _: "nine eleven",
    "fifty_fifty": lambda _: "fifty fifty",
    "early_year": lambda match: en.year(int(match.group())),
    "letter_a": lambda _: LETTER_A,
    "letter_and": lambda match: " and ".join(_letters(part.strip()) for part in match.group().split("&")),
    "wireless": lambda _: "WiFi",
    "by": lambda _: "by",
    "days": lambda match: " to ".join(DAYS[day[:3].lower()] for day in re.findall("[A-Z][a-z]+", match.group())),
    "day_of_month": lambda match: _month_and_day(*map(int, match.group().split("/"))), "numbered": _numbered,
    "product": lambda _: "times",
    "minus": lambda _: "minus",
    "signed": lambda match: en.number(match.group()),
    "hash": lambda _: "number",
    "about": lambda _: "about",
    "duration": lambda match: "{} hours {} minutes".format(*map(en.number, re.findall(r"\d+", match.group()))),
    "feet": _feet, "model": _model,
    "times": lambda _: "to",
    "dialled": lambda match: en.digits(match.group()),
    "formula": lambda match: " ".join(en.digits(char) or char for char in match.group()),
    "short": lambda match: "without" if match.group().endswith("o") else "with",
    "plain": lambda match: _integer(match.group()),
    "language": lambda match: match.group()[0] + (" plus plus" if match.group().endswith("+") else " sharp"),
    "initials": lambda match: _letters(match.group()),
    "symbol": lambda match: SYMBOLS[match.group()],
}  # fmt: skip
