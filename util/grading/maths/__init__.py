"""Are two answers to a maths problem the same?

Call `grade_maths` with a whole response, `same_answer` with two answers.

Three tiers decide, each with "equal", "different" or "don't know": the cleaned strings, plain numbers, and
the trees that `reader` makes, compared in structure with their leaves compared as values. Only "don't know"
goes on to the symbolic engine. The conventions:

- brackets of intervals count; order counts in tuples, not in sets and bare lists; every element is needed;
- a percent sign may be dropped or read as 1/100, a bare number is never rescaled;
- a unit, currency, percent or degree sign that one side lacks is ignored; two of different kinds differ;
- a condition is part of an answer, unless it goes without saying;
- an exact gold never equals a decimal rounded to fewer than 15 digits; a decimal gold equals an exact value
  that rounds to it;
- x = v is v for a lone variable; equations are equal up to a constant factor.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from util.grading.languages import writes_decimal_comma
from util.grading.maths import symbolic as engine
from util.grading.maths import words
from util.grading.maths.answers import Found, boxes, find_in, own_text, parts
from util.grading.maths.beside import with_unit
from util.grading.maths.conditions import UNSHARED, same_conditions
from util.grading.maths.judge import Judge
from util.grading.maths.numbers import number_word, plain_number, rounds_to, same_number
from util.grading.maths.quantities import Quantity, comparable, marks_differ, quantity
from util.grading.maths.reader import MAX_CHARS, clean, condition_in, is_ambiguous, read
from util.grading.maths.scalars import Said, real_value
from util.grading.maths.shapes import SCALARS
from util.grading.maths.spans import DENIED, RIVAL, SEVERAL, TAKEN_BACK, UNCLEAR, has_words
from util.grading.maths.spoken import (
    angles_differ,
    currency,
    events_differ,
    has_arrow,
    in_components,
    in_notation,
    is_ordinal,
    labelled,
    listed,
    one_value,
    same_moment,
    without_currency,
)
from util.grading.maths.tolerance import significant_digits, tolerance_of
from util.grading.maths.tree import (
    Node,
    Opaque,
    Reading,
    Undecided,
    Unreadable,
    has,
    replaced,
    symbols,
    traits,
)
from util.grading.maths.units import units_agree, words_differ
from util.records import NO_TIME, Verdict
from util.response import solution_part

GRADER = "maths-19"


class Comparison(NamedTuple):
    """What came of comparing two answers."""

    equal: bool
    tier: str  # which tier decided: string, number, text, structure, symbolic; none, unread, unproven
    gold_form: str
    prediction_form: str
    cause: str = ""  # why it is not known whether they are equal; `equal` is False then


def grade_maths(
    gold: str,
    response: str,
    *,
    kind: str = "any",
    accept: str | None = None,
    question: str = "",
    tolerance: str = "exact",
    symbolic: bool | None = None,
) -> Verdict:
    """Find the answer in a whole model response and compare it with `gold`.

    `kind` is "integer" (033 is 33, 142.0 is 142), "number" (perhaps with thousands separators or units) or
    "any". `accept` is the least trust that an answer needs (see `answers`); without a word a "number" may be
    the last one of the text, anything else has to be concluded. An equation or a set that the `question`
    gives is no answer to it. `tolerance` is how far a number may be from the reference (see `tolerance`).
    `symbolic=None` asks the symbolic engine unless it is switched off for this
    process.
    """
    solution = solution_part(response)
    if solution is None:
        return Verdict(False, "truncated", detail="the thought is not closed", grader=GRADER)
    if response.endswith("\n"):
        solution += "\n"  # which says that the last line is whole
    solution = own_text(solution)
    found = find_in(solution, lowest=accept or least_trust(kind))
    if found is None:
        return Verdict(False, "no_answer", detail="nothing looks like an answer", grader=GRADER)
    if gold.count("boxed") > 1:
        result = _compare_parts(gold, found, parts(solution), symbolic)
    else:
        result = _compare_found(gold, found, kind, symbolic)
        if not result.equal and (written_out := _written_out(found.text, solution, question)) != found.text:
            other = _compare_found(gold, found._replace(text=written_out, span=written_out), kind, False)
            result = other if other.equal else result
        if not result.equal and found.how == "box" and (said := parts(solution)):
            joined = same_answer(gold, ", ".join(said), symbolic=False)
            result = joined if joined.equal else result
    if result.equal and question and _is_echo(gold, found.text, question):
        result = result._replace(equal=False, tier="echo")
    elif result.equal and found.of and _is_of_another(found.of, question):
        result = result._replace(equal=False, tier="none", cause=UNCLEAR)
    elif (
        not result.equal
        and not found.cause
        and tolerance != "exact"
        and _is_near(gold, found.text, tolerance)
    ):
        result = result._replace(equal=True, tier=f"number within {tolerance}", cause="")
    elif not result.equal and not result.cause and (cause := _unreadable(gold)):
        result = result._replace(cause=cause)
    forms = f"{_shortened(result.gold_form)} | {_shortened(result.prediction_form)}"
    reason = "" if result.equal else "undecided" if result.cause else "wrong_answer"
    return Verdict(
        result.equal,
        reason,
        found.text[:MAX_CHARS],
        f"{result.tier}; {found.how}; {forms}",
        GRADER,
        how=found.how,
        trust=found.trust,
        cause=result.cause,
    )


_GROUPED_COMMA = re.compile(r"(?<![\d.,({\[])(?:(\d{1,3}(?:\.\d{3})+)(?:,(\d+))?|(\d+),(\d+))(?![.,]?\d)")


_SAID_IN_WORDS = re.compile(r"€|(?<![\\\w])[^\W\d_]{3,}")


_K = re.compile(r"(\d)(?: |\\,)?k$")
_LETTER_K = re.compile(r"(?<![\w\\])k(?!\w)")


def _written_out(answer: str, solution: str, question: str) -> str:
    """An answer with 2.5k as a number of thousands, and marks for decimals and thousands as in English.

    3,5 is 3.5, and 12.500 is 12500, where a text writes so; k is a variable where it stands elsewhere, too.
    """
    if (scaled := _K.search(answer)) and not _LETTER_K.search(f"{solution} {question}"):
        return f"{answer[: scaled.end(1)]} \\cdot 1000"
    if not _GROUPED_COMMA.search(answer) or not writes_decimal_comma(solution):
        return answer
    is_said = _SAID_IN_WORDS.search(solution) is not None

    def pointed(match: re.Match[str]) -> str:
        grouped, part, whole, decimals = match.groups()
        if whole:
            return f"{whole}.{decimals}"
        return grouped.replace(".", "") + (f".{part}" if part else "") if is_said else match.group()

    return _GROUPED_COMMA.sub(pointed, answer)


def least_trust(kind: str) -> str:
    """What an answer of a kind needs where nothing else is said."""
    return "low" if kind == "number" else "medium"


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + " ..."


_RELATION = re.compile(r"[=<>≤≥≠|]|\\(?:le|ge|ne|lt|gt|leq|geq|neq|leqslant|geqslant|mid|in)\b")
_PICTURE = re.compile(r"\\includegraphics|!\[|\[asy\]|<img|\\begin\s*\{(?:tikzpicture|asy)")
_PROOF = re.compile(
    r"\b(?:proof|proven above|see (?:the )?(?:solution|proof|figure|diagram))\b|证明|略", re.IGNORECASE
)
_PROSE_WORDS = 8  # that make an answer in words a text, which no rule compares


def _is_near(gold: str, answer: str, setting: str) -> bool:
    """Whether two numbers, perhaps with units that agree, are as near as the setting asks."""
    left, right = clean(gold), clean(answer)
    parts, others = listed(left.strip("()[]")), listed(right.strip("()[]"))
    if len(parts) > 1 and plain_number(left) is None:
        around, about = (re.sub(r"^([(\[]?).*?([)\]]?)$", r"\1\2", text) for text in (left, right))
        if around != about or len(parts) != len(others):
            return False
        return all(_is_near(*pair, setting) for pair in zip(parts, others, strict=True))
    found = comparable(quantity(left) or Quantity(left), quantity(right) or Quantity(right))
    if found is None or found.doubt:
        return False
    try:
        a, b = real_value(read(found.gold).tree), real_value(read(found.prediction).tree)
    except (Unreadable, Undecided):
        return False
    if a is None or b is None:
        return False
    digits = min(significant_digits(left), significant_digits(right) or MAX_CHARS)
    return tolerance_of(setting).accepts(a, b, digits)


def _is_echo(gold: str, answer: str, question: str) -> bool:
    """Whether an answer is a relation that the question gives, and the reference is none of it."""
    if not _RELATION.search(answer):
        return False
    texts = (clean(text[:MAX_CHARS]) for text in (question, answer, gold))
    asked, said, wanted = (re.sub(r"[\s${}\\]", "", text) for text in texts)
    return len(said) > 4 and said in asked and wanted not in asked


_ASKED = re.compile(  # the formula behind "find the value of"
    r"\b(?:find|solve|determine|compute|calculate|evaluate|what (?:is|are)|values? of"
    r"|for(?=\s\W{0,3}[a-z]\W{0,3}[.?:]))\s"
    r"(?:(?:for|the|all|of|positive|negative|real|integer|smallest|largest|possible|exact|values?|solutions?)\s)*"
    r"\s*(?:\$([^$]{1,60})\$|\\\((.{1,60}?)\\\)|(?!a\s)([a-zA-Z])(?![\w'’]|\s*[-+*/^=(]))",
    re.IGNORECASE,
)


_STEP = re.compile(
    r"\\(?:Rightarrow|Longrightarrow|rightarrow|implies|iff|to|therefore|because|quad|qquad)\b|[⇒→∴]|=>"
)
_DRESS = re.compile(
    r"\\(?:text|mathrm|textbf)\s*\{[^{}]*\}|\\(?:angle|displaystyle|left|right)\b|\\[^a-zA-Z]|[\s{}&$*°∠]"
)


def _is_of_another(left: str, question: str) -> bool:
    """Whether an answer is said of an expression in the one letter that the question asks for: x^2 for x."""
    step = _STEP.split(left)[-1]
    said = _DRESS.sub("", step)
    letters = re.findall(r"(?<![\\a-zA-Z])[a-zA-Z](?![a-zA-Z])", step)
    asked = [_DRESS.sub("", match[match.lastindex or 1]) for match in _ASKED.finditer(question)]
    return said not in asked and any(len(name) == 1 and name in letters and name != said for name in asked)


def _unreadable(gold: str) -> str:
    """Why no rule can say that an answer differs from a reference, or nothing."""
    if _PICTURE.search(gold):
        return "the reference is a picture"
    text = words.text_of(clean(gold))
    if text is None:
        return ""
    if _PROOF.search(text):
        return "the reference is a proof"
    return "the reference is prose" if len(text.split()) >= _PROSE_WORDS else ""


def _compare_parts(gold: str, found: Found, said: list[str], symbolic: bool | None) -> Comparison:
    """Compare a reference in several boxes with as many parts of an answer; one of them is half an answer."""
    wanted = boxes(gold)
    joined = same_answer(", ".join(wanted), found.text, symbolic=symbolic)
    if joined.equal or len(said) != len(wanted):
        is_half = not joined.equal and any(
            same_answer(part, found.text, symbolic=False).equal for part in wanted
        )
        cause = f"the reference has {len(wanted)} parts and the answer one of them"
        return joined._replace(cause=cause) if is_half else joined
    compared = [same_answer(*pair, symbolic=symbolic) for pair in zip(wanted, said, strict=True)]
    worst = min(compared, key=lambda result: (result.equal, bool(result.cause)))
    return worst


def _compare_found(gold: str, found: Found, kind: str, symbolic: bool | None) -> Comparison:
    """Compare what a span says; where that is not equal, the span as it stands: it may be a longer text."""
    if found.cause:
        whole = same_answer(gold, found.span, symbolic=False)
        if whole.equal and has_words(gold) and found.cause not in (DENIED, TAKEN_BACK):
            return whole
        if (
            found.cause == SEVERAL
            and ", " in found.text
            and plain_number(clean(gold)) is None
            and (all_of_them := same_answer(gold, found.text, symbolic=False)).equal
        ):
            return all_of_them
        if whole.equal and one_value(clean(found.span)):
            return whole
        return whole._replace(equal=False, tier="none", cause=found.cause)
    if found.unit and _may_have_unit(gold, found.unit):
        text = with_unit(found.text, found.unit)
        found = found._replace(text=text, span=text if text != found.text else found.span)
    if found.about and not _shows(found.text, found.about):
        found = found._replace(rival=found.about)
    said = _same_of_kind(gold, found.text, kind, symbolic)
    if (
        found.rival
        and said.equal != _same_of_kind(gold, found.rival, kind, symbolic).equal
        and not _says_again(found.text, found.rival)
    ):
        return said._replace(equal=False, tier="none", cause=RIVAL)
    if found.rival and not said.equal and _says_both(gold, found):
        return said._replace(tier="none", cause=RIVAL)
    if said.equal and words.are_opposed(gold, found.span):
        return said._replace(equal=False, tier="text")
    clause = condition_in(found.span) if said.equal or said.cause == UNSHARED else ""
    if clause and not condition_in(found.text):
        held = same_answer(gold, f"{found.text} {clause}", symbolic=False)
        return said if held.tier in ("unread", "none") else held
    if said.equal or found.text == found.span or ", " in found.text:
        return said
    whole = same_answer(gold, found.span, symbolic=False)
    is_whole = has_words(gold) or not has_words(found.span) or bool(one_value(clean(found.span)))
    return whole if whole.equal and is_whole else said


def _may_have_unit(gold: str, unit: str) -> bool:
    """Whether the unit behind an answer matters: a bare number takes any, and pounds may be money."""
    number = plain_number(gold)
    return (number is None or bool(number.percent)) and not ("pound" in unit and currency(gold) == "gbp")


def _says_both(gold: str, found: Found) -> bool:
    """Whether a reference in several values has an answer and the one beside it, of which one is in a box."""
    is_list = len(listed(gold)) > 1 and plain_number(gold) is None
    return is_list and same_answer(gold, f"{found.text}, {found.rival}", symbolic=False).equal


def _says_again(answer: str, rival: str) -> bool:
    """Whether what stands behind an answer is the same, or an exact one to some digits."""
    shown = plain_number(clean(rival))
    if shown is not None and shown.places and "." not in answer and _shows(answer, rival):
        return True
    return same_answer(answer, rival, symbolic=False).equal


def _shows(answer: str, about: str) -> bool:
    """Whether a decimal or a percentage is that of the value next to which it stands, or that has none."""
    shown = plain_number(about.replace(" ", ""))
    try:
        value = real_value(read(clean(answer.rpartition("=")[2])).tree)
    except (Unreadable, Undecided):
        return True
    if shown is None or value is None:
        return True
    beyond = [
        (abs(value * scale) - abs(shown.value)) * 10 ** (shown.places or 0)
        for scale in ((1, 100) if shown.percent else (1,))
        if value * shown.value >= 0
    ]
    return any(-1 <= 2 * difference < 2 for difference in beyond)  # rounded or cut off


def _same_of_kind(gold: str, prediction: str, kind: str, symbolic: bool | None) -> Comparison:
    if kind == "any":
        return same_answer(gold, prediction, symbolic=symbolic)
    a = plain_number(gold) or plain_number(clean(gold))
    b = plain_number(prediction) or plain_number(clean(prediction))
    if a and b and not (a.percent or b.percent):
        equal = a.value == b.value if kind == "integer" else same_number(a, b)
        return Comparison(equal, "number", str(a.value), str(b.value))
    return same_answer(gold, prediction, symbolic=symbolic)


def same_answer(gold: str, prediction: str, *, symbolic: bool | None = None) -> Comparison:
    """Whether `prediction` is the answer `gold`; never raises and takes bounded time."""
    if len(gold) > MAX_CHARS or len(prediction) > MAX_CHARS:
        same = gold.strip() == prediction.strip()
        return Comparison(same, "string", gold[:MAX_CHARS], prediction[:MAX_CHARS])
    result = _decide(gold, prediction)
    if result.tier != "none":
        return result
    if not (engine.enabled() if symbolic is None else symbolic):
        return result._replace(cause=result.cause or "the symbolic engine is switched off")
    try:
        equal = engine.same(gold, prediction)
    except engine.Busy as busy:
        return result._replace(cause=f"{NO_TIME}: {busy}")
    except engine.Unanswered as unanswered:
        return result._replace(cause=result.cause or f"the symbolic engine has no answer: {unanswered}")
    return Comparison(equal, "symbolic", result.gold_form, result.prediction_form)


def forget() -> None:
    """Empty the memory of pairs already compared; measurements need that."""
    _decide.cache_clear()


@lru_cache(maxsize=4096)
def _decide(gold: str, prediction: str) -> Comparison:
    """The verdict of the tiers that need no symbolic engine; tier "none" where they do not know."""
    if (found := _compare_numbers(gold, prediction)) is not None:
        return found
    if "\\" in gold and any(sign in prediction for sign in _VECTORS):
        gold = in_components(gold)
    elif "\\" in prediction and any(sign in gold for sign in _VECTORS):
        prediction = in_components(prediction)
    left, right = clean(gold), clean(prediction)
    if words.same_compound(gold, prediction):
        return Comparison(True, "text", left, right)
    if (right[-1:] == ")" or "_" in right) and (found := _compare_restated(left, right)) is not None:
        return found
    paid, said = currency(gold), currency(prediction)
    if paid or said:
        if paid and said and paid != said:
            return Comparison(False, "number", left, right)
        left, right = _with_units(without_currency(gold), without_currency(prediction), paid, said)
    if not left or not right:
        return Comparison(False, "string", left, right)
    if left == right:
        return Comparison(True, "string", left, right)
    if (found := _compare_shapes(left, right) or _compare_bases(left, right)) is not None:
        return found
    both = f"{left} {right}"
    if "%" in both or r"\circ" in both or "percent" in both or "degree" in both:
        differ = marks_differ(left, right, bool(paid), bool(said))
        if differ:
            return Comparison(False, "number", left, right, differ if isinstance(differ, str) else "")
    found = _compare_numbers(left, right)
    if found is not None:
        return found
    if ")" in left and (parts := labelled(left)):
        others = labelled(right) or listed(right)
        if len(others) == len(parts):
            equal = all(_decide(*pair).equal for pair in zip(parts, others, strict=True))
            return Comparison(equal, "structure", left, right)
    if is_ordinal(right) and plain_number(left):
        return Comparison(False, "unproven", left, right, "the answer is a place in an order")
    if r"\angle" in left and angles_differ(left, right):
        return Comparison(False, "text", left, right)
    if "=" in left and "=" in right and events_differ(left, right):
        return Comparison(False, "unproven", left, right, "the two give values of differently named events")
    concluded = not (has_arrow(left) and has_arrow(right))
    left, right = in_notation(left, concluded=concluded), in_notation(right, concluded=concluded)
    if (found := _compare_as_spelled(left, right)) is not None:
        return found
    if (same := same_moment(left, right)) is not None:
        return Comparison(same, "text", left, right)
    if words.are_opposed(left, right):
        return Comparison(False, "text", left, right)
    found = _compare_quantities(left, right)
    if found is not None:
        return found
    left, right = _spelled(left), _spelled(right)
    if (found := _compare_as_spelled(left, right)) is not None:
        return found
    verdict = _compare_words(left, right)
    if verdict is False and words.may_be_same(left, right):
        return Comparison(False, "unproven", left, right, "one of the two says more than the other")
    if verdict is not None:
        return Comparison(verdict, "text", left, right)
    return _compare_read(left, right)


_VECTORS = ("(", r"\begin", r"\langle")  # with which a vector may be written that is no sum


def _compare_as_spelled(gold: str, prediction: str) -> Comparison | None:
    """The verdict where two answers are spelled alike or are plain numbers."""
    return (
        Comparison(True, "text", gold, prediction)
        if gold == prediction
        else _compare_numbers(gold, prediction)
    )


def _with_units(gold: str, prediction: str, paid: str, said: str) -> tuple[str, str]:
    """Two answers; the currency in front of one becomes its unit where the other has units: $5, 500 cents."""
    left, right = clean(gold), clean(prediction)
    if paid and plain_number(left) and quantity(right):
        left = f"{left} {paid}"
    elif said and plain_number(right) and quantity(left):
        right = f"{right} {said}"
    return left, right


def _compare_numbers(gold: str, prediction: str) -> Comparison | None:
    a, b = plain_number(gold), plain_number(prediction)
    if not a or not b:
        return None
    return Comparison(same_number(a, b), "number", str(a.value), str(b.value))


_RESTATED = re.compile(  # \frac34 (0.75)
    r"(.*[\w}%]) ?\((?:\\approx|≈|=|\\text *\{ *(?:or|about|approximately) *\})? *([-\d\\][^()]*)\)"
)
_BASED = re.compile(r"((?=[A-Z]*\d)[0-9A-Z]{2,}|[A-F]+(?=_(?:16|\{16\})))_(?:(\d\d?)|\{(\d\d?)\})")


def _compare_restated(gold: str, prediction: str) -> Comparison | None:
    """The verdict on a value repeated in brackets, or on a numeral of a base that the gold does not name."""
    if prediction[-1:] == ")" and (match := _RESTATED.fullmatch(prediction)):
        value, shown = match.groups()
        if _is_shown(value, shown) or _is_shown(shown, value):
            found = _decide(gold, value)
            return found if found.equal else None
    if "_" in prediction and (number := plain_number(gold)) and (match := _BASED.fullmatch(prediction)):
        base = int(match[2] or match[3])
        if 2 <= base <= 36 and all(int(digit, 36) < base for digit in match[1]):
            equal = number.value == int(match[1], base)
            return Comparison(equal, "number", gold, prediction)
    return None


_SHAPE = re.compile(r"(\d{1,9}) ?(?:\\times|x|(?:\\text ?\{ ?)?by(?: ?\})?) ?(\d{1,9})")


def _compare_shapes(gold: str, prediction: str) -> Comparison | None:
    """5 x 3 for 3 x 5, which may be the shape of a matrix: the order of its sides counts."""
    wanted = _SHAPE.fullmatch(gold)
    said = _SHAPE.fullmatch(prediction) if wanted else None
    if wanted is None or said is None or sorted(said.groups()) != sorted(wanted.groups()):
        return None
    if said.groups() == wanted.groups():
        return Comparison(True, "text", gold, prediction)
    cause = "the two may be shapes, in which the order of the sides counts"
    return Comparison(False, "unproven", gold, prediction, cause)


def _compare_bases(gold: str, prediction: str) -> Comparison | None:
    """101 for 101_2: the digits are right, and the question may have named the base."""
    based = _BASED.fullmatch(gold) if "_" in gold else None
    if based is None or words.unwrapped(prediction) != based[1] or "10" in based.groups()[1:]:
        return None
    return Comparison(False, "unproven", gold, prediction, "the answer does not say in which base it is")


def _is_shown(value: str, shown: str) -> bool:
    """Whether a decimal or a percentage is a constant, rounded."""
    number = plain_number(shown)
    if number is None or not (number.places or number.percent):
        return False
    try:
        exact = real_value(read(value).tree)
    except (Unreadable, Undecided):
        return False
    scale = 100 if number.percent else 1
    return exact is not None and rounds_to(exact * scale, number.value, number.places or 0)


def _compare_quantities(gold: str, prediction: str) -> Comparison | None:
    """What comes of two quantities, or of one and a bare number; None for anything else."""
    if r"\circ" in gold or r"\circ" in prediction:
        return None  # degrees and radians are the reader's
    left, right = quantity(_of_name(gold)), quantity(_of_name(prediction))
    if left is None and right is None:
        return _compare_glued(gold, prediction)
    found = comparable(left or Quantity(gold), right or Quantity(prediction))
    if found is None:
        return Comparison(False, "number", gold, prediction)
    result = _decide(found.gold, found.prediction)
    if result.equal and found.doubt:
        return Comparison(False, "unproven", gold, prediction, found.doubt)
    if result.equal or left and right or plain_number(prediction if left else gold):
        return Comparison(result.equal, "number", gold, prediction, result.cause)
    return None


_NAMED = re.compile(r"[a-zA-Z](?:_(?:\w|\{[^{}=]{1,12}\})|')?\s*=\s*")


def _of_name(cleaned: str) -> str:
    """What a lone letter equals: 300 K of T = 300 K."""
    return cleaned[name.end() :] if (name := _NAMED.match(cleaned)) else cleaned


_GLUED = re.compile(r"(-?\d[\d.,]*)([KNJWVCAFHT])")


def _compare_glued(gold: str, prediction: str) -> Comparison | None:
    """300K for 300: nobody knows whether the letter is a unit, a variable or a thousand."""
    if (glued := _GLUED.fullmatch(_of_name(prediction))) is None:
        return None
    same = _compare_numbers(gold, glued[1])
    cause = f"{glued[2]} may be a unit or a variable"
    return Comparison(False, "unproven", gold, prediction, cause) if same and same.equal else None


_VALUE_SAID = re.compile(  # The smallest value is 7
    r"(?!.*\b(?:not|never|or|and)\b)[^\d=:]{3,60}(?:\s(?:is|are|equals)\s|:\s?)\s*(-?\d[\d.,/]*)",
    re.IGNORECASE,
)
_BLANK = re.compile(r"(?<![\w.]) | (?![\w.])")  # any but those that keep words or digits apart
_SAID_OF_ALL = {
    "no solution": r"\emptyset",
    "infinitely many": r"\infty",
    **dict.fromkeys(("number real", "set all real numbers", "set real numbers"), r"\mathbb{R}"),
    **dict.fromkeys(("integer", "set all integers", "set integers"), r"\mathbb{Z}"),
}
_ANY_SUCH = re.compile(
    r"^(?:\\text\s*\{\s*)?(?:for\s+)?(?:all|any|every|each)\s+(?:(?:real|positive|natural|non-?negative|integer)\s+)*"
    r"(?:integers?\s+|numbers?\s+|reals?\s+|values?\s+(?:of\s+)?)?\}?\s*(?=[a-zA-Z]\s*(?:[<>]|\\(?:le|ge|lt|gt|ne|equiv)))"
)
_ANSWER_IS = re.compile(
    r"^(?:[-*•]\s+)?(?:\\text\s*\{)?\s*(?:the\s+)?(?:final\s+)?answer\s*(?:is\b|:|=)\s*:?\s*\}?\s*",
    re.IGNORECASE,
)


def _spelled(cleaned: str) -> str:
    """Number words as digits; words for nothing and endlessly many as signs; no "the answer is"."""
    if "nswer" in cleaned:
        cleaned = _ANSWER_IS.sub("", cleaned) or cleaned
        if cleaned.count("}") > cleaned.count("{"):
            cleaned = cleaned.rstrip("} ") or cleaned
    if cleaned[0].isalpha() or cleaned[0] == "\\":
        cleaned = _ANY_SUCH.sub("", cleaned)
        text = words.unwrapped(cleaned)
        if len(text) < 100 and "\\" not in text:
            value = number_word(text)
            return str(value) if value is not None else _SAID_OF_ALL.get(words.normal_text(text), cleaned)
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
    text, other = (left, prediction) if left is not None else (right or "", gold)
    if said := _VALUE_SAID.fullmatch(text):
        return None if left is not None else _decide(gold, said.group(1)).equal
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
    pair = words.option_with_text(prediction)
    if pair and letter and letter.isupper():
        return pair[0] == letter
    return _decide(gold, pair[1]).equal or None if pair and not letter else None


# ---------------------------------------------------------------- trees


def _compare_read(gold: str, prediction: str) -> Comparison:
    forms = [(gold, prediction)]
    if "\\text" in gold or "\\text" in prediction:
        forms.append((words.unwrapped(gold), words.unwrapped(prediction)))
    if r"\ast" in gold or r"\ast" in prediction:
        forms.append((gold.replace(r"\ast", "*"), prediction.replace(r"\ast", "*")))
    if any(_BLANK.sub("", left) == _BLANK.sub("", right) for left, right in forms):
        return Comparison(True, "structure", gold, prediction)
    try:
        verdict = _same_reading(read(gold), read(prediction))
    except Opaque:
        if _unbraced(gold) == _unbraced(prediction):
            return Comparison(True, "structure", gold, prediction)
        return Comparison(False, "none", gold, prediction)
    except Undecided as undecided:
        return Comparison(False, "unproven", gold, prediction, str(undecided))
    except Unreadable as unreadable:
        cause = f"the {_unread(gold)} cannot be read: {unreadable}"
        return Comparison(False, "unread", gold, prediction, cause)
    if verdict is not True and (is_ambiguous(gold) or is_ambiguous(prediction)):
        try:  # 1,234 may be two numbers
            other = _same_reading(read(gold, as_list=True), read(prediction, as_list=True))
        except (Unreadable, Undecided):
            other = None
        if other and is_ambiguous(gold) and is_ambiguous(prediction):
            cause = "1,234 may be one number or two"
            return Comparison(False, "unproven", gold, prediction, cause)
        verdict = other if other else verdict
    if not verdict and (unknown := _unknown_sign(gold, prediction)):
        cause = f"what {unknown} says is not known"
        return Comparison(False, "unproven", gold, prediction, cause)
    return Comparison(bool(verdict), "none" if verdict is None else "structure", gold, prediction)


_BRACED = re.compile(r"\{ ?(\w|\\[a-zA-Z]+) ?\}")


def _unbraced(cleaned: str) -> str:
    """An answer without blanks, and without braces around a single sign."""
    return _BLANK.sub("", _BRACED.sub(r"\1", cleaned))


def _unknown_sign(gold: str, prediction: str) -> str:
    """A command in one of two answers to which the reader gives no meaning; "" without one."""
    if not any(sign in text for text in (gold, prediction) for sign in ("\\", "{-1}")):
        return ""
    for text in (gold, prediction):
        for trait in traits(read(text).tree):
            if trait[0] in ("app", "sym") and trait[1][:1] == "\\":
                return str(trait[1]).removeprefix("\\" if "^" in trait[1] else "")
    return ""


def _unread(gold: str) -> str:
    """Which of two answers it is that cannot be read."""
    try:
        read(gold)
    except Unreadable:
        return "reference"
    return "answer"


def _same_reading(gold: Reading, prediction: Reading) -> bool | None:
    if not units_agree(gold.units, prediction.units):
        return False
    left, right = gold.tree, prediction.tree
    if left.kind != "const" and right.kind != "const":
        left, right = _with_one_i(left, right), _with_one_i(right, left)
        left, right = _without_hbar(left, right), _without_hbar(right, left)
    left, right = _as_choice(left, right), _as_choice(right, left)
    right = _in_one_name(left, right)
    free = frozenset(gold.free) | frozenset(prediction.free)
    angles = bool({"rad", "radians", "radian"} & {*gold.units, *prediction.units})
    judge = Judge(Said(free, angles))
    verdict = judge.same(left, right)
    if verdict and gold.units and prediction.units and words_differ(gold.units, prediction.units):
        raise Undecided("different words stand behind the two")
    if verdict is False or not gold.conditions and not prediction.conditions:
        return verdict
    return (
        verdict
        if same_conditions(gold.conditions, prediction.conditions, (left, right), judge.same)
        else False
    )


def _as_choice(node: Node, other: Node) -> Node:
    """C(10, 3) beside a number is a number of choices, and a point beside anything else."""
    if node.kind != "rel" or node.parts[0] != Node("sym", (), "C") or node.parts[1].kind != "pair":
        return node
    return Node("binom", node.parts[1].parts) if other.kind in SCALARS else node


_HBAR, _H = Node("sym", (), "hbar"), Node("sym", (), "h")
_H_BY_TWO_PI = Node("div", (_H, Node("mul", (Node("num", (), Fraction(2)), Node("const", (), "pi")))))


def _without_hbar(node: Node, other: Node) -> Node:
    """The reduced Planck constant as h/2π, where the other side writes h and neither writes both."""
    if not has(node, "sym", "hbar") or has(node, "sym", "h") or not has(other, "sym", "h"):
        return node
    return node if has(other, "sym", "hbar") else replaced(node, {_HBAR: _H_BY_TWO_PI})


def _with_one_i(node: Node, other: Node) -> Node:
    """The j of engineers as i, where the other side writes i and neither writes both."""
    if not has(node, "sym", "j") or has(node, "const", "i") or not has(other, "const", "i"):
        return node
    return node if has(other, "sym", "j") else replaced(node, {Node("sym", (), "j"): Node("const", (), "i")})


def _in_one_name(gold: Node, prediction: Node) -> Node:
    """A family of pairs such as (k, k+1) in the parameter of the gold."""
    if not any(has(gold, kind) and has(prediction, kind) for kind in ("pair", "tuple")):
        return prediction
    mine, theirs = set(symbols(gold) - symbols(prediction)), set(symbols(prediction) - symbols(gold))
    if len(mine) != 1 or len(theirs) != 1 or not mine | theirs <= _FAMILY:
        return prediction
    return replaced(prediction, {Node("sym", (), theirs.pop()): Node("sym", (), mine.pop())})


_FAMILY = frozenset("knmltjs")  # usual names of a parameter
