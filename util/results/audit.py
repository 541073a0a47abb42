"""Why does another suite give the samples of an imported run another number than we do?

Call `metric_of`, then `audit`, then `as_text`. Numbers are exact fractions: the parts of a difference sum to
it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from math import comb, floor
from pathlib import Path
from typing import NamedTuple

from util.errors import UserError
from util.records import NOT_JUDGED, Key, Verdict, exact_number
from util.results.counting import outcome_of
from util.results.estimates import Estimate, mean_of_shares, mean_within
from util.results.history import told
from util.results.sides import Side
from util.runs.folder import read_run_json
from util.runs.lines import named
from util.runs.older_layout import GRADER as OLDER_GRADER
from util.runs.reader import read_records
from util.runs.repeat import check_command
from util.runs.theirs import TheirScores, logged_scores, their_metrics, tool_of
from util.terminal import closest, number_of

LISTED = 20
NOTHING = ("", "[invalid]")  # the second is what lm-evaluation-harness writes where its pattern finds nothing
NOT, ROUGHLY, ROUNDED, EXACTLY = range(4)  # how far a logged score is a number
FLOAT_NOISE = Fraction(1, 1 << 48)  # of a mean that was added up in floating point
OF_THE_WHOLE = ("instructions", "judge")  # graders that judge all that is said: nothing is extracted
EITHER = "extraction or equivalence"
CAUSES = {  # why they and we judge a sample differently, and in words
    "extraction": "their answer is missing, or is not the one that the response gives",
    "equivalence": "the same answer was found, and judged otherwise",
    EITHER: "their log does not say which answers they found",
    "cut answers": "the text was cut off before an answer that is sure",
    "undecided": "our grader cannot tell, and counts it as not correct",
}
NOT_MATCHED = "not matched"
OF_THEIR_GRADER = "with the verdict of their grader alone"

Weights = dict[Key, Fraction]
Samples = Mapping[str, list[Key]]  # by problem


def _all_samples(samples: Samples) -> Weights:
    total = sum(map(len, samples.values()))
    return {key: Fraction(1, total) for some in samples.values() for key in some}


def _problem_means(samples: Samples) -> Weights:
    return {key: Fraction(1, len(samples) * len(some)) for some in samples.values() for key in some}


def _first_samples(samples: Samples) -> Weights:
    return {min(some): Fraction(1, len(samples)) for some in samples.values()}


OUR_MEAN = "mean over problems of the mean of their samples"  # what every number of ours is
MEANS: dict[str, Callable[[Samples], Weights]] = {  # how scores of samples become one number
    "mean of all samples": _all_samples,
    OUR_MEAN: _problem_means,
    "mean of the first sample of each problem": _first_samples,
}


@dataclass(frozen=True)
class Logged:
    """A number for all samples that their log has, and what of the samples' scores gives it."""

    name: str
    score: str  # as written there
    mean: str = ""  # one of MEANS, or pass@k, in which no sample has a share; "": none of them gives it
    zeros: bool = False  # samples without a score count as 0
    sure: bool = False  # whether one sample more or less would show in its digits

    def told(self) -> str:
        if not self.mean:
            return "cannot be reproduced from the scores of the samples"
        means = self.mean + ", those without a score as 0" * self.zeros
        if self.sure:
            return f"reproduced to the last digit: {means}"
        return f"agrees in the digits that it has, which do not show a single sample: {means}"


@dataclass(frozen=True)
class Flip:
    """A sample that they and we judge differently."""

    key: Key
    theirs: Fraction
    extracted: str | None
    verdict: Verdict
    reference: str | None  # the right answer, where it is a short text
    cause: str  # one of CAUSES
    points: Fraction = Fraction(0)  # what it adds to their number over ours; 1 is all of it

    def as_json(self) -> dict:
        return {
            **named(self.key),
            "theirs": float(self.theirs),
            "their_answer": self.extracted,
            "correct": self.verdict.correct,
            "our_answer": self.verdict.extracted,
            "reference": self.reference,
            "cause": self.cause,
            "reason": told(self.verdict),
        }


@dataclass(frozen=True)
class Part:
    """What one cause adds to their number over ours."""

    name: str
    points: Fraction
    above: int  # samples to which they give more than we do
    below: int


