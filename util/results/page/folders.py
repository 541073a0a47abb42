"""How do the runs of several folders become one page?

Call `write_page`. A run that cannot be shown is named and does not stop the others.
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


@dataclass(frozen=True)
class Page:
    """What was written."""

    runs: list[RunFacts]
    left_out: dict[Path, str]  # runs that cannot be shown, and why
    told: str  # how many samples of the runs it has, if not all of them; else ""

    def lacks(self) -> list[str]:
        """What is not on the page, a sentence each."""
        left_out = [f"WARNING: not on the page: {why}" for why in self.left_out.values()]
        return left_out + ([f"the page has {self.told}"] if self.told else [])


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
