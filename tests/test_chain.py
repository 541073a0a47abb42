"""Do the commands of the data pipeline work on one another's output, with good and bad endpoints?"""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from faulty_endpoint import FaultyEndpoint, Script
from helpers import ROOT, here, json_lines, last_line, paper_engine, script, wait_until

from tasks import load_task
from util.errors import UserError
from util.records import NO_TIME, Verdict
from util.response import join_parts, split_parts
from util.runs import __main__ as runs
from util.runs.older_layout import import_results, read_old_file
from util.runs.reader import read_records

THOUGHT = "I look at it from one side and then from the other side, and both ways give the same number."
SPLITTABLE = f"{THOUGHT}\n\nThe answer is \\boxed{{7}}."
NOT_SPLITTABLE = f"{THOUGHT} So it is \\boxed{{7}}."


class RewritingEndpoint(FaultyEndpoint):
    """Rewrites what it is shown: well, or as `manner` says."""

    manner = "well"

    def answer(self, body: dict) -> dict:
        reply = super().answer(body)
        prompt = body["messages"][-1]["content"]
        texts = {
            "well": join_parts(THOUGHT, "So it is \\boxed{7}."),
            "another answer": join_parts(THOUGHT, "So it is \\boxed{8}."),
            "too short": join_parts("I look at it.", "So it is \\boxed{7}."),
            "garbage": "\x00 {]garbage <|begin_of_thought|>",
            "well at the second try": (
                join_parts(THOUGHT, "So it is \\boxed{7}.") if "An earlier attempt" in prompt else "Sure!"
            ),
        }
        reply["choices"][0]["message"]["content"] = texts[self.manner]
        return reply


def raw_run(folder, number=3, response=NOT_SPLITTABLE, verdicts=()):
    """A run of unformatted samples, all with this text; the first ones have these verdicts on it."""
    from util.records import Problem, Sample
    from util.runs.folder import Run
    from util.runs.reader import text_digest

    settings = {"task": "NUMINA", "model": "paper", "split": "train", "system_prompt": None}
    with Run(folder, settings=settings, made_with={}) as run:
        for name in map(str, range(number)):
            run.add_problem(Problem(name, f"Question {name}?", "7"), f"Question {name}?")
            run.add_sample(Sample(name, 0.7, 0, response, None, "stop", 5, 30))
        for name, verdict in enumerate(verdicts):
            run.add_verdict((str(name), 0.7, 0), text_digest(response), verdict)
    return folder


def convert(folder, *flags, **environment):
    return script("convert_format.py", "--input_dir", folder, *flags, **environment)


def by_endpoint(endpoint, *flags):
    return ("--model", "openai/test-model", "--api-base", endpoint.url, *flags)


def test_the_chain_runs_from_question_to_training_file(tmp_path):
    engine = paper_engine(
        tmp_path,
        {"problem_id": "warmup-01", "text": "I see 20 seats.\n\nThe answer is 20."},
        {"problem_id": "warmup-02", "text": "None is given away, so 12."},
        {"text": "No idea.\n\nThe answer is 99999."},
    )
    answer = ("inference_and_check.py", "--dataset", "Warmup", "--model", "paper", *engine)
    results = tmp_path / "results"
    assert script(*answer, "--result-dir", results).returncode == 0
    with RewritingEndpoint() as endpoint:
        done = convert(results, *by_endpoint(endpoint))
    assert done.returncode == 0, done.stderr
    found = last_line(done)
    assert (found["by_rule"], found["for_model"], found["rewritten"]) == ({"declared answer": 39}, 1, 0)
    checked = script(*answer, "--check", "--result-dir", results)
    assert last_line(checked)["temperatures"]["0"]["judged"] == 40
    done = script(
        "convert_to_data.py",
        *("--input_dir", results, "--output", tmp_path / "train.json", "--decontaminate", "Warmup"),
        *("--thought", "markers", "--min-solution-words", "3"),
    )
    assert done.returncode == 0, done.stderr
    assert "Warmup is not kept out" in done.stderr
    (row,) = json.loads((tmp_path / "train.json").read_text())
    assert split_parts(row["conversations"][1]["value"]) == ("I see 20 seats.", "The answer is 20.")


