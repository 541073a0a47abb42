"""Are two answers to a maths problem the same?

Three tiers decide, each with "equal", "different" or "don't know": the cleaned strings, plain numbers, and
the trees that `util.grading.latex` reads, compared in structure with their leaves compared as values. Only
"don't know" goes on to the symbolic engine. The conventions:

- brackets of intervals count; order counts in tuples, not in sets and bare lists; every element is needed;
- a percent sign may be dropped or read as 1/100, a bare number is never rescaled;
- units, currency and degree signs behind a value are ignored, but two different known units differ;
- an exact gold never equals a rounded decimal; a decimal gold equals an exact value that rounds to it;
- x = v is v for a lone variable; equations are equal up to a constant factor.
"""

from __future__ import annotations

import itertools
import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from util.grading import symbolic as engine
from util.grading import words
from util.grading.answers import find_answer, solution_part
from util.grading.latex import (
    MAX_CHARS,
    MAX_SIGNS,
    UNITS,
    Node,
    Opaque,
    Reading,
    Unreadable,
    clean,
    is_ambiguous,
    read,
)
from util.grading.numbers import (
    is_long,
    is_rounded,
    nearly,
    number_word,
    plain_number,
    rounds_to,
    same_number,
)
from util.grading.regions import Region, region
from util.grading.values import Reading as Point
from util.grading.values import (
    Unknown,
    approximate,
    coordinate,
    exact,
    has,
    names_in,
    precise,
    same_value,
    symbols,
    traits,
)
from util.records import Verdict

GRADER = "maths-1"
MAX_ELEMENTS = 300  # of a list
_NO_ENGINE = "undecided"
MAX_PAIRS = 2500  # of elements compared one by one


class Comparison(NamedTuple):
    """What came of comparing two answers."""

    equal: bool
    tier: str  # which tier decided: string, number, text, structure, symbolic, none, undecided
    gold_form: str
    prediction_form: str


def grade_maths(gold: str, response: str, *, kind: str = "any", symbolic: bool | None = None) -> Verdict:
    """Find the answer in a whole model response and compare it with `gold`.

    `kind` is "integer" (033 is 33, 142.0 is 142), "number" (perhaps with thousands separators or units) or
    "any". `symbolic=None` asks the symbolic engine unless it is switched off for this process.
    """
    solution = solution_part(response)
    if solution is None:
        return Verdict(False, "truncated", detail="the thought is not closed", grader=GRADER)
    found = find_answer(solution)
    if found is None:
        return Verdict(False, "no_answer", detail="nothing looks like an answer", grader=GRADER)
    if kind == "any":
        result = same_answer(gold, found.text, symbolic=symbolic)
    else:
        result = _same_as_number(gold, found.text, kind, symbolic)
    detail = (
        f"{result.tier}; {found.how}; {_shortened(result.gold_form)} | {_shortened(result.prediction_form)}"
    )
    reason = "" if result.equal else "wrong_answer"
    if result.tier.startswith(_NO_ENGINE):
        reason = "grader_error"
    return Verdict(result.equal, reason, found.text[:MAX_CHARS], detail, GRADER)


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + " ..."


def _same_as_number(gold: str, prediction: str, kind: str, symbolic: bool | None) -> Comparison:
    a = plain_number(gold) or plain_number(clean(gold))
    b = plain_number(prediction) or plain_number(clean(prediction))
    if a and b and not (a.percent or b.percent):
        equal = a.value == b.value if kind == "integer" else same_number(a, b)
        return Comparison(equal, "number", str(a.value), str(b.value))
    result = same_answer(gold, prediction, symbolic=symbolic)
    return result


def same_answer(gold: str, prediction: str, *, symbolic: bool | None = None) -> Comparison:
    """Whether `prediction` is the answer `gold`; never raises and takes bounded time."""
    if len(gold) > MAX_CHARS or len(prediction) > MAX_CHARS:
        same = gold.strip() == prediction.strip()
        return Comparison(same, "string", gold[:MAX_CHARS], prediction[:MAX_CHARS])
    result = _decide(gold, prediction)
    if result.tier == "none" and (engine.enabled() if symbolic is None else symbolic):
        try:
            verdict = engine.same(gold, prediction)
        except engine.Busy as busy:
            return result._replace(tier=f"{_NO_ENGINE}: {busy}")
        if verdict is not None:
            return Comparison(verdict, "symbolic", result.gold_form, result.prediction_form)
    return result


