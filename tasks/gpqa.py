"""GPQADiamond: 198 graduate questions of biology, physics and chemistry, given out on request only."""

import random

from tasks.common import LETTERS, grade_letter, letter_prompt, right_letter
from util.records import Problem, by_letter
from util.task import Source, Task

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
        LETTERS[order.index("Correct Answer")],
        choices=texts,
        about={"field": row["High-level domain"].strip(), "subject": row["Subdomain"].strip()},
        unusable=unusable,
    )


def plain_prompt(problem: Problem, model: str) -> str:
    options = "\n".join(f"({letter}) {text}" for letter, text in by_letter(problem.choices).items())
    return f"{problem.question}\n{options}\nPut the letter of your choice in \\boxed{{}}."


def gold(row: dict) -> str | None:
    return right_letter(LETTERS[shown(row).index("Correct Answer")])


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
    prompt=letter_prompt,
    prompts={"plain": plain_prompt},
    grade=grade_letter,
    gold=gold,
    groups=("field", "subject"),
    hub_task="gpqa_diamond",
    notes={"publishing": "the authors ask that questions and options are not published"},
)
