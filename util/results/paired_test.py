"""Can the data tell two runs apart, and if not, how many samples would?

Call `compare_shares`; `problem_p` tests a single problem, `holm` corrects several tests at once. Both runs
answered the same problems, so these are compared one by one and only their differences count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from util.results.counting import Tally
from util.results.estimates import CONFIDENCE, Estimate, mean_within

EXACT_UP_TO = 16  # problems that differ: 2^16 ways to swap them are looked at one and all
DRAWS = 100_000
SEED = 20250115
POWER = 0.8
LEVEL = 0.05  # a smaller p-value tells two runs apart
LEAST_SHOWN = 0.0005  # of a share: less reads 0.0 points
FEWEST_TELLING = 6  # problems that differ: with 5, all the same way, p is 2 / 2^5 = 0.06


@dataclass(frozen=True)
class Paired:
    """What the common problems of two runs say; differences are second minus first."""

    problems: int
    samples: tuple[
        tuple[int, int], tuple[int, int]
    ]  # least and most of a problem: in the first, in the second run
    differing: int
    difference: Estimate  # 0 is outside its interval if and only if p_value < LEVEL
    within: Estimate  # the same with the interval that decides on equivalence, of 90 %
    p_value: float
    exact: bool  # whether p_value counts all swaps, or a random part of them
    needed_problems: int | None  # to tell a true difference of this size apart; None when there is none
    needed_samples: int | None  # per problem on these same problems; None: no number, or not known

    @property
    def least_and_most(self) -> tuple[int, int]:
        """Samples of a problem, in either run."""
        (least, most), (also_least, also_most) = self.samples
        return min(least, also_least), max(most, also_most)

    def equivalent(self, margin: float) -> bool | None:
        """Whether the true difference is smaller than `margin`, a share; None where the data cannot tell.

        Two one-sided tests at 5 %: the interval of 90 % lies between the margins (Schuirmann, Journal of
        Pharmacokinetics and Biopharmaceutics 15, 1987).
        """
        if -margin < self.within.low and self.within.high < margin:
            return True
        return False if self.within.low >= margin or self.within.high <= -margin else None


def compare_shares(first: Mapping[str, tuple[int, int]], second: Mapping[str, tuple[int, int]]) -> Paired:
    """Compare (correct, judged) of the problems that both runs have."""
    differences = differences_of(first, second)
    p_value, exact = permutation_p(differences)
    common = [(first[name], second[name]) for name in first if name in second]
    counts = [count for both in common for count in both]
    drawn = [[judged for _, judged in side] for side in zip(*common, strict=True)]
    samples = [(min(side), max(side)) for side in drawn]
    return Paired(
        problems=len(differences),
        samples=(samples[0], samples[1]),
        differing=sum(1 for difference in differences if abs(difference) > 1e-12),
        difference=mean_difference(differences, p_value),
        within=mean_within(differences, -1.0, 1.0, 1 - 2 * LEVEL),
        p_value=p_value,
        exact=exact,
        needed_problems=_needed_problems(differences),
        needed_samples=_needed_samples(differences, counts) if min(map(min, drawn)) > 1 else None,
    )


def differences_of(
    first: Mapping[str, tuple[int, int]], second: Mapping[str, tuple[int, int]]
) -> list[float]:
    """Share correct of the second run minus that of the first, for each problem that both have."""
    return [
        second[name][0] / second[name][1] - correct / judged
        for name, (correct, judged) in first.items()
        if name in second
    ]


def mean_difference(differences: Sequence[float], p_value: float, confidence: float = CONFIDENCE) -> Estimate:
    """Mean of paired differences with its interval, which never contradicts the test.

    With one sample of each problem it agrees with the test by itself: the chance that decides on either end
    is then that of the sign test (Clopper and Pearson's interval and the binomial distribution, Johnson,
    Kemp and Kotz, Univariate Discrete Distributions, 2005, 3.4). With more, the interval allows for unseen
    problems that differ by as much as can be, the test does not; an end that says otherwise is moved to the
    side of 0 that the test names.
    """
    found = mean_within(differences, -1.0, 1.0, confidence)
    if p_value >= LEVEL:
        return Estimate(found.value, min(found.low, 0.0), max(found.high, 0.0))
    nearest = min(LEAST_SHOWN, abs(found.value) / 2)
    if found.value > 0:
        return Estimate(found.value, max(found.low, nearest), found.high)
    return Estimate(found.value, found.low, min(found.high, -nearest))


def problem_p(first: tuple[int, int], second: tuple[int, int]) -> float:
    """How often chance alone splits the right samples of one problem over two runs at least as unlikely as
    this; each has (correct, judged). Exact test of Fisher (Statistical Methods for Research Workers, 5th
    ed., 1934, section 21.02), two-sided by the chance of each split."""
    (correct, drawn), (also_correct, also_drawn) = first, second
    right = correct + also_correct
    possible = range(max(0, right - also_drawn), min(right, drawn) + 1)
    ways = [math.comb(drawn, taken) * math.comb(also_drawn, right - taken) for taken in possible]
    seen = ways[correct - possible[0]]
    return sum(way for way in ways if way <= seen) / sum(ways)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of several tests, each as large as it has to be for all of them to err together in at most
    5 of 100 cases (Holm, Scandinavian Journal of Statistics 6, 1979)."""
    corrected, largest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def permutation_p(differences: Sequence[float]) -> tuple[float, bool]:
    """How often the mean difference would be at least as far from 0 if the two runs were interchangeable.

    The sign of each problem's difference is then a coin's (Fisher, The Design of Experiments, 1935, section
    21). All signs are tried when few problems differ; else a seeded random part, and the result is
    (hits + 1) / (draws + 1) (Davison and Hinkley, Bootstrap Methods and their Application, 1997, 4.2).
    """
    import numpy

    values = numpy.array([abs(value) for value in differences if abs(value) > 1e-12])
    observed = abs(math.fsum(differences)) - 1e-9
    if not len(values):
        return 1.0, True
    if len(values) <= EXACT_UP_TO:
        signs = ((numpy.arange(2 ** len(values))[:, None] >> numpy.arange(len(values))) & 1) * 2 - 1
        return float((abs(signs @ values) >= observed).mean()), True
    dice = numpy.random.default_rng(SEED)
    hits = done = 0
    while done < DRAWS:
        some = min(DRAWS - done, max(1, 4_000_000 // len(values)))
        signs = dice.integers(0, 2, size=(some, len(values)), dtype=numpy.int8) * 2 - 1
        hits += int((abs(signs @ values) >= observed).sum())
        done += some
    return (hits + 1) / (DRAWS + 1), False


def counts_of(tally: Tally) -> dict[str, tuple[int, int]]:
    """(correct, judged) of each problem that has a judged sample."""
    return {
        problem_id: (tally.correct[place], tally.judged[place])
        for problem_id, place in tally.places.items()
        if tally.judged[place]
    }


def _variance(correct: int, judged: int) -> float:
    """Variance of one more sample of a problem; unbiased, from two samples on."""
    share = correct / judged
    return share * (1 - share) * judged / (judged - 1)


def _needed_error(mean: float) -> float:
    """The standard error at which a true difference of this size is found with 80 % power at 5 %."""
    normal = NormalDist()
    return abs(mean) / (normal.inv_cdf((1 + CONFIDENCE) / 2) + normal.inv_cdf(POWER))


def _needed_problems(differences: Sequence[float]) -> int | None:
    count = len(differences)
    mean = math.fsum(differences) / count
    if abs(mean) < 1e-12 or count < 2:
        return None
    variance = math.fsum((value - mean) ** 2 for value in differences) / (count - 1)
    return max(2, math.ceil(variance / _needed_error(mean) ** 2))


def _needed_samples(differences: Sequence[float], counts: Sequence[tuple[int, int]]) -> int | None:
    """Samples per problem and run at which these problems would be enough; None where no number would.

    `counts` has both runs' (correct, judged) of each problem.
    """
    count = len(differences)
    mean = math.fsum(differences) / count
    if abs(mean) < 1e-12 or count < 2:
        return None
    variance = math.fsum((value - mean) ** 2 for value in differences) / (count - 1)
    of_one = math.fsum(_variance(*entry) for entry in counts) / count  # of a difference of one sample each
    noise = math.fsum(_variance(*entry) / entry[1] for entry in counts) / count  # of the differences seen
    room = count * _needed_error(mean) ** 2 - max(0.0, variance - noise)
    return max(1, math.ceil(of_one / room)) if room > 0 and of_one > 0 else None
