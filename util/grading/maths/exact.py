"""What is the value of an answer's tree, exactly, as a (complex) fraction?

Call `exact` with a tree and a `Point`. Everything is bounded before it is computed: a power, a factorial or a
binomial whose result would be too long raises `Unknown` instead.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any, final

from util.grading.maths.tree import Node

MAX_BITS = 40_000  # of an exact result
MAX_FACTORIAL = 3_000
_NOWHERE: Mapping[str, Fraction] = {}
MAX_TERMS, MAX_NESTED_TERMS = 300, 12  # of a sum or product; of one within another
MAX_NESTED_SUMS = 3  # each takes as many times as long as it has terms


class Unknown(ArithmeticError):
    """No value: undefined, too large, or a kind of node that has none."""


class Inexact(Unknown):
    """There is a value, but it is not a (complex) fraction."""


@final
class Gauss:
    """A complex number with rational parts."""

    __slots__ = ("re", "im")

    def __init__(self, re: Fraction, im: Fraction) -> None:
        self.re, self.im = re, im

    def __add__(self, other: Gauss | Fraction) -> Gauss:
        other = _gauss(other)
        return Gauss(self.re + other.re, self.im + other.im)

    def __mul__(self, other: Gauss | Fraction) -> Gauss:
        other = _gauss(other)
        return Gauss(self.re * other.re - self.im * other.im, self.re * other.im + self.im * other.re)

    def __neg__(self) -> Gauss:
        return Gauss(-self.re, -self.im)

    def __eq__(self, other: object) -> bool:
        other = _gauss(other)
        return self.re == other.re and self.im == other.im

    __radd__, __rmul__ = __add__, __mul__

    def inverse(self) -> Gauss:
        norm = self.re * self.re + self.im * self.im
        if not norm:
            raise Unknown("division by zero")
        return Gauss(self.re / norm, -self.im / norm)

    def simplest(self) -> Gauss | Fraction:
        return self if self.im else self.re


def _gauss(value: Any) -> Gauss:
    return value if isinstance(value, Gauss) else Gauss(value, Fraction(0))


class Point(dict):
    """Where to evaluate: values of the symbols, and how to read degree and percent signs and a bare log."""

    turned = False  # whether a degree sign makes radians; it is dropped otherwise
    percent = Fraction(1)
    log10 = False

    def __init__(self, values: Mapping[str, Fraction] = _NOWHERE, **reading: object) -> None:
        super().__init__(values)
        vars(self).update(reading)

    def moved(self, values: Mapping[str, Fraction]) -> Point:
        """Another point that is read in the same way."""
        return Point(values, **vars(self))


@lru_cache(maxsize=1024)
def coordinate(name: str, index: int) -> Fraction:
    """A symbol at a sample point: 0-2 are above one, 3 below minus one, 4-5 anywhere, then integers."""
    dice = zlib.crc32(f"{name}/{index}".encode("utf-8", "surrogatepass"))  # the same in every process
    value = Fraction(1013 + dice % 1986, 997)
    if index < 3:
        return value
    if index == 3:
        return -value
    if index > 5:
        return Fraction(round(value * index))
    return (value - 1) * (1 if dice >> 16 & 1 else -1) * (1, 2, Fraction(1, 3))[dice % 3]


# ---------------------------------------------------------------- exact values


def exact(node: Node, at: Mapping[str, Fraction]) -> Fraction | Gauss:
    """The value as a fraction or a complex fraction; raises Inexact or Unknown."""
    function = _EXACT.get(node.kind)
    if function is None:
        raise Inexact(node.kind)
    return function(node, at)


def _checked(value: Fraction | Gauss) -> Fraction | Gauss:
    if type(value) is Gauss:
        if value.re.denominator.bit_length() > MAX_BITS or value.im.numerator.bit_length() > MAX_BITS:
            raise Unknown("too large")
    elif value.numerator.bit_length() > MAX_BITS or value.denominator.bit_length() > MAX_BITS:
        raise Unknown("too large")
    return value


def _exact_symbol(node: Node, at: Mapping) -> Fraction:
    try:
        return at[node.value]
    except KeyError:
        raise Unknown(f"no value for {node.value}") from None


def _exact_constant(node: Node, at: Mapping) -> Gauss:
    if node.value == "i":
        return Gauss(Fraction(0), Fraction(1))
    raise Inexact(node.value)


def _exact_sum(node: Node, at: Mapping) -> Fraction | Gauss:
    total = exact(node.parts[0], at)
    for part in node.parts[1:]:
        total = total + exact(part, at)
    return _checked(total)


def _exact_product(node: Node, at: Mapping) -> Fraction | Gauss:
    total = exact(node.parts[0], at)
    for part in node.parts[1:]:
        total = _checked(total * exact(part, at))
    return total


def _exact_quotient(node: Node, at: Mapping) -> Fraction | Gauss:
    top, bottom = exact(node.parts[0], at), exact(node.parts[1], at)
    if type(bottom) is Gauss:
        return top * bottom.inverse()
    if not bottom:
        raise Unknown("division by zero")
    return top * (1 / bottom) if type(top) is Gauss else _checked(top / bottom)


def _exact_power(node: Node, at: Mapping) -> Fraction | Gauss:
    base, exponent = exact(node.parts[0], at), exact(node.parts[1], at)
    if type(exponent) is Gauss:
        raise Inexact("complex exponent")
    if type(base) is Gauss:
        return _gauss_power(base, exponent)
    if exponent.denominator != 1:
        base, exponent = _rational_root(base, exponent.denominator), Fraction(exponent.numerator)
    if not base and exponent <= 0:
        raise Unknown("zero to the power of zero or less")
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if bits > 1 and bits * abs(exponent) > MAX_BITS:
        raise Unknown("too large")
    if bits <= 1:  # 0, 1 or -1
        return base if exponent % 2 or base != -1 else Fraction(1)
    return base ** int(exponent)


def _gauss_power(value: Gauss, exponent: Fraction) -> Fraction | Gauss:
    base = value.simplest()
    if exponent.denominator != 1 or abs(exponent) > 2000:
        if type(base) is Gauss and not base.re and abs(base.im) == 1 and exponent.denominator == 1:
            exponent %= 4
        else:
            raise Inexact("root of a complex number")
    if type(base) is not Gauss:
        return _exact_power(Node("pow", (Node("num", (), base), Node("num", (), exponent))), {})
    parts = (base.re.numerator, base.re.denominator, base.im.numerator, base.im.denominator)
    if max(part.bit_length() for part in parts) * abs(exponent) > MAX_BITS:
        raise Unknown("too large")
    result, left = Gauss(Fraction(1), Fraction(0)), abs(int(exponent))
    factor = base if exponent >= 0 else base.inverse()
    while left:
        if left & 1:
            result = result * factor
        factor, left = factor * factor, left >> 1
    return result.simplest()


def _integer_root(value: int, degree: int) -> int:
    """The exact root of a natural number; raises Inexact where it is none."""
    if degree == 2:
        root = math.isqrt(value)
    elif value.bit_length() <= degree:
        root = 1 if value else 0
    else:
        low, high = 1, 1 << (value.bit_length() // degree + 1)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if middle**degree <= value else (low, middle - 1)
        root = low
    if root**degree != value:
        raise Inexact("irrational root")
    return root


def _rational_root(value: Fraction, degree: int) -> Fraction:
    if degree > 64 or value.numerator.bit_length() > 4000 or value.denominator.bit_length() > 4000:
        raise Inexact("root of a long number")
    if value < 0 and degree % 2 == 0:
        raise Inexact("root of a negative number")
    sign = -1 if value < 0 else 1
    return Fraction(
        sign * _integer_root(abs(value.numerator), degree), _integer_root(value.denominator, degree)
    )


def _exact_root(node: Node, at: Mapping) -> Fraction | Gauss:
    value, degree = exact(node.parts[0], at), exact(node.parts[1], at)
    if type(value) is Gauss or type(degree) is Gauss or degree.denominator != 1 or degree < 1:
        raise Inexact("complex root")
    if value < 0 and degree == 2:
        return Gauss(Fraction(0), _rational_root(-value, 2))
    return _rational_root(value, int(degree))


def _whole(value: Fraction | Gauss) -> int:
    if type(value) is Gauss or value.denominator != 1:
        raise Inexact("no integer")
    return value.numerator


def _exact_factorial(node: Node, at: Mapping) -> Fraction:
    value = _whole(exact(node.parts[0], at))
    if not 0 <= value <= MAX_FACTORIAL:
        raise Unknown("factorial out of bounds")
    return _factorial(value)


@lru_cache(maxsize=32)
def _factorial(value: int) -> Fraction:
    return Fraction(math.factorial(value))


def _exact_binomial(node: Node, at: Mapping) -> Fraction:
    upper, lower = (_whole(exact(part, at)) for part in node.parts)
    if upper < 0 or lower < 0:
        raise Unknown("negative binomial")
    if lower > upper:
        return Fraction(0)
    if min(lower, upper - lower) * upper.bit_length() > MAX_BITS:
        raise Unknown("too large")
    return Fraction(math.comb(upper, lower))


def _exact_function(node: Node, at: Mapping) -> Fraction | Gauss:
    function = _EXACT_FUNCTIONS.get(node.value)
    if function is None:
        raise Inexact(node.value)
    check_arity(node)
    values = [exact(part, at) for part in node.parts]
    if node.value == "conj" and type(values[0]) is Gauss:
        return Gauss(values[0].re, -values[0].im)
    if any(type(value) is Gauss for value in values):
        raise Inexact("function of a complex number")
    try:
        return function(*values)
    except ZeroDivisionError:
        raise Unknown("undefined") from None


_MANY = frozenset(("min", "max", "gcd", "lcm"))  # functions of any number of values
_TWO = frozenset(("mod", "logb"))


def check_arity(node: Node) -> None:
    """Raise Unknown for a function with too many arguments, such as sin(1, 2)."""
    if node.value not in _MANY and len(node.parts) != (2 if node.value in _TWO else 1):
        raise Unknown(f"{node.value} of {len(node.parts)} values")


def application_value(node: Node, at: Point, evaluate: Callable) -> Any:
    """An unknown function: one polynomial for each name, so that equal arguments give equal values."""
    total: Any = coordinate(f"{node.value}()", 0)
    for position, part in enumerate(node.parts):
        value = evaluate(part, at)
        square, linear = coordinate(node.value, position), coordinate(node.value, position + 9)
        total = total * (linear + value) + value * value * square
    return total


def big_value(node: Node, at: Point, evaluate: Callable) -> Any:
    """A sum or a product of a few hundred terms at most."""
    inside, start, end = node.parts
    kind, name = node.value
    low, high = _whole(exact(start, at)), _whole(exact(end, at))
    nested = sum(other[0] == "#" for other in at)
    if nested >= MAX_NESTED_SUMS:
        raise Unknown("too many sums within each other")
    if high - low > (MAX_NESTED_TERMS if nested else MAX_TERMS):
        raise Unknown("too many terms")
    here = at.moved(at)
    total: Any = Fraction(0 if kind == "sum" else 1)
    for value in range(low, high + 1):
        here[name] = Fraction(value)
        term = evaluate(inside, here)
        total = total + term if kind == "sum" else total * term
        if evaluate is exact:
            _checked(total)
    return total


def _exact_degree(node: Node, at: Point) -> Fraction | Gauss:
    if at.turned:
        raise Inexact("degree")
    return exact(node.parts[0], at)


def _gcd(*values: Fraction) -> Fraction:
    return Fraction(math.gcd(*(_whole(value) for value in values)))


_EXACT_FUNCTIONS: dict[str, Callable[..., Fraction]] = {
    "abs": abs,
    "floor": lambda x: Fraction(math.floor(x)),
    "ceil": lambda x: Fraction(math.ceil(x)),
    "min": lambda *x: min(x),
    "max": lambda *x: max(x),
    "gcd": _gcd,
    "lcm": lambda *x: Fraction(math.lcm(*(_whole(value) for value in x))),
    "conj": lambda x: x,
    "Re": lambda x: x,
    "cbrt": lambda x: _rational_root(x, 3),
    "sgn": lambda x: Fraction((x > 0) - (x < 0)),
    "mod": lambda x, y: x % y,
}


_EXACT: dict[str, Callable[..., Fraction | Gauss]] = {
    "num": lambda node, at: node.value,
    "decimal": lambda node, at: node.value,
    "sym": _exact_symbol,
    "const": _exact_constant,
    "add": _exact_sum,
    "mul": _exact_product,
    "div": _exact_quotient,
    "neg": lambda node, at: -exact(node.parts[0], at),
    "pow": _exact_power,
    "root": _exact_root,
    "fact": _exact_factorial,
    "binom": _exact_binomial,
    "func": _exact_function,
    "app": lambda node, at: _checked(application_value(node, at, exact)),
    "deg": _exact_degree,
    "big": lambda node, at: big_value(node, at, exact),
    "pct": lambda node, at: exact(node.parts[0], at) * at.percent,
}