@dataclass(frozen=True)
class Audit:
    """Their number and ours for the same samples, and what makes up the difference."""

    folder: Path
    temperature: float
    tool: str
    metric: str
    others: list[str]  # metrics of their log beside it
    logged: list[Logged]
    mean: str  # one of MEANS: what both numbers are
    scored: int  # samples with a score of theirs
    problems: int
    theirs: Fraction
    matched: int  # samples that both judge
    ours: Fraction
    interval: Estimate
    graders: list[str]
    parts: list[Part]  # one of each cause, and NOT_MATCHED
    lost: int  # problems that they scored, and none of whose samples is matched
    unmatched: Counter[str]  # why samples are not
    flips: list[Flip]

    @property
    def difference(self) -> Fraction:
        return self.theirs - self.ours

    def as_json(self, *, most: int | None = LISTED) -> dict:
        """For the last line of standard output, with at most so many flips; None: with all."""
        return {
            "run": str(self.folder),
            "temperature": self.temperature,
            "from": self.tool,
            "metric": self.metric,
            "logged": [asdict(one) for one in self.logged],
            "mean": self.mean,
            "theirs": float(self.theirs),
            "samples": self.scored,
            "problems": self.problems,
            "ours": {"value": float(self.ours), "low": self.interval.low, "high": self.interval.high},
            "matched": self.matched,
            "points": float(100 * self.difference),
            "parts": {
                one.name: {"points": float(100 * one.points), "above": one.above, "below": one.below}
                for one in self.parts
            },
            "unmatched": {"problems": self.lost, "samples": dict(self.unmatched)},
            "graders": self.graders,
            "flipped": len(self.flips),
            "flips": [flip.as_json() for flip in both_ways(self.flips, most)],
        }


def metric_of(folder: Path, wanted: str | None = None) -> str:
    """The metric of the run's log that is meant: the first where none is named.

    Raises UserError where the run has no scores of another suite.
    """
    if not read_run_json(folder)["made_with"].get("imported"):
        raise UserError(
            f"{folder} was not imported, so that no other suite judged its samples: import a log with "
            "python -m util.runs import, or see what a regrading changed with report.py explain"
        )
    metrics = their_metrics(folder)
    if not metrics:
        raise UserError(
            f"{folder} has no scores of another suite: import its log once more into the same folder "
            "(earlier versions did not keep them); where the log has none, there is nothing to compare with"
        )
    if wanted is not None and wanted not in metrics:
        raise closest("metric", wanted, metrics)
    return wanted or metrics[0]


def audit(run: Side, metric: str) -> Audit:
    """Compare their scores by `metric` with our verdicts. Raises UserError where nothing can be compared."""
    with TheirScores(run.folder, metric) as theirs:
        said = {key: score for key, score in theirs.scores.items() if key[1] == run.temperature}
        shares = _as_shares(said, metric)
        numbers = list(_numbers(shares, said))
        logged = [_explained(*one, numbers) for one in _logged_of(run.facts.info, metric, run.folder)]
        headline = next((one for one in logged if one.mean in MEANS), Logged("", "", OUR_MEAN))
        if headline.zeros:
            shares = {key: shares.get(key, Fraction(0)) for key in said}
        if not shares:
            raise UserError(
                f"{run.folder}: its log has no score by {metric} at temperature "
                f"{exact_number(run.temperature)}: choose another one with --metric or --temperatures"
            )
        ours = _Ours(run, theirs, shares)
    samples, matched = _by_problem(shares), _by_problem(ours.verdicts)
    weigh = MEANS[headline.mean]
    before, weights = weigh(samples), weigh(matched)
    number = sum((shares[key] * weight for key, weight in before.items()), Fraction(0))
    both = sum((shares[key] * weight for key, weight in weights.items()), Fraction(0))
    right = {key: weights[key] for key in weights if ours.verdicts[key]}
    flips = [
        replace(flip, points=weights[flip.key] * (flip.theirs - flip.verdict.correct))
        for flip in ours.flips
        if flip.key in weights
    ]
    return Audit(
        folder=run.folder,
        temperature=run.temperature,
        tool=tool_of(run.facts.info),
        metric=metric,
        others=[name for name in their_metrics(run.folder) if name != metric],
        logged=logged,
        mean=headline.mean,
        scored=len(shares),
        problems=len(samples),
        theirs=number,
        matched=len(ours.verdicts),
        ours=sum(right.values(), Fraction(0)),
        interval=_interval(matched, weights, right),
        graders=sorted(ours.graders),
        parts=[*_parts(flips), Part(NOT_MATCHED, number - both, 0, 0)],
        lost=len(samples.keys() - matched.keys()),
        unmatched=ours.unmatched,
        flips=flips,
    )


