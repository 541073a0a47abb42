"""Do trainers get the verdicts of --check as rewards, whatever they send and wherever they load the file?"""

import http.client
import io
import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from helpers import HANG_S, ROOT, descendants, is_running, wait_until

import rewards
from tasks import FILES, load_task
from util.errors import UserError
from util.grading.code import grade_code
from util.grading.reward_service import answer_lines
from util.grading.rewards import BadCall, Call, Kind, RewardGrader, answer_of, read_call
from util.machines.versions import suite_version
from util.records import BY_THE_CLOCK, Problem, as_finished

DOUBLE = "```python\nprint(int(input()) * 2)\n```"
TESTS = json.dumps({"inputs": ["2\n", "3\n"], "outputs": ["4\n", "6\n"]})
ASSERTED = json.dumps({"setup": "", "test": "assert f(1) == 1", "entry_point": "f"})
CALLED = json.dumps({"inputs": [[1]], "outputs": [[1]], "fn_name": "f"})
ASLEEP = """
import time
def f(x):
    time.sleep(99)
if __name__ == "__main__":
    f(int(input()))"""
LIVE = {
    "public_test_cases": json.dumps([{"input": "2", "output": "4", "testtype": "stdin"}]),
    "metadata": "{}",
    "private_test_cases": json.dumps([{"input": "5", "output": "10", "testtype": "stdin"}]),
}
# A trainer: a script without a main guard, in another folder, with another package called util.
TRAINER = r"""
import importlib.util, json, os, sys, threading, asyncio
import util
assert util.IS_ANOTHER
spec = importlib.util.spec_from_file_location("reward_file", sys.argv[1])
rewards = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rewards)
options = {"workers": 1}
nested = last = []
for _ in range(200_000):
    last.append([])
    last = last[0]
circle = []
circle.append(circle)

def score(*call, **more):
    return rewards.compute_score(*call, **options, **more)

found = {
    "right": score("AI-MO/NuminaMath-CoT", r"so \boxed{\frac12}", "0.5", {"index": 3}),
    "wrong": score("maths", r"\boxed{3}", "4"),
    "undecided": score("maths", r"\boxed{3}", "see the proof above", undecided=-0.5),
    "number": score("number", "it is 42 apples", "42"),
    "letter": score("Idavidrein/gpqa", r"\boxed{B}", "B"),
    "code": score("codeparrot/apps", sys.argv[2], sys.argv[3]),
    "wrong code": score("code", "```python\nprint(1)\n```", sys.argv[3]),
    "unknown task": score("who/knows", "1", "1"),
    "no task": score(None, "1", "1"),
    "nothing": score(None, None, None),
    "no truth": score("maths", "1", None),
    "an empty truth": score("maths", "1", " "),
    "a number as solution": score("maths", 5, "1"),
    "a nested list": score("maths", nested, "1"),
    "a circle": score("maths", circle, "1"),
    "an object as truth": score("maths", "1", object()),
    "10 MB": score("maths", "word " * 2_000_000, "1"),
    "no facts": score("maths", r"\boxed{1}", "1", "facts"),
    "messages": score("maths", [{"role": "assistant", "content": r"\boxed{1}"}], 1),
    "half a character": score("maths", "\ud800 \boxed{1}", "1"),
}
threads, results = [], {}
def call(number):
    for _ in range(20):
        results[number] = score("maths", rf"\boxed{{{number}}}", str(number % 8))["score"]
for number in range(16):
    threads.append(threading.Thread(target=call, args=(number,)))
    threads[-1].start()
for thread in threads:
    thread.join()
found["threads"] = [results[number] for number in range(16)]

async def together():
    calls = (rewards.compute_score_async("maths", rf"\boxed{{{n}}}", "1", **options) for n in range(4))
    return [one["score"] for one in await asyncio.gather(*calls)]

found["asyncio"] = asyncio.run(together())
column = {"ground_truth": ["1", "2", "3", None], "task": ["NUMINA"] * 4}
said = [r"\boxed{1}", [{"role": "assistant", "content": r"\boxed{5}"}], "so x = 3", 5]
ids = [[1], [1], [1] * 9, [1]]
found["grpo"] = rewards.grpo_reward(prompts=said, completions=said, completion_ids=ids, **column, **options)
cut = rewards.grpo_reward(completions=said, completion_ids=ids, max_completion_tokens=9, **column, **options)
found["grpo, cut off"] = cut
found["grpo, nothing"] = rewards.grpo_reward(prompts=None, completions=None, **column, **options)
read, write = os.pipe()
child = os.fork()
if not child:
    os.close(read)
    os.write(write, json.dumps(score("maths", r"\boxed{1}", "1")["score"]).encode())
    os._exit(0)
os.close(write)
found["forked"] = json.loads(os.read(read, 100))
os.waitpid(child, 0)
print(json.dumps(found), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    """What a trainer got, what its log says, and the processes that outlived its kill -9."""
    folder = tmp_path_factory.mktemp("trainer")
    (folder / "util").mkdir()
    (folder / "util" / "__init__.py").write_text("IS_ANOTHER = True\n")
    (folder / "train.py").write_text(TRAINER)
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "train.py", str(ROOT / "rewards.py"), DOUBLE, TESTS],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        found = json.loads(process.stdout.readline() or "{}")
        below = descendants(process.pid)
        process.kill()
        process.communicate()
    return found, (folder / "log").read_text(), below


def test_a_trainer_gets_the_verdicts_of_the_suite(trainer):
    found, log, _ = trainer
    assert found, log
    one = {"right", "number", "letter", "code", "messages", "no facts", "half a character"}
    for name in one:
        assert (found[name]["score"], found[name]["undecided"]) == (1.0, 0.0), (name, found[name])
    for name in ("wrong", "wrong code"):
        assert (found[name]["score"], found[name]["undecided"]) == (0.0, 0.0), (name, found[name])
    assert (found["10 MB"]["score"], found["10 MB"]["reason"]) == (0.0, "no_answer")
    assert found["wrong code"]["reason"] == "wrong_output"
    assert {answer["suite"] for name, answer in found.items() if name in one} == {suite_version()}
    assert found["right"]["grader"].startswith("maths-") and found["code"]["grader"].startswith("code-")


def test_undecided_is_what_the_caller_says(trainer):
    found, _, _ = trainer
    undecided = found["undecided"]
    assert (undecided["score"], undecided["undecided"], undecided["reason"]) == (-0.5, 1.0, "undecided")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("unknown task", "unknown task: who/knows"),
        ("no task", "unknown task: none was named"),
        ("nothing", "the solution is missing"),
        ("no truth", "the ground truth is missing"),
        ("an empty truth", "there is no ground truth"),
        ("a number as solution", "the solution is 5"),
        ("a nested list", "the call is no JSON"),
        ("a circle", "the call is no JSON"),
        ("an object as truth", "the call is no JSON"),
    ],
)
def test_a_call_that_cannot_be_graded_has_a_value_and_a_reason(trainer, name, told):
    found, log, _ = trainer
    assert (found[name]["score"], found[name]["undecided"]) == (0.0, 1.0)
    assert found[name]["reason"] == "bad_call" and told in found[name]["detail"]
    assert "no verdict (bad_call, 1 so far): unknown task: who/knows" in log
    assert "(bad_call, 8 so far)" in log and "(bad_call, 9 so far)" not in log


def test_rewards_work_in_threads_in_asyncio_and_in_a_forked_child(trainer):
    found, log, _ = trainer
    assert "Traceback" not in log and "graders ended" not in log
    assert found["threads"] == [1.0] * 8 + [0.0] * 8
    assert (found["asyncio"], found["forked"]) == ([0.0, 1.0, 0.0, 0.0], 1.0)


def test_trl_gets_a_list_with_none_where_nobody_can_tell(trainer):
    found, _, _ = trainer
    assert found["grpo"] == [1.0, 0.0, 1.0, None] and found["grpo, nothing"] == []
    assert found["grpo, cut off"] == [1.0, 0.0, 0.0, None]  # "so x = 3" is no sure sign


def test_the_graders_end_with_a_trainer_that_is_killed(trainer):
    found, _, below = trainer
    assert found and len(below) >= 2
    wait_until(lambda: not any(map(is_running, below)))


# --- graders that fail ---

# What stands in for the graders: notes that it was started, then does what its name says.
STAND_IN = """
import json, sys
open(sys.argv[1], "a").write("started ")
def answer(line):
    print(json.dumps({"id": json.loads(line)["id"], "correct": True, "reason": "", "detail": "",
                      "extracted": "", "grader": "", "suite": ""}), flush=True)
