"""How fast are programs graded, how often rightly, and what does isolation cost?

    python benchmarks/grading_code.py light --cases ../shared/data/grading/code_dev.jsonl
    python benchmarks/grading_code.py agreement --cases ../shared/data/grading/code_dev.jsonl

`light` compares checks per second of processor time with the way in which LiveCodeBench's own checker works
(a manager and a forked process for each check, nothing isolated), on right answers whose tests are all short,
and says how many processes that end at once the same time would do. All grade the same answers in turn, so
that a busy machine slows all. Goals: 12 times as many for programs (stdin), 9 times for functions (call).
`endless` grades problems of 20 tests, a tenth of them with endless loops, and compares the time that takes
with what the limits add up to.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import functools
import io
import json
import multiprocessing
import os
import random
import resource
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from util.grading import code  # noqa: E402
from util.grading.code.suites import read_tests, suite_of  # noqa: E402
from util.grading.pool import GradingPool  # noqa: E402
from util.grading.sandbox import Limits, Program, Sandbox, discard_sandbox, warm_sandbox, wire  # noqa: E402
from util.machines.cores import usable_cores  # noqa: E402
from util.records import Problem, TestSuite, Verdict  # noqa: E402
from util.response import programs  # noqa: E402

LIGHT_TEST_S = 0.010
LIGHT_CHECKS = 120
TEST_S = 6  # of one test in the official way
_MODULES = (
    "string re datetime collections heapq bisect copy math random statistics itertools functools operator io "
    "sys json typing"
).split()
PRELUDE = "\n".join(
    [
        *(f"from {name} import *" for name in (*_MODULES, "builtins")),
        *(f"import {name}" for name in _MODULES),
        "sys.setrecursionlimit(50000)",
    ]
)
LAYERS = ("mount", "pid", "net", "ipc", "uts", "landlock")


def read_cases(files: list[Path]) -> list[tuple[dict, Problem]]:
    cases = []
    for file in files:
        with file.open("rb") as lines:
            for line in lines:
                case = json.loads(line)
                layout = "livecodebench" if case["dataset"] == "LiveCodeBench" else "apps"
                row = case["problem"]
                suite = suite_of(row, layout, starter_code=row["starter_code"])
                cases.append((case, Problem(case["id"], "", suite)))
    return cases


# --- the official way ---


def official_check(problem: Problem, text: str) -> bool:
    """As LiveCodeBench's own checker works: a manager for the result, a forked process for all tests."""
    context = multiprocessing.get_context("fork")
    with context.Manager() as manager:
        result = manager.list()
        process = context.Process(target=_official_run, args=(problem, text, result))
        process.start()
        process.join(60)
        if process.is_alive():
            process.kill()
            process.join()
        return bool(result) and all(result[0])


def _official_run(problem: Problem, text: str, result: list) -> None:
    """One test after the other in this process, each under an alarm, until one fails."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    tests = read_tests(problem.reference)
    source = f"{PRELUDE}\n{programs(text)[-1].code}"
    run = _official_call if problem.reference.function else _official_program
    signal.signal(signal.SIGALRM, _official_alarm)
    signal.alarm(TEST_S)
    passes = run(source, problem.reference.function)
    passed = []
    for given, expected in zip(tests.inputs, tests.expected, strict=True):
        signal.alarm(TEST_S)
        passed.append(passes(given, expected))
        signal.alarm(0)
        if not passed[-1]:
            break
    result.append(passed)


def _official_alarm(number: int, frame: object) -> None:
    raise TimeoutError


def _official_call(source: str, function: str) -> Callable[[bytes, Any], bool]:
    module = ModuleType("answer")
    exec(source, module.__dict__)
    called = getattr(module.Solution() if "class Solution" in source else module, function)

    def passes(given: bytes, expected: Any) -> bool:
        value = called(*wire.decode(given))
        value = list(value) if isinstance(value, tuple) else value
        return value == expected or [value] == expected

    return passes


def _official_program(source: str, _: None) -> Callable[[bytes, str], bool]:
    """A program is wrapped into a function, which is called for each test with patched streams."""
    tree = ast.parse(source)
    last = tree.body[-1]
    if isinstance(last, ast.If) and "__main__" in ast.unparse(last.test):
        tree.body[-1:] = last.body
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    rest = [node for node in tree.body if node not in imports]
    wrapper = ast.parse("def wrapped_function(): pass").body[0]
    wrapper.body = rest or wrapper.body
    names: dict = {}
    exec(f"{ast.unparse(ast.Module(imports, []))}\n{ast.unparse(wrapper)}", names)

    def passes(given: bytes, expected: str) -> bool:
        text, out = given.decode(), io.StringIO()
        stdin = io.TextIOWrapper(io.BytesIO(given))
        with mock.patch("builtins.open", mock.mock_open(read_data=text)), mock.patch("sys.stdin", stdin):
            with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
                names["wrapped_function"]()
        return _official_same(out.getvalue(), expected)

    return passes


def _official_same(output: str, expected: str) -> bool:
    """As many lines, each the same or with tokens that are equal as decimal numbers."""
    ours, theirs = (text.strip().split("\n") for text in (output, expected))
    return len(ours) == len(theirs) and all(map(_official_same_line, ours, theirs))


def _official_same_line(output: str, expected: str) -> bool:
    if output.strip() == expected.strip():
        return True
    try:
        ours, theirs = ([Decimal(token) for token in line.split()] for line in (output, expected))
    except InvalidOperation:
        return False
    return ours == theirs


def bare_fork(_: Problem, __: str) -> bool:
    """The floor of any way with a process for each check: one that ends at once."""
    process = os.fork()
    if not process:
        os._exit(0)
    return os.waitpid(process, 0)[1] == 0


# --- measuring ---


def cpu_s(sandboxes: tuple[Sandbox, ...] = ()) -> float:
    """Processor time of this process, its ended children and the sandboxes' processes."""
    mine = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    total = sum(usage.ru_utime + usage.ru_stime for usage in mine)
    return total + sum(sandbox_cpu_s(sandbox) for sandbox in sandboxes)


