"""Does a command end before the time of its job, with everything that was finished kept?"""

from __future__ import annotations

import argparse
import ast
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import (
    HANG_S,
    ROOT,
    at_a_terminal,
    descendants,
    json_lines,
    own_process,
    paper_engine,
    script,
    wait_until,
)

from util.engines.deadline import KEPT, LAST_S, Deadline, end_of_job, moment
from util.engines.metered import MeteredEngine
from util.errors import UserError
from util.records import Completion, Request

COMMANDS = sorted([*ROOT.glob("*.py"), *ROOT.glob("util/*/__main__.py")])


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("2h30m", 9000), ("1d", 86400), ("1.5h", 5400), ("1d2h3m4s", 93784)]
)
def test_a_duration_counts_from_now(text, seconds):
    began = time.time()
    assert began + seconds <= moment(text) <= time.time() + seconds


def test_a_time_of_day_is_the_next_one_and_a_date_is_itself():
    began = time.time()
    assert 0 < moment("00:00") - began <= 25 * 3600
    assert moment("2126-01-02T03:04") == moment("2126-01-02 03:04:00")


@pytest.mark.parametrize(
    "text", ["soon", "2x", "25:61", "h", "2020-01-01T00:00", "0001-01-01T00:00", "", "-3h"]
)
def test_what_is_no_time_to_come_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is no time|is past"):
        moment(text)


@pytest.mark.parametrize(("said", "end"), [("", None), ("4795000000", 4795000000.0)])
def test_slurm_says_when_its_job_ends(said, end, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_END_TIME", said)
    assert end_of_job() == end
    monkeypatch.setenv("SLURM_JOB_END_TIME", "tomorrow")
    with pytest.raises(UserError, match="SLURM_JOB_END_TIME is 'tomorrow'"):
        end_of_job()


def test_a_deadline_that_is_past_is_refused():
    with pytest.raises(UserError, match="give a later --until"):
        Deadline(time.time() - 1)


def test_a_request_may_begin_while_nearly_all_so_far_would_have_ended_in_time():
    deadline = Deadline(time.time() + 1000)
    assert deadline.allows_another()  # nobody knows yet
    for seconds in [1] * 97 + [5000] * 3:
        deadline.note(seconds)
    assert deadline.allows_another()
    for _ in range(10):
        deadline.note(5000)
    assert not deadline.allows_another()


@dataclass
class OneByOne:
    """Answers each request before it asks for the next."""

    asked: int = 0

    def generate(self, requests):
        for request in requests:
            if request is not None:
                self.asked += 1
                yield request, Completion("x", None, "stop", 1, 1)

    def close(self):
        pass


def test_an_engine_is_asked_nothing_that_would_not_end_in_time():
    deadline = Deadline(time.time() + 3600)
    inner = OneByOne()
    engine = MeteredEngine(inner, deadline=deadline)
    found = []
    requests = (Request(str(n), [{"role": "user", "content": "?"}], 0.0, 0, 0, 9) for n in range(9))
    for request, _ in engine.generate(requests):
        found.append(request.problem_id)
        if len(found) == 4:
            for _ in range(KEPT):  # of earlier ones nothing is kept
                deadline.note(7200)
    assert found == ["0", "1", "2", "3"] and inner.asked == 4
    assert "a request takes about 7,200 s: run the same command again" in engine.exhausted


def test_of_short_requests_it_is_not_said_that_they_take_no_time():
    deadline = Deadline(time.time() + 3600)
    deadline.end = time.time() + deadline.last_s
    deadline.note(0.3)
    engine = MeteredEngine(OneByOne(), deadline=deadline)
    assert not list(engine.generate([Request("0", [{"role": "user", "content": "?"}], 0.0, 0, 0, 9)]))
    assert "a request takes less than a second: run the same command again" in engine.exhausted


def command(tmp_path, *flags, delay_s=600):
    """The second sample of a problem takes so long."""
    answer = {"text": "It is \\boxed{1}."}
    engine = paper_engine(tmp_path, {**answer, "index": 0}, {**answer, "delay_s": delay_s})
    where = ["--dataset", "Warmup", "--model", "m", "--limit", "2", "--result-dir", str(tmp_path / "r")]
    return [*where, "--n", "2", "--temperatures", "0.7", *engine, *flags]


def test_what_is_under_way_at_the_end_is_left_and_the_same_command_goes_on(tmp_path, monkeypatch):
    """The end comes in the middle of a request, however long the command took to get there."""
    left_s = []

    def end_comes(seconds):
        left_s.append(signal.getitimer(signal.ITIMER_REAL)[0])
        assert left_s[0] > 0, "nobody is to end this"
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        signal.pause()

    with monkeypatch.context() as patch:
        patch.setattr("util.engines.scripted.time", SimpleNamespace(sleep=lambda s: s and end_comes(s)))
        done = script("inference_and_check.py", *command(tmp_path, "--until", "1h"))
    assert done.returncode == 1, done.stderr
    assert "what was under way was left" in done.stderr and "Traceback" not in done.stderr
    assert left_s[0] <= 3600 - LAST_S
    done = own_process("inference_and_check.py", *command(tmp_path, delay_s=0))
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "r").iterdir()
    keys = [(line["problem_id"], line["index"]) for line in json_lines(folder / "samples.jsonl")]
    assert len(keys) == len(set(keys)) == 4


