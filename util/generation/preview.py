"""What will be asked of problems of one's own, and can their answers be graded at all?

Call `look_at` before anything is asked; `Preview.lines` is for people.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from util.data.rows import RowCounts
from util.errors import UserError
from util.generation.golds import CheckedGolds, check_golds
from util.generation.golds import lines_of as lines_of_golds
from util.generation.order import Order
from util.runs.reader import text_digest

PROMPTS_SHOWN = 3
SHOWN_CHARS = 1500  # of a prompt


class Known(Protocol):
    """The problem of a benchmark that a question repeats."""

    @property
    def benchmark(self) -> str: ...
    @property
    def problem_id(self) -> str: ...


@dataclass(frozen=True)
class Preview:
    """Of the problems that a command asks."""

    columns: str
    grade: str
    left_out: list[str]  # rows that cannot be asked, and why
    golds: CheckedGolds | None  # None: they are tests, or a judge decides
    letters: Counter[str]  # of right options
    repeated: int  # problems whose question another one before them has
    prompts: tuple[str, ...]
    overlaps: Counter[str]  # questions that stand in a benchmark, too, by its name
    overlap: str  # one of them

    def lines(self, order: Order) -> list[str]:
        task = order.task
        by = f", results by {', '.join(task.groups)}" if task.groups else ""
        found = [f"{task.name}: {self.columns}; graded as {self.grade}{by} (--columns, --grade)"]
        found += [f"{task.name}: {', '.join(self.left_out)}"] if self.left_out else []
        if self.golds is not None:
            found += lines_of_golds(task, self.golds)
        if self.letters:
            shares = ", ".join(f"{letter} {count}" for letter, count in sorted(self.letters.items()))
            found.append(f"the right options: {shares}")
        if len(self.letters) == 1 and self.letters.total() > 9:
            found.append(
                "WARNING: the right option is always the same one: a model that sees that need not think"
            )
        if self.repeated:
            found.append(f"{self.repeated} questions are asked more than once: they stand in several rows")
        if self.overlaps:
            shares = ", ".join(f"{name} {count}" for name, count in self.overlaps.most_common())
            found.append(
                f"WARNING: these stand in benchmarks, too: {shares} (such as {self.overlap}): after training "
                "on them, results there say nothing"
            )
        for number, prompt in enumerate(self.prompts, 1):
            left_out = len(prompt) - SHOWN_CHARS
            shown = prompt if left_out <= 0 else f"{prompt[:SHOWN_CHARS]} ... ({left_out} more characters)"
            found.append(f"--- prompt {number}, as it will be sent ---\n{shown}")
        return [*found, "---"]


def look_at(
    order: Order, *, least_golds: float | None = None, find: Callable[[str], Known | None] | None = None
) -> Preview:
    """Go through the problems once; `find` says which problem of a benchmark a question repeats.

    Raises UserError where two rows have one id, or where the grader accepts less than the share
    `least_golds` of the answers as answers to themselves.
    """
    rows, task = order.open_rows(), order.task
    if any(column.startswith("id=") for column in task.choice["columns"]):
        _check_ids(order)
    golds = None if task.choice["grade"] in ("code", "judge") else CheckedGolds()
    questions: Counter[str] = Counter()
    letters: Counter[str] = Counter()
    prompts: list[str] = []
    overlaps: Counter[str] = Counter()
    overlap = ""
    ask = order.prompt()
    counts = RowCounts()
    for problem in order.problems(rows, None, counts):
        questions[text_digest(" ".join(problem.question.split()))] += 1
        known = None if find is None else find("\n".join((problem.question, *problem.choices)))
        if known is not None:
            overlaps[known.benchmark] += 1
            overlap = overlap or f"{problem.id}, which is {known.benchmark} {known.problem_id}"
        if len(prompts) < PROMPTS_SHOWN:
            prompts.append(_as_sent(order, ask(problem, order.plan.model)))
        if task.choice["grade"] == "letter":
            letters[problem.answer] += 1
        if golds is not None:
            check_golds(task, [problem], golds)
    if golds is not None and least_golds is not None and golds.accepted < least_golds * golds.checked:
        told = "\n".join(lines_of_golds(task, golds))
        raise UserError(f"{told}\nthese are fewer than --require-golds {least_golds:g}: nothing was asked")
    left_out = [f"{number} left out ({reason})" for reason, number in counts.unusable.most_common()]
    if not counts.problems:
        raise UserError(
            f"no row of {task.address} can be asked: {', '.join(left_out) or 'there is none'}; see --columns"
        )
    repeated = sum(times - 1 for times in questions.values())
    columns = ", ".join(task.choice["columns"])
    return Preview(
        columns,
        task.choice["grade"],
        left_out,
        golds,
        letters,
        repeated,
        tuple(prompts),
        overlaps,
        overlap,
    )


def _check_ids(order: Order) -> None:
    seen: dict[str, int] = {}
    for number, row in enumerate(order.open_rows(), 1):
        name = order.task.problem(row).id
        if name in seen:
            raise UserError(
                f"rows {seen[name]} and {number} of {order.task.address} have the same id {name!r}: mend the "
                "file, or number the problems by what they say with --columns id=none"
            )
        seen[name] = number


def _as_sent(order: Order, prompt: str) -> str:
    system = order.plan.system_prompt
    return prompt if system is None else f"[system] {system}\n[user] {prompt}"
