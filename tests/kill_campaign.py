"""Kills the commands of the pipeline at random moments, and compares what they end with.

    python tests/kill_campaign.py FOLDER [KILLS [SEED]]

Each step, from rating problems to an evaluation, runs undisturbed, and with its share of kill -9 before it is
run to its end. Prints a JSON line: how many kills there were, how many met a running command, and what
differs from the undisturbed run (nothing, if all is well).
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from helpers import HANG_S, paper_engine  # noqa: E402
from test_eval import small_hub  # noqa: E402
from test_labelling import small_numina  # noqa: E402

from util.runs.reader import read_records  # noqa: E402

THOUGHT = "I look at it from one side and then from the other side, and both ways give the same number."
RATING = {"contains": "[[", "text": "[[4]]"}  # what the prompt about difficulty shows as the form


def script_lines(delay_s: float) -> list[dict]:
    """Answers to each problem of Warmup, at index 1 a longer right one and at index 2 a wrong one."""
    problems = [json.loads(line) for line in (ROOT / "tasks" / "warmup.jsonl").read_text().splitlines()]
    lines = [RATING]
    for problem in problems:
        for index, (thought, answer) in enumerate(
            [(THOUGHT, problem["answer"]), (4 * f"{THOUGHT} ", problem["answer"]), (THOUGHT, "99999")]
        ):
            text = f"{thought}\n\nThe answer is \\boxed{{{answer}}}."
            lines.append({"problem_id": problem["id"], "index": index, "text": text})
    return [{**line, "delay_s": delay_s} for line in (*lines, {"text": "It is \\boxed{1}."})]


def steps(
    place: Path, data: Path, *, limit: int | None = None, delay_s: float = 0.01
) -> dict[str, list[object]]:
    """The commands of the pipeline, in order; all of them write below `place`."""
    engine = paper_engine(data, *script_lines(delay_s))
    runs, run = place / "runs", place / "runs" / "paper_Warmup_test_all_0_-1"
    answer = ["inference_and_check.py", "--dataset", "Warmup", "--model", "paper", "--temperatures", 0.7]
    answer += ["--n", 3, "--result-dir", runs, *engine]
    answer += [] if limit is None else ["--limit", limit]
    return {
        "label": ["label_math_difficulty.py", "--source", "math", "--data-dir", data / "mirror"]
        + ["--output-dir", place / "labels", *engine],
        "inference": answer,
        "format": ["convert_format.py", "--input_dir", runs, "--no-llm"],
        "check": [*answer, "--check"],
        "export": ["convert_to_data.py", "--input_dir", runs, "--output", place / "train.json"]
        + ["--decontaminate", "none", "--format", "llamafactory", "--seed", 1, "--force"]
        + ["--no-filter", "short"],
        "pairs": ["response_rewrite.py", "--SILC", "--no-llm", "--tokenizer", "none", "--target-model", "m"]
        + ["--variants", "whole", "--dataset", run, "--result-dir", place / "pairs"],
        "eval": ["eval.py", "--model", "org/fake", "--evals", "math500,gsm8k", "--data-dir", data / "hub"]
        + ["--result-dir", place / "evals", "--output_file", place / "results.txt", "--n", 2]
        + ["--temperatures", 0.7, *engine],
    }


def found(place: Path) -> dict[str, object]:
    """What the steps ended with, without the order in which samples came and the times of day."""
    records = [
        (record.sample.key, record.sample.text, record.formatted, record.verdict and record.verdict.correct)
        for folder in sorted({path.parent for path in place.rglob("samples.jsonl")})
        for record in read_records(folder)
    ]
    files = ["train.json", "results.txt", "labels/labeled_math_0_-1.json"]
    pairs = sorted(str(path.relative_to(place)) for path in (place / "pairs").glob("*conversations.json"))
    there = [name for name in (*files, *pairs) if (place / name).exists()]
    texts = {name: (place / name).read_text(encoding="utf-8") for name in there}
    rows = sorted(json.dumps(row) for row in json.loads(texts.pop("train.json", "[]")))
    lines = {
        str(path.relative_to(place)): sum(map(_is_whole, path.read_bytes().split(b"\n")))
        for path in place.rglob("samples.jsonl")
    }
    return {"records": sorted(records, key=repr), "lines": lines, "rows": rows, **texts}


def _is_whole(line: bytes) -> bool:
    try:
        return bool(json.loads(line))
    except ValueError:
        return False


def _start(command: list[object]) -> subprocess.Popen:
    words = [sys.executable, *map(str, command)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(words, cwd=ROOT, start_new_session=True, **quiet)


def _finish(name: str, command: list[object]) -> float:
    """Run a command to its end; returns how long it took."""
    started = time.monotonic()
    process = _start(command)
    _, said = process.communicate(timeout=HANG_S)
    if process.returncode:
        raise SystemExit(f"{name} ended with {process.returncode}: {said.decode()[-2000:]}")
    return time.monotonic() - started


def campaign(folder: Path, kills: int, seed: int) -> dict[str, object]:
    dice = random.Random(seed)
    small_numina(folder)
    small_hub(folder)
    whole, killed = folder / "whole", folder / "killed"
    whole.mkdir()
    killed.mkdir()
    undisturbed = steps(whole, folder)
    names = list(undisturbed)
    shares = dict.fromkeys(names, kills // len(names))
    for name in dice.sample(names, kills % len(names)):
        shares[name] += 1
    met = 0
    for name, command in steps(killed, folder).items():
        lasts = _finish(name, undisturbed[name])  # now: the machine may be as busy as a moment later
        for _ in range(shares[name]):
            process = _start(command)
            time.sleep(dice.uniform(0.2, 1.0) * lasts)
            if process.poll() is None:
                met += 1
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        _finish(name, command)
    want, got = found(whole), found(killed)
    differ = [name for name in want if want[name] != got[name]]
    return {"kills": kills, "met": met, "differ": differ, "samples": len(got["records"])}


def main(folder: str, kills: str = "50", seed: str = "0") -> None:
    print(json.dumps(campaign(Path(folder), int(kills), int(seed))))


if __name__ == "__main__":
    main(*sys.argv[1:])
