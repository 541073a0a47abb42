"""Does one entry of the table reach everything, and do runs made by earlier versions go on?"""

import json
import shlex
import shutil
from dataclasses import replace

import pyarrow
import pyarrow.parquet
import pytest
from faulty_endpoint import FaultyEndpoint, Script
from helpers import ROOT, json_lines, last_line, own_process, paper_engine, script
from made_runs import make_run

import inference_and_check
import report
from tasks import load_task
from util import cli, settings
from util.data.generation_config import recommended_sampling
from util.engines import open_engine
from util.engines.options import EngineOptions
from util.engines.vllm_local import worker_options
from util.errors import UserError
from util.generation.judging import grade_ungraded
from util.records import Request
from util.results.headline import summarise, summary_line
from util.results.history import read_history
from util.runs.folder import read_run_json
from util.runs.reader import read_records
from util.runs.repeat import repeat_command
from util.settings import BY_NAME, NOT_RECORDED, OF_A_RUN, SAMPLING, SETTINGS, values_of

OLD = ROOT / "tests" / "old_run"  # made by the version before the table, stopped after 5 of 12 samples
NAME = "embedded_Warmup_test_all_0_-1"
COMMAND = (
    "--dataset Warmup --model embedded --temperatures 0.7 --n 2 --limit 6 --max-tokens 48 --top-p 0.9 "
    "--stop Question:"
).split()
PENALTIES = {
    "repetition_penalty": 1.1, "presence_penalty": -0.5, "frequency_penalty": 0.25, "min_tokens": 3,
    "stop_token_ids": [7, 9], "logit_bias": {"5": -1.5},
}  # fmt: skip


def flags_of(values):
    return [word for name, value in values.items() for word in BY_NAME[name].words(value)]


def test_verdicts_of_an_earlier_version_read_as_before():
    found = summarise(read_records(OLD / NAME))["0.7"]
    numbers = found.as_json()
    assert (numbers["samples"], numbers["correct"], numbers["undecided"]) == (5, 5, 0)
    assert numbers["share_of_samples"] == numbers["share_of_samples_up_to"] == numbers["avg"]["up_to"] == 1.0
    assert summary_line("Warmup", found).startswith("Warmup avg@1-2 100.0 [")
    assert read_history(OLD / NAME).as_json()["changed"] == 0


# --- one entry is enough ---


def test_a_parameter_of_sampling_is_named_in_the_table_alone():
    table = ROOT / "util" / "settings.py"
    text = table.read_text(encoding="utf-8")
    for setting in SAMPLING:
        # Words of prose; endpoints want top-p or refuse it; training files have a flag of the same name.
        if setting.name in ("stop", "top_p", "min_tokens"):
            continue
        assert f'"{setting.name}"' in text
        for path in (*ROOT.glob("*.py"), *ROOT.glob("util/**/*.py")):
            assert path == table or setting.name not in path.read_text(encoding="utf-8"), path


def test_a_flag_of_sampling_reaches_run_json_the_refusal_the_repetition_the_comparison_and_the_page(
    tmp_path, capsys
):
    engine = paper_engine(tmp_path, {"text": "The answer is 7."})
    flags = ["--dataset", "Warmup", "--model", "m", "--limit", "2", *engine]

    def run(folder, *more):
        return script("inference_and_check.py", *flags, "--result-dir", tmp_path / folder, *more)

    first, second = (run(folder, *more) for folder, more in (("a", ()), ("b", flags_of(PENALTIES))))
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    a, b = (tmp_path / name / "m_Warmup_test_all_0_-1" for name in "ab")
    for name, value in PENALTIES.items():
        stored = [json.loads((folder / "run.json").read_text())["settings"][name] for folder in (a, b)]
        assert stored == [BY_NAME[name].default, value]
    refused = run("b")
    assert refused.returncode == 2 and "frequency_penalty = 0.25, this command says 0.0" in refused.stderr
    report.run(report.parse(["manifest", str(b)]))
    args = inference_and_check.parse(shlex.split(capsys.readouterr().out)[2:])
    assert {name: getattr(args, name) for name in PENALTIES} == PENALTIES
    report.run(report.parse(["compare", str(a), str(b)]))
    said = capsys.readouterr().out
    assert all(f"the {BY_NAME[name].label} differs: " in said for name in PENALTIES)
    report.run(report.parse([str(a), str(b), "-o", str(tmp_path / "page.html")]))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "repetition-penalty 1.1, presence-penalty -0.5, frequency-penalty 0.25, min-tokens 3" in page
    assert "presence-penalty 0.0" not in page


