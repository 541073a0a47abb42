"""Do two trees have one value, and what is the value of a real tree to many digits?

Call `same_value`: it takes fractions first, then floats, then as many digits as are needed (`precise`).
"""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache

from util.grading.maths.approximate import TRIGONOMETRIC, approximate, with_degrees
from util.grading.maths.exact import MAX_BITS, Gauss, Inexact, Point, Unknown, check_arity, exact
from util.grading.maths.tree import Node


def precise(node: Node, at: Point, digits: int) -> decimal.Decimal:
    """The value of a real tree to `digits` significant digits or nearly so; raises Unknown."""
    context = decimal.Context(prec=digits, Emax=10**7, Emin=-(10**7))
    try:
        with decimal.localcontext(context):
            value = _precise(node, at)
    except (decimal.DecimalException, OverflowError, ValueError) as error:
        raise Unknown(type(error).__name__) from None
    if not value.is_finite():
        raise Unknown("not a number")
    return value


def _precise(node: Node, at: Point) -> decimal.Decimal:
    kind = node.kind
    if kind in ("num", "decimal"):
        return _to_decimal(node.value)
    if kind == "sym" and node.value in at:
        return _to_decimal(at[node.value])
    if kind == "const" and node.value != "i":
        return _pi(decimal.getcontext().prec) if node.value == "pi" else decimal.Decimal(1).exp()
    function = _PRECISE.get(kind)
    if function is None:
        raise Unknown(kind)
    return function(node, at)


def _to_decimal(value: Fraction | Gauss) -> decimal.Decimal:
    if type(value) is Gauss:
        raise Unknown("complex")
    if value.numerator.bit_length() > MAX_BITS or value.denominator.bit_length() > MAX_BITS:
        raise Unknown("too large")
    return _of_integer(value.numerator) / _of_integer(value.denominator)


def _of_integer(value: int) -> decimal.Decimal:
    """An integer to the digits of the context and twenty more: to write out all of a long one is slow."""
    surplus = value.bit_length() - 4 * decimal.getcontext().prec - 64
    if surplus <= 0:
        return decimal.Decimal(value)
    return decimal.Decimal(value >> surplus) * decimal.Decimal(2) ** surplus


@lru_cache(maxsize=8)
def _pi(digits: int) -> decimal.Decimal:
    """Machin's formula in integers."""
    unit = 10 ** (digits + 10)

    def arctan_of_inverse(x: int) -> int:
        total = term = unit // x
        n, sign = 3, -1
        while term:
            term //= x * x
            total += sign * (term // n)
            n, sign = n + 2, -sign
        return total

    value = 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))
    return decimal.Decimal(value).scaleb(-(digits + 10), decimal.Context(prec=digits + 10))


def _precise_power(node: Node, at: Point) -> decimal.Decimal:
    base = _precise(node.parts[0], at)
    try:
        rational = exact(node.parts[1], at)
    except Unknown:
        rational = None
    if type(rational) is Fraction:
        if not base and rational <= 0:
            raise Unknown("zero to the power of zero or less")
        if rational.denominator == 1:
            if abs(rational) > 10**6:
                raise Unknown("too large")
            return base ** int(rational)
        if base < 0 and rational.denominator % 2:
            return (-base) ** _to_decimal(rational) * (-1) ** (rational.numerator % 2)
        return base ** _to_decimal(rational)
    if base <= 0:
        raise Unknown("power of a negative number")
    return base ** _precise(node.parts[1], at)


def _precise_root(node: Node, at: Point) -> decimal.Decimal:
    value, degree = _precise(node.parts[0], at), exact(node.parts[1], at)
    if type(degree) is not Fraction or degree.denominator != 1 or not 1 <= degree <= 1000:
        raise Unknown("unusual root")
    if value < 0:
        if degree % 2 == 0:
            raise Unknown("root of a negative number")
        return -((-value) ** (decimal.Decimal(1) / int(degree)))
    return value.sqrt() if degree == 2 else value ** (decimal.Decimal(1) / int(degree)) if value else value


def _precise_function(node: Node, at: Point) -> decimal.Decimal:
    name = node.value
    if name in TRIGONOMETRIC and not at.turned:
        at = with_degrees(at)
    values = [_precise(part, at) for part in node.parts]
    first = values[0]
    if name in ("ln", "log", "lg", "logb"):
        if first <= 0:
            raise Unknown("logarithm of a negative number")
        if name == "ln" or name == "log" and not at.log10:
            return first.ln()
        return first.ln() / values[1].ln() if name == "logb" else first.log10()
    function = _PRECISE_FUNCTIONS.get(name)
    if function is None:
        raise Unknown(name)
    check_arity(node)
    return function(*values)


def _sine(x: decimal.Decimal) -> decimal.Decimal:
    digits = decimal.getcontext().prec
    if abs(x) > decimal.Decimal(10) ** 12:
        raise Unknown("too large an angle")
    with decimal.localcontext() as context:
        context.prec = digits + 20
        x = x % (2 * _pi(digits + 20))
        total, term, n = decimal.Decimal(0), x, 1
        while term and term.adjusted() > -(digits + 15):
            total += term
            term *= -x * x / ((n + 1) * (n + 2))
            n += 2
    return +total


def _cosine(x: decimal.Decimal) -> decimal.Decimal:
    return _sine(x + _pi(decimal.getcontext().prec) / 2)


