"""MMLUPro: 12,032 harder questions of 14 fields with four to ten options each."""

from tasks.common import grade_letter, letter_prompt, right_letter
from util.records import Problem
from util.task import Source, Task

LETTERS = "ABCDEFGHIJ"


def problem(row: dict) -> Problem:
    options = tuple(row["options"])
    unusable = ""
    if LETTERS.find(row["answer"]) != row["answer_index"] or not 0 <= row["answer_index"] < len(options):
        unusable = "letter and index of the answer disagree"
    return Problem(
        str(row["question_id"]),
        row["question"],
        row["answer"],
        choices=options,
        about={"category": row["category"]},
        unusable=unusable,
    )


def gold(row: dict) -> str | None:
    return right_letter(row["answer"])


task = Task(
    name="MMLUPro",
    source=Source(
        path="TIGER-Lab/MMLU-Pro",
        files={
            "test": ("data/test-00000-of-00001.parquet",),
            "validation": ("data/validation-00000-of-00001.parquet",),
        },
        split="test",
        revision="b189ec765aa7ed75c8acfea42df31fdae71f97be",
        by="category",
        licence="MIT",
    ),
    problem=problem,
    prompt=letter_prompt,
    grade=grade_letter,
    gold=gold,
    hub_task="mmlu_pro",
    groups=("category",),
)
