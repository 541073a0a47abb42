"""What do the records of a run say in numbers?

Call `summarise` for the numbers, `summary_line` for a line of them. Only counts are kept, no responses: some
100 bytes a problem and 5 bytes a sample.
"""

from __future__ import annotations

import math
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from util.records import NOT_JUDGED, Record, ending, exact_number
from util.results.estimates import majority_at_k, mean_of_shares, pass_at_k, tokens_to_first_correct
from util.results.voting import grouped_by_value

GROUPS = ("source", "subject", "field", "level", "difficulty")  # facts of a problem that results are split by
# Of a sample; each has exactly one. All but the last are judged and stay in the denominator.
OUTCOMES = ("correct", "wrong", "undecided", "no_answer", "truncated", "not_judged")
PERCENTILES = (5, 25, 50, 75, 95)
WHY_BIASED = (
    "Problems were asked only until their verdicts were enough, so hard ones have more samples than easy "
    "ones: avg@n, pass@k and maj@k over them would be biased and are not given."
)


@dataclass(frozen=True)
class Stopped:
    """A run in which verdicts decided how many samples a problem got."""

    rule: str  # in words, such as "until 1 correct"
    n: int  # most samples of a problem


def stopped_early(info: dict) -> Stopped | None:
    """What run.json says of the rule by which problems were finished early; None: all got n samples."""
    asked = info.get("asked", {})
    stopping = asked.get("stopping")
    return None if stopping is None else Stopped(stopping["rule"], asked["n"])


class Counted(NamedTuple):
    """What the numbers take of a record. A tuple, as graders send one with each verdict."""

    problem_id: str
    temperature: float
    about: dict
    outcome: int  # its number in OUTCOMES
    reason: str  # of the verdict; "not_graded" without one
    grader: str
    is_truncated: bool
    apart: str  # the finish reason, where it is counted apart
    prompt_tokens: int
    completion_tokens: int
    has_answer: bool  # the reference is a short text, so that answers can be compared
    vote: str | None  # a wrong answer that counts in a majority
    text: int  # checksum of the sample's text


def counted(record: Record) -> Counted:
    """What the numbers take of a record."""
    sample, verdict = record.sample, record.verdict
    outcome = outcome_of(record)
    is_wrong = outcome not in ("correct", "not_judged")
    return Counted(
        problem_id=sample.problem_id,
        temperature=sample.temperature,
        about=record.about,
        outcome=OUTCOMES.index(outcome),
        reason="not_graded" if verdict is None else verdict.reason,
        grader="" if verdict is None else verdict.grader,
        is_truncated=is_truncated(record),
        apart=sample.finish_reason if ending(sample.finish_reason).share else "",
        prompt_tokens=sample.prompt_tokens,
        completion_tokens=max(0, sample.completion_tokens),
        has_answer=record.answer is not None,
        vote=verdict.extracted if verdict is not None and is_wrong and has_vote(record) else None,
        text=zlib.crc32(sample.text.encode("utf-8", "backslashreplace")),
    )


