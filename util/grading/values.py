"""What is the value of an answer's tree, exactly or to as many digits as it takes?

Everything is bounded before it is computed: a power, a factorial or a binomial whose result would be too long
raises `Unknown` instead.
"""

from __future__ import annotations

import cmath
import decimal
import math
import zlib
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache

from util.grading.latex import Node

MAX_BITS = 40_000  # of an exact result
MAX_FACTORIAL = 3_000


class Unknown(ArithmeticError):
    """No value: undefined, too large, or a kind of node that has none."""


class Inexact(Unknown):
    """There is a value, but it is not a (complex) fraction."""


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

    __radd__, __rmul__, __hash__ = __add__, __mul__, None

    def inverse(self) -> Gauss:
        norm = self.re * self.re + self.im * self.im
        if not norm:
            raise Unknown("division by zero")
        return Gauss(self.re / norm, -self.im / norm)

    def simplest(self) -> Gauss | Fraction:
        return self if self.im else self.re


def _gauss(value: object) -> Gauss:
    return value if isinstance(value, Gauss) else Gauss(value, Fraction(0))


class Reading(dict):
    """Where to evaluate: values of the symbols, and how to read degree and percent signs and a bare log."""

    degree: object = 1  # 1: the sign is dropped; "pi": converted
    percent = Fraction(1)
    log10 = False


def symbols(node: Node) -> frozenset[str]:
    """Names of the free symbols of a tree."""
    return names_in(traits(node))


def has(node: Node, kind: str, value: object = None) -> bool:
    """Whether a node of this kind (and value) occurs in the tree."""
    return (kind if value is None else (kind, value)) in traits(node)


def names_in(traits: set) -> frozenset[str]:
    """The symbols among a tree's traits."""
    return frozenset(trait[1] for trait in traits if trait[0] == "sym")


def traits(node: Node) -> set:
    """What occurs in a tree: kinds, and (kind, value) of everything but numbers."""
    found: set = set()
    _collect(node, found)
    return found


def _collect(node: Node, found: set) -> None:
    kind, parts, value = node
    if kind in ("num", "decimal"):
        found.add(kind)
        return
    found.add(kind)
    if value is not None:
        found.add((kind, value))
    for part in parts:
        if type(part) is tuple:
            for child in part:
                _collect(child, found)
        else:
            _collect(part, found)


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


def _gauss_power(base: Gauss, exponent: Fraction) -> Fraction | Gauss:
    base = base.simplest()
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
    result, factor, left = (
        Gauss(Fraction(1), Fraction(0)),
        base if exponent >= 0 else base.inverse(),
        abs(int(exponent)),
    )
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


def _exact_function(node: Node, at: Mapping) -> Fraction:
    function = _EXACT_FUNCTIONS.get(node.value)
    if function is None:
        raise Inexact(node.value)
    values = [exact(part, at) for part in node.parts]
    if any(type(value) is Gauss for value in values):
        if node.value == "conj":
            return Gauss(values[0].re, -values[0].im)
        raise Inexact("function of a complex number")
    return function(*values)


def _exact_application(node: Node, at: Mapping) -> Fraction:
    """An unknown function: one polynomial for each name, so that equal arguments give equal values."""
    total = coordinate(f"{node.value}()", 0)
    for position, part in enumerate(node.parts):
        value = exact(part, at)
        total = (
            total
            + value * value * coordinate(node.value, position)
            + value * coordinate(node.value, position + 9)
        )
    return _checked(total)


def _exact_degree(node: Node, at: Reading) -> Fraction:
    if at.degree == 1:
        return exact(node.parts[0], at)
    raise Inexact("degree")


def _gcd(*values: Fraction) -> Fraction:
    return Fraction(math.gcd(*(_whole(value) for value in values)))


_EXACT_FUNCTIONS = {
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
    "mod": lambda x, y: x % y if y else _undefined(),
}


def _undefined() -> Fraction:
    raise Unknown("undefined")


_EXACT = {
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
    "app": _exact_application,
    "deg": _exact_degree,
    "pct": lambda node, at: exact(node.parts[0], at) * at.percent,
}

# ---------------------------------------------------------------- complex floats


def approximate(node: Node, at: Reading) -> complex:
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


def _approximate_power(base: complex, exponent: complex, node: Node, at: Reading) -> complex:
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


