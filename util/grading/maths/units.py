"""Which unit stands behind a value, and are two units the same?

Call `without_unit` and `units_agree`.
"""

from __future__ import annotations

import re

from util.grading.maths.words import unwrapped

UNITS = {
    "cm": "cm", "centimeters": "cm", "centimeter": "cm", "centimetres": "cm", "centimetre": "cm",
    "mm": "mm", "millimeters": "mm", "millimeter": "mm", "millimetres": "mm",
    "km": "km", "kilometers": "km", "kilometres": "km", "kilometer": "km", "kilometre": "km",
    "m": "m", "meters": "m", "meter": "m", "metres": "m", "metre": "m", "dm": "dm",
    "inches": "in", "inch": "in", "feet": "ft", "foot": "ft", "ft": "ft", "miles": "mi", "mile": "mi",
    "yards": "yd", "yard": "yd", "dollars": "$", "dollar": "$", "usd": "$", "cents": "cent", "cent": "cent",
    "euros": "eur", "euro": "eur", "eur": "eur",
    "hours": "h", "hour": "h", "hrs": "h", "hr": "h", "h": "h", "minutes": "min", "minute": "min",
    "mins": "min", "min": "min", "seconds": "s", "second": "s", "sec": "s", "secs": "s", "s": "s",
    "days": "day", "day": "day", "weeks": "week", "week": "week", "months": "month", "month": "month",
    "years": "year", "year": "year", "kg": "kg", "kilograms": "kg", "kilogram": "kg", "g": "g",
    "grams": "g", "gram": "g", "mg": "mg", "lb": "lb", "lbs": "lb", "pounds": "lb", "pound": "lb",
    "oz": "oz", "ounces": "oz", "ounce": "oz", "ml": "ml", "liters": "l", "liter": "l", "litres": "l",
    "litre": "l", "l": "l", "gallons": "gal", "gallon": "gal", "mph": "mi/h", "kph": "km/h", "kmh": "km/h",
    "rad": "rad", "radians": "rad", "radian": "rad", "am": "am", "pm": "pm", "a.m": "am", "p.m": "pm",
    "units": "", "unit": "", "degc": "degc", "degf": "degf",
    "ev": "ev", "hz": "hz", "nm": "nm", "pa": "pa", "kj": "kj", "amu": "amu", "n": "n", "j": "j", "w": "w",
    "v": "v",
}  # fmt: skip
BARE_UNITS = frozenset(unit for unit in UNITS if len(unit) > 1)  # letters alone may be variables
_KNOWN = frozenset(UNITS.values()) - {""}
_ATOM = re.compile(
    r"\s*(/|\\cdot|\bper\b)?\s*(?:(square|sq|cubic|cu)\b\.?\s*)?([a-z$][a-z.$]*)\s*(?:\^?\{?(-?\d)\}?)?"
)
_QUANTITY = re.compile(r"([-+]?(?:\d{1,3}(?:,\d{3})+|\d{1,40})?(?:\.\d{1,40})?)(\s*)([a-zA-Z][^\\]{0,40})")
_TEXT_UNIT = re.compile(r"[a-zA-Z]{1,4}(?:\^?-?\d)?(?:\s*/\s*[a-zA-Z]{1,4}(?:\^?-?\d)?)*")


def canonical(written: str) -> str | None:
    """The first unit of some words in short form, m/s^2 for "meters per second squared"; None if unknown."""
    return _first_unit(written.lower())[0]


def _first_unit(written: str) -> tuple[str | None, bool]:
    """The first unit in short form, and whether nothing stands behind it."""
    unit, at = "", 0
    text = written.replace(" squared", "^2").replace(" cubed", "^3").rstrip()
    while (match := _ATOM.match(text, at)) is not None and (match.group(1) or not unit):
        joint, raised, word, exponent = match.groups()
        name = UNITS.get(word.strip("."))
        if name is None:
            return None, False
        exponent = exponent or {"square": "2", "sq": "2", "cubic": "3", "cu": "3"}.get(raised or "", "")
        unit += ("/" if joint in ("/", "per") else "*" if unit else "") + name
        unit += f"^{exponent}" if exponent not in ("", "1") else ""
        at = match.end()
    return unit or None, at == len(text)


def units_agree(gold: tuple[str, ...], prediction: tuple[str, ...]) -> bool:
    """Units may be missing, unknown or spelled otherwise; two different known ones differ."""
    if not gold or not prediction:
        return True
    left, right = canonical(" ".join(gold)), canonical(" ".join(prediction))
    return left is None or right is None or left == right or not {*_names(left), *_names(right)} <= _KNOWN


def _names(unit: str) -> list[str]:
    return [re.sub(r"\^.*", "", name) for name in re.split(r"[/*]", unit)]


def is_unit(inside: str) -> bool:
    """Whether the contents of braces are a unit in symbols, as m/s."""
    return _TEXT_UNIT.fullmatch(inside) is not None and all(
        re.sub(r"[^a-z]", "", name) in UNITS for name in inside.lower().split("/")
    )


_LETTER_UNIT = re.compile(r"[mgshLNJWV](?![a-zA-Z])")  # those that an answer may carry bare


def without_unit(cleaned: str) -> tuple[str, str] | None:
    """The numeral and the unit of a plain quantity, as 9.8 m/s^2; None for anything else."""
    if not cleaned[-1:].isalpha() and "^" not in cleaned and "}" not in cleaned:
        return None
    match = _QUANTITY.fullmatch(unwrapped(cleaned))
    if match is None or not match.group(1):
        return None
    number, gap, unit = match.groups()
    if not gap and not any(unit.lower().startswith(name) for name in BARE_UNITS):
        return None  # 5m may be a product
    if not re.match("[a-zA-Z]{2}", unit) and "{" not in cleaned and not _LETTER_UNIT.match(unit):
        return None
    name, is_whole = _first_unit(unit.lower())
    return (number, unit) if name is not None and is_whole else None