def as_text(found: Audit, *, most: int | None = LISTED) -> str:
    """The audit for the terminal, with at most so many flips; None: with all."""
    digits = 1 if found.matched <= 1000 else 2  # so that a single sample of many shows
    scale = 10**digits
    number, ours = (round(100 * scale * value) for value in (found.theirs, found.ours))
    points = shared_out([part.points * 100 * scale for part in found.parts], number - ours)

    def shown(units: int, sign: str = "") -> str:
        return f"{units / scale:{sign}.{digits}f}"

    of = f"{number_of(found.scored, 'sample')} of {number_of(found.problems, 'problem')}"
    graders = ", ".join(found.graders)
    interval = ", ".join(f"{100 * end:.1f}" for end in (found.interval.low, found.interval.high))
    lines = [f"{found.folder}: {found.metric} of {found.tool} and our verdicts on the same samples", ""]
    lines += [f"{one.name} {one.score} as logged: {one.told()}" for one in found.logged]
    if not found.logged:
        lines.append(f"their log has no {found.metric} for all samples together")
    matched = number_of(found.matched, "sample")
    lines += [
        f"theirs  {shown(number)}  {found.mean}, {of}",
        f"ours    {shown(ours)} [{interval}]  of {matched} that both judge ({graders})",
        "",
    ]
    parts = [
        (part, shown(units, "+" * (units > 0)))
        for part, units in zip(found.parts, points, strict=True)
        if part.name != EITHER or part.above or part.below
    ]
    for part, told_points in parts:
        about = _about_unmatched(found) if part.name == NOT_MATCHED else _about(part)
        lines.append(f"{part.name:<12} {told_points:>7}  {about}")
    apart = number - ours
    side = f"{shown(abs(apart))} points {'above' if apart > 0 else 'below'}" if apart else "the same as"
    all_parts = ", ".join(f"{part.name} {told_points}" for part, told_points in parts)
    lines += ["", f"Their number is {side} ours: {all_parts}."]
    if found.others:
        lines.append(f"Their log has other metrics, too (--metric): {', '.join(found.others)}")
    listed = both_ways(found.flips, most)
    lines += map(_flip_text, listed)
    if len(listed) < len(found.flips):
        lines.append(f"\n  and {len(found.flips) - len(listed)} more (--all lists every one)")
    return "\n".join(lines)