def _approximate_root(node: Node, at: Reading) -> complex:
    value, degree = approximate(node.parts[0], at), approximate(node.parts[1], at)
    if isinstance(value, complex) and not value.imag:
        value = value.real
    if not degree:
        raise Unknown("zeroth root")
    if not isinstance(value, complex) and value < 0 and not isinstance(degree, complex) and degree % 2 == 1:
        return -((-value) ** (1 / degree))
    return cmath.sqrt(value) if degree == 2 else value ** (1 / degree)


def _approximate_function(node: Node, at: Reading) -> complex:
    name = node.value
    if name in _TRIGONOMETRIC and at.degree != "pi":
        at = _with_degrees(at)
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


def _with_degrees(at: Reading) -> Reading:
    other = Reading(at)
    other.degree, other.percent, other.log10 = "pi", at.percent, at.log10
    return other


def _approximate_sum(node: Node, at: Reading) -> complex:
    return sum(approximate(part, at) for part in node.parts)


def _approximate_application(node: Node, at: Reading) -> complex:
    total = float(coordinate(f"{node.value}()", 0))
    for position, part in enumerate(node.parts):
        value = approximate(part, at)
        total += value * value * float(coordinate(node.value, position)) + value * float(
            coordinate(node.value, position + 9)
        )
    return total


def _approximate_symbol(node: Node, at: Reading) -> float:
    if node.value not in at:
        raise Unknown(f"no value for {node.value}")
    return float(at[node.value])


def _near_floor(x: float) -> float:
    return round(x) if abs(x - round(x)) < 1e-9 else math.floor(x)


_TRIGONOMETRIC = frozenset("sin cos tan cot sec csc".split())
_COMPLEX_FUNCTIONS = {
    "sin": cmath.sin, "cos": cmath.cos, "tan": cmath.tan, "cot": lambda x: 1 / cmath.tan(x),
    "sec": lambda x: 1 / cmath.cos(x), "csc": lambda x: 1 / cmath.sin(x),
    "arcsin": cmath.asin, "arccos": cmath.acos,
    "arctan": cmath.atan, "arccot": lambda x: math.pi / 2 - cmath.atan(x),
    "arcsec": lambda x: cmath.acos(1 / x),
    "arccsc": lambda x: cmath.asin(1 / x), "sinh": cmath.sinh, "cosh": cmath.cosh, "tanh": cmath.tanh,
    "coth": lambda x: 1 / cmath.tanh(x), "ln": cmath.log, "exp": cmath.exp, "Re": lambda x: complex(x).real,
    "Im": lambda x: complex(x).imag, "arg": lambda x: cmath.phase(x),
    "conj": lambda x: complex(x).conjugate(),
    "arsinh": cmath.asinh, "arcosh": cmath.acosh,
}  # fmt: skip
_REAL_FUNCTIONS = {
    "abs": abs,
    "floor": _near_floor,
    "ceil": lambda x: -_near_floor(-x),
    "min": lambda *x: min(x),
    "max": lambda *x: max(x),
    "sgn": lambda x: (x > 0) - (x < 0),
    "cbrt": lambda x: math.copysign(abs(x) ** (1 / 3), x),
    "mod": lambda x, y: x % y,
}
_APPROXIMATE = {
    "sym": _approximate_symbol,
    "const": lambda node, at: 1j if node.value == "i" else math.pi if node.value == "pi" else math.e,
    "add": _approximate_sum,
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
    "app": _approximate_application,
    "deg": lambda node, at: approximate(node.parts[0], at) * (1 if at.degree == 1 else math.pi / 180),
    "pct": lambda node, at: approximate(node.parts[0], at) * float(at.percent),
}


def _real(value: complex) -> float:
    if value.imag:
        raise Unknown("complex")
    return value.real


def _gamma_binomial(upper: float, lower: float) -> float:
    return math.gamma(upper + 1) / math.gamma(lower + 1) / math.gamma(upper - lower + 1)


# ---------------------------------------------------------------- many digits


def precise(node: Node, at: Reading, digits: int) -> decimal.Decimal:
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


def _precise(node: Node, at: Reading) -> decimal.Decimal:
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


def _to_decimal(value: Fraction) -> decimal.Decimal:
    if value.numerator.bit_length() > MAX_BITS or value.denominator.bit_length() > MAX_BITS:
        raise Unknown("too large")
    return decimal.Decimal(value.numerator) / decimal.Decimal(value.denominator)


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


def _precise_power(node: Node, at: Reading) -> decimal.Decimal:
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