class Tally:
    """Counts over the samples at one temperature, in one column per count with a row per problem."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}  # problem id -> row
        self.judged = array("I")
        self.correct = array("I")
        self.undecided = array("I")  # judged, not correct, and perhaps right
        self.tokens_correct = array("Q")
        self.tokens_wrong = array("Q")
        self._drawn = array("I")  # samples, judged or not
        self._drawn_tokens = array("Q")
        self._texts = array("q")  # checksum of the text that all samples have; -1 where they differ
        self._wrong: list[None | str | dict[str, int]] = []  # a lone wrong answer, or counts of several
        self._facts = array("I")  # which of `_known_facts` each problem has
        self._known_facts: dict[tuple, int] = {}
        self.tokens = array("I")  # of each sample, with its outcome beside it
        self.outcomes = array("B")
        self.truncated = 0  # stopped by a token limit, or the prompt did not fit
        self.apart: Counter[str] = Counter()  # finish reasons that are counted apart -> samples
        self._tokens_apart: Counter[str] = Counter()
        self.no_answer = 0  # judged, and no answer or program was found
        self.other_language = 0  # judged, and the only program is not in Python
        self.completed_judged = 0
        self.completed_correct = 0
        self.not_judged: dict[str, int] = {}
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.graders: dict[str, int] = {}
        self._votes = False  # whether answers can be compared: the references are short texts

    @property
    def samples(self) -> int:
        return len(self.tokens)

    def add(self, one: Counted) -> None:
        place = self.places.get(one.problem_id)
        if place is None:
            place = self._new_problem(one.problem_id, one.about)
        outcome, tokens = OUTCOMES[one.outcome], one.completion_tokens
        self.truncated += one.is_truncated and not one.apart
        if one.apart:
            self.apart[one.apart] += 1
            self._tokens_apart[one.apart] += tokens
        self.prompt_tokens += one.prompt_tokens
        self.completion_tokens += tokens
        if self._drawn[place] and self._texts[place] != one.text:
            self._texts[place] = -1
        else:
            self._texts[place] = one.text
        self._drawn[place] += 1
        self._drawn_tokens[place] += tokens
        self.tokens.append(tokens)
        self.outcomes.append(one.outcome)
        if outcome == "not_judged":
            self.not_judged[one.reason] = self.not_judged.get(one.reason, 0) + 1
            return
        self.graders[one.grader] = self.graders.get(one.grader, 0) + 1
        self.judged[place] += 1
        self.completed_judged += not one.is_truncated
        self._votes |= one.has_answer
        if outcome == "correct":
            self.correct[place] += 1
            self.completed_correct += not one.is_truncated
            self.tokens_correct[place] += tokens
            return
        self.tokens_wrong[place] += tokens
        self.undecided[place] += outcome == "undecided"
        self.no_answer += outcome == "no_answer" and not one.apart
        self.other_language += one.reason == "unsupported_language"
        if one.has_answer and one.vote is not None:
            self._add_wrong(place, one.grader, one.vote)

    def _new_problem(self, problem_id: str, about: dict) -> int:
        place = self.places[problem_id] = len(self.places)
        for column in (
            self.judged,
            self.correct,
            self.undecided,
            self.tokens_correct,
            self.tokens_wrong,
            self._drawn,
            self._drawn_tokens,
            self._texts,
        ):
            column.append(0)
        self._wrong.append(None)
        facts = tuple((name, about[name]) for name in GROUPS if about.get(name) not in (None, ""))
        self._facts.append(self._known_facts.setdefault(facts, len(self._known_facts)))
        return place

    def _add_wrong(self, place: int, grader: str, answer: str) -> None:
        key = f"{grader.partition('-')[0]}:{answer}"
        there = self._wrong[place]
        if there is None:
            self._wrong[place] = key
            return
        if isinstance(there, str):
            there = self._wrong[place] = {there: 1}
        there[key] = there.get(key, 0) + 1

    def wrong_answers(self, place: int) -> list[tuple[str, int]]:
        """Different wrong answers to a problem with how many samples gave them, the most frequent first."""
        there = self._wrong[place]
        if there is None:
            return []
        counts = {there: 1} if isinstance(there, str) else there
        return (
            grouped_by_value(counts)
            if self.judged[place] > 1
            else [(next(iter(counts)).partition(":")[2], 1)]
        )

    def facts(self) -> Iterable[tuple[int, tuple]]:
        """(row, facts) of each problem."""
        known = list(self._known_facts)
        return ((place, known[which]) for place, which in enumerate(self._facts))

    def shares(self) -> dict[str, float]:
        """Share correct of each problem that has a judged sample."""
        return {
            problem_id: self.correct[place] / self.judged[place]
            for problem_id, place in self.places.items()
            if self.judged[place]
        }

    def numbers(self, stopped: Stopped | None = None) -> dict:
        """Everything that is reported about these samples, ready for JSON.

        Where a rule stopped early, what that biases is left out and `stopped_early` says why; the share of
        problems that were solved is not biased, nor are counts.
        """
        found = self._numbers()
        if stopped is None or min(self._drawn, default=stopped.n) >= stopped.n:
            return found
        biased = dict.fromkeys(
            ("accuracy", "accuracy_up_to", "avg", "completed_accuracy", "tokens_to_first_correct")
        )
        return (
            found
            | biased
            | {
                "pass_at": {},
                "maj_at": {},
                "groups": {},
                "stopped_early": {
                    "rule": stopped.rule,
                    "n": stopped.n,
                    "solved": sum(correct > 0 for correct in self.correct),
                    "tokens_at_fixed_n": round(self._tokens_at(stopped.n)),
                    "why": WHY_BIASED,
                },
            }
        )

    def _tokens_at(self, n: int) -> float:
        """Completion tokens that n samples of each problem would cost, at each problem's mean so far."""
        return math.fsum(
            n * tokens / drawn for tokens, drawn in zip(self._drawn_tokens, self._drawn, strict=True)
        )

    def _numbers(self) -> dict:
        rows = [place for place in range(len(self.judged)) if self.judged[place]]
        judged, correct, undecided = sum(self.judged), sum(self.correct), sum(self.undecided)
        most = max((self.judged[place] for place in rows), default=0)
        ks = [2**power for power in range(most.bit_length())]
        return {
            "accuracy": correct / judged if judged else None,
            "accuracy_up_to": (correct + undecided) / judged if judged else None,
            "correct": correct,
            "undecided": undecided,
            "judged": judged,
            "samples": self.samples,
            "problems": len(self.places),
            "n": most,
            "avg": self._estimate(rows),
            "pass_at": {str(k): self._pass_at(rows, k) for k in ks},
            "maj_at": self._majority(ks),
            "truncated": self.truncated,
            "no_answer": self.no_answer,
            "other_language": self.other_language,
            "apart": {
                name: {"samples": samples, "tokens": self._tokens_apart[name]}
                for name, samples in sorted(self.apart.items())
            },
            "alike": self._alike(),
            "completed_accuracy": (
                self.completed_correct / self.completed_judged if self.completed_judged else None
            ),
            "not_judged": dict(sorted(self.not_judged.items())),  # in whatever order verdicts came
            "graders": dict(sorted(self.graders.items())),
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "tokens": self._tokens(),
            "tokens_to_first_correct": self._to_first_correct(rows),
            "groups": self._groups(),
        }

    def _alike(self) -> dict[str, int]:
        """Of how many problems with several samples all have the same text."""
        several = [text for text, drawn in zip(self._texts, self._drawn, strict=True) if drawn > 1]
        return {"problems": sum(text >= 0 for text in several), "of": len(several)}

    def _estimate(self, rows: Sequence[int]) -> dict | None:
        """Mean and interval over these problems, and the mean if every undecided sample were correct; None
        where nothing is judged."""
        if not rows:
            return None
        shares = [self.correct[place] / self.judged[place] for place in rows]
        found = mean_of_shares(shares, sum(self.judged[place] for place in rows))
        most = [(self.correct[place] + self.undecided[place]) / self.judged[place] for place in rows]
        undecided = sum(self.undecided[place] for place in rows)
        up_to = math.fsum(most) / len(most) if undecided else found.value
        return {
            "value": found.value,
            "low": found.low,
            "high": found.high,
            "up_to": up_to,
            "undecided": undecided,
        }

    def _pass_at(self, rows: Sequence[int], k: int) -> dict:
        """Mean over the problems that have k samples, and how many those are."""
        values = [
            pass_at_k(self.judged[place], self.correct[place], k) for place in rows if self.judged[place] >= k
        ]
        return {"value": math.fsum(values) / len(values), "problems": len(values)}

    def _majority(self, ks: Sequence[int]) -> dict[str, dict]:
        """For each k, the mean over the problems that have k samples, and how many those are."""
        if not self._votes:
            return {}
        values: dict[int, list[float]] = {k: [] for k in ks}
        for problem_id, place in self.places.items():
            drawn, correct = self.judged[place], self.correct[place]
            decided = correct in (0, drawn)
            wrong = [] if decided else [count for _, count in self.wrong_answers(place)]
            for k in ks:
                if k > drawn:
                    break
                if decided or k == 1:
                    values[k].append(correct / drawn)
                    continue
                silent = drawn - correct - sum(wrong)
                values[k].append(majority_at_k(correct, wrong, silent, k, seed=_seed(problem_id)))
        return {
            str(k): {"value": math.fsum(found) / len(found), "problems": len(found)}
            for k, found in values.items()
        }

    def _tokens(self) -> dict[str, dict | None]:
        """Mean and percentiles of completion tokens: of all samples, of correct, wrong and undecided ones."""
        right, unknown, unjudged = map(OUTCOMES.index, ("correct", "undecided", "not_judged"))
        return {
            "all": _distribution(sorted(self.tokens)),
            "correct": _distribution(sorted(self.tokens_where(lambda outcome: outcome == right))),
            "wrong": _distribution(
                sorted(self.tokens_where(lambda outcome: outcome not in (right, unknown, unjudged)))
            ),
            "undecided": _distribution(sorted(self.tokens_where(lambda outcome: outcome == unknown))),
        }

    def tokens_where(self, wanted: Callable[[int], bool]) -> Iterable[int]:
        """Token counts of the samples whose outcome is wanted."""
        return (tokens for tokens, outcome in zip(self.tokens, self.outcomes, strict=True) if wanted(outcome))

    def _to_first_correct(self, rows: Sequence[int]) -> dict | None:
        """Mean over the problems that were solved at all; None where none was."""
        values = [
            tokens_to_first_correct(
                self.judged[place], self.correct[place], self.tokens_correct[place], self.tokens_wrong[place]
            )
            for place in rows
            if self.correct[place]
        ]
        return {"mean": math.fsum(values) / len(values), "problems": len(values)} if values else None

    def _groups(self) -> dict[str, dict[str, dict]]:
        """Results by subject, level and so on, where problems differ in them."""
        rows: dict[str, dict[object, list[int]]] = {}
        for place, facts in self.facts():
            if self.judged[place]:
                for name, value in facts:
                    rows.setdefault(name, {}).setdefault(value, []).append(place)
        return {
            name: {
                _group_name(value): {
                    "problems": len(places),
                    "judged": sum(self.judged[place] for place in places),
                    **(self._estimate(places) or {}),
                }
                for value, places in sorted(values.items(), key=_natural)
            }
            for name, values in rows.items()
            if len(values) > 1
        }


