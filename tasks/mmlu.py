"""MMLU: 14,042 questions of 57 subjects with four options each."""

from util.grading.choice import grade_choice
from util.records import Problem, Verdict
from util.task import Source, Task, content_id

INSTRUCTION = "Think it through, then write the letter of the right option inside \\boxed{}."


def problem(row: dict) -> Problem:
    # 173 test rows share their question with an earlier row, so the subject and the options belong to the id.
    return Problem(
        content_id(row["subject"], row["question"], row["choices"]),
        row["question"],
        "ABCD"[row["answer"]],
        choices=tuple(row["choices"]),
        about={"subject": row["subject"]},
    )


def prompt(problem: Problem, model: str) -> str:
    options = "\n".join(f"{letter}. {text}" for letter, text in zip("ABCD", problem.choices, strict=True))
    return f"{problem.question}\n\n{options}\n\n{INSTRUCTION}"


def grade(problem: Problem, response: str) -> Verdict:
    return grade_choice(problem.answer, response, options=problem.choices)


def gold(row: dict) -> str | None:
    return f"The right option is \\boxed{{{'ABCD'[row['answer']]}}}."


task = Task(
    name="MMLU",
    source=Source(
        path="cais/mmlu",
        files={
            "test": ("all/test-00000-of-00001.parquet",),
            "validation": ("all/validation-00000-of-00001.parquet",),
            "dev": ("all/dev-00000-of-00001.parquet",),
            "auxiliary_train": ("all/auxiliary_train-00000-of-00001.parquet",),
        },
        split="test",
        revision="c30699e8356da336a370243923dbaf21066bb9fe",
        by="subject",
        licence="MIT",
    ),
    problem=problem,
    prompt=prompt,
    grade=grade,
    gold=gold,
)