def forget() -> None:
    """Empty the memory of pairs already compared; measurements need that."""
    _decide.cache_clear()


@lru_cache(maxsize=4096)
def _decide(gold: str, prediction: str) -> Comparison:
    """The verdict of the tiers that need no symbolic engine; tier "none" where they do not know."""
    left, right = clean(gold), clean(prediction)
    if not left or not right:
        return Comparison(False, "string", left, right)
    if left == right:
        return Comparison(True, "string", left, right)
    a, b = plain_number(left), plain_number(right)
    if a and b:
        return Comparison(same_number(a, b), "number", str(a.value), str(b.value))
    if a or b:  # 12 m^2 beside a bare number
        left, right = _LETTER_UNIT.sub(r"\1", left), _LETTER_UNIT.sub(r"\1", right)
        a, b = plain_number(left), plain_number(right)
        if a and b:
            return Comparison(same_number(a, b), "number", str(a.value), str(b.value))
    spelled = _spelled(left), _spelled(right)
    if spelled != (left, right):
        left, right = spelled
        if left == right:
            return Comparison(True, "text", left, right)
        a, b = plain_number(left), plain_number(right)
        if a and b:
            return Comparison(same_number(a, b), "number", str(a.value), str(b.value))
    verdict = _compare_words(left, right)
    if verdict is not None:
        return Comparison(verdict, "text", left, right)
    verdict = _compare_read(left, right)
    return Comparison(bool(verdict), "none" if verdict is None else "structure", left, right)


_BLANK = re.compile(r"(?<![\w.]) | (?![\w.])")  # any but those that keep words or digits apart
_LETTER_UNIT = re.compile(r"^([-+]?(?:\d{1,300}(?:\.\d{0,300})?|\.\d{1,300})) [mgshLNJWV](?:\^\{?[23]\}?)?$")
_ALL_REALS = frozenset(
    ("all real numbers", "all reals", "all real number", "real numbers", "set all real numbers")
)
_ANSWER_IS = re.compile(
    r"^(?:\\text\s*\{)?\s*(?:the\s+)?(?:final\s+)?answer\s*(?:is\b|:|=)\s*:?\s*\}?\s*", re.IGNORECASE
)


def _spelled(cleaned: str) -> str:
    """Number words as digits; words for nothing and endlessly many as signs; no "the answer is"."""
    if "nswer" in cleaned:
        cleaned = _ANSWER_IS.sub("", cleaned) or cleaned
    if cleaned[0].isalpha() or cleaned[0] == "\\":
        text = words.unwrapped(cleaned)
        if len(text) < 100 and "\\" not in text:
            value = number_word(text)
            if value is not None:
                return str(value)
            normal = words.normal_text(text)
            if normal == "no solution":
                return r"\emptyset"
            if normal in _ALL_REALS:
                return r"\mathbb{R}"
            if normal == "infinitely many":
                return r"\infty"
    return cleaned


# ---------------------------------------------------------------- words


def _compare_words(gold: str, prediction: str) -> bool | None:
    """The verdict where one of the two is words or a letter; None where both may be maths."""
    verdict = _compare_options(gold, prediction)
    if verdict is not None:
        return verdict
    left, right = words.text_of(gold), words.text_of(prediction)
    if left is not None and right is not None:
        return words.same_text(left, right)
    if left is None and right is None:
        return None
    # A formula never equals a sentence; what looks like words may be a product of letters, though.
    text, other = (left, prediction) if left is not None else (right, gold)
    if len(text) > 3 and (" " in text or len(text) > 5) and plain_number(other) is not None:
        return False
    return None


def _compare_options(gold: str, prediction: str) -> bool | None:
    """Letters of options: \\text{(B)} is B, and (B) 35 is B and 35."""
    letter, chosen = words.option_letter(gold), words.option_letter(prediction)
    if letter and chosen:
        if letter == chosen:
            return True
        return letter.upper() == chosen.upper() if "\\text" in gold or "(" in gold else None
    pair = words.option_with_text(gold)
    if pair:
        if chosen:
            return chosen.upper() == pair[0]
        other = words.option_with_text(prediction)
        if other:
            return other[0] == pair[0] and _decide(pair[1], other[1]).equal
        return _decide(pair[1], prediction).equal or None
    if letter and letter.isupper():
        pair = words.option_with_text(prediction)
        if pair:
            return pair[0] == letter
    return None


# ---------------------------------------------------------------- trees