class Tallies:
    """A tally for each temperature."""

    def __init__(self) -> None:
        self._at: dict[float, Tally] = {}

    def add(self, one: Counted) -> None:
        tally = self._at.get(one.temperature)
        if tally is None:
            tally = self._at[one.temperature] = Tally()
        tally.add(one)

    def numbers(self, stopped: Stopped | None = None) -> dict[str, dict]:
        """The numbers of each temperature (as text, rising)."""
        return {exact_number(at): tally.numbers(stopped) for at, tally in sorted(self._at.items())}


def summarise(records: Iterable[Record], *, stopped: Stopped | None = None) -> dict[str, dict]:
    """The numbers of each temperature (as text, rising).

    `accuracy` is correct / judged, None when nothing was judged; `avg` is the mean over problems with its
    interval. Undecided samples are judged and not correct: `accuracy_up_to` and `up_to` of `avg` are what
    these would be if all of them were correct. `undecided`, `truncated`, `no_answer`
    and `other_language` count samples; `apart` those that ended in a loop, with a refusal or at a thinking
    budget, which are in neither `truncated` nor `no_answer`; `alike` counts problems whose samples are all
    the same text.
    """
    tallies = Tallies()
    for record in records:
        tallies.add(counted(record))
    return tallies.numbers(stopped)


