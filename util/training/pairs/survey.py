"""Which samples of a run may become pairs?

Texts are read once and never kept: memory holds some 60 bytes a sample.
"""

from __future__ import annotations

import itertools
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from util.engines.tokens import tokens_per_char
from util.records import NOT_JUDGED, Record
from util.runs.reader import Place, RunReader
from util.training.pairs import variants
from util.training.pairs.variants import Ordered

UNUSABLE, WRONG, CORRECT = -1, 0, 1

OnProgress = Callable[[int], None]


class Survey:
    """What is known of each sample without its text: its problem, where it lies, its length, its verdict."""

    def __init__(self) -> None:
        self._problems, self._samples, self._formatted = array("q"), array("q"), array("q")
        self.tokens = array("q")
        self._states = array("b")
        self.ungraded = self.with_reference = 0
        self.counts = Counter()

    def add(self, place: Place, record: Record) -> None:
        text = record.text()
        self._problems.append(place.problem)
        self._samples.append(place.sample)
        self._formatted.append(place.formatted)
        self.tokens.append(round(len(text) * rate_of(record)))
        self.ungraded += record.verdict is None
        self.with_reference += record.answer is not None
        state = _state(record, text)
        self._states.append(state)
        self.counts[state] += 1

    def __len__(self) -> int:
        return len(self._samples)

    def place(self, number: int) -> Place:
        return Place(self._samples[number], self._problems[number], self._formatted[number])

    def problems(self) -> Iterator[list[int]]:
        """The samples of each problem, in the order in which the problems were asked."""
        order = sorted(range(len(self)), key=self._problems.__getitem__)
        for _, numbers in itertools.groupby(order, key=self._problems.__getitem__):
            yield list(numbers)

    def of_state(self, numbers: Iterable[int], state: int) -> list[tuple[int, int]]:
        """(tokens, number) of those samples that are CORRECT, or WRONG."""
        return [(self.tokens[number], number) for number in numbers if self._states[number] == state]


def survey(reader: RunReader, on_progress: OnProgress = lambda tokens: None) -> Survey:
    found = Survey()
    for place, record in reader:
        found.add(place, record)
        on_progress(record.sample.completion_tokens)
    return found


def rate_of(record: Record) -> float:
    """Tokens per character, by the run's own count."""
    sample = record.sample
    return tokens_per_char(sample.completion_tokens, len(sample.text) + len(sample.reasoning or ""))


def _state(record: Record, text: str) -> int:
    verdict = record.verdict
    if verdict is None or verdict.reason in NOT_JUDGED or not text.strip():
        return UNUSABLE
    if verdict.correct:
        return CORRECT
    # A response that the token limit ended is long, and no example of a short wrong one.
    return UNUSABLE if record.sample.finish_reason in ("length", "prompt_too_long") else WRONG


@dataclass(frozen=True, slots=True)
class Candidate:
    """The samples of one problem that may become pairs, by their numbers in the survey."""

    base: Ordered | None  # shortest correct over longest correct
    silc: Ordered | None
    why_not: str = ""  # why there is no base


def candidates(found: Survey, *, silc: bool, min_margin: float) -> list[Candidate]:
    """What each problem offers, by the run's own token counts."""
    chosen = []
    for numbers in found.problems():
        correct = found.of_state(numbers, CORRECT)
        pair = None
        if silc:
            incorrect = found.of_state(numbers, WRONG)
            pair = variants.silc_pair(correct, incorrect, min_margin=min_margin)
        if len(correct) < 2:
            why_not = variants.ONE_CORRECT if correct else variants.NO_CORRECT
            chosen.append(Candidate(None, pair, why_not))
        else:
            chosen.append(Candidate(Ordered(min(correct)[1], max(correct)[1]), pair))
    return chosen
