"""Does inference_and_check.py do what its user expects? The engine is of paper, everything else is real."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from faulty_endpoint import FaultyEndpoint, Script
from helpers import (
    HANG_S,
    ROOT,
    at_a_terminal,
    here,
    json_lines,
    last_line,
    own_process,
    paper_engine,
    script,
    wait_until,
)
from test_eval import small_hub

import eval as eval_script
import inference_and_check
from util.generation.benchmark import about_few_samples
from util.generation.judging import Grading

WARMUP = ["--dataset", "Warmup", "--model", "paper"]
ANSWER = {"text": "The answer is 7."}


@pytest.fixture
def run(tmp_path):
    """Run inference_and_check.py on Warmup with an engine that always answers 7."""
    engine = paper_engine(tmp_path, ANSWER)

    def start(*flags, engine=engine):
        return script("inference_and_check.py", *WARMUP, "--result-dir", tmp_path / "r", *engine, *flags)

    return start


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "r" / "paper_Warmup_test_all_0_-1"


def test_one_command_generates_grades_and_reports(run, folder):
    done = run("--n", 2, "--temperatures", 0.7)
    assert done.returncode == 0, done.stderr
    numbers = last_line(done)["temperatures"]["0.7"]
    assert (numbers["samples"], numbers["problems"], numbers["judged"]) == (80, 40, 80)
    assert 0 < numbers["correct"] < 80 and numbers["share_of_samples"] == numbers["correct"] / 80
    assert f"{numbers['correct']} of 80" in done.stderr
    verdicts = json_lines(folder / "verdicts.jsonl")
    assert all(verdict["verdict"]["extracted"] == "7" for verdict in verdicts)
    assert all(verdict["verdict"]["grader"] for verdict in verdicts)


def test_generating_today_and_grading_tomorrow_gives_the_same_numbers_as_both_at_once(run, tmp_path):
    assert run("--inference").returncode == 0
    later = last_line(run("--check"))
    both = last_line(run("--result-dir", tmp_path / "other"))
    assert later["temperatures"] == both["temperatures"]


def test_the_bar_names_the_benchmark_and_says_how_many_are_right_so_far(tmp_path, monkeypatch, capsys):
    def offer(self, sample, offset, offered=Grading.offer):
        offered(self, sample, offset)
        self.collect(block=True)  # as if each were graded before the next one comes

    monkeypatch.setattr(Grading, "offer", offer)
    flags = [*WARMUP, "--result-dir", str(tmp_path), "--limit", "4", *paper_engine(tmp_path, ANSWER)]
    assert inference_and_check.run(inference_and_check.parse(flags)) == 0
    said = capsys.readouterr()
    right = json.loads(said.out)["temperatures"]["0"]["correct"]
    bar = next(line for line in said.err.replace("\r", "\n").split("\n") if line.startswith("Warmup: 100%"))
    assert f", {25 * right}.0 % of 4 judged, " in bar
    again = [*flags, "--check", "--regrade"]
    assert inference_and_check.run(inference_and_check.parse(again)) == 0
    assert f", {25 * right}.0 % of 4 judged, " in capsys.readouterr().err


def test_a_check_of_fewer_samples_grades_and_reports_these_and_says_that_there_are_more(run, folder):
    run("--inference", "--n", 4, "--temperatures", 0.7)
    done = run("--check", "--n", 2)
    assert done.returncode == 0 and last_line(done)["temperatures"]["0.7"]["samples"] == 80
    assert "80 further samples of the folder are neither graded nor counted here" in done.stderr
    assert len(json_lines(folder / "verdicts.jsonl")) == 80
    for flags in ((), ("--n", 4), ("--n", 9)):
        done = run("--check", *flags)
        assert last_line(done)["temperatures"]["0.7"]["samples"] == 160 and "further" not in done.stderr
    whole = json.loads((folder / "run.json").read_text())["summary"]
    assert last_line(run("--check", "--n", 1))["temperatures"]["0.7"]["samples"] == 40
    assert json.loads((folder / "run.json").read_text())["summary"] == whole
    assert len(json_lines(folder / "verdicts.jsonl")) == 160


def test_a_finished_command_generates_nothing_and_prints_the_same_numbers(run, folder):
    first = run("--n", 2, "--temperatures", 0.7)
    before = (folder / "samples.jsonl").read_bytes()
    second = run("--n", 2, "--temperatures", 0.7)
    assert last_line(first) == last_line(second) and (folder / "samples.jsonl").read_bytes() == before
    assert "nothing to generate" in second.stderr


def test_more_samples_and_a_further_temperature_add_only_what_is_missing(run, folder):
    run("--n", 2, "--temperatures", 0.7, "--limit", 5)
    before = (folder / "samples.jsonl").read_bytes()
    done = run("--n", 3, "--temperatures", 0.7, 1.0, "--limit", 5)
    after = (folder / "samples.jsonl").read_bytes()
    assert after.startswith(before) and len(json_lines(folder / "samples.jsonl")) == 5 * 3 + 5 * 3
    assert list(last_line(done)["temperatures"]) == ["0.7", "1"]


def test_both_spellings_of_a_flag_are_one_flag(run):
    done = run("--max_tokens=100", "--limit", 1)
    assert done.returncode == 0, done.stderr
    assert run("--max-tokens", 100, "--limit", 1).returncode == 0
    assert run("--max_tokens", 101, "--limit", 1).returncode == 2


def test_another_setting_is_refused_and_a_fresh_folder_can_be_asked_for(run, folder):
    run("--limit", 1)
    refused = run("--limit", 1, "--seed", 5)
    assert refused.returncode == 2 and "seed = 0, this command says 5" in refused.stderr
    fresh = run("--limit", 1, "--seed", 5, "--overwrite-settings")
    assert fresh.returncode == 0 and folder.with_name(folder.name + "-2").is_dir()


def test_arguments_of_the_chat_template_are_a_setting_of_the_run(run, tmp_path):
    def thinking(is_on):
        where = {"script": str(tmp_path / "script.jsonl"), "chat_template_kwargs": {"enable_thinking": is_on}}
        return ["--engine", "scripted", "--engine-args", json.dumps(where)]

    assert run("--limit", 1, engine=thinking(True)).returncode == 0
    assert run("--limit", 1, engine=thinking(True)).returncode == 0
    refused = run("--limit", 1, engine=thinking(False))
    assert refused.returncode == 2 and "chat_template_kwargs = {'enable_thinking': True}" in refused.stderr


def test_one_sample_each_of_few_problems_is_said_to_be_little():
    assert "±15 points" in about_few_samples(40, 1)
    assert not about_few_samples(40, 4) and not about_few_samples(100, 1) and not about_few_samples(0, 1)


def test_greedy_decoding_asks_once_and_says_so(run, folder):
    done = run("--n", 4, "--limit", 3)
    assert "greedy" in done.stderr and len(json_lines(folder / "samples.jsonl")) == 3


def test_a_failed_request_is_counted_never_stored_and_asked_again(run, tmp_path, folder):
    broken = paper_engine(tmp_path, {"contains": "Answer", "index": 0, "fail": "it is late"})
    done = run("--limit", 3, engine=broken)
    assert done.returncode == 1 and "3 of 3 requests failed" in done.stderr and "it is late" in done.stderr
    assert last_line(done)["missing"] == 3 and json_lines(folder / "samples.jsonl") == []
    # another script is another set of engine arguments, not another run
    done = run("--limit", 3, engine=paper_engine(tmp_path, ANSWER))
    assert done.returncode == 0 and len(json_lines(folder / "samples.jsonl")) == 3


def test_an_engine_that_dies_keeps_what_is_finished(run, tmp_path, folder):
    dying = paper_engine(tmp_path, {"problem_id": "warmup-05", "stop": "the engine died"}, ANSWER)
    done = run(engine=dying)
    assert done.returncode == 1 and "the engine died" in done.stderr
    kept = (folder / "samples.jsonl").read_bytes()
    assert kept
    done = run(engine=paper_engine(tmp_path, ANSWER))
    assert done.returncode == 0 and (folder / "samples.jsonl").read_bytes().startswith(kept)


def test_undecided_samples_are_told_with_what_they_could_add(run, tmp_path):
    cases = {"text": r"So \boxed{1 if n is odd and 5 otherwise}."}
    engine = paper_engine(tmp_path, {"index": 0, **cases}, {"text": "The answer is 7."})
    done = run("--n", 2, "--temperatures", 1, "--limit", 4, engine=engine)
    numbers = last_line(done)["temperatures"]["1"]
    assert (numbers["undecided"], numbers["judged"]) == (4, 8)
    assert numbers["share_of_samples_up_to"] == numbers["share_of_samples"] + 0.5
    upper = f"{100 * numbers['share_of_samples_up_to']:.1f}"
    assert f" (up to {upper}: 4 undecided) [" in done.stderr


def test_a_check_judges_again_what_the_grader_failed_on_and_says_how_many(run, folder):
    first = run("--limit", 3)
    lines = json_lines(folder / "verdicts.jsonl")
    for line in lines[:2]:
        line["verdict"] |= {"correct": False, "reason": "grader_error", "extracted": None}
    (folder / "verdicts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    checked = run("--limit", 3, "--check")
    assert "2 samples are judged again: the grader failed or had no time" in checked.stderr
    assert last_line(checked)["temperatures"] == last_line(first)["temperatures"]
    assert len(json_lines(folder / "verdicts.jsonl")) == 5
    assert "judged again" not in run("--limit", 3, "--check").stderr


def test_verdicts_that_were_made_with_other_flags_stay_with_a_word_unless_all_are_judged_again(run):
    run("--limit", 2, "--no-symbolic")
    words = "made with symbolic engine = False, this command says True"
    for _ in range(2):
        assert words in " ".join(run("--limit", 2, "--check").stderr.split())
    assert "WARNING" not in run("--limit", 2, "--check", "--regrade").stderr
    assert "WARNING" not in run("--limit", 2, "--check").stderr


ENDLESS_CHECK = """
import time
import inference_and_check
from util.cli import main
from util.runs.folder import Run