def test_a_flag_of_sampling_reaches_endpoints_and_vllm():
    sampling = {setting.name: setting.default for setting in SAMPLING} | PENALTIES
    with FaultyEndpoint() as endpoint:
        engine = open_engine(
            EngineOptions("openai/test-model", sampling=sampling, api_base=(endpoint.url,), concurrency=1)
        )
        request = Request("p", [{"role": "user", "content": "q"}], 0.7, 0, 1, 10)
        list(engine.generate([request]))
        engine.close()
    sent = endpoint.requests[0]
    assert {name: sent.get(name) for name in PENALTIES} == PENALTIES
    assert "min_p" not in sent and "stop" not in sent
    assert worker_options(EngineOptions("a/b", sampling=sampling), False)["sampling"] == PENALTIES
    with pytest.raises(SystemExit):
        inference_and_check.parse(["--dataset", "Warmup", "--model", "m", "--logit-bias", '{"a": 1}'])


def test_an_answer_begins_as_the_command_says_and_the_beginning_is_a_setting(tmp_path, capsys):
    engine = paper_engine(tmp_path, {"text": "6 + 1.</think>The answer is 7.", "contains": "<think>\n"})
    flags = ["--dataset", "Warmup", "--model", "m", "--limit", "2", *engine, "--result-dir", tmp_path / "r"]
    assert script("inference_and_check.py", *flags, "--prefill", "<think>\\n").returncode == 0
    folder = next(tmp_path.glob("r/*/"))
    texts = {line["text"] for line in json_lines(folder / "samples.jsonl")}
    assert texts == {"<think>\n6 + 1.</think>The answer is 7."}
    refused = script("inference_and_check.py", *flags)
    assert refused.returncode == 2 and "prefill = '<think>\\n', this command says ''" in refused.stderr
    report.run(report.parse(["manifest", str(folder)]))
    args = inference_and_check.parse(shlex.split(capsys.readouterr().out)[2:])
    assert args.prefill == "<think>\n"


def model_folder(tmp_path, **said):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "generation_config.json").write_text(json.dumps(said))
    return str(folder)


CARD = {"do_sample": True, "temperature": 0.6, "top_p": 0.95, "top_k": 20, "eos_token_id": [1, 2], "bad": "x"}


def test_sampling_can_be_taken_from_the_models_card_and_flags_win(tmp_path):
    model = model_folder(tmp_path, **CARD)
    engine = paper_engine(tmp_path, {"text": "The answer is 7."})
    flags = ["--dataset", "Warmup", "--model", model, "--limit", "2", *engine, "--result-dir", tmp_path / "r"]
    done = script("inference_and_check.py", *flags, "--sampling", "model", "--top-k", "5")
    assert done.returncode == 0, done.stderr
    assert "generation_config.json: temperature 0.6, top_p 0.95" in done.stderr
    info = json.loads(next(tmp_path.glob("r/*/run.json")).read_text())
    kept = {name: info["settings"][name] for name in ("sampling", "top_p", "top_k", "min_p")}
    assert kept == {"sampling": "model", "top_p": 0.95, "top_k": 5, "min_p": 0.0}
    assert info["asked"]["temperatures"] == [0.6]
    refused = script("inference_and_check.py", *flags, "--temperatures", "0.6")
    assert refused.returncode == 2 and "sampling = 'model'" in refused.stderr
    again = script("inference_and_check.py", *flags, "--sampling", "model", "--top-k", "5", "--n", "2")
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize(
    "said, temperature",
    [
        ({"do_sample": False, "temperature": 0.7}, 0.0),
        ({}, 1.0),
        (CARD, 0.6),
        ({"temperature": None}, 1.0),
        ({"temperature": "hot", "top_k": True}, 1.0),
    ],
)
def test_a_card_that_does_not_sample_is_greedy(tmp_path, said, temperature):
    assert recommended_sampling(model_folder(tmp_path, **said))["temperature"] == temperature


