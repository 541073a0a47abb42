"""How many tokens does --until-correct spend for the rows that a fixed n accepts? (goal: at most 0.6 of them)

python benchmarks/adaptive.py [--n 8] [--limit 40]
python benchmarks/adaptive.py --paper       # engine steps and tokens of adaptive sampling, fixed n

Both commands run the embedded model on Warmup with the same seeds, so a problem's first samples are the same.
A row is accepted when its problem has a correct sample.

With --paper the suite's own loop asks an engine of paper, which gives each of its places a token in a step,
for samples of known lengths and verdicts. It shows where empty places cost steps (goal: at most 1.1 of those
of fixed n with at most 0.4 of its tokens), and what asking ahead of verdicts does about it.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from util.generation.loop import Job, Plan, generate, open_rounds, write_problems  # noqa: E402
from util.generation.rounds import Key, Stopping  # noqa: E402
from util.records import Completion, Problem, Request, Sample, Verdict  # noqa: E402
from util.runs.folder import Run  # noqa: E402

COMMAND = "--dataset Warmup --model embedded --temperatures 0.7 --max-tokens 48 --stop Question:".split()


HOPELESS, EASY = 0.1, 0.3  # shares of the problems; any pass rate is as likely for the others


@dataclass(frozen=True)
class Shape:
    """What is asked of which engine."""

    problems: int
    places: int
    rule: Stopping = Stopping(until_correct=1)
    n: int = 8
    tokens: int = 100  # the median
    spread: float = 0.9  # standard deviation of the logarithm
    judged_after: tuple[int, ...] = (1,)  # steps from an answer to its verdict, one of these

    def sample(self, key: Key) -> tuple[int, bool]:
        """The tokens of a sample, and whether it is correct; wrong ones are longer."""
        of_problem, of_sample = random.Random(key[0]), random.Random(str(key))
        kind, rate = of_problem.random(), of_problem.random()
        rate = 0.0 if kind < HOPELESS else 1.0 if kind < HOPELESS + EASY else rate
        is_correct = of_sample.random() < rate
        length = self.tokens * math.exp(of_sample.gauss(0, self.spread)) * (1.0 if is_correct else 1.4)
        return max(1, min(round(length), 20 * self.tokens)), is_correct


SHAPES = {
    "a small set, 40 problems on 64 places": Shape(40, 64, tokens=20, spread=0.6),
    "many problems, few places": Shape(600, 32),
    "few problems, many places": Shape(60, 256),
    "places for all samples": Shape(30, 256),
    "places for all, lengths alike": Shape(30, 256, spread=0),
    "programs judged slowly": Shape(200, 64, judged_after=(5, 20, 300)),
    "--until-correct 4 --give-up-after 8": Shape(200, 64, Stopping(4, 8), n=16),
    "--pass-rate-band 0.1 0.7": Shape(100, 64, Stopping(band=(0.1, 0.7)), n=32),
    "--n 64": Shape(100, 64, n=64),
}


class PaperEngine:
    """Gives each place that has a request a token in each step. It also tells when verdicts are there."""

    def __init__(self, shape: Shape, *, is_asked_ahead: bool) -> None:
        self._shape = shape
        self._is_asked_ahead = is_asked_ahead
        self._now = 0
        self._verdicts: list[tuple[int, Key, Verdict]] = []  # by the step in which each is there
        self.steps = 0  # up to the last answer

    def at_once(self, tokens: int) -> int:
        return self._shape.places if self._is_asked_ahead else 0

    def generate(self, requests: Iterable[Request | None]) -> Iterator[tuple[Request, Completion]]:
        source, running, asked = iter(requests), [], 0
        while True:
            while len(running) < self._shape.places:
                request = next(source, self)
                if not isinstance(request, Request):
                    break
                tokens, _ = self._shape.sample((request.problem_id, request.temperature, request.index))
                asked += 1
                heapq.heappush(running, (self._now + tokens, asked, tokens, request))
            if not running and request is self:
                return
            waits_for = (
                running[:1] if len(running) == self._shape.places else [*running[:1], *self._verdicts[:1]]
            )
            self._now = min(at for at, *_ in waits_for)
            while running and running[0][0] <= self._now:
                self.steps, _, tokens, request = heapq.heappop(running)
                yield request, Completion("x", "stop", 1, tokens)

    def close(self) -> None:
        pass

    def offer(self, sample: Sample, offset: int) -> None:
        after = random.Random(f"judge {sample.key}").choice(self._shape.judged_after)
        verdict = Verdict(self._shape.sample(sample.key)[1])
        heapq.heappush(self._verdicts, (self._now + after, sample.key, verdict))

    def collect(self, *, block: bool) -> list[SimpleNamespace]:
        found = []
        while self._verdicts and self._verdicts[0][0] <= self._now:
            _, key, verdict = heapq.heappop(self._verdicts)
            found.append(SimpleNamespace(key=key, verdict=verdict))
        return found


@dataclass(frozen=True)
class OnPaper:
    """What asking came to."""

    steps: int
    tokens: int
    samples: dict[str, list[int]]  # the indices that each problem has
    asked_ahead: int


def on_paper(shape: Shape, rule: Stopping | None, *, is_asked_ahead: bool = True) -> OnPaper:
    """Ask for the samples of a shape, as a rule says or all of them."""
    plan = Plan("paper", (1.0,), shape.n, 20 * shape.tokens, seed=0, stopping=rule)
    engine: Any = PaperEngine(shape, is_asked_ahead=is_asked_ahead)
    with tempfile.TemporaryDirectory() as folder, Run(Path(folder) / "r", settings={}, made_with={}) as run:
        problems = (Problem(str(number), "?", "1") for number in range(shape.problems))
        asked = write_problems(run, problems, lambda problem, model: problem.question, "paper")
        rounds = None if rule is None else open_rounds(run, asked, plan)
        job = Job(run, asked, plan, None if rule is None else engine, rounds)
        list(generate([job], engine=engine))
        samples = {
            name: [index for index in range(shape.n) if run.has(name, 1.0, index)] for name in asked.ids
        }
    return OnPaper(engine.steps, job.outcome.completion_tokens, samples, job.outcome.asked_ahead)


def compare_on_paper() -> None:
    print(f"{'of fixed n:':38} {'steps':>6} {'tokens':>7}   {'asked ahead: steps':>18} {'tokens':>7}")
    for name, shape in SHAPES.items():
        fixed = on_paper(shape, None)
        before, now = (on_paper(shape, shape.rule, is_asked_ahead=ahead) for ahead in (False, True))
        ratios = (
            getattr(found, what) / getattr(fixed, what)
            for found in (before, now)
            for what in ("steps", "tokens")
        )
        print("{:38} {:6.2f} {:7.3f}   {:18.2f} {:7.3f}".format(name, *ratios))


def run(folder: Path, *flags: str) -> dict:
    done = subprocess.run(
        [sys.executable, str(ROOT / "inference_and_check.py"), *COMMAND, "--result-dir", str(folder), *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    result = json.loads(done.stdout.split(b"\n")[-2])
    numbers = result["temperatures"]["0.7"]
    verdicts = [json.loads(line) for line in open(Path(result["run"]) / "verdicts.jsonl", encoding="utf-8")]
    accepted = {line["problem_id"] for line in verdicts if line["verdict"]["correct"]}
    return {**numbers, "accepted": accepted}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=8, help="most samples of a problem")
    parser.add_argument("--limit", type=int, default=40, help="problems")
    parser.add_argument("--paper", action="store_true", help="compare steps and tokens on an engine of paper")
    args = parser.parse_args()
    if args.paper:
        compare_on_paper()
        return
    flags = ["--n", str(args.n), "--limit", str(args.limit)]
    with tempfile.TemporaryDirectory() as folder:
        fixed = run(Path(folder) / "fixed", *flags)
        adaptive = run(Path(folder) / "adaptive", *flags, "--until-correct", "1")
    for name, found in (("fixed n", fixed), ("until correct", adaptive)):
        print(
            f"{name:14} {found['samples']:5} samples {found['completion_tokens']:7} completion tokens "
            f"{len(found['accepted']):4} accepted rows of {found['problems']} problems"
        )
    print(f"accepted by both {len(fixed['accepted'] & adaptive['accepted'])}")
    if "stopped_early" in adaptive:
        print(f"estimate of fixed n {adaptive['stopped_early']['tokens_at_fixed_n']}")
    print(
        f"tokens, until correct / fixed n: {adaptive['completion_tokens'] / fixed['completion_tokens']:.3f}"
    )


if __name__ == "__main__":
    main()
