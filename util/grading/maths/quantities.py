"""Which quantity is an answer: how much of which unit or thing?

Call `quantity` with a cleaned answer and `comparable` with two of them.

A number with a known unit is converted to base units by exact factors; a number with other words behind it is
so many things of that name. A unit or a name is left out of account where the other side has none.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from util.grading.maths.units import Unit, in_latin, unit_of
from util.grading.maths.words import normal_text, unwrapped


class Quantity(NamedTuple):
    """A number as written, and what stands behind it."""

    number: str
    unit: Unit | None = None  # None: words that name no unit, or nothing
    name: str = ""  # of the things, in normal form
    letter: str = ""  # a single letter that may be a unit or a variable


_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d{1,40})(?:\.\d{0,40})?|\.\d{1,40}"
_POWER = r"10\s*\^\s*(?:\{\s*[-+]?\s*\d{1,4}\s*\}|\(\s*[-+]?\s*\d{1,4}\s*\)|[-+]?\d{1,4})"
_NUMBER = (
    rf"[-+]?\s*(?:(?:{_DIGITS})(?:\s*(?:\\times|\\cdot|\*)\s*{_POWER}|[eE][-+]?\d{{1,4}}|\s*/\s*\d{{1,9}}|\s*\\?%)?|{_POWER}"
    r"|\d{0,9}\s*\\frac\s*\{[^{}]{1,40}\}\s*\{[^{}]{1,40}\}|\d{0,9}\s*\\sqrt\s*(?:\{[^{}]{1,20}\}|\d)|\d{0,9}\s*\\pi)"
)
_QUANTITY = re.compile(rf"({_NUMBER})(\s*)([^\W\d_].*|[$€£₹¥].*)")
_PART = re.compile(rf"\s*(?:,|and)?\s*({_NUMBER})\s*([A-Za-zµΩÅ]+)\.?(?![\^A-Za-z])")
_NAME = re.compile(
    r"(?!(?:or|and|if|when|mod|times|over|in|is|hundred|thousand|million|billion|trillion|dozen|percent)\b)"
    r"[^\W\d_][\w'-]+(?:[ -][^\W\d_][\w'-]*){0,4}"
)
_AREA = re.compile(r"(?<![A-Za-z])(?:[mcdk]m|ft)[23]$")  # cm2
_DIGIT = re.compile(r"\d")
_MATHS = re.compile(
    r"(?:sin|cos|tan|cot|sec|csc|log|ln|exp|pi|sqrt|mod|gcd|lcm|arc\w+|and|or|if|when|where|for|union|infinity)\b"
)
_APART = re.compile(r"(?<=µ) (?=[A-Za-z])|(?<=\d [kMGm]) (?=Ω)")  # a prefix and its unit
_MICRO, _OHM = re.compile(r"\\mu\s*(?=[A-Za-z]|\\(?:text|mathrm)\b)"), re.compile(r"\\Omega\b|\bohms?\b")
_NESTED = re.compile(r"\\mathrm\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_WRAPPED = re.compile(r"\\(?:text|mathrm|rm|mbox|operatorname)\b")


@lru_cache(maxsize=2048)
def quantity(cleaned: str) -> Quantity | None:
    """The number and the unit or the things of an answer; None for anything else."""
    last = cleaned[-1:]
    is_raised = last.isdecimal() and ("^" in cleaned or _AREA.search(cleaned))
    if not (last.isalpha() or last in "})²³⁻¹." or is_raised) or not re.match(r"[-+\d.\\]", cleaned):
        return None
    text = _MICRO.sub("µ", cleaned) if "\\mu" in cleaned else cleaned
    text = unwrapped(_NESTED.sub(r" \1 ", text) if "mathrm" in text else text)
    text = _OHM.sub("Ω", text).replace("\\ ", " ").rstrip(".")
    if "µ" in text or "Ω" in text:
        text = _APART.sub("", " ".join(text.split()))
    match = _QUANTITY.fullmatch(in_latin(text))
    if match is None:
        return _compound(text)
    number, gap, rest = match.groups()
    if _MATHS.match(rest):
        return None
    if rest.startswith("per ") and not _DIGIT.search(rest):
        return Quantity(number)
    unit = unit_of(rest)
    if unit is not None:
        if len(rest) == 1 and not _WRAPPED.search(cleaned):
            if rest not in _LONE or not gap and not (rest == "g" and len(number) > 1):
                return None  # 3m is a product; nobody writes 365g for one
            if gap and rest not in _RARE_NAMES:
                return Quantity(number, unit, letter=rest)
        elif (
            len(rest) == 2
            and rest.islower()
            and rest not in _GLUED
            and not gap
            and not _WRAPPED.search(cleaned)
        ):
            return None
        return Quantity(number, unit if unit.dimension else None)
    if compound := _compound(text):
        return compound
    return Quantity(number, None, _name(rest)) if gap and _NAME.fullmatch(rest.strip()) else None


_LONE = frozenset("mgshNJWVLAKCFHTMΩÅ")  # that an answer may carry without a text command
_RARE_NAMES = frozenset("NJWVLΩÅ")  # of variables; any other may be one
_GLUED = frozenset("cm mm km kg mg ml ms nm hr ft lb oz kj ev".split())


_ALTERING = re.compile(
    r"\b(?:(?:up|down|in|out)wards?|up|down|doubled|tripled|halved|squared|cubed|inverted|reversed|negated|rounded|the|an"
    r"|is|are|was|times|fold|factorial)\b"
)


def _name(rest: str) -> str:
    """The things that are counted, in normal form and in the singular."""
    if len(rest.strip()) < 4 or " the " in rest:
        return rest.strip()  # Mb is not MB
    words = normal_text(rest).split()
    return " ".join(word.removesuffix("s") if len(word) > 3 else word for word in words)


def _compound(text: str) -> Quantity | None:
    """2 hours 30 minutes, as a quantity of hours."""
    total, first, at, parts = Fraction(0), None, 0, 0
    while match := _PART.match(text, at):
        unit = unit_of(match[2])
        first = first or unit
        if unit is None or first is None or not unit.dimension or unit.dimension != first.dimension:
            return None
        try:
            total += Fraction(match[1].replace(",", "").replace(" ", "")) * unit.factor
        except (ValueError, ZeroDivisionError):
            return None
        at, parts = match.end(), parts + 1
    if parts < 2 or text[at:].strip() or first is None:
        return None
    total /= first.factor
    return Quantity(f"{total.numerator}/{total.denominator}", first)


_BARE = re.compile(_NUMBER)
_PERCENT = re.compile(r"(?:%|\bpercent\s*\}?)$")
_DEGREES = re.compile(r"(?:\\circ\s*\}?|\bdegrees?\s*\}?)$")
_TEMPERATURE = re.compile(r"deg[CF]\b|celsius|fahrenheit", re.IGNORECASE)
_TEMPERED = "one of the two names a scale of temperature"


def marks_differ(gold: str, prediction: str, paid: bool, said: bool) -> str | bool:
    """Whether a percent or degree sign stands against one of another kind; words where that is not sure."""
    marks = {_mark(gold, paid), _mark(prediction, said)} - {""}
    if marks == {"degree", "temperature"}:
        return _TEMPERED
    return len(marks) == 2 and not marks.isdisjoint(("percent", "degree")) and marks != {"degree", "name"}


def _mark(cleaned: str, paid: bool) -> str:
    """Of which kind the sign or the unit behind a number is; "" without one."""
    if paid and _BARE.fullmatch(cleaned):
        return "money"
    if _PERCENT.search(cleaned):
        return "percent"
    if _DEGREES.search(cleaned):
        return "degree"
    found = quantity(cleaned)
    if found is None:
        return ""
    if _TEMPERATURE.search(cleaned):
        return "temperature"
    if found.unit is None:
        return "name" if found.name else ""
    return "degree" if found.unit.dimension == (("rad", 1),) else "unit"


class Comparable(NamedTuple):
    """Two numbers that are equal exactly if two quantities are."""

    gold: str
    prediction: str
    doubt: str = ""  # why equal numbers would not be enough


def comparable(gold: Quantity, prediction: Quantity) -> Comparable | None:
    """What is to be compared of two quantities; None if they are of unlike kinds."""
    if gold.unit and prediction.unit:
        if gold.unit.dimension != prediction.unit.dimension:
            return _in_kelvin(gold, prediction)
        if gold.unit.factor != prediction.unit.factor:
            return Comparable(_scaled(gold), _scaled(prediction))
        return Comparable(gold.number, prediction.number)
    said = [side for side in (gold, prediction) if side.unit or side.name]
    doubt = ""
    if len(said) == 2 and gold.name != prediction.name:
        doubt = "different words stand behind the number"
    elif said == [gold] and gold.letter:
        doubt = f"{gold.letter} may be a unit or a variable"
    elif said == [prediction] and _ALTERING.search(prediction.name):
        doubt = "the words behind the number may change it"
    return Comparable(gold.number, prediction.number, doubt)


_SCALES: dict[
    tuple[tuple[str, int], ...], tuple[str, str]
] = {  # of temperature: size of a degree in kelvins, and where it begins
    (("K", 1),): ("1", "0"),
    (("degC", 1),): ("1", "273.15"),
    (("degF", 1),): ("5/9", "45967/180"),
}


def _in_kelvin(gold: Quantity, prediction: Quantity) -> Comparable | None:
    """Two temperatures on different scales; None if one of the two is none."""
    if not all(
        one.unit and one.unit.dimension in _SCALES and one.unit.factor == 1 for one in (gold, prediction)
    ):
        return None
    if gold.number == prediction.number and "degF" not in f"{gold.unit}{prediction.unit}":
        return Comparable(gold.number, prediction.number, "it may be a difference of two temperatures")
    return Comparable(*(_on_one_scale(one) for one in (gold, prediction)))


def _on_one_scale(found: Quantity) -> str:
    assert found.unit is not None
    size, start = _SCALES[found.unit.dimension]
    return rf"({found.number}) \cdot {size} + {start}"


def _scaled(found: Quantity) -> str:
    """The number in base units, as an expression."""
    assert found.unit is not None
    factor = found.unit.factor
    return rf"({found.number}) \cdot \frac{{{factor.numerator}}}{{{factor.denominator}}}"
