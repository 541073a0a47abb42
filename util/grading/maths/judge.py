"""Are the trees of two answers the same answer?"""

from __future__ import annotations

import itertools
from fractions import Fraction

from util.grading.maths import words
from util.grading.maths.relations import Relations
from util.grading.maths.scalars import every
from util.grading.maths.shapes import (
    MAX_ELEMENTS,
    SCALARS,
    conditions_dropped,
    elements,
    is_inequality,
    is_time,
    label,
    matrix,
    ordered_elements,
    plain_values,
    ratio_parts,
    signed,
    transposed,
    unlabelled,
)
from util.grading.maths.tree import Node, has, symbols, traits

MAX_PAIRS = 2500  # of elements compared one by one


class Judge(Relations):
    """Compares trees of any kind."""

    def same(self, gold: Node, prediction: Node) -> bool | None:
        """Whether two trees are the same answer; None where that is not known."""
        if gold == prediction:
            return True
        if gold.kind in SCALARS and prediction.kind in SCALARS:
            left, right = traits(gold), traits(prediction)
            if "pm" not in left and "pm" not in right:
                return self.same_values(gold, prediction, left, right)
        if gold.kind == "label" or prediction.kind == "label":
            return self.same_labels(gold, prediction)
        if gold.kind == "transpose" or prediction.kind == "transpose":
            return self.same(transposed(gold), transposed(prediction))
        if "list" in (gold.kind, prediction.kind) or has(gold, "pm") or has(prediction, "pm"):
            return self.same_lists(gold, prediction)
        if "rel" in (gold.kind, prediction.kind):
            return self.same_relation(gold, prediction)
        verdict = self.same_container(gold, prediction)
        if verdict is not None or gold.kind == prediction.kind == "pair":
            return verdict
        return self.same_region(gold, prediction)

    # -- lists, sets, tuples, matrices

    def same_labels(self, gold: Node, prediction: Node) -> bool | None:
        if gold.kind == prediction.kind and gold.value != prediction.value:
            return False
        return self.same(
            gold.parts[0] if gold.kind == "label" else gold,
            prediction.parts[0] if prediction.kind == "label" else prediction,
        )

    def same_lists(self, gold: Node, prediction: Node) -> bool | None:
        """At least one side is a bare list or holds a plus-minus sign."""
        for node in (gold, prediction):
            other = prediction if node is gold else gold
            if node.kind == "list" and (
                other.kind in ("pair", "union", "builder") or is_inequality(other) or is_inequality(node)
            ):
                verdict = self.same_region(gold, prediction)
                if verdict is not None:
                    return verdict
        gold, prediction = conditions_dropped(gold, prediction), conditions_dropped(prediction, gold)
        if (
            gold.kind != "list"
            and prediction.kind != "list"
            and not has(gold, "pm")
            and not has(prediction, "pm")
        ):
            return self.same(gold, prediction)
        left, right = elements(gold), elements(prediction)
        if left is None or right is None:
            return self.same_ordered(gold, prediction)
        if _are_equations(right):
            left = signed(gold) if gold.kind == "rel" else left
        elif _are_equations(left):
            right = signed(prediction) if prediction.kind == "rel" else right
        if len(left) == len(right):
            verdict = self.same_named(left, right)
            if verdict is not None:
                return verdict
        # Said twice is said once, unless the gold itself says it twice.
        may_repeat = "set" not in (gold.kind, prediction.kind) and gold.value != "or"
        repeated = may_repeat and len(self.distinct(left)) < len(left)
        return self.same_elements(left, right, unique=not repeated and len(left) != len(right))

    def same_named(self, left: tuple[Node, ...], right: tuple[Node, ...]) -> bool | None:
        """Both sides name each element: the names decide what is compared with what."""
        names, others = [label(node) for node in left], [label(node) for node in right]
        if None in names or None in others or len(set(names)) < len(names) or set(names) != set(others):
            return None
        pairs = [
            (unlabelled(node), unlabelled(right[others.index(name)]))
            for node, name in zip(left, names, strict=True)
        ]
        return every(self.same(a, b) for a, b in pairs)

    def same_ordered(self, gold: Node, prediction: Node) -> bool | None:
        """A bare list against a tuple or a vector: the order counts."""
        if {gold.kind, prediction.kind} == {"list", "pair"} and not any(
            map(label, (*gold.parts, *prediction.parts))
        ):
            return False  # 1, 2 is neither the point nor the interval (1, 2)
        left, right = ordered_elements(gold), ordered_elements(prediction)
        if left is None or right is None or len(left) != len(right):
            return False
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
            if [len(row) for row in gold.parts] != [len(row) for row in prediction.parts]:
                return False
            pairs = zip(itertools.chain(*gold.parts), itertools.chain(*prediction.parts), strict=True)
            return every(self.same(a, b) for a, b in pairs)
        if "matrix" in kinds:
            return self.same_matrix(gold, prediction)
        if kinds == ("pair", "pair"):
            if gold.value != prediction.value:
                return False
            return every(self.same(a, b) for a, b in zip(gold.parts, prediction.parts, strict=True))
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
            return other.kind in SCALARS and self.same(rest.parts[0], other)
        if "text" in kinds:
            return kinds == ("text", "text") and words.same_text(str(gold.value), str(prediction.value))
        if kinds[0] in SCALARS and kinds[1] in ("pair", "set", "union", "builder", "domain"):
            return (
                prediction.kind == "set"
                and len(prediction.parts) == 1
                and self.same(gold, prediction.parts[0])
            )
        if kinds[1] in SCALARS and kinds[0] in ("pair", "set", "union", "builder", "domain"):
            return gold.kind == "set" and len(gold.parts) == 1 and self.same(gold.parts[0], prediction)
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
        return self.same(Node("func", gold, "mod"), Node("func", prediction, "mod"))

    def same_matrix(self, gold: Node, prediction: Node) -> bool | None:
        """A matrix against a vector, nested brackets or a sum of matrices."""
        left, right = matrix(gold), matrix(prediction)
        if left and right and len(left) == len(right) and [len(r) for r in left] == [len(r) for r in right]:
            return every(
                self.same(a, b) for a, b in zip(itertools.chain(*left), itertools.chain(*right), strict=True)
            )
        return self.same_ordered(_vector(gold), _vector(prediction))

    def same_ratio(self, gold: Node, prediction: Node) -> bool | None:
        left, right = ratio_parts(gold), ratio_parts(prediction)
        if left is None or right is None:
            return False
        if is_time(gold) and is_time(prediction):
            width = max(len(left), len(right))
            zero = Node("num", (), Fraction(0))
            pairs = (
                itertools.zip_longest(left, right, fillvalue=zero)
                if width == 3
                else zip(left, right, strict=False)
            )
            return every(self.same_scalar(a, b) for a, b in pairs)
        if len(left) != len(right):
            return False
        if any(part == Node("num", (), Fraction(0)) for part in left + right):
            return every(self.same_scalar(a, b) for a, b in zip(left, right, strict=True))
        return every(
            self.same_scalar(Node("mul", (left[0], b)), Node("mul", (a, right[0])))
            for a, b in zip(left[1:], right[1:], strict=True)
        )

    # -- relations


def _are_equations(nodes: tuple[Node, ...]) -> bool:
    """Whether elements are equations in several symbols, as lines and curves are given by."""
    return all(node.kind == "rel" and len(symbols(node)) > 1 for node in nodes)


def _vector(node: Node) -> Node:
    """[1, 2] beside a column vector is no interval."""
    return node._replace(kind="tuple") if node.kind == "pair" and node.value == "[]" else node