def _compare_read(gold: str, prediction: str) -> bool | None:
    if _BLANK.sub("", gold) == _BLANK.sub("", prediction):
        return True
    try:
        verdict = _same_reading(read(gold), read(prediction))
    except Opaque:
        return None
    except Unreadable:
        return False
    if verdict is not True and (is_ambiguous(gold) or is_ambiguous(prediction)):
        try:  # 1,234 may be two numbers
            other = _same_reading(read(gold, as_list=True), read(prediction, as_list=True))
        except Unreadable:
            other = None
        verdict = other if other else verdict
    return verdict


def _same_reading(gold: Reading, prediction: Reading) -> bool | None:
    if not _units_agree(gold.units, prediction.units):
        return False
    if has(prediction.tree, "sym", "j") and gold.tree.kind != "const" and has(gold.tree, "const", "i"):
        prediction = prediction._replace(
            tree=_renamed(prediction.tree, {"j": Node("const", (), "i")})
        )  # engineers' j
    free = frozenset(gold.free) | frozenset(prediction.free)
    angles = bool({"rad", "radians", "radian"} & {*gold.units, *prediction.units})
    return _Judge(free, angles).same(gold.tree, prediction.tree)


def _units_agree(gold: tuple[str, ...], prediction: tuple[str, ...]) -> bool:
    """Units may be missing, unknown or spelled otherwise; two different known ones differ."""
    if not gold or not prediction:
        return True
    left, right = (_first_unit(units) for units in (gold, prediction))
    return left == right or not {left[0], right[0]} <= _UNIT_NAMES


def _first_unit(units: tuple[str, ...]) -> tuple[str, str]:
    """Short name and exponent of the first unit."""
    name = units[0].strip(" .")
    return UNITS.get(name, name), units[1] if units[1:] and units[1][0] == "^" else ""


_UNIT_NAMES = frozenset(UNITS.values()) - {""}
_PARAMETERS = frozenset("knmlj")
_NO_SYMBOLS: frozenset[str] = frozenset()
_SCALARS = frozenset(
    "num decimal sym const add mul div neg pow root fact binom func app deg pct".split()
)  # kinds that have a value


