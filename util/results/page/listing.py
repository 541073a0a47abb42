"""How do the samples get into a page?

Call `listed`: compressed pieces that the page's script unpacks when they are looked at.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from html import escape

from util.records import exact_number
from util.results.counting import OUTCOMES, Tally, groups_of
from util.results.page.frame import script_bytes
from util.results.page.gather import RunFacts, Shelf, stored_problem
from util.runs.reader import StoredProblems

SAMPLES_PER_PIECE = 50
# What the list filters and sorts by; the rest of a sample is unpacked only when it is looked at.
INDEXED = ("temperature", "index", "outcome", "reason", "finish_reason", "extracted", "tokens")
LONGEST_VALUE = 40  # characters of a reference that is looked for in texts
FILLING = r"\\[,;!]|\\left|\\right|[\s${}]"  # what stands in a formula or not without a difference
SEARCH = '<input id="search" type="search" placeholder="search" aria-label="search" dir="auto">'
FOLDING = "".join(
    f'<button id="{name}" type="button">{name.replace("-", " ")}</button>'
    for name in ("open-all", "close-all")
)
DOWNLOADS = (
    '<span class="downloads"><span class="faint">download</span><button id="download-lines" type="button">'
    'JSON lines</button><button id="download-table" type="button">CSV</button></span>'
)
AROUND = 20_000  # bytes of the list's controls


@dataclass(frozen=True)
class Listed:
    """The list of a page: what is seen of it, and the data behind it, which stand at the end of the page."""

    head: str
    data: list[str]


def listed(runs: Sequence[RunFacts], names: Sequence[str], shelf: Shelf, *, beside: int) -> Listed:
    """The list, of as many samples as a page has room for that has `beside` bytes of other things."""
    room = shelf.page_bytes - beside - AROUND - script_bytes()
    data = packed_samples(runs, names, shelf, room=room)
    about = (
        f"Here are {shelf.told()}. Search looks into questions, answers and responses. Keys: / searches, j "
        "and k go to the next and the previous row; on a row, so do the arrows up and down, and those to the "
        "right and left open and close it."
    )
    head = (
        f'<h2 id="list">Problems and samples</h2><p class="faint">{about}</p><div id="overview"></div>'
        f'<div id="filter" role="search" aria-label="samples">{_controls(runs)}</div>'
        f'{turner("count", DOWNLOADS)}<div id="samples"></div>{turner("")}\n'
    )
    return Listed(head, data)


def packed_samples(
    runs: Sequence[RunFacts],
    names: Sequence[str],
    shelf: Shelf,
    *,
    room: float,
    name: str = "listed",
    **more: object,
) -> list[str]:
    """The samples in pieces, as many as have room, and the index `name` that says what is where, with `more`
    in it."""
    data = _data(runs, names, shelf, name, more)
    while len(shelf) and (size := sum(map(len, data))) > room:
        shelf.shrink(0.97 * max(room, 0) / size)
        data = _data(runs, names, shelf, name, more)
    return data


def _data(
    runs: Sequence[RunFacts], names: Sequence[str], shelf: Shelf, name: str, more: Mapping[str, object]
) -> list[str]:
    index = _Index(names, runs)
    parts: list[str] = []
    with closing(_Problems(runs)) as problems:
        samples = shelf.samples()
        while piece := list(itertools.islice(samples, SAMPLES_PER_PIECE)):
            for run, sample in piece:
                index.add(run, sample, *problems.found_in(run, sample))
            told = [
                {key: value for key, value in sample.items() if key not in INDEXED} for _, sample in piece
            ]
            parts.append(_packed(f"piece-{len(parts)}", told))
        return [*parts, _packed(name, {**index.content(problems.found), **more})]


def _controls(runs: Sequence[RunFacts]) -> str:
    choices = {
        "view": {"problems": "one row a problem", "samples": "one row a sample"},
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
        "temperature": {"": "all temperatures"},
        "run": {"": "all runs"},
    }
    filters = {
        "index": {"": "all indices"},
        "rate": {"": "all pass rates"},
        "reason": {"": "all reasons"},
        "finish": {"": "all endings"},
        "named": {
            "": "with or without the right value",
            "yes": "with the right value in the text",
            "no": "without it",
        },
    }
    groups = dict.fromkeys(name for run in runs for name in groups_of(run.info))
    parts = [SEARCH, *(select(name, options) for name, options in choices.items()), FOLDING]
    more = [select(name, options) for name, options in filters.items()]
    more += [select(f"about.{name}", {"": f"{name}: all"}, name) for name in groups]
    for name in ("problem", "extracted", "reference"):
        more.append(
            f'<input id="{name}" data-filter="{name}" placeholder="{name} is" aria-label="{name} is">'
        )
    fold = f'<details id="more"><summary>More filters</summary><div class="controls">{"".join(more)}</div>'
    return f'<div class="controls">{"".join(parts)}</div>{fold}</details>'


def select(name: str, options: Mapping[str, str], group: str = "") -> str:
    """`group` is the fact of problems that is chosen by."""
    inner = "".join(f'<option value="{value}">{escape(label)}</option>' for value, label in options.items())
    of_group = f' data-group="{escape(group)}"' if group else ""
    kind = "" if name in ("view", "order") else f' data-filter="{escape(name)}"'
    label = escape(name.removeprefix("about."))
    return f'<select id="{escape(name)}" aria-label="{label}"{kind}{of_group}>{inner}</select>'


def turner(count_id: str, more: str = "") -> str:
    count = f'<span id="{count_id}" class="faint" role="status"></span>{more}' if count_id else ""
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
        self._values: list[re.Pattern[str] | None] = []  # what the right value looks like
        self.found: list[dict] = []

    def found_in(self, run: int, sample: dict) -> tuple[int, int]:
        """The number of the sample's problem, and whether its text holds the right value (1) or not (0)."""
        problem = self._place(run, sample["problem_id"])
        if OUTCOMES[sample["outcome"]] == "correct":
            return problem, 1
        right = self._values[problem]
        text = f"{sample['thought']}\n{sample['text']}"
        return problem, int(right is not None and right.search(text) is not None)

    def _place(self, run: int, problem_id: str) -> int:
        key = (run, problem_id)
        if key not in self._places:
            self._places[key] = len(self.found)
            rates = {
                exact_number(temperature): _rate(tally, problem_id)
                for temperature, tally in self._runs[run].tallies.items()
            }
            problem = stored_problem(self._stored[run], problem_id)
            self.found.append({**problem, "rates": rates})
            self._values.append(None if problem["choices"] else value_pattern(problem["reference"]))
        return self._places[key]

    def close(self) -> None:
        for stored in self._stored:
            stored.close()


