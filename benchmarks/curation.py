"""How fast and in how much memory does convert_to_data.py turn samples into a training file?

python benchmarks/curation.py --samples 100000 --folder bench-data

Makes runs of 8 kB samples, one tenth and all of `--samples`, and exports each in a process of its own:
without near duplicates and with them, keeping out the benchmarks that --decontaminate names.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from util.records import SCHEMA  # noqa: E402
from util.response import join_parts  # noqa: E402
from util.runs.reader import text_digest  # noqa: E402

SAMPLE_BYTES = 8000
WORDS = [
    "".join(random.Random(number).choices("abcdefghijklmnopqrstuvwxyz", k=2 + number % 9))
    for number in range(5000)
]
SETTINGS = {"task": "NUMINA", "model": "paper", "split": "train", "system_prompt": None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--samples", type=int, default=100_000, help="samples of the larger run (100000)")
    parser.add_argument("--folder", type=Path, default=Path("bench-data"), help="where the data goes")
    parser.add_argument("--per-problem", type=int, default=1, help="samples of a problem (1)")
    parser.add_argument("--decontaminate", nargs="+", default=["Warmup"], help="benchmarks to keep out")
    parser.add_argument("--data-dir", type=Path, help="local mirror of the data sets")
    args = parser.parse_args()
    runs = {}
    for samples in (args.samples // 10, args.samples):
        runs[samples] = args.folder / f"{samples}-{args.per_problem}"
        make_run(runs[samples] / "run", samples, args.per_problem)
    print(f"{'dedup':>6} {'samples':>9} {'text MB':>8} {'wall s':>7} {'cpu s':>7} {'MB/s':>6} {'peak MB':>8}")
    for dedup in ("exact", "near"):
        walls = {}
        for samples, folder in runs.items():
            used = export(folder, dedup, args)
            walls[samples] = used["cpu_s"]
            text_mb = samples * SAMPLE_BYTES / 1e6
            print(
                f"{dedup:>6} {samples:>9} {text_mb:>8.0f} {used['wall_s']:>7.1f} {used['cpu_s']:>7.1f} "
                f"{text_mb / used['wall_s']:>6.1f} {used['peak_mb']:>8.0f}",
                flush=True,
            )
        small, large = walls.values()
        print(f"{dedup:>6} ten times the samples cost {large / small:.2f} times the processor time")


def make_run(folder: Path, samples: int, per_problem: int) -> None:
    """A run of correct formatted answers to made-up questions; each tenth question nearly repeats another."""
    if (folder / "run.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    dice = random.Random(0)
    with (
        open(folder / "problems.jsonl", "w") as problems,
        open(folder / "samples.jsonl", "w") as lines,
        open(folder / "verdicts.jsonl", "w") as verdicts,
    ):
        question = ""
        for number in range(samples):
            name = f"problem-{number // per_problem}"
            if number % per_problem == 0:
                if number // per_problem % 10 or not question:
                    question = " ".join(dice.choices(WORDS, k=80)) + f" {number}"
                else:
                    question = question.replace(" ", " the ", 1)
                about = {"source": dice.choice(("math", "olympiads")), "difficulty": dice.randint(1, 10)}
                line = {"id": name, "question": question, "prompt": question, "answer": "7", "about": about}
                problems.write(json.dumps(line) + "\n")
            text = join_parts(
                " ".join(dice.choices(WORDS, k=SAMPLE_BYTES // 7)),
                "All of them are counted together, so that it is \\boxed{7}.",
            )
            key = {"problem_id": name, "temperature": 0.7, "index": number % per_problem}
            sample = {
                **key,
                "text": text,
                "reasoning": None,
                "finish_reason": "stop",
                "prompt_tokens": 90,
                "completion_tokens": dice.randint(1000, 3000),
            }
            lines.write(json.dumps(sample) + "\n")
            verdict = {"correct": True, "reason": "", "extracted": "7", "detail": "", "grader": "maths-1"}
            verdicts.write(json.dumps({**key, "judged": text_digest(text), "verdict": verdict}) + "\n")
    info = {"schema": SCHEMA, "settings": SETTINGS, "dataset": {}, "made_with": {}}
    (folder / "run.json").write_text(json.dumps(info))


def export(folder: Path, dedup: str, args: argparse.Namespace) -> dict[str, float]:
    """Seconds and memory of one export, measured from outside."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [
        *(sys.executable, ROOT / "convert_to_data.py", "--input_dir", folder, "--dedup", dedup),
        *("--output", folder / "train.jsonl", "--force", "--include-unformatted"),
        *("--decontaminate", *args.decontaminate),
        *(("--data-dir", args.data_dir) if args.data_dir else ()),
    ]
    measured = [sys.executable, "-c", PEAK, *map(str, command)]
    done = subprocess.run(measured, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall_s": time.perf_counter() - start,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_mb": float(done.stdout.rsplit("peak ", 1)[1]) / 1024,
    }


# The children's peak is that of the largest one so far, so each export has a parent of its own.
PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


if __name__ == "__main__":
    main()
