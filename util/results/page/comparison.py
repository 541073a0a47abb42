"""How does a comparison become a page: in short, and problem by problem with the responses of both runs?

Call `write_comparison`, or `write_table` for more than two runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from html import escape
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

from util.records import exact_number
from util.results.compare_runs import (
    RunComparison,
    SeveralRuns,
    about_correction,
    about_mean,
    about_problems,
    equivalence_sentence,
    given,
    in_a_word,
    lettered,
    numbers_lines,
    points_text,
    verdict_sentence,
)
from util.results.counting import OUTCOMES, groups_of
from util.results.page.frame import new_page, script_bytes, table
from util.results.page.gather import Shelf
from util.results.page.listing import FOLDING, SEARCH, packed_samples, select, turner
from util.results.page.names import short_models
from util.results.sides import Side
from util.runs.reader import StoredProblems

CHANGES = {"b": "higher in B", "a": "higher in A", "same": "equally often", "apart": "told apart"}
ORDERS = {
    "": "largest difference first",
    "b": "most in favour of B first",
    "a": "most in favour of A first",
    "hardest": "hardest first",
    "asked": "as in the benchmark",
}
SCRIPTS = ("pairs.css", "pairs.js")
AROUND = 30_000  # bytes of what is around the list


def write_comparison(path: Path, found: RunComparison, shelf: Shelf, reports: Sequence[Path] = ()) -> None:
    """Draw the comparison of two runs as a page, with the samples that `shelf` kept of them.

    It links to `reports`, one of each run, or else to those that lie beside.
    """
    links = _links([found.first, found.second], reports, path)
    scores = table(
        ("run", "avg@n, 95 % interval", "folder", "report"),
        [
            (
                f"{letter} · {escape(side.name)}",
                escape(side.result),
                escape(str(side.folder)),
                link,
            )
            for letter, side, link in zip("AB", (found.first, found.second), links, strict=True)
        ],
        words=(0, 2, 3),
        cards=True,
    )
    with new_page(path, _title(found), more=SCRIPTS) as out:
        verdict = f"<strong>{escape(verdict_sentence(found))}</strong> {escape(equivalence_sentence(found))}"
        out.write(f"<p>{verdict}</p>")
        out.writelines(f'<p class="notice">{escape(warning)}</p>' for warning in found.warnings)
        out.write(scores)
        out.writelines(f"<p>{escape(line)}</p>" for line in numbers_lines(found))
        out.write(_picture(found))
        if found.flips:
            out.write(f"<p>{escape(about_problems(found))}</p>")
        _write_list(out, found, shelf)


def write_table(path: Path, found: Sequence[SeveralRuns], reports: Sequence[Path] = ()) -> None:
    """Draw several runs as a page, a table for each benchmark, with links as above."""
    tasks = list(dict.fromkeys(one.first.task for one in found))
    runs = max(len(one.comparisons) for one in found) + 1
    head = ("run", "avg@n, 95 % interval", "difference from A", "p, corrected", "verdict", "folder", "report")
    with new_page(path, f"{', '.join(tasks)}: {runs} runs") as out:
        for one in found:
            warnings = dict.fromkeys(
                f'<p class="notice">A and {letter}: {escape(warning)}</p>'
                for letter, pair, _, _ in lettered(one)
                for warning in pair.warnings
            )
            links = _links(one.sides, reports, path)
            rows = [(*_named("A", one.first), "", "", "", escape(str(one.first.folder)), links[0])]
            rows += [
                (
                    *_named(letter, pair.second),
                    escape(points_text(difference)),
                    f"{p_value:.3g}",
                    escape(in_a_word(pair, p_value)),
                    escape(str(pair.second.folder)),
                    link,
                )
                for (letter, pair, p_value, difference), link in zip(lettered(one), links[1:], strict=True)
            ]
            if len(found) > 1:
                out.write(f"<h2>{escape(one.name)}</h2>")
            out.writelines((*warnings, table(head, rows, words=(0, 1, 2, 4, 5, 6), cards=True)))
        told = filter(None, (about_mean(found), about_correction(found)))
        out.writelines(f"<p>{escape(sentence)}</p>" for sentence in told)


def report_of(folder: Path, beside: Path) -> Path | None:
    """The report of a run, if one lies beside it or beside a page: a file of that name that shows the run."""
    name = folder.resolve().name
    around = (beside.resolve().parent, folder.resolve(), folder.resolve().parent)
    for place in dict.fromkeys(around):
        for file in (place / f"{name}.html", place / "report.html"):
            if file.is_file() and file.resolve() != beside.resolve() and _is_report_of(file, name):
                return file
    return None


# --- details ---


def _is_report_of(file: Path, name: str) -> bool:
    """Whether a page says that it shows a run of this name."""
    try:
        with open(file, encoding="utf-8", errors="replace") as page:
            return any(f"<dd>{escape(name)}</dd>" in line for line in page)
    except OSError:
        return False


def _links(sides: Sequence[Side], reports: Sequence[Path], page: Path) -> list[str]:
    files: Sequence[Path | None] = reports or [report_of(side.folder, page) for side in sides]
    return ["–" if file is None else _link(file, page) for file in files]


def _link(file: Path, page: Path) -> str:
    address = quote(os.path.relpath(file.resolve(), page.resolve().parent))
    return f'<a href="{escape(address)}">{escape(file.name)}</a>'


def _named(letter: str, side: Side) -> tuple[str, str]:
    return f"{letter} · {escape(side.name)}", escape(side.result)


def _title(found: RunComparison) -> str:
    """Both sides by model, with the temperature where models are the same."""
    sides = (found.first, found.second)
    names = short_models([side.model for side in sides])
    if names[0] == names[1]:
        names = [
            f"{name} at {exact_number(side.temperature)}" for name, side in zip(names, sides, strict=True)
        ]
    return f"{found.first.task}: {names[0]} (A) and {names[1]} (B)"


def _write_list(out: TextIO, found: RunComparison, shelf: Shelf) -> None:
    """The problems that both runs have, with as many of their samples as the page has room for."""
    out.flush()
    runs = [found.first.facts, found.second.facts]
    pairs = list(_pairs(found))
    room = shelf.page_bytes - os.fstat(out.fileno()).st_size - AROUND - script_bytes(SCRIPTS)
    data = packed_samples(runs, ("A", "B"), shelf, room=room, name="paired", pairs=pairs)
    about = (
        "Open a problem to see the responses of both runs side by side; "
        f"here are {shelf.told()}. Search looks into questions, answers and responses. "
        "Keys: / searches, j and k go to the next and the previous one."
    )
    out.write(f'<h2 id="list">Problems</h2><p class="faint">{escape(about)}</p>{_controls(found)}')
    out.write(f'{turner("count")}<div id="samples"></div>{turner("")}\n')
    out.writelines(data)


def _pairs(found: RunComparison) -> Iterator[dict]:
    """What the list shows of each problem that both runs have, in the order of the first run."""
    tested = {flip.problem_id: flip for flip in found.flips}
    first, second = found.first, found.second
    with closing(StoredProblems(first.folder)) as problems:
        for problem_id, counts in first.counts.items():
            if problem_id not in second.counts:
                continue
            problem, flip = problems.get(problem_id), tested.get(problem_id)
            assert problem is not None, "a sample without its problem is refused when a run is read"
            reference = problem.reference if isinstance(problem.reference, str) else None
            yield {
                "id": problem_id,
                "question": problem.question,
                "reference": reference,
                "about": problem.about,
                "rates": [counts, second.counts[problem_id]],
                "answers": [given(side.tally, problem_id, reference).answer for side in (first, second)],
                "p": None if flip is None else flip.p_value,
                "apart": flip is not None and flip.told_apart,
            }


def _controls(found: RunComparison) -> str:
    outcomes = {name: name.replace("_", " ") for name in OUTCOMES}
    parts = [SEARCH, select("change", {"": "all problems", **CHANGES}), select("order", ORDERS)]
    for letter in "AB":
        options = {
            "": f"any outcome in {letter}",
            **{name: f"{letter}: {told}" for name, told in outcomes.items()},
        }
        parts.append(select(f"outcome-{letter}", options))
    groups = dict.fromkeys(
        name for side in (found.first, found.second) for name in groups_of(side.facts.info)
    )
    parts += [select(f"about.{name}", {"": f"{name}: all"}, name) for name in groups]
    return f'<div class="controls">{"".join(parts)}{FOLDING}</div>'


def _picture(found: RunComparison) -> str:
    """The difference with its interval on a line from the lowest to the highest possible view."""
    estimate = found.paired.difference
    reach = max(abs(estimate.low), abs(estimate.high), 0.02) * 1.2

    def x(value: float) -> float:
        return 30 + 400 * (value + reach) / (2 * reach)

    middle, low, value, high = (x(place) for place in (0, estimate.low, estimate.value, estimate.high))
    parts = [
        '<line class="grid" x1="30" x2="430" y1="28" y2="28"/>',
        f'<line class="grid" x1="{middle:.1f}" x2="{middle:.1f}" y1="10" y2="46"/>',
        f'<line class="span" x1="{low:.1f}" x2="{high:.1f}" y1="28" y2="28"/>',
        f'<circle class="dot" cx="{value:.1f}" cy="28" r="5.5"/>',
        f'<text x="{middle:.1f}" y="62" text-anchor="middle">0: no difference</text>',
        '<text x="30" y="62">A better</text><text x="430" y="62" text-anchor="end">B better</text>',
    ]
    picture = f'<svg viewBox="0 0 460 70" role="img" aria-label="difference">{"".join(parts)}</svg>'
    caption = "<figcaption>difference B - A with its 95 % interval</figcaption>"
    return f'<figure class="narrow">{caption}{picture}</figure>'
