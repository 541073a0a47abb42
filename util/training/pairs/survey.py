"""Which samples of a run may become pairs, and if none, what does its user do next?

`survey` reads the run once, `possible_pairs` chooses, `check_samples` says why there is nothing to choose.
Texts are never kept: memory holds some 60 bytes a sample.
"""

from __future__ import annotations

import itertools
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from util.engines.tokens import tokens_per_char
from util.errors import UserError
from util.records import NOT_JUDGED, Record, is_waiting, may_train
from util.runs.reader import RecordPlace
from util.runs.repeat import more_samples_command
from util.training.datacard import grader_named
from util.training.pairs.variants import (
    MARGIN,
    NO_CORRECT,
    ONE_CORRECT,
    OTHER_FORM,
    TOLD_NOT_APART,
    Ordered,
    silc_pair,
)

UNUSABLE, WRONG, CORRECT = -1, 0, 1
USUAL_SAMPLES = 8  # per problem

THINKING, PLAIN = "with a thought", "without one"  # forms of samples

OnProgress = Callable[[int], None]
FormOf = Callable[[int], str | None]  # of a sample by its number; None: no row can be made of its text


class Survey:
    """What is known of each sample without its text: its problem, where it lies, its length, its verdict."""

    def __init__(self, *, keep_budget: bool = False) -> None:
        self._keep_budget = keep_budget  # also take samples whose thought its budget ended
        self._problems, self._samples, self._formatted = array("q"), array("q"), array("q")
        self._runs = array("h")  # the number of each sample's run
        self._names = array("q")  # of problems, where several runs have them
        self.tokens = array("q")
        self._states = array("b")
        self.undecided = self.with_reference = 0
        self.ungraded_in: Counter[int] = Counter()  # number of a run -> samples
        self.counts: Counter[int] = Counter()
        self.graders: set[str] = set()  # of the correct samples

    @property
    def ungraded(self) -> int:
        return self.ungraded_in.total()

    def add(self, place: RecordPlace, record: Record, run: int = 0) -> None:
        text = record.text()
        self._problems.append(place.problem)
        self._samples.append(place.sample)
        self._formatted.append(place.formatted)
        self._runs.append(run)
        self._names.append(hash(record.sample.problem_id))
        self.tokens.append(round(len(text) * rate_of(record)))
        self.ungraded_in[run] += is_waiting(record.verdict)
        self.undecided += record.verdict is not None and record.verdict.reason == "undecided"
        self.with_reference += record.answer is not None
        state = _state(record, text, keep_budget=self._keep_budget)
        self._states.append(state)
        self.counts[state] += 1
        if record.verdict is not None and state == CORRECT:
            self.graders.add(grader_named(record.verdict))

    def __len__(self) -> int:
        return len(self._samples)

    def place(self, number: int) -> RecordPlace:
        return RecordPlace(self._samples[number], self._problems[number], self._formatted[number])

    def problems(self) -> Iterator[list[int]]:
        """The samples of each problem, in the order in which the problems were asked, whoever answered."""
        names = self._names
        if not any(self._runs):
            names = self._problems
        first = {} if names is self._problems else {name: at for at, name in reversed(list(enumerate(names)))}

        def place(number: int) -> int:
            return first.get(names[number], names[number])

        for _, numbers in itertools.groupby(sorted(range(len(self)), key=place), key=place):
            yield list(numbers)

    def run_of(self, number: int) -> int:
        """The number of the run that a sample is from."""
        return self._runs[number]

    def by_run(self, numbers: Iterable[int]) -> list[list[int]]:
        """Samples of each run, in the order of preference."""
        ordered = sorted(numbers, key=self.run_of)
        return [list(alike) for _, alike in itertools.groupby(ordered, key=self.run_of)]

    def judged(self) -> Iterator[tuple[int, bool]]:
        """The samples that are correct or wrong, in the order of the run."""
        states = enumerate(self._states)
        return ((number, state == CORRECT) for number, state in states if state != UNUSABLE)

    def of_state(self, numbers: Iterable[int], state: int) -> list[tuple[int, int]]:
        """(tokens, number) of those samples that are CORRECT, or WRONG."""
        return [(self.tokens[number], number) for number in numbers if self._states[number] == state]


def survey(
    runs: Iterable[Iterable[tuple[RecordPlace, Record]]],
    on_progress: OnProgress = lambda tokens: None,
    *,
    keep_budget: bool = False,
) -> Survey:
    found = Survey(keep_budget=keep_budget)
    for number, records in enumerate(runs):
        for place, record in records:
            found.add(place, record, number)
            on_progress(record.sample.completion_tokens)
    return found


def rate_of(record: Record) -> float:
    """Tokens per character, by the run's own count."""
    sample = record.sample
    return tokens_per_char(sample.completion_tokens, len(sample.text) + len(sample.reasoning or ""))


def _state(record: Record, text: str, *, keep_budget: bool) -> int:
    verdict = record.verdict
    if verdict is None or verdict.reason in (*NOT_JUDGED, "undecided") or not text.strip():
        return UNUSABLE
    # A response that was cut off is no example of a right one, nor of a short wrong one.
    if not may_train(record.sample.finish_reason, keep_budget=keep_budget):
        return UNUSABLE
    return CORRECT if verdict.correct else WRONG