class _Judge:
    """Compares trees; carries what was said about the whole answer."""

    def __init__(self, free: frozenset[str], angles: bool) -> None:
        self.free = free  # symbols said to be integer parameters
        self.angles = angles  # one side names radians

    def same(self, gold: Node, prediction: Node) -> bool | None:
        """Whether two trees are the same answer; None where that is not known."""
        if gold == prediction:
            return True
        if gold.kind in _SCALARS and prediction.kind in _SCALARS:
            left, right = traits(gold), traits(prediction)
            if "pm" not in left and "pm" not in right:
                return self.same_values(gold, prediction, left, right)
        if gold.kind == "label" or prediction.kind == "label":
            return self.same_labels(gold, prediction)
        if gold.kind == "transpose" or prediction.kind == "transpose":
            return self.same(_transposed(gold), _transposed(prediction))
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
                other.kind in ("pair", "union", "builder") or _is_inequality(other) or _is_inequality(node)
            ):
                verdict = self.same_region(gold, prediction)
                if verdict is not None:
                    return verdict
        gold, prediction = _conditions_dropped(gold, prediction), _conditions_dropped(prediction, gold)
        if (
            gold.kind != "list"
            and prediction.kind != "list"
            and not has(gold, "pm")
            and not has(prediction, "pm")
        ):
            return self.same(gold, prediction)
        left, right = _elements(gold), _elements(prediction)
        if left is None or right is None:
            return self.same_ordered(gold, prediction)
        if len(left) == len(right):
            verdict = self.same_named(left, right)
            if verdict is not None:
                return verdict
        # Said twice is said once, unless the gold itself says it twice.
        repeated = "set" not in (gold.kind, prediction.kind) and len(self.distinct(left)) < len(left)
        return self.same_elements(left, right, unique=not repeated and len(left) != len(right))

    def same_named(self, left: tuple[Node, ...], right: tuple[Node, ...]) -> bool | None:
        """Both sides name each element: the names decide what is compared with what."""
        names, others = [_label(node) for node in left], [_label(node) for node in right]
        if None in names or None in others or len(set(names)) < len(names) or set(names) != set(others):
            return None
        pairs = [
            (_unlabelled(node), _unlabelled(right[others.index(name)]))
            for node, name in zip(left, names, strict=True)
        ]
        return _all(self.same(a, b) for a, b in pairs)

    def same_ordered(self, gold: Node, prediction: Node) -> bool | None:
        """A bare list against a tuple or a vector: the order counts."""
        if {gold.kind, prediction.kind} == {"list", "pair"} and not any(
            map(_label, (*gold.parts, *prediction.parts))
        ):
            return False  # 1, 2 is neither the point nor the interval (1, 2)
        left, right = _ordered_elements(gold), _ordered_elements(prediction)
        if left is None or right is None or len(left) != len(right):
            return False
        return _all(self.same(a, b) for a, b in zip(left, right, strict=True))

    def same_elements(self, left: tuple[Node, ...], right: tuple[Node, ...], *, unique: bool) -> bool | None:
        """Every element on one side has its own equal on the other, in any order."""
        if unique:
            left, right = self.distinct(left), self.distinct(right)
        if len(left) != len(right):
            return False
        if len(left) > MAX_ELEMENTS:
            return list(left) == list(right)
        values, others = _plain_values(left), _plain_values(right)
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
            return _all(self.same(a, b) for a, b in pairs)
        if "matrix" in kinds:
            return self.same_matrix(gold, prediction)
        if kinds == ("pair", "pair"):
            if gold.value != prediction.value:
                return False
            return _all(self.same(a, b) for a, b in zip(gold.parts, prediction.parts, strict=True))
        if "tuple" in kinds:
            if "set" in kinds and "[]" not in (gold.value, prediction.value):
                return False
            return self.same_ordered(gold, prediction)
        if kinds == ("set", "set"):
            return self.same_elements(gold.parts, prediction.parts, unique=True)
        if "ratio" in kinds:
            return self.same_ratio(gold, prediction)
        if "text" in kinds:
            return kinds == ("text", "text") and words.same_text(str(gold.value), str(prediction.value))
        if kinds[0] in _SCALARS and kinds[1] in ("pair", "set", "union", "builder", "domain"):
            return (
                prediction.kind == "set"
                and len(prediction.parts) == 1
                and self.same(gold, prediction.parts[0])
            )
        if kinds[1] in _SCALARS and kinds[0] in ("pair", "set", "union", "builder", "domain"):
            return gold.kind == "set" and len(gold.parts) == 1 and self.same(gold.parts[0], prediction)
        if kinds == ("domain", "domain") or kinds == ("inf", "inf"):
            return gold.value == prediction.value
        return None

    def same_matrix(self, gold: Node, prediction: Node) -> bool | None:
        """A matrix against a vector, nested brackets or a sum of matrices."""
        left, right = _matrix(gold), _matrix(prediction)
        if left and right and len(left) == len(right) and [len(r) for r in left] == [len(r) for r in right]:
            return _all(
                self.same(a, b) for a, b in zip(itertools.chain(*left), itertools.chain(*right), strict=True)
            )
        return self.same_ordered(gold, prediction)

    def same_ratio(self, gold: Node, prediction: Node) -> bool | None:
        left, right = _ratio_parts(gold), _ratio_parts(prediction)
        if left is None or right is None:
            return False
        if _is_time(gold) and _is_time(prediction):
            width = max(len(left), len(right))
            zero = Node("num", (), Fraction(0))
            pairs = (
                itertools.zip_longest(left, right, fillvalue=zero)
                if width == 3
                else zip(left, right, strict=False)
            )
            return _all(self.same_scalar(a, b) for a, b in pairs)
        if len(left) != len(right):
            return False
        if any(part == Node("num", (), Fraction(0)) for part in left + right):
            return _all(self.same_scalar(a, b) for a, b in zip(left, right, strict=True))
        return _all(
            self.same_scalar(Node("mul", (left[0], b)), Node("mul", (a, right[0])))
            for a, b in zip(left[1:], right[1:], strict=True)
        )

    # -- relations

    def same_relation(self, gold: Node, prediction: Node) -> bool | None:
        verdict = self.same_region(gold, prediction)
        if verdict is not None:
            return verdict
        left, right = _named(gold), _named(prediction)
        if gold.kind == prediction.kind == "rel":
            return self.same_relations(gold, prediction, left, right)
        if gold.kind == "rel":
            said = left.value if left else self.said_by_equality(gold)
            return self.same(said, prediction) if said else False
        said = right.value if right else self.said_by_equality(prediction) or _said_of_combination(prediction)
        return self.same(gold, said) if said else False

    def said_by_equality(self, node: Node) -> Node | None:
        """2 + 2 = 4 is true by itself and says its last side."""
        if not set(node.value) <= {"=", "~"} or any(
            part.kind not in _SCALARS or symbols(part) for part in node.parts
        ):
            return None
        return (
            node.parts[-1] if all(self.same_scalar(node.parts[0], side) for side in node.parts[1:]) else None
        )

    def same_relations(
        self, gold: Node, prediction: Node, left: _Named | None, right: _Named | None
    ) -> bool | None:
        if left and right:
            verdict = self.same_named_values(left, right)
            if verdict is not None:
                return verdict
        if len(gold.parts) == len(prediction.parts) == 2:
            return self.same_equation(gold, prediction)
        if gold.value == prediction.value:
            return _all(self.same(a, b) for a, b in zip(gold.parts, prediction.parts, strict=True))
        if gold.value == tuple(_FLIPPED.get(operator) for operator in reversed(prediction.value)):
            return _all(self.same(a, b) for a, b in zip(gold.parts, reversed(prediction.parts), strict=True))
        return False

    def same_named_values(self, left: _Named, right: _Named) -> bool | None:
        a, b = left.name, right.name
        if a == b:
            return self.same(left.value, right.value)
        if (
            a.kind == b.kind == "app" and a.value == b.value and len(a.parts) == len(b.parts)
        ):  # f(n) = 2n, f(m) = 2m
            renaming = {
                q.value: p for p, q in zip(a.parts, b.parts, strict=True) if p.kind == q.kind == "sym"
            }
            if len(renaming) == len(a.parts):
                return self.same(left.value, _renamed(right.value, renaming))
            return False
        if {a.kind, b.kind} == {"app", "sym"}:  # y = 2x and f(x) = 2x
            return self.same(left.value, right.value) if symbols(left.value) else None
        if a.kind == b.kind == "sym" and str(a.value).split("_")[0] == str(b.value).split("_")[0]:
            return self.same(left.value, right.value) if "_" not in a.value or "_" not in b.value else None
        return None

    def same_equation(self, gold: Node, prediction: Node) -> bool | None:
        """Equations are equal up to a constant factor, inequalities up to a positive one."""
        operator, other = gold.value[0], prediction.value[0]
        if operator in _ARROWS or other in _ARROWS:
            return None
        sign = 1
        if operator != other:
            if _FLIPPED.get(operator) != other:
                return False
            sign = -1
        left = Node("add", (gold.parts[0], Node("neg", (gold.parts[1],))))
        right = Node("add", (prediction.parts[0], Node("neg", (prediction.parts[1],))))
        names = symbols(left) | symbols(right)
        if symbols(left) != symbols(right) or not names:
            return False if names else None
        ratios = []
        for index in range(3):
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

    # -- values

    def same_scalar(self, gold: Node, prediction: Node) -> bool | None:
        """Whether two expressions have one value, exactly, or at sample points if they hold symbols."""
        if gold.kind not in _SCALARS or prediction.kind not in _SCALARS:
            return (
                self.same(gold, prediction) if gold.kind != prediction.kind or gold.kind == "ratio" else None
            )
        return self.same_values(gold, prediction, traits(gold), traits(prediction))

    def same_values(self, gold: Node, prediction: Node, left: set, right: set) -> bool | None:
        """The same, with what occurs in the two trees."""
        names, others = names_in(left), names_in(right)
        if names != others:
            if not names or not others:
                return self.same_despite_names(gold, prediction, names | others)
            renamed = self.renamed_parameter(prediction, names, others, ("const", "pi") in left & right)
            if renamed is None:
                return self.same_despite_names(gold, prediction, names | others)
            prediction = renamed
        verdict: bool | None = False
        for left_at, right_at in self.points(left, right):
            found = _same_at_points(gold, prediction, names, left_at, right_at)
            if found:
                return True
            verdict = found if verdict is not None else None
        if not names:
            return _is_rounding(gold, prediction)
        return verdict

    def same_despite_names(self, gold: Node, prediction: Node, names: frozenset[str]) -> bool | None:
        """One side has symbols that the other has not: equal only if they cancel, as in x - x + 2."""
        if "..." in names:
            return False
        for index in (0, 1):
            at = Point((name, coordinate(name, index)) for name in names)
            try:
                if exact(gold, at) != exact(prediction, at):
                    return False
            except Unknown:
                if same_value(gold, prediction, at, at) is not True:
                    return False
        return True

    def renamed_parameter(
        self, prediction: Node, names: frozenset[str], others: frozenset[str], periodic: bool
    ) -> Node | None:
        """The prediction with its integer parameter under the gold's name: 2 pi n for 2 pi k."""
        mine, theirs = names - others, others - names
        if len(mine) != 1 or len(theirs) != 1:
            return None
        ours, other = next(iter(mine)), next(iter(theirs))
        said = ours in self.free or other in self.free
        if (
            {ours, other} == {"c", "C"}
            or ours in _PARAMETERS | self.free
            and other in _PARAMETERS | self.free
            and (said or periodic)
        ):
            return _renamed(prediction, {other: Node("sym", (), ours)})
        return None

    def points(self, left: set, right: set) -> list[tuple[Point, Point]]:
        """How to read degree signs, percent signs and a bare log on the two sides."""
        plain = Point()
        readings = [(plain, plain)]
        if ("pct" in left) != ("pct" in right):
            hundredth = Point()
            hundredth.percent = Fraction(1, 100)
            readings.append((hundredth, hundredth))
        if ("deg" in left) != ("deg" in right):
            turned = Point()
            turned.degree = "pi"
            readings = [*(readings if not self.angles else ()), (turned, turned)]
        if (("func", "log") in left) != (("func", "log") in right):
            decadic = Point()
            decadic.log10 = True
            readings.append((decadic, decadic))
        return readings