def is_truncated(record: Record) -> bool:
    """Whether the text did not come to its end."""
    return bool(ending(record.sample.finish_reason).cut_off) or (
        record.verdict is not None and record.verdict.reason == "truncated"
    )


def outcome_of(record: Record) -> str:
    """The one of OUTCOMES that a sample belongs to."""
    verdict = record.verdict
    if verdict is None or verdict.reason in NOT_JUDGED:
        return "not_judged"
    if verdict.correct:
        return "correct"
    if verdict.reason == "undecided":
        return "undecided"
    if is_truncated(record):
        return "truncated"
    return "no_answer" if verdict.reason in ("no_answer", "no_code") else "wrong"


def has_vote(record: Record) -> bool:
    """Whether the answer of a judged sample counts in a majority: not if it is undecided, nor if the text was
    cut off and nothing sure says that this is its answer."""
    verdict = record.verdict
    if verdict is None or verdict.reason in ("undecided", "truncated"):
        return False
    return verdict.trust in ("high", "") or not is_truncated(record)  # "": of a grader that does not say


def summary_line(name: str, numbers: dict, expected: int | None = None) -> str:
    """One line for people: `AIME avg@8 45.0 [36.1, 54.2] pass@8 63.3 maj@8 50.0 | 6.3 % truncated, ...`.

    With undecided samples the mean is the lower end, and the upper one stands behind it.
    `expected` is how many samples were asked for; default: as many as there are.
    """
    stopped = numbers.get("stopped_early")
    total = max(numbers["samples"], 0 if stopped else expected or 0)
    of = f"{numbers['judged']} of {total}"
    if not numbers["judged"]:
        return f"{name} nothing graded yet | {of}"
    if stopped:
        solved = f"{stopped['solved']} of {numbers['problems']} problems solved"
        return (
            f"{name} {stopped['rule']}, at most {stopped['n']} samples: {solved} | {_shares(numbers)} | {of}"
        )
    average, n = numbers["avg"], numbers["n"]
    value, low, high = (100 * average[key] for key in ("value", "low", "high"))
    parts = [f"{name} avg@{n} {value:.1f}{up_to(average)} [{low:.1f}, {high:.1f}]"]
    if n > 1:
        for label, values in (("pass", numbers["pass_at"]), ("maj", numbers["maj_at"])):
            if values:
                k = max(values, key=int)
                parts.append(f"{label}@{k} {100 * values[k]['value']:.1f}")
    return f"{' '.join(parts)} | {_shares(numbers)} | {of}"


