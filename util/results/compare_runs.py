"""What is the difference between runs, problem by problem?

Call `compare_runs`, then `as_text`; of more than two, `compare_several`. `page.comparison` draws either.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from string import ascii_uppercase

from util.errors import UserError
from util.grading.judged import is_of_judge, said_by_judge
from util.results.counting import Tally
from util.results.estimates import Estimate
from util.results.paired_test import (
    FEWEST_TELLING,
    LEVEL,
    Paired,
    compare_shares,
    differences_of,
    holm,
    mean_difference,
    problem_p,
)
from util.results.sides import Side, refuse_different_data
from util.runs.reader import StoredProblems
from util.settings import NOT_RECORDED, SETTINGS, unrecorded, values_of
from util.terminal import number_of

LETTERS = [*ascii_uppercase, *map(str, range(27, 1000))]  # of runs in a table
CUT_APART = 0.01  # shares of samples cut off that differ by more are said: the token limit may be the cause
LISTED = 20  # problems printed on each side; the page lists all


@dataclass(frozen=True)
class Given:
    """How often a run solved a problem, and the answer it gave most often."""

    share: str
    answer: str | None  # None: the problem has no short answers

    def __str__(self) -> str:
        return self.share if self.answer is None else f"{self.share}: {one_line(self.answer)}"


@dataclass(frozen=True)
class Flip:
    """A problem that the two runs solve differently often."""

    problem_id: str
    question: str
    reference: str | None
    first: Given
    second: Given
    difference: float
    p_value: float  # of a test of this problem alone, corrected for all problems that differ

    @property
    def told_apart(self) -> bool:
        return self.p_value < LEVEL


@dataclass(frozen=True)
class RunComparison:
    """The paired comparison of two runs."""

    first: Side
    second: Side
    paired: Paired
    flips: list[Flip]  # the largest differences first
    warnings: list[str]
    only_first: int  # problems without a counterpart
    only_second: int
    margin: float  # of a share: runs that differ by less count as equivalent

    @property
    def higher_in_b(self) -> list[Flip]:
        return [flip for flip in self.flips if flip.difference > 0]

    @property
    def higher_in_a(self) -> list[Flip]:
        return [flip for flip in self.flips if flip.difference < 0]

    def as_json(self) -> dict:
        """For the last line of standard output."""
        return {
            "first": str(self.first.folder),
            "second": str(self.second.folder),
            **asdict(self.paired),
            "samples": dict(zip(("first", "second"), self.paired.samples, strict=True)),
            "margin": self.margin,
            "equivalent": self.paired.equivalent(self.margin),
            "higher_in_a": len(self.higher_in_a),
            "higher_in_b": len(self.higher_in_b),
            "told_apart": [flip.problem_id for flip in self.flips if flip.told_apart],
            "warnings": self.warnings,
        }


@dataclass(frozen=True)
class SeveralRuns:
    """The first run of a benchmark compared with each of the others."""

    name: str  # of the benchmark
    comparisons: list[RunComparison]
    corrected: list[float]  # p-values, and
    differences: list[Estimate]  # intervals, all of which are right together in 95 of 100 cases

    @property
    def first(self) -> Side:
        return self.comparisons[0].first

    @property
    def sides(self) -> list[Side]:
        return [self.first, *(found.second for found in self.comparisons)]

    def as_json(self) -> dict:
        """For the last line of standard output."""
        return {
            "comparisons": [
                {**found.as_json(), "p_value_corrected": p_value, "difference_corrected": asdict(difference)}
                for found, p_value, difference in zip(
                    self.comparisons, self.corrected, self.differences, strict=True
                )
            ]
        }


def compare_runs(left: Side, right: Side, *, margin: float) -> RunComparison:
    """Compare two runs; those that differ by less than `margin`, a share, count as equivalent."""
    refuse_different_data(left, right)
    common = len(left.counts.keys() & right.counts.keys())
    if not common:
        raise UserError(
            f"{left.folder} and {right.folder} have no problem in common that both have graded: "
            "choose other runs"
        )
    return RunComparison(
        first=left,
        second=right,
        paired=compare_shares(left.counts, right.counts),
        flips=_flips(left, right),
        warnings=warnings_of(left, right),
        only_first=len(left.counts) - common,
        only_second=len(right.counts) - common,
        margin=margin,
    )


def compare_several(benchmarks: Mapping[str, Sequence[Side]], *, margin: float) -> list[SeveralRuns]:
    """Compare the first run of each benchmark with each of the others, all corrected together."""
    compared = {
        name: [compare_runs(first, other, margin=margin) for other in others]
        for name, (first, *others) in benchmarks.items()
    }
    every = [found for comparisons in compared.values() for found in comparisons]
    corrected = holm([found.paired.p_value for found in every])
    confidence = 1 - LEVEL / len(every)  # Bonferroni: together they miss no more often than one does
    differences = [
        mean_difference(differences_of(found.first.counts, found.second.counts), p_value, confidence)
        for found, p_value in zip(every, corrected, strict=True)
    ]
    several, at = [], 0
    for name, comparisons in compared.items():
        end = at + len(comparisons)
        several.append(SeveralRuns(name, comparisons, corrected[at:end], differences[at:end]))
        at = end
    return several


def several_as_json(found: Sequence[SeveralRuns]) -> dict:
    """For the last line of standard output."""
    if len(found) == 1:
        return found[0].as_json()
    return {"benchmarks": {one.name: one.as_json() for one in found}}


def as_text(found: RunComparison) -> str:
    """The comparison for the terminal."""
    lines = [
        f"A  {found.first.name}  {found.first.result}  ({found.first.folder})",
        f"B  {found.second.name}  {found.second.result}  ({found.second.folder})",
        "",
        *(f"WARNING: {warning}" for warning in found.warnings),
        *numbers_lines(found),
        "",
        verdict_sentence(found),
        equivalence_sentence(found),
    ]
    if found.flips:
        lines += ["", about_problems(found)]
    for title, flips in (("higher in B", found.higher_in_b), ("higher in A", found.higher_in_a)):
        if flips:
            lines += ["", f"{title}: {_problems(flips)}"]
            lines += [
                f"  {flip.problem_id}: {one_line(flip.question)}\n"
                f"    A {flip.first} | B {flip.second} | reference {one_line(flip.reference or '(tests)')}"
                f"{f' | told apart, p = {flip.p_value:.2g}' if flip.told_apart else ''}"
                for flip in flips[:LISTED]
            ]
            if len(flips) > LISTED:
                lines.append(f"  and {len(flips) - LISTED} more (-o FILE draws all)")
    return "\n".join(lines)


def table_text(found: Sequence[SeveralRuns]) -> str:
    """Several runs for the terminal: a line for each."""
    lines = []
    for one in found:
        lines += [f"{one.name}:"] * (len(found) > 1)
        lines.append(f"A  {one.first.name}  {one.first.result}  ({one.first.folder})")
        for letter, pair, p_value, difference in lettered(one):
            lines += [
                f"{letter}  {pair.second.name}  {pair.second.result}  ({pair.second.folder})",
                f"   {letter} - A {points_text(difference)}, p = {p_value:.3g}: {in_a_word(pair, p_value)}",
            ]
        warnings = dict.fromkeys(
            f"WARNING: A and {letter}: {warning}"
            for letter, pair, _, _ in lettered(one)
            for warning in pair.warnings
        )
        lines += [*warnings, ""]
    return "\n".join([*lines, *filter(None, (about_mean(found), about_correction(found)))])


def about_mean(found: Sequence[SeveralRuns]) -> str:
    """The mean over benchmarks; "" where there is but one, or a letter is not one model everywhere."""
    columns = list(zip(*(one.sides for one in found), strict=False))
    is_even = len({len(one.sides) for one in found}) == 1
    if len(found) == 1 or not is_even or any(len({side.model for side in column}) > 1 for column in columns):
        return ""
    means = [math.fsum(side.average for side in column) / len(column) for column in columns]
    told = ", ".join(f"{letter} {100 * mean:.1f}" for letter, mean in zip(LETTERS, means, strict=False))
    return f"Mean of {len(found)} benchmarks, each weighing the same: {told}."


def verdict_sentence(found: RunComparison) -> str:
    """In plain words: whether the data can tell the two apart, and how many samples would."""
    paired = found.paired
    points = 100 * abs(paired.difference.value)
    if paired.differing == 0:
        reach = 100 * paired.difference.high
        return (
            f"Both runs do equally well on each of the {paired.problems} problems: the data show no "
            f"difference, and a difference of more than {reach:.1f} points would very likely show."
        )
    better = "B" if paired.difference.value > 0 else "A"
    if paired.p_value < LEVEL:
        return (
            f"The data can tell the two apart: {better} is better by {points:.1f} points on problems like "
            f"these, and chance alone would give such a difference in {_chance(paired.p_value)} cases."
        )
    sentence = (
        f"The data cannot tell the two apart: a difference of {points:.1f} points or more comes about by "
        f"chance in {_chance(paired.p_value)} cases."
    )
    if paired.differing < FEWEST_TELLING:
        differ = number_of(paired.differing, "problem differs", "problems differ")
        sentence += (
            f" Only {differ}: even all of them in favour of the same run would not be enough; "
            f"{FEWEST_TELLING} would."
        )
    if paired.problems == 1:
        return f"{sentence} A single problem says nothing about others."
    if paired.needed_problems is None:
        return f"{sentence} There is no difference in the mean to look for."
    least, most = paired.least_and_most
    each = f"{number_of(most, 'sample')} each" if least == most else "as many samples as here"
    sentence += (
        f" If the true difference is {points:.1f} points, about {paired.needed_problems} problems of {each} "
        f"would show it (8 times out of 10); here are {paired.problems}."
    )
    if paired.needed_samples is not None:
        sentence += f" On these same problems, about {paired.needed_samples} samples per problem would."
    elif least > 1:
        sentence += " More samples of these same problems would not be enough."
    return sentence


def equivalence_sentence(found: RunComparison) -> str:
    """In plain words: whether the two are as good as equal."""
    within, margin = found.paired.within, f"{100 * found.margin:g} points"
    reach = f"the 90 % interval of the difference is [{100 * within.low:+.1f}, {100 * within.high:+.1f}]"
    match found.paired.equivalent(found.margin):
        case True:
            return f"The two are equivalent within {margin}: {reach}."
        case False:
            return f"The two are not equivalent within {margin}: {reach}."
    return f"The data cannot tell whether the two are equivalent within {margin}: {reach}."


# --- details ---


def _problems(flips: Sequence[Flip]) -> str:
    return number_of(len(flips), "problem")


def warnings_of(first: Side, second: Side) -> list[str]:
    """What makes a comparison of the two less than one of two models."""
    left, right = first.facts.info, second.facts.info
    found = []
    for side in (first, second):
        if side.facts.info["dataset"].get("path") is None:
            found.append(
                f"{side.folder} does not say from which data it was made (it was imported): problems "
                "are paired by their ids alone"
            )
    if left.get("prompt", {}).get("hash") != right.get("prompt", {}).get("hash"):
        names = [info.get("prompt", {}).get("name", "default") for info in (left, right)]
        found.append(f"the prompts differ: {names[0]!r} and {names[1]!r}")
    labels = [
        info["dataset"].get("labels", NOT_RECORDED if info["settings"].get("filter_difficulty") else None)
        for info in (left, right)
    ]
    if labels[0] != labels[1]:
        found.append(f"the difficulty labels that chose the problems differ: {labels[0]} and {labels[1]}")
    found += _settings_apart(first, second)
    # Which texts a judge need not be asked about says nothing of the judge.
    graders = [
        [one for one in sorted(side.tally.graders) if said_by_judge(one) or not is_of_judge(one)]
        for side in (first, second)
    ]
    if all(graders) and graders[0] != graders[1]:
        found.append(
            f"the graders differ: {', '.join(graders[0])} and {', '.join(graders[1])}; "
            "grade both again with --check --regrade"
        )
    counts = [side.headline.drawn() for side in (first, second)]
    if counts[0] != counts[1]:
        found.append(f"the samples per problem differ: {counts[0]} and {counts[1]}")
    elif first.headline.n_least < first.headline.n:
        found.append(f"the samples per problem differ from problem to problem: {counts[0]} in both runs")
    for side in (first, second):
        if side.facts.being_written_by:
            found.append(f"{side.folder} is being written by {side.facts.being_written_by}")
        left_out = sum(side.tally.not_judged.values())
        if left_out:
            found.append(f"{number_of(left_out, 'sample')} of {side.folder} not judged and left out")
        if side.headline.unfinished():
            found.append(f"{side.folder} is {side.headline.unfinished()}")
        undecided = sum(side.tally.undecided)
        if undecided:
            found.append(f"undecided samples of {side.folder}, counted as not correct: {undecided}")
    cut = [side.headline.truncated / max(1, side.headline.samples) for side in (first, second)]
    if abs(cut[0] - cut[1]) > CUT_APART:
        found.append(f"the shares cut off differ: {100 * cut[0]:.1f} % and {100 * cut[1]:.1f} % of samples")
    return found


def _settings_apart(first: Side, second: Side) -> list[str]:
    """What the two runs were made or graded with that is not the same, or not known."""
    left, right = (values_of(side.facts.info) for side in (first, second))
    found = []
    for side in (first, second):
        unknown = unrecorded(side.facts.info["settings"])
        if unknown:
            found.append(f"{side.folder} does not record {', '.join(unknown)}")
    for setting in SETTINGS:
        a, b = left[setting.name], right[setting.name]
        if setting.compared and a != b and NOT_RECORDED not in (a, b):
            found.append(f"the {setting.label} differs: {a!r} and {b!r}")
    return found


def _flips(first: Side, second: Side) -> list[Flip]:
    differing = {
        problem_id: also / also_drawn - correct / judged
        for problem_id, (correct, judged) in first.counts.items()
        for also, also_drawn in [second.counts.get(problem_id, (correct, judged))]
        if abs(also / also_drawn - correct / judged) > 1e-12
    }
    p_values = holm([problem_p(first.counts[name], second.counts[name]) for name in differing])
    flips = []
    with closing(StoredProblems(first.folder)) as problems:
        for (problem_id, difference), p_value in zip(differing.items(), p_values, strict=True):
            problem = problems.get(problem_id)
            assert problem is not None, "a sample without its problem is refused when a run is read"
            reference = problem.reference if isinstance(problem.reference, str) else None
            before, after = (given(side.tally, problem_id, reference) for side in (first, second))
            flips.append(Flip(problem_id, problem.question, reference, before, after, difference, p_value))
    return sorted(flips, key=lambda flip: (-abs(flip.difference), flip.problem_id))


def lettered(found: SeveralRuns) -> list[tuple[str, RunComparison, float, Estimate]]:
    """Each comparison with the letter of its second run, and what is corrected: p-value and difference."""
    return list(zip(LETTERS[1:], found.comparisons, found.corrected, found.differences, strict=False))


def about_correction(found: Sequence[SeveralRuns]) -> str:
    """How p-values and intervals were corrected; "" where there is but one of each."""
    count = sum(len(one.comparisons) for one in found)
    if count == 1:
        return ""
    return (
        f"{count} comparisons at once: p-values (Holm) and intervals (Bonferroni) are "
        "corrected, so that chance makes any of them wrong in at most 5 of 100 cases."
    )


def in_a_word(found: RunComparison, p_value: float) -> str:
    """The verdict on a run that is compared with A."""
    if p_value < LEVEL:
        return "better than A" if found.paired.difference.value > 0 else "worse than A"
    same = found.paired.equivalent(found.margin)
    return f"equivalent to A within {100 * found.margin:g} points" if same else "cannot be told from A"


def about_problems(found: RunComparison) -> str:
    """How many of the problems that differ are told apart by a test of their own."""
    if found.paired.least_and_most == (1, 1):
        return "By problem: one sample of each says nothing about a single problem."
    told = sum(flip.told_apart for flip in found.flips)
    tests = "1 test" if len(found.flips) == 1 else f"{len(found.flips)} tests, corrected (Holm)"
    return (
        f"By problem: {told} of {len(found.flips)} that differ are told apart by a test of each "
        f"(Fisher's exact, {tests}); the others may differ by chance."
    )


def points_text(estimate: Estimate) -> str:
    value, low, high = (100 * share for share in (estimate.value, estimate.low, estimate.high))
    return f"{value:+.1f} points [{low:+.1f}, {high:+.1f}]"


def given(tally: Tally, problem_id: str, reference: str | None) -> Given:
    place = tally.places[problem_id]
    correct, judged = tally.correct[place], tally.judged[place]
    wrong = tally.wrong_answers(place)
    share = f"{correct} of {judged}"
    if reference is None:
        return Given(share, None)
    if correct and (not wrong or correct >= wrong[0][1]):
        return Given(share, reference)
    if wrong:
        return Given(share, wrong[0][0])
    return Given(share, "undecided" if tally.undecided[place] else "no answer")


def numbers_lines(found: RunComparison) -> list[str]:
    paired = found.paired
    estimate = paired.difference
    value, low, high = (100 * share for share in (estimate.value, estimate.low, estimate.high))
    how = "permutation over problems, " + ("all swaps counted" if paired.exact else "random swaps, seeded")
    lines = [
        (
            f"difference B - A {value:+.1f} points, 95 % interval [{low:+.1f}, {high:+.1f}], "
            f"p = {paired.p_value:.3g} ({how})"
        ),
        (
            f"{number_of(paired.problems, 'common problem')}, "
            f"{number_of(paired.differing, 'differs', 'differ')}: "
            f"{len(found.higher_in_b)} higher in B, {len(found.higher_in_a)} higher in A"
        ),
    ]
    if found.only_first or found.only_second:
        lines.append(
            f"left out: {number_of(found.only_first, 'problem')} graded in A only, "
            f"{found.only_second} in B only"
        )
    return lines


def _chance(p_value: float) -> str:
    if p_value < 0.001:
        return "less than 1 of 1000"
    if p_value < 0.1:
        return f"{1000 * p_value:.0f} of 1000"
    return f"{100 * p_value:.0f} of 100"


def one_line(text: str, most: int = 100) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[:most] + " ..."
