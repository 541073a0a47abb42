"""How do runs become one HTML file that needs no server and sends no request?

The samples lie in the file in compressed pieces that the page's own script unpacks when they are looked at.
All
text that comes from models or data sets reaches the page as data or escaped, and the page's policy lets no
other script run.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Sequence
from contextlib import closing
from html import escape
from pathlib import Path
from typing import TextIO

from util.errors import UserError
from util.journal import replacing
from util.report import charts
from util.report.gather import RunFacts, Shelf, stored_problem
from util.runs import StoredProblems
from util.statistics import OUTCOMES, WHY_BIASED, Tally

FOLDER = Path(__file__).parent
SAMPLES_PER_PIECE = 50
GROUPS_SHOWN = 60  # rows of a table by subject and the like


def write_report(
    path: Path, runs: Sequence[RunFacts], shelf: Shelf, *, curation: Sequence[dict] = ()
) -> None:
    """Write the report of `runs`, with the samples that `shelf` kept."""
    with replacing(path) as out:
        _open_page(out, "Report: " + ", ".join(dict.fromkeys(run.name for run in runs)))
        numbers = [
            (_label(run, temperature, runs), run, found)
            for run in runs
            for temperature, found in run.numbers.items()
        ]
        for run in runs:
            if run.being_written_by:
                out.write(
                    f'<p class="notice">{escape(run.name)} is being written by '
                    f"{escape(run.being_written_by)}: this is what was there when it was read.</p>"
                )
        out.write("<h2>Scores</h2>" + _scores(numbers))
        out.write(_pictures(numbers, runs))
        out.write(_groups(numbers))
        for entry in curation:
            out.write(_curation(entry))
        out.write("<h2>How the runs were made</h2>" + "".join(_made(run) for run in runs))
        _write_samples(out, runs, shelf)
        _close_page(out)


def write_page(path: Path, title: str, body: str) -> None:
    """Write a page without a list of samples."""
    with replacing(path) as out:
        _open_page(out, title)
        out.write(body)
        _close_page(out)


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, words: Sequence[int] = (), cards: bool = False
) -> str:
    """A table of cells that are HTML already.

    The columns in `words` hold longer texts; with `cards`, a phone shows each row as a list with the names of
    the columns.
    """

    def cells(tag: str, row: Sequence[str]) -> str:
        parts = []
        for place, cell in enumerate(row):
            attributes = ' class="words"' if place in words else ""
            if cards and tag == "td":
                attributes += f' data-label="{head[place]}"'
                cell = f"<span>{cell}</span>"
            parts.append(f"<{tag}{attributes}>{cell}</{tag}>")
        return "".join(parts)

    lines = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    kind = ' class="cards"' if cards else ""
    return f'<div class="wide"><table{kind}><tr>{cells("th", head)}</tr>{lines}</table></div>'


# --- the frame ---


def _open_page(out: TextIO, title: str) -> None:
    script = _script()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    style = (FOLDER / "report.css").read_text(encoding="utf-8")
    out.write(
        f'<!doctype html>\n<html lang="en" data-theme="auto"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n'
        f"<style>{style}</style></head><body>\n"
        f'<header><h1>{escape(title)}</h1><button id="theme" type="button">theme: auto</button></header>\n'
    )


def _close_page(out: TextIO) -> None:
    out.write(f"\n<script>{_script()}</script></body></html>\n")


def _script() -> str:
    return "".join((FOLDER / name).read_text(encoding="utf-8") for name in ("maths.js", "report.js"))


# --- numbers ---

Numbers = Sequence[tuple[str, RunFacts, dict]]


def _label(run: RunFacts, temperature: float, runs: Sequence[RunFacts]) -> str:
    several = [other.name for other in runs].count(run.name) > 1
    name = f"{run.name} ({run.folder.parent.name}/{run.folder.name})" if several else run.name
    return f"{name} · T {temperature:g}"


def _scores(numbers: Numbers) -> str:
    head = (
        "run", "avg@n, 95 % interval", "pass@k", "majority@k", "completed only", "truncated", "no answer",
        "not judged", "samples", "mean tokens", "tokens to first correct",
    )  # fmt: skip
    rows = []
    for label, _, found in numbers:
        samples, average = found["samples"], found["avg"]
        tokens, first = found["tokens"]["all"], found["tokens_to_first_correct"]
        unjudged = ", ".join(f"{count} {escape(why)}" for why, count in found["not_judged"].items()) or "0"
        rows.append(
            (
                escape(label),
                _average(found["n"], average) if average else "–",
                _last(found["pass_at"], "pass"),
                _last(found["maj_at"], "maj"),
                _percent(found["completed_accuracy"]),
                f"{100 * found['truncated'] / samples:.1f} %",
                f"{100 * found['no_answer'] / samples:.1f} %",
                unjudged,
                f"{found['judged']} of {samples}<br>{found['problems']} problems",
                f"{tokens['mean']:.0f}",
                f"{first['mean']:.0f}" if first else "–",
            )
        )
    note = (
        '<p class="faint">avg@n is the mean over problems. The interval treats the samples of one problem as '
        "one cluster: it says how far another draw of problems and samples would move the mean.</p>"
    )
    return table(head, rows, words=(0,), cards=True) + note + "".join(map(_stopped, numbers))


def _stopped(numbers: tuple[str, RunFacts, dict]) -> str:
    """What a reader has to know of a run in which verdicts decided what was asked."""
    label, _, found = numbers
    stopped = found.get("stopped_early")
    if stopped is None:
        return ""
    return (
        f"<p>{escape(label)} was sampled {escape(stopped['rule'])}, at most {stopped['n']} samples a "
        f"problem: {stopped['solved']} of {found['problems']} problems were solved. {escape(WHY_BIASED)}</p>"
    )


def _average(n: int, average: dict) -> str:
    return f"@{n} {_value_and_interval(average)}"


def _value_and_interval(estimate: dict) -> str:
    value, low, high = (100 * estimate[key] for key in ("value", "low", "high"))
    return f'<strong>{value:.1f}</strong> <span class="interval">[{low:.1f}, {high:.1f}]</span>'


def _last(values: dict[str, dict], label: str) -> str:
    if not values:
        return "–"
    k = max(values, key=int)
    return f"{label}@{k} {100 * values[k]['value']:.1f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"


def _pictures(numbers: Numbers, runs: Sequence[RunFacts]) -> str:
    drawn = [
        (label, {int(k): entry["value"] for k, entry in found["pass_at"].items()})
        for label, _, found in numbers
        if len(found["pass_at"]) > 1
    ]
    parts = []
    if drawn:
        names = [(label, charts.colour(number)) for number, (label, _) in enumerate(drawn)]
        parts.append(_figure("pass@k: solved by at least one of k samples (%)", charts.curves(drawn), names))
    for run in runs:
        for temperature, tally in run.tallies.items():
            groups = _tokens_by_outcome(tally)
            names = [(f"{name} ({len(values)})", hue) for name, hue, values in groups]
            title = f"Tokens: {_label(run, temperature, runs)}"
            parts.append(_figure(title, charts.histogram(groups, along="completion tokens"), names))
    return f'<h2>Pictures</h2><div class="charts">{"".join(parts)}</div>'


def _tokens_by_outcome(tally: Tally) -> list[tuple[str, str, list[int]]]:
    """(name, colour, token counts) of the correct, wrong and truncated samples."""
    codes = {
        "correct": {OUTCOMES.index("correct")},
        "wrong": {OUTCOMES.index("wrong"), OUTCOMES.index("no_answer")},
        "truncated": {OUTCOMES.index("truncated")},
    }
    return [
        (name, f"var(--{name})", list(tally.tokens_where(wanted.__contains__)))
        for name, wanted in codes.items()
    ]


def _figure(title: str, picture: str, names: Sequence[tuple[str, str]]) -> str:
    caption = f"<figcaption>{escape(title)}</figcaption>"
    return f"<figure>{caption}{picture}{charts.legend(names)}</figure>"


def _groups(numbers: Numbers) -> str:
    names = dict.fromkeys(name for _, _, found in numbers for name in found["groups"])
    parts = [_by(name, numbers) for name in names]
    return f"<h2>Accuracy by kind of problem</h2>{''.join(parts)}" if parts else ""


def _by(name: str, numbers: Numbers) -> str:
    """One row for each value of a fact such as the subject, one column for each run."""
    groups = [found["groups"].get(name, {}) for _, _, found in numbers]
    values = list(dict.fromkeys(value for group in groups for value in group))
    rows = []
    for value in values[:GROUPS_SHOWN]:
        entries = [group.get(value) for group in groups]
        problems = max(entry["problems"] for entry in entries if entry)
        rows.append((escape(value), str(problems), *(_with_bar(entry) for entry in entries)))
    head = (escape(name), "problems", *(escape(label) for label, _, _ in numbers))
    more = len(values) - GROUPS_SHOWN
    rest = f'<p class="faint">and {more} more</p>' if more > 0 else ""
    return f"<h3>By {escape(name)}</h3>{table(head, rows)}{rest}"


def _with_bar(entry: dict | None) -> str:
    if entry is None:
        return "–"
    bar = charts.interval_bar(entry["value"], entry["low"], entry["high"])
    return f"{_value_and_interval(entry)}{bar}"


def _curation(entry: dict) -> str:
    """Named counts: the steps of a funnel, or what pairs came of each variant."""
    parts = []
    for title, counts in entry.items():
        most = max([count for count in counts.values() if isinstance(count, int)], default=0) or 1
        rows = [
            (
                escape(str(name)),
                escape(str(count)),
                charts.interval_bar(count / most, 0, 0) if isinstance(count, int) else "",
            )
            for name, count in counts.items()
        ]
        parts.append(f"<h2>{escape(title)}</h2>" + table(("step", "count", ""), rows))
    return "".join(parts)


def _made(run: RunFacts) -> str:
    info = run.info
    settings, made, dataset = info["settings"], info["made_with"], info["dataset"]
    graders = sorted({grader for tally in run.tallies.values() for grader in tally.graders})
    hardware = made.get("hardware", {})
    machine = ", ".join(hardware.get("gpus") or [str(hardware.get("cpu", "unknown"))])
    prompt = info.get("prompt", {})
    engine = f"engine {made.get('engine', 'unknown')}"
    facts = {
        "model": settings.get("model"),
        "data set": f"{dataset.get('path')}, split {dataset.get('split')}",
        "revision": dataset.get("revision"),
        "prompt": f"{prompt.get('name', 'default')} (hash {prompt.get('hash')})",
        "system message": settings.get("system_prompt_hash") or "none",
        "most tokens": settings.get("max_tokens"),
        "graders": ", ".join(graders),
        "suite": f"{made.get('suite')}, Python {made.get('python')}, {engine}",
        "machine": machine,
        "folder": run.folder.name,
    }
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items())
    wording = prompt.get("text", "")
    fold = (
        '<details class="thought"><summary>Wording of the prompt</summary>'
        f'<div class="prose">{escape(wording)}</div></details>'
    )
    return f'<h3>{escape(run.name)}</h3><dl class="facts">{lines}</dl>{fold if wording else ""}'


# --- samples ---


def _write_samples(out: TextIO, runs: Sequence[RunFacts], shelf: Shelf) -> None:
    whole = len(shelf) == shelf.seen
    shown = "all samples" if whole else f"{len(shelf)} of {shelf.seen} samples, chosen evenly"
    out.write(
        f'<h2 id="list">Samples</h2><p class="faint">Here are {shown}. Search looks into questions, answers '
        "and responses.</p>"
    )
    out.write(_controls() + _turner("count") + f'<div id="samples"></div>{_turner("")}\n')
    index = _Index([run.name for run in runs])
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
        '<div class="controls"><button class="previous" type="button">← back</button>'
        '<span class="page-number faint"></span><button class="next" type="button">on →</button>'
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

    def __init__(self, runs: list[str]) -> None:
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
            "runs": self._runs,
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


def read_curation(folders: Sequence[Path], files: Sequence[Path] = ()) -> list[dict]:
    """Named counts ({"title": {"step": count}}): curation.json and pairs.json of the folders, and `files`."""
    beside = [folder / name for folder in folders for name in ("curation.json", "pairs.json")]
    found = []
    for path in (*[path for path in beside if path.is_file()], *files):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read ({error}): leave it out or write it again") from error
        if not isinstance(content, dict) or not all(isinstance(part, dict) for part in content.values()):
            raise UserError(
                f'{path} holds no counts such as {{"Curation": {{"generated": 100, "final": 40}}}}'
            )
        found.append(content)
    return found
