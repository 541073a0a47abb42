"""Can pairs come of this run, and if not, what does its user do next?"""

from __future__ import annotations

from pathlib import Path

from util.errors import UserError
from util.runs.repeat import more_samples_command
from util.task import Task
from util.training.pairs.survey import CORRECT, Candidate, Survey

USUAL_SAMPLES = 8  # per problem


def is_code(task: Task | None) -> bool:
    """Whether answers are programs, which are judged by tests and never cut."""
    return task is not None and task.source.tests_on_disk


def check_references(found: Survey, folder: Path) -> None:
    """Raise UserError where attempts cannot be judged because no problem has an answer."""
    if len(found) and not found.with_reference:
        raise UserError(
            f"no problem of {folder} has a reference answer, so no attempt can be judged: "
            "give --variants whole, or generate again from a data set with answers"
        )


def check_samples(found: Survey, problems: list[Candidate], folder: Path) -> None:
    """Raise UserError where no pair can come of the samples, whatever is done with them."""
    if not len(found):
        raise UserError(
            f"{folder} has no samples: generate first\n  {more_samples_command(folder, n=USUAL_SAMPLES)}"
        )
    if len(found) == len(problems):
        raise UserError(
            f"{folder} has one sample per problem; a pair needs at least two, {USUAL_SAMPLES} are usual:\n"
            f"  {more_samples_command(folder, n=USUAL_SAMPLES)}"
        )
    if not found.counts[CORRECT]:
        raise UserError(
            f"none of the {len(found)} samples of {folder} is correct, so there is nothing to prefer: "
            "draw more samples, or choose easier problems or a stronger model"
        )
    if not any(candidate.base or candidate.silc for candidate in problems):
        raise UserError(
            f"stage 'choosing samples': no problem of {folder} has two correct samples; draw more:\n"
            f"  {more_samples_command(folder, n=USUAL_SAMPLES)}"
        )
