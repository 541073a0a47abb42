"""Can the data tell two runs apart, and if not, how many samples would?

Call `compare_shares`. Both runs answered the same problems, so these are compared one by one and only their
differences count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from util.results.counting import Tally
from util.results.estimates import CONFIDENCE, Estimate, t_quantile

EXACT_UP_TO = 16  # problems that differ: 2^16 ways to swap them are looked at one and all
DRAWS = 100_000
SEED = 20250115
POWER = 0.8
LEVEL = 0.05  # a smaller p-value tells two runs apart
FEWEST_TELLING = 6  # problems that differ: with 5, all the same way, p is 2 / 2^5 = 0.06


@dataclass(frozen=True)
class Paired:
    """What the common problems of two runs say; differences are second minus first."""

    problems: int
    samples: tuple[int, int]  # least and most of a problem in either run
    differing: int
    difference: Estimate
    p_value: float
    exact: bool  # whether p_value counts all swaps, or a random part of them
    needed_problems: int | None  # to tell a true difference of this size apart; None when there is none
    needed_samples: int | None  # per problem on these same problems; None: no number, or not known


def compare_shares(first: Mapping[str, tuple[int, int]], second: Mapping[str, tuple[int, int]]) -> Paired:
    """Compare (correct, judged) of the problems that both runs have."""
    common = [problem_id for problem_id in first if problem_id in second]
    differences = [
        second[problem_id][0] / second[problem_id][1] - first[problem_id][0] / first[problem_id][1]
        for problem_id in common
    ]
    p_value, exact = permutation_p(differences)
    estimate = mean_difference(differences)
    counts = [count for problem_id in common for count in (first[problem_id], second[problem_id])]
    drawn = [judged for _, judged in counts]
    return Paired(
        problems=len(common),
        samples=(min(drawn), max(drawn)),
        differing=sum(1 for difference in differences if abs(difference) > 1e-12),
        difference=estimate,
        p_value=p_value,
        exact=exact,
        needed_problems=_needed_problems(differences),
        needed_samples=_needed_samples(differences, counts) if min(drawn) > 1 else None,
    )


def mean_difference(differences: Sequence[float]) -> Estimate:
    """Mean of paired differences with its 95 % t interval; the standard error is that of the differences
    (Miller, "Adding Error Bars to Evals", 2024, arXiv:2411.00640, section 4.2).

    Where all problems differ alike there is no spread to go by. Then the interval reaches as far as a share
    of other problems could go unseen in so many: 1 - 0.025^(1/problems) (Clopper and Pearson, Biometrika 26,
    1934).
    """
    count = len(differences)
    mean = math.fsum(differences) / count
    variance = math.fsum((value - mean) ** 2 for value in differences) / (count - 1) if count > 1 else 0.0
    if variance < 1e-18:
        half = 1 - ((1 - CONFIDENCE) / 2) ** (1 / count)
    else:
        half = t_quantile((1 + CONFIDENCE) / 2, count - 1) * math.sqrt(variance / count)
    return Estimate(mean, max(-1.0, mean - half), min(1.0, mean + half))


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
