"""APPS: 10,000 programming problems of three difficulties, judged by running the answer on tests."""

import json

from util.grading.code import GRADE_TIMEOUT_S, USUAL_LIMITS, grade_code
from util.grading.code.places import BadRow
from util.grading.code.suites import suite_of
from util.records import Problem, TestSuite
from util.task import Source, Task

PROGRAM = (
    "Write a Python program that solves this problem. It reads standard input and prints to standard output. "
    "Put the whole program into one ```python block."
)
FUNCTION = (
    "Write the Python function (or the class with this method) `{name}` that solves this problem; it returns "
    "its result. Put the whole code into one ```python block."
)


def problem(row: dict) -> Problem:
    # The files call the number `id`; the parquet branch of the hub calls it `problem_id`.
    number = row["problem_id"] if "problem_id" in row else row["id"]
    reference, unusable = None, ""
    try:
        reference = suite_of(row, "apps", starter_code=row["starter_code"] or "")
    except BadRow as error:
        unusable = str(error)
    about = {"difficulty": row["difficulty"], "url": row["url"]}
    return Problem(str(number), row["question"], reference, about=about, unusable=unusable)


def prompt(problem: Problem, model: str) -> str:
    suite = problem.reference
    assert isinstance(suite, TestSuite), problem.unusable
    words = PROGRAM if suite.function is None else FUNCTION.replace("{name}", suite.function)
    if suite.starter_code.strip():
        words += f"\n\nBegin with this code:\n```python\n{suite.starter_code.rstrip()}\n```"
    return f"{problem.question.strip()}\n\n{words}"


def gold(row: dict) -> str | None:
    solutions = json.loads(row["solutions"]) if row["solutions"] else []
    return f"```python\n{solutions[0]}\n```" if solutions else None


task = Task(
    name="APPS",
    source=Source(
        path="codeparrot/apps",
        files={"test": ("test.jsonl",), "train": ("train.jsonl",)},
        split="test",
        revision="21e74ddf8de1a21436da12e3e653065c5213e9d1",
        by="difficulty",
        licence="MIT",
        tests_on_disk=True,
    ),
    problem=problem,
    prompt=prompt,
    grade=grade_code,
    gold=gold,
    groups=("difficulty",),
    grade_timeout_s=GRADE_TIMEOUT_S,
    limits=USUAL_LIMITS,
)