def _all(verdicts: object) -> bool | None:
    """Three-valued "and"."""
    unknown = False
    for verdict in verdicts:
        if verdict is False:
            return False
        unknown = unknown or verdict is None
    return None if unknown else True


def _value(node: Node, at: Point) -> Fraction | complex:
    try:
        return _as_number(exact(node, at))
    except Unknown:
        return approximate(node, at)


def _as_number(value: object) -> Fraction | complex:
    return value if isinstance(value, Fraction) else complex(float(value.re), float(value.im))


def _same_at_points(
    gold: Node, prediction: Node, names: frozenset[str], left_at: Point, right_at: Point
) -> bool | None:
    if not names:
        return bool(same_value(gold, prediction, left_at, right_at))
    valid = 0
    for index in range(3):
        at = _at(left_at, names, index)
        verdict = same_value(gold, prediction, at, at, thorough=index == 0)
        if verdict is False:
            return False
        valid += verdict is True
    if not valid:
        return None
    for index in (3, 4, 6, 7):
        at = _at(left_at, names, index)
        if (
            same_value(gold, prediction, at, at, thorough=False) is False
            and _is_real(gold, at)
            and _is_real(prediction, at)
        ):
            return False
    return True


def _at(reading: Point, names: frozenset[str], index: int) -> Point:
    at = Point((name, coordinate(name, index)) for name in names)
    at.degree, at.percent, at.log10 = reading.degree, reading.percent, reading.log10
    return at


