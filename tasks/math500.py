"""MATH500: 500 competition problems of the MATH test set with LaTeX answers."""

from tasks.common import grade_any_maths, maths_prompt, plain_maths_prompt, right_answer
from util.records import Problem
from util.task import Source, Task


def problem(row: dict) -> Problem:
    about = {"subject": row["subject"], "level": row["level"]}
    return Problem(row["unique_id"], row["problem"], row["answer"], about=about)


def gold(row: dict) -> str | None:
    return right_answer(row["answer"])


task = Task(
    name="MATH500",
    source=Source(
        path="HuggingFaceH4/MATH-500",
        files={"test": ("test.jsonl",)},
        split="test",
        revision="6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
        licence="MIT",
    ),
    problem=problem,
    prompt=maths_prompt,
    prompts={"plain": plain_maths_prompt},
    grade=grade_any_maths,
    gold=gold,
    groups=("subject", "level"),
)
