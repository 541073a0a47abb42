"""Which runs lie in what a person named, and how do they become one page?

Call `runs_in`, then `write_page`. A run that cannot be shown is named and does not stop the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from util.errors import UserError
from util.results.page import PAGE_MB, PAGE_SAMPLES
from util.results.page.counts import StepCounts
from util.results.page.gather import MB, RunFacts, Shelf, read_run
from util.results.page.page import write_report
from util.runs.folder import read_run_json
from util.runs.lines import SAMPLES


@dataclass(frozen=True)
class Named:
    """What lies in the paths that were named."""

    runs: list[Path]
    skipped: list[Path]  # files, and folders without a run


@dataclass(frozen=True)
class Page:
    """What was written."""

    runs: list[RunFacts]
    left_out: dict[Path, str]  # runs that cannot be shown, and why
    told: str  # how many samples of the runs it has, if not all of them; else ""


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


def write_page(
    path: Path,
    folders: Sequence[Path],
    *,
    samples: int = PAGE_SAMPLES,
    page_mb: int = PAGE_MB,
    counts: Sequence[StepCounts] = (),
) -> Page:
    """Write the report of the runs. Raises UserError where none of them can be shown."""
    runs: list[RunFacts] = []
    left_out: dict[Path, str] = {}
    with closing(Shelf(samples, page_mb * MB)) as shelf:
        for folder in folders:
            try:
                runs.append(read_run(folder, number=len(runs), shelf=shelf))
            except UserError as error:
                shelf.forget(len(runs))
                left_out[folder] = str(error)
        if not runs:
            none = f"none of the {len(folders)} runs can be shown; of the first: "
            raise UserError(f"{none if len(folders) > 1 else ''}{next(iter(left_out.values()))}")
        write_report(path, runs, shelf, counts=counts, left_out=left_out)
        return Page(runs, left_out, shelf.told() if 0 < len(shelf) < shelf.seen else "")


def _at_and_below(path: Path) -> list[Path]:
    """The folder if it is a run, else those below it; one that lost its run.json is damaged, not gone."""
    if (path / "run.json").exists():
        return [path]
    files = [file for name in ("run.json", SAMPLES) for file in path.glob(f"**/{name}")]
    return sorted({file.parent for file in files})
