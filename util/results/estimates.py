"""By which formulas do counts of right and wrong samples become numbers, and how sure are these?

Call `mean_of_shares`, `pass_at_k`, `majority_at_k` or `tokens_to_first_correct`. Problems are what is drawn
from a larger pool, so every interval treats the samples of one problem as one cluster.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.95
EXACT_VOTES = 1000  # ways to vote that are counted one by one for maj@k
SUBSETS = 400  # drawn at random for maj@k where there are more


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval."""

    value: float
    low: float
    high: float


def t_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's distribution; exact for 1 and 2 degrees of freedom, else within 0.2 %.

    Cornish-Fisher expansion: Abramowitz and Stegun, Handbook of Mathematical Functions (1964), 26.7.5.
    """
    if freedom == 1:
        return math.tan(math.pi * (probability - 0.5))
    if freedom == 2:
        return (2 * probability - 1) * math.sqrt(2 / (4 * probability * (1 - probability)))
    z = NormalDist().inv_cdf(probability)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / freedom**power for power, term in enumerate(terms))


def mean_of_shares(shares: Sequence[float], samples: int) -> Estimate:
    """Mean of the problems' shares correct with a 95 % interval clustered by problem.

    The standard error comes from the spread between problems (Miller, "Adding Error Bars to Evals", 2024,
    arXiv:2411.00640, section 2.2), but mean +- t * error misses far too often near 0 and 1 and with few
    problems (Bowyer et al., 2025, arXiv:2503.01747). So it is turned into the number of independent
    questions that would be as uncertain (Korn and Graubard, Survey Methodology 24, 1998), for which the
    score interval is given (Wilson, J. Am. Stat. Assoc. 22, 1927), with Student's quantile for its normal
    one. When all problems are at 0 or all at 1, each problem counts as one independent question. A single
    problem says nothing about others: 0 to 1.
    """
    count = len(shares)
    mean = math.fsum(shares) / count
    if count == 1:
        return Estimate(mean, 0.0, 1.0)
    variance = math.fsum((share - mean) ** 2 for share in shares) / (count - 1)
    spread = mean * (1 - mean)
    if spread < 1e-12:
        effective = float(count)
    else:
        effective = min(spread * count / variance, samples) if variance > 0 else float(samples)
    t2 = t_quantile((1 + CONFIDENCE) / 2, count - 1) ** 2
    centre = (mean + t2 / (2 * effective)) / (1 + t2 / effective)
    half = math.sqrt(t2 * (spread / effective + t2 / (4 * effective**2))) / (1 + t2 / effective)
    return Estimate(mean, max(0.0, min(mean, centre - half)), min(1.0, max(mean, centre + half)))


def pass_at_k(drawn: int, correct: int, k: int) -> float:
    """Chance that at least one of k samples is correct, estimated without bias from `drawn` samples.

    1 - C(drawn - correct, k) / C(drawn, k): Chen et al., "Evaluating Large Language Models Trained on
    Code", 2021, arXiv:2107.03374, section 2.1.
    """
    if drawn - correct < k:
        return 1.0
    return 1.0 - math.comb(drawn - correct, k) / math.comb(drawn, k)


def majority_at_k(correct: int, wrong: Sequence[int], silent: int, k: int, *, seed: int = 0) -> float:
    """Chance that the answer given most often by k of the samples is right (Wang et al., "Self-Consistency
    Improves Chain of Thought Reasoning", 2022, arXiv:2203.11171), with ties decided by lot.

    `wrong` counts the samples of each different wrong answer; `silent` ones gave no answer and have no
    vote. Exact while there are at most EXACT_VOTES ways in which k samples can vote, else over random
    subsets of k.
    """
    drawn = correct + sum(wrong) + silent
    if not correct:
        return 0.0
    if k == drawn:
        return _share_of_vote(correct, wrong)
    if k == 1:
        return correct / drawn
    if math.prod(min(count, k) + 1 for count in (silent, *wrong)) <= EXACT_VOTES:
        return _share_of_all_votes(correct, wrong, silent, k)
    import numpy

    dice = numpy.random.default_rng([seed, drawn, correct, k])
    votes = dice.multivariate_hypergeometric([correct, silent, *wrong], k, size=SUBSETS, method="marginals")
    right, others = votes[:, 0], votes[:, 2:]
    most = others.max(axis=1) if others.shape[1] else numpy.zeros(SUBSETS, dtype=right.dtype)
    tied = (others == right[:, None]).sum(axis=1)
    won = numpy.where(right > most, 1.0, numpy.where(right == most, 1.0 / (1 + tied), 0.0))
    return float(numpy.where(right > 0, won, 0.0).mean())


def _share_of_all_votes(correct: int, wrong: Sequence[int], silent: int, k: int) -> float:
    """Mean of the vote over all subsets of k, those that vote alike together."""
    others = (silent, *wrong)
    won = 0.0
    for taken in itertools.product(*(range(min(count, k) + 1) for count in others)):
        right = k - sum(taken)
        if 0 < right <= correct:
            ways = math.prod(itertools.starmap(math.comb, zip(others, taken, strict=True)))
            won += math.comb(correct, right) * ways * _share_of_vote(right, taken[1:])
    return won / math.comb(sum(others) + correct, k)


def _share_of_vote(correct: int, wrong: Sequence[int]) -> float:
    most = max(wrong, default=0)
    if correct != most:
        return float(correct > most)
    return 1 / (1 + sum(1 for count in wrong if count == most))


def tokens_to_first_correct(drawn: int, correct: int, tokens_correct: int, tokens_wrong: int) -> float:
    """Completion tokens that samples in random order cost up to and with the first correct one.

    (drawn - correct) / (correct + 1) wrong samples come before it on average: mean of the negative
    hypergeometric distribution (Johnson, Kemp and Kotz, Univariate Discrete Distributions, 2005, 6.2.2).
    """
    wrong = drawn - correct
    before = wrong / (correct + 1) * (tokens_wrong / wrong) if wrong else 0.0
    return before + tokens_correct / correct
