"""Do right programs get what they need in the sandbox, and does every program get a verdict?"""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from tasks import load_task
from util.data.rows import open_rows, problems
from util.errors import UserError
from util.grading.__main__ import parse, run
from util.grading.code import grade_code
from util.grading.code.suites import suite_of
from util.grading.sandbox import Limits, Program, Sandbox, SandboxError, layers, nodes, warm_sandbox, wire
from util.records import REASONS, Problem, Sample
from util.runs.folder import Run

TWO = ["4 7\n", "20 31\n"]
SUMS = ["11\n", "51\n"]


def apps(inputs, outputs, function=None):
    tests = {"inputs": inputs, "outputs": outputs} | ({"fn_name": function} if function else {})
    return Problem("1", "", suite_of({"input_output": json.dumps(tests)}, "apps"))


def grade(problem, source, **options):
    return grade_code(problem, f"```python\n{source}\n```", **options)


TOLD = """\
<think>```python
print(1)
```</think>
```python
def add(a, b
```
```python
def add(a, b):
    return a + b
a, b = map(int, input().split())
while a == 5: pass
print(add(a, b))
```
```python
print(add(1, 2))
```
```
3
```
"""
FIVE = {"inputs": ["1 2", "2 3", "3 3", "5 1", "6 1"], "outputs": ["3", "5", "7", "6", "7"]}


def explained(capsys, *flags):
    assert run(parse(["explain", *flags])) == 0
    return [line.split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines()]


def test_explain_says_which_program_of_a_response_is_run_and_why_and_how_each_test_ended(capsys, tmp_path):
    answer, tests = tmp_path / "answer.md", tmp_path / "tests.json"
    answer.write_text(TOLD)
    tests.write_text(json.dumps(FIVE))
    flags = ["--tests", str(tests), "--response", str(answer), "--time-limit", "0.3"]
    assert run(parse(["explain", *flags, "--all-tests"])) == 0
    told = capsys.readouterr().out.splitlines()[:-3]
    assert re.fullmatch(r"test 4 +timeout: (?:over 0.3 s of CPU time|ended by the clock .*)", told.pop(7))
    assert told == [
        "verdict    not correct: wrong_output",
        "program    lines 7 to 13: the last block in Python",
        "not run    lines 4 to 6: others come before it",
        "not run    lines 14 to 16: it shows or uses an earlier block",
        "not run    lines 17 to 19: it is a session, a sample or text",
        "tests 1-2  passed",
        "test 3     wrong_output: expected '7', got '6\\n'",
        "test 5     passed",
    ]
    assert not [line for line in explained(capsys, *flags) if "timeout" in line]  # as the grader stops


@pytest.mark.parametrize(
    ("answer", "tests", "said"),
    [
        (
            "```python\nimport time\ntime.sleep(9)\n```",
            {"inputs": [""], "outputs": [""]},
            ["ended by the clock after", "does nothing"],
        ),
        (
            "```cpp\nint f(int x) { return x; }\n```",
            {"inputs": [[1]], "outputs": [1], "fn_name": "f"},
            ["unsupported_language", "C++", "compile_error"],
        ),
        (
            "```py\ndef g(x): return x\n```\n```py\ndef f(x): return x\n```\n```py\ndef f(x:\n```",
            {"inputs": [[1]], "outputs": [1], "fn_name": "f"},
            ["correct", "lines 4 to 6: the last block that defines f", "lines 7 to 9: it does not compile",
             "lines 1 to 3: it does not define f", "test 1     passed"],
        ),
        (
            "```py\ndef f(x): return x\n```\n```\n1\n```\n```py\nprint(f(input()))\n```",
            {"inputs": ["1"], "outputs": ["1"]},
            ["correct", "lines 1 to 9: none of the blocks in Python is a program by itself"],
        ),
        ("no program", {"inputs": [""], "outputs": [""]}, ["no_code", "no program after the thought"]),
        ("<think>print(1)", {"inputs": [""], "outputs": [""]}, ["truncated", "the thought is not closed"]),
        ("print(int(input()) + 1)", {"inputs": ["1"], "outputs": ["2"]}, ["correct", "line 1: ", "passed"]),
    ],
)  # fmt: skip
def test_explain_tells_every_way_in_which_a_program_is_judged(capsys, answer, tests, said):
    flags = ["explain", "--tests", json.dumps(tests), "--response", answer, "--time-limit", "0.3"]
    assert run(parse(flags)) == 0
    printed = capsys.readouterr().out
    assert all(words in printed for words in said)


