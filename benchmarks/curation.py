"""How fast, in how much memory, and how rightly does convert_to_data.py make a training file?

python benchmarks/curation.py --samples 100000 --folder bench-data

Makes runs of 8 kB samples, one tenth and all of `--samples`, and exports each in a process of its own:
without near duplicates and with them, keeping out the benchmarks that --decontaminate names.

python benchmarks/curation.py found --data-dir mirror

Counts what is taken for a leak or a near duplicate: rewordings by hand, copies edited by rules, problems
that are neither, and, with a mirror of the data sets, all problems of contests. Half of what was written by
hand was held out while the thresholds were chosen.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tasks import load_task  # noqa: E402
from util.data.rows import open_rows, problems  # noqa: E402
from util.records import SCHEMA, Problem  # noqa: E402
from util.response import join_parts  # noqa: E402
from util.runs.reader import text_digest  # noqa: E402
from util.training.curation import NearDuplicates  # noqa: E402
from util.training.leaks import BenchmarkText  # noqa: E402
from util.training.questions import read_question  # noqa: E402

SAMPLE_BYTES = 8000
WORDS = [
    "".join(random.Random(number).choices("abcdefghijklmnopqrstuvwxyz", k=2 + number % 9))
    for number in range(5000)
]
SETTINGS = {"task": "NUMINA", "model": "paper", "split": "train", "system_prompt": None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("speed", "found"), default="speed", help="(speed)")
    parser.add_argument("--samples", type=int, default=100_000, help="samples of the larger run (100000)")
    parser.add_argument("--folder", type=Path, default=Path("bench-data"), help="where the data goes")
    parser.add_argument("--per-problem", type=int, default=1, help="samples of a problem (1)")
    parser.add_argument("--decontaminate", nargs="+", default=["Warmup"], help="benchmarks to keep out")
    parser.add_argument("--data-dir", type=Path, help="local mirror of the data sets")
    args = parser.parse_args()
    if args.what == "found":
        return print_found(args.data_dir)
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


def print_found(data_dir: Path | None) -> None:
    """Precision and recall of decontamination and of near duplicates."""
    cases = [json.loads(line) for line in (ROOT / "tests" / "cases" / "leaks.jsonl").open(encoding="utf-8")]
    asked: dict[str, dict[str, str]] = {}
    answers: dict[tuple[str, str], str | None] = {}
    for name in CONTESTS if data_dir else ():
        asked[name] = {}
        for problem in problems_of(name, data_dir):
            asked[name][problem.id] = "\n".join((problem.question, *problem.choices))
            answers[name, problem.id] = problem.answer
    asked["cases"] = {case["benchmark"]: case["benchmark"] for case in cases if "benchmark" in case}
    for case in cases:
        if "benchmark_answer" in case:
            answers["cases", case["benchmark"]] = case["benchmark_answer"]
    text, owners = BenchmarkText(), {}
    for name, questions in asked.items():
        for problem_id, question in questions.items():
            owners[name, problem_id] = len(text)
            text.add(name, problem_id, question, answer=answers.get((name, problem_id)))
    text.close()
    usable = [
        case for case in cases if "benchmark" in case or case["problem_id"] in asked.get(case["task"], ())
    ]
    print(f"{len(text):,} questions of {', '.join(asked)}")
    for what, is_leak in (("rewordings found", True), ("other problems of like words dropped", False)):
        for part, held_out in (("", None), (", chosen by", False), (", held out", True)):
            some = [
                case for case in usable if case["leak"] == is_leak and held_out in (None, case["held_out"])
            ]
            report(f"{what}{part}", [text.find(case["training"]) is not None for case in some])
            if not is_leak:
                found = (text.find(case["training"], answer=case.get("answer")) for case in some)
                report(f"... with the answers{part}", [leak is not None for leak in found])
    for name, questions in asked.items():
        if name != "cases":
            found = (
                text.find(asked_, {owners[name, problem_id]}, answer=answers[name, problem_id])
                for problem_id, asked_ in questions.items()
            )
            report(f"{name}: repeats a problem of another place", [leak is not None for leak in found])
    plain = [question for questions in asked.values() for question in questions.values()]
    for name, edit in EDITS.items():
        edited = [(question, edit(question)) for question in plain]
        edited = [(one, other) for one, other in edited if other != one]
        report(f"leaks found, {name}", [text.find(other) is not None for _, other in edited])
        if name not in (DROPPED, RENAMED):
            report(f"near duplicates found, {name}", [is_near(*pair) for pair in edited])
    for one, other in OPPOSITES:
        pairs = [(q, re.sub(rf"\b{one}\b", other, q, count=1)) for q in plain if re.search(rf"\b{one}\b", q)]
        report(f"kept apart, {one} and {other}", [not is_near(*pair) for pair in pairs])


def report(what: str, found: list[bool]) -> None:
    share = f"{sum(found) / len(found):6.1%}" if found else "     -"
    print(f"{what:<55} {sum(found):>6} of {len(found):>6} {share}")


def problems_of(name: str, data_dir: Path | None) -> Iterator[Problem]:
    """All problems of the files of a benchmark, those of other years, too."""
    task = load_task(name)
    task = replace(task, source=replace(task.source, keep=None))
    return problems(task, open_rows(task.source, data_dir=data_dir))


def is_near(one: str, other: str) -> bool:
    near = NearDuplicates(2)
    for at, question in enumerate((one, other)):
        near.set_signatures(slice(at, at + 1), *near.signature(read_question(question)))
    return bool(near.dropped(np.ones(2, bool), np.arange(2))[1])


def respelled(question: str) -> str:
    """The same LaTeX in another spelling."""
    spelled = question.replace(r"\frac", r"\dfrac").replace(r"\left", "").replace(r"\right", "")
    spelled = re.sub(r"\\sqrt\{(\d)\}", r"\\sqrt\1", spelled.replace("^\\circ", "^{\\circ}"))
    return re.sub(r"\$([^$]+)\$", r"\\( \1 \\)", spelled)


def reordered(question: str) -> str:
    """The first two of three or more sentences in the other order."""
    sentences = re.split(r"(?<=[.?!])\s+(?=[A-Z])", question.strip())
    return " ".join((sentences[1], sentences[0], *sentences[2:])) if len(sentences) > 2 else question


def shuffled(question: str) -> str:
    """The last four lines, which are options where there are five, in another order."""
    lines = question.split("\n")
    return "\n".join((*lines[:-4], *lines[-2:], *lines[-4:-2])) if len(lines) > 4 else question


def renamed(question: str) -> str:
    """Other letters for the unknowns of its formulas."""
    formula, product = r"\$[^$]*\$|\\\[.*?\\\]", r"\\[a-zA-Z]+|(?<![a-zA-Z])[a-z]{1,3}(?![a-zA-Z])"

    def other(found: re.Match[str]) -> str:
        return found[0] if found[0][0] == "\\" else found[0].translate(OTHER_LETTERS)

    return re.sub(formula, lambda part: re.sub(product, other, part[0]), question, flags=re.DOTALL)


CONTESTS = ("AIME", "AMC23", "MATH500", "GSM8K", "OlympiadBench", "Minerva", "MMLU", "ARC-C")
DROPPED, RENAMED = "one word in nine dropped", "unknowns renamed"
OTHER_LETTERS = str.maketrans("abcdefghijklmnopqrstuvwxyz", "pqruvgwhjkzlmntyabcsdefxio")
EDITS = {
    "LaTeX respelled": respelled,
    "sentences reordered": reordered,
    "options shuffled": shuffled,
    "capitals": str.upper,
    RENAMED: renamed,
    "a sentence before": lambda question: f"Solve the following problem. {question}",
    DROPPED: lambda question: " ".join(word for at, word in enumerate(question.split()) if at % 9 != 8),
}
OPPOSITES = (
    ("sum", "product"),
    ("minimum", "maximum"),
    ("smallest", "largest"),
    ("more", "fewer"),
    ("even", "odd"),
    ("least", "most"),
    ("minutes", "hours"),
    ("area", "perimeter"),
)


# The children's peak is that of the largest one so far, so each export has a parent of its own.
PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


if __name__ == "__main__":
    main()
