"""Are the trees of two answers the same answer?

Call `Judge(said).same`. It knows the kinds of answers (lists, tuples, matrices, relations, regions) and asks
`scalars` whether two expressions have one value.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from fractions import Fraction

from util.grading.maths import words
from util.grading.maths.ordered import keeps_order
from util.grading.maths.regions import FLIPPED, is_empty, region
from util.grading.maths.scalars import (
    PARAMETERS,
    Said,
    agree,
    every,
    is_family_of,
    is_roughly_true,
    same_equation,
    same_if_complex,
    same_values,
    without_rounded,
)
from util.grading.maths.shapes import (
    MAX_ELEMENTS,
    SCALARS,
    Named,
    elements,
    is_inequality,
    is_solved,
    is_time,
    label,
    matrix,
    named_value,
    ordered_elements,
    plain_values,
    ratio_parts,
    said_of_combination,
    signed,
    transposed,
    unlabelled,
)
from util.grading.maths.tree import Node, Undecided, has, names_in, replaced, symbols, traits

MAX_PAIRS = 2500  # of elements compared one by one
_ZERO = Node("num", (), Fraction(0))
_ONE_WAY = frozenset(
    (operator,) for operator in ("in", "notin", "sub", "=>", "->")
)  # not the other way round
_SETS = frozenset(("pair", "set", "union", "builder", "domain"))


class Judge:
    """Compares trees of any kind, with what the answers say about all that stands in them."""

    def __init__(self, said: Said) -> None:
        self.said = said

    def same(self, gold: Node, prediction: Node) -> bool | None:
        """Whether two trees are the same answer; None where that is not known."""
        if gold == prediction:
            return True
        if "func" in (gold.kind, prediction.kind):
            gold, prediction = _as_remainder(gold, prediction), _as_remainder(prediction, gold)
        if gold.kind in SCALARS and prediction.kind in SCALARS:
            left, right = traits(gold), traits(prediction)
            if "pm" not in left and "pm" not in right:
                verdict = same_values(gold, prediction, self.said, left, right)
                if verdict and names_in(left) and not keeps_order(gold, prediction):
                    raise Undecided("capital letters may be matrices, and their order differs")
                if ("func", "abs") in left | right:
                    said = same_if_complex(gold, prediction, names_in(left | right))
                    if said is False and verdict:
                        raise Undecided("the two differ where letters are complex numbers")
                    return said or verdict
                return verdict
        if "label" in (gold.kind, prediction.kind):
            if gold.kind == prediction.kind and gold.value != prediction.value:
                return False
            return self.same(
                *(node.parts[0] if node.kind == "label" else node for node in (gold, prediction))
            )
        if "indexed" in (gold.kind, prediction.kind):  # coordinates in some basis
            if gold.kind == prediction.kind and gold.value != prediction.value:
                return False
            return self.same(
                *(node.parts[0] if node.kind == "indexed" else node for node in (gold, prediction))
            )
        if "counted" in (gold.kind, prediction.kind):
            return self.same(
                *(node.parts[0] if node.kind == "counted" else node for node in (gold, prediction))
            )
        if "transpose" in (gold.kind, prediction.kind):
            return self.same(transposed(gold), transposed(prediction))
        if "list" in (gold.kind, prediction.kind) or has(gold, "pm") or has(prediction, "pm"):
            verdict = self.same_lists(gold, prediction)
            if verdict and _are_joined_otherwise(gold, prediction):
                raise Undecided('one of the two says "and" where the other says "or"')
            if verdict and self.has_other_upper_signs(gold, prediction):
                raise Undecided("the two differ in which of two signs is the upper one")
            return verdict
        if "rel" in (gold.kind, prediction.kind):
            return self.same_relation(gold, prediction)
        verdict = self.same_container(gold, prediction)
        if verdict is not None or gold.kind == prediction.kind == "pair":
            return verdict
        verdict = self.same_region(gold, prediction)
        if verdict is None and gold.kind == prediction.kind and gold.kind in ("union", "inter"):
            return self.same_elements(gold.parts, prediction.parts, unique=True) or None
        return verdict

    # -- lists, sets, tuples, matrices

    def same_lists(self, gold: Node, prediction: Node) -> bool | None:
        """At least one side is a bare list or holds a plus-minus sign."""
        for node in (gold, prediction):
            other = prediction if node is gold else gold
            if node.kind == "list" and (
                other.kind in ("pair", "union", "builder") or is_inequality(other) or is_inequality(node)
            ):
                verdict = self.same_region(gold, prediction)
                if verdict and is_empty(prediction) and not is_empty(gold):
                    raise Undecided('what is joined by "and" excludes each other')
                if verdict is not None:
                    return verdict
        left, right = elements(gold), elements(prediction)
        if left is None or right is None:
            return self.same_ordered(gold, prediction)
        if _are_equations(right):
            left = signed(gold) if gold.kind == "rel" else left
        elif _are_equations(left):
            right = signed(prediction) if prediction.kind == "rel" else right
        if len(left) == len(right):
            verdict = self.same_named(left, right)
            if verdict is None and gold.kind == prediction.kind == "list":
                verdict = self.same_in_order_of_names(left, right)
            if verdict is not None:
                return verdict
        # Said twice is said once, unless the gold itself says it twice.
        may_repeat = "set" not in (gold.kind, prediction.kind) and gold.value != "or"
        repeated = may_repeat and len(self.distinct(left)) < len(left)
        return self.same_elements(left, right, unique=not repeated and len(left) != len(right))

    def same_named(self, left: tuple[Node, ...], right: tuple[Node, ...]) -> bool | None:
        """Both sides name each element: the names decide what is compared with what."""
        names, others = [label(node) for node in left], [label(node) for node in right]
        if None in names or None in others or len(set(names)) < len(names):
            return None
        if set(names) != set(others):
            shared = [name for name in names if name in others]
            pairs = ((left[names.index(name)], right[others.index(name)]) for name in shared)
            return None if every(self.same(*map(unlabelled, pair)) for pair in pairs) is not False else False
        others_in_order = [unlabelled(right[others.index(name)]) for name in names]
        return self.same_in_order(map(unlabelled, left), others_in_order)

    def same_in_order_of_names(self, left: tuple[Node, ...], right: tuple[Node, ...]) -> bool | None:
        """3, 4 for x = 3, y = 4: values without names are right in the order of the gold's names alone.

        None where the gold has no such names: x_1 and x_2 are two values of one thing.
        """
        names = [str(name.value) for node in left if isinstance(name := label(node), Node)]
        bases = {name.partition("_")[0] for name in names}
        if len(bases) < len(left) or len(left) < 2 or any(label(node) is not None for node in right):
            return None
        values = [unlabelled(node) for node in left]
        if (verdict := self.same_in_order(values, right)) is not False:
            return verdict
        by_name = [value for _, value in sorted(zip(names, values, strict=True), key=lambda pair: pair[0])]
        if self.same_in_order(by_name, right):
            raise Undecided("the order of the values may not be that of the names")
        return False

    def has_other_upper_signs(self, gold: Node, prediction: Node) -> bool:
        """Whether plus-minus and minus-plus change places in a formula, whose two cases they may mark."""
        if not symbols(gold) or not (has(gold, "pm") and has(prediction, "pm")):
            return False
        if not (has(gold, "pm", r"\mp") or has(prediction, "pm", r"\mp")):
            return False
        left, right = signed(gold), signed(prediction)
        return len(left) != len(right) or not self.same_in_order(left, right)

    def same_ordered(self, gold: Node, prediction: Node) -> bool | None:
        """A bare list against a tuple or a vector: the order counts."""
        if {gold.kind, prediction.kind} == {"list", "pair"} and not any(
            map(label, (*gold.parts, *prediction.parts))
        ):
            return False  # 1, 2 is neither the point nor the interval (1, 2)
        left, right = ordered_elements(gold), ordered_elements(prediction)
        if left is None or right is None or len(left) != len(right):
            return False
        return self.same_in_order(left, right)

    def same_in_order(self, left: Iterable[Node], right: Iterable[Node]) -> bool | None:
        return every(self.same(a, b) for a, b in zip(left, right, strict=True))

    def same_elements(self, left: tuple[Node, ...], right: tuple[Node, ...], *, unique: bool) -> bool | None:
        """Every element on one side has its own equal on the other, in any order."""
        if unique:
            left, right = self.distinct(left), self.distinct(right)
        if len(left) != len(right):
            return False
        if len(left) > MAX_ELEMENTS:
            return list(left) == list(right)
        values, others = plain_values(left), plain_values(right)
        if values is not None and values == others:
            return True
        if len(left) * len(right) > MAX_PAIRS:
            return False
        unknown, unused = False, list(right)
        for node in left:
            for i, candidate in enumerate(unused):
                verdict = self.same(node, candidate)
                if verdict:
                    del unused[i]
                    break
                unknown = unknown or verdict is None
            else:
                return None if unknown else False
        return True

    def distinct(self, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        if len(nodes) > 40:
            return tuple(dict.fromkeys(nodes))
        kept: list[Node] = []
        for node in nodes:
            if not any(self.same(node, other) for other in kept):
                kept.append(node)
        return tuple(kept)

    def same_container(self, gold: Node, prediction: Node) -> bool | None:
        """Sets, tuples, matrices, ratios and texts against each other; None where neither decides."""
        kinds = (gold.kind, prediction.kind)
        if kinds == ("matrix", "matrix"):
            if (gold.value == "vmatrix") != (prediction.value == "vmatrix"):
                return False  # a determinant is a number
            if [len(row) for row in gold.parts] != [len(row) for row in prediction.parts]:
                return False
            return self.same_in_order(itertools.chain(*gold.parts), itertools.chain(*prediction.parts))
        if "matrix" in kinds:
            return self.same_matrix(gold, prediction)
        if kinds == ("pair", "pair"):
            if gold.value != prediction.value:
                return False
            return self.same_in_order(gold.parts, prediction.parts)
        if "tuple" in kinds:
            if "set" in kinds and "[]" not in (gold.value, prediction.value):
                return False
            return self.same_ordered(gold, prediction)
        if kinds == ("set", "set"):
            return self.same_elements(gold.parts, prediction.parts, unique=True)
        if "ratio" in kinds:
            return self.same_ratio(gold, prediction)
        if "inf" in kinds:
            return kinds == ("inf", "inf")
        if "cases" in kinds:
            return kinds == ("cases", "cases") and self.same_cases(gold.parts, prediction.parts)
        if kinds == ("modulo", "modulo"):
            return self.same_remainder(gold.parts, prediction.parts)
        if "modulo" in kinds:  # 17 (mod 23) is said to be 17
            rest, other = (gold, prediction) if gold.kind == "modulo" else (prediction, gold)
            if symbols(other) & self.said.free:
                return is_family_of(other, rest.parts[0], rest.parts[1], symbols(other))
            return other.kind in SCALARS and self.same(rest.parts[0], other)
        if "text" in kinds:
            return kinds == ("text", "text") and words.same_text(str(gold.value), str(prediction.value))
        if kinds[0] in SCALARS and kinds[1] in _SETS:
            return kinds[1] == "set" and len(prediction.parts) == 1 and self.same(gold, prediction.parts[0])
        if kinds[1] in SCALARS and kinds[0] in _SETS:
            return kinds[0] == "set" and len(gold.parts) == 1 and self.same(gold.parts[0], prediction)
        if kinds == ("domain", "domain"):
            return gold.value == prediction.value
        return None

    def same_cases(self, gold: tuple, prediction: tuple) -> bool | None:
        """Case distinctions with the same conditions and values, in any order."""
        if len(gold) != len(prediction):
            return False
        unused = list(prediction)
        for value, condition in gold:
            for row in unused:
                if self.same(condition, row[1]):
                    unused.remove(row)
                    if not self.same(value, row[0]):
                        return False
                    break
            else:
                return None
        return True

    def same_remainder(self, gold: tuple[Node, Node], prediction: tuple[Node, Node]) -> bool | None:
        """3 (mod 7), also written 10 (mod 7)."""
        if not self.same(gold[1], prediction[1]):
            return False
        return self.same_scalar(Node("func", gold, "mod"), Node("func", prediction, "mod"))

    def same_matrix(self, gold: Node, prediction: Node) -> bool | None:
        """A matrix against a vector, nested brackets or a sum of matrices."""
        left, right = matrix(gold), matrix(prediction)
        if left and right and len(left) == len(right) and [len(r) for r in left] == [len(r) for r in right]:
            return self.same_in_order(itertools.chain(*left), itertools.chain(*right))
        return self.same_ordered(_vector(gold), _vector(prediction))

    def same_ratio(self, gold: Node, prediction: Node) -> bool | None:
        left, right = ratio_parts(gold), ratio_parts(prediction)
        if left is None or right is None:
            return False
        if is_time(gold) and is_time(prediction):
            return self.same_scalars(itertools.zip_longest(left, right, fillvalue=_ZERO))
        if len(left) != len(right):
            return False
        if _ZERO in left + right:
            return self.same_scalars(zip(left, right, strict=True))
        return self.same_scalars(
            (Node("mul", (left[0], b)), Node("mul", (a, right[0])))
            for a, b in zip(left[1:], right[1:], strict=True)
        )

    def same_scalars(self, pairs: Iterable[tuple[Node, Node]]) -> bool | None:
        """Whether the values of all pairs agree."""
        return every(self.same_scalar(a, b) for a, b in pairs)

    def same_scalar(self, gold: Node, prediction: Node) -> bool | None:
        if gold.kind in SCALARS and prediction.kind in SCALARS:
            return same_values(gold, prediction, self.said)
        return self.same(gold, prediction) if gold.kind != prediction.kind or gold.kind == "ratio" else None

    # -- relations and regions

    def same_relation(self, gold: Node, prediction: Node) -> bool | None:
        verdict = self.same_region(gold, prediction)
        if verdict is not None:
            return verdict
        if not is_roughly_true(prediction):
            return False
        if prediction.kind == "rel" and (shorter := without_rounded(prediction)) is not prediction:
            if self.same(gold, shorter):
                return True
        if prediction.kind == "rel" and len(prediction.parts) > 2:
            _check_sides(prediction)
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
        if not set(node.value) <= {"=", "~"}:
            return None
        if any(part.kind not in SCALARS or symbols(part) for part in node.parts):
            return None
        first, *rest = node.parts
        return rest[-1] if all(same_values(first, side, self.said) for side in rest) else None

    def same_relations(
        self, gold: Node, prediction: Node, left: Named | None, right: Named | None
    ) -> bool | None:
        if left and right:
            verdict = self.same_named_values(left, right)
            if verdict is not None:
                return verdict
        if left and left.name.kind == "sym" and not right and not symbols(left.value):
            return False  # 5x + 2 = 22 is the question to which x = 4 is the answer
        if gold.value == prediction.value and gold.value in _ONE_WAY:
            if self.same_in_order(gold.parts, reversed(prediction.parts)):
                return self.same_in_order(gold.parts, prediction.parts) or False
        if len(gold.parts) == len(prediction.parts) == 2:
            return same_equation(gold, prediction)
        if gold.value == prediction.value:
            return self.same_in_order(gold.parts, prediction.parts)
        if gold.value == tuple(FLIPPED.get(operator) for operator in reversed(prediction.value)):
            return self.same_in_order(gold.parts, reversed(prediction.parts))
        return False

    def same_named_values(self, left: Named, right: Named) -> bool | None:
        a, b = left.name, right.name
        if a == b:
            return self.same(left.value, right.value)
        if a.kind == b.kind == "app" and a.value == b.value and len(a.parts) == len(b.parts):
            # f(n) = 2n, f(m) = 2m
            renaming = {q: p for p, q in zip(a.parts, b.parts, strict=True) if p.kind == q.kind == "sym"}
            taken = {str(p.value) for q, p in renaming.items() if p != q} & symbols(right.value)
            if len(renaming) == len(a.parts) and not taken:
                return self.same(left.value, replaced(right.value, renaming))
            return False
        if {a.kind, b.kind} == {"app", "sym"}:  # y = 2x and f(x) = 2x
            return self.same(left.value, right.value) if symbols(left.value) else None
        if not a.kind == b.kind == "sym":
            return None
        (name, _, index), (other, _, theirs) = (_bare_name(side).partition("_") for side in (a, b))
        if name != other:
            return None
        if index != theirs and {index, theirs} <= PARAMETERS:  # a_n = 2n, a_k = 2k
            return self.same(
                left.value, replaced(right.value, {Node("sym", (), theirs): Node("sym", (), index)})
            )
        return self.same(left.value, right.value) if not index or not theirs else None

    def same_region(self, gold: Node, prediction: Node) -> bool | None:
        """Whether two sets of reals have the same pieces; None where one is no set that is understood."""
        if has(gold, "builder") or has(prediction, "builder"):
            if _kinds_of_numbers(gold) != _kinds_of_numbers(prediction):
                return False
        left = region(gold)
        right = region(prediction) if left else None
        if left is None or right is None:
            return None
        if is_solved(gold) and not is_solved(prediction):
            return False  # x^2 < 9 is the question to which -3 < x < 3 is the answer
        if left.variable and right.variable and left.variable != right.variable:
            return False
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


def _kinds_of_numbers(node: Node) -> set:
    """Out of which numbers but the real ones the elements of sets are taken."""
    if node.kind == "builder" and node.parts[0].kind == "rel" and node.parts[0].value == ("in",):
        domain = node.parts[0].parts[1]
        return {domain.value} - {"R"} if domain.kind == "domain" else set()
    return set().union(*(_kinds_of_numbers(part) for part in node.parts if isinstance(part, Node)))


def _bare_name(name: Node) -> str:
    """The y of a line of regression, which goes with a hat or without."""
    return str(name.value).replace("hat(", "").replace(")", "")


def _as_remainder(node: Node, other: Node) -> Node:
    """3 mod 5 beside another remainder: both moduli count."""
    if node.kind != "func" or node.value != "mod" or len(node.parts) != 2:
        return node
    is_remainder = other.kind == "modulo" or other.kind == "func" and other.value == "mod"
    return Node("modulo", node.parts) if is_remainder else node


def _are_joined_otherwise(gold: Node, prediction: Node) -> bool:
    """Whether claims, or values of several names, are joined by "and" here and by "or" there.

    Of one thing "2 and 3" and "2 or 3" are the same two values.
    """
    joints = {gold.value, prediction.value}
    if not gold.kind == prediction.kind == "list" or len(joints) < 2 or "or" not in joints:
        return False
    if any(part.kind in _CLAIMS or is_inequality(part) for part in gold.parts):
        return "and" in joints
    names, others = ({label(part) for part in node.parts} for node in (gold, prediction))
    return len(names) > 1 and ("and" in joints or names == others and None not in names)


_CLAIMS = frozenset(("sym", "text", "app", "list"))


def _check_sides(chain: Node) -> None:
    """Raise Undecided for x = 1 + 1 = 3 and x = 2 - x = 3: nobody knows which side is meant."""
    if not set(chain.value) <= {"=", "~"}:
        return
    if chain.parts[0].kind == "sym" and any(
        chain.parts[0].value in symbols(part) for part in chain.parts[1:]
    ):
        raise Undecided(_CONTRADICTORY)
    plain = [
        part
        for part in chain.parts
        if part.kind in SCALARS and not symbols(part) and traits(part).isdisjoint(("app", "pct"))
    ]
    for pair in itertools.pairwise(plain):
        is_rounded = any(has(part, "decimal") for part in pair)  # in a step on the way
        if not (agree(*pair, within=_NEAR) if is_rounded else agree(*pair)):
            raise Undecided(_CONTRADICTORY)


_NEAR = Fraction(1, 100)
_CONTRADICTORY = "the sides of an equation contradict each other"


def _are_equations(nodes: tuple[Node, ...]) -> bool:
    """Whether elements are equations in several symbols, as lines and curves are given by."""
    return all(node.kind == "rel" and len(symbols(node)) > 1 for node in nodes)


def _vector(node: Node) -> Node:
    """[1, 2] beside a column vector is no interval."""
    return node._replace(kind="tuple") if node.kind == "pair" and node.value == "[]" else node