def _rate(tally: Tally, problem_id: str) -> tuple[int, int]:
    """How many samples of the problem are right, and how many are judged: of the whole run."""
    place = tally.places.get(problem_id)
    return (0, 0) if place is None else (tally.correct[place], tally.judged[place])


def value_pattern(reference: str | None) -> re.Pattern[str] | None:
    """The right value as it may be written within a text; None for one that is long or stands everywhere."""
    plain = re.sub(FILLING, "", reference or "")
    if not plain or len(plain) > LONGEST_VALUE or plain.isalpha():
        return None
    parts = re.findall(r"\\[a-zA-Z]+|.", re.sub(r"\\[dt]frac", r"\\frac", plain))
    letters = f"(?:{FILLING})*".join(map(re.escape, parts)).replace(r"\\frac", r"\\[dt]?frac")
    return re.compile(rf"(?<![\w.]){letters}(?!\w|\.\d)")


class _Index:
    """One column per fact that the list is searched and sorted by."""

    def __init__(self, names: Sequence[str], runs: Sequence[RunFacts]) -> None:
        self._names, self._runs = names, runs
        self._columns: dict[str, list] = {name: [] for name in ("run", "problem", "named", *INDEXED)}

    def add(self, run: int, sample: dict, problem: int, named: int) -> None:
        values = (run, problem, named, *(sample[name] for name in INDEXED))
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