@pytest.mark.parametrize(
    "content, model, what",
    [(None, "", "holds no generation_config.json"), ("[", "", "cannot be read"), ("3", "", "cannot be read"),
     ("[" * 100_000, "", "cannot be read"),
     ("", "gpt-4o", "is no ORG/NAME")],
)  # fmt: skip
def test_a_card_that_says_nothing_is_refused_in_a_sentence(tmp_path, content, model, what):
    if content is not None:
        (tmp_path / "generation_config.json").write_text(content)
    with pytest.raises(UserError, match=what):
        recommended_sampling(model or str(tmp_path))


def test_greed_against_the_models_card_is_said(tmp_path):
    args = inference_and_check.parse(["--dataset", "Warmup", "--model", model_folder(tmp_path, **CARD)])
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "say", said.append)
        cli.settle_sampling(args)
        args.given = args.given | {"temperatures"}  # whoever says 0 means 0
        cli.settle_sampling(args)
    assert len(said) == 1 and "temperature 0, and the model's generation_config.json says 0.6" in said[0]


@pytest.mark.parametrize("said", [{}, {"eos_token_id": 2}, {"temperature": None}, {"do_sample": False}])
def test_a_card_that_asks_for_no_sampling_warns_of_nothing(tmp_path, said):
    args = inference_and_check.parse(["--dataset", "Warmup", "--model", model_folder(tmp_path, **said)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "say", pytest.fail)
        cli.settle_sampling(args)


def test_the_words_of_every_setting_are_read_back_as_its_value():
    values = {
        "source": "math", "start": 3, "end": 9, "filter_difficulty": True, "difficulty_lower_bound": 2.5,
        "difficulty_upper_bound": 1e-05, "limit": 4, "release": "v3", "start_date": "2024-01-01",
        "temperatures": [0.0, 0.30000000000000004], "n": 8, "prompt": "plain", "max_tokens": 7, "seed": 1,
        "top_p": 0.9, "stop": ["it's", "\n\n"], "until_correct": 2, "band": [0.1, 0.9], "engine": "ray",
        "tp": 2, "api_base": ["http://a", "http://b"], "engine_args": {"a": [1, "ü"]}, "symbolic": False,
        "compare": "legacy", "all_tests": True, "time_limit": "row",
        "memory_limit": 100, "on_cluster": True, **PENALTIES,
    }  # fmt: skip
    args = inference_and_check.parse(["--dataset", "x", "--model", "m", *flags_of(values)])
    assert {name: getattr(args, name) for name in values} == values
    assert args.given == values.keys()


def test_how_many_samples_are_drawn_is_said_even_at_the_default():
    """A command that is repeated later is to mean the same although a default has changed."""
    assert flags_of({"temperatures": [0.0], "n": 1, "top_p": 1.0}) == ["--temperatures", "0", "--n", "1"]


def test_a_folder_keeps_its_limits_of_programs_and_an_older_one_those_of_its_time(tmp_path, capsys):
    row = json.loads((ROOT / "tests" / "rows.json").read_text())["TACO"]["row"]
    table = pyarrow.Table.from_pylist([{**row, "time_limit": "0.05 seconds"}])
    file = tmp_path / "BAAI" / "TACO" / "ALL" / "test-00000-of-00001.parquet"
    file.parent.mkdir(parents=True)
    pyarrow.parquet.write_table(table, file)
    slow = (
        "import time\nbegun = time.process_time()\nwhile time.process_time() - begun < 0.1: pass\n"
        "def larger(a, b):\n    return max(a, b)"
    )
    engine = paper_engine(tmp_path, {"text": f"```python\n{slow}\n```"})
    flags = ["--dataset", "TACO", "--model", "m", "--data-dir", tmp_path, *engine]

    def run(folder, *more, by=script):
        done = by("inference_and_check.py", *flags, "--result-dir", tmp_path / folder, *more)
        place = tmp_path / folder / "m_TACO_test_all_0_-1"
        info = json.loads((place / "run.json").read_text())
        verdict = json_lines(place / "verdicts.jsonl")[-1]["verdict"]
        found = [info["settings"].get(name) for name in ("time_limit", "memory_limit")]
        return done, place, found, verdict["reason"]

    _, of_row, *found = run("a")
    assert found == [["row", 2048], "timeout"]
    said, _, *found = run("b", "--time-limit", "3000", "--memory-limit", "512", by=own_process)
    assert found == [[3000.0, 512], ""] and "grading 1 program takes at most " in said.stderr
    _, _, *found = run("b", "--check", "--regrade")
    assert found == [[3000.0, 512], ""]
    refused, *_ = run("b", "--check", "--time-limit", "4")
    assert refused.returncode == 2 and "time_limit = 3000.0, this command says 4.0" in refused.stderr
    assert "--time-limit 3000 --memory-limit 512" in repeat_command(tmp_path / "b" / of_row.name)
    folder = tmp_path / "b" / of_row.name
    (folder / "verdicts.jsonl").unlink()
    assert grade_ungraded(folder, load_task("TACO"), left=1, data_dir=tmp_path) == 0
    assert json_lines(folder / "verdicts.jsonl")[-1]["verdict"]["correct"], "graded by the limits of the run"
    change_settings(of_row, time_limit=None, memory_limit=None)
    again, _, *found = run("a", "--check", "--regrade")
    assert found == [[None, None], ""] and "takes at most" not in again.stderr
    report.run(report.parse(["manifest", str(of_row)]))
    assert "--time-limit 6 --memory-limit 2048" in capsys.readouterr().out


def test_a_run_is_graded_by_other_steps_under_the_isolation_that_it_asks_for(monkeypatch, tmp_path):
    asked = []

    def refuse(wanted):
        asked.append(wanted)
        raise UserError("no such isolation here")

    monkeypatch.setattr("util.generation.judging.require_isolation", refuse)
    folder = make_run(tmp_path / "run", [{"problem_id": "p", "index": 0}], settings={"task": "APPS"})
    info = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**info, "grading": {"require_isolation": "full"}}))
    with pytest.raises(UserError, match="no such isolation"):
        grade_ungraded(folder, load_task("APPS"), left=1)
    assert asked == ["full"]


