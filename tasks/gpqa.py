"""GPQADiamond: 198 graduate questions of biology, physics and chemistry, given out on request only."""

import random

from util.grading.choice import grade_choice
from util.records import Problem, Verdict
from util.task import Source, Task

INSTRUCTION = "Think it through, then write the letter of the right option inside \\boxed{}."
OPTIONS = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


def shown(row: dict) -> list[str]:
    """Columns of the four options in the order shown, which follows from the row's id alone."""
    order = list(OPTIONS)
    random.Random(row["Record ID"].strip()).shuffle(order)
    return order


def problem(row: dict) -> Problem:
    order = shown(row)
    texts = tuple(row[column].strip() for column in order)
    unusable = "two options are equal" if len(set(texts)) < 4 else "an option is empty" if "" in texts else ""
    return Problem(
        row["Record ID"].strip(),
        row["Question"].strip(),
        "ABCD"[order.index("Correct Answer")],
        choices=texts,
        about={"field": row["High-level domain"].strip(), "subject": row["Subdomain"].strip()},
        unusable=unusable,
    )


def prompt(problem: Problem, model: str) -> str:
    options = "\n".join(f"{letter}. {text}" for letter, text in zip("ABCD", problem.choices, strict=True))
    return f"{problem.question}\n\n{options}\n\n{INSTRUCTION}"


def plain_prompt(problem: Problem, model: str) -> str:
    options = "\n".join(f"({letter}) {text}" for letter, text in zip("ABCD", problem.choices, strict=True))
    return f"{problem.question}\n{options}\nPut the letter of your choice in \\boxed{{}}."


def grade(problem: Problem, response: str) -> Verdict:
    return grade_choice(problem.answer, response, options=problem.choices)


def gold(row: dict) -> str | None:
    return f"The right option is \\boxed{{{'ABCD'[shown(row).index('Correct Answer')]}}}."


task = Task(
    name="GPQADiamond",
    source=Source(
        path="Idavidrein/gpqa",
        files={"train": ("gpqa_diamond.csv",)},
        split="train",
        revision="633f5ee89ab8ad4522a9f850766b73f62147ffdd",
        licence="CC BY 4.0",
    ),
    problem=problem,
    prompt=prompt,
    prompts={"plain": plain_prompt},
    grade=grade,
    gold=gold,
    groups=("field", "subject"),
    hub_task="gpqa_diamond",
    notes={"publishing": "the authors ask that questions and options are not published"},
)
