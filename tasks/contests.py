"""Further benchmarks of mathematics: contests since 2025 and collections of olympiad problems."""

from dataclasses import replace

from tasks import aime
from tasks.own import task_of_columns
from util.task import Source, Task

SHARE_ALIKE = "CC BY-NC-SA 4.0"
NO_EXPORT = {"export": "the licence allows evaluation, and no training data for sale"}


def contest(
    name: str, path: str, revision: str = "main", *, kind: Task | None = None, hub_task: str = ""
) -> Task:
    """A contest that MathArena has collected; answers are integers from 0 to 999 where `kind` is AIME."""
    source = Source(
        path=f"MathArena/{path}",
        files={"train": ("data/train-00000-of-00001.parquet",)},
        split="train",
        revision=revision,
        licence=SHARE_ALIKE,
    )
    columns = {"question": "problem", "answer": "answer", "id": "problem_idx"}
    task = task_of_columns(name, source, columns, facts=("problem_type",))
    task = replace(task, notes=NO_EXPORT, hub_task=hub_task)
    return task if kind is None else replace(task, prompt=kind.prompt, prompts=kind.prompts, grade=kind.grade)


def streamed(
    name: str, path: str, config: str | None, split: str, licence: str, *facts: str, **columns: str
) -> Task:
    source = Source(path=path, files={}, split=split, config=config, is_streamed=True, licence=licence)
    return task_of_columns(name, source, columns, facts=facts)


OLYMMATH = {"question": "problem", "answer": "answer"}
_ALL = (
    contest("AIME25", "aime_2025", kind=aime.task),
    contest("AIME26", "aime_2026", kind=aime.task, hub_task="MathArena/aime_2026"),
    contest("HMMT-Feb25", "hmmt_feb_2025"),
    contest("HMMT-Nov25", "hmmt_nov_2025", "118dbfb45c4c9467c672268ed55166642897aa46"),
    contest("HMMT-Feb26", "hmmt_feb_2026", "02fba4f74d8e68e73e66a02d540fd979c05c274c"),
    contest("BRUMO25", "brumo_2025"),
    contest("CMIMC25", "cmimc_2025"),
    task_of_columns(
        "OlympiadBench",  # the problems in English that need no picture and have a final answer
        Source(
            path="Hothan/OlympiadBench",
            files={"train": ("OlympiadBench/OE_TO_maths_en_COMP/OE_TO_maths_en_COMP.parquet",)},
            split="train",
            licence="Apache-2.0",
        ),
        {"question": "question", "answer": "final_answer", "id": "id"},
        facts=("subfield",),
    ),
    task_of_columns(
        "Minerva",  # the column of answers is cut at the wrong brace in 113 of 272 rows: solutions have boxes
        Source(
            path="math-ai/minervamath", files={"test": ("test.jsonl",)}, split="test", licence="see its card"
        ),
        {"question": "question", "answer": "solution", "id": "idx"},
        facts=("type",),
    ),
    streamed(
        "MATH",
        "EleutherAI/hendrycks_math",
        "*",
        "test",
        "MIT",
        "type",
        "level",
        question="problem",
        answer="solution",
    ),
    streamed(
        "IMOAnswerBench",
        "OpenEvals/IMO-AnswerBench",
        None,
        "train",
        "CC BY 4.0",
        "Category",
        question="Problem",
        answer="Short Answer",
        id="Problem ID",
    ),
    *(
        streamed(f"OlymMATH-{part}", "RUC-AIBOX/OlymMATH", part, "test", "MIT", "subject", **OLYMMATH)
        for part in ("en-easy", "en-hard", "zh-easy", "zh-hard")
    ),
)
TASKS = {task.name: task for task in _ALL}