@pytest.mark.parametrize("flag", ["--time-limit", "--memory-limit"])
def test_a_limit_of_programs_is_refused_where_there_are_none(flag, tmp_path):
    where = ["--model", "m", flag, "100", "--result-dir", tmp_path / "r"]
    refused = script("inference_and_check.py", "--dataset", "AIME", *where)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert f"{flag} is for programs, and none are run for AIME: leave the flag out" in refused.stderr
    refused = script("eval.py", "--evals", "AIME,MMLU", *where, "--output_file", tmp_path / "out.txt")
    assert (
        refused.returncode == 2
        and f"{flag} is for programs, and none are run for AIME, MMLU:" in refused.stderr
    )
    args = inference_and_check.parse(["--dataset", "AIME", "--model", "m", flag, "100"])
    cli.check_limits(args, [load_task("AIME"), load_task("APPS")])


def test_a_task_without_programs_has_no_limits_of_them(old):
    assert not {"time_limit", "memory_limit"} & read_run_json(old)["settings"].keys()
    assert "--time-limit" not in repeat_command(old)


def test_names_and_labels_are_unique():
    assert len(BY_NAME) == len(SETTINGS)
    labels = [setting.label for setting in SETTINGS if setting.label]
    assert len(labels) == len(set(labels))


# --- older runs ---


@pytest.fixture
def old(tmp_path):
    return shutil.copytree(OLD, tmp_path / "results") / NAME


