"""English number words: cardinals, ordinals, years, digit strings, decimals, fractions. Integers in, words out."""

from __future__ import annotations

_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = (
    (10**15, "quadrillion"), (10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"),
    (100, "hundred"),
)  # fmt: skip
_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
_DENOMINATORS = {2: ("half", "halves"), 4: ("quarter", "quarters")}
LARGEST = 10**18


def cardinal(number: int) -> str:
    """Write an integer in words; from 10**18 on, digit by digit."""
    if number < 0:
        return "minus " + cardinal(-number)
    if number >= LARGEST:
        return digits(str(number))
    if number < 20:
        return _ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return _TENS[tens] + (" " + _ONES[ones] if ones else "")
    scale, name = next(item for item in _SCALES if number >= item[0])
    head, tail = divmod(number, scale)
    return f"{cardinal(head)} {name}" + (" " + cardinal(tail) if tail else "")


def ordinal(number: int) -> str:
    """Write an integer as an ordinal in words."""
    head, _, last = cardinal(number).rpartition(" ")
    regular = last[:-1] + "ieth" if last.endswith("y") else last + "th"
    return f"{head} {_ORDINALS.get(last, regular)}".lstrip()


def digits(text: str) -> str:
    """Write each digit of a string; other characters are skipped."""
    return " ".join(_ONES[int(char)] for char in text if "0" <= char <= "9")


def year(number: int) -> str:
    """Write a year of 1000-2999 as spoken: nineteen oh five, two thousand four, twenty twenty four."""
    century, rest = divmod(number, 100)
    if 2000 <= number < 2010 or number % 1000 == 0:
        return cardinal(number)
    if rest == 0:
        return cardinal(century) + " hundred"
    return cardinal(century) + (" oh " if rest < 10 else " ") + cardinal(rest)


def plural(words: str) -> str:
    """Put number words into the plural: nineteen eighties, sixes."""
    head, _, last = words.rpartition(" ")
    return (
        f"{head} {last[:-1] + 'ies' if last.endswith('y') else last + ('es' if last.endswith('x') else 's')}".lstrip()
    )


def decade(number: int) -> str:
    """Write a decade such as 1980 or 90 in the plural: nineteen eighties."""
    return plural(year(number) if number >= 1000 else cardinal(number))


def pairs(text: str) -> str:
    """Write a model number: 380 three eighty, 4090 forty ninety, 100 one hundred, others by their size."""
    if text.startswith("0") or len(text) > 4:
        return digits(text)
    number = int(text)
    if number < 100 or number % 100 == 0:
        return cardinal(number)
    head, rest = divmod(number, 100)
    return cardinal(head) + (" oh " if rest < 10 else " ") + cardinal(rest)


def number(text: str) -> str:
    """Write a numeral such as 1,234.50, -3 or 007 in words."""
    sign = "minus " if text[0] in "-\u2212" else ""
    whole, _, fraction = text.lstrip("+-\u2212").replace(",", "").partition(".")
    whole = whole or "0"
    leading_zero = len(whole) > 1 and whole[0] == "0"
    spoken = digits(whole) if leading_zero or len(whole) > 18 else cardinal(int(whole))
    return sign + spoken + (" point " + digits(fraction) if fraction else "")


def fraction(numerator: int, denominator: int) -> str:
    """Write a fraction: three quarters, one half, two thirds, seven over thirty, ninety out of one hundred."""
    if denominator == 100:
        return f"{cardinal(numerator)} out of one hundred"
    if not 2 <= denominator <= 20:
        return f"{cardinal(numerator)} over {cardinal(denominator)}"
    one, many = _DENOMINATORS.get(denominator, (ordinal(denominator), ordinal(denominator) + "s"))
    return f"{cardinal(numerator)} {one if numerator == 1 else many}"