def test_rules_need_no_model_and_done_work_is_not_redone(tmp_path):
    folder = raw_run(tmp_path / "run", response=SPLITTABLE)
    assert last_line(convert(tmp_path, "--no-llm"))["by_rule"] == {"last box": 3}
    written = (folder / "formatted.jsonl").read_bytes()
    again = last_line(convert(tmp_path, "--no-llm"))
    assert (again["formatted_before"], again["by_rule"]) == (3, {})
    assert (folder / "formatted.jsonl").read_bytes() == written


def test_a_dry_run_counts_and_writes_nothing(tmp_path):
    folder = raw_run(tmp_path / "run")
    done = convert(tmp_path, "--dry-run")
    assert last_line(done)["for_model"] == 3
    assert re.search(r"\$0\.00\d* at the prices", done.stderr)
    assert not (folder / "formatted.jsonl").exists()


@pytest.mark.parametrize(
    ("manner", "rewritten", "reason"),
    [
        ("well", 2, ""),
        ("well at the second try", 2, ""),
        ("another answer", 0, "another final answer"),
        ("too short", 0, "words were kept"),
        ("garbage", 0, "four markers"),
    ],
)
def test_a_rewrite_counts_only_if_it_is_faithful(tmp_path, manner, rewritten, reason):
    folder = raw_run(tmp_path / "run", number=2)
    with RewritingEndpoint() as endpoint:
        endpoint.manner = manner
        done = convert(tmp_path, *by_endpoint(endpoint))
        asked = len(endpoint.requests)
    assert done.returncode == 0, done.stderr
    assert last_line(done)["rewritten"] == rewritten
    assert sum(record.formatted is not None for record in read_records(folder)) == rewritten
    assert asked == (2 if manner == "well" else 4)
    if reason:
        lines = json_lines(folder / "unformatted.jsonl")
        assert all(reason in line["reason"] and line["text"] is None for line in lines)


def test_a_refused_rewrite_is_paid_for_again_only_on_demand(tmp_path):
    raw_run(tmp_path / "run", number=1)
    with RewritingEndpoint() as endpoint:
        endpoint.manner = "garbage"
        convert(tmp_path, *by_endpoint(endpoint))
        endpoint.manner = "well"
        assert last_line(convert(tmp_path, *by_endpoint(endpoint)))["left_out"] == {"given up before": 1}
        assert last_line(convert(tmp_path, *by_endpoint(endpoint, "--retry")))["rewritten"] == 1


def test_nobody_pays_for_rewrites_of_what_was_judged_wrong(tmp_path):
    verdicts = [Verdict(False, "wrong_answer"), Verdict(False, "grader_error"), Verdict(True)]
    folder = raw_run(tmp_path / "run", number=4, verdicts=verdicts)
    with RewritingEndpoint() as endpoint:
        done = convert(tmp_path, *by_endpoint(endpoint))
        assert [line["problem_id"] for line in json_lines(folder / "formatted.jsonl")] == ["1", "2", "3"]
        assert last_line(done)["left_out"] == {"no rule covers it, and it was judged wrong": 1}
        assert "--rewrite-wrong" in done.stderr
        assert last_line(convert(tmp_path, *by_endpoint(endpoint, "--rewrite-wrong")))["rewritten"] == 1


