"""What shape has an answer: a list, a tuple, a matrix, a ratio, a named value?

Call `named_value`, `elements`, `ordered_elements`, `matrix` or `ratio_parts`: each takes a tree and says None
where it has not that shape.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from util.grading.maths.tree import MAX_SIGNS, Node, Unreadable, has, symbols

SCALARS = frozenset(
    "num decimal sym const add mul div neg pow root fact binom func app deg pct big".split()
)  # kinds that have a value
MAX_ELEMENTS = 300  # of a list
_NAMING = frozenset(("abs", "min", "max"))  # functions in names: |AB|, max f


class Named(NamedTuple):
    """A relation that gives a value to a name: x = 5, f(n) = 2n, AB = 4, (x, y) = (1, 2)."""

    name: Node
    value: Node


def named_value(node: Node) -> Named | None:
    """What a relation gives to a name; None for any other tree."""
    if node.kind != "rel" or not set(node.value) <= {"=", "~", "in", "=="}:
        return None
    parts, operators = list(node.parts), list(node.value)
    if operators[-1] == "~" and (len(parts) > 2 or not is_name(parts[0])):
        parts, operators = parts[:-1], operators[:-1]  # 1/3 = 0.333..., roughly: the exact side counts
    if len(parts) == 1:
        return Named(Node("sym", (), ""), parts[0])
    if len(parts) == 2 and not is_name(parts[0]) and is_name(parts[1]) and operators == ["="]:
        parts.reverse()  # 5 = x
    if not is_name(parts[0]):
        return None
    return Named(parts[0], parts[-1])


def is_name(node: Node) -> bool:
    """Whether a tree is a name: x, f(x), AB, (x, y), a word."""
    if node.kind == "sym":
        return node.value != "..."
    if node.kind == "const":
        return node.value in ("e", "i")
    if node.kind == "app":
        return all(part.kind in ("sym", "num", "const") for part in node.parts)
    if node.kind in ("pair", "tuple", "list"):
        return all(part.kind == "sym" for part in node.parts)
    if node.kind == "mul":
        if len(node.parts) == 2 and node.parts[0] == Node("sym", (), "d"):
            return node.parts[1].kind == "sym"  # dy, in dy/dx
        return all(part.kind == "sym" and str(part.value)[:1].isupper() for part in node.parts)  # AB
    if node.kind == "func" and node.value == "abs" and node.parts[0].kind == "sym":
        return not str(node.parts[0].value).islower()  # |x| = 5 gives x two values
    if node.kind in ("div", "ratio", "inter", "union") or node.kind == "func" and node.value in _NAMING:
        return all(map(is_name, node.parts))
    return node.kind == "text"


def said_of_combination(node: Node) -> Node | None:
    """The number in m + n = 27 and ab = 27, which answer the question for m + n and ab."""
    if set(node.value) != {"="} or any(symbols(part) for part in node.parts[1:]):
        return None
    if len(node.parts) > 2 and node.parts[0].kind in SCALARS:  # a + b = 3 + 4 = 7
        return node.parts[-1]
    if node.parts[0].kind not in ("add", "mul"):
        return None
    return node.parts[1] if all(part.kind == "sym" for part in node.parts[0].parts) else None


def label(node: Node) -> object:
    """The name that an element carries: words before it, or the left side of x = 5; None without one."""
    if node.kind in ("label", "counted"):
        return node.value
    named = named_value(node)
    return named.name if named and named.name.value != "" else None


def unlabelled(node: Node) -> Node:
    """An element without its name."""
    if node.kind in ("label", "counted"):
        return node.parts[0]
    named = named_value(node)
    return named.value if named else node


def is_inequality(node: Node) -> bool:
    """Whether a tree is an inequality, or a list with one in it."""
    if node.kind == "list":
        return any(is_inequality(part) for part in node.parts)
    return node.kind == "rel" and not set(node.value) <= {"=", "~"}


def is_solved(node: Node) -> bool:
    """Whether every inequality in a tree has its variable, or the absolute value of it, alone on a side."""
    if node.kind == "rel" and not set(node.value) <= {"in", "notin", ":"}:
        return all(not symbols(part) or _is_alone(part, node) for part in node.parts)
    return all(is_solved(part) for part in node.parts if isinstance(part, Node))


def _is_alone(part: Node, relation: Node) -> bool:
    if part.kind == "neg":
        part = part.parts[0]
    if part.kind == "sym" or part.kind == "func" and part.value == "abs":
        return True
    alone = [other for other in relation.parts if other.kind == "sym"]
    return any(str(other.value) not in symbols(part) for other in alone)  # x < a + 1


def elements(node: Node) -> tuple[Node, ...] | None:
    """The elements of a bare list or set in no order; None for an ordered kind."""
    if node.kind in ("list", "set"):
        found: list[Node] = []
        for part in node.parts:
            is_apart = part.kind == "list" and part.value == "and" and node.value == "or"
            found.extend(elements(part) or () if part.kind == "list" and not is_apart else signed(part))
            if len(found) > MAX_ELEMENTS:
                return tuple(found)
        return tuple(found)
    if node.kind in ("pair", "matrix") or node.kind == "tuple" and node.value == "()":
        return signed(node) if has(node, "pm") else None
    if node.kind == "tuple":
        return node.parts
    named = named_value(node)
    if named and (named.value.kind in ("list", "set") or has(named.value, "pm")):
        return elements(named.value)
    if named and named.name.kind in ("pair", "tuple"):
        return None if named.value.kind in ("pair", "tuple") else signed(node)
    return signed(node)


def signed(node: Node) -> tuple[Node, ...]:
    """The values behind plus-minus signs: linked if a minus-plus sign occurs, else each with both signs."""
    if not has(node, "pm"):
        return (node,)
    count = _count_signs(node)
    if count > MAX_SIGNS:
        raise Unreadable("too many plus-minus signs")
    if has(node, "pm", r"\mp"):
        choices = [(1,) * count, (-1,) * count]
    else:
        choices = list(itertools.product((1, -1), repeat=count))
    return tuple(dict.fromkeys(_choose(node, iter(choice)) for choice in choices))


def _children(node: Node) -> list[Node]:
    if node.kind == "decimal":
        return []
    return [child for part in node.parts for child in (part if type(part) is tuple else (part,))]


def _count_signs(node: Node) -> int:
    return (node.kind == "pm") + sum(_count_signs(child) for child in _children(node))


def _choose(node: Node, signs: Iterator[int]) -> Node:
    if node.kind == "decimal" or not has(node, "pm"):
        return node
    if node.kind == "pm":
        left = _choose(node.parts[0], signs)
        sign = next(signs) * (-1 if node.value == r"\mp" else 1)
        right = _choose(node.parts[1], signs)
        return Node("add", (left, right if sign > 0 else Node("neg", (right,))))
    return node._replace(
        parts=tuple(_choose(part, signs) if isinstance(part, Node) else part for part in node.parts)
    )


def ordered_elements(node: Node) -> tuple[Node, ...] | None:
    """The elements of a kind in which order counts; None for any other kind."""
    if node.kind == "list":
        parts = node.parts
        names = [label(part) for part in parts]
        symbolic = [str(name.value) for name in names if isinstance(name, Node) and name.kind == "sym"]
        if len(symbolic) < len(parts):
            return parts
        return tuple(unlabelled(parts[i]) for i in sorted(range(len(parts)), key=symbolic.__getitem__))
    if node.kind == "tuple" or node.kind == "pair" and node.value == "()":
        return node.parts
    if node.kind == "matrix":
        if len(node.parts) == 1:
            return node.parts[0]
        return tuple(row[0] for row in node.parts) if len(node.parts[0]) == 1 else None
    named = named_value(node)
    if named and named.name.kind in ("pair", "tuple", "sym", "mul"):
        return ordered_elements(named.value)
    return None


def plain_values(nodes: tuple[Node, ...]) -> list[Fraction] | None:
    """Sorted values of elements that are all plain fractions."""
    values = []
    for node in nodes:
        sign, leaf = (-1, node.parts[0]) if node.kind == "neg" else (1, node)
        if leaf.kind not in ("num", "decimal"):
            return None
        values.append(sign * leaf.value)
    return sorted(values)


def matrix(node: Node) -> tuple[tuple[Node, ...], ...] | None:
    """Rows of a matrix, of nested brackets, or of a sum of matrices with plain entries."""
    if node.kind == "matrix":
        return node.parts
    if node.kind in ("pair", "tuple") and all(part.kind in ("pair", "tuple") for part in node.parts):
        return tuple(part.parts for part in node.parts)
    if node.kind == "add":
        parts = [rows for part in node.parts if (rows := matrix(part))]
        shapes = {tuple(len(row) for row in part) for part in parts}
        if len(parts) == len(node.parts) and len(shapes) == 1:
            return tuple(
                tuple(Node("add", entries) for entries in zip(*rows, strict=True))
                for rows in zip(*parts, strict=True)
            )
    if node.kind == "neg" and (rows := matrix(node.parts[0])):
        return tuple(tuple(Node("neg", (entry,)) for entry in row) for row in rows)
    if node.kind in ("mul", "div") and len(node.parts) == 2:
        left, right = node.parts
        if node.kind == "mul" and matrix(right):
            left, right = right, left
        if (rows := matrix(left)) and right.kind in SCALARS:
            return tuple(tuple(Node(node.kind, (entry, right)) for entry in row) for row in rows)
    return None


def transposed(node: Node) -> Node:
    """A transposed row or matrix written out."""
    if node.kind != "transpose":
        return node
    inside = node.parts[0]
    if inside.kind == "matrix":
        return Node("matrix", tuple(zip(*inside.parts, strict=True)), inside.value)
    return Node("matrix", tuple((part,) for part in inside.parts), "pmatrix")


def ratio_parts(node: Node) -> tuple[Node, ...] | None:
    """The parts of a ratio; a quotient and a number are ratios of two."""
    if node.kind in ("ratio", "div"):
        return node.parts
    return (node, Node("num", (), Fraction(1))) if node.kind in SCALARS else None


def is_time(node: Node) -> bool:
    """12:00, 20:34:00: hours and two-digit minutes."""
    return node.kind == "ratio" and all(re.fullmatch(r"[0-5]\d", digits) for digits in node.value[1:])
