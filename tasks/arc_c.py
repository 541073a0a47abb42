"""ARC-C: 1,172 grade-school science questions (the challenge set) with three to five options each."""

from tasks.common import grade_letter, letter_prompt, right_letter
from util.records import Problem
from util.task import Source, Task

LETTERS = "ABCDE"


def answer_letter(row: dict) -> str | None:
    # 22 test rows number their options 1-4 instead of A-D, so letters follow the position.
    labels = row["choices"]["label"]
    return LETTERS[labels.index(row["answerKey"])] if row["answerKey"] in labels else None


def problem(row: dict) -> Problem:
    letter = answer_letter(row)
    return Problem(
        row["id"],
        row["question"],
        letter,
        choices=tuple(row["choices"]["text"]),
        unusable="" if letter else "the answer is not among the options",
    )


def gold(row: dict) -> str | None:
    letter = answer_letter(row)
    return None if letter is None else right_letter(letter)


task = Task(
    name="ARC-C",
    source=Source(
        path="allenai/ai2_arc",
        files={
            "test": ("ARC-Challenge/test-00000-of-00001.parquet",),
            "validation": ("ARC-Challenge/validation-00000-of-00001.parquet",),
            "train": ("ARC-Challenge/train-00000-of-00001.parquet",),
        },
        split="test",
        revision="210d026faf9955653af8916fad021475a3f00453",
        licence="CC BY-SA 4.0",
    ),
    problem=problem,
    prompt=letter_prompt,
    grade=grade_letter,
    gold=gold,
)
