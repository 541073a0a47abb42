"""Have two expressions one value, and do two equations say one thing?

Call `same_values` or `same_equation`. Both look at the expressions alone; `judge` knows of which kind of
answer they are part.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from fractions import Fraction
from typing import Any, NamedTuple

from util.grading.maths.approximate import approximate
from util.grading.maths.digits import precise, same_value, same_value_far_away
from util.grading.maths.exact import Point, Unknown, coordinate, exact
from util.grading.maths.numbers import is_long, is_rounded, nearly, rounds_to
from util.grading.maths.regions import FLIPPED
from util.grading.maths.tree import Node, Undecided, has, names_in, replaced, symbols, traits

PARAMETERS = frozenset("knmlj")  # usual names of integer parameters
_CONSTANTS = frozenset(("c", "C", "c_1", "C_1", "C_0", "K"))  # of integration
_ARBITRARY = frozenset((*"abcdkmnpqrstCK", "lambda", "alpha"))  # constants that a text may say are free
_WHOLE = frozenset("nkmN")
_DIVISORS = frozenset((("func", "gcd"), ("func", "lcm")))
_STEPPED = frozenset((("func", "floor"), ("func", "ceil"), ("func", "mod"), "big"))
_PERIODIC = frozenset((("const", "pi"), "deg"))
_ARROWS = frozenset(("->", "=>", "<=>", "sub", "prop", "in", "notin", ":"))


class Said(NamedTuple):
    """What the two answers say about all that stands in them."""

    free: frozenset[str] = frozenset()  # symbols said to be integer parameters
    angles: bool = False  # one side names radians


def every(verdicts: Iterable[bool | None]) -> bool | None:
    """Three-valued "and"."""
    unknown = False
    for verdict in verdicts:
        if verdict is False:
            return False
        unknown = unknown or verdict is None
    return None if unknown else True


# ---------------------------------------------------------------- values


def same_values(
    gold: Node, prediction: Node, said: Said, left: set | None = None, right: set | None = None
) -> bool | None:
    """Whether two expressions have one value, exactly, or at sample points if they hold symbols.

    `left` and `right`: what occurs in the two trees, where the caller knows.
    """
    left, right = left or traits(gold), right or traits(prediction)
    names, others = names_in(left), names_in(right)
    if names != others:
        moved = _with_parameter_renamed(prediction, names, others, said, ("const", "pi") in left & right)
        if moved is None:
            return _same_whatever_the_names(gold, prediction, names | others)
        prediction = moved
    both = left | right
    stepped = both & _STEPPED
    whole = bool(names) and bool(
        names <= _WHOLE and stepped or both & _DIVISORS or _alternates(gold, prediction)
    )
    verdict: bool | None = False
    for reading in _readings(left, right, said):
        if whole:
            found = _same_at_whole_numbers(gold, prediction, names, reading)
        else:
            found = _same_at_points(gold, prediction, names, reading)
        if found:
            return True
        verdict = found if verdict is not None else None
    if names:
        if verdict is False and _shifted(gold, prediction, names, said, left & right):
            return True
        if verdict is False and stepped and not whole:
            if all(
                _same_at_whole_numbers(gold, prediction, names, reading)
                for reading in _readings(left, right, said)
            ):
                raise Undecided(f"the two agree where {' and '.join(sorted(names))} are whole numbers")
        return verdict
    undecided = verdict is None and "big" in both  # too many terms; what is undefined differs
    return _is_rounding(gold, prediction) or (None if undecided else False)


def same_if_complex(gold: Node, prediction: Node, names: frozenset[str]) -> bool | None:
    """Whether two expressions agree where z and w are complex numbers; None without such a letter."""
    bars = {name: name[4:-1] for name in names if name.startswith("bar(")}
    letters = {name for name in names | {*bars.values()} if name.partition("_")[0] in ("z", "w")}
    if not letters:
        return None
    for index in (0, 1):
        values: dict[str, Any] = {name: coordinate(name, index) for name in names}
        for name in letters:
            values[name] = complex(coordinate(name, index), coordinate(name, index + 6))
        for bar, name in bars.items():
            values[bar] = values[name].conjugate() if name in letters else values[bar]
        try:
            a, b = (approximate(node, Point(values)) for node in (gold, prediction))
        except Unknown:
            return None
        if abs(a - b) > 1e-9 * abs(a):
            return False
    return True


def _alternates(*nodes: Node) -> bool:
    """Whether a sign alternates, as in (-1)^n: its exponent is a whole number then."""
    for node in nodes:
        if node.kind in ("num", "decimal"):
            continue
        if node.kind == "pow" and node.parts[0] in _MINUS_ONE and symbols(node.parts[1]):
            return True
        if _alternates(*(child for child in node.parts if isinstance(child, Node))):
            return True
    return False


_ONE = Node("num", (), Fraction(1))
_MINUS_ONE = (Node("neg", (_ONE,)), Node("num", (), Fraction(-1)), Node("mul", (Node("neg", (_ONE,)),)))


def _shifted(gold: Node, prediction: Node, names: frozenset[str], said: Said, both: set) -> bool:
    """Whether two families such as pi/2 + 2 pi k and -3 pi/2 + 2 pi k are the same numbers."""
    if len(names) != 1:
        return False
    (name,) = names
    if name not in said.free and not (name == "k" and both & _PERIODIC):
        return False
    try:
        a, b, c = (approximate(gold, Point({name: Fraction(at)})) for at in (0, 1, 2))
        d, e, f = (approximate(prediction, Point({name: Fraction(at)})) for at in (0, 1, 2))
    except (Unknown, OverflowError):
        return False
    step, other = b - a, e - d
    near = 1e-9 * max(1.0, *(abs(value) for value in (a, b, c, d, e, f)))
    if (
        not step
        or abs(c - b - step) > near
        or abs(f - e - other) > near
        or abs(abs(step) - abs(other)) > near
    ):
        return False
    if name not in said.free and abs(a / step - round((a / step).real)) < 1e-9:
        return False  # pi k and pi (k + 1) may be two terms of a sequence
    shift = (d - a) / step
    return abs(shift - round(shift.real)) < 1e-9


def is_family_of(node: Node, rest: Node, modulus: Node, names: frozenset[str]) -> bool:
    """Whether 7t + 3, for whole t, are the numbers congruent to 3 modulo 7."""
    if len(names) != 1:
        return False
    (name,) = names
    try:
        first, second, third = (_number(node, Point({name: Fraction(at)})) for at in (0, 1, 2))
        remainder, period = _number(rest, Point()), _number(modulus, Point())
        if second - first != third - second or abs(second - first) != abs(period):
            return False
        return (first - remainder) % period == 0
    except (Unknown, OverflowError, TypeError, ZeroDivisionError):
        return False


def _with_parameter_renamed(
    prediction: Node, names: frozenset[str], others: frozenset[str], said: Said, periodic: bool
) -> Node | None:
    """The prediction with its integer parameter under the gold's name: 2 pi n for 2 pi k."""
    if len(names - others) != 1 or len(others - names) != 1:
        return None
    (ours,), (theirs,) = names - others, others - names
    if prediction.kind == "sym" and theirs in _CONSTANTS:
        return None  # a constant alone
    is_said = ours in said.free or theirs in said.free
    if (
        {ours, theirs} <= _CONSTANTS
        or is_said
        and {ours, theirs} <= _ARBITRARY
        or {ours, theirs} <= PARAMETERS | said.free
        and (is_said or periodic)
    ):
        return replaced(prediction, {Node("sym", (), theirs): Node("sym", (), ours)})
    return None