def test_nobody_pays_for_rewrites_of_what_is_undecided_unless_it_is_worth_another_try(tmp_path):
    causes = ["the reference is prose", f"{NO_TIME}: all 8 seconds were used"]
    verdicts = [Verdict(False, "undecided", cause=cause) for cause in causes]
    folder = raw_run(tmp_path / "run", number=2, verdicts=verdicts)
    with RewritingEndpoint() as endpoint:
        done = convert(tmp_path, *by_endpoint(endpoint))
        assert [line["problem_id"] for line in json_lines(folder / "formatted.jsonl")] == ["1"]
        assert last_line(done)["left_out"] == {"no rule covers it, and it is undecided": 1}
        assert "--rewrite-wrong" in done.stderr
        assert last_line(convert(tmp_path, *by_endpoint(endpoint, "--rewrite-wrong")))["rewritten"] == 1


def test_a_wrong_sample_that_a_rule_covers_is_formatted(tmp_path):
    raw_run(tmp_path / "run", number=1, response=SPLITTABLE, verdicts=[Verdict(False, "wrong_answer")])
    assert last_line(convert(tmp_path, "--no-llm"))["by_rule"] == {"last box": 1}


def test_a_budget_that_ends_keeps_what_is_rewritten_and_the_same_command_goes_on(tmp_path):
    runs = [raw_run(tmp_path / name, number=3) for name in ("one", "two")]
    with RewritingEndpoint() as endpoint:
        limited = by_endpoint(endpoint, "--max-tokens", 200, "--max-tokens-total", 2500)
        done = convert(tmp_path, *limited)
        assert done.returncode == 1, done.stderr
        first = last_line(done)["rewritten"]
        assert 0 < first < 6 and last_line(done)["not_asked"] == 6 - first
        assert f"{6 - first}  samples were not asked about" in done.stderr
        assert "of --max-tokens-total are spent" in done.stderr
        for _ in range(6):
            done = convert(tmp_path, *limited)
        assert done.returncode == 0, done.stderr
        assert len(endpoint.requests) == 6
    assert all(len(json_lines(folder / "formatted.jsonl")) == 3 for folder in runs)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--max-tokens-total", 300), "one request may use"),
        (("--max-tokens-total", 100), "one request may use 200 tokens"),
        (("--max-cost", 1), "needs the price of openai/test-model"),
    ],
)
def test_a_budget_below_one_rewrite_is_refused(tmp_path, flags, told):
    folder = raw_run(tmp_path / "run")
    with RewritingEndpoint() as endpoint:
        done = convert(tmp_path, *by_endpoint(endpoint, "--max-tokens", 200, *flags))
        assert not endpoint.requests
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr
    assert not (folder / "unformatted.jsonl").exists()


def test_a_busy_endpoint_is_waited_for(tmp_path):
    raw_run(tmp_path / "run", number=4)
    with RewritingEndpoint(Script(faults={"rate_limited_seconds": 0.5}, seed=3)) as endpoint:
        assert last_line(convert(tmp_path, *by_endpoint(endpoint)))["rewritten"] == 4
        assert endpoint.happened["rate_limited_seconds"] > 0


class ClosingEndpoint(RewritingEndpoint):
    """Takes no key any more after one answer."""

    def refusal(self, body: dict, headers: dict[str, str]) -> bytes | None:
        self.script = replace(self.script, keys=("another-key",) if self._answers else ())
        return super().refusal(body, headers)


def test_what_was_rewritten_before_the_keys_ended_is_kept(tmp_path):
    folder = raw_run(tmp_path / "run")
    with ClosingEndpoint() as endpoint:
        done = convert(
            tmp_path, *by_endpoint(endpoint, "--concurrency", "1"), OPENAI_API_KEY="a-key-that-will-end"
        )
    assert done.returncode == 1, done.stderr
    assert len(json_lines(folder / "formatted.jsonl")) == 1
    with RewritingEndpoint() as endpoint:
        assert last_line(convert(tmp_path, *by_endpoint(endpoint)))["rewritten"] == 2


