"""How far may a number be from the reference and still be right?

Call `tolerance_of` with a task's setting, and `Tolerance.accepts` with two numbers.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from util.errors import UserError

LEAST_DIGITS = 2  # that two numbers must share: with one digit 8 would be 8.4
_WRITTEN = re.compile(r"(\d[\d,]*)?(\.\d+)?")


class Tolerance(NamedTuple):
    """What a task's setting says: exact, digits, relative:0.01, absolute:0.05."""

    kind: str
    value: Fraction = Fraction(0)

    def accepts(self, gold: Fraction, prediction: Fraction, digits: int) -> bool:
        """Whether a number is near enough; `digits`: significant ones that both are written with."""
        if self.kind == "relative":
            return abs(gold - prediction) <= self.value * abs(gold)
        if self.kind == "absolute":
            return abs(gold - prediction) <= self.value
        if self.kind == "exact" or not gold or (gold > 0) != (prediction > 0):
            return gold == prediction
        return abs(gold - prediction) * 2 <= _last_place(gold, max(digits, LEAST_DIGITS))


def tolerance_of(setting: str) -> Tolerance:
    """Raises UserError for a setting that is none."""
    kind, _, value = setting.partition(":")
    try:
        if kind in ("exact", "digits") and not value:
            return Tolerance(kind)
        if kind in ("relative", "absolute") and Fraction(value) > 0:
            return Tolerance(kind, Fraction(value))
    except (ValueError, ZeroDivisionError):
        pass
    raise UserError(f"tolerance {setting!r}: give exact, digits, relative:X or absolute:X with X above 0")


def significant_digits(written: str) -> int:
    """How many significant digits the first numeral of a text has: 3 in 0.0450 and 450; 0 without one."""
    for match in _WRITTEN.finditer(written):
        if match.group():
            digits = match.group().replace(",", "").replace(".", "").lstrip("0")
            return len(digits)
    return 0


def _last_place(value: Fraction, digits: int) -> Fraction:
    """One unit in the last of so many significant digits: 1/100 for 3.14 with three."""
    place = Fraction(1)
    size = abs(value)
    while size >= 10 * place:
        place *= 10
    while size < place:
        place /= 10
    return place / 10 ** (digits - 1)
