"""How do the samples get into a page?

Call `write_samples`: compressed pieces that the page's script unpacks when they are looked at.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from contextlib import closing
from typing import TextIO

from util.results.counting import OUTCOMES
from util.results.page.gather import RunFacts, Shelf, stored_problem
from util.runs.reader import StoredProblems

SAMPLES_PER_PIECE = 50


def write_samples(out: TextIO, runs: Sequence[RunFacts], names: Sequence[str], shelf: Shelf) -> None:
    whole = len(shelf) == shelf.seen
    shown = "all samples" if whole else f"{len(shelf)} of {shelf.seen} samples, chosen evenly"
    out.write(
        f'<h2 id="list">Samples</h2><p class="faint">Here are {shown}. Search looks into questions, answers '
        "and responses.</p>"
    )
    out.write(_controls() + _turner("count") + f'<div id="samples"></div>{_turner("")}\n')
    index = _Index(names)
    with closing(_Problems(runs)) as problems:
        piece: list[dict] = []
        number = 0
        for run, sample in shelf.samples():
            index.add(run, sample, problems.place(run, sample["problem_id"]))
            piece.append({key: value for key, value in sample.items() if key not in ("outcome", "tokens")})
            if len(piece) == SAMPLES_PER_PIECE:
                out.write(_packed(f"piece-{number}", piece))
                piece, number = [], number + 1
        if piece:
            out.write(_packed(f"piece-{number}", piece))
        out.write(_packed("index", index.content(problems.found)))


def _controls() -> str:
    orders = {
        "stored": "as generated",
        "problem": "by problem",
        "outcome": "by outcome",
        "shortest": "shortest first",
        "longest": "longest first",
    }
    choices = {"run": {"": "all runs"}, "outcome": {"": "all outcomes"}, "order": orders}
    parts = ['<input id="search" type="search" placeholder="search" aria-label="search">']
    for name, options in choices.items():
        inner = "".join(f'<option value="{value}">{label}</option>' for value, label in options.items())
        parts.append(f'<select id="{name}" aria-label="{name}">{inner}</select>')
    for name, label in (("open-all", "open all"), ("close-all", "close all")):
        parts.append(f'<button id="{name}" type="button">{label}</button>')
    return f'<div class="controls">{"".join(parts)}</div>'


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
        self._stored = [StoredProblems(run.folder) for run in runs]
        self._places: dict[tuple[int, str], int] = {}
        self.found: list[dict] = []

    def place(self, run: int, problem_id: str) -> int:
        key = (run, problem_id)
        if key not in self._places:
            self._places[key] = len(self.found)
            self.found.append(stored_problem(self._stored[run], problem_id))
        return self._places[key]

    def close(self) -> None:
        for stored in self._stored:
            stored.close()


class _Index:
    """One column per fact that the list is searched and sorted by."""

    def __init__(self, runs: Sequence[str]) -> None:
        self._runs = runs
        self._columns: dict[str, list] = {
            name: [] for name in ("run", "problem", "outcome", "tokens", "extracted")
        }

    def add(self, run: int, sample: dict, problem: int) -> None:
        values = (run, problem, sample["outcome"], sample["tokens"], sample["extracted"])
        for column, value in zip(self._columns.values(), values, strict=True):
            column.append(value)

    def content(self, problems: list[dict]) -> dict:
        return {
            **self._columns,
            "runs": list(self._runs),
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
