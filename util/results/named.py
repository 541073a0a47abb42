"""Which runs lie in what a person named, and which of them are of the same benchmark?

Call `runs_in`; of several folders, `by_benchmark`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from util.errors import UserError
from util.runs.folder import at_and_below, read_run_json
from util.settings import SETTINGS, values_of

WHICH_PROBLEMS = ("rows", "livecodebench")  # groups of settings


@dataclass(frozen=True)
class Named:
    """What lies in the paths that were named."""

    runs: list[Path]
    skipped: list[Path]  # files, and folders without a run


@dataclass(frozen=True)
class Together:
    """Runs of one benchmark, in the order of the folders that were named."""

    name: str
    runs: list[Path]


@dataclass(frozen=True)
class Benchmarks:
    """What several folders have in common."""

    together: list[Together]
    left_out: list[str] = field(
        default_factory=list
    )  # what they do not, and what is damaged, a sentence each


def runs_in(paths: Sequence[Path]) -> Named:
    """All runs at and below the paths, in order of their names. Raises UserError where one is named twice.

    A path that does not exist, and one that stands alone without a run, is refused with what is there.
    """
    runs: list[Path] = []
    skipped = []
    for path in paths:
        below = _at_and_below(path)
        if not below and (len(paths) == 1 or not path.exists()):
            read_run_json(path)
        elif not below:
            skipped.append(path)
        runs += below
    if len({run.resolve() for run in runs}) < len(runs):
        raise UserError("a run is named twice: name each run once")
    if not runs:
        raise UserError(
            f"no run at any of {', '.join(map(str, paths))}: name the folder of a run, the one with "
            "run.json, or a folder of runs"
        )
    return Named(runs, skipped)


def by_benchmark(paths: Sequence[Path]) -> Benchmarks:
    """The runs of the same benchmark in each of the paths, or all of them in a single one.

    Runs that are named one by one are compared as they are; beside a run only its own benchmark counts.
    Raises UserError where there is nothing to pair.
    """
    if all((path / "run.json").exists() for path in paths):
        return Benchmarks([Together("", list(paths))])
    left_out: list[str] = []
    columns = [_of_path(path, left_out) for path in paths]
    single = [column for path, column in zip(paths, columns, strict=True) if (path / "run.json").exists()]
    names = _names([which for column in single or columns for which in column])
    if len(paths) > 1:
        for path, column in zip(paths, columns, strict=True):
            _refuse_two_of_one(path, {name: column.get(which, []) for which, name in names.items()})
    together = []
    for which, name in names.items():
        runs = [run for column in columns for run in column.get(which, ())]
        if len(runs) >= max(2, len(paths)):
            together.append(Together(name, runs))
        else:
            here = " and ".join(map(str, runs))
            left_out.append(f"of {name} there is no other run to compare with {here}")
    if not names:
        raise UserError(left_out[0])
    if not together and len(paths) == 1:
        there = ", ".join(names.values())
        raise UserError(
            f"{paths[0]} has one run of each benchmark ({there}): name another folder or run to compare with"
        )
    if not together:
        there = "; ".join(
            f"{path} has {', '.join(names.get(which, which[0]) for which in column) or 'none'}"
            for path, column in zip(paths, columns, strict=True)
        )
        raise UserError(f"nothing to compare: no benchmark has a run in each ({there}); name other folders")
    return Benchmarks(together, left_out)


# --- details ---


def _at_and_below(path: Path) -> list[Path]:
    """The folder if it is a run, else those below it."""
    return [path] if (path / "run.json").exists() else at_and_below(path)


Which = tuple[str, str]  # a benchmark, and the settings by which its problems were chosen


def _of_path(path: Path, left_out: list[str]) -> dict[Which, list[Path]]:
    """The runs at and below a path by benchmark; those that cannot be read are named in `left_out`."""
    found: dict[Which, list[Path]] = {}
    for run in runs_in([path]).runs:
        try:
            info = read_run_json(run)
        except UserError as error:
            left_out.append(str(error))
            continue
        values = values_of(info)
        told = (
            setting.shown(values[setting.name]) for setting in SETTINGS if setting.group in WHICH_PROBLEMS
        )
        which = (str(info["settings"].get("task")), ", ".join(filter(None, told)))
        found.setdefault(which, []).append(run)
    return found


def _names(which: Sequence[Which]) -> dict[Which, str]:
    """The benchmark's name, with the settings where the same one is there with others."""
    tasks = Counter(task for task, _ in dict.fromkeys(which))
    return {(task, told): f"{task}, {told}" if tasks[task] > 1 else task for task, told in which}


def _refuse_two_of_one(path: Path, column: dict[str, list[Path]]) -> None:
    for name, runs in column.items():
        if len(runs) > 1:
            raise UserError(
                f"{path} has {len(runs)} runs of {name}, {runs[0]} and {runs[1]}: name one of them, or a "
                "folder with one of each benchmark"
            )