def about_alike(temperature: float, numbers: dict) -> str:
    """That sampling seems to be off, where it is asked for and most problems have one text only; else ""."""
    alike, several = numbers["alike"]["problems"], numbers["alike"]["of"]
    if not temperature or alike < 2 or 2 * alike <= several:
        return ""
    return (
        f"WARNING: all samples of {alike} of {several} problems are the same text at temperature "
        f"{exact_number(temperature)}: answers of a few tokens may be, others say that "
        "the server does not sample (a cache, defaults of its own, a seed that it ignores)"
    )


def about_loops(numbers: dict, max_tokens: object) -> str:
    """What ending texts that repeated themselves has saved, at most; "" where there are none."""
    loops = numbers["apart"].get("loop")
    if loops is None:
        return ""
    texts = (
        "1 text that repeated itself was"
        if loops["samples"] == 1
        else (f"{loops['samples']:,} texts that repeated themselves were")
    )
    if not isinstance(max_tokens, int):
        return f"{texts} ended"
    saved = max(0, loops["samples"] * max_tokens - loops["tokens"])
    return f"{texts} ended, which saved up to {saved:,} tokens (of --max-tokens {max_tokens} each)"


def up_to(estimate: dict) -> str:
    """What follows a mean that has undecided samples: ` (up to 62.0: 14 undecided)`; else nothing."""
    if not estimate["undecided"]:
        return ""
    return f" (up to {100 * estimate['up_to']:.1f}: {estimate['undecided']} undecided)"


def _shares(numbers: dict) -> str:
    samples = numbers["samples"]
    shares = (
        f"{100 * numbers['truncated'] / samples:.1f} % truncated, "
        f"{100 * numbers['no_answer'] / samples:.1f} % no answer"
    )
    if numbers["undecided"]:
        shares += f", {100 * numbers['undecided'] / samples:.1f} % undecided"
    if numbers["other_language"]:
        shares += f", {100 * numbers['other_language'] / samples:.1f} % in another language"
    for name, found in numbers["apart"].items():
        shares += f", {100 * found['samples'] / samples:.1f} % {ending(name).share}"
    if numbers["completed_accuracy"] is not None:
        shares += f", completed-only {100 * numbers['completed_accuracy']:.1f}"
    return shares


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
