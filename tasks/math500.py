"""MATH500: 500 competition problems of the MATH test set with LaTeX answers."""

from util.grading.maths import grade_maths
from util.records import Problem, Verdict
from util.task import Source, Task


def problem(row: dict) -> Problem:
    about = {"subject": row["subject"], "level": row["level"]}
    return Problem(row["unique_id"], row["problem"], row["answer"], about=about)


def prompt(problem: Problem, model: str) -> str:
    return f"{problem.question}\n\nThink it through, then write the final answer inside \\boxed{{}}."


def plain_prompt(problem: Problem, model: str) -> str:
    return f"{problem.question}\n\nPut the final answer in \\boxed{{}}."


def grade(problem: Problem, response: str) -> Verdict:
    return grade_maths(problem.answer, response, question=problem.question)


def gold(row: dict) -> str | None:
    return f"The final answer is \\boxed{{{row['answer']}}}."


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
    prompt=prompt,
    prompts={"plain": plain_prompt},
    grade=grade,
    gold=gold,
    groups=("subject", "level"),
)