def sandbox_cpu_s(sandbox: Sandbox) -> float:
    tick = os.sysconf("SC_CLK_TCK")
    total = 0
    for process in _family(sandbox.process_id):
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        total += sum(map(int, fields[11:15]))
    return total / tick


def _family(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process, *(one for child in children for one in _family(int(child)))]


def light_cases(cases: list[tuple[dict, Problem]]) -> list[tuple[dict, Problem]]:
    """Right answers whose tests each take less than 10 ms; the same number of every data set and mode."""
    sandbox = warm_sandbox()
    kinds: dict[tuple[str, str], list] = {}
    for case, problem in cases:
        found = kinds.setdefault((case["dataset"], case["mode"]), [])
        if (
            not case["expected"]
            or case.get("needs")
            or case.get("debatable")
            or len(found) >= LIGHT_CHECKS // 6
        ):
            continue
        tests = read_tests(problem.reference)
        program = Program(
            tuple(block.code for block in programs(case["response"])), problem.reference.function
        )
        began = time.perf_counter()
        outcomes = list(sandbox.run(program, tests.inputs, Limits(time_s=2)))
        spent = time.perf_counter() - began
        is_light = spent < 0.02 + LIGHT_TEST_S * len(tests.inputs) / 2
        if is_light and len(outcomes) == len(tests.inputs) and official_check(problem, case["response"]):
            found.append((case, problem))
    return [pair for found in kinds.values() for pair in found]


def measure_light(cases: list[tuple[dict, Problem]], rounds: int) -> dict:
    chosen = light_cases(cases)
    kinds = {
        code.sandbox_kind(tuple(block.code for block in programs(case["response"]))) for case, _ in chosen
    }
    sandboxes = tuple(warm_sandbox(kind) for kind in kinds)
    result: dict = {"checks": len(chosen), "isolation": sandboxes[0].isolation.tier}
    ways = {
        "": lambda problem, text: code.grade_code(problem, text).correct,
        "official_": official_check,
        "bare_fork_": bare_fork,
    }
    for mode in ("stdin", "call"):
        part = [pair for pair in chosen if pair[0]["mode"] == mode]
        rates: dict[str, list[float]] = {name: [] for name in ways}
        waits = []
        for _ in range(rounds):
            for name, check in ways.items():
                before = cpu_s(sandboxes)
                for case, problem in part:
                    began = time.perf_counter()
                    assert check(problem, case["response"]), (name, case["id"])
                    waits += [] if name else [time.perf_counter() - began]
                rates[name].append(len(part) / (cpu_s(sandboxes) - before))
        ratios = [ours / theirs for ours, theirs in zip(rates[""], rates["official_"], strict=True)]
        result[mode] = {
            "checks": len(part),
            **{f"{name}checks_per_cpu_s": round(statistics.median(rates[name]), 1) for name in ways},
            "ratio": round(statistics.median(ratios), 2),
            "median_latency_ms": round(1000 * statistics.median(waits), 1),
        }
    return result


