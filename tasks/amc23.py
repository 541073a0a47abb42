"""AMC23: the 40 problems of the 2023 AMC 12 contests, rewritten to have integer answers."""

from tasks.common import maths_prompt, right_answer
from util.grading.maths import grade_maths
from util.records import Problem, Verdict
from util.task import Source, Task


def is_of_2023(row: dict) -> bool:
    return "2023" in row["url"]


def answer_text(row: dict) -> str:
    # The answer column holds floats, "142.0" for 142.
    answer = row["answer"]
    return str(int(answer)) if answer == int(answer) else str(answer)


def problem(row: dict) -> Problem:
    return Problem(str(row["id"]), row["problem"], answer_text(row), about={"url": row["url"]})


def grade(problem: Problem, response: str) -> Verdict:
    return grade_maths(problem.answer, response, kind="number", accept="medium")


def gold(row: dict) -> str | None:
    return right_answer(answer_text(row))


task = Task(
    name="AMC23",
    source=Source(
        path="AI-MO/aimo-validation-amc",
        files={"train": ("data/train-00000-of-00001.parquet",)},
        split="train",
        revision="69d78a4a2c840e82d69af6bc742bda09005f6316",
        keep=is_of_2023,
        licence="Apache-2.0",
    ),
    problem=problem,
    prompt=maths_prompt,
    grade=grade,
    gold=gold,
)