def _same_whatever_the_names(gold: Node, prediction: Node, names: frozenset[str]) -> bool | None:
    """One side has symbols that the other has not: equal only if they cancel, as in x - x + 2."""
    if "..." in names:
        return False
    if _alternates(gold, prediction):
        return bool(_same_at_whole_numbers(gold, prediction, names, Point()))
    if not _same_at_far_points(
        gold, prediction, names, Point(), anyway=has(gold, "root") or has(prediction, "root")
    ):
        return False
    for index in (0, 1, 6, 9):  # near one, and whole numbers that no floor sends to the same
        at = _sample(names, index)
        try:
            if exact(gold, at) != exact(prediction, at):
                return False
        except Unknown:
            if same_value(gold, prediction, at) is not True:
                return False
    return True


def _readings(left: set, right: set, said: Said) -> list[Point]:
    """How to read degree signs, percent signs and a bare log where only one side has them."""
    readings = [Point()]
    if ("pct" in left) != ("pct" in right):
        readings.append(Point(percent=Fraction(1, 100)))
    if ("deg" in left) != ("deg" in right):
        readings = [*(() if said.angles else readings), Point(turned=True)]
    if (("func", "log") in left) != (("func", "log") in right):
        readings.append(Point(log10=True))
    return readings


def _sample(names: Iterable[str], index: int, reading: Point | None = None) -> Point:
    """A sample point, read as `reading` says."""
    values = {name: coordinate(name, index) for name in names}
    return Point(values) if reading is None else reading.moved(values)


