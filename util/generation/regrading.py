"""How are the samples of a run graded that have no verdict yet, when only its folder is given?"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from util.data.rows import open_rows, problems
from util.errors import UserError
from util.generation.judging import Grading
from util.grading.pool import GradingPool
from util.machines.cores import usable_cores
from util.machines.versions import made_with
from util.records import TestSuite
from util.runs.folder import Run, read_run_json
from util.runs.journal import read_lines
from util.runs.reader import PROBLEMS
from util.task import Task


def grade_ungraded(
    folder: Path,
    task: Task,
    *,
    left: int,
    data_dir: Path | None = None,
    on_progress: Callable[[int], None] = lambda tokens: None,
) -> int:
    """Grade the `left` samples of a run that have no verdict on today's text; returns how many still have
    none.

    Rows are read again only where problems.jsonl does not hold the references (test suites).
    """
    if not os.access(folder, os.W_OK):
        raise UserError(
            f"{left} samples of {folder} are not graded, and the folder cannot be written to: copy it to "
            "where you may write, or grade it there with inference_and_check.py --check"
        )
    info = read_run_json(folder)
    references = _references(folder, task, info, data_dir)
    with Run(folder, settings=info["settings"], made_with=made_with()) as run:
        with GradingPool(usable_cores()) as pool:
            grading = Grading(run, task, pool, references)
            try:
                grading.grade_rest(on_progress)
            finally:
                grading.close()
            return grading.without_problem


def _references(folder: Path, task: Task, info: dict, data_dir: Path | None) -> dict[str, TestSuite]:
    """References that are no text, by problem, from the rows that the run was made with."""
    wanted = {line["id"] for _, line in read_lines(folder / PROBLEMS) if line["answer"] is None}
    if not wanted:
        return {}
    settings = info["settings"]
    rows = open_rows(
        task.source,
        split=settings.get("split"),
        revision=info["dataset"].get("revision"),
        data_dir=data_dir or info.get("asked", {}).get("data_dir"),
    )
    chosen = {name: settings[name] for name in ("source", "start", "end") if settings.get(name) is not None}
    return {
        problem.id: problem.reference
        for problem in problems(task, rows, **chosen)
        if problem.id in wanted and isinstance(problem.reference, TestSuite)
    }
