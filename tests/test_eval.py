"""Do several benchmarks share one engine, survive a kill, and leave results one can rely on?"""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import HANG_S, json_lines, wait_until, wide_lines

import eval as evaluation
import inference_and_check
import report
from util.data import hub as hub_of_data
from util.data.system_prompts import system_prompt
from util.data.wordings import Wording, ask_with, own_wording
from util.engines import scripted
from util.errors import RunStopped, UserError
from util.prompts import load
from util.records import Problem, TestSuite
from util.runs.folder import Run
from util.runs.reader import read_records, text_digest
from util.settings import BY_NAME
from util.terminal import Progress, say

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("AIME", "MATH500", "GSM8K")
ALL = ",".join(NAMES)


def small_hub(folder):
    """A small local mirror of three benchmarks, six problems each."""
    import pyarrow
    import pyarrow.parquet

    aime = [
        {
            "id": number,
            "problem": f"AIME {number}?",
            "solution": "",
            "answer": str(number),
            "url": f"x/2024_AIME_I_{number}",
        }
        for number in range(6)
    ]
    gsm8k = [{"question": f"GSM {number}?", "answer": f"so\n#### {number}"} for number in range(6)]
    for rows, path in (
        (aime, "AI-MO/aimo-validation-aime/data/train-00000-of-00001.parquet"),
        (gsm8k, "openai/gsm8k/main/test-00000-of-00001.parquet"),
    ):
        file = folder / "hub" / path
        file.parent.mkdir(parents=True)
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    file = folder / "hub/HuggingFaceH4/MATH-500/test.jsonl"
    file.parent.mkdir(parents=True)
    lines = [
        {
            "unique_id": f"m{number}",
            "problem": f"MATH {number}?",
            "answer": str(number),
            "subject": "Algebra",
            "level": 1 + number % 2,
        }
        for number in range(6)
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder / "hub"


@pytest.fixture
def hub(tmp_path):
    return small_hub(tmp_path)


def script_of(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def flags(tmp_path, hub, script, *more, evals=ALL):
    """The command line of an evaluation in tmp_path."""
    return [
        "--model", "org/fake", "--evals", evals, "--data-dir", str(hub),
        "--result-dir", str(tmp_path / "runs"), "--output_file", str(tmp_path / "results.txt"),
        "--temperatures", "0.7", "--n", "2", "--limit", "5",
        "--engine", "scripted", "--engine-args", json.dumps({"script": str(script)}), *more,
    ]  # fmt: skip


def results(tmp_path):
    details = json.loads((tmp_path / "results.details.json").read_text())
    return json.loads((tmp_path / "results.txt").read_text()), details


def test_all_benchmarks_are_answered_by_one_engine(tmp_path, hub, capsys, monkeypatch):
    opened = []
    start = scripted.ScriptedEngine.__init__
    monkeypatch.setattr(
        scripted.ScriptedEngine, "__init__", lambda *given: (opened.append(1), start(*given))[1]
    )
    script = script_of(tmp_path / "script", [{"text": r"\boxed{1}"}])
    assert evaluation.run(evaluation.parse(flags(tmp_path, hub, script))) == 0
    short, details = results(tmp_path)
    assert short == dict.fromkeys(NAMES, 0.2)
    assert json.loads(capsys.readouterr().out.strip().split("\n")[-1]) == short
    assert len(opened) == 1
    numbers = details["benchmarks"]["MATH500"]["temperatures"]["0.7"]
    assert (numbers["judged"], numbers["n"], list(numbers["groups"]["level"])) == (10, 2, ["1", "2"])
    log = (tmp_path / "runs/fake_eval.log").read_text()
    assert "GSM8K avg@2 20.0 [" in log and "| 10 of 10" in log


def test_details_and_log_have_both_ends_of_a_score_and_the_short_result_has_the_lower_one(tmp_path, hub):
    script = script_of(
        tmp_path / "script", [{"text": r"\boxed{1 \text{ if } n \text{ is odd and } 5 otherwise}"}]
    )
    assert evaluation.run(evaluation.parse(flags(tmp_path, hub, script))) == 0
    short, details = results(tmp_path)
    assert short == dict.fromkeys(NAMES, 0.0)
    numbers = details["benchmarks"]["MATH500"]["temperatures"]["0.7"]
    assert (numbers["undecided"], numbers["share_of_samples_up_to"], numbers["avg"]["up_to"]) == (
        10,
        1.0,
        1.0,
    )
    log = (tmp_path / "runs/fake_eval.log").read_text()
    assert "MATH500 avg@2 0.0 (up to 100.0: 10 undecided) [" in log


def test_what_is_said_while_a_bar_is_shown_stands_on_a_line_of_its_own(capsys):
    with Progress(10, "generating") as progress:
        progress.step(0)
        say("AIME avg@2 20.0")
    assert "AIME avg@2 20.0" in capsys.readouterr().err.replace("\r", "\n").split("\n")


def test_a_bar_that_is_told_how_many_are_done_ends_at_the_last_number(capsys):
    with Progress(10, "generating") as progress:
        progress.reach(3, 5)
        progress.reach(7, 5)
    assert "7/10" in capsys.readouterr().err.replace("\r", "\n").rstrip().split("\n")[-1]


def test_a_failing_benchmark_is_named_and_the_others_go_on(tmp_path, hub, capsys):
    (hub / "HuggingFaceH4/MATH-500/test.jsonl").unlink()
    script = script_of(tmp_path / "script", [{"text": r"\boxed{1}"}])
    assert evaluation.run(evaluation.parse(flags(tmp_path, hub, script))) == 1
    short, details = results(tmp_path)
    assert short == {"AIME": 0.2, "MATH500": None, "GSM8K": 0.2}
    assert list(details["failed"]) == ["MATH500"]
    assert "MATH500 FAILED" in capsys.readouterr().err


def test_a_benchmark_whose_result_finds_the_disk_full_is_named_and_the_next_command_ends_it(
    tmp_path, hub, monkeypatch
):
    save, script = Run.save_info, script_of(tmp_path / "script", [{"text": r"\boxed{1}"}])

    def full(run):
        if "MATH500" in run.folder.name and "summary" in run.info:
            raise RunStopped("the disk is full")
        save(run)

    with monkeypatch.context() as patched:
        patched.setattr(Run, "save_info", full)
        assert evaluation.run(evaluation.parse(flags(tmp_path, hub, script))) == 1
    short, details = results(tmp_path)
    assert short["MATH500"] is None and details["failed"] == {"MATH500": "the disk is full"}
    assert evaluation.run(evaluation.parse(flags(tmp_path, hub, script))) == 0
    assert results(tmp_path)[0] == dict.fromkeys(NAMES, 0.2)


def test_failed_requests_are_told_and_asked_again(tmp_path, hub):
    lines = [{"contains": "MATH 3?", "index": 1, "fail": "overloaded"}, {"text": r"\boxed{1}"}]
    script = script_of(tmp_path / "script", lines)
    assert evaluation.run(evaluation.parse(flags(tmp_path, hub, script))) == 1
    assert "overloaded" in results(tmp_path)[1]["failed"]["MATH500"]
    script_of(script, lines[1:])
    assert evaluation.run(evaluation.parse(flags(tmp_path, hub, script))) == 0
    assert results(tmp_path)[0] == dict.fromkeys(NAMES, 0.2)


def test_a_dead_engine_leaves_what_was_finished(tmp_path, hub):
    lines = [{"contains": "MATH 3?", "stop": "the engine died"}, {"text": r"\boxed{1}"}]
    script = script_of(tmp_path / "script", lines)
    assert evaluation.run(evaluation.parse(flags(tmp_path, hub, script))) == 1
    short, details = results(tmp_path)
    assert short["AIME"] == 0.2
    assert "the engine died" in details["failed"]["MATH500"]
    assert "the engine died" in details["failed"]["GSM8K"]
    assert details["benchmarks"]["MATH500"]["temperatures"]["0.7"]["judged"] == 6


def test_a_killed_evaluation_goes_on_with_equal_results(tmp_path, hub):
    lines = [{"contains": f"{number}?", "text": rf"\boxed{{{number % 2}}}"} for number in range(6)]
    hangs = {
        **lines[4],
        "contains": "MATH 4?",
        "delay_s": HANG_S,
    }  # so that it is not done before it is killed
    script = script_of(tmp_path / "script", [hangs, *lines])
    command = [sys.executable, "eval.py", *flags(tmp_path, hub, script)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    samples = tmp_path / "runs/fake_MATH500_test_all_0_-1/samples.jsonl"
    wait_until(lambda: samples.exists() and samples.read_bytes().count(b"\n") >= 3, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    script = script_of(tmp_path / "script", lines)
    kept = samples.read_bytes().rpartition(b"\n")[0]
    assert evaluation.run(evaluation.parse(flags(tmp_path, hub, script))) == 0
    assert samples.read_bytes().startswith(kept)
    keys = [record.sample.key for record in read_records(samples.parent)]
    assert len(keys) == len(set(keys)) == 10
    interrupted = results(tmp_path)[0]
    (tmp_path / "whole").mkdir()
    assert evaluation.run(evaluation.parse(flags(tmp_path / "whole", hub, script))) == 0
    assert results(tmp_path / "whole")[0] == interrupted


def test_several_temperatures_give_a_number_each(tmp_path, hub):
    script = script_of(tmp_path / "script", [{"text": r"\boxed{1}"}])
    more = ("--temperatures", "0.5", "0.9")
    assert evaluation.run(evaluation.parse(flags(tmp_path, hub, script, *more, evals="aime"))) == 0
    assert results(tmp_path)[0] == {"AIME": {"0.5": 0.2, "0.9": 0.2}}


def test_part_of_a_benchmark_is_no_result(tmp_path, hub, capsys):
    lines = [{"contains": "AIME 0?", "text": r"\boxed{0}"}, {"stop": "the engine died"}]
    script = script_of(tmp_path / "script", lines)
    assert evaluation.run(evaluation.parse(flags(tmp_path, hub, script, "--n", "1"))) == 1
    short, details = results(tmp_path)
    assert short == dict.fromkeys(NAMES)
    found = details["benchmarks"]["AIME"]["temperatures"]["0.7"]
    assert (found["avg"]["value"], found["complete"], found["missing"]) == (1.0, False, 4)
    said = capsys.readouterr().err
    assert "AIME INCOMPLETE: 1 of 5 asked, 4 of 5 problems without a sample" in said
    assert "AIME                      100.0  [0.0, 100.0]            1 of 5  INCOMPLETE" in said
    script_of(script, lines[1:])
    assert evaluation.run(evaluation.parse(flags(tmp_path, hub, script, "--temperatures", "0.5", "0.9"))) == 1
    assert json.loads(capsys.readouterr().out.strip().split("\n")[-1])["AIME"] == {"0.5": None, "0.9": None}


def test_a_problem_that_cannot_be_judged_leaves_no_result_and_this_is_said(tmp_path, hub, capsys):
    script = script_of(tmp_path / "script", [{"text": r"\boxed{1}"}])
    assert evaluation.run(evaluation.parse(flags(tmp_path, hub, script, evals="AIME"))) == 0
    path = tmp_path / "runs/fake_AIME_train_all_0_-1/verdicts.jsonl"
    lines = json_lines(path)
    for line in lines:
        if line["problem_id"] == "3":
            line["verdict"]["reason"] = "no_tests"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert evaluation.run(evaluation.parse(flags(tmp_path, hub, script, evals="AIME"))) == 1
    said = capsys.readouterr().err
    assert results(tmp_path)[0] == {"AIME": None}
    assert " over 4 of 5 problems" in said and "not every problem has a sample that could be judged" in said


def test_a_result_is_about_what_was_asked_whatever_else_the_folder_holds(tmp_path, hub, capsys):
    script = script_of(tmp_path / "script", [{"contains": "0?", "text": r"\boxed{0}"}, {"text": "none"}])
    for more, expected in (
        (["--temperatures", "0", "0.7", "--limit", "4"], {"0": 0.25, "0.7": 0.25}),
        (["--limit", "4"], 0.25),
        (["--limit", "2"], 0.5),
        (["--limit", "2", "--temperatures", "0.7", "0", "--n", "1"], {"0": 0.5, "0.7": 0.5}),
    ):
        capsys.readouterr()
        assert evaluation.run(evaluation.parse(flags(tmp_path, hub, script, *more, evals="AIME"))) == 0
        short, details = results(tmp_path)
        assert short == {"AIME": expected}
    assert "AIME: 8 further samples of the folder are not counted here" in capsys.readouterr().err
    info = json.loads((tmp_path / "runs/fake_AIME_train_all_0_-1/run.json").read_text())
    assert (info["summary"]["0.7"]["samples"], info["summary"]["0.7"]["complete"]) == (8, True)


def test_a_refused_command_leaves_the_earlier_result_and_advises_what_works(tmp_path, hub):
    script = script_of(tmp_path / "script", [{"text": r"\boxed{1}"}])
    assert evaluation.run(evaluation.parse(flags(tmp_path, hub, script))) == 0
    before = results(tmp_path), sorted(path.name for path in (tmp_path / "runs").iterdir())
    for more, message in (
        (["--max-tokens", "100"], "max_tokens = 32768.*--overwrite-settings"),
        (["--prompt", "plain"], "GSM8K has no prompt 'plain'|prompt = 'default'"),
        (["--prompt", "mine.txt"], "AIME has no prompt 'mine.txt': choose from default, plain"),
    ):
        with pytest.raises(UserError, match=message):
            evaluation.run(evaluation.parse(flags(tmp_path, hub, script, *more)))
        after = results(tmp_path), sorted(path.name for path in (tmp_path / "runs").iterdir())
        assert after == before
    (hub / "AI-MO/aimo-validation-aime/data/train-00000-of-00001.parquet").unlink()
    assert evaluation.run(evaluation.parse(flags(tmp_path, hub, script, evals="AIME"))) == 1
    assert results(tmp_path) == before[0]  # the command came to nothing
    fresh = ("--max-tokens", "100", "--overwrite-settings")
    assert evaluation.run(evaluation.parse(flags(tmp_path, hub, script, *fresh, evals="GSM8K"))) == 0
    assert (tmp_path / "runs/fake_GSM8K_test_all_0_-1-2/run.json").exists()


def test_an_evaluation_ends_with_a_table_and_writes_its_page(tmp_path, hub, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    script = script_of(tmp_path / "script", [{"text": r"\boxed{1}"}])
    page = tmp_path / "page.html"
    assert evaluation.run(evaluation.parse(flags(tmp_path, hub, script, "--report", str(page)))) == 0
    said = capsys.readouterr().err
    assert wide_lines(said.replace("\r", "\n")) == []
    rows = said[said.index("benchmark  ") :].split("\n")
    assert [row.split()[0] for row in rows[1:4]] == list(NAMES)
    assert all(row.endswith("10 of 10") and len(row) <= 80 for row in rows[1:4])
    assert all(name in page.read_text(encoding="utf-8") for name in NAMES)
    lying = [*(tmp_path / "runs").iterdir(), tmp_path / "results.txt", tmp_path / "results.details.json"]
    for named in ([tmp_path / "runs"], [path for path in lying if path.exists()]):  # all that eval.py left
        assert report.run(report.parse([*map(str, named), "-o", str(page)])) == 0
        said, err = capsys.readouterr()
        assert len(json.loads(said.strip().split("\n")[-1])["runs"]) == 3
        assert err.count("skipped") == sum(path.is_file() for path in named)


@pytest.mark.parametrize(
    "change, message",
    [
        (["--report", "/no/such/folder/page.html"], "--report /no/such/folder/page.html lies in"),
        (["--prompt", "plain", "--evals", "AIME,GSM8K"], "GSM8K has no prompt 'plain'"),
        (["--evals", "AIME,MATH50"], "did you mean MATH500"),
        (["--evals", " , "], "names no benchmark"),
        (["--output_file", "/no/such/folder/results.txt"], "not a folder"),
    ],
)
def test_bad_input_is_told_before_anything_starts(tmp_path, hub, change, message):
    script = script_of(tmp_path / "script", [{"text": "x"}])
    with pytest.raises(UserError, match=message):
        evaluation.run(evaluation.parse(flags(tmp_path, hub, script, *change)))
    assert not (tmp_path / "runs").exists()


def test_regrading_adds_verdicts_and_the_explanation_reads_them(tmp_path, hub, capsys):
    script = script_of(tmp_path / "script", [{"text": r"\boxed{1}"}])
    common = ["--dataset", "MATH500", *flags(tmp_path, hub, script)]
    for name in ("--evals", "--output_file"):
        place = common.index(name)
        del common[place : place + 2]
    assert inference_and_check.run(inference_and_check.parse(common)) == 0
    assert inference_and_check.run(inference_and_check.parse([*common, "--check", "--regrade"])) == 0
    folder = tmp_path / "runs/fake_MATH500_test_all_0_-1"
    assert (folder / "verdicts.jsonl").read_bytes().count(b"\n") == 20
    capsys.readouterr()
    assert report.run(report.parse(["explain", str(folder)])) == 0
    assert json.loads(capsys.readouterr().out.strip().split("\n")[-1])["graded_again"] == 10
    with pytest.raises(UserError, match="--check"):
        inference_and_check.run(inference_and_check.parse([*common, "--regrade"]))


def test_the_command_of_a_manifest_makes_the_same_run_again(tmp_path, hub, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [{"index": 0, "text": r"\boxed{1}"}, {"text": "it's\nQ: 2"}]
    script = script_of(tmp_path / "script", lines)
    message = tmp_path / 'a "system" message.txt'
    message.write_text("Say $HOME & think.\n")
    given = flags(tmp_path, hub, script, "--system-prompt", message.name, evals="MATH500")
    given += ["--temperatures", "0.123456789", "0.7", "--stop", "\nQ:", "it's", "--require-isolation", "weak"]
    assert evaluation.run(evaluation.parse(given)) == 0
    folder = tmp_path / "runs/fake_MATH500_test_all_0_-1"
    capsys.readouterr()
    assert report.run(report.parse(["manifest", str(folder)])) == 0
    said = capsys.readouterr()
    assert said.err == "" and "--require-isolation weak" in said.out
    command = said.out.replace("python ", f"{sys.executable} {ROOT}/", 1)
    subprocess.run(command, shell=True, check=True, capture_output=True, cwd=tmp_path)
    again = tmp_path / "results-again" / folder.name
    for name in ("problems.jsonl", "samples.jsonl"):
        assert sorted((again / name).read_text().split("\n")) == sorted(
            (folder / name).read_text().split("\n")
        )
    settings = [json.loads((run / "run.json").read_text())["settings"] for run in (folder, again)]
    assert settings[0] == settings[1]
    message.write_text("Say something else.")
    report.run(report.parse(["manifest", str(folder)]))
    assert "is not what the run was made with" in capsys.readouterr().err


def test_a_named_prompt_is_a_setting_of_its_own(tmp_path, hub):
    script = script_of(tmp_path / "script", [{"text": r"\boxed{1}"}])
    evaluation.run(evaluation.parse(flags(tmp_path, hub, script, "--prompt", "plain", evals="MATH500")))
    info = json.loads((tmp_path / "runs/fake_MATH500_test_all_0_-1/run.json").read_text())
    assert info["prompt"]["name"] == info["settings"]["prompt"] == "plain"
    assert info["prompt"]["text"].startswith("{question}\n\n")
    with pytest.raises(UserError, match="prompt = 'plain'"):
        evaluation.run(evaluation.parse(flags(tmp_path, hub, script, evals="MATH500")))


def test_a_run_says_what_made_it(tmp_path, hub):
    script = script_of(tmp_path / "script", [{"text": r"\boxed{1}"}])
    evaluation.run(evaluation.parse(flags(tmp_path, hub, script, evals="AIME")))
    info = json.loads((tmp_path / "runs/fake_AIME_train_all_0_-1/run.json").read_text())
    assert info["made_with"]["engine"] == "scripted"
    assert info["made_with"]["hardware"]["cpu"]
    assert "pyarrow" in info["made_with"]["libraries"]
    assert (info["asked"]["n"], info["asked"]["limit"], info["settings"]["seed"]) == (2, 5, 0)


def test_a_system_message_of_the_hub_is_remembered_with_its_commit(monkeypatch):
    class Rows(list):
        revision = "c" * 40

    monkeypatch.setattr("util.data.system_prompts.open_rows", lambda *_, **__: Rows([{"system": "Think."}]))
    found = system_prompt("hf://datasets/org/name@main/rows.jsonl#system", "any")
    assert found == ("Think.", f"hf://datasets/org/name@{'c' * 40}/rows.jsonl#system")


def test_a_system_message_can_be_a_field_of_a_data_set(tmp_path):
    folder = tmp_path / "org/name"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("rows")
    (folder / "rows.json").write_text(json.dumps([{"system": "Think – long.", "n": 1}, {"system": "no"}]))
    found = system_prompt("hf://datasets/org/name#system", "any", data_dir=tmp_path)
    assert found == ("Think – long.", "hf://datasets/org/name#system")
    with pytest.raises(UserError, match="the fields system, n"):
        system_prompt("hf://datasets/org/name/rows.json#prompt", "any", data_dir=tmp_path)
    with pytest.raises(UserError, match="write hf://datasets/ORG/NAME#FIELD"):
        system_prompt("hf://datasets/name", "any", data_dir=tmp_path)


# --- published and own wordings ---


def test_a_text_file_with_a_place_for_the_question_is_a_prompt(tmp_path, hub, capsys):
    script = script_of(tmp_path / "script", [{"text": r"\boxed{1}"}])
    mine, same = tmp_path / "mine.txt", tmp_path / "same.txt"
    for path in (mine, same):
        path.write_text("Solve {this}: {question}\nBe brief.\n")

    def asked(path, *more):
        given = flags(tmp_path, hub, script, "--prompt", str(path), *more, evals="MATH500")
        return evaluation.run(evaluation.parse(given))

    assert asked(mine) == asked(same) == 0
    folder = tmp_path / "runs/fake_MATH500_test_all_0_-1"
    info = json.loads((folder / "run.json").read_text())
    assert (info["prompt"]["name"], info["prompt"]["text"]) == (
        str(mine),
        "Solve {this}: {question}\nBe brief.",
    )
    assert info["settings"]["prompt"] == f"text:{info['prompt']['hash']}"
    first = json.loads((folder / "problems.jsonl").read_text().split("\n")[0])
    assert first["prompt"] == "Solve {this}: MATH 0?\nBe brief."
    report.run(report.parse(["manifest", str(folder)]))
    said = capsys.readouterr()
    assert f"--prompt {mine}" in said.out and "is not what the run was made with" not in said.err
    mine.write_text("In other words: {question}")
    with pytest.raises(UserError, match="was made with prompt = "):
        asked(mine)
    report.run(report.parse(["manifest", str(folder)]))
    assert f"--prompt {mine} is not what the run was made with" in capsys.readouterr().err
    assert asked(same) == 0


def test_a_prompt_without_a_place_for_the_question_is_refused_before_anything(tmp_path, hub):
    script = script_of(tmp_path / "script", [{"text": "x"}])
    path = tmp_path / "mine.txt"
    path.write_text("Solve it.")
    with pytest.raises(UserError, match="mine.txt has no {question}"):
        evaluation.run(evaluation.parse(flags(tmp_path, hub, script, "--prompt", str(path))))
    path.write_bytes(b"\xff{question}")
    with pytest.raises(UserError, match="cannot be read as a text file"):
        evaluation.run(evaluation.parse(flags(tmp_path, hub, script, "--prompt", str(path))))
    assert not (tmp_path / "runs").exists()


def test_a_prompt_can_be_a_field_of_a_data_set(tmp_path):
    (tmp_path / "org/name").mkdir(parents=True)
    (tmp_path / "org/name/words.jsonl").write_text(json.dumps({"template": "Q: {question}\nA:"}) + "\n")
    address = "hf://datasets/org/name#template"
    assert own_wording(address, data_dir=tmp_path) == Wording("Q: {question}\nA:", address)
    assert own_wording("plain") is None


def test_own_words_lose_neither_options_nor_code():
    choice = Problem("p", "Which?", "A", ("one", "two"))
    assert ask_with("Q: {question}")(choice, "m") == "Q: Which?\n\nA. one\nB. two"
    assert ask_with("{question} ({A}; {B})")(choice, "m") == "Which? (one; two)"
    for text in ("{question} {A}", "{question} {A} {B} {C}"):
        with pytest.raises(UserError, match="places the options .*, and problem p has A, B"):
            ask_with(text)(choice, "m")
    starter = Problem("c", "Add.", TestSuite("apps", function="add", starter_code="def add(a, b):"))
    assert "def add(a, b):" in ask_with("{question}")(starter, "m")
    assert ask_with("{question}|{starter_code}")(starter, "m") == "Add.|def add(a, b):"
    named = Problem("c", "Add.", TestSuite("apps", function="add"))
    assert "`add`" in ask_with("{question}")(named, "m")
    assert ask_with("{question}")(Problem("p", "{A} or {B}?", "1"), "m") == "{A} or {B}?"


# --- what a model was trained with ---


def sky_mirror(hub, text):
    folder = hub / "NovaSky-AI/Sky-T1_data_17k"
    folder.mkdir(parents=True)
    (folder / "Sky-T1_data_17k.json").write_text(json.dumps([{"system": text, "conversations": []}]))


def test_a_model_of_sky_t1_gets_the_published_system_message_or_a_warning(tmp_path, hub, capsys):
    script = script_of(tmp_path / "script", [{"text": r"\boxed{1}"}])
    path = tmp_path / "runs/Sky-T1-32B-Preview_AIME_train_all_0_-1/run.json"

    def sent(*more):
        given = flags(tmp_path, hub, script, *more, evals="AIME")
        given[given.index("--model") + 1] = "NovaSky-AI/Sky-T1-32B-Preview"
        assert evaluation.run(evaluation.parse(given)) == 0
        return json.loads(path.read_text())

    instead = sent()
    assert instead["settings"]["system_prompt"] == load("system_thought")
    assert "WARNING: the system message that Sky-T1-32B-Preview was trained with" in capsys.readouterr().err
    sky_mirror(hub, "As it was published.")
    kept = sent("--n", "3")  # a folder keeps what it was begun with
    assert kept["settings"]["system_prompt"] == instead["settings"]["system_prompt"]
    assert kept["asked"]["system_prompt_from"] == "system_thought"
    assert capsys.readouterr().err.count("WARNING: the system message") == 0
    with pytest.raises(UserError, match="was made with system_prompt"):
        sent("--system-prompt", "hf://datasets/NovaSky-AI/Sky-T1_data_17k#system")
    published = sent("--result-dir", str(tmp_path / "new"))
    path = tmp_path / "new" / path.parent.name / "run.json"
    published = json.loads(path.read_text())
    assert published["settings"]["system_prompt"] == "As it was published."
    assert published["asked"]["system_prompt_from"] == "hf://datasets/NovaSky-AI/Sky-T1_data_17k#system"
    (hub / "NovaSky-AI/Sky-T1_data_17k/Sky-T1_data_17k.json").unlink()
    again = sent("--n", "3", "--result-dir", str(tmp_path / "new"))
    assert again["settings"]["system_prompt"] == "As it was published."


def test_the_hash_of_the_earlier_system_message_is_that_of_its_text():
    assert BY_NAME["system_prompt_hash"].earlier == (text_digest(load("system_thought")),)


def test_a_hub_that_cannot_be_reached_is_not_waited_for(monkeypatch, capsys):
    monkeypatch.setattr("util.data.hub.remembered", lambda path, ref: None)
    monkeypatch.setattr("util.data.hub.answers", lambda: False)
    assert system_prompt(None, "NovaSky-AI/Sky-T1-mini") == (load("system_thought"), "system_thought")
    assert "does not answer" in capsys.readouterr().err


def test_whether_the_hub_answers_is_asked_for_a_moment(monkeypatch):
    def told(head, within_s=HANG_S):
        monkeypatch.setattr("huggingface_hub.get_session", lambda: SimpleNamespace(head=head))
        return hub_of_data.answers(within_s=within_s)

    silence = threading.Event()

    def refused(url):
        raise ConnectionError

    assert told(lambda url: SimpleNamespace(status_code=200))
    assert not told(refused)
    assert not told(lambda url: silence.wait(HANG_S), within_s=0.2)
    silence.set()


def test_models_without_a_message_of_their_own_get_none():
    assert system_prompt(None, "org/other") == (None, None)
