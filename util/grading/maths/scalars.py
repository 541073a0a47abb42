"""Have two expressions one value?"""

from __future__ import annotations

from fractions import Fraction

from util.grading.maths.digits import precise, same_value
from util.grading.maths.exact import Point
from util.grading.maths.exact import Unknown, coordinate, exact
from util.grading.maths.numbers import is_long, is_rounded, nearly, rounds_to
from util.grading.maths.shapes import SCALARS, renamed
from util.grading.maths.tree import Node, has, names_in, traits

PARAMETERS = frozenset("knmlj")  # usual names of integer parameters
_CONSTANTS = frozenset(("c", "C", "c_1", "C_1", "C_0", "K"))  # of integration
_ARBITRARY = frozenset("abcdkmnpqrstCK") | {
    "lambda",
    "alpha",
}  # usual names of constants that a text says are free
_WHOLE = frozenset("nkmN")
_DIVISORS = frozenset((("func", "gcd"), ("func", "lcm")))
_STEPPED = frozenset((("func", "floor"), ("func", "ceil"), ("func", "mod"), "big"))


class Scalars:
    """Compares values; carries what was said about the whole answer. What inherits from it defines `same`."""

    def __init__(self, free: frozenset[str], angles: bool) -> None:
        self.free = free  # symbols said to be integer parameters
        self.angles = angles  # one side names radians

    def same_scalar(self, gold: Node, prediction: Node) -> bool | None:
        """Whether two expressions have one value, exactly, or at sample points if they hold symbols."""
        if gold.kind not in SCALARS or prediction.kind not in SCALARS:
            return (
                self.same(gold, prediction) if gold.kind != prediction.kind or gold.kind == "ratio" else None
            )
        return self.same_values(gold, prediction, traits(gold), traits(prediction))

    def same_values(self, gold: Node, prediction: Node, left: set, right: set) -> bool | None:
        """The same, with what occurs in the two trees."""
        names, others = names_in(left), names_in(right)
        if names != others:
            if not names or not others:
                return self.same_despite_names(gold, prediction, names | others)
            moved = self.renamed_parameter(prediction, names, others, ("const", "pi") in left & right)
            if moved is None:
                return self.same_despite_names(gold, prediction, names | others)
            prediction = moved
        verdict: bool | None = False
        for left_at, right_at in self.points(left, right):
            traits_of_both = left | right
            if names and (names <= _WHOLE and traits_of_both & _STEPPED or traits_of_both & _DIVISORS):
                found = _same_at_whole_numbers(gold, prediction, names, left_at)
            else:
                found = _same_at_points(gold, prediction, names, left_at, right_at)
            if found:
                return True
            verdict = found if verdict is not None else None
        if not names:
            undecided = verdict is None and "big" in left | right  # too many terms; what is undefined differs
            return _is_rounding(gold, prediction) or (None if undecided else False)
        return verdict

    def same_despite_names(self, gold: Node, prediction: Node, names: frozenset[str]) -> bool | None:
        """One side has symbols that the other has not: equal only if they cancel, as in x - x + 2."""
        if "..." in names:
            return False
        for index in (0, 1, 6, 9):  # near one, and whole numbers that no floor sends to the same
            at = Point((name, coordinate(name, index)) for name in names)
            try:
                if exact(gold, at) != exact(prediction, at):
                    return False
            except Unknown:
                if same_value(gold, prediction, at, at) is not True:
                    return False
        return True

    def renamed_parameter(
        self, prediction: Node, names: frozenset[str], others: frozenset[str], periodic: bool
    ) -> Node | None:
        """The prediction with its integer parameter under the gold's name: 2 pi n for 2 pi k."""
        mine, theirs = names - others, others - names
        if len(mine) != 1 or len(theirs) != 1:
            return None
        ours, other = next(iter(mine)), next(iter(theirs))
        said = ours in self.free or other in self.free
        if (
            {ours, other} <= _CONSTANTS
            or said
            and {ours, other} <= _ARBITRARY
            or ours in PARAMETERS | self.free
            and other in PARAMETERS | self.free
            and (said or periodic)
        ):
            return renamed(prediction, {other: Node("sym", (), ours)})
        return None

    def points(self, left: set, right: set) -> list[tuple[Point, Point]]:
        """How to read degree signs, percent signs and a bare log on the two sides."""
        plain = Point()
        readings = [(plain, plain)]
        if ("pct" in left) != ("pct" in right):
            hundredth = Point()
            hundredth.percent = Fraction(1, 100)
            readings.append((hundredth, hundredth))
        if ("deg" in left) != ("deg" in right):
            turned = Point()
            turned.degree = "pi"
            readings = [*(readings if not self.angles else ()), (turned, turned)]
        if (("func", "log") in left) != (("func", "log") in right):
            decadic = Point()
            decadic.log10 = True
            readings.append((decadic, decadic))
        return readings


