"""Why was a response judged as it was?

Call `explain` for the verdict on one response and `shown` for the lines that a person reads; both come from
`explain_program` where the answer is a program.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from util.errors import UserError
from util.grading.choice import LETTERS, grade_choice
from util.grading.code import grade_code
from util.grading.code.places import BadRow
from util.grading.code.suites import suite_of
from util.grading.maths import grade_maths
from util.grading.maths.answers import find_answer
from util.grading.maths.tolerance import tolerance_of
from util.grading.sandbox import Limits
from util.records import Problem, TestSuite, Verdict, as_finished
from util.response import Block, choose_programs, passed_over, solution_part


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
    tier, *_, forms = [*verdict.detail.split("; ", 2), ""][:3] if verdict.how else ("", "")
    if tier == verdict.how:  # letters are compared as they are
        tier, forms = "letter", verdict.detail.partition("; ")[2]
    lines = {
        "verdict": _outcome(verdict),
        "answer": "nothing" if verdict.extracted is None else verdict.extracted,
        "found by": f"{verdict.how} ({verdict.trust} trust)" if verdict.how else "no sign",
        **({"span": span} if span else {}),
        "decided by": tier if verdict.how else verdict.detail,
        "compared": forms if verdict.how else "nothing",
        "grader": verdict.grader,
    }
    return _as_lines(lines.items())


def _outcome(verdict: Verdict) -> str:
    outcome = "correct" if verdict.correct else f"not correct: {verdict.reason}"
    return outcome + (f" ({verdict.cause})" if verdict.cause else "")


def _as_lines(said: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"{name:<10} {value}" for name, value in said)


def problem_of(tests: str, question: str) -> Problem:
    """A problem with tests as APPS writes them; raises UserError where they cannot be used."""
    try:
        return Problem("--tests", question, suite_of({"input_output": tests}, "apps"))
    except BadRow as error:
        raise UserError(
            f'--tests: {error}; give {{"inputs": ["1 2\\n"], "outputs": ["3\\n"]}}, for a function with '
            '"fn_name" and lists of arguments'
        ) from error


def explain_program(
    problem: Problem,
    response: str,
    *,
    finish_reason: str,
    compare: str,
    all_tests: bool,
    limits: Limits,
    time_of_row: bool,
) -> str:
    """The verdict, which program of a response is run and why, and how each test ended, for people."""
    ended: dict[int, str] = {}

    def on_test(test: int, reason: str, detail: str) -> None:
        ended[test] = f"{reason}: {detail}" if reason else "passed"

    for _ in range(2):  # an end by the clock is looked into once more, as the pool of graders does
        verdict = grade_code(
            problem,
            response,
            compare=compare,
            all_tests=all_tests,
            limits=limits,
            time_of_row=time_of_row,
            on_test=on_test,
        )
        if not verdict.by_the_clock:
            break
    said = [("verdict", _outcome(as_finished(verdict, finish_reason)))]
    suite, solution = problem.reference, solution_part(response)
    if solution is not None and verdict.extracted is not None:
        function = suite.function if isinstance(suite, TestSuite) else None
        said += _about_blocks(response, solution, function, verdict.extracted)
    for how, some in groupby(sorted(ended), key=ended.__getitem__):
        first, *_, last = [*some] * 2
        said.append((f"test {first + 1}" if first == last else f"tests {first + 1}-{last + 1}", how))
    said += [("decided by", verdict.detail), ("grader", verdict.grader)]
    return _as_lines(said)


def _about_blocks(response: str, solution: str, function: str | None, run: str) -> Iterator[tuple[str, str]]:
    """Where the program that was run stands in a response, why it was taken, and why none of the others."""
    choice = choose_programs(solution, function)
    chosen = next(block for block in choice.blocks if block.code == run)
    begin = max(0, response.rfind(solution))

    def lines(block: Block) -> str:
        first, last = (
            response.count("\n", 0, begin + at) + 1 for at in (block.begin, max(block.begin, block.end - 1))
        )
        return f"line {first}" if first == last else f"lines {first} to {last}"

    yield "program", f"{lines(chosen)}: {choice.why}"
    for block, why in passed_over(solution, function, chosen):
        yield "not run", f"{lines(block)}: {why}"


def given_text(given: str, flag: str) -> str:
    """The text that a flag gives: as it stands, in a file, or - for stdin."""
    if given == "-":
        return sys.stdin.read()
    if len(given) < 4096 and "\n" not in given and "\0" not in given and os.path.isfile(given):
        content = Path(given).read_bytes()
        if b"\0" in content:
            raise UserError(f"{flag} {given} is no text file: it holds zero bytes; name a text file")
        return content.decode("utf-8", errors="replace")
    return given
