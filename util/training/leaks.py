"""Which questions stand in a benchmark, too: word for word, edited, or in other words with the same numbers?

Make `BenchmarkText` of the benchmarks' questions and answers and `close` it. `look` at each question of the
pool, with `note_speech` for what it shares, then `heed_speech` and ask `find` what a suspect repeats.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from util.runs.offsets import name_digest
from util.training.questions import Question, meanings, opposed, read_question

if TYPE_CHECKING:
    from numpy.typing import NDArray

PASSAGE_WORDS = 5  # words in a row that make a passage
SPEECH = 4  # benchmark problems from which on a passage is a form of speech
POOL_SPEECH = 10  # questions of the pool, besides the suspects, from which on it is one
COVERED = 0.6  # share of either question's weight that common passages make up in a leak ...
LEAST_COVERED = 0.15  # ... and of the other's
REWORDED = 0.24  # from which on two questions say the same in other words, if there were one problem ...
CHANCES = 0.0145  # ... and what is added for e times as many, as more of them are alike by chance
WITHOUT_NUMBERS = 0.12  # what is added where no telling number is in common; the common words ...
LEAST_SHARED = 25.0  # ... must weigh so much then, which they do not where benchmarks are few
FOREIGN_PASSAGES = 0.08  # what a number in place of another takes from the share of passages
FAITHFUL_NUMBERS = 0.03  # what the weight of a number in common adds to that ...
FOREIGN_NUMBERS = 0.05  # ... and what that of any other takes
NEAR_COPY = 0.8  # share of words in common from which on another answer makes no other problem
BACKGROUND = 2000  # problems that one has in mind where benchmarks are few
USUAL = 2.0  # weight of the smallest numbers, which meet by chance
TELLING = 6.0  # where numbers weigh less in all, problems are also found by pairs of rare words
MOST_CANDIDATES = 400  # benchmark problems with the same numbers that a question is compared with
WEAK = frozenset(("0", "1", "2", "100"))  # numbers that come and go with the wording
NO_OWNERS: frozenset[int] = frozenset()


WAYS = SAME, PASSAGES, REWORDING = "the same words", "shared passages", "the same in other words"


@dataclass(frozen=True)
class Leak:
    """What a question shares with a benchmark problem."""

    benchmark: str
    problem_id: str
    how: str  # one of WAYS
    score: float  # 1: all of it
    passages: tuple[str, ...]  # the words in common as they are compared: small letters, one spelling
    numbers: tuple[str, ...] = ()  # in common, where the words are others


class Look(NamedTuple):
    """What is remembered of a question of the pool until all of it has been seen."""

    suspect: bool
    speech: NDArray[Any]  # which passages of benchmarks it shares, though it is no leak


def nothing_found() -> Look:
    return Look(False, _no_places())


class BenchmarkText:
    """The benchmarks' questions, as hashes of their passages, words and numbers: 12 bytes each."""

    def __init__(self, ngram: int | None = None) -> None:
        self.revisions: dict[str, str] = {}  # benchmark -> commit of its data set
        self.ngram = ngram  # so many words in common are a leak, and nothing else is; None: weigh
        self._span = ngram or PASSAGE_WORDS
        self._owners: list[tuple[str, str]] = []
        self._answers: list[str | None] = []
        self._whole: dict[int, int] = {}  # hash of all words -> the first owner
        self._turns: list[list[str]] = []
        self._numbers: list[frozenset[str]] = []
        self._grams: list[NDArray[Any]] = []
        self._words: list[NDArray[Any]] = []
        self._meanings: list[NDArray[Any]] = []

    def __len__(self) -> int:
        return len(self._owners)

    def add(self, benchmark: str, problem_id: str, question: str, *, answer: str | None = None) -> None:
        import numpy as np

        read = read_question(question)
        words = read.words
        if words:
            self._whole.setdefault(hash(tuple(words)), len(self._owners))
        self._owners.append((benchmark, problem_id))
        said = _nameless(words)
        self._grams.append(np.unique(gram_hashes(said, self._span)))
        if self.ngram is None:
            self._answers.append(answer)
            self._turns.append(read.turns)
            self._numbers.append(_telling_numbers(words))
            self._words.append(_hashes(said))
            self._meanings.append(np.unique(_hashes(meanings(words))))

    def close(self) -> None:
        """Take no more questions, and weigh what they consist of by how rare it is among them."""
        import numpy as np

        count = len(self._owners)
        self._reworded_from = REWORDED + CHANCES * math.log(max(1, count))
        self._top = math.log1p(count)  # weight of what stands in no benchmark
        self._hashes, self._hash_owners = _rare(self._grams)
        self._pool_times = np.zeros(len(self._hashes), np.uint32)
        self._pool_speech = np.zeros(len(self._hashes), bool)
        self._grams = []
        if self.ngram is not None:
            return
        self._known_words, word_weights, _ = _weighed(self._words)
        self._word_weights = word_weights
        self._length = np.array([self._weights(words).sum() for words in self._words], np.float32)
        self._words = []
        sizes = [len(part) for part in self._meanings]
        self._begin = np.r_[0, np.cumsum(sizes, dtype=np.int64)]
        self._known, self._weight, ids = _weighed(self._meanings)
        self._meanings, self._ids = [], ids.astype(np.int32)
        owners = np.repeat(np.arange(count), sizes)
        self._mass = np.bincount(owners, self._weight[self._ids], count).astype(np.float32)
        times = Counter(number for numbers in self._numbers for number in numbers)
        self._number_weights = {number: self._rarity(number, many) for number, many in times.items()}
        keys = [
            (key, owner)
            for owner, numbers in enumerate(self._numbers)
            for key in self._keys(numbers, self._ids[self._begin[owner] : self._begin[owner + 1]])
        ]
        keys.sort()
        self._keys_sorted = np.array([key for key, _ in keys], np.int64)
        self._key_owners = np.array([owner for _, owner in keys], np.int32)

    # --- the pool ---

    def look(self, read: Question, besides: Collection[int] = NO_OWNERS) -> Look:
        """Whether a question may be a leak, as far as one can tell before the whole pool was seen."""
        import numpy as np

        words = read.words
        if words and self._whole.get(hash(tuple(words)), -1) not in {-1, *besides}:
            return Look(True, _no_places())
        said = _nameless(words)
        hits = self._hits(said)
        if hits is not None and self._covered(said, hits, besides) is not None:
            return Look(True, _no_places())
        if self.ngram is None and self._reworded(read, words, besides) is not None:
            return Look(True, _no_places())
        return Look(False, _no_places() if hits is None else np.unique(hits.places))

    def note_speech(self, places: NDArray[Any]) -> None:
        """Count what questions of the pool share with benchmarks, though they are no leaks."""
        self._pool_times[places] += 1

    def heed_speech(self) -> None:
        """Take what was counted often for forms of speech from now on."""
        if self.ngram is None:
            self._pool_speech = self._pool_times >= POOL_SPEECH

    def find(
        self, question: str, besides: Collection[int] = NO_OWNERS, *, answer: str | None = None
    ) -> Leak | None:
        """The benchmark problem that a question repeats, and what they share; None if it repeats none.

        A problem with another whole number as its answer than `answer` is not repeated by other words.
        """
        read = read_question(question)
        words = read.words
        whole = self._whole.get(hash(tuple(words)), -1) if words else -1
        if whole not in {-1, *besides}:
            return Leak(*self._owners[whole], SAME, 1.0, (question.strip(),))
        said = _nameless(words)
        hits = self._hits(said)
        covered = None if hits is None else self._covered(said, hits, besides)
        reworded = self._reworded(read, words, besides, answer) if self.ngram is None else None
        if covered is not None and (reworded is None or covered.score >= reworded.score):
            passages = tuple(_joined(words[begin:end]) for begin, end in _runs(covered.positions))
            return Leak(*self._owners[covered.owner], PASSAGES, round(covered.score, 3), passages)
        if reworded is None:
            return None
        numbers = tuple(sorted(self._numbers[reworded.owner] & set(words)))
        score = round(min(1.0, reworded.score), 3)
        return Leak(*self._owners[reworded.owner], REWORDING, score, (), numbers)

    # --- passages ---

    def _hits(self, words: Sequence[str]) -> _Hits | None:
        """Which passages of these words stand in benchmarks, and in which problems."""
        import numpy as np

        if len(words) < self._span or not len(self._hashes):
            return None
        grams = gram_hashes(words, self._span)
        begin = np.searchsorted(self._hashes, grams)
        found = np.flatnonzero(self._hashes[np.minimum(begin, len(self._hashes) - 1)] == grams)
        if not len(found):
            return None
        many = np.searchsorted(self._hashes, grams[found], "right") - begin[found]
        places = np.repeat(begin[found], many) + _counted(many)
        here = ~self._pool_speech[places]
        if not here.any():
            return None
        return _Hits(places[here], np.repeat(found, many)[here], self._hash_owners[places[here]])

    def _covered(self, words: Sequence[str], hits: _Hits, besides: Collection[int]) -> _Covered | None:
        """The benchmark problem whose passages make up most of the question or of itself."""
        import numpy as np

        weights = np.ones(len(words)) if self.ngram is not None else self._weights(_hashes(words))
        total = float(weights.sum())
        numbers = _telling_numbers(words)
        best = None
        for owner, _ in Counter(hits.owners.tolist()).most_common(4 + len(besides)):
            if owner in besides:
                continue
            positions = np.zeros(len(words), bool)
            for at in hits.positions[hits.owners == owner]:
                positions[at : at + self._span] = True
            shared = float(weights[positions].sum())
            if self.ngram is not None:
                score = shared / total
            else:
                shares = shared / float(self._length[owner]), shared / total
                if max(shares) < COVERED or min(shares) < LEAST_COVERED:
                    continue
                score = min(1.0, max(shares)) - FOREIGN_PASSAGES * self._replaced(numbers, owner)
                if score < COVERED:
                    continue
            if best is None or score > best.score:
                best = _Covered(int(owner), score, positions)
        return best

    def _replaced(self, numbers: frozenset[str], owner: int) -> float:
        """The weight of the numbers that stand in place of others."""
        own, other = numbers - self._numbers[owner], self._numbers[owner] - numbers
        return min(self._weight_of(own), self._weight_of(other))

    def _weight_of(self, numbers: Iterable[str]) -> float:
        known = self._number_weights
        return math.fsum(known[number] if number in known else self._rarity(number, 0) for number in numbers)

    def _rarity(self, number: str, many: int) -> float:
        """The weight of a number that stands in so many problems."""
        return -math.log((many + _expected(number)) / (len(self._owners) + BACKGROUND))

    def _weights(self, hashes: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        if not len(self._known_words):
            return np.full(len(hashes), self._top, np.float32)
        at = np.minimum(np.searchsorted(self._known_words, hashes), len(self._known_words) - 1)
        return np.where(self._known_words[at] == hashes, self._word_weights[at], np.float32(self._top))

    # --- other words ---

    def _reworded(
        self, read: Question, words: Sequence[str], besides: Collection[int], answer: str | None = None
    ) -> _Reworded | None:
        """The benchmark problem with the same numbers whose words, by weight, are most alike."""
        import numpy as np

        if not len(self._keys_sorted):
            return None
        numbers = _telling_numbers(words)
        weight_of = self._number_weights
        foreign = sum(number not in weight_of for number in numbers)  # that no benchmark has
        if foreign > 1:
            return None
        telling = math.fsum(weight_of.get(number, 0.0) for number in numbers)
        ids, unknown = None, 0
        if telling < TELLING and not foreign:
            ids, unknown = self._known_meanings(words)
        owners = self._owners_of(self._keys(numbers, ids))
        owners = owners[~np.isin(owners, list(besides))] if besides else owners
        if not len(owners):
            return None
        if ids is None:
            ids, unknown = self._known_meanings(words)
        mark = np.zeros(len(self._known), bool)
        mark[ids] = True
        begin, many = self._begin[owners], np.diff(self._begin)[owners]
        theirs = self._ids[np.repeat(begin, many) + _counted(many)]
        of = np.repeat(np.arange(len(owners)), many)
        shared = np.bincount(of, self._weight[theirs] * mark[theirs], len(owners))
        mass = float(self._weight[ids].sum()) + unknown * self._top
        alike = shared / np.sqrt(np.maximum(mass * self._mass[owners], 1e-9))
        best = None
        for at in np.argsort(-alike)[:20]:
            owner = int(owners[at])
            other = self._numbers[owner]
            common = math.fsum(max(0.0, weight_of[number] - USUAL) for number in numbers & other)
            apart = self._weight_of(numbers ^ other)
            score = float(alike[at]) + FAITHFUL_NUMBERS * common - FOREIGN_NUMBERS * apart
            least = self._reworded_from + (0.0 if common else WITHOUT_NUMBERS)
            is_alike = score >= least and (common > 0 or shared[at] >= LEAST_SHARED)
            if is_alike and (best is None or score > best.score):
                differ = alike[at] < NEAR_COPY and _differ(answer, self._answers[owner])
                if not differ and not opposed(read.turns, self._turns[owner]):
                    best = _Reworded(owner, score)
        return best

    def _known_meanings(self, words: Sequence[str]) -> tuple[NDArray[Any], int]:
        """The numbers of those meanings that stand in benchmarks, and how many others there are."""
        import numpy as np

        hashes = np.unique(_hashes(meanings(words)))
        if not len(self._known):
            return np.empty(0, np.int64), len(hashes)
        at = np.minimum(np.searchsorted(self._known, hashes), len(self._known) - 1)
        known = at[self._known[at] == hashes]
        return known, len(hashes) - len(known)

    def _keys(self, numbers: frozenset[str], ids: NDArray[Any] | None) -> Iterator[int]:
        """By what a benchmark problem is found: all numbers, all but one, or two of its rarest words."""
        import numpy as np

        if numbers:
            yield hash(numbers)
        if 2 < len(numbers) <= 12:
            for number in numbers:
                yield hash(numbers - {number})
        if ids is not None and len(ids) > 2:
            telling = math.fsum(self._number_weights.get(number, 0.0) for number in numbers)
            if telling < TELLING:
                rarest = sorted(ids[np.argsort(-self._weight[ids], kind="stable")[:4]].tolist())
                for at, one in enumerate(rarest):
                    for other in rarest[at + 1 :]:
                        yield hash((one, other))

    def _owners_of(self, keys: Iterator[int]) -> NDArray[Any]:
        import numpy as np

        wanted = np.fromiter(keys, np.int64)
        begin = np.searchsorted(self._keys_sorted, wanted)
        many = np.searchsorted(self._keys_sorted, wanted, "right") - begin
        if not many.any():
            return np.empty(0, np.int64)
        begin, many = begin[many <= MOST_CANDIDATES], many[many <= MOST_CANDIDATES]
        return np.unique(self._key_owners[np.repeat(begin, many) + _counted(many)])


class _Hits(NamedTuple):
    """Passages that stand in benchmarks: where among the hashes, where in the question, and in whose."""

    places: NDArray[Any]
    positions: NDArray[Any]
    owners: NDArray[Any]


class _Covered(NamedTuple):
    owner: int
    score: float
    positions: NDArray[Any]  # whether each word of the question is in a common passage


class _Reworded(NamedTuple):
    owner: int
    score: float


def _nameless(words: Sequence[str]) -> list[str]:
    """The words with one sign for every letter of a formula: a copy may call its unknowns otherwise."""
    letters = {word for word in words if len(word) == 1 and "a" <= word <= "z"}
    return ["x" * len(word) if len(word) < 5 and letters.issuperset(word) else word for word in words]


def _joined(words: Sequence[str]) -> str:
    """The words as a line; in Chinese and Japanese without blanks."""
    return re.sub(
        r"(?<=[\u3005-\u9fff]) (?=[\u3005-\u9fff\d])|(?<=\d) (?=[\u3005-\u9fff])", "", " ".join(words)
    )


def _expected(number: str) -> float:
    """In how many of BACKGROUND problems a number stands: the more digits it has, the fewer."""
    return 0.4 * BACKGROUND / max(1, int(number.replace(".", "")))


def _telling_numbers(words: Sequence[str]) -> frozenset[str]:
    return frozenset(word for word in words if word[0].isdigit()) - WEAK


def _differ(one: str | None, other: str | None) -> bool:
    """Whether two answers are different whole numbers.

    Others may differ in form alone: a probability is m/n here, and m + n where a contest asks for that.
    """
    from util.grading.maths.numbers import plain_number  # takes longer to load than all else
    from util.grading.maths.spelling import clean

    if one is None or other is None:
        return False
    numbers = [plain_number(clean(answer)) for answer in (one, other)]
    values = [number.value for number in numbers if number is not None and number.value.denominator == 1]
    return len(values) == 2 and values[0] != values[1]


@lru_cache(maxsize=1 << 16)
def _word_hash(word: str) -> int:
    """The same in every process: which words of equal weight come first must not change from run to run."""
    return name_digest(word)


def _hashes(words: Sequence[str]) -> NDArray[Any]:
    import numpy as np

    return np.fromiter(map(_word_hash, words), np.uint64, len(words)).view(np.int64)


def _no_places() -> NDArray[Any]:
    import numpy as np

    return np.empty(0, np.int64)


def _counted(many: NDArray[Any]) -> NDArray[Any]:
    """0, 1, ... for each of the counts, one after the other."""
    import numpy as np

    return np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)