for number, line in enumerate(sys.stdin):
    if sys.argv[2] == "dies at once":
        sys.exit(3)
    if sys.argv[2] == "dies with the second" and number == 1:
        sys.exit(3)
    if sys.argv[2] != "is silent":
        answer(line)
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Graders whose process is the stand-in, and how often it was started."""
    monkeypatch.setattr(rewards, "LOOK_S", 0.02)
    monkeypatch.setattr(rewards, "AGAIN_S", HANG_S)
    made = []

    def graders(does, program=sys.executable):
        one = rewards._Graders(60.0, 1, None, None)
        one._command = [program, "-c", STAND_IN, str(tmp_path / "starts"), does]
        one._silent_s = 0.2 if does == "is silent" else HANG_S
        made.append(one)
        return one, lambda: (tmp_path / "starts").read_text().count("started")

    yield graders
    for one in made:
        one.close()


def test_graders_that_die_once_are_started_again_and_asked_again(stand_in):
    graders, starts = stand_in("dies with the second")
    assert [graders.ask({}).result()["correct"] for _ in range(4)] == [True] * 4
    assert starts() == 4


def test_graders_that_cannot_work_are_not_started_for_every_call(stand_in):
    graders, starts = stand_in("dies at once")
    answers = [graders.ask({}).result() for _ in range(5)]
    assert {(answer["correct"], answer["reason"]) for answer in answers} == {(None, "grader_error")}
    assert "exit status 3" in answers[0]["detail"] and starts() == 1


def test_graders_that_say_nothing_are_ended(stand_in):
    graders, starts = stand_in("is silent")
    answer = graders.ask({}).result()
    assert answer["correct"] is None and "silent for 0.2 s" in answer["detail"]


def test_an_interpreter_that_is_not_there_is_a_reason(stand_in):
    graders, _ = stand_in("answers", program="/nowhere/python")
    answer = graders.ask({}).result()
    assert answer["correct"] is None and "cannot be started" in answer["detail"]


def test_a_line_that_cannot_be_read_is_answered_under_its_number():
    service = SimpleNamespace(refused=lambda why: {"detail": why}, ask=None)
    lines, answers = io.BytesIO(b'{"id": 7, "x": ' + b"[" * 200_000 + b"\n\nno JSON\n"), io.BytesIO()
    answer_lines(service, lines, answers)
    found = [json.loads(line) for line in answers.getvalue().splitlines()]
    assert [answer["id"] for answer in found] == [7, None]
    assert all("no JSON" in answer["detail"] for answer in found)


# --- the same verdicts ---


def test_every_benchmark_is_known_by_its_name_and_its_data_set():
    kinds = rewards._kinds()
    for task in map(load_task, FILES):
        assert kinds[task.name.lower()] == kinds[task.source.path.lower()]
        assert kinds[task.name.lower()].is_code == task.is_code
    letters = {name for name, kind in kinds.items() if kind.is_letter}
    assert {"gpqadiamond", "mmlu", "mmlupro", "arc-c", "letter"} <= letters and "aime" not in letters


@pytest.fixture
def grade():
    kinds = rewards._kinds()
    grader = RewardGrader(kinds, program_s=60.0, isolation="weak")
    return lambda **message: grader(read_call(message, kinds))


@pytest.mark.parametrize("finish_reason", ["stop", "length", "refusal"])
@pytest.mark.parametrize(
    ("task", "truth", "choices"),
    [("AIME", "033", ()), ("MATH500", "\\frac{1}{2}", ()), ("GSM8K", "33", ()), ("MMLU", "B", ("a", "b"))],
)
def test_a_reward_is_what_check_says(grade, task, truth, choices, finish_reason):
    texts = ("\\boxed{33}", "so it is 33", "The answer is B.", "<think> 33", "\\boxed{0.5}", "B", "")
    problem = Problem("p", "What is it?", truth, choices)
    for text in texts:
        checked = as_finished(load_task(task).grade(problem, text), finish_reason)
        sent = {"task": task, "solution": text, "ground_truth": truth, "question": "What is it?"}
        assert grade(**sent, choices=list(choices), finish_reason=finish_reason) == checked


def test_letters_without_their_options_are_still_letters(grade):
    assert grade(task="GPQADiamond", solution="\\boxed{C}", ground_truth="C").correct
    unknown = grade(task="GPQADiamond", solution="\\boxed{C}", ground_truth="C", choices=["a", "b"])
    assert answer_of(unknown)["correct"] is None


def test_the_tests_of_every_layout_are_run(grade):
    assert grade(task="TACO", solution=DOUBLE, ground_truth=TESTS).correct
    assert grade(data_source="livecodebench/code_generation_lite", solution=DOUBLE, ground_truth=LIVE).correct
    wrong = {**LIVE, "private_test_cases": json.dumps([{"input": "5", "output": "11"}])}
    assert grade(task="code", solution=DOUBLE, ground_truth=json.dumps(wrong)).reason == "wrong_output"


@pytest.mark.parametrize(
    "tests",
    [
        "{}",
        "[1]",
        "no JSON",
        "[" * 100_000,
        json.dumps({**LIVE, "private_test_cases": "eJxrYJk6VQMAC2kDxw=="}),  # packed
        json.dumps({**LIVE, "metadata": 5}),
        json.dumps({"tests_at": {"file": "/etc/passwd", "offset": 0}}),
    ],
)
def test_tests_that_cannot_be_used_are_nobody_s_fault(grade, tests):
    verdict = grade(task="code", solution=DOUBLE, ground_truth=tests)
    assert (verdict.reason, answer_of(verdict)["correct"]) == ("no_tests", None)


@pytest.mark.parametrize(
    ("tests", "all_s", "test_s", "correct"),
    [
        (TESTS, 0.2, 6.0, None),
        (CALLED, 0.2, 6.0, None),
        (ASSERTED, 0.2, 6.0, None),
        (TESTS, HANG_S, 0.2, False),
    ],
)
def test_a_program_that_uses_up_the_time_for_all_tests_is_undecided(tests, all_s, test_s, correct):
    grader = RewardGrader({"code": Kind(grade_code, is_code=True)}, all_s, "weak")
    verdict = grader(Call("code", tests, f"```python\n{ASLEEP}\n```", time_limit_s=test_s))
    assert (verdict.reason, verdict.cause) == ("timeout", BY_THE_CLOCK), verdict
    assert answer_of(verdict)["correct"] is correct


@pytest.mark.parametrize(
    "wrong",
    [
        {"choices": "ABCD"},
        {"choices": [1]},
        {"choices": ["x"] * 11},
        {"time_limit_s": -1},
        {"time_limit_s": float("nan")},
        {"time_limit_s": "2"},
        {"ground_truth": True},
        {"ground_truth": ["1"]},
        {"ground_truth": float("nan")},
        {"ground_truth": float("-inf")},
        {"solution": None},
        {"task": ["maths"]},
    ],
)
def test_a_message_that_is_no_call_is_refused(wrong):
    with pytest.raises(BadCall):
        read_call({"task": "maths", "solution": "1", "ground_truth": "1", **wrong}, rewards._kinds())


# --- over HTTP ---

TOKEN = "a-token-of-the-test-0123"


@pytest.fixture(scope="module")
def server():
    """The port of a server that asks for a token and gives none where nobody can tell."""
    flags = ("serve", "--port", "0", "--workers", "1", "--undecided", "none", "--request-mb", "1")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "rewards.py"), *flags],
        stdout=subprocess.PIPE,
        env={**os.environ, "REWARDS_TOKEN": TOKEN},
    )
    yield int(json.loads(process.stdout.readline())["address"].rpartition(":")[2])
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    process.stdout.close()


def answered(port, body, *, token=TOKEN, path="/reward", content_type="application/json"):
    """Status and JSON of an answer; `body` is sent as it is if it is bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_S)
    headers = {"Content-Type": content_type, "Authorization": f"Bearer {token}"}
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    connection.request("GET" if body is None else "POST", path, data, headers)
    answer = connection.getresponse()
    found = answer.status, json.loads(answer.read())
    connection.close()
    return found


