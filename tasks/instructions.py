"""Benchmarks of instructions that a program can check, such as "without commas" or "at least 300 words"."""

import json
from dataclasses import replace

from util.grading.instructions import grade_instructions
from util.grading.instructions.language import lacking
from util.records import RULES, Problem
from util.task import Source, Task

IFEVAL_REVISION = "193ae952ec892316cf21fb5d8cbb704e811fe873"
HOW = {"accuracy": "share of prompts whose instructions are all followed strictly"}


def problem(row: dict) -> Problem:
    names, arguments = row.get("instruction_id_list") or [], row.get("kwargs") or []
    given = [{key: value for key, value in (one or {}).items() if value is not None} for one in arguments]
    rules = list(zip(names, given, strict=False))
    return Problem(
        str(row["key"]),
        row["prompt"],
        json.dumps(rules, ensure_ascii=False),
        about={RULES: len(rules)},
        unusable="" if names and len(names) == len(given) else "not as many arguments as instructions",
    )


def prompt(problem: Problem, model: str) -> str:
    return problem.question


def gold(row: dict) -> str | None:
    return None  # nobody has written answers


def instructions(name: str, path: str, file: str, licence: str, revision: str = "main") -> Task:
    source = Source(path, {"train": (file,)}, "train", revision, licence=licence)
    task = Task(name, source, problem, prompt, grade_instructions, gold, groups=(RULES,), notes=HOW)
    return replace(task, lacking=lacking)


_ALL = (
    instructions("IFEval", "google/IFEval", "ifeval_input_data.jsonl", "Apache-2.0", IFEVAL_REVISION),
    instructions("IFBench", "allenai/IFBench_test", "data/train-00000-of-00001.parquet", "ODC-BY 1.0"),
)
TASKS = {task.name: task for task in _ALL}
