"""Does a row of every benchmark become a graded sample, through the script and from the data set's files?"""

import csv
import json

import pyarrow
import pyarrow.parquet
import pytest
from helpers import ROOT, json_lines, paper_engine

import inference_and_check
from tasks import FILES, load_task
from util.data.difficulty import SHARDS

ROWS = json.loads((ROOT / "tests" / "rows.json").read_text(encoding="utf-8"))


def write_rows(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def write_mirror(folder, source, row):
    """Files of the default split as --data-dir reads them: the row in the first one, copies in the others."""
    for name in source.files[source.split]:
        write_rows(folder / source.path / name, [row])


FROM_THE_HUB = [name for name in FILES if name != "Warmup"]  # which comes along: see test_inference.py


@pytest.mark.parametrize("name", FROM_THE_HUB)
def test_a_row_becomes_a_right_and_a_wrong_sample(name, tmp_path, capsys):
    task, example = load_task(name), ROWS[name]
    problem = task.problem(example["row"])
    right = task.gold(example["row"]) or example["right"]
    engine = paper_engine(
        tmp_path,
        {"contains": problem.question.strip(), "index": 0, "text": right},
        {"contains": problem.question.strip(), "text": example["wrong"]},
    )
    flags = ["--dataset", name, "--model", "a/paper", "--n", "2", "--temperatures", "0.7", "--limit", "1"]
    flags += ["--result-dir", str(tmp_path / "results"), "--require-isolation", "weak", *engine]
    flags += ["--data-dir", str(tmp_path / "mirror")]
    write_mirror(tmp_path / "mirror", task.source, example["row"])

    assert inference_and_check.run(inference_and_check.parse(flags)) == 0

    numbers = json.loads(capsys.readouterr().out.strip().rsplit("\n", 1)[-1])["temperatures"]["0.7"]
    assert (numbers["correct"], numbers["judged"], numbers["problems"]) == (1, 2, 1)
    (folder,) = (tmp_path / "results").iterdir()
    (line,) = json_lines(folder / "problems.jsonl")
    samples, verdicts = json_lines(folder / "samples.jsonl"), json_lines(folder / "verdicts.jsonl")
    assert line["id"] == problem.id and line["question"] == problem.question
    assert line["prompt"] == task.prompt(problem, "a/paper")
    assert {(sample["problem_id"], sample["index"]) for sample in samples} == {
        (problem.id, 0),
        (problem.id, 1),
    }
    assert {verdict["index"]: verdict["verdict"]["correct"] for verdict in verdicts} == {0: True, 1: False}
    info = json.loads((folder / "run.json").read_text())
    assert info["settings"]["task"] == name and info["dataset"]["revision"].startswith("local:")


def test_problems_chosen_by_difficulty_name_the_labels_that_chose_them(tmp_path, capsys):
    source, row = load_task("NUMINA").source, ROWS["NUMINA"]["row"]
    mirror = tmp_path / "mirror"
    write_mirror(mirror, source, row)
    shards = [mirror / source.labels / name for name in SHARDS]
    write_rows(shards[0], [{"problem": row["problem"], "gpt_difficulty_parsed": 6.0}])
    write_rows(shards[1], [{"problem": "another one", "gpt_difficulty_parsed": 2.0}])
    flags = ["--dataset", "NUMINA", "--model", "a/paper", "--limit", "1", "--filter-difficulty"]
    flags += ["--math_difficulty_lower_bound", "5", "--data-dir", str(mirror)]
    flags += ["--result-dir", str(tmp_path / "results"), *paper_engine(tmp_path, {"text": "42"})]

    assert inference_and_check.run(inference_and_check.parse(flags)) == 0

    (folder,) = (tmp_path / "results").iterdir()
    assert [line["about"]["difficulty"] for line in json_lines(folder / "problems.jsonl")] == [6.0]
    noted = json.loads((folder / "run.json").read_text())["dataset"]["labels"]
    assert noted["from"] == source.labels and noted["revision"].startswith("local:")