def _same_at_points(gold: Node, prediction: Node, names: frozenset[str], reading: Point) -> bool | None:
    if not names:
        return same_value(gold, prediction, reading)
    valid = 0
    for index in range(3):
        at = _sample(names, index, reading)
        verdict = same_value(gold, prediction, at, thorough=index == 0)
        if verdict is False:
            if _is_real(gold, at) and _is_real(prediction, at) or has(gold, "const", "i"):
                return False
            return _same_where_real(gold, prediction, names, reading)
        valid += verdict is True
    if not valid:
        return None
    for index in (3, 4, 6, 7):
        at = _sample(names, index, reading)
        if same_value(gold, prediction, at, thorough=False) is False:
            if _is_real(gold, at) and _is_real(prediction, at):
                return False
    return _same_at_far_points(gold, prediction, names, reading)


def _same_at_far_points(
    gold: Node, prediction: Node, names: frozenset[str], reading: Point, *, anyway: bool = False
) -> bool:
    """Whether nothing differs at points of either sign, in either order and far away.

    An absolute value, a maximum or a floor may be one of its branches where symbols are near and positive.
    """
    if not anyway and not (traits(gold) | traits(prediction)) & _BRANCHED:
        return True
    ordered = sorted(names)
    if len(names) > 1 and (traits(gold) | traits(prediction)) & _ROUNDED:
        for name in ordered[:4]:  # a whole number beside others
            at = _sample(names, 1, reading)
            at[name] = coordinate(name, 6)
            if same_value(gold, prediction, at, thorough=False) is False:
                return False
    for turn, scale in itertools.product((0, 1), _FAR):
        values = {
            name: scale
            * (place + 1 + turn)
            * (-1 if (place + turn) % 2 and abs(scale) == 1 else 1)
            * Fraction(7, 5)
            for place, name in enumerate(ordered if turn else reversed(ordered))
        }
        at = reading.moved(values)
        verdict = (
            same_value_far_away(gold, prediction, at)
            if abs(scale) > _NEAR
            else same_value(gold, prediction, at, thorough=False)
        )
        if verdict is False:
            if _is_real(gold, at) and _is_real(prediction, at):
                return False
    return True


_NEAR = 10**5
_FAR = tuple(Fraction(sign * size) for size in (1, 997, 10**7 - 9, 10**17 + 3) for sign in (1, -1))
_ROUNDED = frozenset((("func", "floor"), ("func", "ceil")))
_BRANCHED = frozenset(("func", name) for name in ("abs", "min", "max", "sgn", "floor", "ceil", "mod"))


def _same_where_real(gold: Node, prediction: Node, names: frozenset[str], reading: Point) -> bool:
    """At points where both sides are real: ln((1 - x) / (1 + x)) is so between -1 and 1 alone."""
    valid = 0
    for index, scale in itertools.product(range(3), _SCALES):
        values = {name: coordinate(name, index) * scale / 3 for name in names}
        at = reading.moved(values)
        if _is_real(gold, at) and _is_real(prediction, at):
            if same_value(gold, prediction, at, thorough=not valid) is not True:
                return False
            valid += 1
    return valid >= 4


_SCALES = (Fraction(1), Fraction(-1), Fraction(1, 3), Fraction(-1, 3), Fraction(1, 20), Fraction(8))


def _same_at_whole_numbers(
    gold: Node, prediction: Node, names: frozenset[str], reading: Point
) -> bool | None:
    """At eight natural numbers in a row and some far ones: where parts are rounded, n means such a number."""
    valid = 0
    for step in (*range(8), 1009, 86_243, 10**9 + 7, 10**17 + 3):
        values = {
            name: Fraction(3 + step + place * (5 + 2 * step)) for place, name in enumerate(sorted(names))
        }
        at = reading.moved(values)
        verdict = (
            same_value_far_away(gold, prediction, at)
            if step > _NEAR
            else same_value(gold, prediction, at, thorough=step == 0)
        )
        if verdict is False:
            return False
        valid += verdict is True
    return valid > 3 or None


def _is_real(node: Node, at: Point) -> bool:
    """Whether a value is real with all that it is made of: no root of a negative number within."""
    try:
        precise(node, at, 15)
    except Unknown:
        return False
    return True


# ---------------------------------------------------------------- rounded values


def _is_rounding(gold: Node, prediction: Node) -> bool:
    """A decimal gold and an exact value that rounds to it, or an exact gold and a decimal of 15 digits."""
    percent = has(gold, "pct") != has(prediction, "pct")
    literal = _literal(gold)
    if literal and not has(prediction, "decimal"):
        value, places = literal
        if not places or not is_rounded(value, places):
            return False
        exact_value = _rational(_bare(prediction))
        if exact_value is None:
            return False
        if is_long(value, places) and not percent:
            return nearly(exact_value, value, places)
        scales = (1, 100 if has(gold, "pct") else Fraction(1, 100)) if percent else (1,)
        return any(rounds_to(exact_value * scale, value, places) for scale in scales)
    literal = _literal(prediction)
    if literal and not has(gold, "decimal") and not percent and literal[1] and is_long(*literal):
        exact_value = _rational(_bare(gold))
        return exact_value is not None and nearly(exact_value, *literal)
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


