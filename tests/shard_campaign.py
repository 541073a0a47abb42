"""Kills jobs that write to one run together at random moments, and looks at what is there at the end.

    python tests/shard_campaign.py FOLDER [KILLS [SEED [--grade]]]

Eight jobs work on a file system without locks, each with a clock of its own. A killed one is mostly started
again, at times as one of another number of jobs. Prints a JSON line: how many kills met a living job, how
jobs ended, and how many samples there are, how many lines too many, and how many that are not right.
"""

import errno
import fcntl
import json
import os
import random
import signal
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from helpers import paper_engine  # noqa: E402

import inference_and_check  # noqa: E402
import util.engines.metered  # noqa: E402
import util.generation.benchmark  # noqa: E402, F401 - loaded once for all jobs
from util.errors import RunStopped, UserError  # noqa: E402
from util.runs.reader import read_records  # noqa: E402

JOBS, SAMPLES, LONGEST_S = 8, 6, 600


def flags(folder: Path, *, grades: bool) -> list[str]:
    problems = [json.loads(line) for line in (ROOT / "tasks" / "warmup.jsonl").read_text().splitlines()]
    lines = [
        {
            "problem_id": problem["id"],
            "index": index,
            "text": f"So it is \\boxed{{{problem['answer']}}}, for the {index}th time.",
            "delay_s": 0.01,
        }
        for problem in problems
        for index in range(SAMPLES)
    ]
    words = ["--dataset", "Warmup", "--model", "paper", "--temperatures", 0.7, "--n", SAMPLES]
    words += ["--result-dir", folder / "runs", *paper_engine(folder, *lines)]
    return [*map(str, words), *([] if grades else ["--inference"])]


def _no_locks(*_: object) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


def _run(words: list[str], log: Path, clock_s: float) -> int:
    """What a command ends with whose clock goes so much before others'."""
    right = time.time
    time.time = lambda: right() + clock_s
    fcntl.flock = _no_locks
    with open(log, "a") as said, redirect_stdout(said), redirect_stderr(said):
        try:
            return inference_and_check.run(inference_and_check.parse(words))
        except (UserError, RunStopped) as error:
            print(f"error: {error}")
            return 2 if isinstance(error, UserError) else 1


def _start(words: list[str], log: Path, clock_s: float) -> int:
    process = os.fork()
    if not process:
        status = 99
        try:
            os.setpgid(0, 0)
            signal.alarm(LONGEST_S)
            status = _run(words, log, clock_s)
        finally:
            os._exit(status)
    os.setpgid(process, process)  # as it does itself, maybe later than it is killed
    return process


def campaign(folder: Path, kills: int, seed: int, *, grades: bool) -> dict[str, object]:
    dice = random.Random(seed)
    words = flags(folder, grades=grades)

    def start(number: int, of: int) -> int:
        shard = f"{number}/{of}"
        return _start([*words, "--shard", shard], folder / f"log.{number}", dice.uniform(-1e6, 1e6))

    living = {number: start(number, JOBS) for number in range(1, JOBS + 1)}
    ended, met = [], 0
    for _ in range(kills):
        time.sleep(dice.uniform(0, 0.2 if grades else 0.1))
        for number, process in list(living.items()):
            if os.waitpid(process, os.WNOHANG)[0]:
                living[number] = start(number, JOBS)
        number = dice.choice(sorted(living))
        os.killpg(living[number], signal.SIGKILL)
        met += os.waitpid(living.pop(number), 0)[1] == signal.SIGKILL
        if dice.random() < 0.8 or len(living) < 2:
            living[number] = start(number, dice.choice((JOBS, JOBS + 3, number)))
    ended = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in living.values()]
    ended.append(os.waitstatus_to_exitcode(os.waitpid(start(1, 1), 0)[1]))
    run = folder / "runs" / "paper_Warmup_test_all_0_-1"
    records = list(read_records(run))
    right = sum(
        f"{record.answer}}}, for the {record.sample.index}th" in record.sample.text for record in records
    )
    judged = sum(record.verdict is not None and record.verdict.correct for record in records)
    lines = [line for path in run.glob("samples*.jsonl") for line in path.read_bytes().split(b"\n")]
    whole = [json.loads(line) for line in lines if line.endswith(b"}")]
    keys = {(line["problem_id"], line["index"]) for line in whole}
    return {
        "kills": kills,
        "met": met,
        "ended": ended,
        "samples": len(keys),
        "doubled": len(whole) - len(keys),
        "wrong": len(records) - right,
        "judged": judged,
    }


def main(folder: str, kills: str = "50", seed: str = "0", grade: str = "") -> None:
    print(json.dumps(campaign(Path(folder), int(kills), int(seed), grades=bool(grade))))


if __name__ == "__main__":
    main(*sys.argv[1:])