def test_a_signal_stops_a_command_with_everything_kept(tmp_path):
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "inference_and_check.py"), *command(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
    )
    samples = tmp_path / "r" / "m_Warmup_test_all_0_-1" / "samples.jsonl"
    wait_until(lambda: samples.exists() and b"\n" in samples.read_bytes(), process)
    process.send_signal(signal.SIGUSR1)
    _, said = process.communicate(timeout=HANG_S)
    assert process.returncode == 1 and "SIGUSR1 says that the time of this job ends" in said
    assert len(json_lines(samples)) == 1


def test_an_evaluation_that_is_told_to_stop_asks_no_judge_and_notes_what_it_took(tmp_path):
    (tmp_path / "own.jsonl").write_text(
        "".join(json.dumps({"id": name, "question": f"Why {name}?", "answer": name}) + "\n" for name in "ab")
    )
    slow = {"contains": "Why b", "text": "Because.", "delay_s": 600}
    judged = {"contains": "[", "text": "yes"}
    engine = paper_engine(tmp_path, slow, {"contains": "Why a", "text": "Because."}, judged)
    words = ["--model", "m", "--evals", tmp_path / "own.jsonl", "--grade", "judge", "--judge", "other"]
    words += ["--result-dir", tmp_path / "r", "--output-file", tmp_path / "o.json", *engine]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "eval.py"), *map(str, words)], stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: any(path.read_bytes() for path in tmp_path.glob("r/*/samples.jsonl")), process)
    process.send_signal(signal.SIGUSR1)
    _, said = process.communicate(timeout=HANG_S)
    assert process.returncode == 1 and "stopped: " in said and "asking the judge" not in said, said
    (told,) = tmp_path.glob("r/*/run.json")
    assert json.loads(told.read_text())["generation"]["generated"] == 1


def test_an_evaluation_that_is_ended_waits_for_no_program(tmp_path):
    tests = 400  # 4 s each
    problem = {"id": "a", "question": "Print.", "inputs": ["1"] * tests, "outputs": ["1"] * tests}
    (tmp_path / "own.jsonl").write_text(json.dumps(problem) + "\n")
    program = "```python\nimport time\ntime.sleep(4)\nprint(input())\n```"
    words = ["--model", "m", "--evals", tmp_path / "own.jsonl", "--result-dir", tmp_path / "r"]
    words += ["--output-file", tmp_path / "o.json", *paper_engine(tmp_path, {"text": program})]
    said = tmp_path / "said"
    with open(said, "wb") as file:
        process = subprocess.Popen([sys.executable, str(ROOT / "eval.py"), *map(str, words)], stderr=file)
    wait_until(lambda: b"100%" in said.read_bytes() and sandboxes_below(process.pid), process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=HANG_S) == 143
    assert not (tmp_path / "o.json").exists()


