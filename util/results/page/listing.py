"""How do the samples get into a page?

Call `write_samples`: compressed pieces that the page's script unpacks when they are looked at.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from html import escape
from typing import TextIO

from util.records import exact_number
from util.results.counting import OUTCOMES, Tally, groups_of
from util.results.page.frame import script_bytes
from util.results.page.gather import RunFacts, Shelf, stored_problem
from util.runs.reader import StoredProblems

SAMPLES_PER_PIECE = 50
# What the list filters and sorts by; the rest of a sample is unpacked only when it is looked at.
INDEXED = ("temperature", "index", "outcome", "reason", "finish_reason", "extracted", "tokens")
AROUND = 20_000  # bytes of the list's controls


def write_samples(out: TextIO, runs: Sequence[RunFacts], names: Sequence[str], shelf: Shelf) -> None:
    """Write the list, of as many samples as the page has room for."""
    out.flush()
    room = shelf.page_bytes - os.fstat(out.fileno()).st_size - AROUND - script_bytes()
    data = _data(runs, names, shelf)
    while len(shelf) and (size := sum(map(len, data))) > room:
        shelf.shrink(0.97 * max(room, 0) / size)
        data = _data(runs, names, shelf)
    out.write(
        f'<h2 id="list">Samples</h2><p class="faint">Here are {shelf.told()}. Search looks into questions, '
        "answers and responses. Keys: / searches, j and k go to the next and the previous one.</p>"
    )
    out.write('<div id="rates"></div>' + _controls(runs) + _turner("count"))
    out.write(f'<div id="samples"></div>{_turner("")}\n')
    out.writelines(data)


def _data(runs: Sequence[RunFacts], names: Sequence[str], shelf: Shelf) -> list[str]:
    """The samples in pieces, and the index that says what is where."""
    index = _Index(names, runs)
    parts: list[str] = []
    with closing(_Problems(runs)) as problems:
        samples = shelf.samples()
        while piece := list(itertools.islice(samples, SAMPLES_PER_PIECE)):
            for run, sample in piece:
                index.add(run, sample, problems.place(run, sample["problem_id"]))
            told = [
                {key: value for key, value in sample.items() if key not in INDEXED} for _, sample in piece
            ]
            parts.append(_packed(f"piece-{len(parts)}", told))
        return [*parts, _packed("listed", index.content(problems.found))]


def _controls(runs: Sequence[RunFacts]) -> str:
    choices = {
        "view": {"": "one row a sample", "problems": "one row a problem"},
        "order": {
            "": "as generated",
            "problem": "by problem",
            "hardest": "hardest problems first",
            "split": "most split problems first",
            "outcome": "by outcome",
            "shortest": "shortest first",
            "longest": "longest first",
        },
        "outcome": {"": "all outcomes"},
    }
    filters = {
        "run": "all runs",
        "temperature": "all temperatures",
        "index": "all indices",
        "rate": "all pass rates",
        "reason": "all reasons",
        "finish": "all endings",
    }
    groups = dict.fromkeys(name for run in runs for name in groups_of(run.info))
    parts = ['<input id="search" type="search" placeholder="search" aria-label="search" dir="auto">']
    parts += [_select(name, options) for name, options in choices.items()]
    for name, label in (("open-all", "open all"), ("close-all", "close all"), ("download", "download")):
        parts.append(f'<button id="{name}" type="button">{label}</button>')
    more = [_select(name, {"": label}) for name, label in filters.items()]
    more += [_select(f"about.{name}", {"": f"{name}: all"}, name) for name in groups]
    for name in ("problem", "extracted", "reference"):
        more.append(
            f'<input id="{name}" data-filter="{name}" placeholder="{name} is" aria-label="{name} is">'
        )
    fold = f'<details id="more"><summary>More filters</summary><div class="controls">{"".join(more)}</div>'
    return f'<div class="controls">{"".join(parts)}</div>{fold}</details>'


def _select(name: str, options: Mapping[str, str], group: str = "") -> str:
    """`group` is the fact of problems that is chosen by."""
    inner = "".join(f'<option value="{value}">{escape(label)}</option>' for value, label in options.items())
    of_group = f' data-group="{escape(group)}"' if group else ""
    kind = "" if name in ("view", "order") else f' data-filter="{escape(name)}"'
    label = escape(name.removeprefix("about."))
    return f'<select id="{escape(name)}" aria-label="{label}"{kind}{of_group}>{inner}</select>'


def _turner(count_id: str) -> str:
    count = f'<span id="{count_id}" class="faint" role="status"></span>' if count_id else ""
    return (
        '<div class="controls"><button class="previous" type="button">← previous</button>'
        '<span class="page-number faint"></span><button class="next" type="button">next →</button>'
        f"{count}</div>"
    )


class _Problems:
    """The problems of the samples shown, each read once."""

    def __init__(self, runs: Sequence[RunFacts]) -> None:
        self._runs = runs
        self._stored = [StoredProblems(run.folder) for run in runs]
        self._places: dict[tuple[int, str], int] = {}
        self.found: list[dict] = []

    def place(self, run: int, problem_id: str) -> int:
        key = (run, problem_id)
        if key not in self._places:
            self._places[key] = len(self.found)
            rates = {
                exact_number(temperature): _rate(tally, problem_id)
                for temperature, tally in self._runs[run].tallies.items()
            }
            self.found.append({**stored_problem(self._stored[run], problem_id), "rates": rates})
        return self._places[key]

    def close(self) -> None:
        for stored in self._stored:
            stored.close()


def _rate(tally: Tally, problem_id: str) -> tuple[int, int]:
    """How many samples of the problem are right, and how many are judged: of the whole run."""
    place = tally.places.get(problem_id)
    return (0, 0) if place is None else (tally.correct[place], tally.judged[place])


class _Index:
    """One column per fact that the list is searched and sorted by."""

    def __init__(self, names: Sequence[str], runs: Sequence[RunFacts]) -> None:
        self._names, self._runs = names, runs
        self._columns: dict[str, list] = {name: [] for name in ("run", "problem", *INDEXED)}

    def add(self, run: int, sample: dict, problem: int) -> None:
        values = (run, problem, *(sample[name] for name in INDEXED))
        for column, value in zip(self._columns.values(), values, strict=True):
            column.append(value)

    def content(self, problems: list[dict]) -> dict:
        settings = [run.info["settings"] for run in self._runs]
        return {
            **self._columns,
            "runs": list(self._names),
            "systems": [one.get("system_prompt") for one in settings],
            "prefills": [one.get("prefill") for one in settings],
            "outcomes": OUTCOMES,
            "per_piece": SAMPLES_PER_PIECE,
            "problems": problems,
        }


def _packed(name: str, content: object) -> str:
    """Data as a script element that no browser runs; base64 holds nothing that could end it."""
    squeezer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    data = squeezer.compress(json.dumps(content, ensure_ascii=True).encode("ascii")) + squeezer.flush()
    text = base64.b64encode(data).decode("ascii")
    return f'<script id="{name}" type="application/octet-stream">{text}</script>\n'