write = Run.add_verdict_lines

def all_but_the_last(run, lines):
    write(run, lines)
    while (run.folder / "verdicts.jsonl").read_bytes().count(b"\\n") > 900:
        time.sleep(1)

Run.add_verdict_lines = all_but_the_last
main(inference_and_check.parse, inference_and_check.run)
"""


def test_a_check_that_is_killed_at_any_moment_goes_on_where_it_was_and_judges_nothing_twice(run, folder):
    flags = ("--n", 25, "--temperatures", 0.7)
    assert run(*flags, "--inference").returncode == 0
    command = [sys.executable, "-c", ENDLESS_CHECK, *WARMUP, "--check", "--result-dir", str(folder.parent)]
    verdicts = folder / "verdicts.jsonl"
    for share in (1, 200, 40_000, 100_000):
        enough = verdicts.stat().st_size + share
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and verdicts.stat().st_size < enough:
            if verdicts.read_bytes().count(b"\n") > 900:
                break
            time.sleep(0.0005)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    numbers = last_line(run("--check"))["temperatures"]["0.7"]
    assert (numbers["judged"], numbers["samples"]) == (1000, 1000)
    lines = json_lines(verdicts)
    assert len(lines) == len({(line["problem_id"], line["index"]) for line in lines}) == 1000
    run("--check", "--regrade")
    assert len(json_lines(verdicts)) == 2000
    assert last_line(run("--check"))["temperatures"]["0.7"] == numbers


def test_a_line_that_is_damaged_behind_its_beginning_is_refused_with_its_number(run, folder):
    assert run("--limit", 3, "--inference").returncode == 0
    lines = (folder / "samples.jsonl").read_bytes().split(b"\n")
    lines[1] = lines[1].replace(b"The answer", b'The "answer')
    (folder / "samples.jsonl").write_bytes(b"\n".join(lines))
    done = run("--check")
    assert done.returncode == 2 and "samples.jsonl: line 2 is damaged" in done.stderr
    assert "Traceback" not in done.stderr


def test_truncated_samples_are_told_apart_from_samples_without_answer(run, tmp_path):
    engine = paper_engine(
        tmp_path,
        {"index": 0, "text": "Let me think about it", "finish_reason": "length"},
        {"index": 1, "text": "I do not know."},
        {"index": 2, "text": "", "finish_reason": "prompt_too_long"},
    )
    done = run("--n", 3, "--temperatures", 1, "--limit", 4, engine=engine)
    numbers = last_line(done)["temperatures"]["1"]
    assert numbers["truncated"] == 8 and numbers["no_answer"] == 4 and numbers["share_of_samples"] == 0


def test_killed_at_any_moment_a_run_ends_with_exactly_the_wanted_samples(tmp_path, folder):
    engine = paper_engine(tmp_path, {**ANSWER, "delay_s": 0.01})
    command = [sys.executable, str(ROOT / "inference_and_check.py"), *WARMUP, *engine]
    command += ["--result-dir", str(tmp_path / "r"), "--n", "5", "--temperatures", "0.7"]
    rng = random.Random(0)
    kept = b""
    for _ in range(4):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        aim = len(kept) + rng.randrange(200, 8000)
        samples = folder / "samples.jsonl"
        while process.poll() is None and not (samples.exists() and samples.stat().st_size >= aim):
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        now = samples.read_bytes()
        assert now.startswith(kept)
        kept = now[: now.rfind(b"\n") + 1]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (folder / "samples.jsonl").read_bytes().startswith(kept)
    keys = [(line["problem_id"], line["index"]) for line in json_lines(folder / "samples.jsonl")]
    assert len(keys) == len(set(keys)) == 200
    assert last_line(done)["temperatures"]["0.7"]["judged"] == 200


def test_ctrl_c_keeps_what_is_finished_and_exits_130(tmp_path, folder):
    engine = paper_engine(tmp_path, {**ANSWER, "problem_id": "warmup-01"}, {**ANSWER, "delay_s": HANG_S})
    command = [sys.executable, str(ROOT / "inference_and_check.py"), *WARMUP, *engine]
    command += ["--result-dir", str(tmp_path / "r")]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=at_a_terminal
    )
    samples = folder / "samples.jsonl"
    wait_until(lambda: samples.exists() and samples.stat().st_size, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=HANG_S)
    assert process.returncode == 130 and "interrupted" in errors and "Traceback" not in errors
    assert json_lines(folder / "samples.jsonl")


BAD_INPUT = [
    (["--dataset", "MATH50"], "did you mean MATH500"),
    (["--n", "-3"], "-3 is too small"),
    (["--n", "many"], "many"),
    (["--start", "9", "--end", "4"], "--start 9 and --end 4 select no rows"),
    (["--start", "4", "--end", "4"], "--end is the row after the last one, at least 5 here"),
    (["--start", "-1"], "-1 is too small"),
    (["--end", "-2"], "-2 selects no rows"),
    (["--end", "0"], "0 selects no rows"),
    (["--source", "algebra"], "--source algebra"),
    (["--split", "dev"], "'dev'"),
    (["--temperatures", "-1"], "-1 is not between 0 and 10"),
    (["--engine-args", "{max: 3}"], "is not JSON"),
    (["--logit-bias", "[1]"], "not a JSON object such as '{\"50256\": -100}'"),
    (["--engine", "tgi"], "tgi"),
    (["--engine", "vllm", "--header", "a=b"], "--header is for endpoints, and --model"),
    (["--engine", "vllm", "--api-base", "http://127.0.0.1:9"], "--api-base is for endpoints"),
    (["--engine", "ray", "--keys", "keys.txt"], "--keys is for endpoints"),
    (["--engine", "vllm", "--rpm", "3"], "--rpm is for endpoints"),
    (["--batch"], "runs here: name the model openai/NAME"),
    (["--model", "openai/m", "--engine", "vllm", "--batch"], "runs here: leave --engine vllm out"),
    (["--thinking", "off", "--thinking-budget", "9"], "--thinking off asks for no thought"),
    (["--system-prompt", "no_such_prompt"], "no_such_prompt"),
    (["--no-such-flag"], "--no-such-flag"),
    (["--start", "40"], "--start 40 is past the last of the 40 rows"),
    (["--filter-difficulty", "--math-difficulty-lower-bound", "9"], "no difficulty labels"),
    (["--math-difficulty-upper-bound", "9"], "without --filter-difficulty"),
    (["--math-difficulty-upper-bound", "nan"], "nan is not between 0 and 10"),
    (["--top-p", "0"], "0 is not above 0"),
    (["--top-k", "-2"], "-2 is too small"),
    (["--stop", "###", ""], "the text is empty"),
    (["--model", ""], "the text is empty"),
    (["--model", "m" * 300], "File name too long; choose another --result-dir"),
    (["--system-prompt", "You are helpful. " * 20], "no prompt named 'You are helpful."),
    (["--dataset", "MATH500", "--data-dir", "d" * 300], "--data-dir has no HuggingFaceH4/MATH-500"),
]


@pytest.mark.parametrize(("flags", "words"), BAD_INPUT, ids=[" ".join(flags) for flags, _ in BAD_INPUT])
def test_bad_input_gets_one_clear_sentence_and_exit_status_2(run, flags, words):
    done = run(*flags)
    assert done.returncode == 2 and words in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.strip().splitlines()) <= 2


def test_a_system_prompt_that_is_no_text_is_named(run, tmp_path):
    (tmp_path / "prompt").write_bytes(b"caf\xe9")
    done = run("--system-prompt", tmp_path / "prompt")
    assert done.returncode == 2 and f"{tmp_path}/prompt cannot be read as a text file" in done.stderr


def test_bounds_that_cross_are_refused_before_anything_is_fetched(tmp_path):
    bounds = ["--math-difficulty-lower-bound", "9", "--math-difficulty-upper-bound", "4"]
    flags = [
        "--dataset",
        "NUMINA",
        "--model",
        "paper",
        "--result-dir",
        tmp_path,
        "--filter-difficulty",
        *bounds,
    ]
    done = script("inference_and_check.py", *flags, HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 2 and "lower difficulty bound 9 is above the upper bound 4" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_command_that_failed_before_its_first_sample_binds_nobody(run, tmp_path, folder):
    dying = paper_engine(tmp_path, {"stop": "out of memory"})
    assert run("--max-tokens", 100, engine=dying).returncode == 1
    done = run("--max-tokens", 50, "--limit", 2, engine=paper_engine(tmp_path, ANSWER))
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "run.json").read_text())["settings"]["max_tokens"] == 50
    assert len(json_lines(folder / "problems.jsonl")) == 2 and run("--max-tokens", 100).returncode == 2


def test_the_grading_bar_ends_when_all_is_graded(run):
    assert run("--inference").returncode == 0
    assert "grading: 100%" in run("--check").stderr.replace("\r", "\n")


@pytest.mark.engine
def test_a_missing_model_folder_is_named(tmp_path):
    flags = ["--dataset", "Warmup", "--model", "/no/such/model", "--result-dir", tmp_path]
    done = own_process("inference_and_check.py", *flags)
    assert done.returncode == 2 and "/no/such/model" in done.stderr and "Traceback" not in done.stderr


def test_an_unwritable_result_folder_is_named(run, tmp_path):
    (tmp_path / "file").write_text("no folder")
    done = run("--result-dir", tmp_path / "file")
    assert done.returncode == 2 and "choose another --result-dir" in done.stderr


def test_checking_a_run_that_is_not_there_says_what_to_do(run):
    done = run("--check")
    assert done.returncode == 2 and "generate first" in done.stderr


def test_a_damaged_middle_line_is_refused_with_its_number(run, folder):
    run("--limit", 3)
    lines = (folder / "samples.jsonl").read_bytes().split(b"\n")
    (folder / "samples.jsonl").write_bytes(b"\n".join([lines[0], lines[1][:30], lines[2], b""]))
    done = run("--limit", 3)
    assert done.returncode == 2 and "samples.jsonl: line 2 is damaged" in done.stderr


def test_a_sample_of_a_problem_that_the_folder_lacks_is_named_before_anything_is_asked(run, folder):
    run("--limit", 1)
    samples = folder / "samples.jsonl"
    known = samples.read_text()
    samples.write_text(known + known.replace(json.loads(known)["problem_id"], "another"))
    before = samples.read_bytes()
    done = run("--limit", 3)
    assert done.returncode == 2 and "a sample of 'another', which problems.jsonl does not name" in done.stderr
    assert samples.read_bytes() == before


def test_flags_can_come_from_a_file(run, tmp_path, folder):
    (tmp_path / "flags").write_text("--n 2\n--temperatures 0.7  # warm\n--stop 'the end'\n")
    assert run("--limit", 2, f"@{tmp_path / 'flags'}").returncode == 0
    assert json.loads((folder / "run.json").read_text())["settings"]["stop"] == ["the end"]


def test_the_run_says_what_it_was_made_of(run, folder):
    run("--limit", 2)
    info = json.loads((folder / "run.json").read_text())
    assert info["schema"] == 1 and info["dataset"]["revision"] and info["dataset"]["rows"] >= 2
    assert info["made_with"]["python"] and info["summary"]["0"]["samples"] == 2


def test_a_second_writer_is_refused_while_the_first_goes_on(tmp_path, folder):
    engine = paper_engine(tmp_path, {**ANSWER, "delay_s": HANG_S})
    flags = [*WARMUP, "--result-dir", str(tmp_path / "r"), *engine]
    first = subprocess.Popen(
        [sys.executable, str(ROOT / "inference_and_check.py"), *flags],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ,
    )
    try:
        wait_until((folder / "samples.jsonl").exists, first)
        second = script("inference_and_check.py", *flags)
        assert second.returncode == 2 and f"process {first.pid}" in second.stderr
    finally:
        first.kill()
        first.wait()


@pytest.mark.parametrize("flags", [("--ray-address", "node1:6379"), ("--replicas", "2")])
def test_flags_for_a_cluster_are_refused_without_the_engine_that_uses_one(run, flags):
    done = run(*flags)
    assert done.returncode == 2
    assert flags[0] in done.stderr and "--engine ray" in done.stderr and "Traceback" not in done.stderr


def test_a_folder_that_another_command_made_meanwhile_keeps_its_settings(run, folder, monkeypatch):
    """Between looking for the folder and locking it, a faster command may have filled it."""
    import inference_and_check
    from util.errors import UserError
    from util.generation import benchmark

    run("--limit", 1)
    before = (folder / "run.json").read_bytes()
    args = inference_and_check.parse(
        [*WARMUP, "--result-dir", str(folder.parent), "--seed", "5", "--limit", "1"]
    )
    monkeypatch.setattr(benchmark, "find_run", lambda *_, **__: folder)
    with pytest.raises(UserError, match="has just been made with other settings"):
        inference_and_check.run(args)
    assert (folder / "run.json").read_bytes() == before


def test_grading_leaves_what_was_asked_as_it_was(run, folder):
    run("--inference", "--limit", 2, "--temperatures", 0.7, "--n", 2)
    info = json.loads((folder / "run.json").read_text())
    info["asked"]["system_prompt_from"] = None  # as earlier versions wrote it
    (folder / "run.json").write_text(json.dumps(info))
    done = run("--check", "--system-prompt", "none")
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "run.json").read_text())["asked"] == info["asked"]


def test_further_samples_leave_how_the_lack_of_a_system_message_was_noted(run, folder):
    run("--limit", 2, "--temperatures", 0.7)
    info = json.loads((folder / "run.json").read_text())
    info["asked"]["system_prompt_from"] = None
    (folder / "run.json").write_text(json.dumps(info))
    run("--limit", 2, "--temperatures", 0.7, "--n", 2, "--system-prompt", "none")
    assert json.loads((folder / "run.json").read_text())["asked"] == {
        **info["asked"],
        "n": 2,
        "at": {"0.7": [[2, 2]]},
    }


REFUSED_COMMANDS = {
    "inference_and_check.py": [
        "--model",
        "m",
        "--dataset",
        "AIME",
        "--data-dir",
        "nope",
        "--result-dir",
        "a/b",
    ],
    "eval.py": ["--model", "m", "--evals", "Nope", "--output-file", "o.json", "--result-dir", "a/b"],
    "convert_format.py": ["--input_dir", "nope"],
    "convert_to_data.py": ["--input_dir", "nope", "--output", "a/b.json"],
    "label_math_difficulty.py": ["--source", "math", "--data-dir", "nope", "--output-dir", "a/b"],
    "response_rewrite.py": ["--dataset", "nope", "--target-model", "m", "--result-dir", "a/b"],
    "report.py": ["nope", "-o", "page.html"],
}


@pytest.mark.parametrize("name", REFUSED_COMMANDS)
def test_a_refused_command_leaves_nothing_behind(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert own_process(name, *REFUSED_COMMANDS[name]).returncode == 2
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("flags", [[], ["--shard", "2/3"]])
def test_a_command_whose_engine_cannot_be_opened_leaves_no_run_behind(tmp_path, flags, left):
    results = tmp_path / "a" / "b"
    words = ["--dataset", "Warmup", "--model", "paper", "--limit", 2, "--result-dir", results, "--inference"]
    if left:  # by one that failed, under other settings
        died = here(
            inference_and_check, *words, "--seed", 7, *paper_engine(tmp_path, {"stop": "out of memory"})
        )
        assert died.returncode == 1 and list(results.rglob("run.json"))
    missing = json.dumps({"script": str(tmp_path / "nope")})
    done = here(inference_and_check, *words, *flags, "--engine", "scripted", "--engine-args", missing)
    assert done.returncode == 2 and "cannot read the script" in done.stderr
    assert not list(results.glob("*"))
    assert left or not (tmp_path / "a").exists()


def test_an_evaluation_whose_engine_cannot_be_opened_leaves_no_run_behind(tmp_path):
    small_hub(tmp_path)
    words = ["--model", "m", "--evals", "math500", "--data-dir", tmp_path / "hub", "--engine", "scripted"]
    words += ["--engine-args", json.dumps({"script": str(tmp_path / "nope")})]
    done = here(eval_script, *words, "--output-file", tmp_path / "o.json", "--result-dir", tmp_path / "runs")
    assert done.returncode == 2 and "cannot read the script" in done.stderr
    assert not list(tmp_path.rglob("run.json")) and not list(tmp_path.rglob("problems.jsonl"))


def test_a_check_that_finds_a_run_without_samples_says_so_and_keeps_it(tmp_path, folder):
    words = [*WARMUP, "--result-dir", tmp_path / "r"]
    died = here(inference_and_check, *words, "--inference", *paper_engine(tmp_path, {"stop": "no memory"}))
    assert died.returncode == 1
    done = here(inference_and_check, *words, "--check")
    assert done.returncode == 2 and f"{folder} has no samples: generate first" in " ".join(
        done.stderr.split()
    )
    assert (folder / "run.json").exists()


@pytest.mark.parametrize("flags", [[], ["--shard", "2/3"]])
def test_what_a_refused_command_would_have_asked_is_not_missing_afterwards(run, tmp_path, folder, flags):
    assert run("--temperatures", 0.7, "--n", 2).returncode == 0
    before = json.loads((folder / "run.json").read_text())
    missing = ["--engine", "scripted", "--engine-args", json.dumps({"script": str(tmp_path / "nope")})]
    words = [*WARMUP, "--temperatures", "0.7", "--result-dir", folder.parent, *flags]
    assert here(inference_and_check, *words, "--n", 5, *missing).returncode == 2
    after = json.loads((folder / "run.json").read_text())
    assert after["asked"] == before["asked"] and after["grading"] == before["grading"]


def test_a_refused_command_takes_nothing_away_that_was_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "kept").write_text("x")
    assert script("response_rewrite.py", *REFUSED_COMMANDS["response_rewrite.py"]).returncode == 2
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["kept"]


def test_a_request_that_the_endpoint_refuses_is_not_called_retryable(run, tmp_path):
    with FaultyEndpoint(Script(refuse_containing="Answer")) as endpoint:
        flags = ["--engine", "openai", "--api-base", endpoint.url, "--model", "openai/test-model"]
        done = run("--inference", "--limit", 2, engine=flags)
    assert done.returncode == 1
    assert "HTTP 400: This prompt is against our policy" in done.stderr
    assert "change or leave out the setting" in done.stderr and "retries" not in done.stderr
