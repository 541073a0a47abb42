"""ARC-C: 1,172 grade-school science questions (the challenge set) with three to five options each."""

from util.grading.choice import grade_choice
from util.records import Problem, Verdict
from util.task import Source, Task

INSTRUCTION = "Think it through, then write the letter of the right option inside \\boxed{}."
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


def prompt(problem: Problem, model: str) -> str:
    options = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, problem.choices, strict=False))
    return f"{problem.question}\n\n{options}\n\n{INSTRUCTION}"


def grade(problem: Problem, response: str) -> Verdict:
    return grade_choice(problem.answer, response, options=problem.choices)


def gold(row: dict) -> str | None:
    letter = answer_letter(row)
    return None if letter is None else f"The right option is \\boxed{{{letter}}}."


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
    prompt=prompt,
    grade=grade,
    gold=gold,
)