def _precise_root(node: Node, at: Reading) -> decimal.Decimal:
    value, degree = _precise(node.parts[0], at), exact(node.parts[1], at)
    if type(degree) is not Fraction or degree.denominator != 1 or not 1 <= degree <= 1000:
        raise Unknown("unusual root")
    if value < 0:
        if degree % 2 == 0:
            raise Unknown("root of a negative number")
        return -((-value) ** (decimal.Decimal(1) / int(degree)))
    return value.sqrt() if degree == 2 else value ** (decimal.Decimal(1) / int(degree)) if value else value


def _precise_function(node: Node, at: Reading) -> decimal.Decimal:
    name = node.value
    if name in _TRIGONOMETRIC and at.degree != "pi":
        at = _with_degrees(at)
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


_PRECISE_FUNCTIONS = {
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
    "min": min,
    "max": max,
    "conj": lambda x: x,
    "floor": lambda x: x.to_integral_value(decimal.ROUND_FLOOR),
    "ceil": lambda x: x.to_integral_value(decimal.ROUND_CEILING),
    "sgn": lambda x: decimal.Decimal((x > 0) - (x < 0)),
    "cbrt": lambda x: (
        x ** (decimal.Decimal(1) / 3) if x > 0 else -((-x) ** (decimal.Decimal(1) / 3)) if x else x
    ),
}


def _precise_factorial(node: Node, at: Reading) -> decimal.Decimal:
    return _to_decimal(_exact_factorial(node, at))


_PRECISE = {
    "add": lambda node, at: sum((_precise(part, at) for part in node.parts), decimal.Decimal(0)),
    "mul": lambda node, at: math.prod((_precise(part, at) for part in node.parts), start=decimal.Decimal(1)),
    "div": lambda node, at: _precise(node.parts[0], at) / _precise(node.parts[1], at),
    "neg": lambda node, at: -_precise(node.parts[0], at),
    "pow": _precise_power,
    "root": _precise_root,
    "fact": _precise_factorial,
    "binom": lambda node, at: _to_decimal(_exact_binomial(node, at)),
    "func": _precise_function,
    "app": lambda node, at: _to_decimal(_exact_application(node, at)),
    "deg": lambda node, at: (
        _precise(node.parts[0], at) * (1 if at.degree == 1 else _pi(decimal.getcontext().prec) / 180)
    ),
    "pct": lambda node, at: _precise(node.parts[0], at) * _to_decimal(at.percent),
}

# ---------------------------------------------------------------- equal or not


def same_value(
    left: Node, right: Node, left_at: Reading, right_at: Reading, *, thorough: bool = True
) -> bool | None:
    """Whether two trees have one value at a point; None where that cannot be found out.

    Where the values agree to a float's digits, `thorough` asks for many more.
    """
    try:
        return exact(left, left_at) == exact(right, right_at)
    except Inexact:
        pass
    except Unknown as unknown:
        if str(unknown) == "division by zero":
            return None
    try:
        a, b = approximate(left, left_at), approximate(right, right_at)
    except Unknown:
        return _same_precisely(left, right, left_at, right_at, surely=None)
    size = max(abs(a), abs(b))
    difference = abs(a - b)
    if size > 1e-9 and difference > 1e-6 * size:
        return False
    close = difference <= 1e-9 * size or size < 1e-12
    if close and not thorough or abs(complex(a).imag) > 1e-12 * size or abs(complex(b).imag) > 1e-12 * size:
        return close
    return _same_precisely(left, right, left_at, right_at, surely=close)


def _same_precisely(
    left: Node, right: Node, left_at: Reading, right_at: Reading, *, surely: bool | None
) -> bool | None:
    """Decide with 60 digits and, where these agree, with 150; `surely` is the answer if that fails."""
    try:
        a, b = precise(left, left_at, 60), precise(right, right_at, 60)
        with decimal.localcontext(_WIDE):
            size = max(abs(a), abs(b))
            if size > _SMALL and abs(a - b) > size * _APART:
                return False
        c, d = precise(left, left_at, 150), precise(right, right_at, 150)
        with decimal.localcontext(_WIDE):
            if size <= _SMALL:  # what looks like zero is zero if it shrinks with every further digit
                c, d = (0 if abs(long) <= abs(short) * _APART else long for short, long in ((a, c), (b, d)))
            return abs(c - d) <= max(abs(c), abs(d)) * _TOGETHER
    except Unknown:
        return surely


_WIDE = decimal.Context(prec=160, Emax=10**9, Emin=-(10**9))
_SMALL, _APART, _TOGETHER = decimal.Decimal("1e-25"), decimal.Decimal("1e-40"), decimal.Decimal("1e-110")