def change_settings(folder, **changes):
    """Write other settings into a run.json; None takes one out."""
    info = json.loads((folder / "run.json").read_text())
    kept = {**info["settings"], **changes}
    info["settings"] = {
        name: value for name, value in kept.items() if name not in changes or value is not None
    }
    (folder / "run.json").write_text(json.dumps(info))


def test_a_half_finished_run_of_an_earlier_version_is_continued_by_the_same_command(old, tmp_path):
    engine = paper_engine(tmp_path, {"text": "The answer is 24."})
    before = (old / "samples.jsonl").read_bytes()
    stored = json.loads((old / "run.json").read_text())["settings"]
    done = script("inference_and_check.py", *COMMAND, *engine, "--result-dir", old.parent)
    assert done.returncode == 0, done.stderr
    after = (old / "samples.jsonl").read_bytes()
    assert after.startswith(before) and len(json_lines(old / "samples.jsonl")) == 12
    keys = [(line["problem_id"], line["index"]) for line in json_lines(old / "samples.jsonl")]
    assert len(set(keys)) == 12 and last_line(done)["temperatures"]["0.7"]["judged"] == 12
    assert json.loads((old / "run.json").read_text())["settings"] == {**stored, "model_args": {}}
    assert NOT_RECORDED not in done.stderr and "does not record" not in done.stderr
    again = script("inference_and_check.py", *COMMAND, "--check", "--result-dir", old.parent)
    assert again.returncode == 0, again.stderr
    assert last_line(again)["temperatures"] == last_line(done)["temperatures"]


def test_a_run_of_an_earlier_version_is_checked_reported_compared_and_repeated(old, tmp_path, capsys):
    (old / "verdicts.jsonl").unlink()
    done = script("inference_and_check.py", *COMMAND, "--check", "--result-dir", old.parent)
    assert done.returncode == 0, done.stderr
    assert last_line(done)["temperatures"]["0.7"]["correct"] == 5
    other = shutil.copytree(OLD / NAME, tmp_path / "other")
    report.run(report.parse(["compare", str(old), str(other)]))
    warnings = json.loads(capsys.readouterr().out.strip().split("\n")[-1])["warnings"]
    kept = [warning for warning in warnings if not warning.startswith("the graders differ")]
    assert kept[0] == "the samples per problem differ from problem to problem: 1-2 in both runs"
    assert [warning.split(": ")[0] for warning in kept[1:]] == [
        f"{run} is INCOMPLETE" for run in (old, other)
    ]
    report.run(report.parse([str(old), "-o", str(tmp_path / "page.html")]))
    assert "token cap 48, seed 0, loops ended never, top-p 0.9, stop" in (tmp_path / "page.html").read_text(
        encoding="utf-8"
    )
    capsys.readouterr()
    report.run(report.parse(["manifest", str(old)]))
    args = inference_and_check.parse(shlex.split(capsys.readouterr().out)[2:])
    again = inference_and_check.parse(COMMAND)
    names = {setting.name for setting in SETTINGS if hasattr(args, setting.name)}
    assert args.stop_loops == "never"  # as it was before there was the setting
    names -= {"split", "system_prompt", "stop_loops"}  # said though they are what they would be
    assert {name: getattr(args, name) for name in names} == {name: getattr(again, name) for name in names}


def test_what_an_older_run_lacks_has_the_value_that_was_in_force(old):
    change_settings(old, top_k=None, min_p=None, start=None, prompt=None)
    values = values_of(json.loads((old / "run.json").read_text()))
    assert (values["top_k"], values["min_p"], values["start"], values["prompt"]) == (-1, 0.0, 0, "default")
    flags = [*COMMAND, "--check", "--result-dir", old.parent]
    assert script("inference_and_check.py", *flags).returncode == 0
    refused = script("inference_and_check.py", *flags, "--min-p", "0.1")
    assert refused.returncode == 2 and "min_p = 0.0, this command says 0.1" in refused.stderr


def test_a_command_wants_what_was_in_force_and_its_own_word_for_what_was_not_recorded():
    assert settings.continued({}, {"prompt": "plain", "seed": 7}, ()) == {"prompt": "default", "seed": 7}
    assert settings.continued({}, {"prompt": "plain"}, ("prompt",)) == {"prompt": "plain"}


