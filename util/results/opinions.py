"""What do second opinions change in a run's numbers, and where do they contradict the rules?

Call `summarise_opinions`. The verdict of the rules stays the verdict; numbers with opinions stand beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from util.records import Record, exact_number
from util.results.counting import Stopped
from util.results.headline import Headline, summarise
from util.runs.opinions import NEITHER, UNDECIDED, YES, Opinions, canary_line
from util.runs.reader import read_records

SHOWN = 10  # disagreements in the text for people


@dataclass(frozen=True)
class Disagreement:
    """A verdict of which the rules are sure and a verifier says the contrary."""

    problem_id: str
    temperature: float
    index: int
    gold: str
    answer: str
    rules: str  # "right" or the reason of the verdict
    verifier: str
    opinion: str

    def line(self) -> str:
        return (
            f"{self.problem_id} at {exact_number(self.temperature)}, sample {self.index}: {self.answer!r} "
            f"for {self.gold!r} is {self.rules} by the rules, {self.verifier} says {self.opinion}"
        )


@dataclass
class OpinionCounts:
    """The opinions on the samples of one temperature."""

    undecided: int = 0  # verdicts of the rules that are undecided
    unasked: int = 0  # of these, those with no answer that could be compared
    right: int = 0  # of these, those that opinions call right
    wrong: int = 0
    audited: int = 0  # verdicts of which the rules are sure that verifiers were asked about
    neither: int = 0  # opinions without a yes or no in both orders, on any of them

    @property
    def decided(self) -> int:
        return self.right + self.wrong


@dataclass
class OpinionSummary:
    """What opinions say of a run; temperatures are written as in run.json."""

    counts: dict[str, OpinionCounts] = field(default_factory=dict)
    numbers: dict[str, Headline] = field(default_factory=dict)  # with opinions in place of undecided verdicts
    disagreements: list[Disagreement] = field(default_factory=list)
    canaries: str = ""  # the sentence about planted texts on which a verifier failed

    def headline(self, temperature: str, by_rules: Headline) -> str:
        """`61.3 by rules, 62.1 with opinions on 14`; without a mean where a rule stopped early."""
        counts = self.counts[temperature]
        before, after = by_rules.avg, self.numbers[temperature].avg
        if before is None or after is None:
            return f"opinions on {counts.decided} of {counts.undecided} undecided: {counts.right} right"
        return f"{100 * before.value:.1f} by rules, {100 * after.value:.1f} with opinions on {counts.decided}"

    def lines(self) -> list[str]:
        """What a reader should know besides the headline, for people."""
        audited = sum(counts.audited for counts in self.counts.values())
        neither = sum(counts.neither for counts in self.counts.values())
        unasked = sum(counts.unasked for counts in self.counts.values())
        found = []
        if audited:
            found.append(
                f"audit: {len(self.disagreements)} of {audited} opinions contradict a verdict of the rules, "
                "which stands"
            )
            found += [f"  {one.line()}" for one in self.disagreements[:SHOWN]]
            if len(self.disagreements) > SHOWN:
                found.append(f"  and {len(self.disagreements) - SHOWN} more in run.json")
        if unasked:
            found.append(f"{unasked} undecided samples hold no answer that could be compared")
        if neither:
            found.append(f"{neither} opinions are neither yes nor no in both orders")
        if self.canaries:
            found.append(self.canaries)
        return found

    def as_json(self) -> dict:
        return {
            "temperatures": {
                temperature: {
                    "avg_with_opinions": _value(self.numbers[temperature]),
                    "undecided": counts.undecided,
                    "unasked": counts.unasked,
                    "right": counts.right,
                    "wrong": counts.wrong,
                    "audited": counts.audited,
                    "neither": counts.neither,
                }
                for temperature, counts in self.counts.items()
            },
            "disagreements": [vars(one) for one in self.disagreements],
            "canaries": self.canaries,
        }


def _value(found: Headline) -> float | None:
    return None if found.avg is None else found.avg.value


def summarise_opinions(
    folder: Path, *, verifier: str | None = None, stopped: Stopped | None = None
) -> OpinionSummary | None:
    """What opinions say of a run, of all verifiers or of one; None where it has none."""
    opinions = Opinions(folder, verifier)
    if not len(opinions):
        return None
    found = OpinionSummary(canaries=canary_line(opinions))
    found.numbers = summarise(_looked_at(folder, opinions, found), stopped=stopped)
    return found


def _looked_at(folder: Path, opinions: Opinions, found: OpinionSummary) -> Iterator[Record]:
    """The records with opinions in place of undecided verdicts; counts them on the way."""
    for record in read_records(folder):
        counts = found.counts.setdefault(exact_number(record.sample.temperature), OpinionCounts())
        _count(record, opinions, counts, found.disagreements)
        yield opinions.applied(record)


def _count(
    record: Record, opinions: Opinions, counts: OpinionCounts, disagreements: list[Disagreement]
) -> None:
    verdict = record.verdict
    if verdict is None:
        return
    said = opinions.of(record)
    counts.neither += sum(one.value == NEITHER for one in said)
    if verdict.reason == UNDECIDED:
        now = opinions.applied(record).verdict
        counts.undecided += 1
        counts.unasked += verdict.extracted is None or record.answer is None
        if now is not None and now.reason != UNDECIDED:
            counts.right += now.correct
            counts.wrong += not now.correct
        return
    for one in said:
        counts.audited += 1
        if one.value != NEITHER and (one.value == YES) != verdict.correct:
            rules = "right" if verdict.correct else verdict.reason
            place = record.sample.key
            disagreements.append(
                Disagreement(*place, record.answer or "", one.answer, rules, one.verifier, one.value)
            )