def test_explain_takes_the_problem_of_a_benchmark_and_its_tests(capsys, tmp_path):
    file = tmp_path / "codeparrot/apps/test.jsonl"
    file.parent.mkdir(parents=True)
    rows = json.loads((Path(__file__).parent / "rows.json").read_text())
    row = {**rows["APPS"]["row"], "id": 7, "input_output": json.dumps({"inputs": ["1 2"], "outputs": ["3"]})}
    file.write_text(json.dumps(row) + "\n")
    of = ["--dataset", "APPS", "--data-dir", str(tmp_path), "--problem"]
    answer = ["--response", "print(sum(map(int, input().split())))"]
    assert explained(capsys, *of, "7", *answer)[0] == "correct"
    with pytest.raises(UserError, match="--problem 8: APPS has no such problem"):
        run(parse(["explain", *of, "8", *answer]))
    with Run(
        tmp_path / "run", settings={"task": "APPS", "model": "m", "time_limit": 0.3}, made_with={}
    ) as run_:
        run_.info["asked"] = {"data_dir": str(tmp_path)}
        run_.save_info()
        run_.add_problem(load_task("APPS").problem(row), "?")
        for index, text in enumerate(["print(3)", "```python\nwhile True: pass\n```"]):
            run_.add_sample(Sample("7", 0.7, index, text, None, "stop", 1, 1))
    of = ["--run", str(tmp_path / "run"), "--problem", "7", "--index"]
    assert explained(capsys, *of, "0")[0] == "correct"
    assert explained(capsys, *of, "1", "--temperature", "0.7")[2] == "1     timeout: over 0.3 s of CPU time"
    for others in (["2"], ["1", "--temperature", "0"]):
        with pytest.raises(UserError, match=r"--problem 7 --index \d.* has no such sample"):
            run(parse(["explain", *of, *others]))


def test_explain_takes_answers_of_a_benchmark_and_of_a_run_too(capsys, tmp_path):
    problem = next(iter(problems(load_task("Warmup"), open_rows(load_task("Warmup").source))))
    with Run(tmp_path / "run", settings={"task": "Warmup", "model": "m"}, made_with={}) as run_:
        run_.add_problem(problem, "?")
        for index, ending in enumerate(("stop", "length")):
            text = f"The answer is {problem.reference}"
            run_.add_sample(Sample(problem.id, 0.0, index, text, None, ending, 1, 1))
    of = ["--run", str(tmp_path / "run"), "--problem", problem.id]
    assert explained(capsys, *of)[0] == "correct"
    assert explained(capsys, *of, "--index", "1")[0] == "not correct: truncated"
    of = ["--dataset", "Warmup", "--problem", problem.id, "--response", f"It is {problem.reference}."]
    assert explained(capsys, *of)[0] == "correct"
    with pytest.raises(UserError, match="--time-limit is for programs"):
        run(parse(["explain", *of, "--time-limit", "1"]))


@pytest.mark.parametrize(
    ("flags", "wrong"),
    [
        (["--tests", "{", "--response", "x"], "--tests: the tests are no JSON"),
        (["--tests", "{}", "--response", "x"], "--tests: no tests; give"),
        (["--tests", '{"inputs": [1], "outputs": []}', "--response", "x"], "--tests: no tests"),
        (["--tests", "/no/such.json", "--response", "x"], "--tests /no/such.json: there is no such file"),
        (["--tests", "-", "--response", "-"], "both read stdin"),
        (["--tests", "{}", "--gold", "4", "--response", "x"], "--gold, --tests or --problem"),
        (["--problem", "4", "--response", "x"], "together"),
        (["--problem", "4", "--run", "/no/run", "--response", "x"], "or --run and --problem"),
        (["--problem", "4", "--run", "/no/run", "--dataset", "APPS"], "together"),
        (["--gold", "4", "--run", "/no/run"], "together"),
        (["--problem", "4", "--run", "/no/run"], "no run at /no/run"),
        (["--gold", "4", "--dataset", "APPS", "--response", "x"], "together"),
    ],
)
def test_explain_refuses_what_it_cannot_explain(capsys, flags, wrong):
    with pytest.raises((UserError, SystemExit)) as caught:
        run(parse(["explain", *flags]))
    assert wrong in f"{caught.value}{capsys.readouterr().err}"


