"""What number do digits stand for: decimals, recurring ones, mixed numbers?"""

from __future__ import annotations

from fractions import Fraction

from util.grading.maths.cursor import Cursor
from util.grading.maths.tree import MAX_DIGITS, Node, Unreadable


class Numerals(Cursor):
    """Reads numerals; what inherits from it defines `argument`."""

    digits = ""  # of the numeral read last, as written

    def based(self, numeral: Node) -> Node:
        """A numeral in another base, as 52_8 or 1011_{2}."""
        digits = self.digits
        base = self.argument()
        if base.kind == "text":
            return numeral
        if base.kind != "num" or not 2 <= base.value <= 36 or numeral.kind != "num":
            raise Unreadable("unknown base")
        if base.value == 10:
            return numeral
        # In which base a number is written is part of the answer: 52_8 is not 42.
        return Node("sym", (), f"{digits.lstrip('0') or '0'} in base {base.value}")

    def numeral(self, token: str) -> Node:
        self.digits = token
        if token.endswith("..."):
            return _unending(token[:-3])
        if self.peek() in (r"\overline", r"\bar", r"\dot", r"\overbar") and "." in token:
            return self.recurring(token)
        if self.peek() in (r"\ldots", r"\dots", r"\cdots", "...") and "." in token and len(token) > 4:
            self.take()
            return _unending(token)
        if (
            self.peek() == "("
            and "." in token
            and self.tokens[self.at + 2 : self.at + 3] == [")"]
            and self.tokens[self.at + 1].isdecimal()
            and self.tokens[self.at + 3 : self.at + 4] != ["^"]
        ):
            self.take()
            repeated = self.take()
            self.take()
            return _repeat(token, repeated)
        value = number(token)
        if "." in token or "e" in token.lower():
            mantissa, _, exponent = token.lower().partition("e")
            places = max(0, len(mantissa.partition(".")[2]) - int(exponent or 0))
            return Node("decimal", (places,), value)
        if self.peek() == r"\frac" and value:
            return self.mixed(value)
        return Node("num", (), value)

    def mixed(self, whole: Fraction) -> Node:
        at = self.at
        self.take()
        top, bottom = self.argument(), self.argument()
        if top.kind == bottom.kind == "num" and 0 < top.value and 0 < bottom.value:
            return Node("num", (), whole + top.value / bottom.value)
        self.at = at
        return Node("num", (), whole)

    def recurring(self, token: str) -> Node:
        """0.8\\overline{4}, 0.\\dot{1}\\dot{2}, 0.1\\dot{2}3\\dot{4}."""
        written, start = token.rstrip("."), None
        digits = token.partition(".")[2]
        while (
            self.peek() in (r"\overline", r"\bar", r"\dot", r"\overbar")
            or start is not None
            and self.peek().isdecimal()
        ):
            if self.peek().isdecimal():
                digits += self.take()
                continue
            dotted = self.take() == r"\dot"
            group = self.argument_digits()
            if start is None:
                start = len(digits)
            digits += group
            if not dotted:
                break
        return _repeat(written.partition(".")[0] + "." + digits[:start], digits[start:])

    def argument_digits(self) -> str:
        token = self.take()
        if token == "{":
            token = self.take()
            self.expect("}")
        if not token.isdecimal():
            raise Unreadable("not a recurring decimal")
        return token


def number(text: str) -> Fraction:
    """The value of a numeral."""
    if len(text) > MAX_DIGITS:
        raise Unreadable("too many digits")
    if text.isdecimal():
        return Fraction(int(text))
    text = text.replace(",", "")
    mantissa, _, exponent = text.lower().partition("e")
    if exponent and abs(int(exponent[:9])) > MAX_DIGITS:
        raise Unreadable("exponent too large")
    return Fraction(text if text[-1] != "." else text[:-1])


def _repeat(written: str, repeated: str) -> Node:
    whole, _, digits = written.partition(".")
    if len(digits) + len(repeated) > 200:
        raise Unreadable("too many digits")
    scale = 10 ** len(digits)
    value = Fraction(int((whole or "0") + digits), scale) + Fraction(
        int(repeated), scale * (10 ** len(repeated) - 1)
    )
    return Node("num", (), value)


def _unending(written: str) -> Node:
    """0.333... : a decimal whose last digits repeat at least three times."""
    digits = written.partition(".")[2]
    for length in range(1, len(digits) // 3 + 1):
        period = digits[-length:]
        if digits.endswith(period * 3) and (length > 1 or len(digits) >= 3):
            return _repeat(written, period)
    raise Unreadable("no period to be seen")
