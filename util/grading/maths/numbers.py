"""Are two plain numbers the same, and what number does a word or a numeral stand for?

Call `plain_number` and `same_number`; `number` and `number_word` read what is no plain number.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from util.grading.maths.tree import MAX_DIGITS, Unreadable

_PLAIN = re.compile(
    r"([+-]?)\s*(?:([1-9]\d{0,2}(?:,\d{3})+|\d{1,300})(\.\d{0,300})?|(\.\d{1,300}))\s*(\\?%)?"
    r"|([+-]?)\s*(?:\\frac\s*\{\s*([+-]?\d{1,300})\s*\}\s*\{\s*(\d{1,300})\s*\}|(\d{1,300})\s*/\s*(\d{1,300}))"
)
EXACT_DIGITS = 15  # a decimal with so many significant digits is as good as exact


class Numeral(NamedTuple):
    """A plain number as written."""

    value: Fraction
    places: int | None  # digits behind the point; None for integers and fractions
    percent: bool = False


def plain_number(text: str) -> Numeral | None:
    """The number that `text` is, if nothing but an integer, decimal, percentage or simple fraction."""
    match = _PLAIN.fullmatch(text)
    if match is None:
        return None
    sign, whole, decimals, bare, percent, sign2, top, bottom, top2, bottom2 = match.groups()
    if bottom or bottom2:
        if not int(bottom or bottom2):
            return None
        value = Fraction(int(top or top2), int(bottom or bottom2))
        return Numeral(-value if sign2 == "-" else value, None)
    decimals = decimals or bare or ""
    digits = (whole or "0").replace(",", "")
    value = Fraction(digits + decimals) if len(decimals) > 1 else Fraction(int(digits))
    places = len(decimals) - 1 if decimals else None
    return Numeral(-value if sign == "-" else value, places, bool(percent))


def same_number(gold: Numeral, prediction: Numeral) -> bool:
    """Whether a predicted plain number is the gold number: exact, but for percent signs and rounded golds."""
    if gold.percent == prediction.percent:
        return _same(gold, prediction)
    for scale in (1, 100):  # a percent sign is dropped, or read as 1/100
        if gold.percent:
            if _same(gold, prediction._replace(value=prediction.value * scale)):
                return True
        elif _same(gold, prediction._replace(value=prediction.value / scale)):
            return True
    return False


def _same(gold: Numeral, prediction: Numeral) -> bool:
    if gold.value == prediction.value:
        return True
    if gold.places and prediction.places is None and is_rounded(gold.value, gold.places):
        return rounds_to(prediction.value, gold.value, gold.places)
    if prediction.places and gold.places is None and is_long(prediction.value, prediction.places):
        return nearly(gold.value, prediction.value, prediction.places)
    return False


def is_rounded(value: Fraction, places: int) -> bool:
    """Whether a decimal may be a rounded value: no integer in disguise, two places or three digits at least.

    4.5 would be the root of 20 otherwise.
    """
    return value.denominator != 1 and (places >= 2 or abs(value) >= 10)


def rounds_to(value: Fraction, rounded: Fraction, places: int) -> bool:
    """Whether `value` becomes `rounded` at so many decimal places (halves either way)."""
    return abs(value - rounded) * 2 * 10**places <= 1


def is_long(value: Fraction, places: int) -> bool:
    """Whether a decimal has enough digits to count as exact."""
    return value != 0 and len(str(abs(int(value * 10**places)))) >= EXACT_DIGITS


def nearly(value: Fraction, long: Fraction, places: int) -> bool:
    """Whether a long decimal is `value` to its last digits (floats lose the very last one)."""
    if value.denominator == 1:
        return value == long  # there is no need to round an integer
    return abs(value - long) <= max(Fraction(1, 10**places), abs(long) / 10**15)


# ---------------------------------------------------------------- numerals


def number(text: str) -> Fraction:
    """The value of a numeral, perhaps with thousands separators or an exponent. Raises Unreadable."""
    if len(text) > MAX_DIGITS:
        raise Unreadable("too many digits")
    if text.isdecimal():
        return Fraction(int(text))
    text = text.replace(",", "")
    exponent = text.lower().partition("e")[2]
    if exponent and abs(int(exponent[:9])) > MAX_DIGITS:
        raise Unreadable("exponent too large")
    return Fraction(text.removesuffix("."))


def with_period(written: str, repeated: str) -> Fraction:
    """The value of a recurring decimal: 0.1 and 6 are a sixth. Raises Unreadable."""
    whole, _, digits = written.partition(".")
    if len(digits) + len(repeated) > 200:
        raise Unreadable("too many digits")
    scale = 10 ** len(digits)
    period = Fraction(int(repeated), scale * (10 ** len(repeated) - 1))
    return Fraction(int((whole or "0") + digits), scale) + period


def unending(written: str) -> Fraction:
    """The value of 0.333...: a decimal whose last digits repeat at least three times. Raises Unreadable."""
    digits = written.partition(".")[2]
    for length in range(1, len(digits) // 3 + 1):
        period = digits[-length:]
        if digits.endswith(period * 3):
            return with_period(written, period)
    raise Unreadable("no period to be seen")


# ---------------------------------------------------------------- number words

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    " seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_WORDS = {word: value for value, word in enumerate(_UNITS)}
_WORDS.update({word: 10 * (place + 2) for place, word in enumerate(_TENS)})
_LARGE = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_SMALL = "|".join((*_UNITS[:1:-1], *_TENS))
SPELLED = re.compile(  # a whole number above one in words, that counts: no part of a fraction or comparison
    rf"(?<![\w-])(?:{_SMALL}|one(?= (?:hundred|{'|'.join(_LARGE)})))"
    rf"(?:[ -](?:and )?(?:{_SMALL}|one|hundred|{'|'.join(_LARGE)}))*(?![\w-])"
    r"(?! (?:hal(?:f|ves)|thirds?|quarters?|(?:four|fif|six|seven|eigh|nin|ten|hundred)ths?|dozen"
    r"|percent|per cent|over|out|to|times|more|less|fewer|and|or|point|of|by)\b)",
    re.IGNORECASE,
)
_CHINESE = {character: value for value, character in enumerate("零一二三四五六七八九十")}


def number_word(text: str) -> int | None:
    """The integer that words spell: "seven", "twenty-one", "minus three hundred and five", "一"."""
    if text in _CHINESE:
        return _CHINESE[text]
    words = [word for word in re.split(r"[\s-]+", text.lower().strip()) if word and word != "and"]
    negative = bool(words) and words[0] in ("minus", "negative")
    words = words[negative:]
    if not words or len(words) > 12:
        return None
    total, current = 0, 0
    for word in words:
        if word in _WORDS:
            if current % 10 or (current % 100 and _WORDS[word] > 9) or current % 100 in range(1, 20):
                return None
            current += _WORDS[word]
        elif word == "hundred" and 0 < current < 100:
            current *= 100
        elif word in _LARGE and current:
            total, current = total + current * _LARGE[word], 0
        else:
            return None
    return -(total + current) if negative else total + current
