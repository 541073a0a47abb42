"""NUMINA: 859,494 competition and school problems whose reference is the boxed end of a worked solution."""

from tasks.common import grade_any_maths, maths_prompt
from util.grading.maths.answers import boxes, parts
from util.records import Problem
from util.task import Source, Task, content_id


def answer_text(solution: str) -> str | None:
    """The boxes of all numbered parts of a solution, otherwise its last box."""
    found = boxes(solution)
    several = parts(solution) if len(found) > 1 else []
    if several:
        return "; ".join(f"\\boxed{{{part}}}" for part in several)
    return found[-1] if found else None


def problem(row: dict) -> Problem:
    question, solution = row["problem"] or "", row["solution"] or ""
    answer = answer_text(solution)
    about = {"source": row["source"], "boxes": solution.count("\\boxed")}
    unusable = ""
    if not question.strip():
        unusable = "no question"
    elif answer is None:
        unusable = "no boxed answer"  # proofs, and solutions that end in words
    return Problem(
        content_id(row["source"], row["problem"], row["solution"]),
        question,
        answer,
        about=about,
        unusable=unusable,
    )


def gold(row: dict) -> str | None:
    answer = answer_text(row["solution"] or "")
    if answer is None:
        return None
    boxed = answer if "\\boxed" in answer else f"\\boxed{{{answer}}}"
    return f"The final answer is {boxed}."


task = Task(
    name="NUMINA",
    source=Source(
        path="AI-MO/NuminaMath-CoT",
        files={
            "train": tuple(f"data/train-0000{shard}-of-00005.parquet" for shard in range(5)),
            "test": ("data/test-00000-of-00001.parquet",),
        },
        split="train",
        revision="9d8d210c9f6a36c8f3cd84045668c9b7800ef517",
        by="source",
        columns=("source", "problem", "solution"),  # `messages` repeats both: half of the bytes
        labels="NovaSky-AI/labeled_numina_difficulty_859K",
        licence="Apache-2.0",
    ),
    problem=problem,
    prompt=maths_prompt,
    grade=grade_any_maths,
    gold=gold,
    groups=("source", "difficulty"),
)