CALL = {"task": "maths", "solution": "\\boxed{2}", "ground_truth": "2"}


def test_the_server_answers_one_call_and_lists_of_calls(server):
    status, one = answered(server, CALL)
    assert (status, one["score"], one["suite"]) == (200, 1.0, suite_version())
    wrong, unknown = {**CALL, "ground_truth": "3"}, {**CALL, "task": "nothing"}
    status, several = answered(server, [CALL, wrong, unknown, 5])
    assert (status, [answer["score"] for answer in several]) == (200, [1.0, 0.0, None, None])
    status, health = answered(server, None, path="/health")
    assert status == 200 and {"aime", "maths", "codeparrot/apps"} <= set(health["tasks"])


def test_programs_from_the_network_run_in_the_sandbox_alone(server, tmp_path):
    hostile = f"```python\nopen({str(tmp_path / 'escaped')!r}, 'w').write('here')\n```"
    status, answer = answered(server, {"task": "code", "solution": hostile, "ground_truth": TESTS})
    assert (status, answer["correct"]) == (200, False) and not (tmp_path / "escaped").exists()


@pytest.mark.parametrize(
    ("body", "more", "status"),
    [
        (CALL, {"token": "a-token-of-the-test-0124"}, 401),
        (CALL, {"token": ""}, 401),
        (None, {"path": "/health", "token": "no"}, 401),
        (CALL, {"content_type": "text/plain"}, 415),
        (b"[" * 100_000, {}, 400),
        (b"\xff", {}, 400),
        ({**CALL, "solution": "x" * (1 << 20)}, {}, 413),
        ([CALL] * 513, {}, 413),
    ],
)
def test_the_server_refuses_what_it_need_not_bear(server, body, more, status):
    found, answer = answered(server, body, **more)
    assert found == status and answer["error"]


