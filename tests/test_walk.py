"""Does a row of every benchmark become a graded sample, through the script and from the data set's files?"""

import csv
import json
import re

import pyarrow
import pyarrow.parquet
import pytest
from helpers import ROOT, json_lines, paper_engine

import inference_and_check
from tasks import FILES, load_task
from util.data.difficulty import SHARDS
from util.errors import UserError
from util.machines.versions import made_with
from util.records import Verdict
from util.runs.lines import FIELDS
from util.runs.repeat import cautions
from util.settings import SETTINGS

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


# What docs/formats.md names, and fields whose content has names of its own.
NAMED = set(re.findall(r"`([^`\n]+)`", (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")))
WITH_OWN_NAMES = (
    "libraries engine_args model_args logit_bias chat_template_kwargs pass_at maj_at not_judged graders "
    "groups macro at apart missing packages"
).split()


def unnamed(part):
    """Fields of a run.json that docs/formats.md does not name."""
    for name, value in part.items():
        if name not in NAMED:
            yield name
        values = value.values() if name == "summary" else [value]
        for inner in values if name not in WITH_OWN_NAMES else ():
            if isinstance(inner, dict):
                yield from unnamed(inner)


def test_every_setting_and_every_field_of_a_journal_is_described():
    assert {setting.name for setting in SETTINGS} <= NAMED
    assert {"isolation", "nodes", "left_out", "stopped_early", "opinions", *WITH_OWN_NAMES[1:]} <= NAMED
    step_files = ("split.jsonl", "scores.jsonl")  # of pairs, beside the runs
    assert {name for file in FIELDS if file not in step_files for name in FIELDS[file]} <= NAMED
    assert set(Verdict.__dataclass_fields__) <= NAMED
    assert set(unnamed({"settings": {"a new one": 1}, "summary": {"0.7": {"another": 2}}})) == {
        "a new one",
        "another",
    }


def test_an_older_folder_of_livecodebench_keeps_its_release(tmp_path, capsys):
    task, example = load_task("LiveCodeBench"), ROWS["LiveCodeBench"]
    write_mirror(tmp_path / "mirror", task.source, example["row"])
    for file in task.source.files["test"][1:]:  # each release adds its own problems
        (tmp_path / "mirror" / task.source.path / file).write_text("")
    flags = ["--dataset", "LiveCodeBench", "--model", "a/paper", "--result-dir", str(tmp_path / "results")]
    flags += ["--data-dir", str(tmp_path / "mirror"), "--inference", *paper_engine(tmp_path, {"text": "x"})]
    assert inference_and_check.run(inference_and_check.parse([*flags, "--release", "v2"])) == 0
    assert inference_and_check.run(inference_and_check.parse([*flags, "--n", "2"])) == 0
    assert "release v2" in capsys.readouterr().err
    (folder,) = (tmp_path / "results").iterdir()
    assert json.loads((folder / "run.json").read_text())["settings"]["release"] == "v2"


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
    assert not [*unnamed(info)]


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
    info = json.loads((folder / "run.json").read_text())
    noted = info["dataset"]["labels"]
    assert not [*unnamed(info)]
    assert noted["from"] == source.labels and noted["revision"].startswith("local:")


def test_a_run_is_continued_with_its_own_labels_and_one_that_names_none_is_never_refused(tmp_path, capsys):
    source, row = load_task("NUMINA").source, ROWS["NUMINA"]["row"]
    mirror = tmp_path / "mirror"
    write_mirror(mirror, source, row)

    def label(value):
        for name in SHARDS:
            write_rows(
                mirror / source.labels / name, [{"problem": row["problem"], "gpt_difficulty_parsed": value}]
            )

    def run(*bounds):
        flags = ["--dataset", "NUMINA", "--model", "a/paper", "--limit", "1", "--filter-difficulty", *bounds]
        flags += ["--data-dir", str(mirror), "--inference", "--result-dir", str(tmp_path / "results")]
        engine = paper_engine(tmp_path, {"text": "42"})
        return inference_and_check.run(inference_and_check.parse([*flags, *engine]))

    low = "--math_difficulty_lower_bound"
    label(6.0)
    assert run(low, "5") == run(low, "4", "--math_difficulty_upper_bound", "9") == 0
    name = "paper_NUMINA_train_all_0_-1_difficulty"
    folders = {path.name for path in (tmp_path / "results").iterdir()}
    assert folders == {
        f"{name}_from_5",
        f"{name}_from_4_to_9",
    }  # commands with other bounds live side by side
    folder = tmp_path / "results" / f"{name}_from_5"
    info = json.loads((folder / "run.json").read_text())
    noted = info["dataset"]["labels"]
    assert any(noted["revision"] in caution for caution in cautions(folder, made_with()))
    label(7.0)
    with pytest.raises(UserError, match=rf"{noted['revision']}, now local:"):
        run(low, "5")
    (folder / "run.json").write_text(
        json.dumps({**info, "dataset": {**info["dataset"], "labels": {"from": "x"}}})
    )
    with pytest.raises(UserError, match=f"labels of x, this version takes those of {source.labels}"):
        run(low, "5")
    info["dataset"].pop("labels")  # by a version that did not note them
    (folder / "run.json").write_text(json.dumps(info))
    capsys.readouterr()
    assert run(low, "5") == 0 and "does not record which difficulty labels" in capsys.readouterr().err
    assert "labels" not in json.loads((folder / "run.json").read_text())["dataset"]
    assert any("does not record difficulty labels" in caution for caution in cautions(folder, made_with()))
