"""Is a set for reinforcement learning one row a problem, with a pass rate and what a reward needs?"""

import base64
import json
import pickle
import zlib

import pyarrow.parquet
import pytest
from helpers import json_lines
from runs_on_paper import PaperSample, write_run

import convert_to_data
import rewards
from util.errors import UserError
from util.grading.code.suites import plain_tests, read_tests, suite_of
from util.grading.rewards import read_call, read_suite
from util.training.formats import RL_FORMATS, Example, ExampleFile, RlProblem

QUESTIONS = {
    "none": "Anna cuts a round cake into equal slices for her guests, how many slices are there?",
    "half": "Ben paints every second post of the long fence around the garden, how many posts stay bare?",
    "most": "Carla stacks wooden blocks into towers of different heights, how many blocks does she need?",
    "all": "Dora counts the windows of each house along the main street, how many of them are lit?",
}
CORRECT = {"none": 0, "half": 2, "most": 3, "all": 4}


def samples():
    return [
        PaperSample(name, question, index=index, correct=index < CORRECT[name], tokens=10 * (index + 1))
        for name, question in QUESTIONS.items()
        for index in range(4)
    ]


def export(folder, *flags, format_name="trl-grpo"):
    named = ("--input_dir", folder, "--output", folder.parent / "rl.jsonl", "--decontaminate", "none")
    words = map(str, (*named, "--format", format_name, *flags))
    return convert_to_data.run(convert_to_data.parse([*words]))


def test_each_problem_of_the_band_is_one_row_with_its_pass_rate(tmp_path, capsys):
    folder = write_run(tmp_path / "run", samples())
    export(folder, "--pass-rate-band", 0.1, 0.75)
    assert json.loads(capsys.readouterr().out)["funnel"] == {
        "generated": 16,
        "problems with a judged sample": 4,
        "with a sure reference": 4,
        "within the band": 2,
        "kept per problem": 2,
        "after dedup": 2,
        "final": 2,
    }
    found = {row["question"]: row for row in json_lines(tmp_path / "rl.jsonl")}
    row = found[QUESTIONS["most"]]
    assert (row["pass_rate"], row["n"], row["undecided"], row["mean_tokens"]) == (0.75, 4, 0, 25.0)
    assert row["spread"] == pytest.approx(0.433, abs=1e-3)
    assert row["prompt"] == [{"role": "user", "content": f"{QUESTIONS['most']} Think first."}]
    assert (row["task"], row["ground_truth"], row["data_source"]) == ("NUMINA", "7", "org/name")
    assert "| pass rates | `0.1 to 0.75` |" in (tmp_path / "rl.card.md").read_text()


def test_no_place_of_this_machine_is_in_rows_and_card(tmp_path):
    folder = write_run(tmp_path / "run", samples(), model="/home/me/models/small-7b")
    info = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**info, "dataset": {"path": "/home/me/own.jsonl"}}))
    export(folder)
    rows = json_lines(tmp_path / "rl.jsonl")
    assert {(row["data_source"], row["model"]) for row in rows} == {("own.jsonl", "small-7b")}
    assert "/home/me" not in (tmp_path / "rl.jsonl").read_text() + (tmp_path / "rl.card.md").read_text()


def test_undecided_samples_count_apart_and_problems_without_a_verdict_stay_out(tmp_path):
    more = [
        PaperSample("half", QUESTIONS["half"], index=4, correct=False, reason="undecided", cause="why"),
        PaperSample("half", QUESTIONS["half"], index=5, correct=False, reason="grader_error"),
        PaperSample("open", "Who is it that nobody knows?", correct=False, reason="undecided"),
    ]
    export(write_run(tmp_path / "run", [*samples(), *more]))
    assert len(json_lines(tmp_path / "rl.jsonl")) == 4
    (row,) = (row for row in json_lines(tmp_path / "rl.jsonl") if row["question"] == QUESTIONS["half"])
    assert (row["pass_rate"], row["n"], row["undecided"]) == (0.5, 4, 2)


@pytest.mark.parametrize(
    ("flags", "format_name", "told"),
    [
        (["--keep", "all"], "trl-grpo", "--keep: for responses"),
        (
            ["--thought", "think", "--plain-share", "0.5"],
            "rl-jsonl",
            "--thought, --plain-share: for responses",
        ),
        (["--pass-rate-band", "0.1", "0.9"], "sharegpt", "--pass-rate-band chooses problems"),
        (["--pass-rate-band", "0.9", "0.1"], "trl-grpo", "give the lower number first"),
        (["--pass-rate-band", "0.8", "0.9"], "trl-grpo", 'passed the stage "within the band"'),
    ],
)
def test_flags_that_do_not_fit_are_refused_in_one_sentence(tmp_path, flags, format_name, told):
    with pytest.raises(UserError, match=told):
        export(write_run(tmp_path / "run", samples()), *flags, format_name=format_name)
    assert not (tmp_path / "rl.jsonl").exists()


