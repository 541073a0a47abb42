"""What is the difference between two runs, problem by problem?

Call `compare_runs`, then `as_text` or `write_comparison`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

from util.errors import UserError
from util.records import exact_number
from util.results.counting import Tally, up_to
from util.results.page.frame import new_page, table
from util.results.page.gather import RunFacts, drawn, read_run
from util.results.page.names import short_models
from util.results.paired_test import FEWEST_TELLING, LEVEL, Paired, compare_shares, counts_of
from util.runs.reader import StoredProblems
from util.runs.repeat import check_command
from util.settings import NOT_RECORDED, SETTINGS, unrecorded, values_of

LISTED = 20  # problems printed on each side; the page has all
SAME_DATA = (  # in words, and where run.json says it
    ("task", "settings", "task"),
    ("data set", "dataset", "path"),
    ("split", "dataset", "split"),
    ("revision", "dataset", "revision"),
)


@dataclass(frozen=True)
class Side:
    """One run at one temperature."""

    facts: RunFacts
    temperature: float
    tally: Tally

    @property
    def name(self) -> str:
        return f"{self.facts.info['settings']['model']} at temperature {exact_number(self.temperature)}"


@dataclass(frozen=True)
class Given:
    """How often a run solved a problem, and the answer it gave most often."""

    share: str
    answer: str | None  # None: the problem has no short answers

    def __str__(self) -> str:
        return self.share if self.answer is None else f"{self.share}: {_one_line(self.answer)}"

    def as_html(self) -> str:
        if self.answer is None:
            return self.share
        return f"{self.share}: <span data-formula>{escape(_one_line(self.answer))}</span>"


@dataclass(frozen=True)
class Flip:
    """A problem that the two runs solve differently often."""

    problem_id: str
    question: str
    reference: str | None
    first: Given
    second: Given
    difference: float


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

    @property
    def gained(self) -> list[Flip]:
        return [flip for flip in self.flips if flip.difference > 0]

    @property
    def lost(self) -> list[Flip]:
        return [flip for flip in self.flips if flip.difference < 0]

    def as_json(self) -> dict:
        """For the last line of standard output."""
        return {
            "first": str(self.first.facts.folder),
            "second": str(self.second.facts.folder),
            **asdict(self.paired),
            "gained": len(self.gained),
            "lost": len(self.lost),
            "warnings": self.warnings,
        }


def compare_runs(first: Path, second: Path, temperatures: Sequence[float] | None = None) -> RunComparison:
    """Compare two run folders; `temperatures` says which samples where a run has several temperatures."""
    if first.resolve() == second.resolve() and len(set(temperatures or ())) < 2:
        raise UserError(
            f"{first} and {second} are the same run: name two runs, or two of its temperatures "
            "with --temperatures"
        )
    wanted: Sequence[float | None] = temperatures or (None,)
    left = _side(read_run(first), wanted[0])
    right = _side(read_run(second), wanted[-1])
    _refuse_different_data(left.facts, right.facts)
    counts_left, counts_right = counts_of(left.tally), counts_of(right.tally)
    common = len(counts_left.keys() & counts_right.keys())
    if not common:
        raise UserError(
            f"{first} and {second} have no problem in common that both have graded: choose other runs"
        )
    return RunComparison(
        first=left,
        second=right,
        paired=compare_shares(counts_left, counts_right),
        flips=_flips(left, right),
        warnings=_warnings(left, right),
        only_first=len(counts_left) - common,
        only_second=len(counts_right) - common,
    )


def as_text(found: RunComparison) -> str:
    """The comparison for the terminal."""
    lines = [
        f"A  {found.first.name}  {_score(found.first)}  ({found.first.facts.folder})",
        f"B  {found.second.name}  {_score(found.second)}  ({found.second.facts.folder})",
        "",
        *(f"WARNING: {warning}" for warning in found.warnings),
        *_numbers(found),
        "",
        verdict_sentence(found),
    ]
    for title, flips in (("gained by B", found.gained), ("lost by B", found.lost)):
        if flips:
            lines += ["", f"{title}: {_problems(flips)}"]
            lines += [
                f"  {flip.problem_id}: {_one_line(flip.question)}\n"
                f"    A {flip.first} | B {flip.second} | reference {_one_line(flip.reference or '(tests)')}"
                for flip in flips[:LISTED]
            ]
            if len(flips) > LISTED:
                lines.append(f"  and {len(flips) - LISTED} more (-o FILE draws all)")
    return "\n".join(lines)


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
        differ = "1 problem differs" if paired.differing == 1 else f"{paired.differing} problems differ"
        sentence += (
            f" Only {differ}: even all of them in favour of the same run would not be enough; "
            f"{FEWEST_TELLING} would."
        )
    if paired.problems == 1:
        return f"{sentence} A single problem says nothing about others."
    if paired.needed_problems is None:
        return f"{sentence} There is no difference in the mean to look for."
    least, most = paired.samples
    each = f"{most} sample{'s' * (most > 1)} each" if least == most else "as many samples as here"
    sentence += (
        f" If the true difference is {points:.1f} points, about {paired.needed_problems} problems of {each} "
        f"would show it (8 times out of 10); here are {paired.problems}."
    )
    if paired.needed_samples is not None:
        sentence += f" On these same problems, about {paired.needed_samples} samples per problem would."
    elif least > 1:
        sentence += " More samples of these same problems would not be enough."
    return sentence


def write_comparison(path: Path, found: RunComparison) -> None:
    """Draw the comparison as a page."""
    warnings = "".join(f'<p class="notice">{escape(warning)}</p>' for warning in found.warnings)
    scores = table(
        ("run", "avg@n, 95 % interval", "folder"),
        [
            (f"{letter} · {escape(side.name)}", escape(_score(side)), escape(str(side.facts.folder)))
            for letter, side in (("A", found.first), ("B", found.second))
        ],
        words=(0,),
        cards=True,
    )
    verdict = f"<p><strong>{escape(verdict_sentence(found))}</strong></p>"
    numbers = (f"<p>{escape(line)}</p>" for line in _numbers(found))
    body = [verdict, warnings, scores, *numbers, _picture(found)]
    for title, flips in (("Gained by B", found.gained), ("Lost by B", found.lost)):
        rows = [
            (
                _question(flip),
                f"{100 * flip.difference:+.0f}",
                flip.first.as_html(),
                flip.second.as_html(),
                f"<span data-formula>{escape(_one_line(flip.reference or '(tests)'))}</span>",
            )
            for flip in flips
        ]
        if rows:
            head = ("question", "points", "A", "B", "reference")
            listed = table(head, rows, words=(0, 2, 3, 4), cards=True, frame="flips")
            body.append(f"<h2>{title}: {_problems(flips)}</h2>{listed}")
    with new_page(path, _title(found)) as out:
        out.writelines(body)


# --- details ---


def _problems(flips: Sequence[Flip]) -> str:
    return "1 problem" if len(flips) == 1 else f"{len(flips)} problems"


def _question(flip: Flip) -> str:
    prose = f"<span data-prose>{escape(flip.question)}</span>"
    return f'{prose}<br><span class="faint">{escape(flip.problem_id)}</span>'


def _title(found: RunComparison) -> str:
    """Both sides by model, with the temperature where models are the same."""
    sides = (found.first, found.second)
    names = short_models([side.facts.info["settings"]["model"] for side in sides])
    if names[0] == names[1]:
        names = [
            f"{name} at {exact_number(side.temperature)}" for name, side in zip(names, sides, strict=True)
        ]
    return f"{found.first.facts.info['settings'].get('task')}: {names[0]} (A) and {names[1]} (B)"


def _side(facts: RunFacts, temperature: float | None) -> Side:
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
    stopped = facts.numbers[temperature].get("stopped_early")
    if stopped is not None:
        raise UserError(
            f"{facts.folder} was sampled {stopped['rule']}: its hard problems have more samples than easy "
            f"ones, so a comparison would be biased; raise all to --n {stopped['n']} without that rule"
        )
    return Side(facts, temperature, facts.tallies[temperature])


def _refuse_different_data(first: RunFacts, second: RunFacts) -> None:
    for word, place, key in SAME_DATA:
        left, right = first.info[place].get(key), second.info[place].get(key)
        if left != right and None not in (left, right):
            raise UserError(
                f"{first.folder} has {word} {left!r}, {second.folder} has {right!r}: only runs on the same "
                "data can be compared problem by problem"
            )


def _warnings(first: Side, second: Side) -> list[str]:
    left, right = first.facts.info, second.facts.info
    found = []
    for side in (first, second):
        if side.facts.info["dataset"].get("path") is None:
            found.append(
                f"{side.facts.folder} does not say from which data it was made (it was imported): problems "
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
    graders = [sorted(side.tally.graders) for side in (first, second)]
    if graders[0] != graders[1]:
        found.append(
            f"the graders differ: {', '.join(graders[0])} and {', '.join(graders[1])}; "
            "grade both again with --check --regrade"
        )
    counts = [drawn(side.tally) for side in (first, second)]
    if counts[0] != counts[1]:
        found.append(f"the samples per problem differ: {counts[0]} and {counts[1]}")
    elif "–" in counts[0]:
        found.append(f"the samples per problem differ from problem to problem: {counts[0]} in both runs")
    for side in (first, second):
        if side.facts.being_written_by:
            found.append(f"{side.facts.folder} is being written by {side.facts.being_written_by}")
        left_out = sum(side.tally.not_judged.values())
        if left_out:
            found.append(f"{left_out} samples of {side.facts.folder} are not judged and left out")
        undecided = sum(side.tally.undecided)
        if undecided:
            found.append(f"undecided samples of {side.facts.folder}, counted as not correct: {undecided}")
    return found


def _settings_apart(first: Side, second: Side) -> list[str]:
    """What the two runs were made or graded with that is not the same, or not known."""
    left, right = (values_of(side.facts.info) for side in (first, second))
    found = []
    for side in (first, second):
        unknown = unrecorded(side.facts.info["settings"])
        if unknown:
            found.append(f"{side.facts.folder} does not record {', '.join(unknown)}")
    for setting in SETTINGS:
        a, b = left[setting.name], right[setting.name]
        if setting.compared and a != b and NOT_RECORDED not in (a, b):
            found.append(f"the {setting.label} differs: {a!r} and {b!r}")
    return found


def _flips(first: Side, second: Side) -> list[Flip]:
    flips = []
    others = second.tally.shares()
    with closing(StoredProblems(first.facts.folder)) as problems:
        for problem_id, share in first.tally.shares().items():
            difference = others.get(problem_id, share) - share
            if abs(difference) < 1e-12:
                continue
            problem = problems.get(problem_id)
            assert problem is not None, "a sample without its problem is refused when a run is read"
            reference = problem.reference if isinstance(problem.reference, str) else None
            before, after = (_given(side.tally, problem_id, reference) for side in (first, second))
            flips.append(Flip(problem_id, problem.question, reference, before, after, difference))
    return sorted(flips, key=lambda flip: (-abs(flip.difference), flip.problem_id))


def _given(tally: Tally, problem_id: str, reference: str | None) -> Given:
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


def _numbers(found: RunComparison) -> list[str]:
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
            f"{paired.problems} common problems, {paired.differing} differ: "
            f"{len(found.gained)} gained, {len(found.lost)} lost"
        ),
    ]
    if found.only_first or found.only_second:
        lines.append(f"left out: {found.only_first} problems graded in A only, {found.only_second} in B only")
    return lines


def _score(side: Side) -> str:
    found = side.facts.numbers[side.temperature]["avg"]
    value, low, high = (100 * found[key] for key in ("value", "low", "high"))
    return f"avg@{drawn(side.tally)} {value:.1f}{up_to(found)} [{low:.1f}, {high:.1f}]"


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


def _chance(p_value: float) -> str:
    if p_value < 0.001:
        return "less than 1 of 1000"
    if p_value < 0.1:
        return f"{1000 * p_value:.0f} of 1000"
    return f"{100 * p_value:.0f} of 100"


def _one_line(text: str, most: int = 100) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[:most] + " ..."
