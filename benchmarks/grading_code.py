"""How fast are programs graded, how often rightly, and what does isolation cost?

    python benchmarks/grading_code.py light --cases ../shared/data/grading/code_dev.jsonl
    python benchmarks/grading_code.py agreement --cases ../shared/data/grading/code_dev.jsonl

`light` compares checks per second of processor time with a plain grader that forks a manager and a
process for each check and isolates nothing, on right answers whose tests are all short. Both grade the
same answers in turn, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from util.grading import code  # noqa: E402
from util.grading.code.outputs import same_value  # noqa: E402
from util.grading.code.suites import read_tests, suite_of  # noqa: E402
from util.grading.sandbox import Limits, Program, Sandbox, discard_sandbox, warm_sandbox, wire  # noqa: E402
from util.records import Problem  # noqa: E402
from util.response import programs  # noqa: E402

LIGHT_TEST_S = 0.010
LIGHT_CHECKS = 120
PLAIN_PRELUDE = "import math\n" + "".join(
    f"from {name} import *\n"
    for name in ("typing", "collections", "math", "heapq", "bisect", "itertools", "functools")
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


# --- the plain grader ---


def plain_check(problem: Problem, text: str) -> bool:
    """What graders usually do: a manager for the result, a forked process that runs all tests."""
    context = multiprocessing.get_context("fork")
    with context.Manager() as manager:
        result = manager.list()
        process = context.Process(target=_plain_run, args=(problem, text, result))
        process.start()
        process.join(60)
        if process.is_alive():
            process.kill()
            process.join()
        return bool(result) and all(result[0])


def _plain_run(problem: Problem, text: str, result: list) -> None:
    import contextlib
    import io

    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    tests = read_tests(problem.reference)
    program = compile(programs(text)[-1].code, "answer", "exec")
    passed = []
    if problem.reference.function is not None:
        names: dict = {"__name__": "answer"}
        exec(PLAIN_PRELUDE, names)
        exec(program, names)
        for packed, expected in zip(tests.inputs, tests.expected, strict=True):
            owner = names["Solution"]() if "Solution" in names else None
            function = getattr(owner, problem.reference.function, None) or names[problem.reference.function]
            value = function(*wire.decode(packed))
            passed.append(value == expected or [value] == expected or same_value(value, expected))
    else:
        for given, expected in zip(tests.inputs, tests.expected, strict=True):
            sys.stdin = io.TextIOWrapper(io.BytesIO(given))
            with contextlib.redirect_stdout(io.StringIO()) as out:
                try:
                    exec(program, {"__name__": "__main__"})
                except SystemExit:
                    pass
            passed.append(out.getvalue().split() == expected.split())
    result.append(passed)


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
        if is_light and len(outcomes) == len(tests.inputs) and plain_check(problem, case["response"]):
            found.append((case, problem))
    return [pair for found in kinds.values() for pair in found]


def measure_light(cases: list[tuple[dict, Problem]], rounds: int) -> dict:
    chosen = light_cases(cases)
    sandboxes = (warm_sandbox(),)
    result: dict = {"checks": len(chosen), "isolation": sandboxes[0].isolation.tier}
    for mode in ("stdin", "call"):
        part = [pair for pair in chosen if pair[0]["mode"] == mode]
        ours, plain, waits = [], [], []
        for _ in range(rounds):
            before = cpu_s(sandboxes)
            for case, problem in part:
                began = time.perf_counter()
                verdict = code.grade_code(problem, case["response"])
                waits.append(time.perf_counter() - began)
                assert verdict.correct, (case["id"], verdict)
            ours.append(len(part) / (cpu_s(sandboxes) - before))
            before = cpu_s()
            for case, problem in part:
                plain_check(problem, case["response"])
            plain.append(len(part) / (cpu_s() - before))
        ratios = [a / b for a, b in zip(ours, plain, strict=True)]
        result[mode] = {
            "checks": len(part),
            "checks_per_cpu_s": round(statistics.median(ours), 1),
            "plain_checks_per_cpu_s": round(statistics.median(plain), 1),
            "ratio": round(statistics.median(ratios), 2),
            "median_latency_ms": round(1000 * statistics.median(waits), 1),
        }
    return result


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
    parser.add_argument("what", choices=("light", "layers", "agreement", "memory"), help="what to measure")
    parser.add_argument(
        "--cases", type=Path, nargs="*", default=[], metavar="FILE", help="files of labelled answers"
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="times that each part is measured")
    parser.add_argument(
        "--checks", type=int, default=10_000, metavar="N", help="checks of the memory measurement"
    )
    return parser.parse_args(argv)


def main() -> None:
    args = parse()
    if args.what == "memory":
        result = measure_memory(args.checks)
    elif args.what == "layers":
        result = measure_layers([], args.rounds)
    elif args.what == "agreement":
        result = measure_agreement(read_cases(args.cases))
    else:
        result = measure_light(read_cases(args.cases), args.rounds)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
