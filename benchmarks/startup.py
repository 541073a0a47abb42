"""How long does --help of each script take, as a multiple of a bare Python start? (goal: at most 3)

python benchmarks/startup.py [--rounds 20]

CPU time, median over interleaved rounds after one that is not counted: it holds on a busy machine. Python may
keep its compiled modules, as it does unless told otherwise.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def cpu_seconds(command: list[str]) -> float:
    """User and system time of one run of `command`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    commands = {"bare python": [sys.executable, "-c", "pass"]}
    for script in sorted(ROOT.glob("*.py")):
        commands[script.name] = [sys.executable, str(script), "--help"]
    times: dict[str, list[float]] = {name: [] for name in commands}
    for command in commands.values():
        cpu_seconds(command)
    for _ in range(rounds):
        for name, command in commands.items():
            times[name].append(cpu_seconds(command))
    bare = statistics.median(times["bare python"])
    for name, seconds in times.items():
        middle = statistics.median(seconds)
        print(f"{name:26} {1000 * middle:6.0f} ms CPU  {middle / bare:4.1f} x bare  ({rounds} rounds)")


if __name__ == "__main__":
    main()
