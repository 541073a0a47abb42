"""Which answer do most samples of a problem give that has no reference, and how many agree?

Note the answer of each with `Votes.add`, then ask `Votes.elected`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from util.results.voting import grouped_by_value


@dataclass(frozen=True)
class Label:
    """The answer of most samples of a problem."""

    answer: str
    agreement: float  # share of all samples of the problem


class Votes:
    """The answers to one problem; a sample without an answer votes for none and counts all the same."""

    def __init__(self) -> None:
        self.samples = 0
        self._answers: Counter[str] = Counter()

    def add(self, answer: str | None) -> None:
        self.samples += 1
        if answer is not None:
            self._answers[f"maths:{answer}"] += 1

    def elected(self, floor: float) -> Label | None:
        """The answer of most samples; None where less than a share `floor` agrees, or two are level."""
        groups = grouped_by_value(dict(self._answers))
        if not groups or (len(groups) > 1 and groups[0][1] == groups[1][1]):
            return None
        answer, votes = groups[0]
        agreement = votes / self.samples
        return Label(answer, agreement) if agreement >= floor else None

    def agree(self, answer: str, label: Label) -> bool:
        """Whether an answer says what the label says."""
        return len(grouped_by_value({f"maths:{answer}": 1, f"maths:{label.answer}": 1})) == 1