def test_what_nobody_knows_any_more_is_shown_warned_of_once_and_never_refused(old, tmp_path, capsys):
    change_settings(old, max_tokens=None, seed=None)
    engine = paper_engine(tmp_path, {"text": "The answer is 24."})
    done = script("inference_and_check.py", *COMMAND, *engine, "--result-dir", old.parent)
    assert done.returncode == 0, done.stderr
    assert (
        done.stderr.count("does not record") == 1 and f"{old} does not record token cap, seed" in done.stderr
    )
    assert len(json_lines(old / "samples.jsonl")) == 12
    other = shutil.copytree(OLD / NAME, tmp_path / "other")
    report.run(report.parse(["compare", str(old), str(other)]))
    said = capsys.readouterr().out
    assert f"{old} does not record token cap, seed" in said and "token cap differs" not in said
    report.run(report.parse([str(old), "-o", str(tmp_path / "page.html")]))
    assert "token cap not recorded, seed not recorded" in (tmp_path / "page.html").read_text(encoding="utf-8")
    capsys.readouterr()
    report.run(report.parse(["manifest", str(old)]))
    captured = capsys.readouterr()
    assert "--max-tokens" not in captured.out and "does not record token cap, seed" in captured.err


def test_a_changed_default_is_for_new_folders_only(tmp_path, monkeypatch):
    engine = paper_engine(tmp_path, {"text": "The answer is 24."})

    def stored(n, *more):
        flags = ["--dataset", "Warmup", "--model", "m", "--limit", "1", "--temperatures", "1", "--n", str(n)]
        args = inference_and_check.parse([*flags, *engine, "--result-dir", str(tmp_path / "r"), *more])
        inference_and_check.run(args)
        infos = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("r/*/run.json"))]
        return [(info["settings"]["min_p"], info["settings"]["max_tokens"]) for info in infos]

    assert stored(1) == [(0.0, 32768)]
    for name, value in (("min_p", 0.05), ("max_tokens", 99)):
        before = BY_NAME[name]
        monkeypatch.setitem(BY_NAME, name, replace(before, default=value, earlier=(before.default,)))
    assert stored(2) == [(0.0, 32768)] and len(json_lines(next(tmp_path.glob("r/*/samples.jsonl")))) == 2
    assert stored(2, "--check") == [(0.0, 32768)]
    with pytest.raises(cli.UserError, match=r"min_p = 0\.0, this command says 0\.05"):
        stored(2, "--min-p", "0.05")
    assert stored(2, "--min-p", "0.05", "--overwrite-settings")[1] == (0.05, 99)


def test_a_benchmark_whose_folder_keeps_another_default_is_not_sampled_with_the_new_one(
    tmp_path, monkeypatch
):
    import eval as evaluation

    engine = paper_engine(tmp_path, {"text": "The answer is 24."})
    flags = ["--evals", "Warmup", "--model", "m", "--limit", "1", "--temperatures", "1", *engine]
    flags += ["--output_file", str(tmp_path / "out.txt"), "--result-dir", str(tmp_path / "r")]
    assert evaluation.run(evaluation.parse(flags)) == 0
    monkeypatch.setitem(BY_NAME, "min_p", replace(BY_NAME["min_p"], default=0.05, earlier=(0.0,)))
    with pytest.raises(UserError, match="min_p was 0.0 by default, now it is 0.05: give --min-p as well"):
        evaluation.run(evaluation.parse([*flags, "--n", "2"]))
    assert evaluation.run(evaluation.parse([*flags, "--n", "2", "--min-p", "0"])) == 0


DEFAULTS = {  # of version 0.9
    "start": 0, "end": -1, "filter_difficulty": False, "prompt": "default", "max_tokens": 32768, "seed": 0,
    "top_p": 1.0, "top_k": -1, "min_p": 0.0, "stop": [], "presence_penalty": 0.0,
    "frequency_penalty": 0.0, "repetition_penalty": 1.0, "min_tokens": 0, "stop_token_ids": [],
    "logit_bias": {}, "sampling": "flags", "prefill": "",
}  # fmt: skip


