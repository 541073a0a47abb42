"""Which unit do words or symbols name, and are two units the same?

Call `unit_of` and `units_agree`.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

_K = Fraction(1000)
_PREFIXES = {
    "T": _K**4, "G": _K**3, "M": _K**2, "k": _K, "h": Fraction(100), "d": Fraction(1, 10),
    "c": Fraction(1, 100),
    "m": 1 / _K, "µ": 1 / _K**2, "u": 1 / _K**2, "n": 1 / _K**3, "p": 1 / _K**4, "f": 1 / _K**5,
}  # fmt: skip
_PREFIX_NAMES = {
    "tera": "T", "giga": "G", "mega": "M", "kilo": "k", "hecto": "h", "deci": "d", "centi": "c", "milli": "m",
    "micro": "µ", "nano": "n", "pico": "p", "femto": "f",
}  # fmt: skip
# Symbols that take prefixes: factor and exponents of base units.
_ENERGY, _FORCE, _POWER = "kg m2 s-2", "kg m s-2", "kg m2 s-3"
_SYMBOLS: dict[str, tuple[Fraction | int, str]] = {
    "m": (1, "m"), "g": (Fraction(1, 1000), "kg"), "s": (1, "s"), "A": (1, "A"), "K": (1, "K"),
    "mol": (1, "mol"),
    "N": (1, _FORCE), "J": (1, _ENERGY), "W": (1, _POWER), "Pa": (1, "kg m-1 s-2"), "Hz": (1, "s-1"),
    "C": (1, "A s"), "V": (1, "kg m2 s-3 A-1"), "F": (1, "A2 s4 kg-1 m-2"), "Ω": (1, "kg m2 s-3 A-2"),
    "T": (1, "kg s-2 A-1"), "H": (1, "kg m2 s-2 A-2"), "Wb": (1, "kg m2 s-2 A-1"),
    "L": (Fraction(1, 1000), "m3"),
    "l": (Fraction(1, 1000), "m3"), "eV": (Fraction("1.602176634e-19"), _ENERGY),
    "cal": (Fraction("4.184"), _ENERGY),
    "Wh": (3600, _ENERGY), "bar": (100000, "kg m-1 s-2"), "M": (1000, "mol m-3"), "S": (1, "kg-1 m-2 s3 A2"),
}  # fmt: skip
_NAMES = {
    "meter": "m", "metre": "m", "gram": "g", "gramme": "g", "second": "s", "ampere": "A", "amp": "A",
    "kelvin": "K",
    "mole": "mol", "newton": "N", "joule": "J", "watt": "W", "pascal": "Pa", "hertz": "Hz", "coulomb": "C",
    "volt": "V", "farad": "F", "ohm": "Ω", "tesla": "T", "henry": "H", "liter": "L", "litre": "L",
    "electronvolt": "eV", "calorie": "cal", "tonne": "t",
}  # fmt: skip
# Words and symbols that take no prefix.
_INCH, _POUND = Fraction("0.0254"), Fraction("0.45359237")
_OTHERS: dict[str, tuple[Fraction | int, str]] = {
    "min": (60, "s"), "minute": (60, "s"), "mins": (60, "s"), "sec": (1, "s"), "secs": (1, "s"),
    "h": (3600, "s"),
    "hr": (3600, "s"), "hour": (3600, "s"), "hrs": (3600, "s"), "day": (86400, "s"), "week": (604800, "s"),
    "month": (1, "month"), "year": (12, "month"), "yr": (12, "month"), "decade": (120, "month"),
    "inch": (_INCH, "m"), "in": (_INCH, "m"), "inche": (_INCH, "m"), "foot": (12 * _INCH, "m"),
    "feet": (12 * _INCH, "m"), "ft": (12 * _INCH, "m"), "yard": (36 * _INCH, "m"), "yd": (36 * _INCH, "m"),
    "mile": (63360 * _INCH, "m"), "mi": (63360 * _INCH, "m"), "Å": (Fraction(1, 10**10), "m"),
    "angstrom": (Fraction(1, 10**10), "m"), "ly": (Fraction("9460730472580800"), "m"),
    "pound": (_POUND, "kg"), "lb": (_POUND, "kg"), "lbs": (_POUND, "kg"), "ounce": (_POUND / 16, "kg"),
    "oz": (_POUND / 16, "kg"), "t": (1000, "kg"), "ton": (1000, "kg"),
    "amu": (Fraction("1.66053906660e-27"), "kg"),
    "gallon": (231 * _INCH**3, "m3"), "quart": (231 * _INCH**3 / 4, "m3"),
    "pint": (231 * _INCH**3 / 8, "m3"), "gal": (231 * _INCH**3, "m3"), "hectare": (10000, "m2"),
    "ha": (10000, "m2"),
    "acre": (Fraction("4046.8564224"), "m2"), "atm": (101325, "kg m-1 s-2"),
    "mmHg": (Fraction("133.322387415"), "kg m-1 s-2"),
    "mph": (63360 * _INCH / 3600, "m s-1"), "kph": (Fraction(1000, 3600), "m s-1"),
    "kmh": (Fraction(1000, 3600), "m s-1"),
    "dollar": (1, "usd"), "usd": (1, "usd"), "USD": (1, "usd"), "cent": (Fraction(1, 100), "usd"),
    "$": (1, "usd"),
    "dime": (Fraction(1, 10), "usd"), "quarter": (Fraction(1, 4), "usd"), "nickel": (Fraction(1, 20), "usd"),
    "euro": (1, "eur"), "eur": (1, "eur"), "gbp": (1, "gbp"), "inr": (1, "inr"), "EUR": (1, "eur"),
    "€": (1, "eur"), "£": (1, "gbp"), "GBP": (1, "gbp"), "pence": (Fraction(1, 100), "gbp"),
    "rupee": (1, "inr"), "Rs": (1, "inr"), "₹": (1, "inr"), "paise": (Fraction(1, 100), "inr"),
    "yen": (1, "jpy"), "¥": (1, "jpy"),
    "yuan": (1, "cny"), "CHF": (1, "chf"), "peso": (1, "mxn"), "degC": (1, "degC"), "degF": (1, "degF"),
    "unit": (1, ""), "rad": (1, "rad"), "radian": (1, "rad"),
}  # fmt: skip


# Units in Cyrillic letters, words by their stems.
_CYRILLIC = {
    "м": "m", "км": "km", "дм": "dm", "см": "cm", "мм": "mm", "г": "g", "кг": "kg", "мг": "mg", "т": "t",
    "л": "L", "мл": "mL", "ч": "h", "мин": "min", "с": "s", "сек": "s", "час": "h", "минут": "min",
    "секунд": "s", "метр": "m", "километр": "km", "сантиметр": "cm", "миллиметр": "mm", "грамм": "g",
    "килограмм": "kg", "тонн": "t", "литр": "L", "градус": "degrees", "процент": "percent",
    "Н": "N", "Дж": "J", "кДж": "kJ",
    "Вт": "W", "кВт": "kW", "В": "V", "А": "A", "Па": "Pa", "кПа": "kPa", "Гц": "Hz", "Ом": "Ω", "К": "K",
    "моль": "mol",
}  # fmt: skip
_CYRILLIC_WORD = re.compile(r"[А-Яа-яё]+")
_ENDING = re.compile(r"(?<=[а-я]{3})(?:[аыу]|ов|ам|ами|ах)$")


def in_latin(text: str) -> str:
    """A text with the units in Cyrillic letters as they are written in Latin ones: 15 км/ч."""
    if text.isascii():
        return text
    return _CYRILLIC_WORD.sub(
        lambda word: _CYRILLIC.get(word[0], _CYRILLIC.get(_ENDING.sub("", word[0]), word[0])), text
    )


class Unit(NamedTuple):
    """A known unit: its size in base units, and the exponents of these."""

    factor: Fraction
    dimension: tuple[tuple[str, int], ...]


_FACTOR = re.compile(
    r"\s*(?P<joint>/|\\cdot|\*|·|\bper\b)?\s*(?P<raised>(?:square|sq|cubic|cu)\b\.?\s*)?(?P<open>\()?"
    r"(?P<word>[A-Za-zµΩÅ$€£₹¥]+\.?)"
    r"(?:\s*(?:\^\s*[({]?|[({])\s*(?P<exponent>-?\d)\s*[)}]?|(?P<glued>-?\d)|\s*(?P<power>squared|cubed))?\s*(?P<close>\))?"
)
_EXPONENTS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3, "squared": 2, "cubed": 3}
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")


@lru_cache(maxsize=1024)
def unit_of(written: str) -> Unit | None:
    """The unit that words or symbols say, as "m/s^2", "kJ mol^{-1}", "square feet"; None if unknown."""
    text = written.strip().translate(_SUPERSCRIPTS)
    if not text:
        return None
    factor, exponents, at, below = Fraction(1), dict[str, int](), 0, False
    while at < len(text):
        match = _FACTOR.match(text, at)
        single = _single(match["word"].rstrip(".")) if match else None
        if match is None or single is None or at and match.end() == at:
            return None
        raised = _EXPONENTS.get((match["raised"] or match["power"] or "").strip(" ."), 1)
        power = int(match["exponent"] or match["glued"] or raised)
        below = match["joint"] in ("/", "per") or below and match["joint"] is None and "(" in text
        power = -power if below else power
        factor *= single.factor**power
        for name, count in single.dimension:
            exponents[name] = exponents.get(name, 0) + count * power
        at = match.end()
        if not text[at:].strip():
            break
    return Unit(factor, tuple(sorted((name, count) for name, count in exponents.items() if count)))


def _single(word: str) -> Unit | None:
    """One unit with its prefix."""
    for name in (
        word,
        word.lower(),
        word.lower().removesuffix("s"),
        word.removesuffix("s") if len(word) > 3 else word,
    ):
        if name in _OTHERS:
            return _made(*_OTHERS[name])
        if name in _NAMES:
            return _of_symbol(_NAMES[name])
        for prefix, sign in _PREFIX_NAMES.items():
            if name.startswith(prefix) and name[len(prefix) :] in _NAMES:
                return _of_symbol(sign + _NAMES[name[len(prefix) :]])
    return _of_symbol(word)


def _of_symbol(symbol: str) -> Unit | None:
    if symbol in _OTHERS:
        return _made(*_OTHERS[symbol])
    if symbol in _SYMBOLS:
        return _made(*_SYMBOLS[symbol])
    if symbol[:1] in _PREFIXES and symbol[1:] in _SYMBOLS:
        factor, dimension = _SYMBOLS[symbol[1:]]
        return _made(_PREFIXES[symbol[0]] * factor, dimension)
    return None


def _made(factor: Fraction | int, dimension: str) -> Unit:
    found = re.findall(r"([a-zA-Z]+)(-?\d)?", dimension)
    return Unit(Fraction(factor), tuple(sorted((name, int(power or 1)) for name, power in found)))


# What stands bare in a formula and is no product of variables: names, and the symbols that everybody knows.
BARE_UNITS = frozenset(
    word
    for name in (*_NAMES, *(prefix + name for prefix in _PREFIX_NAMES for name in _NAMES), *_OTHERS)
    for word in (name.lower(), name.lower() + "s")
    if len(name) > 1 and name.isalpha()
) | frozenset("cm mm km dm kg mg ml nm kj ev hz pa units".split())
_SLASHED = re.compile(r"[a-zA-Z]{1,4}(?:\^?-?\d)?(?:\s*/\s*[a-zA-Z]{1,4}(?:\^?-?\d)?)*")


def is_unit(inside: str) -> bool:
    """Whether the contents of braces are a unit in symbols, as m/s."""
    return _SLASHED.fullmatch(inside) is not None and unit_of(inside) is not None


def units_agree(gold: tuple[str, ...], prediction: tuple[str, ...]) -> bool:
    """Units may be missing, unknown or spelled otherwise; two different known ones differ."""
    if not gold or not prediction:
        return True
    left, right = unit_of(" ".join(gold)), unit_of(" ".join(prediction))
    return left is None or right is None or left == right or not left.dimension or not right.dimension


def words_differ(gold: tuple[str, ...], prediction: tuple[str, ...]) -> bool:
    """Whether words other than units stand behind both answers, and no word behind both."""
    left, right = ({word for said in side for word in _WORD.findall(said)} for side in (gold, prediction))
    return bool(left and right) and left.isdisjoint(right) and not (_all_units(left) or _all_units(right))


_WORD = re.compile(r"[^\W\d_]{3,}?(?=s?\b)")


def _all_units(words: set[str]) -> bool:
    return all(unit_of(word) is not None for word in words)
