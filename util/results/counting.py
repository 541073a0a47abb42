"""What is counted over the samples of a run?

Call `counted` for what counts of a record and add it to `Tallies`; `headline.py` makes numbers of them. Only
counts are kept, no responses: some 110 bytes a problem and 5 bytes a sample.
"""

from __future__ import annotations

import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from util.grading.judged import is_of_judge
from util.records import NOT_JUDGED, Record, count_rules, ending, rules_in_short
from util.results.voting import grouped_by_value

# Facts of a problem that results are split by, where run.json does not say which its benchmark declares.
GROUPS = ("source", "subject", "field", "category", "level", "platform", "difficulty", "month")
# Of a sample; each has exactly one. All but the last are judged and stay in the denominator.
OUTCOMES = ("correct", "wrong", "undecided", "no_answer", "truncated", "not_judged")
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


def groups_of(info: dict) -> Sequence[str]:
    """The facts of its problems that the results of a run are split by."""
    return info.get("groups", GROUPS)


class Counted(NamedTuple):
    """What the numbers take of a record. A tuple, as graders send one with each verdict."""

    problem_id: str
    temperature: float
    sample_index: int
    about: dict
    outcome: int  # its number in OUTCOMES
    reason: str  # of the verdict; "not_graded" without one
    grader: str
    is_truncated: bool
    apart: str  # the finish reason, where it is counted apart
    prompt_tokens: int
    completion_tokens: int
    has_answer: bool  # the reference is a short text, so that answers can be compared; a judge compares none
    vote: str | None  # a wrong answer that counts in a majority
    text: int  # checksum of the sample's text
    rules: str  # marks of the rules that were to be followed; "": there were none


def counted(record: Record) -> Counted:
    """What the numbers take of a record."""
    sample, verdict = record.sample, record.verdict
    outcome = outcome_of(record)
    is_wrong = outcome not in ("correct", "not_judged")
    rules, grader = count_rules(record.about), "" if verdict is None else verdict.grader
    return Counted(
        problem_id=sample.problem_id,
        temperature=sample.temperature,
        sample_index=sample.index,
        about=record.about,
        outcome=OUTCOMES.index(outcome),
        reason="not_graded" if verdict is None else verdict.reason,
        grader=grader,
        is_truncated=is_truncated(record),
        apart=sample.finish_reason if ending(sample.finish_reason).share else "",
        prompt_tokens=sample.prompt_tokens,
        completion_tokens=max(0, sample.completion_tokens),
        has_answer=record.answer is not None and not rules and not is_of_judge(grader),
        vote=verdict.extracted if verdict is not None and is_wrong and has_vote(record) else None,
        text=zlib.crc32(sample.text.encode("utf-8", "backslashreplace")),
        rules=(verdict.rules if verdict is not None else "") or "-" * rules,
    )


class Tally:
    """Counts over the samples at one temperature, in one column per count with a row per problem."""

    def __init__(self, groups: Sequence[str] = GROUPS) -> None:
        self._groups = groups
        self.places: dict[str, int] = {}  # problem id -> row
        self.judged = array("I")
        self.correct = array("I")
        self.undecided = array("I")  # judged, not correct, and perhaps right
        self.tokens_correct = array("Q")
        self.tokens_wrong = array("Q")
        self.completed_judged = array("I")  # neither cut off nor ended in a loop
        self.completed_correct = array("I")
        self.drawn = array("I")  # samples, judged or not
        self.drawn_tokens = array("Q")
        self._texts = array("q")  # checksum of the text that all samples have; -1 where they differ
        self._wrong: list[None | str | dict[str, int]] = []  # a lone wrong answer, or counts of several
        self._facts = array("I")  # which of `_known_facts` each problem has
        self._known_facts: dict[tuple, int] = {}
        self.tokens = array("I")  # of each sample, with its outcome beside it
        self.outcomes = array("B")
        self.truncated = 0  # stopped by a token limit, or the prompt did not fit
        self.apart: Counter[str] = Counter()  # finish reasons that are counted apart -> samples
        self.tokens_apart: Counter[str] = Counter()
        self.no_answer = 0  # judged, and no answer or program was found
        self.other_language = 0  # judged, and the only program is not in Python
        self.not_judged: dict[str, int] = {}
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.graders: dict[str, int] = {}
        self.rules: Counter[str] = Counter()  # marks of all judged samples' rules
        self.prompts: Counter[str] = Counter()  # marks that say it of all rules of a judged sample
        self.votes = False  # whether answers can be compared: the references are short texts

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
            self.tokens_apart[one.apart] += tokens
        self.prompt_tokens += one.prompt_tokens
        self.completion_tokens += tokens
        if self.drawn[place] and self._texts[place] != one.text:
            self._texts[place] = -1
        else:
            self._texts[place] = one.text
        self.drawn[place] += 1
        self.drawn_tokens[place] += tokens
        self.tokens.append(tokens)
        self.outcomes.append(one.outcome)
        if outcome == "not_judged":
            self.not_judged[one.reason] = self.not_judged.get(one.reason, 0) + 1
            return
        self.graders[one.grader] = self.graders.get(one.grader, 0) + 1
        self.judged[place] += 1
        self.completed_judged[place] += not one.is_truncated
        self.votes |= one.has_answer
        if one.rules:
            self.rules.update(one.rules)
            self.prompts[rules_in_short(one.rules)] += 1
        if outcome == "correct":
            self.correct[place] += 1
            self.completed_correct[place] += not one.is_truncated
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
            self.completed_judged,
            self.completed_correct,
            self.drawn,
            self.drawn_tokens,
            self._texts,
        ):
            column.append(0)
        self._wrong.append(None)
        if "month" not in about and isinstance(about.get("contest_date"), str):  # of an older folder
            about = {**about, "month": about["contest_date"][:7]}
        facts = tuple((name, about[name]) for name in self._groups if about.get(name) not in (None, ""))
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

    def alike(self) -> dict[str, int]:
        """Of how many problems with several samples all have the same text."""
        several = [text for text, drawn in zip(self._texts, self.drawn, strict=True) if drawn > 1]
        return {"problems": sum(text >= 0 for text in several), "of": len(several)}

    def tokens_where(self, wanted: Callable[[int], bool]) -> Iterable[int]:
        """Token counts of the samples whose outcome is wanted."""
        return (tokens for tokens, outcome in zip(self.tokens, self.outcomes, strict=True) if wanted(outcome))


class Tallies:
    """A tally for each temperature."""

    def __init__(self, groups: Sequence[str] = GROUPS) -> None:
        self._groups = groups
        self._at: dict[float, Tally] = {}

    def add(self, one: Counted) -> None:
        tally = self._at.get(one.temperature)
        if tally is None:
            tally = self._at[one.temperature] = Tally(self._groups)
        tally.add(one)

    def rising(self) -> dict[float, Tally]:
        """The tallies by their temperatures, rising."""
        return dict(sorted(self._at.items()))


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


def up_to(estimate: Mapping) -> str:
    """What follows a mean that has undecided samples: ` (up to 62.0: 14 undecided)`; else nothing."""
    if not estimate["undecided"]:
        return ""
    return f" (up to {100 * estimate['up_to']:.1f}: {estimate['undecided']} undecided)"
