"""How often do the 95 % intervals of avg and of a difference hold the true value? (goal: at least 94 of 100)

python benchmarks/intervals.py [--draws 2000] [--problems 30]

Problems are drawn anew each time. They are all equally hard (alike), or some are much harder than others
(spread), or each is solved always or never (split). Of a difference, the second run solves half of what the
first one does not. Widths are means over the three, in points.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from util.results.estimates import CONFIDENCE, mean_of_shares
from util.results.paired_test import compare_shares

NS = (1, 8, 64)
MEANS = (0.02, 0.05, 0.5, 0.95, 0.99)
SEED = 20250116


def shares_alike(dice: numpy.random.Generator, mean: float, count: int) -> numpy.ndarray:
    return numpy.full(count, mean)


def shares_spread(dice: numpy.random.Generator, mean: float, count: int) -> numpy.ndarray:
    return dice.beta(mean, 1 - mean, count)


def shares_split(dice: numpy.random.Generator, mean: float, count: int) -> numpy.ndarray:
    return (dice.random(count) < mean).astype(float)


HARD = {"alike": shares_alike, "spread": shares_spread, "split": shares_split}


@cache
def ends_of(shares: tuple[float, ...]) -> tuple[float, float]:
    found = mean_of_shares(shares)
    return found.low, found.high


def of_mean(
    dice: numpy.random.Generator, mean: float, n: int, shape: Callable, problems: int
) -> tuple[bool, float]:
    """Whether the interval of one run holds the true mean, and its width."""
    shares = dice.binomial(n, shape(dice, mean, problems)) / n
    low, high = ends_of(tuple(sorted(shares.tolist())))
    return low <= mean <= high, high - low


def of_difference(
    dice: numpy.random.Generator, mean: float, n: int, shape: Callable, problems: int
) -> tuple[bool, float]:
    """The same for the difference to a run that solves half of what the first one does not."""
    chances = shape(dice, mean, problems)
    drawn = (dice.binomial(n, some) for some in (chances, (1 + chances) / 2))
    first, second = ({str(place): (int(right), n) for place, right in enumerate(run)} for run in drawn)
    found = compare_shares(first, second).difference
    return found.low <= (1 - mean) / 2 <= found.high, found.high - found.low


def row(measure: Callable, mean: float, n: int, *, draws: int, problems: int) -> tuple[str, float]:
    """A line of the table, and its least coverage."""
    cells, least, widths = [], 1.0, []
    for name, shape in HARD.items():
        dice = numpy.random.default_rng([SEED, n, int(1000 * mean), *name.encode()])
        found = [measure(dice, mean, n, shape, problems) for _ in range(draws)]
        coverage = sum(held for held, _ in found) / draws
        least = min(least, coverage)
        widths.append(sum(width for _, width in found) / draws)
        cells.append(f"{100 * coverage:7.1f}")
    return f"{n:4}{mean:7.2f}{''.join(cells)}{100 * sum(widths) / len(widths):8.1f}", least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--draws", type=int, default=2000, help="tables of results for each number")
    parser.add_argument("--problems", type=int, default=30)
    args = parser.parse_args()
    for title, measure, few in (("avg", of_mean, 1), ("difference", of_difference, 10)):
        print(f"{title}: {args.problems} problems, promised {100 * CONFIDENCE:g} %")
        print("   n   mean" + "".join(f"{name:>7}" for name in HARD) + "   width")
        leasts = []
        for n in NS:
            for mean in MEANS:
                line, least = row(measure, mean, n, draws=max(1, args.draws // few), problems=args.problems)
                print(line, flush=True)
                leasts.append(least)
        print(f"least coverage of {title}: {100 * min(leasts):.1f} %\n")


if __name__ == "__main__":
    main()