@pytest.mark.parametrize("name", DEFAULTS)
def test_no_default_is_forgotten_when_it_changes(name):
    setting = BY_NAME[name]
    assert DEFAULTS[name] in (setting.default, *setting.earlier)


def test_before_a_setting_was_there_its_first_default_was_in_force():
    changed = settings._row("start", "--start", 9, "", earlier=(0, 5))
    assert changed.value_in({}) == 0 and BY_NAME["min_p"].value_in({}) == 0.0


def test_a_setting_of_a_later_version_is_refused(old):
    change_settings(old, warp=9)
    done = script("inference_and_check.py", *COMMAND, "--check", "--result-dir", old.parent)
    assert done.returncode == 2 and "warp = 9, this command says None" in done.stderr


def test_an_imported_run_without_settings_is_read(tmp_path):
    run = make_run(tmp_path / "run", [{"problem_id": "p", "index": 0}])
    info = json.loads((run / "run.json").read_text())
    info["settings"] = {name: info["settings"][name] for name in ("task", "model", "split")}
    del info["asked"]
    values = values_of(info)
    assert [setting.name for setting in OF_A_RUN if values[setting.name] == NOT_RECORDED] == [
        "system_prompt", "system_prompt_hash", "max_tokens", "seed",
    ]  # fmt: skip
    assert settings.unrecorded(info["settings"]) == ["system message", "token cap", "seed"]


# Engine arguments


@pytest.mark.parametrize(
    "name, value, instead",
    [
        ("model", "other", "--model"),
        ("messages", [], "--prompt or --system-prompt"),
        ("temperature", 1.5, "--temperatures"),
        ("top_p", 0.5, "--top-p"),
        ("top_k", 5, "--top-k"),
        ("n", 4, "--n"),
        ("seed", 5, "--seed"),
        ("max_tokens", 10, "--max-tokens"),
        ("max_completion_tokens", 10, "--max-tokens"),
        ("stop", ["x"], "--stop"),
        ("repetition_penalty", 1.2, "--repetition-penalty"),
        ("stream", True, "leave it out"),
        ("model", None, "--model"),
        ("stream", None, "leave it out"),
    ],
)
def test_an_engine_argument_that_has_a_flag_is_refused_with_the_flag(tmp_path, name, value, instead):
    where = ("--model", "openai/m", "--api-base", "http://127.0.0.1:1/v1", "--result-dir", str(tmp_path))
    refused = script(
        "inference_and_check.py", "--dataset", "Warmup", *where, "--engine-args", json.dumps({name: value})
    )
    assert refused.returncode == 2 and not [*tmp_path.iterdir()]
    assert f"--engine-args sets {name} = {value!r}: " in refused.stderr and instead in refused.stderr


def test_an_engine_argument_that_can_change_an_answer_is_a_setting(tmp_path):
    with FaultyEndpoint(Script(model="m")) as endpoint:

        def run(n, **engine_args):
            return script(
                *("inference_and_check.py", "--dataset", "Warmup", "--model", "openai/m", "--limit", "2"),
                *("--api-base", endpoint.url, "--result-dir", str(tmp_path), "--temperatures", "1"),
                *("--n", str(n), "--engine-args", json.dumps(engine_args)),
            )

        assert run(1, reasoning_effort="low", max_num_seqs=4).returncode == 0
        assert run(2, reasoning_effort="low", max_num_seqs=8).returncode == 0
        refused = run(3, reasoning_effort="high")
    assert refused.returncode == 2
    assert "{'reasoning_effort': 'low'}, this command says {'reasoning_effort': 'high'}" in refused.stderr
    info = json.loads(next(tmp_path.glob("*/run.json")).read_text())
    assert info["settings"]["model_args"] == {"reasoning_effort": "low"}


