"""Which samples may enter a training set: how many of a problem, no question twice, no text in circles?

Collect `Candidates`, then `keep_per_problem`; `NearDuplicates` compares their questions.
Everything here keeps hashes and numbers, never texts, so a million samples fit into 300 MB.
"""

from __future__ import annotations

import zlib
from array import array
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from util.response import units
from util.runs.offsets import name_digest
from util.training.questions import Question

if TYPE_CHECKING:
    from numpy.typing import NDArray

REPEATED_WORDS = 20  # length of a passage that counts as repeated
PERMUTATIONS = 128
BANDS, BAND_ROWS = 25, 5  # two questions that share 80 % of their pieces meet in a band, but for 5 in 100,000
NEAR = 0.8  # share of common pieces from which two questions are near duplicates
MAX_LEADERS = 50  # questions of a band against which the others are compared


class Candidate(NamedTuple):
    """A sample that passed every test of its own: where it lies, and by what it is chosen."""

    origin: int  # number of the run or of the extra file
    sample: int  # offset of its line
    problem: int  # offset of its problem's line
    formatted: int  # offset of its formatted text; -1: none
    group: int  # names the problem, over all runs
    rank: int  # drawn by seed: the order of the export
    tokens: int
    plain: bool = False  # its response has no thought
    verdict: int = 0  # number of what was judged, in `export.VERDICTS`
    source: int = 0  # number of its source
    sketch: int = 0  # of its response, where different ones are wanted
    text: int = 0  # names the problem and the text of its row


class Candidates:
    """Candidates in columns, 68 bytes each."""

    def __init__(self) -> None:
        self._columns = {
            name: array(kind) for name, kind in zip(Candidate._fields, "HqqqQQIBBIQQ", strict=True)
        }

    def add(self, candidate: Candidate) -> None:
        for column, value in zip(self._columns.values(), candidate, strict=True):
            column.append(value)

    def extend(self, others: Candidates) -> None:
        for name, column in self._columns.items():
            column.extend(others._columns[name])

    def column(self, name: str) -> NDArray[Any]:
        import numpy as np

        return np.frombuffer(self._columns[name], self._columns[name].typecode)

    def __getitem__(self, position: int) -> Candidate:
        return Candidate._make(column[position] for column in self._columns.values())

    def __len__(self) -> int:
        return len(self._columns["origin"])


def different_texts(candidates: Candidates) -> NDArray[Any]:
    """Which candidates are the first, by seed, of those of a problem whose rows would be the same text."""
    return first_of_each(candidates.column("text"), candidates.column("rank"))


