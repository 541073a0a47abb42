"""What is the value of an answer's tree, as a complex float?

Call `approximate`.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from fractions import Fraction

from util.grading.maths.exact import Point, Unknown, application_value, big_value, check_arity, exact
from util.grading.maths.tree import Node


def approximate(node: Node, at: Point) -> complex:
    """The value as a complex float; raises Unknown."""
    kind = node.kind
    if kind in ("num", "decimal"):
        return _float(node.value)
    function = _APPROXIMATE.get(kind)
    if function is None:
        raise Unknown(kind)
    try:
        value = function(node, at)
    except (OverflowError, ZeroDivisionError, ValueError) as error:
        raise Unknown(str(error)) from None
    if value != value or abs(value) == math.inf:
        raise Unknown("not a number")
    return value


def _float(value: Fraction) -> float:
    try:
        result = float(value)
    except OverflowError:
        raise Unknown("too large") from None
    if value and abs(result) < 1e-290:
        raise Unknown("too small")
    return result


def _approximate_power(base: complex, exponent: complex, node: Node, at: Point) -> complex:
    if isinstance(base, complex) and not base.imag:
        base = base.real
    if isinstance(exponent, complex) and not exponent.imag:
        exponent = exponent.real
    if not base and (isinstance(exponent, complex) or exponent <= 0):
        raise Unknown("zero to the power of zero or less")
    if not isinstance(base, complex) and base < 0 and not isinstance(exponent, complex) and exponent % 1:
        try:
            rational = exact(node, at)
        except Unknown:
            rational = None
        if type(rational) is Fraction and rational.denominator % 2 and rational.denominator < 1000:
            return (-1) ** (rational.numerator % 2) * (-base) ** exponent  # the real root
    return base**exponent


def _approximate_root(node: Node, at: Point) -> complex:
    value, degree = approximate(node.parts[0], at), approximate(node.parts[1], at)
    if isinstance(value, complex) and not value.imag:
        value = value.real
    if not degree:
        raise Unknown("zeroth root")
    if not isinstance(value, complex) and value < 0 and not isinstance(degree, complex) and degree % 2 == 1:
        return -((-value) ** (1 / degree))
    return cmath.sqrt(value) if degree == 2 else value ** (1 / degree)


def _approximate_function(node: Node, at: Point) -> complex:
    check_arity(node)
    name = node.value
    if name in TRIGONOMETRIC and not at.turned:
        at = with_degrees(at)
    values = [approximate(part, at) for part in node.parts]
    if name in _REAL_FUNCTIONS:
        if any(abs(value.imag) > 1e-9 * abs(value) for value in values):
            if name == "abs":
                return abs(values[0])
            raise Unknown("function of a complex number")
        return _REAL_FUNCTIONS[name](*(value.real for value in values))
    if name in ("log", "lg", "logb"):
        bottom = 10 if name == "lg" or name == "log" and at.log10 else math.e
        return cmath.log(values[0]) / cmath.log(values[1] if name == "logb" else bottom)
    function = _COMPLEX_FUNCTIONS.get(name)
    if function is None or len(values) != 1:
        raise Unknown(name)
    return function(values[0])


def with_degrees(at: Point) -> Point:
    """The same reading, with degree signs converted."""
    return Point(at, **{**vars(at), "turned": True})


def _approximate_symbol(node: Node, at: Point) -> complex:
    if node.value not in at:
        raise Unknown(f"no value for {node.value}")
    value = at[node.value]
    return value if isinstance(value, complex) else float(value)


def _near_floor(x: float) -> float:
    return round(x) if abs(x - round(x)) < 1e-9 else math.floor(x)


TRIGONOMETRIC = frozenset("sin cos tan cot sec csc cis".split())
_COMPLEX_FUNCTIONS: dict[str, Callable[[complex], complex]] = {
    "sin": cmath.sin, "cos": cmath.cos, "tan": cmath.tan, "cot": lambda x: 1 / cmath.tan(x),
    "sec": lambda x: 1 / cmath.cos(x), "csc": lambda x: 1 / cmath.sin(x),
    "arcsin": cmath.asin, "arccos": cmath.acos,
    "arctan": cmath.atan, "arccot": lambda x: math.pi / 2 - cmath.atan(x),
    "arcsec": lambda x: cmath.acos(1 / x),
    "arccsc": lambda x: cmath.asin(1 / x), "sinh": cmath.sinh, "cosh": cmath.cosh, "tanh": cmath.tanh,
    "coth": lambda x: 1 / cmath.tanh(x), "ln": cmath.log, "exp": cmath.exp, "Re": lambda x: complex(x).real,
    "Im": lambda x: complex(x).imag, "arg": lambda x: cmath.phase(x),
    "conj": lambda x: complex(x).conjugate(),
    "cis": lambda x: cmath.exp(1j * x), "arsinh": cmath.asinh, "arcosh": cmath.acosh,
    "artanh": cmath.atanh, "sech": lambda x: 1 / cmath.cosh(x), "csch": lambda x: 1 / cmath.sinh(x),
}  # fmt: skip
_REAL_FUNCTIONS: dict[str, Callable[..., float]] = {
    "abs": abs,
    "floor": _near_floor,
    "ceil": lambda x: -_near_floor(-x),
    "min": lambda *x: min(x),
    "max": lambda *x: max(x),
    "sgn": lambda x: (x > 0) - (x < 0),
    "cbrt": lambda x: math.copysign(abs(x) ** (1 / 3), x),
    "mod": lambda x, y: x % y,
}
_APPROXIMATE: dict[str, Callable[..., complex]] = {
    "sym": _approximate_symbol,
    "const": lambda node, at: 1j if node.value == "i" else math.pi if node.value == "pi" else math.e,
    "add": lambda node, at: sum(approximate(part, at) for part in node.parts),
    "mul": lambda node, at: math.prod(approximate(part, at) for part in node.parts),
    "div": lambda node, at: approximate(node.parts[0], at) / approximate(node.parts[1], at),
    "neg": lambda node, at: -approximate(node.parts[0], at),
    "pow": lambda node, at: _approximate_power(
        approximate(node.parts[0], at), approximate(node.parts[1], at), node.parts[1], at
    ),
    "root": _approximate_root,
    "fact": lambda node, at: math.gamma(_real(approximate(node.parts[0], at)) + 1),
    "binom": lambda node, at: _gamma_binomial(*(_real(approximate(part, at)) for part in node.parts)),
    "func": _approximate_function,
    "app": lambda node, at: application_value(node, at, approximate),
    "big": lambda node, at: big_value(node, at, approximate),
    "deg": lambda node, at: approximate(node.parts[0], at) * (math.pi / 180 if at.turned else 1),
    "pct": lambda node, at: approximate(node.parts[0], at) * float(at.percent),
}


def _real(value: complex) -> float:
    if value.imag:
        raise Unknown("complex")
    return value.real


def _gamma_binomial(upper: float, lower: float) -> float:
    return math.gamma(upper + 1) / math.gamma(lower + 1) / math.gamma(upper - lower + 1)
