"""Which set of real numbers does an interval, an inequality or a set-builder describe?

Call `region`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

from util.grading.maths.approximate import approximate
from util.grading.maths.digits import same_value
from util.grading.maths.exact import Inexact, Point, Unknown, exact
from util.grading.maths.tree import Node, symbols

_INFINITY = Node("inf")
_MINUS_INFINITY = Node("neg", (_INFINITY,))
FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!=", "=": "="}
_TWO = Node("num", (), Fraction(2))
_HERE = Point()
_ZERO = Node("num", (), Fraction(0))


class Piece(NamedTuple):
    """One interval; a point is a closed interval of no length."""

    low: Node
    low_closed: bool
    high: Node
    high_closed: bool


_DOMAINS = {
    "R": Piece(_MINUS_INFINITY, False, _INFINITY, False),
    "R+": Piece(_ZERO, False, _INFINITY, False),
    "R-": Piece(_MINUS_INFINITY, False, _ZERO, False),
}


class Region(NamedTuple):
    """A union of intervals, in order where the ends are numbers; `variable` where one was named."""

    pieces: tuple[Piece, ...]
    variable: str | None = None


def region(node: Node) -> Region | None:
    """The set of reals that a tree describes; None if it describes none that is understood."""
    if node.kind == "rel" and set(node.value) == {"="}:
        return None  # an equation; among inequalities x = 1 is a point
    return _region(node)


def _region(node: Node) -> Region | None:
    function = _KINDS.get(node.kind)
    found = function(node) if function else None
    return _ordered(found) if found else None


def _pair(node: Node) -> Region | None:
    low, high = node.parts
    if not _is_end(low) or not _is_end(high):
        return None
    return Region((Piece(low, node.value[0] == "[", high, node.value[1] == "]"),))


def _is_end(node: Node) -> bool:
    return node.kind not in _NO_ENDS


def _set(node: Node) -> Region | None:
    if not all(_is_end(part) for part in node.parts):
        return None
    return Region(tuple(Piece(part, True, part, True) for part in node.parts))


def _union(node: Node) -> Region | None:
    return _joined([region(part) for part in node.parts])


def _intersection(node: Node) -> Region | None:
    return _common([region(part) for part in node.parts])


def _joined(parts: list[Region | None]) -> Region | None:
    """All that is in one of the regions; None where one is unknown or the variables differ."""
    known = [part for part in parts if part is not None]
    names = {part.variable for part in known} - {None}
    if len(known) < len(parts) or len(names) > 1:
        return None
    return Region(tuple(piece for part in known for piece in part.pieces), names.pop() if names else None)


def _common(parts: Iterable[Region | None]) -> Region | None:
    """What is in all of the regions; None where one is unknown or `intersect` cannot tell."""
    found: Region | None = None
    for position, part in enumerate(parts):
        found = intersect(found, part) if position else part
        if found is None:
            return None
    return found


def intersect(left: Region | None, right: Region | None) -> Region | None:
    """What two regions have in common; None where ends cannot be compared or the variables differ."""
    if left is None or right is None:
        return None
    if left.variable and right.variable and left.variable != right.variable:
        return None
    pieces = []
    for a in left.pieces:
        for b in right.pieces:
            low_order, high_order = _order(a.low, b.low), _order(a.high, b.high)
            if low_order is None or high_order is None:
                return None
            low, low_closed = (a.low, a.low_closed) if low_order > 0 else (b.low, b.low_closed)
            high, high_closed = (a.high, a.high_closed) if high_order < 0 else (b.high, b.high_closed)
            if low_order == 0:
                low_closed = a.low_closed and b.low_closed
            if high_order == 0:
                high_closed = a.high_closed and b.high_closed
            order = _order(low, high)
            if order is None:
                return None
            if order < 0 or order == 0 and low_closed and high_closed:
                pieces.append(Piece(low, low_closed, high, high_closed))
    return Region(tuple(pieces), left.variable or right.variable)


def _sum(node: Node) -> Region | None:
    r"""\mathbb{R} - \{1\}, with a minus sign between sets."""
    if len(node.parts) != 2 or node.parts[0].kind == "set" or node.parts[1].kind != "neg":
        return None
    left, taken = node.parts[0], node.parts[1].parts[0]
    return _difference(Node("minus", (left, taken))) if taken.kind in ("set", "pair") else None


def _difference(node: Node) -> Region | None:
    right = region(node.parts[1])
    return intersect(region(node.parts[0]), _complement(right)) if right else None


def _complement(taken: Region) -> Region | None:
    low, low_closed, pieces = _MINUS_INFINITY, False, []
    for piece in _ordered(taken).pieces:
        order = _order(low, piece.low)
        if order is None or order > 0:
            return None
        if order < 0:
            pieces.append(Piece(low, low_closed, piece.low, not piece.low_closed))
        low, low_closed = piece.high, not piece.high_closed
    if low != _INFINITY:
        pieces.append(Piece(low, low_closed, _INFINITY, False))
    return Region(tuple(pieces), taken.variable)


def _domain(node: Node) -> Region | None:
    if node.value not in _DOMAINS:
        return None
    return Region((_DOMAINS[node.value],))


def _builder(node: Node) -> Region | None:
    head, condition = node.parts
    base = region(head) if head.kind == "rel" else None
    name = head.parts[0] if head.kind == "rel" else head
    found = region(condition)
    if found is None or name.kind != "sym" or found.variable not in (None, name.value):
        return None
    found = Region(found.pieces)
    return intersect(Region(base.pieces), found) if base else found


def _relation(node: Node) -> Region | None:
    """x < 5, 2 <= x < 3, x in [1, 2], -x > -1, x != 2."""
    if len(node.value) == 1 and node.value[0] in ("in", "notin") and node.parts[0].kind == "sym":
        inside = region(node.parts[1])
        if inside is None or inside.variable:
            return None
        inside = inside if node.value[0] == "in" else _complement(inside)
        return Region(inside.pieces, node.parts[0].value) if inside else None
    if any(operator not in FLIPPED for operator in node.value):
        return None
    variable = _variable(node)
    if variable is None:
        return None
    sides = zip(node.parts, node.value, node.parts[1:], strict=False)
    return _common(_half_line(left, operator, right, variable) for left, operator, right in sides)


def _variable(node: Node) -> str | None:
    """The variable of an inequality: the only symbol, or the one that stands alone on a side."""
    names = frozenset().union(*(symbols(part) for part in node.parts))
    if len(names) == 1:
        return next(iter(names))
    alone = [part.value for part in node.parts if part.kind == "sym"]
    if len(alone) == 1 and sum(alone[0] in symbols(part) for part in node.parts) == 1:
        return alone[0]
    return None


def _half_line(left: Node, operator: str, right: Node, variable: str) -> Region | None:
    if operator[0] in "<>" and not symbols(right):
        if left.kind == "func" and left.value == "abs":
            return _within(left.parts[0], operator, right, variable)
        if left.kind == "pow" and left.parts[1] == _TWO:
            return _within(left.parts[0], operator, Node("root", (right, _TWO)), variable)
    if left == Node("sym", (), variable) and variable not in symbols(right):
        bound = right
    elif right == Node("sym", (), variable) and variable not in symbols(left):
        bound, operator = left, FLIPPED[operator]
    else:
        solved = _solve(left, right, variable)
        if solved is None:
            return None
        bound, rising = solved
        operator = operator if rising else FLIPPED[operator]
    pieces: tuple[Piece, ...]
    if operator == "!=":
        pieces = (Piece(_MINUS_INFINITY, False, bound, False), Piece(bound, False, _INFINITY, False))
    elif operator == "=":
        pieces = (Piece(bound, True, bound, True),)
    elif operator in ("<", "<="):
        pieces = (Piece(_MINUS_INFINITY, False, bound, operator == "<="),)
    else:
        pieces = (Piece(bound, operator == ">=", _INFINITY, False),)
    return Region(pieces, variable)


def _within(inside: Node, operator: str, bound: Node, variable: str) -> Region | None:
    """|x - 1| < 2 and |x - 1| >= 2."""
    low = _half_line(inside, FLIPPED[operator], Node("neg", (bound,)), variable)
    high = _half_line(inside, operator, bound, variable)
    if low is None or high is None or (_place(bound) or 0) <= 0:
        return None
    return intersect(low, high) if operator[0] == "<" else Region(low.pieces + high.pieces, variable)


def _solve(left: Node, right: Node, variable: str) -> tuple[Node, bool] | None:
    """Where left = right, and whether left - right rises, if that difference is linear with fractions."""
    if symbols(left) | symbols(right) != {variable}:
        return None
    difference = Node("add", (left, Node("neg", (right,))))
    values = []
    try:
        for x in (Fraction(0), Fraction(1), Fraction(7, 3)):
            value = exact(difference, Point({variable: x}))
            if not isinstance(value, Fraction):
                return None
            values.append(value)
    except Unknown:
        return None
    slope = values[1] - values[0]
    if not slope or values[2] != values[0] + slope * Fraction(7, 3):
        return None
    return Node("num", (), -values[0] / slope), slope > 0


def _list(node: Node) -> Region | None:
    """Inequalities joined by "or" are a union, by "and" or a comma an intersection if that is not empty."""
    parts = [_region(part) if part.kind in ("rel", "pair", "union", "list") else None for part in node.parts]
    if not any(part.kind == "list" or part.kind == "rel" and set(part.value) != {"="} for part in node.parts):
        return None
    union = _joined(parts)
    if union is None or node.value == "or":
        return union
    common = _common(parts)
    return union if common is not None and not common.pieces else common


def is_empty(node: Node) -> bool:
    """Whether a list says "and" of inequalities that exclude each other, as x < -1 and x > 1."""
    if node.kind != "list" or node.value != "and":
        return False
    common = _common([_region(part) for part in node.parts])
    return common is not None and not common.pieces


_NO_ENDS = frozenset("list set pair tuple rel matrix text domain union label rows".split())
_KINDS = {
    "pair": _pair, "set": _set, "union": _union, "inter": _intersection,
    "minus": _difference, "add": _sum, "domain": _domain,
    "builder": _builder, "rel": _relation, "list": _list,
}  # fmt: skip


def _order(a: Node, b: Node) -> int | None:
    """-1, 0 or 1 as a is before, at or behind b; None if that cannot be told."""
    if a == b:
        return 0
    x, y = _place(a), _place(b)
    if x is None or y is None:
        return None
    if x != y and (math.isinf(x) or math.isinf(y) or abs(x - y) > 1e-9 * max(abs(x), abs(y))):
        return -1 if x < y else 1
    if math.isinf(x) or same_value(a, b, _HERE):
        return 0
    return None if x == y else -1 if x < y else 1


def _place(node: Node) -> float | None:
    if node.kind == "inf":
        return float("inf")
    if node.kind == "neg" and node.parts[0].kind == "inf":
        return float("-inf")
    try:
        value = exact(node, _HERE)
        return float(value) if isinstance(value, Fraction) else None
    except Inexact:
        pass
    except (Unknown, OverflowError):
        return None
    try:
        about = complex(approximate(node, _HERE))
    except Unknown:
        return None
    return None if abs(about.imag) > 1e-12 * abs(about) else about.real


def _ordered(found: Region) -> Region:
    """Pieces in order with touching ones joined, where all ends are numbers."""
    places = [(_place(piece.low), _place(piece.high)) for piece in found.pieces]
    if len(found.pieces) < 2 or any(low is None or high is None for low, high in places):
        return found
    order = sorted(range(len(places)), key=lambda i: (places[i][0], not found.pieces[i].low_closed))
    pieces = [found.pieces[order[0]]]
    for i in order[1:]:
        last, piece = pieces[-1], found.pieces[i]
        gap = _order(last.high, piece.low)
        if gap is None or gap < 0 or gap == 0 and not (last.high_closed or piece.low_closed):
            pieces.append(piece)
            continue
        reach = _order(last.high, piece.high)
        if reach == 0:
            pieces[-1] = Piece(last.low, last.low_closed, last.high, last.high_closed or piece.high_closed)
        elif reach is not None and reach < 0:
            pieces[-1] = Piece(last.low, last.low_closed, piece.high, piece.high_closed)
    return Region(tuple(pieces), found.variable)
