"""Which samples does a problem still need, and with what seed is each one asked?

`sample_seed` gives the seed; `Rounds.next` the sample, where a `Stopping` rule decides.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache

from util.records import NOT_JUDGED, Key, Verdict

Name = tuple[str, float]  # (problem id, temperature): what samples are asked for
LIKELY = 0.6  # a sample that is wanted with more than this chance is asked rather than a place stays empty
SURE = 1.96  # standard deviations on either side of 95 % of a normal distribution


def sample_seed(run_seed: int, problem_id: str, temperature: float, index: int) -> int:
    """Seed of one sample, 31 bits; independent of the order in which samples are asked."""
    key = f"{run_seed} {float(temperature)} {index} {problem_id}".encode("utf-8", "backslashreplace")
    return int.from_bytes(hashlib.sha256(key).digest()[:4], "big") >> 1


def samples_at(temperature: float, n: int) -> int:
    """How many samples make sense: greedy decoding gives the same text each time, so one is enough."""
    return 1 if temperature == 0 else n


def pass_rate_interval(correct: int, judged: int) -> tuple[float, float]:
    """Between which pass rates a problem lies, 95 % sure (Wilson, J. Am. Stat. Assoc. 22, 1927)."""
    if not judged:
        return 0.0, 1.0
    rate, z2 = correct / judged, SURE**2
    centre = (rate + z2 / (2 * judged)) / (1 + z2 / judged)
    half = SURE * math.sqrt(rate * (1 - rate) / judged + z2 / (4 * judged**2)) / (1 + z2 / judged)
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True)
class Stopping:
    """When a problem has samples enough although it has not all n."""

    until_correct: int | None = None  # so many correct samples are enough
    give_up_after: int | None = None  # so many that are not correct (wrong or undecided) are, too
    band: tuple[float, float] | None = None  # so is a pass rate that cannot lie within these any more

    def is_finished(self, correct: int, wrong: int) -> bool:
        """Whether no further sample is wanted after these."""
        if self.until_correct is not None and correct >= self.until_correct:
            return True
        if self.give_up_after is not None and wrong >= self.give_up_after:
            return True
        if self.band is None:
            return False
        low, high = pass_rate_interval(correct, correct + wrong)
        return high < self.band[0] or low > self.band[1]

    def round_size(self, correct: int, wrong: int, left: int) -> int:
        """How many of the `left` samples to ask before the next verdict is looked at; 0: it is finished.

        All that are wanted whatever their verdicts, so none is asked in vain. But a problem that failed often
        is asked for half as many as it has been judged on: else the last hard problems of a run, one sample
        at a time, would keep an almost empty engine busy for hours.
        """
        if self.is_finished(correct, wrong):
            return 0
        sizes = range(1, left)
        all_correct = next((size for size in sizes if self.is_finished(correct + size, wrong)), left)
        all_wrong = next((size for size in sizes if self.is_finished(correct, wrong + size)), left)
        return min(all_wrong, max(all_correct, (correct + wrong) // 2))

    def chance_of_need(self, correct: int, wrong: int, under_way: int) -> float:
        """How likely it is that a problem wants one more sample after those `under_way`, not judged yet.

        Before its first verdict any pass rate is as likely as any other (Laplace's rule of succession).
        """
        # Correct samples -> how likely there are so many, and more are wanted.
        likely = {} if self.is_finished(correct, wrong) else {correct: 1.0}
        for judged in range(correct + wrong, correct + wrong + under_way):
            after: dict[int, float] = {}
            for right, chance in likely.items():
                rate = (right + 1) / (judged + 2)
                for more, share in ((right + 1, rate), (right, 1 - rate)):
                    if not self.is_finished(more, judged + 1 - more):
                        after[more] = after.get(more, 0.0) + chance * share
            likely = after
        return sum(likely.values())

    def describe(self) -> str:
        """The rule in words, such as `until 2 correct or 8 wrong`."""
        parts = []
        if self.until_correct is not None:
            parts.append(f"{self.until_correct} correct")
        if self.give_up_after is not None:
            parts.append(f"{self.give_up_after} wrong")
        if self.band is not None:
            parts.append(f"the pass rate is outside {self.band[0]:g} to {self.band[1]:g}")
        return "until " + " or ".join(parts)

    def as_json(self) -> dict:
        return {**asdict(self), "rule": self.describe()}


@dataclass(slots=True)
class _ProblemState:
    """What is known of one problem at one temperature."""

    correct: int = 0
    wrong: int = 0  # or undecided, which solves nothing either
    under_way: int = 0  # samples asked for that have no verdict yet
    next_index: int = 0  # every sample below is there or was asked by this command
    hopeless: bool = False  # no further sample can change anything
    kind: tuple[int, int, int] | None = None  # among which it waits; None: it has no further sample to ask


class Rounds:
    """Says which sample to ask next while verdicts come in.

    A problem's next round begins when its last one is judged. It comes before problems that were not asked
    yet, so rounds of different problems overlap and the engine finds something to do at any time. When there
    is no other left to ask, `next_ahead` has samples for places that would stay empty.
    """

    def __init__(
        self, names: Iterator[Name], *, n: int, rule: Stopping, has: Callable[[str, float, int], bool]
    ) -> None:
        self._names = names
        self._n = n
        self._rule = rule
        self._has = has
        self._chance = lru_cache(maxsize=None)(rule.chance_of_need)
        self._progress: dict[Name, _ProblemState] = {}
        self._judged: deque[Name] = deque()  # all their samples have a verdict
        self._round: deque[Key] = deque()
        # Names with samples under way, by what is known of them: thousands may wait, of a few kinds.
        self._waiting: dict[tuple[int, int, int] | None, dict[Name, None]] = {}
        self.ended = 0  # names that this command asks no further sample for

    @property
    def is_waiting(self) -> bool:
        """Whether samples are under way, so that more may have to be asked."""
        return bool(self._waiting)

    def note_earlier(self, key: Key, verdict: Verdict | None) -> None:
        """Count a sample that was there before this command."""
        self._count(self._of(key), verdict)

    def is_open(self, name: Name) -> bool:
        """Whether the verdicts that are there leave something to ask."""
        progress, left = self._of(name), self._left(name)
        return not progress.hopeless and self._rule.round_size(progress.correct, progress.wrong, left) > 0

    def has_next(self) -> bool:
        """Whether there is a sample to ask before more verdicts come."""
        key = self.next()
        if key is not None:
            self._round.appendleft(key)
        return key is not None

    def next(self) -> Key | None:
        """The sample to ask next; None when there is none before more verdicts come, or none at all."""
        while not self._round:
            name = self._judged.popleft() if self._judged else next(self._names, None)
            if name is None:
                return None
            self._begin_round(name)
        return self._round.popleft()

    def next_ahead(self) -> Key | None:
        """When `next` has none: a sample for a place that would stay empty before more verdicts come.

        It is the one most likely wanted whatever they say; None where none is likely enough.
        """
        chances = {kind: self._chance(*kind) for kind in self._waiting if kind is not None}
        best = max(chances, key=chances.__getitem__, default=None)
        if best is None or chances[best] <= LIKELY:
            return None
        name = next(iter(self._waiting[best]))
        index = self._missing(name)[0]
        self._leave(name)
        self._progress[name].under_way += 1
        self._progress[name].next_index = index + 1
        self._wait(name)
        return (*name, index)

    def judged(self, key: Key, verdict: Verdict | None) -> None:
        """Take note of a verdict; None: the sample was not answered, or cannot be judged."""
        name, progress = key[:2], self._of(key)
        self._leave(name)
        self._count(progress, verdict)
        progress.under_way -= 1
        if progress.under_way:
            self._wait(name)
        else:
            self._judged.append(name)

    def give_up(self, key: Key) -> None:
        """Ask for no further sample of this problem: they would all go the same way."""
        name = key[:2]
        self._leave(name)
        self._of(key).hopeless = True
        self._wait(name)

    def still_wanted(self) -> int:
        """How many samples the same command would ask first when it is given again."""
        for name in self._names:  # those that were not begun
            self._progress.setdefault(name, _ProblemState())
        return sum(
            self._rule.round_size(progress.correct, progress.wrong, left)
            for name, progress in self._progress.items()
            if not progress.hopeless and (left := self._left(name))
        )

    def _wait(self, name: Name) -> None:
        """Put a problem with samples under way among those of which as much is known."""
        progress = self._progress[name]
        can_be_asked = not progress.hopeless and bool(self._missing(name))
        progress.kind = (progress.correct, progress.wrong, progress.under_way) if can_be_asked else None
        self._waiting.setdefault(progress.kind, {})[name] = None

    def _leave(self, name: Name) -> None:
        alike = self._waiting[self._progress[name].kind]
        del alike[name]
        if not alike:
            del self._waiting[self._progress[name].kind]

    def _begin_round(self, name: Name) -> None:
        progress = self._progress.setdefault(name, _ProblemState())
        missing = self._missing(name)
        size = self._rule.round_size(progress.correct, progress.wrong, len(missing)) if missing else 0
        if not size or progress.hopeless:
            self.ended += 1
            return
        chosen = missing[:size]
        progress.next_index = chosen[-1] + 1
        progress.under_way = size
        self._wait(name)
        self._round.extend((*name, index) for index in chosen)

    def _missing(self, name: Name) -> list[int]:
        begin = self._of(name).next_index
        return [index for index in range(begin, self._n) if not self._has(name[0], name[1], index)]

    def _left(self, name: Name) -> int:
        return sum(not self._has(name[0], name[1], index) for index in range(self._n))

    def _of(self, key: Key | Name) -> _ProblemState:
        return self._progress.setdefault(key[:2], _ProblemState())

    def _count(self, progress: _ProblemState, verdict: Verdict | None) -> None:
        if verdict is None or verdict.reason in NOT_JUDGED:
            progress.hopeless |= verdict is not None and verdict.reason == "no_tests"
        elif verdict.correct:
            progress.correct += 1
        else:
            progress.wrong += 1
