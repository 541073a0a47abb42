"""How long and how much memory does choosing NuminaMath problems by difficulty take at full size?

    python benchmarks/numina.py --folder /tmp/numina

makes a data set of NuminaMath's size and layout once (859,494 rows in 5 parquet files of about 247 MB, labels
for all of them), then reads it three times, each in a fresh process, and prints seconds and peak memory.
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

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tasks import load_task
from util.data import difficulty
from util.data import rows as hub_rows

ROWS, SHARDS, GROUP_ROWS = 859_494, 5, 1000
SOURCES = {  # rows of each source, as the data set's card counts them
    "cn_k12": 276_591,
    "synthetic_math": 167_895,
    "orca_math": 153_334,
    "olympiads": 150_581,
    "synthetic_amc": 62_111,
    "aops_forum": 30_201,
    "math": 7_478,
    "gsm8k": 7_345,
    "amc_aime": 3_958,
}
CASES = {
    "math, 4 to 9": {"source": "math", "difficulty": (4, 9)},
    "olympiads, end 20000, 9 to 9": {"source": "olympiads", "end": 20_000, "difficulty": (9, 9)},
    "cn_k12, 1 to 9": {"source": "cn_k12", "difficulty": (1, 9)},
}


def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    if args.case is not None:
        print(json.dumps(measure(args.folder, CASES[args.case])))
        return
    if not (args.folder / "done").exists():
        make(args.folder, args.rows)
    results = {}
    for case in CASES:
        command = [sys.executable, __file__, "--folder", str(args.folder), "--case", case]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        results[case] = json.loads(output.splitlines()[-1])
        print(case, results[case], file=sys.stderr)
    print(json.dumps(results))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="where the data set is made, about 2 GB")
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of the data set that is made")
    parser.add_argument("--case", choices=CASES, help="measure one case in this process")
    return parser.parse_args(argv)


def measure(folder: Path, options: dict) -> dict:
    """Choose the problems of one case and count them."""
    task = load_task("NUMINA")
    began, cpu = time.perf_counter(), time.process_time()
    known = difficulty.read_labels(task.source.labels, tuple, folder=folder / "none", data_dir=folder)
    labelled = time.perf_counter() - began
    counts = hub_rows.RowCounts()
    rows = hub_rows.open_rows(task.source, data_dir=folder)
    found = sum(1 for _ in hub_rows.problems(task, rows, labels=known.of, counts=counts, **options))
    return {
        "problems": found,
        "seconds": round(time.perf_counter() - began, 2),
        "seconds_for_labels": round(labelled, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def make(folder: Path, rows: int) -> None:
    """Write the data set and its labels: invented text of the real lengths, 1 % of the problems twice."""
    import pyarrow
    import pyarrow.parquet

    draw = random.Random(0)
    words = [
        "".join(draw.choices("abcdefghijklmnopqrstuvwxyz0123456789$\\{}", k=draw.randint(1, 11)))
        for _ in range(20_000)
    ]
    numina, marks = (
        folder / "AI-MO/NuminaMath-CoT/data",
        folder / "NovaSky-AI/labeled_numina_difficulty_859K/data",
    )
    for target in (numina, marks):
        target.mkdir(parents=True, exist_ok=True)
    text = pyarrow.string()
    message = pyarrow.list_(pyarrow.struct([("content", text), ("role", text)]))
    row_schema = pyarrow.schema(
        [("source", text), ("problem", text), ("solution", text), ("messages", message)]
    )
    label_schema = pyarrow.schema(
        [
            ("source", text),
            ("problem", text),
            ("solution", text),
            ("messages", text),
            ("gpt_difficulty", text),
        ]
        + [("gpt_difficulty_parsed", pyarrow.float64())]
    )
    kinds, weights = list(SOURCES), list(SOURCES.values())
    written, earlier = 0, ["a first problem"]
    shard_rows = -(-rows // SHARDS)
    writers = {}
    while written < rows:
        size = min(GROUP_ROWS, rows - written, shard_rows - written % shard_rows)
        sources = draw.choices(kinds, weights, k=size)
        problems = [
            _text(draw, words, 22) if draw.random() > 0.01 else draw.choice(earlier) for _ in range(size)
        ]
        solutions = [f"{_text(draw, words, 78)} \\boxed{{{draw.randint(0, 999)}}}" for _ in range(size)]
        earlier = problems
        messages = [
            [{"content": p, "role": "user"}, {"content": s, "role": "assistant"}]
            for p, s in zip(problems, solutions, strict=True)
        ]
        shard = numina / f"train-0000{written // shard_rows}-of-0000{SHARDS}.parquet"
        _write(writers, shard, row_schema, [sources, problems, solutions, messages])
        parsed = [float(draw.choice([-1, 1, 2, 3, 4, 5, 6, 7, 8, 9])) for _ in range(size)]
        said = [f"This needs some thought. [[{label:.0f}]]" for label in parsed]
        part = marks / f"train-0000{int(written * 2 >= rows)}-of-00002.parquet"
        _write(writers, part, label_schema, [sources, problems, solutions, [""] * size, said, parsed])
        written += size
    for writer in writers.values():
        writer.close()
    (folder / "done").touch()


def _text(draw: random.Random, words: list[str], mean: int) -> str:
    start = draw.randrange(len(words) - 4 * mean)
    return f"{draw.randrange(10**9)} " + " ".join(
        words[start : start + draw.randint(mean // 3, mean * 5 // 3)]
    )


def _write(writers: dict, file: Path, schema: object, columns: list[list]) -> None:
    import pyarrow
    import pyarrow.parquet

    if file not in writers:
        writers[file] = pyarrow.parquet.ParquetWriter(file, schema)
    writers[file].write_table(pyarrow.table(columns, schema=schema), row_group_size=GROUP_ROWS)


if __name__ == "__main__":
    main()