def test_a_pass_rate_is_of_one_model(tmp_path):
    write_run(tmp_path / "runs" / "one", samples(), model="one")
    write_run(tmp_path / "runs" / "two", samples(), model="two")
    with pytest.raises(UserError, match=r"the runs are of 2 models \(one, two\)"):
        export(tmp_path / "runs")


def test_a_pass_rate_is_under_one_system_message(tmp_path):
    for name, said in (("one", None), ("two", "Be brief.")):
        folder = write_run(tmp_path / "runs" / name, samples())
        info = json.loads((folder / "run.json").read_text())
        info["settings"]["system_prompt"] = said
        (folder / "run.json").write_text(json.dumps(info))
    with pytest.raises(UserError, match="under different system messages"):
        export(tmp_path / "runs")


def test_a_problem_of_programs_carries_its_tests_and_stays_out_without_them(tmp_path, monkeypatch):
    folder = write_run(tmp_path / "run", samples(), task="TACO")
    problems = folder / "problems.jsonl"
    problems.write_text(problems.read_text().replace('"answer": "7"', '"answer": null'))
    tests = json.dumps({"inputs": ["1\n"], "outputs": ["2\n"]})
    suites = {"half": suite_of({"input_output": tests}, "apps", time_s=2.5)}
    suites["most"] = suite_of({"input_output": tests}, "apps", note="several answers may be right")
    monkeypatch.setattr("util.generation.judging.references_of", lambda *_: suites)
    export(folder)
    (row,) = json_lines(tmp_path / "rl.jsonl")
    assert (row["ground_truth"], row["time_limit_s"], row["task"]) == (tests, 2.5, "TACO")
    call = read_call(message_of("trl-grpo", row), rewards._kinds())
    assert (call.kind, call.time_limit_s) == ("taco", 2.5)


# --- rows and rewards ---

EXAMPLE = Example(
    system="S",
    prompt="P",
    response="",
    question="What is it?",
    answer="7",
    data_source="AI-MO/NuminaMath-CoT",
    source="s",
    subject="",
    difficulty="",
    task="NUMINA",
    model="m",
    sample_id="run/a",
    tokens=3,
)
PROBLEM = RlProblem(
    example=EXAMPLE,
    kind="NUMINA",
    truth="7",
    index=5,
    choices=(),
    time_limit_s=0.0,
    pass_rate=0.5,
    n=4,
    undecided=0,
    mean_tokens=2.5,
)


def message_of(name, row):
    """What rewards.py makes of a row, as the trainer hands it over."""
    if name == "verl-parquet":
        truth = row["reward_model"]["ground_truth"]
        return rewards._message(row["data_source"], "so 7", truth, row["extra_info"])
    if name == "trl-grpo":
        return rewards._message(row["data_source"], "so 7", row["ground_truth"], row)
    return rewards._message(row["info"]["data_source"], "so 7", row["answer"], row["info"])


@pytest.mark.parametrize("name", RL_FORMATS)
def test_the_reward_function_understands_every_row(name):
    row = RL_FORMATS[name](PROBLEM)
    system, user = {"role": "system", "content": "S"}, {"role": "user", "content": "P"}
    assert row["prompt"] == [system, user]
    call = read_call(message_of(name, row), rewards._kinds())
    assert (call.kind, call.truth, call.question, call.choices) == ("numina", "7", "What is it?", ())
    assert call.time_limit_s is None


def test_parquet_keeps_its_types_where_the_first_rows_have_no_options(tmp_path, monkeypatch):
    monkeypatch.setattr("util.training.formats.PARQUET_ROWS", 2)  # written at a time
    path = tmp_path / "rl.parquet"
    with_options = RlProblem(**{**vars(PROBLEM), "choices": ("one", "two"), "index": 6})
    with ExampleFile(path, "verl-parquet") as file:
        for problem in (PROBLEM, PROBLEM, with_options):
            file.write(problem)
        file.finish()
        file.commit()
    rows = pyarrow.parquet.read_table(path).to_pylist()
    assert [row["extra_info"]["choices"] for row in rows[-2:]] == [[], ["one", "two"]]
    assert rows[-1] == RL_FORMATS["verl-parquet"](with_options)


def packed(text):
    """As LiveCodeBench writes its private tests."""
    return base64.b64encode(zlib.compress(pickle.dumps(text))).decode()


@pytest.mark.parametrize(
    ("layout", "row"),
    [
        ("apps", {"input_output": json.dumps({"inputs": ["1\n"], "outputs": ["2\n"]})}),
        (
            "livecodebench",
            {
                "public_test_cases": json.dumps([{"input": "1", "output": "2"}]),
                "metadata": "",
                "private_test_cases": packed(json.dumps([{"input": "3", "output": "4"}])),
            },
        ),
    ],
)
def test_tests_are_written_as_text_that_a_reward_reads(layout, row):
    suite = suite_of(row, layout)
    assert read_tests(read_suite(plain_tests(suite), None)) == read_tests(suite)