def _arctangent(x: decimal.Decimal) -> decimal.Decimal:
    digits = decimal.getcontext().prec
    with decimal.localcontext() as context:
        context.prec = digits + 20
        for _ in range(4):
            x = x / (1 + (1 + x * x).sqrt())
        total, power, n = decimal.Decimal(0), x, 1
        while power and power.adjusted() > -(digits + 15):
            total += power / n
            power *= -x * x
            n += 2
        total *= 16
    return +total


def _arcsine(x: decimal.Decimal) -> decimal.Decimal:
    if abs(x) == 1:
        return x * _pi(decimal.getcontext().prec) / 2
    return _arctangent(x / (1 - x * x).sqrt())


def _half_pi() -> decimal.Decimal:
    return _pi(decimal.getcontext().prec) / 2


_PRECISE_FUNCTIONS: dict[str, Callable[..., decimal.Decimal]] = {
    "sin": _sine,
    "cos": _cosine,
    "tan": lambda x: _sine(x) / _cosine(x),
    "cot": lambda x: _cosine(x) / _sine(x),
    "sec": lambda x: 1 / _cosine(x),
    "csc": lambda x: 1 / _sine(x),
    "arctan": _arctangent,
    "arcsin": _arcsine,
    "arccos": lambda x: _half_pi() - _arcsine(x),
    "arccot": lambda x: _half_pi() - _arctangent(x),
    "exp": lambda x: x.exp(),
    "sinh": lambda x: (x.exp() - (-x).exp()) / 2,
    "cosh": lambda x: (x.exp() + (-x).exp()) / 2,
    "tanh": lambda x: 1 - 2 / ((2 * x).exp() + 1),
    "abs": abs,
    "min": lambda *x: min(x),
    "max": lambda *x: max(x),
    "conj": lambda x: x,
    "floor": lambda x: x.to_integral_value(decimal.ROUND_FLOOR),
    "ceil": lambda x: x.to_integral_value(decimal.ROUND_CEILING),
    "sgn": lambda x: decimal.Decimal((x > 0) - (x < 0)),
    "cbrt": lambda x: (
        x ** (decimal.Decimal(1) / 3) if x > 0 else -((-x) ** (decimal.Decimal(1) / 3)) if x else x
    ),
}


_PRECISE: dict[str, Callable[..., decimal.Decimal]] = {
    "add": lambda node, at: sum((_precise(part, at) for part in node.parts), decimal.Decimal(0)),
    "mul": lambda node, at: math.prod((_precise(part, at) for part in node.parts), start=decimal.Decimal(1)),
    "div": lambda node, at: _precise(node.parts[0], at) / _precise(node.parts[1], at),
    "neg": lambda node, at: -_precise(node.parts[0], at),
    "pow": _precise_power,
    "root": _precise_root,
    "fact": lambda node, at: _to_decimal(exact(node, at)),
    "binom": lambda node, at: _to_decimal(exact(node, at)),
    "func": _precise_function,
    "app": lambda node, at: _to_decimal(exact(node, at)),
    "deg": lambda node, at: (
        _precise(node.parts[0], at) * (_pi(decimal.getcontext().prec) / 180 if at.turned else 1)
    ),
    "pct": lambda node, at: _precise(node.parts[0], at) * _to_decimal(at.percent),
}

# ---------------------------------------------------------------- equal or not


def same_value_far_away(left: Node, right: Node, at: Point) -> bool | None:
    """`same_value` where a symbol is so large that floats say nothing, as of a sine."""
    try:
        return exact(left, at) == exact(right, at)
    except Inexact:
        return _same_precisely(left, right, at, surely=None)
    except Unknown:
        return None


def same_value(left: Node, right: Node, at: Point, *, thorough: bool = True) -> bool | None:
    """Whether two trees have one value at a point; None where that cannot be found out.

    Where the values agree to a float's digits, `thorough` asks for many more.
    """
    try:
        return exact(left, at) == exact(right, at)
    except Inexact:
        pass
    except Unknown as unknown:
        if str(unknown) == "division by zero":
            return None
    try:
        a, b = approximate(left, at), approximate(right, at)
    except Unknown:
        return _same_precisely(left, right, at, surely=None)
    size = max(abs(a), abs(b))
    difference = abs(a - b)
    if size > 1e-9 and difference > 1e-6 * size:
        return False
    close = difference <= 1e-9 * size or size < 1e-12
    if close and not thorough or abs(complex(a).imag) > 1e-12 * size or abs(complex(b).imag) > 1e-12 * size:
        return close
    return _same_precisely(left, right, at, surely=close)


def _same_precisely(left: Node, right: Node, at: Point, *, surely: bool | None) -> bool | None:
    """Decide with 60 digits and, where these agree, with 150; `surely` is the answer if that fails."""
    try:
        a, b = precise(left, at, 60), precise(right, at, 60)
        with decimal.localcontext(_WIDE):
            size = max(abs(a), abs(b))
            if size > _SMALL and abs(a - b) > size * _APART:
                return False
        c, d = precise(left, at, 150), precise(right, at, 150)
        with decimal.localcontext(_WIDE):
            if size <= _SMALL:  # what looks like zero is zero if it shrinks with every further digit
                c, d = (
                    _NOTHING if abs(long) <= abs(short) * _APART else long for short, long in ((a, c), (b, d))
                )
            return abs(c - d) <= max(abs(c), abs(d)) * _TOGETHER
    except Unknown:
        return surely


_WIDE = decimal.Context(prec=160, Emax=10**9, Emin=-(10**9))
_NOTHING = decimal.Decimal(0)
_SMALL, _APART, _TOGETHER = decimal.Decimal("1e-25"), decimal.Decimal("1e-40"), decimal.Decimal("1e-110")
