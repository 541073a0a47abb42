"""Further benchmarks of multiple choice."""

from dataclasses import replace

from tasks import gpqa, mmlu
from tasks.own import problem as problem_of_columns
from tasks.own import task_of_columns
from util.records import Problem
from util.task import Source, Task


def larger_gpqa(name: str, file: str) -> Task:
    source = replace(gpqa.task.source, files={"train": (file,)})
    return replace(gpqa.task, name=name, source=source, hub_task="")


def is_ok(row: dict) -> bool:
    """Whether the people who read the questions of MMLU again found nothing wrong with this one."""
    return row["error_type"] == "ok"


def redux_problem(row: dict) -> Problem:
    found = problem_of_columns(row, columns=REDUX, grade="letter", facts=())
    return replace(found, about={"subject": row["config"], "area": mmlu.area(row["config"])})


REDUX = {"question": "question", "options": "choices", "answer": "answer", "first": "0"}
SUPER = {"question": "question", "options": "options", "answer": "answer_letter", "id": "uuid"}
_ALL = (
    larger_gpqa("GPQAMain", "gpqa_main.csv"),
    larger_gpqa("GPQAExtended", "gpqa_extended.csv"),
    replace(
        task_of_columns(
            "MMLURedux",
            Source(
                path="edinburgh-dawg/mmlu-redux-2.0",
                files={},
                split="test",
                config="*",  # a subject each
                is_streamed=True,
                keep=is_ok,
                licence="CC BY 4.0",
            ),
            REDUX,
            grade="letter",
        ),
        problem=redux_problem,
        groups=("area", "subject"),
        notes={"rows": "those that were found to be in order"},
    ),
    task_of_columns(
        "SuperGPQA",
        Source(
            path="m-a-p/SuperGPQA",
            files={"train": ("SuperGPQA-all.jsonl",)},
            split="train",
            revision="05eef0be7d48bb605979bc70f9b95b1a9d417073",
            licence="see its card",
        ),
        SUPER,
        grade="letter",
        facts=("discipline", "field", "difficulty"),
    ),
)
TASKS = {task.name: task for task in _ALL}