def _is_real(node: Node, at: Point) -> bool:
    """Whether a value is real with all that it is made of: no root of a negative number within."""
    try:
        precise(node, at, 15)
    except Unknown:
        return False
    return True


def _is_rounding(gold: Node, prediction: Node) -> bool:
    """A decimal gold and an exact value that rounds to it, or an exact gold and a decimal of 15 digits."""
    percent = has(gold, "pct") != has(prediction, "pct")
    literal = _literal(gold)
    if literal and not has(prediction, "decimal"):
        value, places = literal
        if not places or not is_rounded(value, places):
            return False
        exact_value = _rational(_bare(prediction))
        scales = ((1, 100) if has(gold, "pct") else (1, Fraction(1, 100))) if percent else (1,)
        return exact_value is not None and any(
            rounds_to(exact_value * scale, value, places) for scale in scales
        )
    literal = _literal(prediction)
    if literal and not has(gold, "decimal") and not percent:
        value, places = literal
        if places and is_long(value, places):
            exact_value = _rational(_bare(gold))
            return exact_value is not None and nearly(exact_value, value, places)
    return False


def _bare(node: Node) -> Node:
    """A value without the percent or degree sign around it."""
    while node.kind in ("pct", "deg"):
        node = node.parts[0]
    return node


def _literal(node: Node) -> tuple[Fraction, int] | None:
    """Value and places of a tree that is a single decimal, with its sign, percent or degree sign."""
    sign = 1
    while node.kind in ("neg", "pct", "deg"):
        sign, node = -sign if node.kind == "neg" else sign, node.parts[0]
    return (sign * node.value, node.parts[0]) if node.kind == "decimal" else None


