"""Why was a response judged as it was?

Call `explain` for the verdict on one response and `shown` for the lines that a person reads.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from util.errors import UserError
from util.grading.choice import LETTERS, grade_choice
from util.grading.maths import grade_maths
from util.grading.maths.answers import find_answer
from util.grading.maths.tolerance import tolerance_of
from util.records import Verdict
from util.response import solution_part


def explain(
    gold: str,
    response: str,
    *,
    kind: str = "any",
    options: int | None = None,
    accept: str | None = None,
    question: str = "",
    tolerance: str = "exact",
) -> Verdict:
    """The verdict on a response: by its letter where there are `options`, else by its answer."""
    tolerance_of(tolerance)
    if options is None:
        return grade_maths(gold, response, kind=kind, accept=accept, question=question, tolerance=tolerance)
    if tolerance != "exact":
        raise UserError(f"--tolerance {tolerance}: a letter is right or wrong; leave it out with --choice")
    if not 2 <= options <= len(LETTERS):
        raise UserError(f"--choice {options}: give the number of options, 2 to {len(LETTERS)}")
    letters = LETTERS[:options]
    if gold not in letters:
        raise UserError(f"--gold {gold}: with --choice {options} give a letter out of {letters}")
    return grade_choice(gold, response, options=options, accept=accept or "medium")


def span_of(response: str, accept: str) -> str:
    """The words in which a maths answer stands, or nothing."""
    solution = solution_part(response)
    found = None if solution is None else find_answer(solution, lowest=accept)
    return "" if found is None else found.span


def shown(verdict: Verdict, span: str = "") -> str:
    """A verdict in lines for people; `span`: the words in which the answer stands."""
    outcome = "correct" if verdict.correct else f"not correct: {verdict.reason}"
    tier, *_, forms = [*verdict.detail.split("; ", 2), ""][:3] if verdict.how else ("", "")
    if tier == verdict.how:  # letters are compared as they are
        tier, forms = "letter", verdict.detail.partition("; ")[2]
    lines = {
        "verdict": outcome + (f" ({verdict.cause})" if verdict.cause else ""),
        "answer": "nothing" if verdict.extracted is None else verdict.extracted,
        "found by": f"{verdict.how} ({verdict.trust} trust)" if verdict.how else "no sign",
        **({"span": span} if span else {}),
        "decided by": tier if verdict.how else verdict.detail,
        "compared": forms if verdict.how else "nothing",
        "grader": verdict.grader,
    }
    return "\n".join(f"{name:<11}{value}" for name, value in lines.items())


def response_text(given: str) -> str:
    """The response that a flag gives: a text, a file that holds it, or - for stdin."""
    if given == "-":
        return sys.stdin.read()
    if len(given) < 4096 and "\n" not in given and "\0" not in given and os.path.isfile(given):
        content = Path(given).read_bytes()
        if b"\0" in content:
            raise UserError(f"--response {given} is no text file: it holds zero bytes; name a text file")
        return content.decode("utf-8", errors="replace")
    return given
