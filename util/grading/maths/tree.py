"""What is an answer once it is read?

A tree of `Node`s in a `Reading`; `symbols`, `has` and `traits` say what occurs in a tree.
"""

from __future__ import annotations

from typing import Any, NamedTuple

MAX_CHARS = 4000
MAX_TOKENS = 1000
MAX_DEPTH = 60
MAX_SIGNS = 4  # plus-minus signs in one sum
MAX_DIGITS = 4000  # of one number


class Unreadable(ValueError):
    """The text is not an answer that this reader knows."""


class Opaque(Unreadable):
    """The text uses notation that this reader knows of and cannot read; another engine may."""


class Undecided(Exception):
    """Two answers agree under a condition that neither of them states; the message says which."""


class Node(NamedTuple):
    """One node of an answer's tree; `kind` says how `parts` and `value` are meant.

    Parts are nodes, except the rows of a matrix (tuples of nodes) and the number of places of a decimal.
    """

    kind: str
    parts: tuple = ()
    value: Any = None


class Reading(NamedTuple):
    """An answer as read."""

    tree: Node
    units: tuple[str, ...]  # words behind values, lower case
    free: tuple[str, ...]  # parameters said to run over the integers
    conditions: tuple[Node, ...] = ()  # relations, or texts where the words are not understood


def symbols(node: Node) -> frozenset[str]:
    """Names of the free symbols of a tree."""
    return names_in(traits(node))


def has(node: Node, kind: str, value: object = None) -> bool:
    """Whether a node of this kind (and value) occurs in the tree."""
    return (kind if value is None else (kind, value)) in traits(node)


def names_in(traits: set) -> frozenset[str]:
    """The symbols among a tree's traits, but for those that run through a sum."""
    return frozenset(trait[1] for trait in traits if trait[0] == "sym" and trait[1][0] != "#")


def replaced(node: Node, by: dict[Node, Node]) -> Node:
    """A tree with symbols and constants replaced."""
    kind, parts, _ = node
    if kind in ("sym", "const"):
        return by.get(node, node)
    if not parts or kind == "decimal":
        return node
    return node._replace(
        parts=tuple(
            tuple(replaced(child, by) for child in part) if type(part) is tuple else replaced(part, by)
            for part in parts
        )
    )


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
