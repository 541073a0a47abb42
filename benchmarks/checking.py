"""How much does --check do beside its graders? (goal: at most a tenth of their processor time; where nothing
is left to grade, at most 3 times that of reading samples.jsonl line by line)

python benchmarks/checking.py [--samples 20000 100000] [--answers maths long code] [--per-problem 8]

Makes runs of short answers in a folder of its own, seeded: `maths` with a boxed number each, `long` the same
behind 4 kB of steps, `code` with a program of one test, a hundredth as many, as each is a process. Starting
Python and loading the rows counts; Python may keep its compiled modules, as it does unless told otherwise.
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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = "a, b = map(int, input().split())\nprint(a {sign} b)"
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Kind:
    """One kind of answers: its benchmark, where the rows lie, and what a row and an answer look like."""

    task: str
    file: str
    row: Callable[[int], dict]
    answer: Callable[[int, random.Random], str]
    share: float  # of the samples that are asked for


@dataclass(frozen=True)
class Spent:
    """Seconds of one command: of the processor by itself and by what it started, and by the clock."""

    own: float
    graders: float
    wall: float


def _maths_row(number: int) -> dict:
    question = f"What is {number} + {number + 1}?"
    return {
        "unique_id": f"p{number}",
        "problem": question,
        "answer": str(2 * number + 1),
        "subject": "Algebra",
        "level": number % 5 + 1,
    }


def _maths_answer(number: int, dice: random.Random) -> str:
    found = 2 * number + (dice.random() < 0.8)
    return (
        f"We add the two numbers one after the other. First {number}, then {number + 1}: the sum of both is "
        f"{number} + {number + 1} = {found} at once.\n\nThe final answer is $\\boxed{{{found}}}$."
    )


def _code_row(number: int) -> dict:
    return {
        "id": number,
        "question": f"Print the sum of two numbers ({number}).",
        "input_output": json.dumps({"inputs": [f"{number} 2\n"], "outputs": [f"{number + 2}\n"]}),
        "starter_code": "",
        "solutions": "",
        "difficulty": "introductory",
        "url": "",
    }


def _code_answer(number: int, dice: random.Random) -> str:
    program = PROGRAM.format(sign="+" if dice.random() < 0.8 else "-")
    return f"The program reads both numbers and adds them.\n\n```python\n{program}\n```"


def _long_answer(number: int, dice: random.Random) -> str:
    steps = (f"Step {step}: ${number} + {step} = {number + step}$, so we go on.\n" for step in range(100))
    return "".join(steps) + _maths_answer(number, dice)


KINDS = {
    "maths": Kind("MATH500", "HuggingFaceH4/MATH-500/test.jsonl", _maths_row, _maths_answer, 1),
    "long": Kind("MATH500", "HuggingFaceH4/MATH-500/test.jsonl", _maths_row, _long_answer, 1),
    "code": Kind("APPS", "codeparrot/apps/test.jsonl", _code_row, _code_answer, 0.01),
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, nargs="+", default=[20_000, 100_000], help="(20000 100000)")
    parser.add_argument("--answers", nargs="+", choices=KINDS, default=list(KINDS), help="(all)")
    parser.add_argument("--per-problem", type=int, default=8, metavar="N", help="samples per problem (8)")
    parser.add_argument(
        "--dir", type=Path, help="where runs are made for a while; default: the temporary one"
    )
    return parser.parse_args()


def make_run(folder: Path, kind: Kind, samples: int, per_problem: int) -> list[str]:
    """A run that has samples and no verdicts; returns the command that checks it."""
    rows = folder / "hub" / kind.file
    rows.parent.mkdir(parents=True)
    problems = max(1, samples // per_problem)
    _write(rows, map(kind.row, range(problems)))
    script = folder / "script.jsonl"
    script.write_text('{"text": "nothing"}\n')
    command = [sys.executable, str(ROOT / "inference_and_check.py"), "--dataset", kind.task]
    command += ["--model", "paper", "--result-dir", str(folder), "--data-dir", str(folder / "hub")]
    engine = ["--engine", "scripted", "--engine-args", json.dumps({"script": str(script)})]
    # One real sample makes the folder; those of the benchmark take its place.
    subprocess.run([*command, *engine, "--inference", "--limit", "1"], check=True, capture_output=True)
    dice = random.Random(0)
    _write(
        next(folder.glob("*/samples.jsonl")),
        (
            {
                "problem_id": str(kind.row(number)["unique_id" if kind.task == "MATH500" else "id"]),
                "temperature": 0.7,
                "index": index,
                "text": kind.answer(number, dice),
                "reasoning": None,
                "finish_reason": "stop",
                "prompt_tokens": 20,
                "completion_tokens": 60,
            }
            for number in range(problems)
            for index in range(per_problem)
        ),
    )
    return [*command, "--check"]


def _write(path: Path, lines: Iterator[dict]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def measure(command: list[str]) -> Spent:
    """Run a command to its end; the times of a process that has ended can be read until it is waited for."""
    began = time.perf_counter()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet, env=environment)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    wall = time.perf_counter() - began
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    user, system, its_user, its_system = (int(ticks) * TICK_S for ticks in fields[11:15])
    if process.wait():
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}")
    return Spent(user + system, its_user + its_system, wall)


def reading_s(path: Path) -> float:
    """Processor time of reading JSON lines in the plainest way."""
    began = time.process_time()
    with open(path, encoding="utf-8") as file:
        for line in file:
            json.loads(line)
    return time.process_time() - began


def main() -> None:
    args = parse()
    for name in args.answers:
        kind = KINDS[name]
        for asked in args.samples:
            samples = max(args.per_problem, int(asked * kind.share))
            with tempfile.TemporaryDirectory(dir=args.dir) as folder:
                command = make_run(Path(folder), kind, samples, args.per_problem)
                first, again = measure(command), measure(command)
                reading = reading_s(next(Path(folder).glob("*/samples.jsonl")))
            print(
                f"{name:6} {samples:>7} samples: {first.wall:6.1f} s, graders {first.graders:6.1f} s CPU, "
                f"parent {first.own:5.1f} s ({first.own / first.graders:5.1%} of the graders, "
                f"{1e6 * first.own / samples:4.0f} µs a sample)"
            )
            print(
                f"{'':6} nothing left: {again.wall:6.1f} s, {again.own:5.1f} s CPU, reading alone "
                f"{reading:5.2f} s: {again.own / reading:5.1f} x",
                flush=True,
            )


if __name__ == "__main__":
    main()