def real_value(node: Node) -> Fraction | None:
    """The value of a real number however it is written, exactly or to 40 digits; None for anything else."""
    named = node
    while named.kind == "rel" and len(named.parts) == 2 and set(named.value) <= {"=", "~"}:
        named = named.parts[1]  # g = 9.81
    return None if named.kind in _NO_NUMBERS or symbols(named) else _rational(_bare(named))


_NO_NUMBERS = frozenset("list set pair tuple rel matrix text domain union label rows builder cases".split())


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


# ---------------------------------------------------------------- equations


def same_equation(gold: Node, prediction: Node) -> bool | None:
    """Whether two relations agree: equations up to a constant factor, inequalities up to a positive one."""
    operator, other = gold.value[0], prediction.value[0]
    if operator in _ARROWS or other in _ARROWS:
        return None
    if operator != other and FLIPPED.get(operator) != other:
        return False
    left, right = (Node("add", (node.parts[0], Node("neg", (node.parts[1],)))) for node in (gold, prediction))
    names = symbols(left)
    if names != symbols(right):
        return False
    if not names:
        return None
    ratios = []
    for index in (0, 1, 3, 4):
        at = _sample(names, index)
        try:
            a, b = _number(left, at), _number(right, at)
            if not a or not b:
                return None if not a and not b else False
            ratios.append(a / b)
        except (Unknown, OverflowError):
            continue
    if len(ratios) < 2:
        return None
    first = ratios[0]
    if operator[0] in "<>" and (first.real > 0) != (operator == other):
        return False
    try:
        is_same = all(abs(ratio - first) * 10**9 <= abs(first) for ratio in ratios[1:])
    except OverflowError:  # a long fraction and a float
        return None
    if is_same or operator != "=":
        return is_same
    cleared, other_cleared = (_without_denominators(node) for node in (gold, prediction))
    if (cleared, other_cleared) != (gold, prediction) and same_equation(cleared, other_cleared):
        raise Undecided("the two may differ where a denominator is zero")
    return False


def _without_denominators(equation: Node) -> Node:
    """An equation multiplied by all that its terms are divided by, if that holds symbols: PV = nRT."""
    terms = itertools.chain(*(side.parts if side.kind == "add" else (side,) for side in equation.parts))
    plain = [term.parts[0] if term.kind == "neg" else term for term in terms]
    below = [term.parts[1] for term in plain if term.kind == "div" and symbols(term.parts[1])]
    if not below:
        return equation
    return equation._replace(parts=tuple(Node("mul", (side, *below)) for side in equation.parts))


def without_rounded(chain: Node) -> Node:
    """The sides of x = 2/3 = 0.67 without a last one that repeats the exact one before it, rounded."""
    *sides, last = chain.parts
    if not set(chain.value) <= {"=", "~"} or _literal(last) is None:
        return chain
    before = sides[-1]
    if symbols(before) or has(before, "decimal") or not agree(before, last):
        return chain
    return before if len(sides) == 1 else chain._replace(parts=tuple(sides), value=chain.value[:-1])


def agree(first: Node, second: Node, *, within: Fraction = Fraction(1, 10**30)) -> bool:
    """Whether two values are equal or one is the other, rounded; `within` is relative to the first."""
    a, b = _rational(first), _rational(second)
    if a is None or b is None or a == b or abs(a - b) <= abs(a) * within:
        return True
    for value, node in ((a, second), (b, first)):
        literal = _literal(node)
        if literal and literal[1] and rounds_to(value, *literal):
            return True
    return False


def is_roughly_true(node: Node) -> bool:
    """Whether numbers on both sides of a final sign for "about" are near each other; true for other trees."""
    if node.kind != "rel" or node.value[-1] != "~" or symbols(node):
        return True
    try:
        a, b = (_number(part, Point()) for part in node.parts[-2:])
        return abs(a - b) <= abs(a) / 20
    except (Unknown, OverflowError):
        return True


def _number(node: Node, at: Point) -> Any:
    """A fraction, or a float where there is none."""
    try:
        value = exact(node, at)
    except Unknown:
        return approximate(node, at)
    return value if isinstance(value, Fraction) else complex(float(value.re), float(value.im))