def test_a_page_that_names_this_machine_differently_is_refused_where_no_token_is_asked_for():
    from aiohttp.test_utils import make_mocked_request

    from util.grading.reward_service import _Http

    http = _Http(None, token=None, undecided=0.0, request_bytes=1)
    hosts = {
        "127.0.0.1:8765": None,
        "localhost": None,
        "[::1]:8765": None,
        "evil.example": 403,
        "10.0.0.1": 403,
    }
    for host, status in hosts.items():
        refused = http._refused(make_mocked_request("POST", "/reward", headers={"Host": host}))
        assert (refused and refused.status) == status, host


@pytest.mark.parametrize(
    ("flags", "variable", "told"),
    [
        (["--host", "0.0.0.0"], "", "can be reached from other machines"),
        (["--host", "example.org"], "", "can be reached from other machines"),
        ([], "short", "give 16 characters or more"),
        (["--token-file", "nowhere"], "", "cannot be read"),
        (["--token-file", os.devnull], TOKEN, "is empty"),
    ],
)
def test_a_server_without_a_fit_token_is_refused_in_one_sentence(flags, variable, told, monkeypatch):
    monkeypatch.setenv("REWARDS_TOKEN", variable)
    with pytest.raises(UserError, match=told):
        rewards._token(rewards.parse(["serve", *flags]))
