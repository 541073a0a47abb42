"""Does a run through a faulty endpoint end with exactly the wanted samples, whoever is killed meanwhile?"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from faulty_endpoint import FAULTS, FaultyEndpoint, Script
from helpers import HANG_S, ROOT, json_lines, last_line, script, wait_until

WARMUP_PROBLEMS = 40
SHARES = dict.fromkeys(FAULTS, 0.01) | {"stall": 0.002, "rate_limited_date": 0.001}


def flags_for(folder, n, *urls):
    return [
        *("--dataset", "Warmup", "--model", "openai/test-model", "--inference"),
        *("--temperatures", "0.7", "--n", str(n), "--result-dir", str(folder)),
        *("--api-base", *urls, "--request-timeout", "3"),
    ]


def samples_in(folder):
    return [line for path in folder.glob("*/samples.jsonl") for line in json_lines(path)]


def lines_in(folder):
    """How many samples are on the disk; the last one may be torn."""
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("*/samples.jsonl"))


def kill_when(folder, process, count):
    """Kill a command without warning once it has written so many samples."""
    wait_until(lambda: lines_in(folder) >= count, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run_through_faults(folder, *, n, seed=1):
    """Ask for n samples of each problem, with two kills of the client and one of the server in between."""
    total = n * WARMUP_PROBLEMS
    endpoint = FaultyEndpoint(Script(SHARES, seed=seed, service_s=0.02)).start()
    endpoint.keep = False
    command = [sys.executable, str(ROOT / "inference_and_check.py"), *flags_for(folder, n, endpoint.url)]
    dice = random.Random(seed)
    for share in (0.15, 0.4):
        endpoint.most_answered = total - 1  # so that it is not done before it is killed
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        kill_when(folder, process, int(total * (share + dice.uniform(0, 0.1))))
    endpoint.most_answered = None
    before = {(line["problem_id"], line["index"]): line for line in samples_in_torn(folder)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while lines_in(folder) < 0.7 * total and process.poll() is None:
        time.sleep(0.02)
    endpoint.stop()
    time.sleep(0.5)
    endpoint.start()
    _, errors = process.communicate(timeout=2 * HANG_S)
    endpoint.stop()
    return process.returncode, errors, before, endpoint.happened


def samples_in_torn(folder):
    """The samples of a run that was killed: what has no end is no sample."""
    for path in folder.glob("*/samples.jsonl"):
        whole = path.read_bytes().rpartition(b"\n")[0]
        (path.parent / "whole.jsonl").write_bytes(whole + b"\n")
        yield from json_lines(path.parent / "whole.jsonl")


def check_samples(folder, before, *, n):
    """Exactly one sample of each, the answer to its own prompt, and those before the kill as they were."""
    problems = {line["id"]: line for path in folder.glob("*/problems.jsonl") for line in json_lines(path)}
    samples = samples_in(folder)
    names = Counter((line["problem_id"], line["index"]) for line in samples)
    assert set(names) == {(problem_id, index) for problem_id in problems for index in range(n)}
    assert set(names.values()) == {1}
    for line in samples:
        assert line["text"] == "answer to " + problems[line["problem_id"]]["prompt"]
        known = before.get((line["problem_id"], line["index"]))
        assert known is None or known == line


def test_killed_client_and_server_and_all_faults_leave_exactly_the_wanted_samples(tmp_path):
    status, errors, before, happened = run_through_faults(tmp_path, n=8)
    assert status == 0, errors
    assert len(before) >= 0.4 * 8 * WARMUP_PROBLEMS
    check_samples(tmp_path, before, n=8)
    assert sum(happened[fault] for fault in FAULTS) > 30


def test_a_farm_of_endpoints_shares_a_run(tmp_path):
    how = Script(gathers=8, service_s=0.02)
    with FaultyEndpoint(how) as one, FaultyEndpoint(how) as other:
        with FaultyEndpoint() as third:
            pass  # it is gone before the run begins
        flags = flags_for(tmp_path, 5, f"{one.url},{third.url}", other.url)
        done = script("inference_and_check.py", *flags)
    assert done.returncode == 0, done.stderr
    assert last_line(done)["missing"] == 0
    assert min(one.most_in_flight, other.most_in_flight) >= 8


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        (Script(keys=("sk-right-1234567890",)), "accepts none of the API keys"),
        (Script(faults={"html": 1.0}), "is not an API, it answers"),
        (Script(model="another"), "does not know the model 'test-model'"),
    ],
)
def test_what_the_person_can_fix_stops_at_once_in_a_sentence(tmp_path, how, sentence):
    with FaultyEndpoint(how) as endpoint:
        done = script(
            "inference_and_check.py",
            *flags_for(tmp_path, 5, endpoint.url),
            OPENAI_API_KEY="sk-wrong-0987654321",
        )
    assert done.returncode == 2
    assert sentence in done.stderr and endpoint.url in done.stderr
    assert "wrong-0987" not in done.stderr + done.stdout
    assert len(endpoint.requests) < 40 and not samples_in(tmp_path)


def test_passwords_are_in_no_file_and_no_message(tmp_path):
    with FaultyEndpoint(Script(faults={"error_500": 0.1})) as endpoint:
        url = endpoint.url.replace("//", "//user:S3cretPw@") + "?api-version=1&sig=s3cret-sig"
        flags = (
            *flags_for(tmp_path, 1, url),
            "--limit",
            "3",
            "--header",
            "api-key=s3cret-header",
            "X-A=s3cret-a",
        )
        done = script("inference_and_check.py", *flags)
    assert done.returncode == 0, done.stderr
    [folder] = tmp_path.iterdir()
    again = script("report.py", "manifest", str(folder))
    written = "".join(path.read_text(encoding="utf-8") for path in folder.iterdir())
    for text in (done.stdout, done.stderr, again.stdout, again.stderr, written):
        assert "s3cret" not in text.lower()
    shown = endpoint.url.replace("//", "//user:***@") + "?api-version=1&sig=***"
    asked = json.loads((folder / "run.json").read_text(encoding="utf-8"))["asked"]["engine"]
    assert (asked["api_base"], asked["headers"]) == ([shown], ["api-key=***", "X-A=***"])
    assert shown in again.stdout and "api-key=***" in again.stdout


def test_a_command_with_a_password_left_out_says_where_it_belongs(tmp_path):
    done = script("inference_and_check.py", *flags_for(tmp_path, 1, "http://user:***@127.0.0.1:1/v1"))
    assert done.returncode == 2 and "write the password there" in done.stderr


def test_a_seed_that_was_not_sent_is_recorded_and_said_by_whoever_repeats_the_run(tmp_path):
    with FaultyEndpoint(Script(refused_fields=("seed",))) as endpoint:
        done = script("inference_and_check.py", *flags_for(tmp_path, 1, endpoint.url), "--limit", "3")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("refuses seed") == 1
    [folder] = tmp_path.iterdir()
    made = json.loads((folder / "run.json").read_text(encoding="utf-8"))["made_with"]
    assert made["left_out"] == ["seed"]
    again = script("report.py", "manifest", str(folder))
    assert "the endpoint of the run refused seed" in again.stdout + again.stderr


def test_a_limit_of_tokens_holds_where_the_endpoint_counts_none(tmp_path):
    with FaultyEndpoint(Script(faults={"no_usage": 1.0})) as endpoint:
        limits = ("--max-tokens", "500", "--max-tokens-total", "5000")
        done = script("inference_and_check.py", *flags_for(tmp_path, 8, endpoint.url), *limits)
    assert done.returncode == 1 and "--max-tokens-total are spent" in done.stderr
    used = sum(line["prompt_tokens"] + line["completion_tokens"] for line in samples_in(tmp_path))
    assert 2500 < used <= 5000 and len(endpoint.requests) < 320


def test_what_keeps_a_first_contact_from_working_is_exit_status_2(tmp_path):
    done = script("inference_and_check.py", *flags_for(tmp_path, 1, "https://nowhere.invalid/v1"))
    assert done.returncode == 2 and "https://nowhere.invalid/v1: the name" in done.stderr
