"""MMLUPro: 12,032 harder questions of 14 fields with four to ten options each."""

from util.grading.choice import grade_choice
from util.records import Problem, Verdict
from util.task import Source, Task

INSTRUCTION = "Think it through, then write the letter of the right option inside \\boxed{}."
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


def prompt(problem: Problem, model: str) -> str:
    options = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, problem.choices, strict=False))
    return f"{problem.question}\n\n{options}\n\n{INSTRUCTION}"


def grade(problem: Problem, response: str) -> Verdict:
    return grade_choice(problem.answer, response, options=problem.choices)


def gold(row: dict) -> str | None:
    return f"The right option is \\boxed{{{row['answer']}}}."


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
    prompt=prompt,
    grade=grade,
    gold=gold,
    hub_task="mmlu_pro",
    groups=("category",),
)