def _rational(node: Node) -> Fraction | None:
    """The value of a real tree, exactly or to 40 digits."""
    at = Point()
    try:
        value = exact(node, at)
        return value if isinstance(value, Fraction) else None
    except Unknown:
        pass
    try:
        return Fraction(precise(node, at, 40))
    except (Unknown, ValueError):
        return None


# ---------------------------------------------------------------- parts of trees

_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_ARROWS = frozenset(("->", "=>", "sub", "prop", "in", "notin", ":"))


class _Named(NamedTuple):
    """A relation that gives a value to a name: x = 5, f(n) = 2n, AB = 4, (x, y) = (1, 2)."""

    name: Node
    value: Node


def _named(node: Node) -> _Named | None:
    if node.kind != "rel" or not set(node.value) <= {"=", "~", "in", "=="}:
        return None
    parts, operators = list(node.parts), list(node.value)
    if (
        len(parts) > 2
        and operators[-1] == "~"
        or len(parts) == 2
        and operators == ["~"]
        and not _is_name(parts[0])
    ):
        parts, operators = parts[:-1], operators[:-1]  # 1/3 = 0.333..., roughly: the exact side counts
    if len(parts) == 1:
        return _Named(Node("sym", (), ""), parts[0])
    if len(parts) == 2 and not _is_name(parts[0]) and _is_name(parts[1]) and operators == ["="]:
        parts.reverse()  # 5 = x
    if not _is_name(parts[0]):
        return None
    return _Named(parts[0], parts[-1])


def _is_name(node: Node) -> bool:
    if node.kind == "sym":
        return node.value != "..."
    if node.kind == "const":
        return node.value in ("e", "i")
    if node.kind == "app":
        return all(part.kind in ("sym", "num", "const") for part in node.parts)
    if node.kind in ("pair", "tuple", "list"):
        return all(part.kind == "sym" for part in node.parts)
    if node.kind == "mul" and len(node.parts) == 2 and node.parts[0] == Node("sym", (), "d"):
        return node.parts[1].kind == "sym"  # dy, in dy/dx
    if node.kind == "mul":
        return all(_is_segment(part) for part in node.parts)
    if node.kind == "div":
        return all(_is_name(part) for part in node.parts)
    if node.kind == "func" and node.value in ("abs", "min", "max"):
        return all(_is_name(part) for part in node.parts)
    return node.kind == "text"


def _said_of_combination(node: Node) -> Node | None:
    """The number in m + n = 27 and ab = 27, which answer the question for m + n and ab."""
    if node.value != ("=",) or node.parts[0].kind not in ("add", "mul") or symbols(node.parts[1]):
        return None
    return node.parts[1] if all(part.kind == "sym" for part in node.parts[0].parts) else None


def _is_segment(node: Node) -> bool:
    """A capital letter, as the ends of the segment AB."""
    return node.kind == "sym" and str(node.value)[:1].isupper()


def _label(node: Node) -> object:
    if node.kind == "label":
        return node.value
    named = _named(node)
    return named.name if named and named.name.value != "" else None


def _unlabelled(node: Node) -> Node:
    if node.kind == "label":
        return node.parts[0]
    named = _named(node)
    return named.value if named else node


def _conditions_dropped(node: Node, other: Node) -> Node:
    """a_n = 2^n of "a_n = 2^n, n >= 1" where the other side states no condition."""
    if (
        node.kind != "list"
        or other.kind == "list"
        or node.value
        or node.parts[0].kind != "rel"
        or _is_inequality(other)
    ):
        return node
    first, *rest = node.parts
    if set(first.value) == {"="} and all(
        _is_inequality(part) and symbols(part) <= symbols(first) for part in rest
    ):
        return first
    return node


def _is_inequality(node: Node) -> bool:
    if node.kind == "list":
        return any(_is_inequality(part) for part in node.parts)
    return node.kind == "rel" and not set(node.value) <= {"=", "~"}