def every(verdicts: object) -> bool | None:
    """Three-valued "and"."""
    unknown = False
    for verdict in verdicts:
        if verdict is False:
            return False
        unknown = unknown or verdict is None
    return None if unknown else True


def _same_at_points(
    gold: Node, prediction: Node, names: frozenset[str], left_at: Point, right_at: Point
) -> bool | None:
    if not names:
        return same_value(gold, prediction, left_at, right_at)
    valid = 0
    for index in range(3):
        at = _at(left_at, names, index)
        verdict = same_value(gold, prediction, at, at, thorough=index == 0)
        if verdict is False:
            return False
        valid += verdict is True
    if not valid:
        return None
    for index in (3, 4, 6, 7):
        at = _at(left_at, names, index)
        if (
            same_value(gold, prediction, at, at, thorough=False) is False
            and _is_real(gold, at)
            and _is_real(prediction, at)
        ):
            return False
    return True


def _same_at_whole_numbers(
    gold: Node, prediction: Node, names: frozenset[str], reading: Point
) -> bool | None:
    """At eight natural numbers in a row: where parts are rounded or summed, n means a natural number."""
    valid = 0
    for step in range(8):
        at = _at(reading, frozenset(), 0)
        for place, name in enumerate(sorted(names)):
            at[name] = Fraction(3 + 5 * place + step * (1 + 2 * place))
        verdict = same_value(gold, prediction, at, at, thorough=step == 0)
        if verdict is False:
            return False
        valid += verdict is True
    return valid > 3 or None


def _at(reading: Point, names: frozenset[str], index: int) -> Point:
    at = Point((name, coordinate(name, index)) for name in names)
    at.degree, at.percent, at.log10 = reading.degree, reading.percent, reading.log10
    return at


def _is_real(node: Node, at: Point) -> bool:
    """Whether a value is real with all that it is made of: no root of a negative number within."""
    try:
        precise(node, at, 15)
    except Unknown:
        return False
    return True


def _is_rounding(gold: Node, prediction: Node) -> bool:
    """A decimal gold and an exact value that rounds to it, or an exact gold and a decimal of 15 digits."""
    percent = has(gold, "pct") != has(prediction, "pct")
    literal = _literal(gold)
    if literal and not has(prediction, "decimal"):
        value, places = literal
        if not places or not is_rounded(value, places):
            return False
        exact_value = _rational(_bare(prediction))
        if is_long(value, places) and exact_value is not None and not percent:
            return nearly(exact_value, value, places)
        scales = ((1, 100) if has(gold, "pct") else (1, Fraction(1, 100))) if percent else (1,)
        return exact_value is not None and any(
            rounds_to(exact_value * scale, value, places) for scale in scales
        )
    literal = _literal(prediction)
    if literal and not has(gold, "decimal") and not percent:
        value, places = literal
        if places and is_long(value, places):
            exact_value = _rational(_bare(gold))
            return exact_value is not None and nearly(exact_value, value, places)
    return False


def _bare(node: Node) -> Node:
    """A value without the percent or degree sign around it."""
    while node.kind in ("pct", "deg"):
        node = node.parts[0]
    return node


def _literal(node: Node) -> tuple[Fraction, int] | None:
    """Value and places of a tree that is a single decimal, with its sign, percent or degree sign."""
    sign = 1
    while node.kind in ("neg", "pct", "deg"):
        sign, node = -sign if node.kind == "neg" else sign, node.parts[0]
    return (sign * node.value, node.parts[0]) if node.kind == "decimal" else None


def _rational(node: Node) -> Fraction | None:
    """The value of a real tree, exactly or to 40 digits."""
    at = Point()
    try:
        value = exact(node, at)
        return value if isinstance(value, Fraction) else None
    except Unknown:
        pass
    try:
        return Fraction(precise(node, at, 40))
    except (Unknown, ValueError):
        return None