def test_a_killed_command_goes_on_to_the_same_training_file(tmp_path):
    def formatted(folder):
        path = folder / "formatted.jsonl"
        return json_lines(path) if path.exists() else []

    folder = raw_run(tmp_path / "killed" / "run", number=8)
    whole = raw_run(tmp_path / "whole" / "run", number=8)
    with RewritingEndpoint() as endpoint:
        endpoint.most_answered = 3
        command = [sys.executable, str(ROOT / "convert_format.py"), "--input_dir", str(folder)]
        command += [*by_endpoint(endpoint), "--concurrency", "1"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as running:
            wait_until(lambda: formatted(folder), running)
            running.send_signal(signal.SIGKILL)
        assert 0 < len(formatted(folder)) < 8
        with (folder / "formatted.jsonl").open("a") as torn:
            torn.write('{"problem_id": "7", "temp')
        endpoint.most_answered = None
        convert(folder, *by_endpoint(endpoint))
        convert(whole, *by_endpoint(endpoint))
    texts = [{line["problem_id"]: line["text"] for line in formatted(place)} for place in (folder, whole)]
    assert texts[0] == texts[1] and len(texts[0]) == 8
    assert len(formatted(folder)) == 8


def test_a_locked_run_is_not_formatted(tmp_path):
    from util.runs.folder import Run, read_run_json

    folder = raw_run(tmp_path / "run")
    with Run(folder, settings=read_run_json(folder)["settings"], made_with={}):
        done = convert(tmp_path, "--no-llm")
    assert done.returncode == 2
    assert "is being written by" in done.stderr


def test_a_folder_without_runs_says_what_to_do(tmp_path):
    done = convert(tmp_path, "--no-llm")
    assert done.returncode == 2
    assert "python -m util.runs import" in done.stderr


def old_file(folder, responses, name="QwQ-32B-Preview_Warmup_test_None_0_-1.json"):
    path = folder / name
    rows = [json.loads(line) for line in (ROOT / "tasks" / "warmup.jsonl").read_text().splitlines()[:2]]
    path.write_text(json.dumps({row["question"]: {**row, "responses": responses} for row in rows}))
    return path


def import_old(path, *flags):
    return here(runs, "import", path, "--dataset", "Warmup", *flags)


GOOD = {"content": SPLITTABLE, "correctness": True, "reason": ""}


@pytest.mark.parametrize(
    ("responses", "samples"),
    [({"0.7": GOOD}, 2), ({"0.7": [GOOD, GOOD], "0": GOOD}, 6), ({"1.0": {"content": "x"}}, 2)],
)
def test_old_files_of_both_shapes_are_imported_once(tmp_path, responses, samples):
    path = old_file(tmp_path, responses)
    assert last_line(import_old(path, "--result-dir", tmp_path / "results"))["samples"] == samples
    assert last_line(import_old(path, "--result-dir", tmp_path / "results"))["samples"] == 0
    (folder,) = (tmp_path / "results").iterdir()
    records = list(read_records(folder))
    assert len(records) == samples
    assert {record.sample.problem_id for record in records} == {"warmup-01", "warmup-02"}


def numbered_file(folder, samples=2, **changes):
    """A results.json of 2025: rows by number, responses and token counts as lists."""
    rows = [json.loads(line) for line in (ROOT / "tasks" / "warmup.jsonl").read_text().splitlines()[:2]]
    usages = [{"prompt_tokens": 9, "completion_tokens": 10 + at} for at in range(samples)]
    asked = [{"role": "system", "content": "Think."}, {"role": "user", "content": "As asked."}]
    added = {
        "_index": 0,
        "prompt": "As asked.",
        "input_conversation": asked,
        "token_usages": usages,
        **changes,
    }
    content = {str(at): {**row, **added, "responses": [GOOD] * samples} for at, row in enumerate(rows)}
    path = folder / "results.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("configuration", "samples", "temperature"),
    [
        ({"model": {"name": "org/M"}, "sampling_params": {"temperature": 0.6, "max_tokens": 11}}, 2, 0.6),
        (None, 1, 0.0),
        (None, 2, 1.0),  # the tool draws one sample at temperature 0
        ({"sampling_params": "n=2"}, 2, 1.0),
    ],
)
def test_a_results_file_keyed_by_row_numbers_is_imported(tmp_path, configuration, samples, temperature):
    path = numbered_file(tmp_path, samples)
    if configuration is not None:
        (tmp_path / "summary.json").write_text(json.dumps({"configuration": configuration}))
    named = () if configuration and "model" in configuration else ("--model", "M")
    done = import_old(path, "--result-dir", tmp_path / "results", *named)
    assert last_line(done)["samples"] == last_line(done)["verdicts"] == 2 * samples, done.stderr
    (folder,) = (tmp_path / "results").iterdir()
    records = list(read_records(folder))
    assert [record.sample.key for record in records] == [
        (name, temperature, index) for name in ("warmup-01", "warmup-02") for index in range(samples)
    ]
    assert {record.prompt for record in records} == {"As asked."}
    tokens = {record.sample.index: record.sample.completion_tokens for record in records}
    assert tokens == dict(enumerate(range(10, 10 + samples)))
    endings = {record.sample.finish_reason for record in records}
    assert ("length" in endings) == (temperature == 0.6)