def _rare(grams: list[NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The hashes that fewer than SPEECH problems have, sorted, and the problems."""
    import numpy as np

    if not grams:
        return np.empty(0, np.uint64), np.empty(0, np.int32)
    hashes = np.concatenate(grams)
    owners = np.repeat(np.arange(len(grams), dtype=np.int32), [len(part) for part in grams])
    order = np.argsort(hashes, kind="stable")
    hashes, owners = hashes[order], owners[order]
    first = np.flatnonzero(np.r_[True, hashes[1:] != hashes[:-1]]) if len(hashes) else np.empty(0, int)
    times = np.diff(np.r_[first, len(hashes)])
    keep = np.repeat(times < SPEECH, times)
    return hashes[keep], owners[keep]


def _weighed(parts: list[NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """All hashes that occur, the weight of each, and for each place which of them stands there."""
    import numpy as np

    flat = np.concatenate(parts) if parts else np.empty(0, np.int64)
    known, ids = np.unique(flat, return_inverse=True)
    owners = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    once = np.unique(owners * max(1, len(known)) + ids) % max(1, len(known))
    problems = np.bincount(once, minlength=len(known))
    return known, np.log1p(len(parts) / np.maximum(problems, 1)).astype(np.float32), ids


def gram_hashes(words: Sequence[str], span: int) -> NDArray[Any]:
    """A 64-bit hash of every `span` words in a row.

    The words' hashes are digits of a number in base _BASE modulo 2**64: with running sums of digit times
    power, the hash of a passage is a difference of two sums.
    """
    import numpy as np

    if len(words) < span:
        return np.empty(0, np.uint64)
    powers, inverses = _powers(1 << len(words).bit_length())
    sums = np.zeros(len(words) + 1, np.uint64)
    digits = _hashes(words).view(np.uint64)
    np.cumsum(digits * powers[: len(words)], out=sums[1:])
    return (sums[span:] - sums[:-span]) * inverses[: len(words) - span + 1]


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


def _runs(there: NDArray[Any]) -> list[tuple[int, int]]:
    """Begin and end of each stretch that is true."""
    import numpy as np

    edges = np.flatnonzero(np.diff(np.r_[False, there, False].astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
