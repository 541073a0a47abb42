"""GSM8K: 1,319 grade-school word problems with integer answers."""

from tasks.common import right_answer
from util.grading.maths import grade_maths
from util.records import Problem, Verdict
from util.task import Source, Task, content_id


def answer_text(row: dict) -> str:
    # A worked solution ends in "#### 1,018"; 14 answers of the test split have such commas.
    return row["answer"].rpartition("####")[2].strip().replace(",", "")


def problem(row: dict) -> Problem:
    return Problem(content_id(row["question"]), row["question"], answer_text(row))


def prompt(problem: Problem, model: str) -> str:
    return f"{problem.question}\n\nThink it through, then write the final number inside \\boxed{{}}."


def grade(problem: Problem, response: str) -> Verdict:
    return grade_maths(problem.answer, response, kind="number", accept="low")


def gold(row: dict) -> str | None:
    return right_answer(answer_text(row))


task = Task(
    name="GSM8K",
    source=Source(
        path="openai/gsm8k",
        files={
            "test": ("main/test-00000-of-00001.parquet",),
            "train": ("main/train-00000-of-00001.parquet",),
        },
        split="test",
        revision="e53f048856ff4f594e959d75785d2c2d37b678ee",
        licence="MIT",
    ),
    problem=problem,
    prompt=prompt,
    grade=grade,
    gold=gold,
    hub_task="gsm8k",
)