@pytest.mark.parametrize(
    "changes", [{"token_usages": None}, {"input_conversation": None}, {"question": "Same?"}]
)
def test_a_results_file_with_less_in_it_is_imported_too(tmp_path, changes):
    content = read_old_file(numbered_file(tmp_path, **changes))
    counts = import_results(
        content, load_task("Warmup"), tmp_path / "run", {"model": "M"}, with_verdicts=True
    )
    assert (counts["problems"], counts["samples"]) == (2, 4)


def old_file_of_lengths(folder, *lengths):
    path = old_file(folder, {"0.7": [GOOD] * len(lengths)})
    content = json.loads(path.read_text())
    usages = [{"prompt_tokens": 9, "completion_tokens": length} for length in lengths]
    for row in content.values():
        row["token_usages"] = {"0.7": usages}
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("flags", "lengths", "ended"),
    [
        (["--max-tokens", 100], [99, 100, 20], ["unknown", "length", "unknown"]),
        ([], [99, 32768, 20], ["unknown", "length", "unknown"]),  # the older tool's own default
        ([], [99, 32768, 40000], ["unknown", "unknown", "unknown"]),  # so that was not the limit
    ],
)
def test_an_imported_response_as_long_as_the_limit_was_cut_off(tmp_path, flags, lengths, ended):
    done = import_old(old_file_of_lengths(tmp_path, *lengths), "--result-dir", tmp_path / "results", *flags)
    assert last_line(done)["cut_off"] == 2 * ended.count("length")
    (folder,) = (tmp_path / "results").iterdir()
    assert [line["finish_reason"] for line in json_lines(folder / "samples.jsonl")] == 2 * ended


def test_a_limit_that_an_imported_response_exceeds_is_refused(tmp_path):
    path = old_file_of_lengths(tmp_path, 101)
    done = import_old(path, "--result-dir", tmp_path / "results", "--max-tokens", 100)
    assert done.returncode == 2 and "has a response of 101 tokens" in done.stderr, done.stderr
    assert not (tmp_path / "results").exists()


def test_an_old_file_whose_limit_is_not_known_says_nothing_of_how_responses_ended(tmp_path):
    content = read_old_file(old_file_of_lengths(tmp_path, 100))
    import_results(content, load_task("Warmup"), tmp_path / "run", {"model": "M"}, with_verdicts=False)
    assert {line["finish_reason"] for line in json_lines(tmp_path / "run" / "samples.jsonl")} == {"unknown"}


