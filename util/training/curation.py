"""Which samples may enter a training set: one per problem or several, no question twice, none of a benchmark?

Collect `Candidates`, then `keep_per_problem`; `NearDuplicates` and `BenchmarkText` compare their questions.
Everything here keeps hashes and numbers, never texts, so a million samples fit into 300 MB.
"""

from __future__ import annotations

import re
import zlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from util.response import units
from util.runs.offsets import name_digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

NGRAM_WORDS = 13  # words in a row that a question may not share with a benchmark
BOILERPLATE_PROBLEMS = 4  # words in a row that stand in so many benchmark problems are a form of speech
REPEATED_WORDS = 20  # length of a passage that counts as repeated
SHINGLE_WORDS = 3
PERMUTATIONS = 128
BANDS, BAND_ROWS = 25, 5  # two questions that share 70 % of their shingles meet in a band in 99 % of cases
NEAR = 0.7  # share of common shingles from which two questions are near duplicates
MAX_LEADERS = 50  # questions of a band against which the others are compared

_WORD = re.compile(r"[^\W_]+")


def words_of(question: str) -> list[str]:
    """The words and numbers of a question, without signs and without regard to capitals."""
    words = _WORD.findall(question.lower())
    return words if question.isascii() else units(" ".join(words))


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


class Candidates:
    """Candidates in columns, 60 bytes each."""

    def __init__(self) -> None:
        self._columns = {
            name: array(kind) for name, kind in zip(Candidate._fields, "HqqqQQIBBIQ", strict=True)
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


def keep_per_problem(candidates: Candidates, rule: str | int) -> NDArray[Any]:
    """Positions of the candidates that the rule keeps, problem after problem.

    `rule` is "shortest", "longest" or "random" (one of each problem), a number (so many, by seed) or "all".
    """
    import numpy as np

    group, rank = candidates.column("group"), candidates.column("rank")
    tokens = candidates.column("tokens").astype(np.int64)
    size = {"shortest": tokens, "longest": -tokens}.get(str(rule))
    order = np.lexsort((rank, group) if size is None else (rank, size, group))
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


class NearDuplicates:
    """Signatures of questions, 512 bytes each, and which of them say nearly the same.

    Questions with other numbers in them are other questions, however alike their words.
    """

    def __init__(self, count: int) -> None:
        import numpy as np
        from datasketch import MinHash

        self._signatures = np.empty((count, PERMUTATIONS), np.uint32)
        self._numbers = np.zeros(count, np.uint64)
        self._minhash = MinHash(num_perm=PERMUTATIONS, hashfunc=int)  # shingles come hashed

    def set_signatures(self, span: slice, signatures: NDArray[Any], numbers: NDArray[Any]) -> None:
        """Take in what `signature` made of the questions at these positions."""
        self._signatures[span], self._numbers[span] = signatures, numbers

    def signature(self, words: Sequence[str]) -> tuple[NDArray[Any], int]:
        """The MinHash of a question's words and a hash of the numbers among them."""
        import numpy as np

        hashes = [zlib.crc32(word.encode("utf-8", "backslashreplace")) for word in words] or [0]
        short = SHINGLE_WORDS - len(hashes)
        digits = np.array(hashes + [0] * short, np.uint64)
        count = len(digits) - SHINGLE_WORDS + 1
        shingles = np.zeros(count, np.uint64)
        for at in range(SHINGLE_WORDS):
            shingles = (shingles + digits[at : at + count]) * np.uint64(_BASE)
        self._minhash.clear()
        self._minhash.update_batch((shingles >> np.uint64(32)).tolist())
        return self._minhash.hashvalues, name_digest(*(word for word in words if not word.isalpha()))

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
            key = (key ^ columns[positions, column].astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
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


@dataclass(frozen=True)
class Passage:
    """What a question shares with a benchmark problem."""

    benchmark: str
    problem_id: str
    text: str  # the words in common, as they stand in the question


class BenchmarkText:
    """The word sequences of all benchmark questions, as hashes: 12 bytes each. Close it before you ask it."""

    _hashes: NDArray[Any]
    _hash_owners: NDArray[Any]

    def __init__(self) -> None:
        self.revisions: dict[str, str] = {}  # benchmark -> commit of its data set
        self._owners: list[tuple[str, str]] = []
        self._whole: dict[int, int] = {}  # hash of a whole question -> its owner
        self._parts: list[NDArray[Any]] = []
        self._part_owners: list[NDArray[Any]] = []

    def add(self, benchmark: str, problem_id: str, question: str) -> None:
        import numpy as np

        owner = len(self._owners)
        self._owners.append((benchmark, problem_id))
        words = words_of(question)
        if words:
            self._whole.setdefault(hash(tuple(words)), owner)
        if len(words) >= NGRAM_WORDS:
            grams = np.unique(_gram_hashes(words))
            self._parts.append(grams)
            self._part_owners.append(np.full(len(grams), owner, np.uint32))

    def close(self) -> None:
        """Take no more questions. Word sequences of several problems are forms of speech and do not count."""
        import numpy as np

        if not self._parts:
            self._hashes, self._hash_owners = np.empty(0, np.uint64), np.empty(0, np.uint32)
            return
        hashes, owners = np.concatenate(self._parts), np.concatenate(self._part_owners)
        self._parts, self._part_owners = [], []
        order = np.argsort(hashes, kind="stable")
        hashes, owners = hashes[order], owners[order]
        first = np.flatnonzero(np.r_[True, hashes[1:] != hashes[:-1]])
        times = np.diff(np.r_[first, len(hashes)])
        first = first[times < BOILERPLATE_PROBLEMS]
        self._hashes, self._hash_owners = hashes[first], owners[first]

    def __len__(self) -> int:
        return len(self._owners)

    def shares(self, words: Sequence[str]) -> bool:
        """Whether a question of these words is one of a benchmark's, or shares a passage with one."""
        if words and hash(tuple(words)) in self._whole:
            return True
        return self._hits(words) is not None

    def find(self, question: str) -> Passage | None:
        """The longest passage that the question shares with a benchmark; None if it shares none."""
        words = words_of(question)
        whole = self._whole.get(hash(tuple(words))) if words else None
        if whole is not None:
            return Passage(*self._owners[whole], question.strip())
        found = self._hits(words)
        if found is None:
            return None
        at, hits = found
        begin, end = _longest_run(hits)
        text = _stretch(question, words, begin, end + NGRAM_WORDS - 1)
        return Passage(*self._owners[int(self._hash_owners[at[begin]])], text)

    def _hits(self, words: Sequence[str]) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """Where the passages of these words stand among the hashes, and which do; None if none does."""
        import numpy as np

        if len(words) < NGRAM_WORDS or not len(self._hashes):
            return None
        grams = _gram_hashes(words)
        at = np.minimum(np.searchsorted(self._hashes, grams), len(self._hashes) - 1)
        hits = self._hashes[at] == grams
        return (at, hits) if hits.any() else None


def repeated_share(text: str) -> float:
    """The share of a text's passages of 20 words that were there before."""
    words = units(text)
    passages = len(words) - REPEATED_WORDS + 1
    if passages < 1:
        return 0.0
    different = len(set(zip(*(words[at:] for at in range(REPEATED_WORDS)), strict=False)))
    return 1 - different / passages


def _stretch(question: str, words: Sequence[str], begin: int, end: int) -> str:
    """The text of a question from its word `begin` to the one before `end`; `words` are all its words."""
    lower = question.lower()
    first = at = 0
    for number, word in enumerate(words[:end]):
        at = lower.index(word, at)
        if number == begin:
            first = at
        at += len(word)
    return question[first:at]


def _gram_hashes(words: Sequence[str]) -> NDArray[Any]:
    """A 64-bit hash of every 13 words in a row, good within this process.

    The words' hashes are digits of a number in base _BASE modulo 2**64: with running sums of digit times
    power, the hash of a passage is a difference of two sums.
    """
    import numpy as np

    powers, inverses = _powers(1 << len(words).bit_length())
    sums = np.zeros(len(words) + 1, np.uint64)
    digits = np.fromiter(map(hash, words), np.int64, len(words)).view(np.uint64)
    np.cumsum(digits * powers[: len(words)], out=sums[1:])
    return (sums[NGRAM_WORDS:] - sums[:-NGRAM_WORDS]) * inverses[: len(words) - NGRAM_WORDS + 1]


_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse


@lru_cache(maxsize=32)
def _powers(count: int) -> list[NDArray[Any]]:
    """The first powers of _BASE and of its inverse, modulo 2**64."""
    import numpy as np

    both = []
    for base in (_BASE, pow(_BASE, -1, 1 << 64)):
        powers = np.full(count, base, np.uint64)
        powers[0] = 1
        both.append(np.cumprod(powers))
    return both


def _longest_run(hits: NDArray[Any]) -> tuple[int, int]:
    """Begin and end of the longest stretch of hits."""
    import numpy as np

    edges = np.flatnonzero(np.diff(np.r_[False, hits, False].astype(np.int8)))
    begins, ends = edges[::2], edges[1::2]
    longest = int(np.argmax(ends - begins))
    return int(begins[longest]), int(ends[longest])
