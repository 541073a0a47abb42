"""What is the result of what was asked?

`headline` makes a `Headline` of a tally once, `summarise` one for each temperature; everything that shows a
result (terminal, run.json, result files, pages) renders that. `summary_line` is the short form for people.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from util.grading.judged import LABEL, is_of_judge
from util.records import FOLLOWED, NOT_ASKED, Record, ending, exact_number
from util.results.counting import (
    OUTCOMES,
    WHY_BIASED,
    Stopped,
    Tallies,
    Tally,
    counted,
    stopped_early,
    up_to,
)
from util.results.estimates import majority_at_k, mean_of_shares, pass_at_k, tokens_to_first_correct
from util.terminal import filled, number_of

PERCENTILES = (5, 25, 50, 75, 95)
OF_ATTEMPTED = "correct_of_attempted"
DETAILS = ("tokens", "tokens_to_first_correct", "groups", "macro", "graders")  # too long for a line of JSON


@dataclass(frozen=True)
class Target:
    """How much was asked at one temperature."""

    problems: int
    samples: int


@dataclass(frozen=True)
class Mean:
    """A mean over problems with its interval."""

    value: float
    low: float
    high: float
    up_to: float  # the mean if every undecided sample were correct
    undecided: int


@dataclass(frozen=True)
class Followed:
    """Share that is followed, and what it would be if all were that are undecided."""

    of: int
    strict: float
    strict_up_to: float
    loose: float
    loose_up_to: float

    def __str__(self) -> str:
        strict, loose = (
            f"{100 * share:.1f}" + (f" to {100 * most:.1f}" if most > share else "")
            for share, most in ((self.strict, self.strict_up_to), (self.loose, self.loose_up_to))
        )
        return f"strict {strict} loose {loose} of {self.of:,}"


@dataclass(frozen=True)
class Over:
    """A mean over so many problems: those with enough samples."""

    value: float
    problems: int


@dataclass(frozen=True)
class Headline:
    """The result at one temperature. Undecided samples are judged and not correct.

    `avg`, `completed_accuracy`, `pass_at` and `maj_at` are means over problems; `share_of_samples` is not,
    so it differs from `avg` where problems have different numbers of samples. `truncated`, `no_answer` and
    `apart` (loops, refusals, forced answers) count samples, each in one of them at most.
    """

    asked: Target
    problems: int  # with a sample
    judged_problems: int  # with a judged one
    samples: int
    judged: int
    correct: int
    undecided: int
    missing: int  # samples that were asked and are not there
    ungraded: int  # samples that nobody has graded yet
    n_least: int  # judged samples of a problem that has any
    n: int  # most judged samples of a problem
    avg: Mean | None
    completed_accuracy: float | None  # of texts that came to their end
    pass_at: Mapping[int, Over]  # over the problems that have k samples
    maj_at: Mapping[int, Over]
    share_of_samples: float | None
    share_of_samples_up_to: float | None
    truncated: int
    no_answer: int
    other_language: int
    apart: Mapping[str, Mapping[str, int]]
    alike: Mapping[str, int]
    not_judged: Mapping[str, int]
    graders: Mapping[str, int]
    prompt_tokens: int
    completion_tokens: int
    tokens: Mapping[str, Mapping | None]
    tokens_to_first_correct: Mapping | None
    groups: Mapping[str, Mapping[str, Mapping]]
    macro: Mapping[str, float]  # of a group's values, each weighing the same
    stopped_early: Mapping | None
    rules: Mapping[str, Followed] = field(default_factory=dict)  # "prompts", "instructions": of samples
    by_judge: Mapping | None = None  # where a judge grades: what was attempted, and how to read the numbers

    @property
    def complete(self) -> bool:
        """Whether the numbers are about everything that was asked."""
        return not self.missing and not self.ungraded and self.judged_problems >= self.asked.problems

    def over_all(self, values: Mapping[int, Over]) -> tuple[int, float] | None:
        """Largest k that all asked problems have, with its value; None where some have no sample."""
        k = max((k for k, found in values.items() if found.problems >= self.asked.problems), default=None)
        return None if k is None else (k, values[k].value)

    def drawn(self) -> str:
        """How many samples of a problem are judged: one number, or the least and the most."""
        return str(self.n) if self.n_least == self.n else f"{self.n_least}-{self.n}"

    def score(self) -> str:
        """`avg@8 45.0 [31.8, 58.7]`; "" where nothing is judged, or a rule stopped early."""
        if self.avg is None:
            return ""
        value, low, high = (100 * number for number in (self.avg.value, self.avg.low, self.avg.high))
        label = "" if self.by_judge is None else f" ({self.by_judge['label']})"
        return f"avg@{self.drawn()} {value:.1f}{up_to(asdict(self.avg))} [{low:.1f}, {high:.1f}]{label}"

    def unfinished(self) -> str:
        """`INCOMPLETE: 253 of 320 asked, ...` and why that matters; "" where everything is there."""
        without = self.asked.problems - self.problems
        told = []
        if self.missing:
            told.append(f"{self.samples} of {self.asked.samples} asked")
        if without > 0:
            told.append(f"{without} of {self.asked.problems} problems without a sample")
        if self.ungraded:
            told.append(f"{self.ungraded} not graded yet")
        if not told:
            return ""
        bias = " (short answers end first, and are right more often)" if self.missing else ""
        return f"INCOMPLETE: {', '.join(told)}{bias}"

    def over_some(self) -> str:
        """` over 17 of 30 problems` where some have no judged sample; else nothing."""
        if not self.judged_problems or self.judged_problems >= self.asked.problems:
            return ""
        return f" over {self.judged_problems} of {self.asked.problems} problems"

    def as_json(self) -> dict:
        """For run.json, result files and the last line of a command."""
        found = {**asdict(self), "complete": self.complete}
        for name in ("pass_at", "maj_at"):
            found[name] = {str(k): value for k, value in found[name].items()}
        for name in ("stopped_early", "by_judge"):
            if found[name] is None:
                del found[name]
        if not self.rules:
            del found["rules"]
        return found

    def in_short(self) -> dict:
        """The same without what fills a screen: that is in run.json."""
        return {name: value for name, value in self.as_json().items() if name not in DETAILS}


def headline(tally: Tally, target: Target | None = None, stopped: Stopped | None = None) -> Headline:
    """The result of what was counted; without a `target`, nothing more was asked than is there.

    Where a rule stopped early, what that biases is left out and `stopped_early` says why; the share of
    problems that were solved is not biased, nor are counts.
    """
    asked = target or Target(len(tally.places), tally.samples)
    if stopped is not None:  # verdicts decide how many are asked
        asked = Target(asked.problems, tally.samples)
    is_stopped = stopped is not None and min(tally.drawn, default=stopped.n) < stopped.n
    rows = [place for place in range(len(tally.judged)) if tally.judged[place]]
    judged, correct, undecided = sum(tally.judged), sum(tally.correct), sum(tally.undecided)
    counts = [tally.judged[place] for place in rows]
    most = max(counts, default=0)
    ks = sorted({*(2**power for power in range(most.bit_length())), most})
    groups = {} if is_stopped else _groups(tally)
    means = bool(judged) and not is_stopped
    return Headline(
        asked=asked,
        problems=len(tally.places),
        judged_problems=len(rows),
        samples=tally.samples,
        judged=judged,
        correct=correct,
        undecided=undecided,
        missing=max(0, asked.samples - tally.samples),
        ungraded=tally.not_judged.get("not_graded", 0) + tally.not_judged.get(NOT_ASKED, 0),
        n_least=min(counts, default=0),
        n=most,
        avg=_mean(tally, rows) if means else None,
        completed_accuracy=_completed(tally) if means else None,
        pass_at={k: _pass_at(tally, rows, k) for k in ks} if means else {},
        maj_at=_majority(tally, ks) if means else {},
        share_of_samples=correct / judged if means else None,
        share_of_samples_up_to=(correct + undecided) / judged if means else None,
        truncated=tally.truncated,
        no_answer=tally.no_answer,
        other_language=tally.other_language,
        apart={
            name: {"samples": samples, "tokens": tally.tokens_apart[name]}
            for name, samples in sorted(tally.apart.items())
        },
        alike=tally.alike(),
        not_judged=dict(sorted(tally.not_judged.items())),  # in whatever order verdicts came
        graders=dict(sorted(tally.graders.items())),
        prompt_tokens=tally.prompt_tokens,
        completion_tokens=tally.completion_tokens,
        tokens=_tokens(tally),
        tokens_to_first_correct=_to_first_correct(tally, rows) if means else None,
        groups=groups,
        macro={
            name: math.fsum(found["value"] for found in values.values()) / len(values)
            for name, values in groups.items()
        },
        stopped_early=_about_rule(tally, stopped) if is_stopped and stopped is not None else None,
        rules=_rules(tally) if means else {},
        by_judge=_attempts(tally, correct, judged) if any(map(is_of_judge, tally.graders)) else None,
    )


def target_in(info: Mapping, temperature: float, tally: Tally, problems: int) -> Target:
    """What all commands on a folder with so many stored problems have asked at a temperature."""
    asked = info.get("asked", {})
    steps = asked.get("at", {}).get(exact_number(temperature))
    problems = max(problems, len(tally.places))
    if steps is not None:
        problems = max(len(tally.places), *(count for count, _ in steps))
        samples = _asked_by_steps(steps)
    else:  # a folder of an earlier version, which says the largest n of all temperatures
        is_even = len(tally.places) == problems and len({*tally.drawn}) == 1
        samples = 0 if is_even or not temperature else problems * asked.get("n", 1)
    return Target(problems, max(samples, tally.samples))


def _asked_by_steps(steps: Sequence[Sequence[int]]) -> int:
    """Samples that were asked, where each command asked n of so many first problems: (problems, n)."""
    total, before = 0, 0
    for n in sorted({n for _, n in steps}):
        total += (n - before) * max(problems for problems, more in steps if more >= n)
        before = n
    return total


def headlines(tallies: Mapping[float, Tally], info: Mapping, problems: int) -> dict[float, Headline]:
    """The result of a whole folder with so many stored problems, at each temperature."""
    stopped = stopped_early(dict(info))
    return {
        temperature: headline(tally, target_in(info, temperature, tally, problems), stopped)
        for temperature, tally in tallies.items()
    }


def summarise(records: Iterable[Record], *, stopped: Stopped | None = None) -> dict[str, Headline]:
    """The result at each temperature (as text, rising), where nothing more was asked than is there."""
    tallies = Tallies()
    for record in records:
        tallies.add(counted(record))
    return {exact_number(at): headline(tally, None, stopped) for at, tally in tallies.rising().items()}


# --- for people ---


def summary_line(name: str, found: Headline) -> str:
    """For people: `AIME avg@8 45.0 [31.8, 58.7] pass@8 63.3 maj@8 50.0 | 6.3 % truncated, ... | 240 of 240`.

    With undecided samples the mean is the lower end, and the upper one stands behind it. What is not
    complete says so first. Wider than a terminal of 80 columns, it goes on in further lines.
    """
    first = [*found.unfinished().split(), "|"] if found.unfinished() else []
    of = f"| {found.judged} of {max(found.samples, found.asked.samples)}"
    stopped = found.stopped_early
    if not found.judged:
        return filled([name, "nothing graded yet", of])
    if stopped:
        rule = f"{stopped['rule']}, at most {stopped['n']} samples:"
        solved = f"{stopped['solved']} of {found.problems} problems solved |"
        return filled([name, *first, rule, solved, *_shares(found), of])
    parts = [f"{found.score()}{found.over_some()}"]
    for kind, values in (("pass", found.pass_at), ("maj", found.maj_at)):
        best = found.over_all(values)
        if best is not None and found.n > 1:
            parts.append(f"{kind}@{best[0]} {100 * best[1]:.1f}")
    rules = [f"{what} {followed}," for what, followed in found.rules.items()]
    return filled([name, *first, *parts, "|", *rules, *_shares(found), of])


def about_alike(temperature: float, found: Headline) -> str:
    """That sampling seems to be off, where it is asked for and most problems have one text only; else ""."""
    alike, several = found.alike["problems"], found.alike["of"]
    if not temperature or alike < 2 or 2 * alike <= several:
        return ""
    return (
        f"WARNING: all samples of {alike} of {several} problems are the same text at temperature "
        f"{exact_number(temperature)}: answers of a few tokens may be, others say that "
        "the server does not sample (a cache, defaults of its own, a seed that it ignores)"
    )


def about_graders(found: Headline) -> str:
    """That verdicts of several versions or ways of a grader make up one number; else ""."""
    versions: dict[str, list[str]] = {}
    for name, count in found.graders.items():
        if not is_of_judge(name):  # which texts it need not be asked about has another name
            versions.setdefault(name.partition("-")[0], []).append(f"{name} ({count:,})")
    mixed = " and ".join(name for names in versions.values() if len(names) > 1 for name in names)
    return f"WARNING: judged by {mixed}: `--check --regrade` judges all samples alike" if mixed else ""


def about_loops(found: Headline, max_tokens: object) -> str:
    """What ending texts that repeated themselves has saved, at most; "" where there are none."""
    loops = found.apart.get("loop")
    if loops is None:
        return ""
    texts = number_of(
        loops["samples"], "text that repeated itself was", "texts that repeated themselves were"
    )
    if not isinstance(max_tokens, int):
        return f"{texts} ended"
    saved = max(0, loops["samples"] * max_tokens - loops["tokens"])
    return f"{texts} ended, which saved up to {saved:,} tokens (of --max-tokens {max_tokens} each)"


def _shares(found: Headline) -> list[str]:
    counts = {"truncated": found.truncated, "no answer": found.no_answer}
    rare = {"undecided": found.undecided, "in another language": found.other_language}
    rare |= {ending(name).share: apart["samples"] for name, apart in found.apart.items()}
    counts |= {name: count for name, count in rare.items() if count}
    shares = [f"{100 * count / found.samples:.1f} % {name}" for name, count in counts.items()]
    if found.by_judge is not None:
        shares += [
            f"{name.replace('_', ' ')} {100 * found.by_judge[name]:.1f}" for name in (OF_ATTEMPTED, "F1")
        ]
    if found.completed_accuracy is not None:
        shares.append(f"completed-only {100 * found.completed_accuracy:.1f}")
    return [f"{share}," for share in shares[:-1]] + shares[-1:]


# --- numbers ---


def _mean(tally: Tally, rows: Sequence[int]) -> Mean:
    """Mean and interval over these problems, each of which has a judged sample."""
    shares = [tally.correct[place] / tally.judged[place] for place in rows]
    found = mean_of_shares(shares)
    most = [(tally.correct[place] + tally.undecided[place]) / tally.judged[place] for place in rows]
    undecided = sum(tally.undecided[place] for place in rows)
    upper = math.fsum(most) / len(most) if undecided else found.value
    return Mean(found.value, found.low, found.high, upper, undecided)


def _completed(tally: Tally) -> float | None:
    """Mean over the problems that have a judged text that came to its end."""
    counts = zip(tally.completed_correct, tally.completed_judged, strict=True)
    shares = [correct / judged for correct, judged in counts if judged]
    return math.fsum(shares) / len(shares) if shares else None


def _attempts(tally: Tally, correct: int, judged: int) -> dict:
    """How often an answer was attempted, and how often it was right then; F1 is the harmonic mean of that and
    of the share of all, over samples. A text that was cut off is an attempt."""
    attempted = judged - tally.outcomes.count(OUTCOMES.index("no_answer"))
    return {
        "label": LABEL,
        "attempted": attempted,
        OF_ATTEMPTED: correct / attempted if attempted else 0.0,
        "F1": 2 * correct / (attempted + judged) if judged else 0.0,
    }


def _pass_at(tally: Tally, rows: Sequence[int], k: int) -> Over:
    values = [
        pass_at_k(tally.judged[place], tally.correct[place], k) for place in rows if tally.judged[place] >= k
    ]
    return Over(math.fsum(values) / len(values), len(values))


def _majority(tally: Tally, ks: Sequence[int]) -> dict[int, Over]:
    if not tally.votes:
        return {}
    values: dict[int, list[float]] = {k: [] for k in ks}
    for problem_id, place in tally.places.items():
        drawn, correct = tally.judged[place], tally.correct[place]
        decided = correct in (0, drawn)
        wrong = [] if decided else [count for _, count in tally.wrong_answers(place)]
        for k in ks:
            if k > drawn:
                break
            if decided or k == 1:
                values[k].append(correct / drawn)
                continue
            silent = drawn - correct - sum(wrong)
            values[k].append(majority_at_k(correct, wrong, silent, k, seed=_seed(problem_id)))
    return {k: Over(math.fsum(found) / len(found), len(found)) for k, found in values.items()}


def _rules(tally: Tally) -> dict[str, Followed]:
    """How often all rules of a prompt are followed, and how often a rule is."""
    marks = {"prompts": tally.prompts, "instructions": tally.rules}
    return {
        what: Followed(
            counts.total(),
            *(
                sum(count for mark, count in counts.items() if FOLLOWED[mark][which] in wanted)
                / counts.total()
                for which in (0, 1)
                for wanted in ((True,), (True, None))
            ),
        )
        for what, counts in marks.items()
        if counts
    }


def _tokens(tally: Tally) -> dict[str, dict | None]:
    """Mean and percentiles of completion tokens: of all samples, of correct, wrong and undecided ones."""
    right, unknown, unjudged = map(OUTCOMES.index, ("correct", "undecided", "not_judged"))
    return {
        "all": _distribution(sorted(tally.tokens)),
        "correct": _distribution(sorted(tally.tokens_where(lambda outcome: outcome == right))),
        "wrong": _distribution(
            sorted(tally.tokens_where(lambda outcome: outcome not in (right, unknown, unjudged)))
        ),
        "undecided": _distribution(sorted(tally.tokens_where(lambda outcome: outcome == unknown))),
    }


def _to_first_correct(tally: Tally, rows: Sequence[int]) -> dict | None:
    """Mean over the problems that were solved at all; None where none was."""
    values = [
        tokens_to_first_correct(
            tally.judged[place], tally.correct[place], tally.tokens_correct[place], tally.tokens_wrong[place]
        )
        for place in rows
        if tally.correct[place]
    ]
    return {"mean": math.fsum(values) / len(values), "problems": len(values)} if values else None


def _groups(tally: Tally) -> dict[str, dict[str, dict]]:
    """Results by subject, level and so on, where problems differ in them."""
    rows: dict[str, dict[object, list[int]]] = {}
    for place, facts in tally.facts():
        if tally.judged[place]:
            for name, value in facts:
                rows.setdefault(name, {}).setdefault(value, []).append(place)
    return {
        name: {
            _group_name(value): {
                "problems": len(places),
                "judged": sum(tally.judged[place] for place in places),
                **asdict(_mean(tally, places)),
            }
            for value, places in sorted(values.items(), key=_natural)
        }
        for name, values in rows.items()
        if len(values) > 1
    }


def _about_rule(tally: Tally, stopped: Stopped) -> dict:
    """What a rule that ended problems early came to, and what n samples each would cost, at each problem's
    mean so far."""
    columns = zip(tally.drawn_tokens, tally.drawn, strict=True)
    at_n = math.fsum(stopped.n * tokens / drawn for tokens, drawn in columns)
    return {
        "rule": stopped.rule,
        "n": stopped.n,
        "solved": sum(correct > 0 for correct in tally.correct),
        "tokens_at_fixed_n": round(at_n),
        "why": WHY_BIASED,
    }


def _distribution(values: Sequence[int]) -> dict | None:
    """Mean, percentiles (linear between neighbours) and ends of sorted values."""
    if not values:
        return None
    found = {"samples": len(values), "mean": math.fsum(values) / len(values), "min": values[0]}
    for percentile in PERCENTILES:
        position = percentile / 100 * (len(values) - 1)
        below = int(position)
        above = min(below + 1, len(values) - 1)
        found[f"p{percentile}"] = values[below] + (position - below) * (values[above] - values[below])
    return {**found, "max": values[-1]}


def _natural(entry: tuple[object, object]) -> tuple:
    value = entry[0]
    is_number = isinstance(value, int | float)
    return (not is_number, value if is_number else 0, str(value))


def _seed(problem_id: str) -> int:
    return zlib.crc32(problem_id.encode("utf-8", "backslashreplace"))


def _group_name(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
