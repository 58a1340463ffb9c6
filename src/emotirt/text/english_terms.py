"""What units, currencies, months, titles, abbreviations and symbols are called in English; no rules."""

from __future__ import annotations

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
MONTH_OF = {name[:3].lower(): name for name in MONTHS}
UNITS = {
    "km/h": "kilometers per hour", "km/s": "kilometers per second",
    "kmh": "kilometers per hour", "kph": "kilometers per hour", "mph": "miles per hour",
    "m/s": "meters per second", "fps": "frames per second", "km": "kilometers", "cm": "centimeters",
    "mm": "millimeters", "nm": "nanometers", "m": "meters", "ft": "feet", "mi": "miles", "kg": "kilograms",
    "mg": "milligrams", "g": "grams", "lbs": "pounds", "lb": "pounds", "oz": "ounces", "ml": "milliliters",
    "mL": "milliliters", "l": "liters", "L": "liters", "TB": "terabytes", "GB": "gigabytes", "MB": "megabytes",
    "KB": "kilobytes", "kB": "kilobytes", "GHz": "gigahertz", "MHz": "megahertz", "kHz": "kilohertz", "Hz": "hertz",
    "ms": "milliseconds", "hrs": "hours", "hr": "hours", "h": "hours", "min": "minutes", "mins": "minutes",
    "sec": "seconds", "secs": "seconds", "s": "seconds", "kW": "kilowatts", "W": "watts", "kV": "kilovolts",
    "V": "volts", "dB": "decibels", "px": "pixels", "°C": "degrees Celsius", "°F": "degrees Fahrenheit",
    "℃": "degrees Celsius", "℉": "degrees Fahrenheit", "°": "degrees", "%": "percent", "‰": "per mille",
    "x": "times", "k": "thousand", "m²": "square meters", "km²": "square kilometers", "cm²": "square centimeters",
    "m³": "cubic meters", "cm³": "cubic centimeters", "USD": "US dollars", "EUR": "euros", "GBP": "pounds",
    "RMB": "yuan", "CNY": "yuan", "JPY": "yen", "¢": "cents", "€": "euros", "£": "pounds",
    "kbps": "kilobits per second",
    "Mbps": "megabits per second", "Gbps": "gigabits per second", "sq ft": "square feet", "sq m": "square meters",
    "sq km": "square kilometers", "sq mi": "square miles", "tsp": "teaspoons",
    "tbsp": "tablespoons",
}  # fmt: skip
LETTER_A = "ay"
INVARIABLE = frozenset({"hertz", "percent", "per mille", "times", "thousand", "yuan", "yen"})
CURRENCIES = {"$": ("dollar", "cent"), "£": ("pound", "penny"), "€": ("euro", "cent"), "¥": ("yuan", "")}
COUNTRIES = {"US": "US ", "A": "Australian ", "C": "Canadian ", "HK": "Hong Kong ", "NZ": "New Zealand ", "": ""}
SCALES = {"k": "thousand", "K": "thousand", "m": "million", "M": "million", "bn": "billion", "B": "billion"}
TITLES = {
    "Mr": "Mister", "Mrs": "Missus", "Ms": "Miz", "Dr": "Doctor", "Prof": "Professor", "St": "Saint", "Jr": "Junior",
    "Sr": "Senior", "Gen": "General", "Capt": "Captain", "Lt": "Lieutenant", "Sgt": "Sergeant", "Gov": "Governor",
    "Rev": "Reverend", "Hon": "Honorable", "Col": "Colonel", "Mt": "Mount", "Ave": "Avenue", "Blvd": "Boulevard",
    "Inc": "Incorporated", "Ltd": "Limited", "Corp": "Corporation", "Messrs": "Messieurs", "Co": "Company",
    "Sen": "Senator", "Rep": "Representative", "Pres": "President", "Ft": "Fort",
}  # fmt: skip
PHRASES = {
    "vs": "versus", "etc": "et cetera", "e.g": "for example", "i.e": "that is", "approx": "approximately",
    "dept": "department", "fig": "figure", "tsp": "teaspoon", "tbsp": "tablespoon", "est": "established",
}  # fmt: skip
ABBREVIATIONS = TITLES | PHRASES | {name.capitalize(): spoken for name, spoken in PHRASES.items()}
ADDRESS_WORDS = {
    ".": " dot ", "/": " slash ", "@": " at ", "-": " dash ", "_": " underscore ", "?": " question mark ",
    "=": " equals ", "&": " and ", "#": " hash ", "%": " percent ", ":": " colon ", "+": " plus ", "~": " tilde ",
}  # fmt: skip
SYMBOLS = {
    "&": " and ", "+": " plus ", "=": " equals ", "@": " at ", "%": " percent ", "×": " times ", "÷": " divided by ",
    "°": " degrees ", "_": " ", "/": " ", "\\": " ", "|": " ", "*": " ", "^": " ", "<": " less than ",
    ">": " greater than ", "≈": " about ", "±": " plus or minus ", "≤": " at most ", "≥": " at least ", "$": " dollar ",
    "£": " pound ", "€": " euro ", "¥": " yuan ", "©": " copyright ", "®": " ", "™": " ", "№": " number ",
    "\u2212": " minus ", "\u2044": " over ", "²": " squared ", "³": " cubed ", "√": " root ", "∞": " infinity ",
    "π": " pi ", "#": " ",
}  # fmt: skip
DAYS = {
    "mon": "Monday", "tue": "Tuesday", "wed": "Wednesday", "thu": "Thursday", "fri": "Friday", "sat": "Saturday",
    "sun": "Sunday",
}  # fmt: skip
