"""Can pairs come of this run, and if not, what does its user do next?"""

from __future__ import annotations

import shlex
from pathlib import Path

from util.errors import UserError
from util.pair_samples import CORRECT, Candidate, Survey
from util.task import Task


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


def check_samples(found: Survey, problems: list[Candidate], info: dict, folder: Path) -> None:
    """Raise UserError where no pair can come of the samples, whatever is done with them."""
    if not len(found):
        raise UserError(f"{folder} has no samples: generate first\n  {more_samples(info, folder)}")
    if len(found) == len(problems):
        raise UserError(
            f"{folder} has one sample per problem; a pair needs at least two, 8 are usual:\n"
            f"  {more_samples(info, folder)}"
        )
    if not found.counts[CORRECT]:
        raise UserError(
            f"none of the {len(found)} samples of {folder} is correct, so there is nothing to prefer: "
            "draw more samples, or choose easier problems or a stronger model"
        )
    if not any(candidate.base or candidate.silc for candidate in problems):
        raise UserError(
            f"stage 'choosing samples': no problem of {folder} has two correct samples; draw more:\n"
            f"  {more_samples(info, folder)}"
        )


def more_samples(info: dict, folder: Path) -> str:
    """The command that draws eight samples per problem of the same run."""
    settings = info["settings"]
    temperatures = [t for t in info.get("asked", {}).get("temperatures", ()) if t > 0] or [0.7]
    words = [
        "python",
        "inference_and_check.py",
        "--dataset",
        settings.get("task"),
        "--model",
        settings.get("model"),
    ]
    for flag, usual in (
        ("split", None),
        ("source", None),
        ("start", 0),
        ("end", -1),
        ("max_tokens", 32768),
        ("seed", 0),
        ("prompt", "default"),
    ):
        if settings.get(flag, usual) not in (usual, None):
            words += [f"--{flag.replace('_', '-')}", settings[flag]]
    words += ["--temperatures", *temperatures, "--n", 8, "--result-dir", folder.parent]
    return shlex.join(map(str, words))
