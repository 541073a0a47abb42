"""Which letters did a model answer, beside those that are right?

Call `letters_section`: one who prefers a letter, or answers none, is seen here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from html import escape

from util.records import exact_number
from util.results.counting import Tally
from util.results.page import charts
from util.results.page.frame import table
from util.results.page.gather import RunFacts
from util.runs.reader import StoredProblems

NO_LETTER = "none"


@dataclass
class _Letters:
    """How many judged samples have which letter as the right one, and how many answered it."""

    right: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)


def letters_section(runs: Sequence[RunFacts], names: Sequence[str]) -> str:
    """A table for each run and temperature of a benchmark with choices; "" without one."""
    parts = []
    for run, name in zip(runs, names, strict=True):
        golds = _golds(run)
        for temperature, tally in run.tallies.items() if golds else ():
            full = f"{name} · T {exact_number(temperature)}" if len(run.tallies) > 1 else name
            parts.append(_table(_counted(golds, tally), full))
    return f'<h2>Letters</h2><div class="columns">{"".join(parts)}</div>' if parts else ""


def _golds(run: RunFacts) -> dict[str, str]:
    """The letter that is right, for each problem of a benchmark with choices."""
    with closing(StoredProblems(run.folder)) as stored:
        return dict(_lettered(stored))


def _lettered(stored: StoredProblems) -> Iterator[tuple[str, str]]:
    for problem_id in stored.ids():
        problem = stored.get(problem_id)
        if problem is None or not problem.choices:
            return  # of a benchmark all problems have choices, or none
        if isinstance(problem.reference, str) and len(problem.reference) == 1:
            yield problem_id, problem.reference


def _counted(golds: dict[str, str], tally: Tally) -> _Letters:
    found = _Letters()
    for problem_id, gold in golds.items():
        place = tally.places.get(problem_id)
        if place is None:
            continue
        found.right[gold] += tally.judged[place]
        found.answered[gold] += tally.correct[place]
        wrong = dict(tally.wrong_answers(place))
        for answer, count in wrong.items():
            found.answered[answer if len(answer) == 1 else NO_LETTER] += count
        found.answered[NO_LETTER] += tally.judged[place] - tally.correct[place] - sum(wrong.values())
    return found


def _table(found: _Letters, name: str) -> str:
    total = found.right.total() or 1
    letters = sorted((found.right | found.answered).keys() - {NO_LETTER})
    if found.answered[NO_LETTER]:
        letters.append(NO_LETTER)
    most = max([*found.right.values(), *found.answered.values(), 1])

    def cell(count: int) -> str:
        return f"{100 * count / total:.1f} %{charts.interval_bar(count / most, 0, 0)}"

    rows = [(escape(one), cell(found.right[one]), cell(found.answered[one])) for one in letters]
    inside = table(("letter", "is right", "was answered"), rows, frame="letters")
    return f"<section><h3>{escape(name)}</h3>{inside}</section>"