def keep_per_problem(
    candidates: Candidates, rule: str | int, among: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Positions of the candidates that the rule keeps, problem after problem; `among` says of each whether it
    may be kept, and None that all may.

    `rule` is "shortest", "longest" or "random" (one of each problem), a number (so many, by seed) or "all".
    """
    import numpy as np

    group, rank = candidates.column("group"), candidates.column("rank")
    tokens = candidates.column("tokens").astype(np.int64)
    size = {"shortest": tokens, "longest": -tokens}.get(str(rule))
    order = np.lexsort((rank, group) if size is None else (rank, size, group))
    order = order if among is None else order[among[order]]
    if rule == "all" or not len(order):
        return order
    sorted_group = group[order]
    first = np.flatnonzero(np.r_[True, sorted_group[1:] != sorted_group[:-1]])
    place_in_group = np.arange(len(order)) - np.repeat(first, np.diff(np.r_[first, len(order)]))
    return order[place_in_group < (rule if isinstance(rule, int) else 1)]


def question_digest(question: str) -> int:
    """The same for questions that differ in white space only."""
    return name_digest(" ".join(question.split()))


def first_of_each(keys: NDArray[Any], priority: NDArray[Any]) -> NDArray[Any]:
    """Which positions hold the smallest `priority` of their key."""
    import numpy as np

    order = np.lexsort((priority, keys))
    ordered = keys[order]
    first = np.zeros(len(keys), bool)
    first[order[np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])]] = True
    return first


@lru_cache(maxsize=1 << 16)
def _word_hash(word: str) -> int:
    """The same in every process; 0 for a break."""
    return zlib.crc32(word.encode("utf-8", "backslashreplace"))


_MIX = 0x9E3779B97F4A7C15


class NearDuplicates:
    """Signatures of questions, 512 bytes each, and which of them say nearly the same.

    Questions with other numbers or opposites in them (more and fewer, sum and product), or that ask for
    something else, are other questions, however alike their words. The order of sentences and options makes
    no difference.
    """

    def __init__(self, count: int) -> None:
        import numpy as np

        self._signatures = np.empty((count, PERMUTATIONS), np.uint32)
        self._numbers = np.zeros(count, np.uint64)
        dice = np.random.default_rng(0)
        self._factors, self._summands = dice.integers(0, 1 << 32, (2, PERMUTATIONS, 1), np.uint32)
        self._factors |= np.uint32(1)

    def set_signatures(self, span: slice, signatures: NDArray[Any], numbers: NDArray[Any]) -> None:
        """Take in what `signature` made of the questions at these positions."""
        self._signatures[span], self._numbers[span] = signatures, numbers

    def signature(self, read: Question) -> tuple[NDArray[Any], int]:
        """The MinHash of a question's words, single and in pairs, and a hash of what must be the same."""
        import numpy as np

        hashes = np.array(list(map(_word_hash, read.marked)) or [0], np.uint32)
        # Numbers are compared apart, so that a list of them may have any order.
        follows = np.array([word > ":" for word in read.marked], bool)
        pairs = (hashes[:-1] * np.uint32(_MIX >> 32 | 1) + hashes[1:])[(hashes[:-1] != 0) & follows[1:]]
        words = hashes[hashes != 0]
        pieces = np.concatenate((words if len(words) else hashes, pairs)) * np.uint32(_MIX >> 32 | 1)
        pieces ^= pieces >> np.uint32(15)
        drawn = self._factors * pieces
        drawn += self._summands
        return drawn.min(axis=1), name_digest(read.numbers, read.turns, read.asked)

    def dropped(self, alive: NDArray[Any], priority: NDArray[Any]) -> NDArray[Any]:
        """Which of the `alive` positions repeat one of smaller `priority`."""
        import numpy as np

        dropped = np.zeros(len(alive), bool)
        positions = np.flatnonzero(alive)
        for band in range(BANDS):
            keys = self._band(positions, band)
            order = np.lexsort((priority[positions], keys))
            keys, members = keys[order], positions[order]
            begins = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else keys
            ends = np.r_[begins[1:], len(keys)] if len(keys) else keys
            crowded = np.flatnonzero(ends - begins > 1)
            for at in crowded:
                self._drop_within(members[begins[at] : ends[at]], dropped)
        return dropped

    def _band(self, positions: NDArray[Any], band: int) -> NDArray[Any]:
        """One number for the rows of a band and the numbers in the question."""
        import numpy as np

        columns = self._signatures[:, band * BAND_ROWS : (band + 1) * BAND_ROWS]
        key = self._numbers[positions].copy()
        for column in range(columns.shape[1]):
            key = (key ^ columns[positions, column].astype(np.uint64)) * np.uint64(_MIX)
            key ^= key >> np.uint64(29)
        return key

    def _drop_within(self, members: NDArray[Any], dropped: NDArray[Any]) -> None:
        """Among questions that meet in a band, drop those near to an earlier one that stays."""
        rest = members[~dropped[members]]
        for _ in range(MAX_LEADERS):
            if len(rest) < 2:
                return
            leader, rest = rest[0], rest[1:]
            same = (self._signatures[rest] == self._signatures[leader]).mean(axis=1) >= NEAR
            same &= self._numbers[rest] == self._numbers[leader]
            dropped[rest[same]] = True
            rest = rest[~same]


def repeated_share(text: str) -> float:
    """The share of a text's passages of 20 words that were there before."""
    words = units(text)
    passages = len(words) - REPEATED_WORDS + 1
    if passages < 1:
        return 0.0
    different = len(set(zip(*(words[at:] for at in range(REPEATED_WORDS)), strict=False)))
    return 1 - different / passages
