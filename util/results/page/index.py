"""Which runs does a page have, and which could not be shown?

Call `index_of_runs`: a table with a line for each, linked to its samples on the same page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from util.records import exact_number
from util.results.page.frame import table
from util.results.page.gather import RunFacts, Shelf


def index_of_runs(
    runs: Sequence[RunFacts], names: Sequence[str], left_out: Mapping[Path, str], shelf: Shelf
) -> str:
    """The table; "" where there is but one run, and nothing to choose from."""
    if len(runs) + len(left_out) < 2:
        return ""
    head = ("run", "benchmark", "model", "result", "complete", "samples below")
    rows = [
        _row(number, run, name, shelf) for number, (run, name) in enumerate(zip(runs, names, strict=True))
    ]
    rows += [
        (escape(str(folder)), "–", "–", "–", f"not shown: {escape(_in_short(why))}", "–")
        for folder, why in left_out.items()
    ]
    listed = table(head, rows, words=(0, 1, 2, 3, 4), cards=True)
    return f'<h2 id="runs">Runs</h2>{listed}'


def _row(number: int, run: RunFacts, name: str, shelf: Shelf) -> tuple[str, ...]:
    settings = run.info["settings"]
    several = len(run.headlines) > 1
    scores = [
        f"{f'T {exact_number(temperature)}: ' if several else ''}{found.score() or '–'}"
        for temperature, found in run.headlines.items()
    ]
    unfinished = [found.unfinished() for found in run.headlines.values()]
    return (
        f'<a href="#run={number}">{escape(name)}</a><br><span class="faint">{escape(run.folder.name)}</span>',
        escape(str(settings.get("task"))),
        escape(str(settings.get("model"))),
        "<br>".join(map(escape, scores)).replace(", ", ",&nbsp;"),  # an interval in one line
        escape("; ".join(dict.fromkeys(filter(None, unfinished)))) or "complete",
        shelf.told_of(number),
    )


def _in_short(why: str) -> str:
    """Without the command that mends it: the terminal has that."""
    told, command, _ = why.partition("\n")
    return told.rpartition(":")[0] if command else told