RIGHT = {
    "sixteen threads": """
        from concurrent.futures import ThreadPoolExecutor
        import time
        def f(x):
            time.sleep(0.01)
            return int(x)
        with ThreadPoolExecutor(max_workers=16) as e:
            print(sum(e.map(f, input().split() * 16)) // 16)""",
    "an executor that is never shut down": """
        from concurrent.futures import ThreadPoolExecutor
        print(sum(ThreadPoolExecutor(16).map(int, input().split() * 16)) // 16)""",
    "a hundred threads": """
        import threading, time
        found = []
        words = input().split()
        def work():
            time.sleep(0.05)
            found.extend(map(int, words))
        threads = [threading.Thread(target=work) for _ in range(100)]
        for t in threads: t.start()
        for t in threads: t.join()
        print(sum(found) // 100)""",
    "a pool of threads": """
        from multiprocessing.pool import ThreadPool
        with ThreadPool(4) as pool:
            print(sum(pool.map(int, input().split())))""",
    "a pool of multiprocessing.dummy": """
        from multiprocessing.dummy import Pool
        print(sum(Pool(4).map(int, input().split())))""",
    "asyncio.run": """
        import asyncio
        async def go():
            await asyncio.sleep(0)
            print(sum(map(int, input().split())))
        asyncio.run(go())""",
    "gather, to_thread and a queue": """
        import asyncio
        async def double(x):
            await asyncio.sleep(0.001)
            return 2 * x
        async def go():
            queue = asyncio.Queue()
            for word in (await asyncio.to_thread(input)).split():
                await queue.put(int(word))
            twice = await asyncio.gather(*(double(queue.get_nowait()) for _ in range(2)))
            print(sum(twice) // 2)
        asyncio.run(asyncio.wait_for(go(), 3))""",
    "a loop made by hand": """
        import asyncio
        async def go():
            print(sum(map(int, (await asyncio.get_running_loop().run_in_executor(None, input)).split())))
        loop = asyncio.new_event_loop()
        loop.run_until_complete(go())
        loop.close()""",
    "folders": """
        import os, shutil, tempfile
        os.makedirs("a/b/c", exist_ok=True)
        with open("a/b/c/d", "w") as file: file.write(input())
        os.rename("a/b/c/d", "d")
        with tempfile.TemporaryDirectory() as folder:
            shutil.copyfile("d", os.path.join(folder, "e"))
            print(sum(map(int, open(os.path.join(folder, "e")).read().split())))
        shutil.rmtree("a")""",
    "a folder that a test finds again": """
        import os
        os.mkdir("a")
        print(sum(map(int, input().split())))""",
    "its own text": """
        import os, sys
        assert "its own" in open(__file__).read() == open(sys.argv[0]).read()
        assert os.listdir(os.path.dirname(__file__))
        print(sum(map(int, input().split())))""",
    "its own text by inspect": """
        import inspect
        def add(line): return sum(map(int, line.split()))
        assert "sum" in inspect.getsource(add)
        print(add(input()))""",
}


@pytest.mark.parametrize("need", RIGHT)
def test_right_programs_get_what_they_need(need):
    source = re.sub(r"^ {8}", "", RIGHT[need], flags=re.M)
    verdict = grade(apps(TWO, SUMS), source)
    assert verdict.correct, verdict


@pytest.mark.parametrize(
    "source",
    [
        "import multiprocessing\nmultiprocessing.Pool(2).map(str, [1])",
        "from concurrent.futures import ProcessPoolExecutor as P\nP(2).submit(str, 1).result()",
        "import os\nos.fork()",
        "import subprocess\nsubprocess.run(['true'])",
        "import socket\nsocket.socketpair()",
    ],
)
def test_a_program_that_starts_processes_is_told_why_it_fails(source):
    verdict = grade(apps(["1"], ["1"]), source)
    assert verdict.reason == "runtime_error" and "neither start processes nor" in verdict.detail


# --- values of calls ---


@pytest.mark.parametrize(
    "value, expected",
    [
        ("np.array(a) * 2", [2, 4]),
        ("np.int64(7)", 7),
        ("np.float32(0.5)", 0.5),
        ("np.bool_(True)", True),
        ("np.str_('x')", "x"),
        ("[np.int64(1), (np.array([2.5]),)]", [1, [[2.5]]]),
        ("np.array(5)", 5),
        ("np.zeros((2, 1))", [[0.0], [0.0]]),
        ("{np.int64(1): np.array([2])}", {"1": [2]}),
        ("np.matrix([[1]])", [[1]]),
    ],
)
def test_numbers_and_arrays_of_numpy_are_results(value, expected):
    assert grade(apps([[[1, 2]]], [expected], "f"), f"import numpy as np\ndef f(a): return {value}").correct


