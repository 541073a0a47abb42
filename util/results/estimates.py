"""By which formulas do counts of right and wrong samples become numbers, and how sure are these?

Call `mean_of_shares`, `pass_at_k`, `majority_at_k` or `tokens_to_first_correct`. Problems are what is drawn
from a larger pool, so every interval treats the samples of one problem as one cluster.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

CONFIDENCE = 0.95
HALVINGS = 20  # of the range in which the end of an interval is looked for
FARTHEST = 15.0  # standard deviations from 0: beyond these the sign of a sum is certain
EXACT_VOTES = 1000  # ways to vote that are counted one by one for maj@k
SUBSETS = 400  # drawn at random for maj@k where there are more


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval."""

    value: float
    low: float
    high: float


def mean_of_shares(shares: Sequence[float]) -> Estimate:
    """Mean of the problems' shares correct with its interval. A single problem says nothing about others: 0
    to 1."""
    if len(shares) == 1:
        return Estimate(shares[0], 0.0, 1.0)
    return mean_within(shares, 0.0, 1.0)


def mean_within(
    values: Sequence[float], least: float, most: float, confidence: float = CONFIDENCE
) -> Estimate:
    """Mean of values that cannot leave `least` to `most`, one of each problem, with an interval that supposes
    nothing else of them.

    Each end is a quantile of the mean that N + 1 random weights give to the N values and one more, which is
    as far out as values can be: the weights are the gaps between N sorted random points (Gaffke, "Three Test
    Statistics for a Nonparametric One-Sided Hypothesis on the Mean of a Nonnegative Variable", Mathematical
    Methods of Statistics 14, 2005; Learned-Miller and Thomas, 2019, arXiv:1905.06208, section 2). For
    values that are all `least` or `most` it is the exact interval of Clopper and Pearson (Biometrika 26,
    1934). Unlike mean +- t * error, it does not collapse where all problems agree or nearly so (Bowyer et
    al., 2025, arXiv:2503.01747).
    """
    mean = math.fsum(values) / len(values)
    tail = (1 - confidence) / 2
    low = _end(Counter(values), least, mean, tail)
    high = -_end(Counter(-value for value in values), -most, -mean, tail)
    return Estimate(mean, min(mean, low), max(mean, high))


def _end(counts: Counter[float], least: float, mean: float, tail: float) -> float:
    """The value below which the randomly weighted mean lies with probability `tail`, by bisection."""
    import numpy

    if mean <= least:
        return least
    values = numpy.array([least, *counts])
    weights = numpy.array([1.0, *counts.values()])
    below, above = least, mean
    for _ in range(HALVINGS):
        middle = (below + above) / 2
        if _is_negative(values - middle, weights) < tail:
            below = middle
        else:
            above = middle
    return below


def _is_negative(factors: Any, shapes: Any) -> float:
    """Chance that a sum of independent gamma variables of these shapes, times these factors, is below 0.

    The sum's characteristic function is inverted numerically (Imhof, "Computing the Distribution of Quadratic
    Forms in Normal Variables", Biometrika 48, 1961, equation 3.2), over the logarithm of the frequency.
    """
    import numpy

    spread = math.sqrt(float((shapes * factors**2).sum()))
    centre = float((shapes * factors).sum()) / spread
    if abs(centre) > FARTHEST:
        return float(centre < 0)
    steps = min(10, max(1, shapes.sum() / 200))  # a lone value beside very many makes the integrand turn fast
    step = 0.05 / steps
    frequency = numpy.exp(numpy.arange(-12, 8, step))
    turned = numpy.outer(frequency / spread, factors)
    angle = numpy.arctan(turned) @ shapes
    size = numpy.exp(numpy.minimum(0.5 * numpy.log1p(turned**2) @ shapes, 700))
    return 0.5 - float((numpy.sin(angle) / size).sum()) * step / math.pi


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
        return _share_of_all_votes(correct, tuple(wrong), silent, k)
    import numpy

    dice = numpy.random.default_rng([seed, drawn, correct, k])
    votes = dice.multivariate_hypergeometric([correct, silent, *wrong], k, size=SUBSETS, method="marginals")
    right, others = votes[:, 0], votes[:, 2:]
    most = others.max(axis=1) if others.shape[1] else numpy.zeros(SUBSETS, dtype=right.dtype)
    tied = (others == right[:, None]).sum(axis=1)
    won = numpy.where(right > most, 1.0, numpy.where(right == most, 1.0 / (1 + tied), 0.0))
    return float(numpy.where(right > 0, won, 0.0).mean())


@lru_cache(maxsize=4096)  # most problems of a run share their counts with others
def _share_of_all_votes(correct: int, wrong: tuple[int, ...], silent: int, k: int) -> float:
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