@dataclass(frozen=True, slots=True)
class PossiblePairs:
    """The samples of one problem that may become pairs, by their numbers in the survey."""

    base: Ordered | None  # shortest correct over longest correct
    silc: Ordered | None
    why_not: str = ""  # why there is no base


def possible_pairs(
    found: Survey, form_of: FormOf, *, silc: bool, min_margin: float, silc_pairing: str = MARGIN
) -> list[PossiblePairs]:
    """What each problem offers, by the run's own token counts.

    Both sides of a pair are from one run, of several from the first one that has such a pair, and both or
    none have a thought.
    """
    chosen = []
    for numbers in found.problems():
        offers = [
            _offer(found, of_run, form_of, silc=silc, min_margin=min_margin, pairing=silc_pairing)
            for of_run in found.by_run(numbers)
        ]
        best = next((offer for offer in offers if offer.base), None) or max(offers, key=_has_correct)
        pair = next((offer.silc for offer in offers if offer.silc), None)
        chosen.append(PossiblePairs(best.base, pair, best.why_not))
    return chosen


def _has_correct(offer: PossiblePairs) -> bool:
    return offer.why_not != NO_CORRECT


def _offer(
    found: Survey, numbers: list[int], form_of: FormOf, *, silc: bool, min_margin: float, pairing: str
) -> PossiblePairs:
    correct = sorted(found.of_state(numbers, CORRECT))
    pair = None
    if silc:
        pair = _silc(correct, found.of_state(numbers, WRONG), form_of, min_margin=min_margin, pairing=pairing)
    if len(correct) < 2:
        return PossiblePairs(None, pair, ONE_CORRECT if correct else NO_CORRECT)
    shortest_first = [number for _, number in correct]
    base = _base(shortest_first, form_of)
    if base is None:
        told = sum(form_of(number) is not None for number in shortest_first)
        return PossiblePairs(None, pair, OTHER_FORM if told > 1 else TOLD_NOT_APART)
    return PossiblePairs(base, pair)


def _base(shortest_first: list[int], form_of: FormOf) -> Ordered | None:
    """The shortest and the longest sample with a thought or, without two of these, without one."""
    for form in (THINKING, PLAIN):
        shortest = next((number for number in shortest_first if form_of(number) == form), None)
        longest = next((number for number in reversed(shortest_first) if form_of(number) == form), None)
        if shortest is not None and longest is not None and shortest != longest:
            return Ordered(shortest, longest)
    return None


def _silc(
    correct: list[tuple[int, int]],
    incorrect: list[tuple[int, int]],
    form_of: FormOf,
    *,
    min_margin: float,
    pairing: str,
) -> Ordered | None:
    """As `silc_pair`, of samples of one form; where no two are, a pair that cannot be written."""
    best = silc_pair(correct, incorrect, min_margin=min_margin, pairing=pairing)
    if best is None or form_of(best.chosen) == form_of(best.rejected) is not None:
        return best
    for form in (THINKING, PLAIN):
        alike = ([one for one in some if form_of(one[1]) == form] for some in (correct, incorrect))
        if pair := silc_pair(*alike, min_margin=min_margin, pairing=pairing):
            return pair
    return best


def check_references(found: Survey, folder: Path) -> None:
    """Raise UserError where attempts cannot be judged because no problem has an answer."""
    if len(found) and not found.with_reference:
        raise UserError(
            f"no problem of {folder} has a reference answer, so no attempt can be judged: "
            "give --variants whole, or generate again from a data set with answers"
        )


def check_labels(found: Survey, folder: Path) -> None:
    """Raise UserError where responses with labels would all have the same one."""
    if not len(found):
        raise _no_samples(folder)
    if not (found.counts[CORRECT] and found.counts[WRONG]):
        kind = "wrong" if found.counts[CORRECT] else "correct"
        raise UserError(
            f"no usable one of the {len(found)} samples of {folder} is {kind}, and a trainer needs right and "
            "wrong ones: draw more, or choose problems of another difficulty"
        )


def _no_samples(folder: Path) -> UserError:
    return UserError(
        f"{folder} has no samples: generate first\n  {more_samples_command(folder, n=USUAL_SAMPLES)}"
    )


def check_samples(found: Survey, problems: list[PossiblePairs], folder: Path) -> None:
    """Raise UserError where no pair can come of the samples, whatever is done with them."""
    if not len(found):
        raise _no_samples(folder)
    if len(found) == len(problems):
        raise UserError(
            f"{folder} has one sample per problem; a pair needs at least two, {USUAL_SAMPLES} are usual:\n"
            f"  {more_samples_command(folder, n=USUAL_SAMPLES)}"
        )
    if not found.counts[CORRECT]:
        raise UserError(
            f"none of the {len(found)} samples of {folder} is correct, so there is nothing to prefer: "
            "draw more samples, or choose easier problems or a stronger model"
        )
    if not any(possible.base or possible.silc for possible in problems):
        raise UserError(
            f"stage 'choosing samples': no problem of {folder} has two correct samples; draw more:\n"
            f"  {more_samples_command(folder, n=USUAL_SAMPLES)}"
        )