def test_an_old_verdict_is_about_the_text_it_judged(tmp_path):
    processed = join_parts(THOUGHT, "The answer is \\boxed{7}.")
    responses = {
        "0.7": [
            GOOD,
            {**GOOD, "processed_content": processed},
            {**GOOD, "processed_content": "Error: too many requests"},
            {"content": "Error: 500", "correctness": True, "reason": ""},
        ]
    }
    import_old(old_file(tmp_path, responses), "--result-dir", tmp_path / "results")
    (folder,) = (tmp_path / "results").iterdir()
    first = [record for record in read_records(folder) if record.sample.problem_id == "warmup-01"]
    assert [record.formatted for record in first] == [None, processed, None]
    assert [record.verdict is not None for record in first] == [True, True, False]


CHOICES = ["up (A) ", "down", "left", "right"]


def old_mmlu_problem(tmp_path, choices):
    row = {"question": "Up?", "subject": "physics", "choices": CHOICES, "answer": 1}
    path = tmp_path / "M_MMLU_test_None_0_-1.json"
    path.write_text(json.dumps({row["question"]: {**row, "choices": choices, "responses": {"0": GOOD}}}))
    content = read_old_file(path)
    folder = tmp_path / "run"
    import_results(content, load_task("MMLU"), folder, {"model": "M"}, with_verdicts=True)
    return load_task("MMLU").problem(row), json_lines(folder / "problems.jsonl")[0]


def test_letters_that_the_older_tool_wrote_into_options_are_taken_out(tmp_path):
    written = [f"({letter}) {text}" for letter, text in zip("ABCD", CHOICES, strict=True)]
    problem, line = old_mmlu_problem(tmp_path, written)
    assert (line["id"], line["choices"], line["answer"]) == (problem.id, CHOICES, "B")


def test_an_options_number_is_no_answer_where_the_options_are_lost(tmp_path):
    _, line = old_mmlu_problem(tmp_path, "(A) up (B) down")
    assert line["answer"] is None


def test_an_old_file_without_a_response_is_refused(tmp_path):
    done = import_old(old_file(tmp_path, {}), "--result-dir", tmp_path / "results")
    assert (done.returncode, "not one response" in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "row",
    [
        1,
        {"responses": {"0.7": {"text": "x"}}},
        {"responses": {"0.7": "x"}},
        {"responses": {"0.7": [{"content": ["x"]}]}},
        {"responses": {"greedy": [{"content": "x"}]}},
    ],
)
def test_a_file_of_another_layout_is_refused(tmp_path, row):
    path = tmp_path / "x_Warmup_test.json"
    path.write_text(json.dumps({"a": row}))
    with pytest.raises(UserError, match="older layout"):
        read_old_file(path)


def test_the_demo_recipe_runs_on_a_scripted_engine_and_endpoint(tmp_path):
    engine = paper_engine(
        tmp_path,
        {"problem_id": "warmup-01", "text": "So 20."},
        {"index": 0, "text": "Hm. " * 20 + "Let me see.\n\nThe answer is 7."},
        {"text": "Hm.\n\nThe answer is 7."},
    )
    with RewritingEndpoint() as endpoint:
        environment = {"ENDPOINT": endpoint.url, "ENDPOINT_MODEL": "test-model", "MODEL": "paper"}
        flags = f"--engine scripted --engine-args {engine[-1].replace(' ', '')}"
        done = subprocess.run(
            ["bash", str(ROOT / "recipes" / "pipeline_demo.sh"), sys.executable, str(tmp_path / "out")],
            env={**os.environ, **environment, "DEMO_FLAGS": flags, "PAIR_FLAGS": "--no-llm"},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out" / "train.json").read_text())
    assert json.loads((tmp_path / "out" / "dataset_info.json").read_text())["train"]
    pairs = json.loads((tmp_path / "out" / "pairs" / "whole-conversations.json").read_text())
    assert pairs and all(len(pair["chosen"]["value"]) < len(pair["rejected"]["value"]) for pair in pairs)
