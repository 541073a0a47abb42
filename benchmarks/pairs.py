"""How long does it take to cut, score and write pairs, and how much memory, as a run grows?
(goal: 100,000 samples of 8 kB within 180 s on two cores)

python benchmarks/pairs.py [--samples 10000 100000] [--per-problem 8]

Makes runs of thinking traces in a folder of its own, seeded, and starts response_rewrite.py on each without a
model. Every problem has long and short correct samples and some wrong ones.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from util.records import Problem, Sample, Verdict  # noqa: E402
from util.runs.folder import Run  # noqa: E402
from util.runs.reader import text_digest  # noqa: E402

TURNS = (
    "Wait, let me double-check this. ",
    "Alternatively, I could start from the other end. ",
    "Hmm, let me verify it. ",
    "To be sure, here is the sum again. ",
)
STEPS = (
    "Here the first factor is {a} and the second one is {b}, so their product comes next. ",
    "Then $x^2 + {a}x = {b}$ leads to $x = {a}$ when the other root is left out. ",
    "We know that {a} + {b} stands on the left side, and nothing else depends on it. ",
    "The remaining terms, $\\frac{{{a}}}{{{b}}}$ among them, cancel in pairs. ",
)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The flags of the benchmark."""
    parser = argparse.ArgumentParser(description="making preference pairs without a model")
    parser.add_argument(
        "--samples", type=int, nargs="+", default=[10_000, 100_000], help="sizes (10000 100000)"
    )
    parser.add_argument("--per-problem", type=int, default=8, metavar="N", help="samples per problem (8)")
    parser.add_argument(
        "--chars", type=int, default=8_000, metavar="N", help="mean length of a sample (8000)"
    )
    parser.add_argument(
        "--dir", type=Path, help="where runs are made for a while; default: the temporary one"
    )
    return parser.parse_args(argv)


def trace(generator: random.Random, gold: int, chars: int, *, correct: bool) -> str:
    """A thinking trace with several attempts of which the last one decides."""
    attempts, length = [], 0
    while length < chars:
        number = len(attempts)
        steps = [
            generator.choice(STEPS).format(a=generator.randint(2, 99), b=generator.randint(2, 99))
            for _ in range(generator.randint(8, 24))
        ]
        turn = generator.choice(TURNS) if number else ""
        answer = gold if number and correct else gold + generator.randint(1, 9)
        attempts.append(f"{turn}{''.join(steps)}So the answer is {answer}.")
        length += len(attempts[-1])
    end = gold if correct else gold + 1
    return (
        "<|begin_of_thought|>\n\n" + "\n\n".join(attempts) + "\n\n<|end_of_thought|>\n\n"
        f"<|begin_of_solution|>\n\nThe sum is \\boxed{{{end}}}.\n\n<|end_of_solution|>"
    )


def make_run(folder: Path, samples: int, per_problem: int, chars: int) -> None:
    """A graded run whose samples come in the order of completion, not of problems."""
    generator = random.Random(samples)
    settings = {"task": "MATH500", "model": "some/model", "split": "test", "system_prompt": None}
    problems = samples // per_problem
    with Run(folder, settings=settings, made_with={}) as run:
        for number in range(problems):
            question = f"What is the sum of {number} and {number + 1}?"
            run.add_problem(Problem(f"p{number}", question, str(2 * number + 1)), question)
        keys = [(number, index) for number in range(problems) for index in range(per_problem)]
        for first in range(0, len(keys), 4096):  # as many are under way at once
            part = keys[first : first + 4096]
            generator.shuffle(part)
            for number, index in part:
                correct = index == 0 or generator.random() < 0.7
                length = int(chars * generator.uniform(0.3, 1.6))
                text = trace(generator, 2 * number + 1, length, correct=correct)
                sample = Sample(f"p{number}", 1.0, index, text, None, "stop", 60, len(text) // 4)
                run.add_sample(sample)
                verdict = Verdict(correct, "" if correct else "wrong_answer", None, "", "maths-1")
                run.add_verdict(sample.key, text_digest(text), verdict)


def measure(folder: Path, result_dir: Path) -> dict:
    """Seconds by the clock, CPU seconds, peak memory and pairs of one command."""
    command = [sys.executable, str(ROOT / "response_rewrite.py"), "--SILC", "--no-llm", "--tokenizer", "none"]
    command += ["--target-model", "none", "--dataset", str(folder), "--result-dir", str(result_dir)]
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with status {os.waitstatus_to_exitcode(status)}")
    result = json.loads(printed.strip().rsplit("\n", 1)[-1])
    return {
        "wall_s": round(time.monotonic() - began, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mb": round(usage.ru_maxrss / 1024),
        "pairs": result["pairs"],
    }


def main() -> None:
    args = parse()
    with tempfile.TemporaryDirectory(dir=args.dir) as folder:
        for samples in sorted(args.samples):
            run = Path(folder) / f"run-{samples}"
            make_run(run, samples, args.per_problem, args.chars)
            size = (run / "samples.jsonl").stat().st_size
            found = measure(run, Path(folder) / f"pairs-{samples}")
            print(json.dumps({"samples": samples, "mb": round(size / 1e6), **found}), flush=True)


if __name__ == "__main__":
    main()