def test_engine_arguments_of_an_older_run_are_its_settings(tmp_path):
    shutil.copytree(OLD / NAME, tmp_path / NAME)
    path = tmp_path / NAME / "run.json"
    info = json.loads(path.read_text())
    assert "model_args" not in info["settings"]
    info["asked"]["engine"]["engine_args"] = {"dtype": "float16", "max_num_seqs": 4}
    path.write_text(json.dumps(info))
    assert read_run_json(tmp_path / NAME)["settings"]["model_args"] == {"dtype": "float16"}
    refused = script("inference_and_check.py", *COMMAND, "--result-dir", str(tmp_path))
    assert refused.returncode == 2 and "model_args = {'dtype': 'float16'}" in refused.stderr


def test_a_model_that_takes_no_temperature_samples_at_its_own(tmp_path):
    with FaultyEndpoint(Script(model="o3-mini")) as endpoint:

        def run(*flags):
            where = ("--api-base", endpoint.url, "--result-dir", str(tmp_path))
            return script(
                "inference_and_check.py", "--dataset", "Warmup", "--model", "openai/o3-mini", "--limit", "2",
                *where, *flags,
            )  # fmt: skip

        done = run("--n", "4")
        assert done.returncode == 0
        samples = json_lines(next(tmp_path.glob("*/samples.jsonl")))
        assert [line["temperature"] for line in samples] == [1.0] * 8
        for flags in (("--temperatures", "0.2", "0.9"), ("--temperatures", "0"), ("--top-p", "0.9")):
            refused = run(*flags)
            assert refused.returncode == 2 and f"takes no {flags[0]}" in refused.stderr
        assert run("--n", "4", "--until-correct", "1").returncode == 0
        assert run("--check", "--temperatures", "0").returncode == 0  # samples of an older version
    assert all("temperature" not in asked for asked in endpoint.requests)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"--model 'org/name\n", "a quotation mark of this line in FILE is not closed: --model 'org/name"),
        (b"--model \xff\xfe\n", "FILE is not a text file"),
        (b"--n 4\0\n", "FILE is not a text file (it holds zero bytes): check the path"),
        (b"#" * 1_100_000, "FILE has more than a million characters: check the path"),
        (b"--n 4\n@FILE\n", "@FILE reads itself: take the line with its own name out"),
        (b"@FILE/../FLAGS\n", "cannot be read (Not a directory): name a text file that you may read"),
        (b"@\n", "@ stands alone: write @FILE"),
        (b"--n 99999999999999999999\n", "--n: 99999999999999999999 is too large: give at most 1000000"),
        (b"--max-tokens 99999999999999999999\n", "--max-tokens: 99999999999999999999 is too large"),
        (b"--engine-args " + b"[" * 100_000 + b"\n", "is not JSON"),
    ],
)
def test_flags_in_a_file_that_cannot_be_read_are_refused_in_one_line(tmp_path, capsys, content, why):
    path = tmp_path / "flags"
    path.write_bytes(content.replace(b"@FILE", b"@" + bytes(path)))
    said = refused_flags(path, capsys)
    assert why.replace("FILE", str(path)) in said or why in said


def test_a_file_of_flags_that_is_none_is_refused_in_our_own_words(tmp_path, capsys):
    missing, folder, circle, through = (
        tmp_path / name for name in ("missing", "folder", "circle", "through")
    )
    folder.mkdir()
    circle.symlink_to(circle)
    through.write_text(f"--n 4\n@{folder / '..' / 'through'}\n")
    assert f"@{missing} names a file of flags, and {missing} is not there" in refused_flags(missing, capsys)
    assert f"{folder} cannot be read (Is a directory): name a text file" in refused_flags(folder, capsys)
    assert f"{circle} cannot be read (Too many levels" in refused_flags(circle, capsys)
    assert "through reads itself: take the line" in refused_flags(through, capsys)


def refused_flags(path, capsys):
    with pytest.raises(SystemExit) as left:
        inference_and_check.parse(["--dataset", "Warmup", "--model", "m", f"@{path}"])
    said = capsys.readouterr().err
    assert left.value.code == 2 and said.count("\n") == 1 and len(said) < 1000
    assert "Errno" not in said
    return said
