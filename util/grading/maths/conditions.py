"""Under which conditions does an answer hold, and do two answers hold under the same?

Call `without_conditions` with a tree, `same_conditions` with what two answers say that are equal otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

from util.grading.maths.digits import precise
from util.grading.maths.exact import Point, Unknown
from util.grading.maths.regions import Piece, region
from util.grading.maths.shapes import SCALARS, signed
from util.grading.maths.tree import Node, Undecided, replaced, symbols, traits

_ORDERS = frozenset(("<", ">", "<=", ">=", "!="))
_INDICES = frozenset("nkmijlN")  # usual names of whole numbers
_WHOLE, _NATURAL = "Z", "N"
_FAR = Fraction(10**12)
_STEPS = tuple(map(Fraction, ("0", "1/97", "-1/97", "2/3", "-2/3", "40", "-40", "1000", "-1000")))
_NATURALS = (*map(Fraction, range(1, 20)), Fraction(10**6))  # any index runs through these


def is_condition(node: Node) -> bool:
    """Whether a relation bounds a symbol or says of which kind it is, as x > 0 and k in Z."""
    return node.kind == "rel" and (
        set(node.value) <= _ORDERS
        or node.value == ("in",)
        and node.parts[1].kind in ("domain", "pair", "union")
    )


def without_conditions(tree: Node) -> tuple[Node, tuple[Node, ...]]:
    """The formula and the conditions of "y = x^2, x > 0"; any other tree as it is."""
    if tree.kind != "list" or tree.value == "or" or not is_condition(tree.parts[-1]):
        return tree, ()
    first, rest = tree.parts[0], _each_bounded(tree.parts[1:])
    if (
        first.kind == "list"
        or first.kind == "rel"
        and set(first.value) != {"="}
        or not all(map(is_condition, rest))
    ):
        return tree, ()
    names = symbols(first)
    if not all(any(part.kind == "sym" and part.value in names for part in node.parts) for node in rest):
        return tree, ()
    if first.kind == "rel" and first.parts[0].kind == "sym" and not symbols(first.parts[1]):
        return (first, ()) if all(_admits(node, first.parts[1]) for node in rest) else (tree, ())
    return first, tuple(rest)


def _each_bounded(nodes: Sequence[Node]) -> list[Node]:
    """The conditions "a in R" and "b in R" for "a, b in R"; any other as it is."""
    found: list[Node] = []
    for node in reversed(nodes):
        last = found[-1] if found else node
        is_listed = node.kind == "sym" and last.kind == "rel" and last.value == ("in",)
        found.append(last._replace(parts=(node, last.parts[1])) if is_listed else node)
    return found[::-1]


def _admits(condition: Node, value: Node) -> bool:
    """Whether a value is among those that a condition leaves."""
    found, place = region(condition), _end(value)
    if found is None or place is None:
        return False
    ends = _ends(found.pieces)
    return ends is not None and _contains(found.pieces, ends, place)


def kind_of_whole(conditions: Iterable[Node]) -> dict[str, str]:
    """Which symbols are said to be whole ("Z") or natural ("N") numbers."""
    return {
        str(node.parts[0].value): _NATURAL if set(str(node.parts[1].value)) & set("N+>") else _WHOLE
        for node in conditions
        if node.kind == "rel" and node.value == ("in",) and str(node.parts[1].value)[:1] in ("Z", "N")
    }


def same_conditions(
    gold: Sequence[Node],
    prediction: Sequence[Node],
    formulas: tuple[Node, Node],
    same: Callable[[Node, Node], bool | None],
) -> bool:
    """Whether two answers hold under the same conditions, or under such as go without saying.

    False where the conditions contradict each other; raises Undecided where one side has a condition that the
    other may not have.
    """
    if [*gold] == [*prediction]:
        return True
    kinds, others = kind_of_whole(gold), kind_of_whole(prediction)
    if len(kinds) == len(others) == 1 and {*kinds.values()} != {*others.values()}:
        if not any(set(node.value or ()) & _ORDERS for node in (*gold, *prediction) if node.kind == "rel"):
            return False
    for name in {*kinds} ^ {*others}:
        if name not in _INDICES and any(is_condition(node) and name in symbols(node) for node in formulas):
            raise Undecided(UNSHARED)  # the whole numbers among x > 3
        if _NATURAL in (kinds.get(name), others.get(name)) and any(map(_is_family, formulas)):
            raise Undecided(UNSHARED)  # half of the family pi/4 + k pi
    left, right = _by_symbol(gold), _by_symbol(prediction)
    if len(left) == len(right) == 1 and left.keys() != right.keys():
        (ours,), (theirs,) = left, right
        renaming = {Node("sym", (), theirs): Node("sym", (), ours)}
        right = {ours: replaced(right[theirs], renaming)}
    for name in {*left} | {*right}:
        a, b = left.get(name), right.get(name)
        if a and b:
            if same(a, b):
                continue
            if _goes_without_saying(a, formulas) and _goes_without_saying(b, formulas):
                continue
            if region(a) and region(b) and not _goes_without_saying(a, formulas):
                return False
            raise Undecided(UNSHARED)
        if not _goes_without_saying(a or b, formulas):  # type: ignore[arg-type]
            raise Undecided(UNSHARED)
    words, said = ({node for node in side if node.kind == "text"} for side in (gold, prediction))
    if words != said:
        raise Undecided(UNSHARED)
    return True


UNSHARED = "one of the two states a condition that the other does not"


def _by_symbol(conditions: Sequence[Node]) -> dict[str, Node]:
    """The bounds of each symbol, as one tree."""
    found: dict[str, list[Node]] = {}
    for node in conditions:
        if node.kind == "rel" and not (node.value == ("in",) and node.parts[1].kind == "domain"):
            found.setdefault(" ".join(sorted(symbols(node))), []).extend(signed(node))
    return {
        name: nodes[0] if len(nodes) == 1 else Node("list", tuple(nodes), "and")
        for name, nodes in found.items()
    }


def _goes_without_saying(condition: Node, formulas: tuple[Node, Node]) -> bool:
    """Whether a condition leaves an answer as it is.

    It bounds what does not occur, or leaves out nothing but where the formula has no value; an index is a
    positive whole number anyway.
    """
    names = symbols(condition)
    if not any(names & symbols(formula) for formula in formulas):
        return True
    found = region(condition)
    if found is None or found.variable is None or names != {found.variable}:
        return False
    ends = _ends(found.pieces)
    if ends is None:
        return False
    places = (
        _NATURALS
        if found.variable in _INDICES and not any(map(_is_family, formulas))
        else [e + step for e in ends if abs(e) < _FAR for step in _STEPS]
    )
    return all(
        _contains(found.pieces, ends, place)
        or any(_has_no_value(formula, found.variable, place) for formula in formulas)
        for place in places
    )


def _is_family(formula: Node) -> bool:
    """Whether a formula gives angles a period apart, as pi/4 + k pi, for which every whole k is meant."""
    found = traits(formula)
    return "func" not in found and ("const", "pi") in found


def _end(node: Node) -> Fraction | None:
    """Where an interval ends; None where that is no number."""
    sign, inside = (-1, node.parts[0]) if node.kind == "neg" else (1, node)
    if inside.kind == "inf":
        return sign * _FAR
    try:
        return Fraction(precise(node, Point(), 15))
    except (Unknown, ValueError):
        return None


def _ends(pieces: tuple[Piece, ...]) -> list[Fraction] | None:
    ends = [place for piece in pieces for end in (piece.low, piece.high) if (place := _end(end)) is not None]
    return ends if len(ends) == 2 * len(pieces) else None


def _contains(pieces: tuple[Piece, ...], ends: list[Fraction], place: Fraction) -> bool:
    return any(
        low < place < high or place == low and piece.low_closed or place == high and piece.high_closed
        for piece, low, high in zip(pieces, ends[::2], ends[1::2], strict=True)
    )


def _has_no_value(formula: Node, name: str, place: Fraction) -> bool:
    """Whether a formula has no real value where a symbol has this one, whatever the others are."""
    parts = formula.parts if formula.kind in ("rel", "pair", "tuple", "list") else (formula,)
    for part in parts:
        if part.kind not in SCALARS or part.kind == "app":
            continue
        at = Point({other: Fraction(1361 + 7 * i, 997) for i, other in enumerate(sorted(symbols(part)))})
        at[name] = place
        try:
            precise(part, at, 15)
        except Unknown:
            return True
    return False
