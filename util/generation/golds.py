"""Which references of a benchmark can its grader not read, or does not accept as their own answer?

Call `check_golds` with the problems, and `lines_of` for what a person reads.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from util.errors import UserError
from util.records import Problem, TestSuite, count_rules
from util.task import Task

_SENTENCE = re.compile("[\u0400-\u1fff\u2e80-\uffdc]")  # letters in which no formula is written
EXAMPLES = 3  # shown of each kind


@dataclass
class CheckedGolds:
    """Counts of references by what the grader says of each as an answer to itself."""

    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # reason and cause -> how many
    examples: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # -> problem ids and references

    @property
    def checked(self) -> int:
        return self.accepted + self.refused.total()


def check_golds(task: Task, problems: Iterable[Problem], found: CheckedGolds | None = None) -> CheckedGolds:
    """Give each reference to the grader as a boxed answer; adds to what was `found` before.

    Raises UserError where references are tests, or a judge compares them.
    """
    if task.ask_judge is not None:
        raise UserError(f"{task.name} is graded by a judge: check-golds asks graders that are rules")
    found = CheckedGolds() if found is None else found
    for problem in problems:
        if not isinstance(problem.reference, str) or count_rules(problem.about):
            raise UserError(
                f"{task.name} is judged by {_judge_of(problem)}: check-golds is for "
                "references that are answers or letters"
            )
        verdict = task.grade(problem, f"The final answer is {_boxed(problem.reference)}.")
        if verdict.correct and _SENTENCE.search(problem.reference):
            alone = task.grade(problem, problem.reference)
            if alone.extracted and not task.grade(problem, f"\\boxed{{{alone.extracted}}}").correct:
                cause = "it reads as a sentence, and the answer that stands in it would be wrong"
                verdict = replace(alone, correct=False, reason="undecided", cause=cause)
        if verdict.correct:
            found.accepted += 1
            continue
        kind = f"{verdict.reason}: {verdict.cause}" if verdict.cause else verdict.reason
        found.refused[kind] += 1
        examples = found.examples.setdefault(kind, [])
        if len(examples) < EXAMPLES:
            examples.append((problem.id, problem.reference))
    return found


def _judge_of(problem: Problem) -> str:
    return "tests" if isinstance(problem.reference, TestSuite) else "rules"


def _boxed(reference: str) -> str:
    return reference if "\\boxed" in reference else f"\\boxed{{{reference}}}"


def lines_of(task: Task, found: CheckedGolds) -> list[str]:
    """The counts, largest first, with a few references of each kind."""
    lines = [f"{task.name}: {found.accepted} of {found.checked} references are accepted as their own answer"]
    for kind, count in found.refused.most_common():
        lines.append(f"{count} {kind}")
        lines += [f"    {name}  {reference[:100]!r}" for name, reference in found.examples[kind]]
    return lines
