"""Benchmarks whose answers a judge grades: any wording may be right."""

from dataclasses import replace

from tasks.own import task_of_columns
from util.task import Source, Task


def is_text_only(row: dict) -> bool:
    """Whether a question needs no picture."""
    return not row["image"]


def judged(source: Source, name: str, columns: dict[str, str], *facts: str) -> Task:
    return task_of_columns(name, source, columns, grade="judge", facts=facts)


_ALL = (
    judged(
        Source("google/simpleqa-verified", files={}, split="eval", is_streamed=True, licence="MIT"),
        "SimpleQA-Verified",
        {"question": "problem", "answer": "answer", "id": "original_index"},
        "topic",
        "answer_type",
    ),
    replace(
        judged(
            Source("cais/hle", files={}, split="test", is_streamed=True, licence="MIT", keep=is_text_only),
            "HLE-text",
            {"question": "question", "answer": "answer", "id": "id"},
            "category",
            "answer_type",
        ),
        notes={
            "rows": "those without a picture",
            "publishing": "its authors ask to keep the questions out of training data",
        },
    ),
)
TASKS = {task.name: task for task in _ALL}