def test_an_array_is_not_right_because_it_is_one():
    assert not grade(
        apps([[[1, 2]]], [[2, 5]], "f"), "import numpy as np\ndef f(a): return np.array(a) * 2"
    ).correct


@pytest.mark.parametrize(
    "value, expected, reason",
    [
        ("deque(a)", [1, 2], ""),
        ("[deque(a), (deque([deque()]),)]", [[1, 2], [[[]]]], ""),
        ("type('Own', (deque,), {})(a)", [1, 2], ""),
        ("deque([2, 1])", [1, 2], "wrong_output"),
        ("deque('1')", 1, "wrong_output"),
        ("set(a)", [1, 2], "runtime_error"),
        ("(x for x in a)", [1, 2], "runtime_error"),
    ],
)
def test_a_deque_is_a_list_and_what_has_no_order_is_no_result(value, expected, reason):
    source = f"from collections import deque\ndef f(a): return {value}"
    assert grade(apps([[[1, 2]]], [expected], "f"), source).reason == reason


@pytest.mark.parametrize(
    "source, reason",
    [
        ("print('   a')", ""),
        ("print('a'); import sys; sys.exit(3)", ""),
        ("print('a', flush=True); import os; os._exit(3)", "runtime_error"),
        ("print('a'); raise ValueError", "runtime_error"),
        ("print('a'); import os; os.chmod('.', 0o700)", "runtime_error"),
    ],
)
def test_only_an_exit_that_python_makes_leaves_the_output_to_decide(source, reason):
    assert grade(apps(["1\n"], ["a\n"]), source).reason == reason


KILL = "import os, signal\nos.kill(os.getpid(), signal.{})"
BUSY = "import time\nwhile time.process_time() < 0.35: pass\n"


@pytest.mark.parametrize("name", ["SIGKILL", "SIGXCPU", "SIGTERM", "SIGABRT"])
@pytest.mark.parametrize(
    "before", ["", "print('a', flush=True)\n", "if input() == '1': print('a'); quit()\n"]
)
def test_a_signal_that_a_program_sends_itself_says_nothing_about_its_limits(name, before):
    verdict = grade(apps(["1\n", "2\n"], ["a\n", "a\n"]), before + KILL.format(name))
    number = getattr(signal, name).value
    assert (verdict.reason, verdict.cause) == ("runtime_error", "")
    assert f"ended by signal {number}" in verdict.detail, verdict


@pytest.mark.parametrize("name", ["SIGKILL", "SIGXCPU"])
def test_a_function_that_sends_itself_a_signal_is_a_runtime_error(name):
    source = f"def f(a):\n    import os, signal\n    os.kill(os.getpid(), signal.{name})"
    assert grade(apps([[1]], [1], "f"), source).reason == "runtime_error"


@pytest.mark.parametrize(
    "before, name, reason",
    [
        (BUSY, "SIGXCPU", "timeout"),
        (BUSY, "SIGKILL", "runtime_error"),
        ("a = b'1' * (100 << 20)\n", "SIGKILL", "memory"),
        ("a = b'1' * (100 << 20)\n", "SIGXCPU", "runtime_error"),
    ],
)
def test_a_signal_of_the_kernel_is_known_by_what_the_program_has_used(before, name, reason):
    limits = Limits(time_s=0.6, memory_bytes=256 << 20)
    verdict = grade(apps(["1\n"], ["a\n"]), before + KILL.format(name), limits=limits)
    assert verdict.reason == reason, verdict


@pytest.mark.parametrize(
    "value, expected, correct",
    [("'a'", ["a"], True), ("['a']", ["a"], True), ("['a']", "a", False), ("'a'", "a", True)],
)
def test_a_result_that_apps_writes_in_a_list_is_right_without_it(value, expected, correct):
    assert grade(apps([[1]], [expected], "f"), f"def f(a): return {value}").correct is correct


SOLUTION = "class Solution:\n    def f(self, {}:\n        {}"
OWN = "class TreeNode:\n  def __init__(self, x):\n    self.val = x\n    self.left = self.right = None\n"