DEAF = """
import importlib, sys, time
import huggingface_hub
from util.cli import main
from util.data import hub

def download(*_, **__):
    print("DOWNLOADING", file=sys.stderr, flush=True)
    while True:
        try:
            time.sleep(10**6)
        except SystemExit:  # as in a client that waits outside of Python
            pass

hub.resolve = lambda *_: "0" * 40
huggingface_hub.hf_hub_download = download
script = importlib.import_module(sys.argv.pop(1))
main(script.parse, script.run)
"""


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGUSR1", 1)])
@pytest.mark.parametrize("command", ["eval", "inference_and_check"])
def test_a_signal_waits_for_no_download(tmp_path, command, name, status):
    evals = ["--evals", "math500,aime", "--output-file", tmp_path / "o.json"]
    which = evals if command == "eval" else ["--dataset", "MATH500"]
    words = ["--model", "m", *which, "--result-dir", tmp_path, *paper_engine(tmp_path, {"text": "4"})]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HOME": str(tmp_path / "hub")}
    with subprocess.Popen(
        [sys.executable, "-c", DEAF, command, *map(str, words)],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stderr is not None
            assert any("DOWNLOADING" in line for line in process.stderr)
            process.send_signal(getattr(signal, name))
            assert process.wait(timeout=HANG_S) == status
        finally:
            process.kill()


def sandboxes_below(process):
    """Which processes of the sandbox a command has started."""

    def words(number):
        try:
            return Path(f"/proc/{number}/cmdline").read_bytes()
        except OSError:  # it has ended
            return b""

    return [number for number in descendants(process) if b"zygote.main()" in words(number)]


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("SIGUSR1", 1, "stopped: SIGUSR1 says"),
        ("SIGTERM", 143, "terminated: what"),
        ("SIGINT", 130, "interrupted: what"),
    ],
)
@pytest.mark.parametrize("command", [["report.py"], ["-m", "util.runs"]])
def test_a_signal_that_comes_before_the_flags_are_read_is_not_lost(tmp_path, command, name, status, words):
    """Sent by the first module that is imported, which the folder of the test lends its name to."""
    (tmp_path / "argparse.py").write_text(
        f"import os, signal, sys\nos.kill(os.getpid(), signal.{name})\n"
        "sys.path.remove(os.path.dirname(__file__))\ndel sys.modules['argparse']\n"
        "sys.modules['argparse'] = __import__('argparse')\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", *command, "--help"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        preexec_fn=at_a_terminal,
    )
    assert done.returncode == status and done.stderr.startswith(words), done.stderr
    assert not done.stdout


def test_a_time_that_ends_while_a_finished_command_goes_leaves_it_its_status():
    program = """
import argparse, os, signal
from util.cli import main
class Late:
    def __del__(self, kill=os.kill, late=(signal.SIGALRM, signal.SIGUSR1), process=os.getpid()):
        for name in late:
            kill(process, name)
late = Late()
main(lambda argv: argparse.Namespace(until=9e9), lambda args: 0)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_holds_signals_before_it_imports_anything(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstring, future, first, *_ = (ast.unparse(node) for node in tree.body)
    assert future.startswith("from __future__") and docstring
    assert first == "if __name__ == '__main__':\n    from util import hold_signals\n    hold_signals()"


def test_a_time_that_is_past_is_refused_in_one_line(tmp_path, monkeypatch):
    done = script("inference_and_check.py", *command(tmp_path, "--until", "2020-01-01T00:00"))
    assert done.returncode == 2 and "is past" in done.stderr
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1000")
    done = script("inference_and_check.py", *command(tmp_path))
    assert done.returncode == 2 and "SLURM_JOB_END_TIME says that the job ended at" in done.stderr
    assert json.dumps(done.stderr).count("\\n") == 1
