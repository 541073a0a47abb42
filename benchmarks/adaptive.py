"""How many tokens does --until-correct spend for the rows that a fixed n accepts? (goal: at most 0.6 of them)

python benchmarks/adaptive.py [--n 8] [--limit 40]

Both commands run the embedded model on Warmup with the same seeds, so a problem's first samples are the same.
A row is accepted when its problem has a correct sample.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "--dataset Warmup --model embedded --temperatures 0.7 --max-tokens 48 --stop Question:".split()


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
    args = parser.parse_args()
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
