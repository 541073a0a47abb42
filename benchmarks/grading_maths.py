"""How right and how fast is the maths grader beside math-verify, on the same answers in the same run?

python benchmarks/grading_maths.py --cases ../shared/data/grading/math_dev.jsonl --rounds 3

Cases are JSON lines with gold, prediction or response, expected and source. Speeds are pairs per second of
CPU time; the rounds of the two graders take turns, and the median counts. math-verify gets $..$ round bare
short answers, without which it misreads most of them. A pair that takes it over 5 s counts as "different", by
its own alarm.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from util.grading import maths  # noqa: E402
from util.grading.maths import reader, symbolic  # noqa: E402

IMPORTS = {"ours": "import util.grading.maths", "math-verify": "import math_verify"}
Decide = Callable[[dict], bool]


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The flags of the benchmark."""
    parser = argparse.ArgumentParser(description="maths grading beside math-verify")
    data = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "grading"
    parser.add_argument(
        "--cases", type=Path, default=data / "math_dev.jsonl", help="labelled short answers and responses"
    )
    parser.add_argument(
        "--gsm8k", type=Path, default=data / "gsm8k_dev.jsonl", help="labelled GSM8K responses"
    )
    parser.add_argument(
        "--short", type=int, default=350, metavar="N", help="short answers for the speed (default 350)"
    )
    parser.add_argument(
        "--responses", type=int, default=200, metavar="N", help="GSM8K responses for the speed (default 200)"
    )
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="rounds of each grader (default 3)"
    )
    parser.add_argument("--memory-of", choices=("ours",), help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def ours(case: dict) -> bool:
    """The verdict of the first tiers."""
    return _ours(case, symbolic=False)


def ours_with_engine(case: dict) -> bool:
    """The verdict with the symbolic tier on."""
    return _ours(case, symbolic=True)


def _ours(case: dict, *, symbolic: bool) -> bool:
    if "prediction" in case:
        return maths.same_answer(case["gold"], case["prediction"], symbolic=symbolic).equal
    kind = "number" if case["task"] == "gsm8k" else "any"
    return maths.grade_maths(case["gold"], case["response"], kind=kind, symbolic=symbolic).correct


def math_verify(case: dict) -> bool:
    """The verdict of math-verify, wrapped."""
    from math_verify import parse, verify

    gold = case["gold"] if "$" in case["gold"] else f"${case['gold']}$"
    answer = case.get("prediction")
    answer = case["response"] if answer is None else answer if "$" in answer else f"${answer}$"
    return bool(verify(parse(gold), parse(answer)))


def cpu_seconds() -> float:
    """CPU time of this process and of the children that have ended."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def measure(decide: Decide, cases: list[dict]) -> tuple[list[bool], float]:
    """Verdicts, and the CPU seconds that they took, with nothing remembered from before."""
    maths.forget()
    reader.read.cache_clear()
    start = cpu_seconds()
    verdicts = [decide(case) for case in cases]
    symbolic.close()
    return verdicts, cpu_seconds() - start


def speeds(cases: list[dict], graders: dict[str, Decide], rounds: int) -> dict[str, float]:
    """Pairs per CPU second of each grader, median over rounds that take turns."""
    found: dict[str, list[float]] = {name: [] for name in graders}
    for _ in range(rounds):
        for name, decide in graders.items():
            found[name].append(len(cases) / measure(decide, cases)[1])
    return {name: statistics.median(values) for name, values in found.items()}


def table(cases: list[dict], verdicts: dict[str, list[bool]]) -> str:
    """Accuracy, wrong passes and wrong fails of each grader by source."""
    lines = [f"{'source':<28}{'cases':>6}" + "".join(f"{name:>22}" for name in verdicts)]
    lines.append(" " * 34 + f"{'right  passes  fails':>22}" * len(verdicts))
    sources = sorted({case["source"].split(",")[0][:27] for case in cases})
    for source in [*sources, "all"]:
        chosen = [
            i
            for i, case in enumerate(cases)
            if source == "all" or case["source"].split(",")[0][:27] == source
        ]
        line = f"{source:<28}{len(chosen):>6}"
        for verdict in verdicts.values():
            passes = sum(verdict[i] and not cases[i]["expected"] for i in chosen)
            fails = sum(not verdict[i] and cases[i]["expected"] for i in chosen)
            line += f"{1 - (passes + fails) / len(chosen):>10.3f}{passes:>6}{fails:>6}"
        lines.append(line)
    return "\n".join(lines)


def import_seconds(statement: str, rounds: int) -> float:
    """Extra time of a fresh interpreter that runs `statement`, median of the rounds."""

    def run(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).resolve().parents[1])
        return time.perf_counter() - start

    return statistics.median(run(statement) - run("pass") for _ in range(rounds))


def peak_kb() -> int:
    """Peak memory of this process since it was started; ru_maxrss counts what its parent held, too."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def peak_memory_mb(args: argparse.Namespace) -> float:
    """Peak memory of a fresh process that grades all cases without the symbolic tier."""
    command = [
        sys.executable,
        __file__,
        "--memory-of",
        "ours",
        "--cases",
        str(args.cases),
        "--gsm8k",
        str(args.gsm8k),
    ]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def read_cases(path: Path) -> list[dict]:
    """The cases of a JSON-lines file."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def run(args: argparse.Namespace) -> None:
    """Print the tables."""
    cases, gsm8k = read_cases(args.cases), read_cases(args.gsm8k)
    if args.memory_of:
        for case in cases + gsm8k:
            ours(case)
        print(peak_kb() / 1024)
        return
    logging.disable(logging.CRITICAL)
    symbolic.use(True)
    graders: dict[str, Decide] = {"ours": ours, "with engine": ours_with_engine, "math-verify": math_verify}
    verdicts, seconds = {}, {}
    for name, decide in graders.items():
        verdicts[name], seconds[name] = measure(decide, cases)
    print(table(cases, verdicts), "\n")
    print(f"{'all cases':<16}" + speed_line({name: len(cases) / value for name, value in seconds.items()}))
    short = [case for case in cases if "prediction" in case][: args.short]
    pair: dict[str, Decide] = {"ours": ours, "math-verify": math_verify}
    print(f"{'short answers':<16}" + speed_line(speeds(short, pair, args.rounds)))
    print(f"{'GSM8K':<16}" + speed_line(speeds(gsm8k[: args.responses], pair, args.rounds)))
    own, _ = measure(ours, gsm8k)
    right = sum(verdict == case["expected"] for verdict, case in zip(own, gsm8k, strict=True))
    print(f"\nGSM8K accuracy  {right / len(gsm8k):.4f}")
    for name, statement in IMPORTS.items():
        print(f"import {name:<12}{import_seconds(statement, args.rounds):.3f} s")
    print(f"peak memory     {peak_memory_mb(args):.0f} MB, without the engine")


def speed_line(speeds: dict[str, float]) -> str:
    """Pairs per CPU second, and how many times math-verify's."""
    return "".join(
        f"{name} {value:,.0f}/s ({value / speeds['math-verify']:.0f}x)   " for name, value in speeds.items()
    )


if __name__ == "__main__":
    run(parse())
