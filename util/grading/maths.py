"""Are two answers to a maths problem the same?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from util.grading.answers import last_box, solution_part
from util.records import Verdict

GRADER = "maths-1"


@dataclass(frozen=True)
class Comparison:
    """What came of comparing two answers."""

    equal: bool
    tier: str  # which tier decided
    gold_form: str
    prediction_form: str


def same_answer(gold: str, prediction: str, *, symbolic: bool | None = None) -> Comparison:
    """Whether `prediction` is the answer `gold`."""
    left, right = (re.sub(r"[\s$,]", "", text) for text in (gold, prediction))
    if left == right:
        return Comparison(True, "string", left, right)
    number = re.compile(r"-?\d{1,100}(\.\d{1,100})?")
    if number.fullmatch(left) and number.fullmatch(right):
        return Comparison(Fraction(left) == Fraction(right), "number", left, right)
    return Comparison(False, "string", left, right)


def grade_maths(gold: str, response: str, *, kind: str = "any", symbolic: bool | None = None) -> Verdict:
    """Find the answer in a whole model response and compare it with `gold`."""
    solution = solution_part(response)
    if solution is None:
        return Verdict(False, "truncated", grader=GRADER)
    answer = last_box(solution)
    if answer is None:
        numbers = re.findall(r"-?\d[\d,]*(?:\.\d+)?", solution[-10000:])
        answer = numbers[-1].rstrip(",") if numbers else None
    if answer is None:
        return Verdict(False, "no_answer", grader=GRADER)
    result = same_answer(gold, answer, symbolic=symbolic)
    reason = "" if result.equal else "wrong_answer"
    return Verdict(
        result.equal, reason, answer, f"{result.tier}: {result.gold_form} | {result.prediction_form}", GRADER
    )
