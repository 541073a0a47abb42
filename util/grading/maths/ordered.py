"""Are two formulas equal if their capital letters are matrices, which do not commute?

Call `keeps_order` with two trees that are equal where all letters are numbers.
"""

from __future__ import annotations

import itertools
import re

from util.grading.maths.approximate import approximate
from util.grading.maths.exact import Point, Unknown, coordinate
from util.grading.maths.tree import Node, symbols

Matrix = tuple[complex, complex, complex, complex]  # two rows of two
_CAPITAL = re.compile(r"[A-Z](?:_\w+|')*")
_ONE: Matrix = (1, 0, 0, 1)


class _Numbers(Exception):
    """The formula does with a capital letter what is done with numbers alone."""


def keeps_order(gold: Node, prediction: Node) -> bool:
    """Whether two formulas stay equal with a matrix for each capital letter, or can only mean numbers.

    Matrices are not divided by, and have no roots, absolute values and logarithms; 2^N is a number as well.
    """
    each = [{name for name in symbols(node) if _CAPITAL.fullmatch(name)} for node in (gold, prediction)]
    if max(map(len, each)) < 2:
        return True
    names, capitals = symbols(gold) | symbols(prediction), each[0] | each[1]
    at = Point({name: coordinate(name, 0) for name in names})
    try:
        left, right = (_value(node, at, capitals) for node in (gold, prediction))
    except (_Numbers, Unknown, OverflowError, ZeroDivisionError):
        return True
    size = max(map(abs, (*left, *right)))
    return all(abs(a - b) <= 1e-9 * size for a, b in zip(left, right, strict=True))


def _value(node: Node, at: Point, capitals: set[str]) -> Matrix:
    if capitals.isdisjoint(symbols(node)):
        return _scaled(_ONE, approximate(node, at))
    kind, parts, name = node
    if kind == "sym":
        a, b, c, d = (float(coordinate(f"{name}{place}", 0)) for place in range(4))
        return (a, b, c, -d)
    if kind == "pow":
        return _power(parts[0], parts[1], at, capitals)
    if kind == "div" and capitals.isdisjoint(symbols(parts[1])):
        return _scaled(_value(parts[0], at, capitals), 1 / approximate(parts[1], at))
    if kind not in ("add", "mul", "neg", "app"):
        raise _Numbers
    values = [_value(part, at, capitals) for part in parts]
    if kind == "neg":
        return _scaled(values[0], -1)
    if kind == "app":  # some number that is made of all entries, each with a weight of its own
        weighted = (place * entry for place, entry in enumerate(itertools.chain(*values), start=2))
        return _scaled(_ONE, sum(weighted))
    total = values[0]
    for value in values[1:]:
        total = _sum(total, value) if kind == "add" else _product(total, value)
    return total


def _power(base: Node, exponent: Node, at: Point, capitals: set[str]) -> Matrix:
    """A^2, A^{-1} and the transpose A^T; some polynomial in A for A^n and e^A."""
    if not capitals.isdisjoint(symbols(exponent)) and exponent != Node("sym", (), "T"):
        if base != Node("const", (), "e"):
            raise _Numbers
        return _polynomial(_value(exponent, at, capitals), 2.5)
    value = _value(base, at, capitals)
    if exponent == Node("sym", (), "T"):
        return (value[0], value[2], value[1], value[3])
    times = approximate(exponent, at)
    if times not in range(-20, 21):
        return _polynomial(value, times)
    result = _ONE
    for _ in range(abs(int(times.real))):
        result = _product(result, value)
    return _inverse(result) if times.real < 0 else result


def _polynomial(value: Matrix, by: complex) -> Matrix:
    return _sum(_sum(_scaled(_ONE, by), _scaled(value, by + 1)), _scaled(_product(value, value), by + 2))


def _scaled(value: Matrix, by: complex) -> Matrix:
    a, b, c, d = value
    return (a * by, b * by, c * by, d * by)


def _sum(left: Matrix, right: Matrix) -> Matrix:
    return (left[0] + right[0], left[1] + right[1], left[2] + right[2], left[3] + right[3])


def _product(left: Matrix, right: Matrix) -> Matrix:
    (a, b, c, d), (e, f, g, h) = left, right
    return (a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h)


def _inverse(value: Matrix) -> Matrix:
    a, b, c, d = value
    return _scaled((d, -b, -c, a), 1 / (a * d - b * c))