def both_ways(flips: Collection[Flip], most: int | None) -> list[Flip]:
    """At most so many flips, half of them each way where there are enough; None: all. Theirs above ours come
    first."""
    above = [flip for flip in flips if flip.theirs > flip.verdict.correct]
    below = [flip for flip in flips if flip.theirs <= flip.verdict.correct]
    if most is None:
        return above + below
    few = max(most // 2, most - len(below))
    return above[:few] + below[: most - len(above[:few])]


def shared_out(parts: list[Fraction], total: int) -> list[int]:
    """Whole numbers near `parts` that sum to `total`, which is at most 1 from their sum; 0 stays 0."""
    whole = [floor(part) for part in parts]
    order = sorted((at for at, part in enumerate(parts) if part), key=lambda at: whole[at] - parts[at])
    left = total - sum(whole)
    for step in range(abs(left)):
        whole[order[step % len(order)] if left > 0 else order[-1]] += 1 if left > 0 else -1
    return whole


# --- details ---


class _Ours:
    """Our verdicts on the samples that they scored."""

    def __init__(self, run: Side, theirs: TheirScores, shares: Mapping[Key, Fraction]) -> None:
        self.verdicts: dict[Key, bool] = {}  # of the samples that both judge
        self.flips: list[Flip] = []
        self.graders: set[str] = set()
        self.unmatched: Counter[str] = Counter()
        there = 0
        for record in read_records(run.folder):
            key, verdict = record.sample.key, record.verdict
            if key[1] != run.temperature:
                continue
            there += key in shares
            if key not in shares:
                self.unmatched["without a score of theirs"] += 1
            elif verdict is None:
                self.unmatched["without a verdict of ours"] += 1
            elif verdict.grader == OLDER_GRADER:
                self.unmatched[OF_THEIR_GRADER] += 1
            elif verdict.reason in NOT_JUDGED:
                self.unmatched[f"that cannot be judged ({verdict.reason})"] += 1
            else:
                self.verdicts[key] = verdict.correct
                self.graders.add(verdict.grader)
                if shares[key] != verdict.correct:
                    extracted = theirs.extracted(key)
                    extracted = "" if extracted in NOTHING else extracted
                    cause = _cause(outcome_of(record), verdict, extracted)
                    self.flips.append(Flip(key, shares[key], extracted, verdict, record.answer, cause))
        if there < len(shares):
            self.unmatched["without a response in the log"] = len(shares) - there
        if not self.verdicts:
            why = ", ".join(f"{count:,} {reason}" for reason, count in self.unmatched.items())
            again = " --regrade" if OF_THEIR_GRADER in self.unmatched else ""
            raise UserError(
                f"{run.folder} has no sample that both they and we have judged ({why}): judge all with\n"
                f"  {check_command(run.folder)}{again}"
            )


def _cause(outcome: str, verdict: Verdict, extracted: str | None) -> str:
    if outcome == "undecided":
        return "undecided"
    if outcome == "truncated":
        return "cut answers"
    if verdict.grader.partition("-")[0] in OF_THE_WHOLE:
        return "equivalence"
    if extracted is None:
        return EITHER
    return "equivalence" if _is_same(verdict, extracted) else "extraction"


def _is_same(verdict: Verdict, extracted: str) -> bool:
    """Whether they found the answer that we found."""
    ours, theirs = (verdict.extracted or "").strip(), extracted.strip()
    if not ours or not theirs or ours == theirs:
        return bool(ours) and ours == theirs
    kind = verdict.grader.partition("-")[0]
    if kind == "choice":
        letter = re.match(r"[\W_]*([A-Za-z])(?![A-Za-z])", theirs)
        return letter is not None and letter[1].upper() == ours
    if kind == "maths":
        from util.grading.maths import same_answer

        return same_answer(ours, theirs, symbolic=False).equal
    return ours.split() == theirs.split()


def _as_shares(said: Mapping[Key, bool | float | None], metric: str) -> dict[Key, Fraction]:
    """The scores that are none, as shares of 1: those of a metric that goes beyond 1 are percent."""
    scores = {key: Fraction(str(float(score))) for key, score in said.items() if score is not None}
    least, most = min(scores.values(), default=0), max(scores.values(), default=0)
    if least < 0 or most > 100:
        wrong = least if least < 0 else most
        raise UserError(
            f"{metric} has scores such as {float(wrong):g}, no share of right answers: choose "
            "another metric of the log with --metric"
        )
    return {key: score / 100 for key, score in scores.items()} if most > 1 else scores


def _logged_of(info: Mapping, metric: str, folder: Path) -> Iterator[tuple[str, str]]:
    """The logged scores that are about a metric: of its name, or of one that goes on behind a comma or such;
    the only one, where there is one metric alone."""
    scores = logged_scores(info)
    own = re.compile(re.escape(metric) + r"([,/:@ (]|$)(?!.*stderr)")
    mine = {name: score for name, score in scores.items() if own.match(name)}
    if not mine and len(scores) == 1 and len(their_metrics(folder)) == 1:
        mine = scores
    yield from mine.items()


class _Number(NamedTuple):
    """What scores of samples come to in one way."""

    mean: str
    zeros: bool
    value: Fraction
    least: Fraction  # by which a single sample moves it


def _explained(name: str, score: str, numbers: Sequence[_Number]) -> Logged:
    """A logged score with the number that it is: the same one, else the first that it is rounded from."""
    number = max(numbers, key=lambda one: _closeness(score, one), default=None)
    if number is None or (close := _closeness(score, number)) == NOT:
        return Logged(name, score)
    return Logged(name, score, number.mean, number.zeros, close > ROUGHLY)


def _numbers(shares: Mapping[Key, Fraction], said: Mapping[Key, object]) -> Iterator[_Number]:
    """All that their number may be; with zeros only where samples have no score."""
    for zeros in (False, True) if len(shares) < len(said) else (False,):
        scores = {key: shares.get(key, Fraction(0)) for key in said} if zeros else shares
        samples = _by_problem(scores)
        if not samples:
            continue
        for mean, weigh in MEANS.items():
            weights = weigh(samples)
            value = sum((scores[key] * weight for key, weight in weights.items()), Fraction(0))
            yield _Number(mean, zeros, value, min(weights.values()))
        for k in range(2, 1 + min(map(len, samples.values()))):
            passed = [_pass_at(k, [scores[key] for key in some]) for some in samples.values()]
            yield _Number(
                f"pass@{k}", zeros, sum(passed, Fraction(0)) / len(samples), Fraction(1, len(samples))
            )


def _pass_at(k: int, scores: Sequence[Fraction]) -> Fraction:
    """As in `estimates`, but exact; a sample with a part of a score is none that passed."""
    drawn, correct = len(scores), scores.count(Fraction(1))
    return 1 - Fraction(comb(drawn - correct, k), comb(drawn, k))


def _closeness(score: str, number: _Number) -> int:
    """How far a logged score, as a share or in percent, is a number: ROUGHLY where a sample more or less does
    not show in its digits."""
    unit = Fraction(1, 10 ** len(score.partition(".")[2]))
    for factor in (1, 100):
        apart = abs(Fraction(score) - factor * number.value)
        if apart <= factor * FLOAT_NOISE:
            return EXACTLY
        if unit < factor and apart <= unit / 2:  # a share without digits is no rounding
            return ROUNDED if unit <= factor * number.least else ROUGHLY
    return NOT


def _by_problem(keys: Iterable[Key]) -> dict[str, list[Key]]:
    found: dict[str, list[Key]] = {}
    for key in keys:
        found.setdefault(key[0], []).append(key)
    return found


def _interval(samples: Samples, weights: Weights, right: Weights) -> Estimate:
    """Of our number: of values of the problems whose mean it is, which go as far as their weights do."""
    count = len(samples)
    values = [float(count * sum(right.get(key, 0) for key in some)) for some in samples.values()]
    most = max(float(count * sum(weights.get(key, 0) for key in some)) for some in samples.values())
    if count == 1 or most == 1:
        return mean_of_shares(values)
    found = mean_within(values, 0.0, most)
    return Estimate(found.value, found.low, min(1.0, found.high))


def _parts(flips: Iterable[Flip]) -> Iterator[Part]:
    by_cause: dict[str, list[Flip]] = {}
    for flip in flips:
        by_cause.setdefault(flip.cause, []).append(flip)
    for cause in CAUSES:
        some = by_cause.get(cause, [])
        above = sum(flip.theirs > flip.verdict.correct for flip in some)
        points = sum((flip.points for flip in some), Fraction(0))
        yield Part(cause, points, above, len(some) - above)


def _about(part: Part) -> str:
    counts = [f"{part.above:,} that they rate higher"] * bool(part.above)
    counts += [f"{part.below:,} that we rate higher"] * bool(part.below)
    return f"{' and '.join(counts)}: {CAUSES[part.name]}" if counts else "no sample"


def _about_unmatched(found: Audit) -> str:
    why = ", ".join(f"{count:,} {reason}" for reason, count in found.unmatched.items())
    problems = number_of(found.lost, "problem")
    return f"{problems} of theirs; samples: {why}" if why else "no problem and no sample"


def _flip_text(flip: Flip) -> str:
    problem_id, temperature, index = flip.key
    answer = "answer not told" if flip.extracted is None else repr(flip.extracted[:80])
    answer = "no answer" if flip.extracted == "" else answer
    return (
        f"\n  {problem_id}, temperature {exact_number(temperature)}, index {index}: {flip.cause}\n"
        f"    theirs     {exact_number(float(flip.theirs))}, {answer}\n"
        f"    ours       {told(flip.verdict)}"
        + ("" if flip.reference is None else f"\n    reference  {flip.reference[:80]!r}")
    )
