"""From what can the gap between a run's number and a published one come?

Call `split_gap`, then `as_text`. No model is asked: all is read from the run and the model's card.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

from util.results.counting import outcome_of
from util.results.estimates import CONFIDENCE, mean_of_shares
from util.results.sides import Side
from util.runs.reader import read_records
from util.settings import NOT_RECORDED, SAMPLING
from util.terminal import number_of

PARTS = {"truncated": "answers cut off", "no_answer": "answers not found", "undecided": "undecided answers"}
MISSING = "samples without a verdict"
LEAST_GAP = 0.05  # points: less is the rounding of a published number
ELSEWHERE = (
    "prompt and system message, chat template, grader, selection of problems, weights and precision: "
    "the run cannot show these (python report.py manifest names what it recorded)"
)


@dataclass(frozen=True)
class Part:
    """Samples that count as not correct, and what they hide at most."""

    name: str
    samples: int
    most: float  # points of the mean over problems, if all of them were correct
    likely: float | None  # if they were as often correct as the other samples of their problems
    fall: float = 0.0  # points that the number loses if all of them are wrong: those that it does not count


@dataclass(frozen=True)
class Noise:
    """By how many points chance moves the number in 95 of 100 cases."""

    of_samples: (
        float | None
    )  # up or down, by other samples of the same problems; None: one of each cannot say
    down: float  # by other problems and other samples of them
    up: float


@dataclass(frozen=True)
class Gap:
    """The difference between a published number and a run's, in points, and what it may come from."""

    run: Side
    claim: float
    number: float
    parts: list[Part]
    sampling: list[str]  # what differs from the model's card
    card: bool  # whether there is one to compare with
    noise: Noise

    @property
    def points(self) -> float:
        return self.claim - self.number

    @property
    def is_gap(self) -> bool:
        return abs(self.points) >= LEAST_GAP

    @property
    def chance(self) -> float:
        """What chance adds at most towards the published number, which may be over other problems: the run
        cannot show which."""
        towards = self.noise.up if self.points > 0 else self.noise.down
        return max(self.noise.of_samples or 0.0, towards)

    @property
    def unexplained(self) -> float:
        """Points that remain if every part hides as much as it can and chance does its most."""
        if self.points < 0:
            return max(0.0, -self.points - self.chance - sum(part.fall for part in self.parts))
        return max(0.0, self.points - self.chance - sum(part.most for part in self.parts))

    @property
    def enough_alone(self) -> list[str]:
        """What would explain the whole gap by itself."""
        if not self.is_gap:
            return []
        reach = [(part.name, part.most if self.points > 0 else part.fall) for part in self.parts]
        chance = "chance" if abs(self.points) <= (self.noise.of_samples or 0.0) else "chance (other problems)"
        return [name for name, most in [*reach, (chance, self.chance)] if most >= abs(self.points)]

    def as_json(self) -> dict:
        """For the last line of standard output."""
        return {
            "run": str(self.run.folder),
            "claim": self.claim,
            "number": self.number,
            "gap": self.points,
            "complete": self.run.headline.complete,
            "parts": [asdict(part) for part in self.parts],
            "sampling": self.sampling,
            "noise": asdict(self.noise),
            "enough_alone": self.enough_alone,
            "unexplained": self.unexplained,
        }


def split_gap(run: Side, claim: float, card: Mapping[str, Any] | None) -> Gap:
    """`claim` is the published number in points, `card` what the model's makers say of sampling (None where
    no card is here)."""
    shares = [correct / judged for correct, judged in run.counts.values()]
    return Gap(
        run=run,
        claim=claim,
        number=100 * math.fsum(shares) / len(shares),
        parts=_parts(run),
        sampling=[] if card is None else _apart(run, card),
        card=card is not None,
        noise=_noise(run, shares),
    )


def as_text(found: Gap) -> str:
    """The parts for the terminal, and what cannot be told apart."""
    run = found.run
    side = "above" if found.points > 0 else "below"
    apart = f"{abs(found.points):.1f} points {side} this run" if found.is_gap else "as this run"
    unfinished = run.headline.unfinished()
    lines = [
        *([f"{unfinished}."] if unfinished else []),
        f"{run.name}  {run.score}  ({run.folder})",
        f"published {found.claim:g}: {apart}",
        "",
    ]
    for part in found.parts:
        likely = "" if part.likely is None else f"; about {part.likely:.1f} if they were like the others"
        count = number_of(part.samples, "sample")
        reach = f"-{part.fall:.1f} to +{part.most:.1f}" if part.fall else f"at most +{part.most:.1f}"
        lines.append(f"{part.name:<26} {reach} points ({count}{likely})")
    lines += [_about_sampling(found), *_about_noise(found), "", _conclusion(found)]
    return "\n".join(lines)


# --- details ---