def measure_endless(problems: int, time_s: float) -> dict:
    """Does grading with endless loops among the programs end when the limits say so?

    Each problem has 20 tests; every tenth program never ends, in a test that is drawn.
    """
    lines = [f"{number}\n" for number in range(20)]
    suite = suite_of({"input_output": json.dumps({"inputs": lines, "outputs": lines})}, "apps")
    limits, cores = Limits(time_s=time_s), usable_cores()
    most_s = code.longest_s(suite, limits, time_of_row=False)
    assert most_s is not None
    at_most_s = round(problems * most_s / cores + most_s)
    print(f"{problems} problems on {cores} cores: at most {at_most_s} s", file=sys.stderr, flush=True)
    counts: Counter = Counter()
    began = time.monotonic()
    with GradingPool(cores, functools.partial(_graded, suite, limits)) as pool:
        for number in range(problems):
            test = random.Random(number).choice(lines).strip() if number % 10 == 5 else -1
            source = f"n = int(input())\nwhile n == {test}: pass\nprint(n)"
            pool.submit(number, f"```python\n{source}\n```", code.GRADE_TIMEOUT_S)
        while pool.pending:
            counts.update(verdict.reason or "correct" for _, verdict in pool.completed(block=True))
    wall_s = time.monotonic() - began
    return {
        "problems": problems,
        **counts,
        "cores": cores,
        "wall_s": round(wall_s, 1),
        # A loop behind the first test is met twice: the test is run again as the first of a process.
        "loops_alone_s": round(2 * time_s * counts["timeout"] / cores, 1),
        "at_most_s": at_most_s,
        "load": os.getloadavg()[0],
    }


def _graded(suite: TestSuite, limits: Limits, text: str) -> Verdict:
    return code.grade_code(Problem("1", "", suite), text, limits=limits)


def measure_layers(cases: list[tuple[dict, Problem]], rounds: int) -> dict:
    """Milliseconds of processor time of one check, with all layers and without each of them."""
    program, function_input = Program(("print(input())",)), [b"1\n"]
    sandboxes = {"all": Sandbox()} | {
        f"without {name}": Sandbox(without=[name]) for name in (*LAYERS, "seccomp")
    }
    sandboxes["limits only"] = Sandbox(without=[*LAYERS, "seccomp"])
    spent: dict[str, list[float]] = {name: [] for name in sandboxes}
    for _ in range(rounds):
        for name, sandbox in sandboxes.items():
            before = time.process_time() + sandbox_cpu_s(sandbox)
            for _ in range(100):
                list(sandbox.run(program, function_input, Limits()))
            spent[name].append((time.process_time() + sandbox_cpu_s(sandbox) - before) * 10)
    for sandbox in sandboxes.values():
        sandbox.close()
    costs = {name: round(statistics.median(values), 2) for name, values in spent.items()}
    costs["share of isolation"] = round(1 - costs["limits only"] / costs["all"], 3)
    return costs


def measure_agreement(cases: list[tuple[dict, Problem]]) -> dict:
    counts: Counter = Counter()
    for case, problem in cases:
        verdict = code.grade_code(problem, case["response"])
        debatable = " (debatable)" if case.get("debatable") else ""
        agrees = verdict.correct == case["expected"]
        counts[("agree" if agrees else "disagree") + debatable] += 1
        if not agrees:
            counts[("wrong accepted" if verdict.correct else "right rejected") + debatable] += 1
            print(case["id"], case["expected"], verdict.reason, verdict.detail, file=sys.stderr)
    judged = counts["agree"] + counts["disagree"]
    return {"agreement": round(counts["agree"] / judged, 5), **counts}


def measure_memory(checks: int) -> dict:
    """Does this process grow over many checks, and is anything left behind?"""
    problem = Problem(
        "1", "", suite_of({"input_output": '{"inputs": ["1\\n"], "outputs": ["1\\n"]}'}, "apps")
    )
    sizes = []
    for number in range(checks):
        assert code.grade_code(problem, f"```python\nprint(input())  # {number}\n```").correct
        if number % max(1, checks // 10) == checks // 20:
            sandbox = warm_sandbox()
            sizes.append([_resident_kb(one) for one in (os.getpid(), *_family(sandbox.process_id))])
    family = _family(warm_sandbox().process_id)
    discard_sandbox()
    left = [process for process in family if Path(f"/proc/{process}").exists()]
    return {"resident_kb": sizes, "processes_left": left}


def _resident_kb(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "what", choices=("light", "layers", "agreement", "memory", "endless"), help="what to measure"
    )
    parser.add_argument(
        "--cases", type=Path, nargs="*", default=[], metavar="FILE", help="files of labelled answers"
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="times that each part is measured")
    parser.add_argument(
        "--checks", type=int, default=10_000, metavar="N", help="checks of the memory measurement"
    )
    parser.add_argument("--problems", type=int, default=64, metavar="N", help="of the endless measurement")
    parser.add_argument(
        "--time-limit", type=float, default=6.0, metavar="SECONDS", help="of a test there, in CPU time"
    )
    return parser.parse_args(argv)


def main() -> None:
    args = parse()
    if args.what == "memory":
        result = measure_memory(args.checks)
    elif args.what == "endless":
        result = measure_endless(args.problems, args.time_limit)
    elif args.what == "layers":
        result = measure_layers([], args.rounds)
    elif args.what == "agreement":
        result = measure_agreement(read_cases(args.cases))
    else:
        result = measure_light(read_cases(args.cases), args.rounds)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