def _elements(node: Node) -> tuple[Node, ...] | None:
    """The elements of a bare list or set in no order; None for an ordered kind."""
    if node.kind in ("list", "set"):
        found: list[Node] = []
        for part in node.parts:
            found.extend(_elements(part) or () if part.kind == "list" else _signed(part))
            if len(found) > MAX_ELEMENTS:
                return tuple(found)
        return tuple(found)
    if node.kind in ("pair", "matrix") or node.kind == "tuple" and node.value == "()":
        return _signed(node) if has(node, "pm") else None
    if node.kind == "tuple":
        return node.parts
    if (
        node.kind == "rel"
        and (named := _named(node))
        and (named.value.kind in ("list", "set") or has(named.value, "pm"))
    ):
        return _elements(named.value)
    if node.kind == "rel" and (named := _named(node)) and named.name.kind in ("pair", "tuple"):
        return None if named.value.kind in ("pair", "tuple") else _signed(node)
    return _signed(node)


def _signed(node: Node) -> tuple[Node, ...]:
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


def _choose(node: Node, signs: object) -> Node:
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


def _ordered_elements(node: Node) -> tuple[Node, ...] | None:
    if node.kind == "list":
        parts = node.parts
        names = [_label(part) for part in parts]
        if None not in names and all(isinstance(name, Node) and name.kind == "sym" for name in names):
            order = sorted(range(len(parts)), key=lambda i: str(names[i].value))
            return tuple(_unlabelled(parts[i]) for i in order)
        return parts
    if node.kind == "tuple" or node.kind == "pair" and node.value == "()":
        return node.parts
    if node.kind == "matrix":
        if len(node.parts) == 1:
            return node.parts[0]
        return tuple(row[0] for row in node.parts) if len(node.parts[0]) == 1 else None
    if node.kind == "rel" and (named := _named(node)) and named.name.kind in ("pair", "tuple", "sym", "mul"):
        return _ordered_elements(named.value)
    return None


def _plain_values(nodes: tuple[Node, ...]) -> list[Fraction] | None:
    """Sorted values of elements that are all plain fractions."""
    values = []
    for node in nodes:
        sign, leaf = (-1, node.parts[0]) if node.kind == "neg" else (1, node)
        if leaf.kind not in ("num", "decimal"):
            return None
        values.append(sign * leaf.value)
    return sorted(values)


def _matrix(node: Node) -> tuple[tuple[Node, ...], ...] | None:
    """Rows of a matrix, of nested brackets, or of a sum of matrices with plain entries."""
    if node.kind == "matrix":
        return node.parts
    if node.kind in ("pair", "tuple") and all(part.kind in ("pair", "tuple") for part in node.parts):
        return tuple(part.parts for part in node.parts)
    if node.kind == "add":
        parts = [_matrix(part) for part in node.parts]
        if all(parts) and len({tuple(len(row) for row in part) for part in parts}) == 1:
            return tuple(
                tuple(Node("add", entries) for entries in zip(*rows, strict=True))
                for rows in zip(*parts, strict=True)
            )
    if node.kind == "neg" and (rows := _matrix(node.parts[0])):
        return tuple(tuple(Node("neg", (entry,)) for entry in row) for row in rows)
    if node.kind in ("mul", "div") and len(node.parts) == 2:
        left, right = node.parts
        rows, factor = (
            (_matrix(right), left) if node.kind == "mul" and _matrix(right) else (_matrix(left), right)
        )
        if rows and factor.kind in _SCALARS:
            kind = node.kind
            return tuple(tuple(Node(kind, (entry, factor)) for entry in row) for row in rows)
    return None


def _transposed(node: Node) -> Node:
    if node.kind != "transpose":
        return node
    inside = node.parts[0]
    if inside.kind == "matrix":
        return Node("matrix", tuple(zip(*inside.parts, strict=True)), inside.value)
    return Node("matrix", tuple((part,) for part in inside.parts), "pmatrix")


def _ratio_parts(node: Node) -> tuple[Node, ...] | None:
    if node.kind == "ratio":
        return node.parts
    if node.kind == "div":
        return node.parts
    return (node, Node("num", (), Fraction(1))) if node.kind in _SCALARS else None


def _is_time(node: Node) -> bool:
    """12:00, 20:34:00: hours and two-digit minutes."""
    return node.kind == "ratio" and all(re.fullmatch(r"[0-5]\d", digits) for digits in node.value[1:])


def _renamed(node: Node, names: dict[str, Node]) -> Node:
    if node.kind == "sym":
        return names.get(node.value, node)
    if node.kind == "decimal" or not symbols(node):
        return node
    return node._replace(
        parts=tuple(
            _renamed(part, names)
            if isinstance(part, Node)
            else tuple(_renamed(child, names) for child in part)
            for part in node.parts
        )
    )
