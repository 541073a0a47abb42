"""What does a run bring to a comparison: what is known of each problem, and what it could still become?

Call `open_side` or `open_sides`. `counts` are what is known of a run, `bounds` what may become of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from util.errors import UserError
from util.records import exact_number
from util.results.counting import Tally
from util.results.headline import Headline
from util.results.page.gather import RunFacts, Shelf, read_run
from util.results.paired_test import counts_of
from util.runs.reader import StoredProblems
from util.runs.repeat import check_command
from util.terminal import number_of

SAME_DATA = (  # in words, and where run.json says it
    ("task", "settings", "task"),
    ("data set", "dataset", "path"),
    ("split", "dataset", "split"),
    ("revision", "dataset", "revision"),
)


@dataclass(frozen=True)
class Bounds:
    """The share of each asked problem if everything that is not known were wrong, or right."""

    lowest: dict[str, float]
    highest: dict[str, float]
    missing: int  # samples that were asked and have no verdict
    undecided: int

    def told(self) -> str:
        """`67 samples without a verdict and 4 undecided`; "" where all is known."""
        parts = [f"{number_of(self.missing, 'sample')} without a verdict"] if self.missing else []
        return " and ".join(parts + [f"{self.undecided} undecided"] * bool(self.undecided))


@dataclass(frozen=True)
class Side:
    """One run at one temperature."""

    facts: RunFacts
    temperature: float
    tally: Tally

    @property
    def folder(self) -> Path:
        return self.facts.folder

    @property
    def model(self) -> str:
        return str(self.facts.info["settings"]["model"])

    @property
    def task(self) -> str:
        return str(self.facts.info["settings"].get("task"))

    @property
    def name(self) -> str:
        return f"{self.model} at temperature {exact_number(self.temperature)}"

    @property
    def headline(self) -> Headline:
        return self.facts.headlines[self.temperature]

    @property
    def average(self) -> float:
        assert self.headline.avg is not None  # a run without a number is refused when it is opened
        return self.headline.avg.value

    @property
    def score(self) -> str:
        """`avg@8 45.0 [31.8, 58.7]`."""
        return self.headline.score()

    @property
    def result(self) -> str:
        """The same, with INCOMPLETE before it where it is."""
        return f"INCOMPLETE {self.score}" if self.headline.unfinished() else self.score

    @cached_property
    def counts(self) -> dict[str, tuple[int, int]]:
        """(correct, judged) of each problem that has a judged sample."""
        return counts_of(self.tally)

    @cached_property
    def bounds(self) -> Bounds:
        lowest, highest, missing = {}, {}, 0
        asked = self.headline.asked
        steps = self.facts.info.get("asked", {}).get("at", {}).get(exact_number(self.temperature))
        steps = steps or [(asked.problems, asked.samples // asked.problems)]
        with closing(StoredProblems(self.folder)) as problems:
            for position, problem_id in enumerate(problems.ids()):
                drawn, judged, correct, undecided = self._known(problem_id)
                wanted = max((n for count, n in steps if position < count), default=0)
                total = max(drawn, wanted)
                if total:
                    lowest[problem_id] = correct / total
                    highest[problem_id] = (correct + undecided + total - judged) / total
                    missing += total - judged
        return Bounds(lowest, highest, missing, sum(self.tally.undecided))

    def _known(self, problem_id: str) -> tuple[int, int, int, int]:
        tally, place = self.tally, self.tally.places.get(problem_id)
        if place is None:
            return 0, 0, 0, 0
        return tally.drawn[place], tally.judged[place], tally.correct[place], tally.undecided[place]


def open_side(
    folder: Path, temperature: float | None = None, *, shelf: Shelf | None = None, number: int = 0
) -> Side:
    """The run at a temperature, by default the only one it has. Raises UserError where it has no number.

    Its samples are offered to `shelf` as those of run `number`.
    """
    facts = read_run(folder, shelf=shelf, number=number, temperature=temperature)
    there = ", ".join(map(exact_number, facts.tallies))
    if temperature is None:
        if len(facts.tallies) > 1:
            raise UserError(f"{facts.folder} has the temperatures {there}: choose with --temperatures")
        temperature = next(iter(facts.tallies))
    if temperature not in facts.tallies:
        raise UserError(
            f"{facts.folder} has no samples at temperature {exact_number(temperature)}: it has {there}"
        )
    if not sum(facts.tallies[temperature].judged):
        raise UserError(
            f"{facts.folder} has no verdicts at temperature {exact_number(temperature)}: grade them with\n"
            f"  {check_command(facts.folder)}"
        )
    stopped = facts.headlines[temperature].stopped_early
    if stopped is not None:
        raise UserError(
            f"{facts.folder} was sampled {stopped['rule']}: its hard problems have more samples than easy "
            f"ones, so its mean would be biased; raise all to --n {stopped['n']} without that rule"
        )
    return Side(facts, temperature, facts.tallies[temperature])


def open_sides(
    runs: Sequence[Path], temperatures: Sequence[float] | None, *, shelf: Shelf | None = None
) -> list[Side]:
    """Several runs; `temperatures` has one for all of them, or one for each."""
    wanted: Sequence[float | None] = temperatures or (None,)
    if len(wanted) not in (1, len(runs)):
        each = f", or one for each of the {len(runs)} runs" if len(runs) > 1 else ""
        raise UserError(f"--temperatures takes one value{each}, not {len(wanted)}: {wanted} were given")
    if len(wanted) == 1:
        wanted = [*wanted] * len(runs)
    seen: dict[tuple[Path, float | None], Path] = {}
    for run, temperature in zip(runs, wanted, strict=True):
        other = seen.setdefault((run.resolve(), temperature), run)
        if other is not run:
            raise UserError(
                f"{other} and {run} are the same run: name two runs, or two of its temperatures "
                "with --temperatures"
            )
    return [
        open_side(run, temperature, shelf=shelf, number=number)
        for number, (run, temperature) in enumerate(zip(runs, wanted, strict=True))
    ]


def refuse_different_data(first: Side, second: Side) -> None:
    for word, place, key in SAME_DATA:
        if key == "path" and all("address" in side.facts.info["dataset"] for side in (first, second)):
            continue  # somebody's own file, wherever it lay: its revision is a hash of all that is in it
        left, right = first.facts.info[place].get(key), second.facts.info[place].get(key)
        if left != right and None not in (left, right):
            raise UserError(
                f"{first.folder} has {word} {left!r}, {second.folder} has {right!r}: only runs on the same "
                "data can be compared problem by problem"
            )