def _parts(run: Side) -> list[Part]:
    outcomes: dict[str, Counter[str]] = {}
    for record in read_records(run.folder):
        if record.sample.temperature == run.temperature:
            outcomes.setdefault(record.sample.problem_id, Counter())[outcome_of(record)] += 1
    judged = {name: found for name, found in outcomes.items() if name in run.counts}
    parts = []
    for outcome, name in PARTS.items():
        most = likely = 0.0
        for problem_id, found in judged.items():
            correct, of = run.counts[problem_id]
            most += found[outcome] / of
            others = of - found[outcome]
            likely += found[outcome] / of * (correct / others if others else 0.0)
        count = sum(found[outcome] for found in judged.values())
        points = [100 * value / len(judged) for value in (most, likely)]
        parts.append(Part(name, count, points[0], points[1] if count else None))
    return [*parts, _missing(run)]


def _missing(run: Side) -> Part:
    """Samples without a verdict leave the number: it rises by so much if all of them are correct."""
    bounds = run.bounds
    n = {name: run.counts.get(name, (0, 0)) for name in bounds.lowest}
    known = math.fsum(correct / judged for correct, judged in n.values() if judged)
    judged_problems = sum(judged > 0 for _, judged in n.values())
    undecided = math.fsum(
        run.tally.undecided[place] / max(1, run.tally.judged[place]) for place in run.tally.places.values()
    )
    best = math.fsum(bounds.highest.values()) / len(bounds.highest)
    worst = math.fsum(bounds.lowest.values()) / len(bounds.lowest)
    rise, fall = best - (known + undecided) / judged_problems, known / judged_problems - worst
    ends = [max(0.0, 100 * points) if bounds.missing else 0.0 for points in (rise, fall)]
    return Part(MISSING, bounds.missing, ends[0], None, fall=ends[1])


def _noise(run: Side, shares: list[float]) -> Noise:
    found, of_samples = mean_of_shares(shares), None
    if all(judged > 1 for _, judged in run.counts.values()):
        within = math.fsum(_variance(correct, judged) for correct, judged in run.counts.values())
        reach = 100 * NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
        of_samples = reach * math.sqrt(within) / len(shares)
    return Noise(of_samples, 100 * (found.value - found.low), 100 * (found.high - found.value))


def _variance(correct: int, judged: int) -> float:
    """Of a problem's share; half a sample more on either side keeps agreement from passing for certainty
    (Jeffreys' prior: Brown, Cai and DasGupta, Statistical Science 16, 2001, section 4.3)."""
    share = (correct + 0.5) / (judged + 1)
    return share * (1 - share) / (judged - 1)


def _apart(run: Side, card: Mapping[str, Any]) -> list[str]:
    """What the run sampled with that the card says otherwise, or does not say."""
    settings = run.facts.info["settings"]
    advised = {"temperature": 1.0, **card}
    found = []
    if run.temperature != advised["temperature"]:
        found.append(f"temperature {run.temperature:g} (card: {advised['temperature']:g})")
    for setting in SAMPLING:
        used, said = setting.value_in(settings), advised.get(setting.name, setting.default)
        alike = used == said or (used in setting.neutral and said in setting.neutral)
        if not alike and used != NOT_RECORDED:
            found.append(f"{setting.label} {used} (card: {advised.get(setting.name, 'nothing')})")
    return found


def _about_sampling(found: Gap) -> str:
    if not found.card:
        told = "no card here: --sampling model fetches it when a run is made"
    elif found.sampling:
        told = ", ".join(found.sampling) + ": not to be told in points without another run"
    else:
        told = "as the model's card says"
    return f"{'sampling':<26} {told}"


def _about_noise(found: Gap) -> list[str]:
    noise = found.noise
    of_samples = (
        "not known: one sample of a problem cannot say"
        if noise.of_samples is None
        else f"± {noise.of_samples:.1f} points (other samples of the same problems; "
        f"{found.run.headline.drawn()} of each)"
    )
    of_problems = (
        f"-{noise.down:.1f} to +{noise.up:.1f} points (other problems; {len(found.run.counts)} here)"
    )
    return [f"{'noise of n':<26} {of_samples}", f"{'noise of problems':<26} {of_problems}"]


def _conclusion(found: Gap) -> str:
    alone = found.enough_alone
    if not found.is_gap:
        sentence = "There is no gap to explain."
    elif found.unexplained:
        sentence = f"{found.unexplained:.1f} points remain that nothing in this run explains."
    elif len(alone) > 1:
        sentence = (
            f"Each of these would explain the gap by itself, and cannot be told apart: {', '.join(alone)}."
        )
    elif alone:
        sentence = f"This would explain the gap by itself: {alone[0]}."
    else:
        sentence = "Only several of these together would explain the gap; how much each adds cannot be told."
    if found.sampling:
        sentence += " Sampling differs from the card, and may explain any part of it."
    return f"{sentence} Beside these: {ELSEWHERE}."