@pytest.mark.parametrize(
    "head, body, inputs, expected",
    [
        ("v)", "h = ListNode(v[0])\n        h.next = ListNode(v[1])\n        return h.next.val", [[5, 8]], 8),
        ("a: Optional[ListNode], k: int) -> Optional[ListNode]", "return a.next", [[1, 2, 3], 1], [2, 3]),
        ("a: 'ListNode') -> 'ListNode'", "return a and a.next", [[]], []),
        ("a: ListNode | None) -> int", "return a.next.val", [[1, 2]], 2),
        ("a: Optional[ListNode]) -> List[int]", "return [a.val, a.next is None]", [[1]], [1, True]),
        ("a: List[Optional[ListNode]]) -> list", "return [b and b.val for b in a]", [[[1], []]], [1, None]),
        ("a: int) -> list[Optional[ListNode]]", "return [ListNode(1, ListNode(2)), None]", [1], [[1, 2], []]),
        ("a: Optional[TreeNode]) -> int", "return a.right.left.val", [[1, None, 2, 3]], 3),
        (
            "a: Optional[TreeNode]) -> Optional[TreeNode]",
            "a.left, a.right = a.right, a.left\n        return a",
            [[4, 2, 7, 1, None, None, 9]],
            [4, 7, 2, None, 9, 1],
        ),
        ("a: Optional[TreeNode]) -> bool", "return a is None", [[]], True),
        ("a: Optional[TreeNode]) -> Optional[TreeNode]", "return None", [[1]], []),
    ],
)  # fmt: skip
def test_lists_and_trees_travel_as_leetcode_writes_them(head, body, inputs, expected):
    source = (
        SOLUTION.format(head, body).replace("):\n", ":\n") if ") ->" in head else SOLUTION.format(head, body)
    )
    verdict = grade(apps([inputs], [expected], "f"), source)
    assert verdict.correct, verdict


@pytest.mark.parametrize(
    "before", ["", "from __future__ import annotations\n", OWN, OWN + "import functools\n"]
)
def test_an_answer_may_bring_its_own_nodes(before):
    cache = "    @functools.lru_cache(None)\n" if "functools" in before else ""
    source = (
        f"{before}class Solution:\n{cache}    def f(self, t: Optional[TreeNode]) -> Optional[TreeNode]:\n"
    )
    source += "        assert type(t) is TreeNode\n        return t.left"
    assert grade(apps([[[1, 2, 3, 4]]], [[2, 4]], "f"), source).correct


def test_a_list_that_ends_in_itself_is_a_verdict():
    source = "def f(a: ListNode) -> ListNode:\n    a.next = a\n    return a"
    verdict = grade(apps([[[1]]], [[1]], "f"), source, limits=Limits(1, 5, 1 << 28))
    assert verdict.reason in ("memory", "timeout", "output_limit")


def test_a_tree_with_values_below_nothing_is_refused():
    with pytest.raises(ValueError, match="below a child that is not there"):
        nodes.given([1, None, None, 2], "TreeNode", {})


# --- every program gets a verdict ---

FILL = """
import _thread, os, time
def fill():
    n = 0
    while True:
        try:
            d = os.open(f"f{n % 300}", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            while True: os.write(d, b"x" * (1 << 18))
        except OSError:
            try:
                while True: os.write(d, b"x" * 4096)
            except OSError: pass
        n += 1
if input().strip() == "1":
    _thread.start_new_thread(fill, ())
    time.sleep(0.6)
    print("ok")
else:
    print("no")"""


def test_a_program_that_fills_its_folder_is_judged_by_its_next_test_alone():
    problem = apps(["1", "2" + " " * 5000], ["ok", "yes"])
    assert grade(problem, FILL).reason == "wrong_output"
    assert grade(problem, FILL.replace('"no"', '"yes"')).correct
    assert grade(apps(TWO, SUMS), "print(sum(map(int, input().split())))").correct


FOLDERS = {
    "deep": "for _ in range(1500):\n    os.mkdir('d')\n    os.chdir('d')",
    "wide": "for n in range(1500):\n    os.mkdir(f'd{n}')\n    open(f'd{n}/f', 'w').close()",
    "closed": "os.mkdir('a', 0o300)\nopen('a/b', 'w')\nos.mkdir('a/c', 0)\nos.umask(0o777)\nos.mkdir('e')",
    "in place of the input": "os.unlink('stdin')\nos.mkdir('stdin')\nopen('stdin/x', 'w').close()",
}


