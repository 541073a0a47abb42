"""AIME: the 30 problems of the 2024 contests I and II; every answer is an integer from 0 to 999."""

import re

from tasks.common import plain_maths_prompt, right_answer
from util.grading.maths import grade_maths
from util.records import Problem, Verdict
from util.task import Source, Task

INSTRUCTION = "The answer is an integer from 0 to 999. Think it through, then write it inside \\boxed{}."


def is_of_2024(row: dict) -> bool:
    return "2024" in row["url"]


def problem(row: dict) -> Problem:
    # The answer column says "33"; solutions and models also write "033": `kind="integer"` takes both.
    about = {"url": row["url"], "exam": exam(row["url"])}
    return Problem(str(row["id"]), row["problem"], row["answer"], about=about)


def exam(url: str) -> str:
    """Which of the two contests of a year a problem is of, by the address of its page."""
    found = re.search(r"AIME_(II?)(?![A-Z])", url)
    return f"AIME {found[1]}" if found else ""


def prompt(problem: Problem, model: str) -> str:
    if "sky-t1" in model.lower():  # trained on questions that come before their instruction
        return f"{problem.question}\n{INSTRUCTION}"
    return f"{INSTRUCTION}\n\n{problem.question}"


def grade(problem: Problem, response: str) -> Verdict:
    return grade_maths(problem.answer, response, kind="integer")


def gold(row: dict) -> str | None:
    return right_answer(f"{int(row['answer']):03d}")


task = Task(
    name="AIME",
    source=Source(
        path="AI-MO/aimo-validation-aime",
        files={"train": ("data/train-00000-of-00001.parquet",)},
        split="train",
        revision="13f9e12f613e720c2a2b2f345dd04b998a29494d",
        keep=is_of_2024,
        licence="Apache-2.0",
    ),
    problem=problem,
    prompt=prompt,
    prompts={"plain": plain_maths_prompt},
    grade=grade,
    gold=gold,
    groups=("exam",),
)
