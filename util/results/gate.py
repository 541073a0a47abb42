"""Does a run fulfil a rule, so that a pipeline may go on?

Call `check_gate`; the verdict has the exit status and a sentence with the numbers.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass

from util.errors import UserError
from util.results.estimates import Estimate, mean_of_shares
from util.results.paired_test import mean_difference, permutation_p
from util.results.sides import Side, refuse_different_data
from util.terminal import number_of

STATUS = {True: 0, False: 1, None: 3}  # exit status; 2 is what the person can fix
WORDS = {True: "pass", False: "fail", None: "cannot tell"}


@dataclass(frozen=True)
class Range:
    """A number with its 95 % interval, widened by all that is not known of the run."""

    worst: Estimate  # if all of that were wrong
    best: Estimate  # if all of it were right

    @property
    def low(self) -> float:
        return self.worst.low

    @property
    def high(self) -> float:
        return self.best.high

    def reaches(self, least: float, *, exclusive: bool = False) -> bool | None:
        """Whether the number is at least this; None where its interval has both."""
        if self.low > least or (self.low == least and not exclusive):
            return True
        return False if self.high < least else None


@dataclass(frozen=True)
class Ruling:
    """What became of one rule."""

    holds: bool | None  # None: the data cannot tell
    sentence: str


@dataclass(frozen=True)
class Gate:
    """The verdict on a run: it passes where all rules hold, and fails where one does not."""

    rulings: list[Ruling]

    @property
    def holds(self) -> bool | None:
        found = [ruling.holds for ruling in self.rulings]
        return False if False in found else None if None in found else True

    @property
    def status(self) -> int:
        return STATUS[self.holds]

    def as_text(self) -> str:
        told = [f"{WORDS[ruling.holds]}: {ruling.sentence}." for ruling in self.rulings]
        if len(told) == 1:
            return f"{WORDS[self.holds].upper()}: {self.rulings[0].sentence}."
        return "\n  ".join((f"{WORDS[self.holds].upper()}, of {len(told)} rules:", *told))

    def as_json(self) -> dict:
        """For the last line of standard output."""
        return {"gate": WORDS[self.holds], "rules": [asdict(ruling) for ruling in self.rulings]}


def check_gate(run: Side, *, at_least: float | None, over: Side | None, margin: float) -> Gate:
    """Judge a run by the rules that are given; numbers and margin are shares, not points."""
    if at_least is None and over is None:
        raise UserError("a gate needs a rule: give --at-least NUMBER, --over RUN or both")
    rulings = [] if at_least is None else [_reaches(run, at_least)]
    return Gate(rulings if over is None else [*rulings, _not_below(run, over, margin)])


def _reaches(run: Side, least: float) -> Ruling:
    bounds = run.bounds
    found = Range(mean_of_shares(list(bounds.lowest.values())), mean_of_shares(list(bounds.highest.values())))
    holds = found.reaches(least)
    goal = f"{100 * least:g}"
    end = {
        True: f"even the low end of its 95 % interval is at least {goal}",
        False: f"even the high end of its 95 % interval is below {goal}",
        None: f"{goal} lies within its 95 % interval",
    }[holds]
    interval = f"[{100 * found.low:.1f}, {100 * found.high:.1f}]"
    wide = f"or {interval} with {run.bounds.told()} either wrong or right, " if run.bounds.told() else ""
    over = _problems(run.counts, bounds.lowest)
    return Ruling(holds, f"{run.folder} has {run.score} over {over}, {wide}and {end}")


def _not_below(run: Side, base: Side, margin: float) -> Ruling:
    refuse_different_data(run, base)
    mine, others = run.bounds, base.bounds
    common = [problem_id for problem_id in mine.lowest if problem_id in others.lowest]
    if not common:
        raise UserError(f"{run.folder} and {base.folder} have no problem in common: choose other runs")
    known = [name for name in common if name in run.counts and name in base.counts]
    found = Range(
        _difference([mine.lowest[name] - others.highest[name] for name in common]),
        _difference([mine.highest[name] - others.lowest[name] for name in common]),
    )
    seen = [_share(run, name) - _share(base, name) for name in known]
    holds = found.reaches(-margin, exclusive=True)
    goal = f"{100 * margin:g} points below it"
    if not margin:
        goal = "just as good"
    end = {
        True: f"even the low end of the 95 % interval is above {goal}",
        False: f"even the high end of the 95 % interval is under {goal}",
        None: f"{goal} lies within the 95 % interval",
    }[holds]
    value = f"{100 * sum(seen) / len(seen):+.1f} points" if seen else "an unknown difference"
    interval = f"[{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
    told = [f"{side.bounds.told()} of {side.folder}" for side in (run, base) if side.bounds.told()]
    wide = f"with {' and '.join(told)} either wrong or right, " if told else ""
    return Ruling(
        holds,
        f"{run.folder} has {value} {interval} against {base.folder} over {_problems(known, common)} of both, "
        f"{wide}and {end}",
    )


def _difference(differences: list[float]) -> Estimate:
    return mean_difference(differences, permutation_p(differences)[0])


def _share(side: Side, problem_id: str) -> float:
    correct, judged = side.counts[problem_id]
    return correct / judged


def _problems(known: Collection[str], asked: Collection[str]) -> str:
    """`30 problems`; `25 of 40 problems` where the others have no verdict."""
    words = number_of(len(asked), "problem")
    return words if len(known) == len(asked) else f"{len(known)} of {words}"