@pytest.mark.parametrize("without", [(), ("user", "mount", "pid", "net", "ipc", "uts")])
@pytest.mark.parametrize("kind", FOLDERS)
def test_folders_of_every_kind_are_gone_with_their_program(kind, without):
    with Sandbox(without=without) as sandbox:
        for source, printed in (
            # Long enough for the sandbox to look at what is in them, where the disk is not the program's own.
            (f"import os, time\n{FOLDERS[kind]}\ntime.sleep(0.2)\nprint(1)", b"1\n"),
            ("import os\nprint(os.listdir())", b"['stdin']\n"),
        ):
            (outcome,) = sandbox.run(Program((source,)), [b""], Limits(time_s=20))
            assert outcome.output == printed, outcome


@pytest.mark.parametrize("looked_at", ["", "d"])
def test_a_folder_that_changes_while_it_is_looked_at_is_not_full(tmp_path, monkeypatch, looked_at):
    folder, entries = tmp_path / "d", layers._entries
    folder.mkdir()
    (folder / "f").touch()

    def change_after(path):
        found = entries(path)
        if path == str(tmp_path / looked_at):
            (folder / "f").unlink()
            folder.rmdir()
            folder.touch()
        return found

    monkeypatch.setattr(layers, "_entries", change_after)
    assert not layers.is_full(str(tmp_path)) and folder.is_file()


@pytest.mark.parametrize("longest", [4094, 4095])
def test_a_folder_with_files_deeper_than_a_path_can_say_is_full(tmp_path, monkeypatch, longest):
    monkeypatch.chdir(tmp_path)
    left = longest - len(str(tmp_path))
    while left:
        name = "d" * (left - 1 if left < 200 else 100)
        os.mkdir(name)
        os.chdir(name)
        left -= len(name) + 1
    Path("file").touch()
    assert layers.is_full(str(tmp_path))


WHILE_NOBODY_LOOKS = {
    "fails": ("raise ValueError('it')", "exit", b""),
    "prints more than a pipe holds": ("print('x' * 300_000)", "ended", b"x" * 300_000 + b"\n"),
}


@pytest.mark.parametrize("what", WHILE_NOBODY_LOOKS)
def test_a_program_is_not_idle_because_nobody_could_look_at_it(what):
    source, status, printed = WHILE_NOBODY_LOOKS[what]
    source = f"import time\nif input() == '2':\n time.sleep(0.3)\n {source}"
    with Sandbox() as sandbox:
        outcomes = sandbox.run(Program((source,)), [b"1", b"2"], Limits(time_s=2))
        next(outcomes)
        (zygote,) = children(sandbox.process_id)
        os.kill(zygote, signal.SIGSTOP)
        time.sleep(2.4)  # longer than a program may be idle
        os.kill(zygote, signal.SIGCONT)
        (outcome,) = outcomes
    assert (outcome.status, outcome.output) == (status, printed), outcome


def forged(*parts):
    return f"import os, struct\nfor part in {parts!r}:\n    os.write(4, part)\n"


