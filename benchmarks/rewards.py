"""How many rewards a second does a trainer get, how long is each call, and how much of that is the way there?

python benchmarks/rewards.py [--maths 2000] [--programs 200] [--threads 16] [--workers N]

Responses of 5,000 characters with a fraction in a box, and programs with ten tests: one call after the other,
from threads, in one list, and the same calls given to the pool that --check uses.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import rewards  # noqa: E402
from util.grading.pool import GradingPool  # noqa: E402
from util.grading.rewards import START_S, RewardGrader, read_call  # noqa: E402
from util.machines.cores import usable_cores  # noqa: E402

PROGRAM = "```python\nn = int(input())\nprint(sum(range(n)))\n```"
TESTS = json.dumps(
    {"inputs": [f"{n}\n" for n in range(10)], "outputs": [f"{n * (n - 1) // 2}\n" for n in range(10)]}
)
THOUGHT = "We go on step by step. " * 220
LIMIT_S = 60.0


def maths(number: int) -> dict[str, str]:
    return {
        "solution": f"{THOUGHT}So it is $\\boxed{{\\frac{{{number}}}{{7}}}}$.",
        "ground_truth": "\\frac{3}{7}",
    }


def program(number: int) -> dict[str, str]:
    return {"solution": f"{PROGRAM}\nProgram {number}.", "ground_truth": TESTS}


def timed(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def shown(what: str, count: int, seconds: float, each: list[float]) -> str:
    line = f"  {what:<22}{count / seconds:8.0f} a second"
    if not each:
        return line
    each = sorted(each)
    middle, late = each[len(each) // 2], each[len(each) * 99 // 100]
    return f"{line}, {1000 * middle:6.1f} ms a call (99 of 100 within {1000 * late:.1f} ms)"


def measure(kind: str, calls: list[dict[str, str]], threads: int, workers: int) -> list[str]:
    def ask(call: dict[str, str]) -> float:
        return timed(lambda: rewards.compute_score(kind, *call.values(), workers=workers))

    ask(calls[0])  # the graders start
    few = calls[: max(1, len(calls) // 10)]
    lines = []
    for number, some in ((1, few), (threads, calls)):
        with ThreadPoolExecutor(number) as pool:
            each: list[float] = []
            seconds = timed(lambda pool=pool, some=some, each=each: each.extend(pool.map(ask, some)))
        lines.append(
            shown(f"from {number} threads" if number > 1 else "one after the other", len(some), seconds, each)
        )
    columns = {name: [call[name] for call in calls] for name in ("solution", "ground_truth")}
    seconds = timed(
        lambda: rewards.grpo_reward(
            completions=columns["solution"], ground_truth=columns["ground_truth"], task=kind, workers=workers
        )
    )
    lines.append(shown("in one list", len(calls), seconds, []))
    kinds = {kind: rewards._kinds()[kind]}
    jobs = [read_call({"task": kind, **call}, kinds) for call in calls]
    with GradingPool(
        workers, RewardGrader(kinds, program_s=LIMIT_S, isolation="weak"), niceness=0
    ) as grading:

        def grade() -> None:
            for number, job in enumerate(jobs):
                grading.submit(number, job, LIMIT_S + (START_S if kind == "code" else 0))
            while grading.pending or grading.completed(block=False):
                grading.completed(block=True)

        grade()  # the workers start
        lines.append(shown("the pool of --check", len(calls), timed(grade), []))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--maths", type=int, default=2000)
    parser.add_argument("--programs", type=int, default=200)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--workers", type=int, default=usable_cores())
    args = parser.parse_args()
    for kind, make, count in (("maths", maths, args.maths), ("code", program, args.programs)):
        lines = measure(kind, [make(number) for number in range(count)], args.threads, args.workers)
        print("\n".join([f"{kind}, {count} calls, {args.workers} workers", *lines]), flush=True)


if __name__ == "__main__":
    main()
