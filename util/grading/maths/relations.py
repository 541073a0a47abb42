"""Do two equations, inequalities or sets of reals say the same?"""

from __future__ import annotations

from fractions import Fraction

from util.grading.maths.approximate import approximate
from util.grading.maths.exact import Point
from util.grading.maths.exact import Unknown, coordinate, exact
from util.grading.maths.regions import Region, region
from util.grading.maths.scalars import PARAMETERS, Scalars, every
from util.grading.maths.shapes import SCALARS, Named, named_value, renamed, said_of_combination
from util.grading.maths.tree import Node, symbols

FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
ARROWS = frozenset(("->", "=>", "sub", "prop", "in", "notin", ":"))


class Relations(Scalars):
    """Compares relations and regions; what inherits from it defines `same`."""

    def same_relation(self, gold: Node, prediction: Node) -> bool | None:
        verdict = self.same_region(gold, prediction)
        if verdict is not None:
            return verdict
        if not _is_roughly_true(prediction):
            return False
        left, right = named_value(gold), named_value(prediction)
        if gold.kind == prediction.kind == "rel":
            return self.same_relations(gold, prediction, left, right)
        if gold.kind == "rel":
            said = left.value if left else self.said_by_equality(gold)
            return self.same(said, prediction) if said else False
        said = right.value if right else self.said_by_equality(prediction) or said_of_combination(prediction)
        return self.same(gold, said) if said else False

    def said_by_equality(self, node: Node) -> Node | None:
        """2 + 2 = 4 is true by itself and says its last side."""
        if not set(node.value) <= {"=", "~"} or any(
            part.kind not in SCALARS or symbols(part) for part in node.parts
        ):
            return None
        return (
            node.parts[-1] if all(self.same_scalar(node.parts[0], side) for side in node.parts[1:]) else None
        )

    def same_relations(
        self, gold: Node, prediction: Node, left: Named | None, right: Named | None
    ) -> bool | None:
        if left and right:
            verdict = self.same_named_values(left, right)
            if verdict is not None:
                return verdict
        if len(gold.parts) == len(prediction.parts) == 2:
            return self.same_equation(gold, prediction)
        if gold.value == prediction.value:
            return every(self.same(a, b) for a, b in zip(gold.parts, prediction.parts, strict=True))
        if gold.value == tuple(FLIPPED.get(operator) for operator in reversed(prediction.value)):
            return every(self.same(a, b) for a, b in zip(gold.parts, reversed(prediction.parts), strict=True))
        return False

    def same_named_values(self, left: Named, right: Named) -> bool | None:
        a, b = left.name, right.name
        if a == b:
            return self.same(left.value, right.value)
        if (
            a.kind == b.kind == "app" and a.value == b.value and len(a.parts) == len(b.parts)
        ):  # f(n) = 2n, f(m) = 2m
            renaming = {
                q.value: p for p, q in zip(a.parts, b.parts, strict=True) if p.kind == q.kind == "sym"
            }
            taken = {str(p.value) for q, p in renaming.items() if p.value != q} & symbols(right.value)
            if len(renaming) == len(a.parts) and not taken:
                return self.same(left.value, renamed(right.value, renaming))
            return False
        if {a.kind, b.kind} == {"app", "sym"}:  # y = 2x and f(x) = 2x
            return self.same(left.value, right.value) if symbols(left.value) else None
        if a.kind == b.kind == "sym" and (index := _other_index(a, b)):  # a_n = 2n, a_k = 2k
            return self.same(left.value, renamed(right.value, index))
        if a.kind == b.kind == "sym" and str(a.value).split("_")[0] == str(b.value).split("_")[0]:
            return self.same(left.value, right.value) if "_" not in a.value or "_" not in b.value else None
        return None

    def same_equation(self, gold: Node, prediction: Node) -> bool | None:
        """Equations are equal up to a constant factor, inequalities up to a positive one."""
        operator, other = gold.value[0], prediction.value[0]
        if operator in ARROWS or other in ARROWS:
            return None
        sign = 1
        if operator != other:
            if FLIPPED.get(operator) != other:
                return False
            sign = -1
        left = Node("add", (gold.parts[0], Node("neg", (gold.parts[1],))))
        right = Node("add", (prediction.parts[0], Node("neg", (prediction.parts[1],))))
        names = symbols(left) | symbols(right)
        if symbols(left) != symbols(right) or not names:
            return False if names else None
        ratios = []
        for index in (0, 1, 3, 4):
            at = Point((name, coordinate(name, index)) for name in names)
            try:
                a, b = _value(left, at), _value(right, at)
            except Unknown:
                continue
            if not a or not b:
                return None if not a and not b else False
            ratios.append(a / b)
        if len(ratios) < 2:
            return None
        first = ratios[0]
        if operator in ("=", "!=", "~", "=="):
            sign = 0
        if sign and (complex(first).real > 0) != (sign > 0):
            return False
        return all(
            ratio == first or abs(complex(ratio) - complex(first)) <= 1e-9 * abs(complex(first))
            for ratio in ratios[1:]
        )

    def same_region(self, gold: Node, prediction: Node) -> bool | None:
        left = region(gold)
        right = region(prediction) if left else None
        if left is None or right is None:
            return None
        if left.variable and right.variable and left.variable != right.variable:
            return False
        return self.same_pieces(left, right)

    def same_pieces(self, left: Region, right: Region) -> bool | None:
        if len(left.pieces) != len(right.pieces):
            return False
        if len(left.pieces) > 30:
            return left.pieces == right.pieces
        unused = list(right.pieces)
        for piece in left.pieces:
            for i, other in enumerate(unused):
                if (piece.low_closed, piece.high_closed) != (other.low_closed, other.high_closed):
                    continue
                if self.same(piece.low, other.low) and self.same(piece.high, other.high):
                    del unused[i]
                    break
            else:
                return False
        return True


def _is_roughly_true(node: Node) -> bool:
    """Whether numbers on both sides of a final sign for "about" are near each other; true for other trees."""
    if node.kind != "rel" or node.value[-1] != "~" or symbols(node):
        return True
    try:
        a, b = (_value(part, Point()) for part in node.parts[-2:])
    except Unknown:
        return True
    return abs(complex(a) - complex(b)) <= 0.05 * abs(complex(a))


def _other_index(gold: Node, prediction: Node) -> dict[str, Node]:
    """How to rename where one sequence is given under two indices of one letter."""
    name, _, index = str(gold.value).partition("_")
    other, _, theirs = str(prediction.value).partition("_")
    if name != other or index == theirs or not {index, theirs} <= PARAMETERS:
        return {}
    return {theirs: Node("sym", (), index)}


def _value(node: Node, at: Point) -> Fraction | complex:
    try:
        return _as_number(exact(node, at))
    except Unknown:
        return approximate(node, at)


def _as_number(value: object) -> Fraction | complex:
    return value if isinstance(value, Fraction) else complex(float(value.re), float(value.im))