CRAFTED = {
    "empty results": wire.frame(wire.ENDED, body=b"") * 100,
    "results": wire.frame(wire.ENDED, body=b"[1]") * 100,
    "a note": wire.frame(wire.EXIT, note=b"ValueError: forged"),
    "out of memory, it says": wire.frame(wire.EXIT, note=wire.NO_MEMORY.encode()),
    "a note that is no text": wire.frame(wire.EXIT, note=b"\xff\xfe\0"),
    "a long note": wire.frame(wire.EXIT, note=b"x" * 100_000),
    "a note and results": wire.frame(wire.EXIT, note=b"x") + wire.frame(wire.ENDED, body=b"1") * 9,
    "every end": b"".join(wire.frame(status, -9, 7, b"note", b"[1]") for status in range(len(wire.STATUSES))),
    "a frame of the zygote": wire.frame(wire.DONE, 0) + wire.frame(wire.ENDED, body=b"1"),
    "half a frame": wire.frame(wire.ENDED, body=b"")[:3],
    "a result torn off": wire.FRAME.pack(wire.ENDED, 0, 0, 0, 1 << 19) + b"[",
    "a huge result": wire.FRAME.pack(wire.ENDED, 0, 0, 0, (1 << 32) - 1),
    "a huge note": wire.FRAME.pack(wire.EXIT, 0, 0, (1 << 32) - 1, 0),
    "nonsense": bytes(range(256)),
    "deep": wire.frame(wire.ENDED, body=b"[" * 100_000),
    "objects": wire.frame(wire.ENDED, body=b'{"": [[[], 1]]}'),
    "a hexadecimal": wire.frame(wire.ENDED, body=b'{"x": "0x' + b"f" * 50_000 + b'"}'),
    "long digits": wire.frame(wire.ENDED, body=b"7" * 50_000),
    "bytes that are no text": wire.frame(wire.ENDED, body=b'"\xff"'),
}
AFTER = {
    "goes on": "",
    "leaves": "os._exit(0)",
    "closes": "os.closerange(0, 64)",
    "writes on": "while True: os.write(4, part)",
    "leaves as if in a later test": "os.write(5, b'++')\nos._exit(0)",
}
SHORT = Limits(time_s=0.5, problem_s=5, memory_bytes=1 << 29, output_bytes=1 << 20)
OWN_FAULTS = {"sandbox_error", "grader_error", "no_tests", "no_code"}


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("what", CRAFTED)
def test_whatever_is_written_to_the_line_ends_in_a_verdict_about_the_program(what, after):
    attack = forged(CRAFTED[what]) + AFTER[after]
    sandbox = warm_sandbox()
    printing = grade(apps(["1", "2"], ["x", "y"]), attack, limits=SHORT)
    calling = grade(apps([[1], [2]], ["x", "y"], "f"), f"{attack}\ndef f(n): return n", limits=SHORT)
    inside = grade(
        apps([[1], [2]], ["x", "y"], "f"),
        "def f(n):\n" + re.sub("^", "    ", attack, flags=re.M),
        limits=SHORT,
    )
    for verdict in (printing, calling, inside):
        assert not verdict.correct and verdict.reason in set(REASONS) - OWN_FAULTS, verdict
    assert warm_sandbox() is sandbox  # it has taken no harm
    assert grade(apps(TWO, SUMS), "print(sum(map(int, input().split())))").correct


@pytest.mark.parametrize(
    "printed",
    [
        "'7' * n + 'q'",
        "'1' + '0' * n + 'e9999'",
        "'.' * n",
        "'1e' * n",
        "'0 ' * n",
        "'\\n' * n + '1'",
        "'1.' * n",
    ],
)
def test_comparing_takes_time_in_line_with_the_output(printed):
    problem = apps(["1"], ["1" * 100_000 + " 2.5"])
    began = time.process_time()
    verdict = grade(problem, f"n = 1_000_000\nprint({printed})")
    assert verdict.reason == "wrong_output" and time.process_time() - began < 2


@pytest.mark.parametrize("close", ["os.closerange(3, 64)", "os.close(4)", "os.dup2(0, 4)"])
def test_a_program_that_closes_its_line_is_judged_by_what_it_prints(close):
    source = f"import os\n{close}\nprint(sum(map(int, input().split())))"
    assert grade(apps(TWO, SUMS), source).correct
    assert grade(apps(TWO, ["11\n", "50\n"]), source).reason == "wrong_output"


@pytest.mark.parametrize("code", [0, 1, 3])
def test_no_exit_status_is_taken_for_another_reason(code):
    said = "import os\nos.write(4, b'\\1\\0\\0\\0\\1x')\n"
    verdict = grade(apps(["1"], ["1"]), f"{said}os._exit({code})")
    assert verdict.reason == ("runtime_error" if code else "wrong_output")


def test_threads_that_stay_do_not_pass_the_next_test():
    source = "import threading, time\nthreading.Thread(target=time.sleep, args=(9,), daemon=True).start()\n"
    problem = apps(["1", "", "3"], ["1", "", "3"])
    assert grade(problem, f"{source}print(input())").reason == "runtime_error"  # no line to read in test 2
    assert grade(problem, f"{source}import sys\nprint(sys.stdin.read())").correct


def test_the_last_words_of_a_sandbox_are_part_of_the_error():
    with Sandbox() as sandbox:
        outcomes = sandbox.run(Program(("import time\ntime.sleep(50)",)), [b""], Limits(time_s=40))
        zygote = children(sandbox.process_id)[0]
        with pytest.raises(SandboxError, match="the sandbox .*: ended by signal 9"):
            os.kill(zygote, signal.SIGKILL)
            next(outcomes)


def children(process):
    with open(f"/proc/{process}/task/{process}/children") as file:
        return list(map(int, file.read().split()))
