"""Is the code found, are the tests read, and are outputs compared as they should be?"""

import base64
import contextlib
import json
import os
import pickle
import random
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
from helpers import takes_at_most

from tasks import livecodebench
from util.errors import UserError
from util.grading import code
from util.grading.code import grade_code, longest_s, suites
from util.grading.code.outputs import same_text, same_text_legacy, same_value
from util.grading.code.places import BadRow
from util.grading.code.suites import read_tests, suite_of
from util.grading.sandbox import Limits
from util.records import BY_THE_CLOCK, Problem

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "grading"
CASES = Path(__file__).resolve().parent / "cases" / "code.jsonl"
SHORT = Limits(time_s=1)


def apps(inputs, outputs, function=None):
    tests = {"inputs": inputs, "outputs": outputs} | ({"fn_name": function} if function else {})
    return Problem("1", "", suite_of({"input_output": json.dumps(tests)}, "apps"))


def lcb(tests, function=None, private=""):
    row = {
        "public_test_cases": json.dumps(tests),
        "private_test_cases": private,
        "metadata": json.dumps({"func_name": function} if function else {}),
    }
    return Problem("1", "", suite_of(row, "livecodebench"))


def block(source):
    return f"Here it is.\n```python\n{source}\n```\n"


ADD = "print(sum(map(int, input().split())))"
SUM = apps(["1 2\n", "3 4\n"], ["3\n", "7\n"])


# --- time ---

WORK = """import time
n, begun = int(input()), time.process_time()
while time.process_time() - begun < {seconds}: pass
print(n)"""


def echo(count):
    return apps([f"{n}\n" for n in range(count)], [f"{n}\n" for n in range(count)])


@contextlib.contextmanager
def on_one_busy_core():
    """This process, its fresh sandbox and three endless loops share one core."""
    cores = os.sched_getaffinity(0)
    code.discard_sandbox()
    os.sched_setaffinity(0, {min(cores)})
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
        os.sched_setaffinity(0, cores)
        code.discard_sandbox()


def test_a_right_program_on_a_busy_core_keeps_its_verdict():
    with on_one_busy_core():
        began = time.monotonic()
        verdict = grade_code(echo(1), block(WORK.format(seconds=0.35)), limits=Limits(time_s=0.7))
        assert verdict.correct, verdict
        assert time.monotonic() - began > 0.7, "the core was not busy"
        verdict = grade_code(echo(1), block(WORK.format(seconds=9)), limits=Limits(time_s=0.2))
    assert (verdict.reason, verdict.cause) == ("timeout", "") and "0.2 s of CPU time" in verdict.detail


STARVED = """
import os, signal, subprocess, sys
import test_code_grading as t
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
for loop in loops:
    loop.send_signal(signal.SIGSTOP)
os.nice(14)
assert t.grade_code(t.echo(1), t.block("print(input())")).correct
for loop in loops:
    loop.send_signal(signal.SIGCONT)
answer = t.block(t.WORK.format(seconds=0.03))
verdict = t.grade_code(t.echo(1), answer, limits=t.Limits(time_s=0.1))
for loop in loops:
    loop.kill()
assert verdict.correct, verdict
"""


def test_a_right_program_that_gets_no_core_for_longer_than_its_limit_keeps_its_verdict():
    places = os.pathsep.join((str(Path(__file__).parent), str(Path(__file__).parents[1])))
    done = subprocess.run(
        [sys.executable, "-c", STARVED],
        env={**os.environ, "PYTHONPATH": places},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_many_tests_may_together_use_as_many_times_the_limit():
    verdict = grade_code(echo(50), block(WORK.format(seconds=0.02)), limits=Limits(time_s=0.2))
    assert verdict.detail == "passed 50 of 50 tests"


@pytest.mark.parametrize(
    ("source", "time_s"),
    [
        ("import time\ntime.sleep(99)", 0.4),
        ("import threading\nthreading.Event().wait()", 0.4),
        ("import time\nn = int(input())\nif n == 2: time.sleep(99)\nprint(n)", 0.4),
        (WORK.format(seconds=0.1) + "\ntime.sleep(99)", 0.4),
        ("import time\nwhile True: time.sleep(0.1)", 0.1),
    ],
)
def test_a_program_that_waits_ends_by_the_clock_and_its_verdict_says_so(source, time_s):
    verdict = grade_code(echo(3), block(source), limits=Limits(time_s=time_s))
    assert verdict.reason == "timeout" and "ended by the clock" in verdict.detail
    assert verdict.cause == BY_THE_CLOCK


def test_a_program_may_wait_for_less_than_its_limit():
    limits = Limits(time_s=60)
    assert grade_code(echo(1), block("import time\ntime.sleep(1.2)\nprint(input())"), limits=limits).correct


@pytest.mark.parametrize("tests", [1, 20])
def test_a_problem_over_its_cap_is_a_timeout_and_never_a_fault_of_the_grader(tests):
    limits = Limits(time_s=1, problem_s=0.5 if tests > 1 else 0.05)
    seconds = 0.1 if tests > 1 else 99
    source = f"import time\ntime.sleep({seconds})\nprint(input())"
    verdict = grade_code(echo(tests), block(source), limits=limits)
    assert (verdict.reason, verdict.cause) == (
        "timeout",
        BY_THE_CLOCK,
    ) and f"{limits.problem_s:g} s for all tests" in verdict.detail


def test_the_most_that_a_program_may_take_follows_from_its_tests():
    def most(problem, *, time_s=6.0, time_of_row=False):
        return longest_s(problem.reference, Limits(time_s=time_s), time_of_row=time_of_row)

    assert most(echo(1)) == 6 and most(echo(20)) == 21 * 6 and most(echo(500)) == Limits().problem_s
    row = {"input_output": json.dumps({"inputs": ["1\n"], "outputs": ["1\n"]})}
    of_row = Problem("1", "", suite_of(row, "apps", time_s=2.0))
    assert most(of_row, time_of_row=True) == 2 and most(of_row) == 6
    packed = {"public_test_cases": "", "private_test_cases": "eJw=", "metadata": "{}"}
    assert most(Problem("1", "", suite_of(packed, "livecodebench"))) is None


# --- finding the code ---


def test_without_a_tag_the_last_block_that_is_python_counts():
    text = f"```\n{ADD}\n```\nIt prints\n```\n3 lines are printed\n```"
    assert grade_code(SUM, text).correct


def test_a_block_that_is_never_closed_goes_to_the_end():
    assert grade_code(SUM, f"```python\n{ADD}").correct


def test_code_in_the_thought_does_not_count():
    assert grade_code(SUM, f"<think>\n{block(ADD)}</think>\nThat is all.").reason == "no_code"
    assert grade_code(SUM, f"<think>\n{block(ADD)}").reason == "truncated"


# --- what a program is judged by ---


def test_a_right_program_passes_all_tests():
    verdict = grade_code(SUM, block(ADD))
    assert verdict.correct and verdict.reason == "" and verdict.detail == "passed 2 of 2 tests"


@pytest.mark.parametrize(
    ("source", "reason", "words"),
    [
        ("print(", "compile_error", "SyntaxError"),
        ("print(3)", "wrong_output", "test 2 of 2: expected '7\\n', got '3\\n'; 1 passed"),
        ("raise ValueError('no')", "runtime_error", "test 1 of 2: ValueError: no"),
        (f"{ADD}\nraise ValueError", "runtime_error", "ValueError"),
        (f"{ADD}\nimport os, sys\nsys.stdout.flush()\nos._exit(3)", "runtime_error", "exit status 3"),
        ("while True: pass", "timeout", "CPU time"),
        ("x = bytearray(1 << 40)", "memory", "MemoryError"),
        ("while True: print('x' * 9999)", "output_limit", "output limit"),
        ("import ctypes\nctypes.string_at(0)", "runtime_error", "signal 11"),
    ],
)
def test_a_failure_has_its_reason_and_the_number_of_the_test(source, reason, words):
    verdict = grade_code(SUM, block(source), limits=SHORT)
    assert not verdict.correct and verdict.reason == reason and words in verdict.detail


@pytest.mark.parametrize(
    "end",
    [
        "exit()",
        "quit()",
        "import sys; sys.exit(0)",
        "import sys; sys.exit(1)",
        "import os, sys; sys.stdout.flush(); os._exit(0)",
    ],
)
def test_leaving_early_is_judged_by_the_output(end):
    assert grade_code(SUM, block(f"{ADD}\n{end}")).correct


def test_a_program_that_one_test_disturbs_is_judged_in_fresh_processes():
    source = f"import sys\nassert not hasattr(sys, 'met')\nsys.met = 1\n{ADD}"
    assert grade_code(SUM, block(source)).correct


def test_all_tests_are_counted_when_asked_for():
    verdict = grade_code(apps(["1", "2", "3"], ["1", "0", "3"]), block("print(input())"), all_tests=True)
    assert (
        verdict.reason == "wrong_output" and "test 2 of 3" in verdict.detail and "2 passed" in verdict.detail
    )


def test_output_that_fills_the_pipe_again_and_again_is_read_to_its_end():
    problem = apps(["40"], [f"{'x' * 99_999}\n" * 40])
    verdict = grade_code(problem, block("for _ in range(int(input())):\n    print('x' * 99_999, flush=True)"))
    assert verdict.correct, verdict


def test_output_that_is_no_text_is_wrong_output():
    verdict = grade_code(SUM, block("import os\nos.write(1, b'\\xff\\xfe')"))
    assert verdict.reason == "wrong_output"


def test_a_sandbox_that_fails_twice_is_no_verdict_about_the_program(monkeypatch):
    def broken(*_):
        raise code.SandboxError("gone")

    monkeypatch.setattr(code, "warm_sandbox", broken)
    assert grade_code(SUM, block(ADD)).reason == "sandbox_error"


def test_a_sandbox_that_fails_once_is_replaced():
    code.warm_sandbox().close()
    assert grade_code(SUM, block(ADD)).correct


# --- calls ---


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("copy.deepcopy([1])", [1]),
        ("random.randint(3, 3)", 3),
        ("datetime.date(2024, 1, 31).day", 31),
        ("mean([1, 3])", 2),
        ("heapq.nsmallest(1, [2, 1])", [1]),
        ("string.digits + ascii_lowercase[0]", "0123456789a"),
        ("pow(3, -1, 7)", 5),
        ("str(fractions.Fraction(1, 2) + decimal.Decimal(1).as_integer_ratio()[0])", "3/2"),
        ("bool(re.match('a', 'ab')) and Counter([1]) == {1: 1} and gcd(4, 6) == 2", True),
        ("np.arange(3).sum() + int(time.time() > 0)", 4),
    ],
)
def test_answers_may_use_the_names_that_contest_sites_import(value, expected):
    source = f"class Solution:\n    def f(self, n: int) -> Optional[List[int]]:\n        return {value}"
    verdict = grade_code(
        lcb([{"input": "1", "output": json.dumps(expected), "testtype": "functional"}], "f"), block(source)
    )
    assert verdict.correct, verdict


@pytest.mark.parametrize(
    "source",
    [
        "def add(a, b):\n    return a + b",
        "add = lambda a, b: a + b",
        "class Solution:\n    def add(self, a: int, b: int) -> Optional[int]:\n        return a + b",
        "from operator import add",
        "class Solution:\n    def helper(self): pass\ndef add(a, b):\n    return a + b",
        "import sys\ndef add(a, b):\n    print('noise')\n    return a + b",
    ],
)
def test_a_function_or_a_method_is_found(source):
    for outputs in ([3, 7], [[3], [7]]):
        verdict = grade_code(apps([[1, 2], [3, 4]], outputs, "add"), block(source))
        assert verdict.correct, verdict


def test_a_name_of_the_prelude_is_not_the_answers_function():
    verdict = grade_code(apps([[12, 18]], [6], "gcd"), block("def other(): pass"))
    assert verdict.reason == "runtime_error" and "defines no gcd" in verdict.detail


def test_keys_of_mappings_are_integers_again():
    problem = apps([[{"1": 2}]], [{"1": 3}], "f")
    source = "def f(d):\n    assert list(d) == [1]\n    return {k: v + 1 for k, v in d.items()}"
    assert grade_code(problem, block(source)).correct


def test_integers_of_ten_thousand_digits_are_read_passed_and_returned():
    digits = "7" * 10_000
    row = {"input_output": f'{{"fn_name": "same", "inputs": [[{digits}]], "outputs": [[{digits}]]}}'}
    problem = Problem("1", "", suite_of(row, "apps"))
    assert grade_code(problem, block("def same(n): return n")).correct
    assert not grade_code(problem, block("def same(n): return n + 1")).correct
    assert grade_code(apps([digits], [digits]), block("print(int(input()))")).correct


@pytest.mark.parametrize(
    ("digits", "value"),
    [
        ("7" * 10_000, 7 * (10**10_000 - 1) // 9),
        ("1" + "0" * 10_000, 10**10_000),
        ("-" + "9" * 5000, 1 - 10**5000),
    ],
    ids=["sevens", "zeros", "negative"],
)
def test_a_long_integer_keeps_its_last_digits(digits, value):
    row = {"input_output": f'{{"fn_name": "f", "inputs": [[0]], "outputs": [{digits}]}}'}
    assert read_tests(suite_of(row, "apps")).expected == (value,)


@pytest.mark.parametrize(
    ("output", "expected", "same"),
    [
        ([1, 2], [1, 2], True),
        ([2, 1], [1, 2], False),
        (0.1 + 0.2, 0.3, True),
        (3, 3.0, True),
        (1.0000001, 1, False),
        (10**400, 1.5, False),
        ("1", 1, False),
        (None, None, True),
        ([[1]], [1], False),
        ({1: 2}, {"1": 2}, True),
        (float("nan"), 1.0, False),
    ],
)
def test_returned_values_are_compared_as_json_values(output, expected, same):
    assert same_value(output, expected) is same


# --- printed text ---


@pytest.mark.parametrize(
    ("output", "expected", "same", "legacy"),
    [
        ("1 2 3", "1 2 3\n", True, True),
        ("1  2 3 \n", "1 2 3", True, True),
        ("3 2 1", "1 2 3", False, True),
        ("b\na", "a\nb", False, True),
        ("1 1 2", "1 2 2", False, True),
        ("1\n\n2", "1\n2", True, True),
        ("1.0", "1", True, True),
        ("1.0000001", "1.0", True, True),
        ("1.0000001", "1", False, True),
        ("100001", "100000", False, True),
        ("100000", "100001.5", False, False),
        ("yes", "YES", False, False),
        ("", "1", False, False),
        ("", "", True, True),
        ("1 2\n3", "1\n2 3", False, False),
        ("1e400", "inf", False, False),
        ("0011", "11", False, True),
        ("11", "0011", False, True),
        ("-07", "-7", False, True),
        ("0", "-0", True, True),
        ("7.", "7", True, True),
        ("+7", "7", True, True),
        ("7.0000000", "7", True, True),
        ("07.0", "7", False, True),
        ("1e3", "1000", False, True),
        ("1E+3", "1000", False, True),
        ("1e+16", "10000000000000000", False, True),
        ("1000", "1e3", False, True),
        ("100", "1E2", False, True),
        ("0e1", "0e7", False, True),
        ("1000.0", "1e+3", True, True),
        ("1e+20", "1e+20", True, True),
        ("100000000000000000000", "1e+20", True, True),
        ("0.0000001", "1e-07", True, True),
        ("1e-7", "0.0000001", True, True),
        ("01.5", "1.5", True, True),
        ("00.5", ".5", True, True),
        ("1.5e1", "15.0", True, True),
        ("  x\n    y", "x\ny", True, True),
        ("x\ny", "    x\n\ty", True, True),
        ("x\r\ny\r\n", "x\ny", True, True),
        ("nan", "0.5", False, False),
        ("1_000", "1000", False, False),
        ("0x10", "16", False, False),
        ("\u0663", "3", False, False),
    ],
)
def test_text_is_compared_in_order_and_leniently_only_when_asked_for(output, expected, same, legacy):
    assert same_text(output, expected) is same
    assert same_text_legacy(output, expected) is legacy


@pytest.mark.parametrize("unit", ["7", "0", "7 ", "7\n", "\n", " ", "7.", "7e", "1e9 ", ".", "-", "x", "0 "])
def test_comparing_takes_time_in_proportion_to_the_output(unit):
    def seconds(length):
        text = unit * (length // len(unit))
        began = time.process_time()
        for same in (same_text, same_text_legacy):
            same(text + "q", text + "2")
            same(text, "2.5")
        return time.process_time() - began

    # 16 times as long; were it quadratic, it would take 256 times
    assert takes_at_most(48, seconds, 8_000, 128_000, least_s=0.001)


def test_a_difference_deep_inside_two_values_is_found_at_once():
    ours, theirs = list(range(100_000)), list(range(100_000))
    theirs[-1] += 1
    for _ in range(200):
        ours, theirs = [ours], [theirs]
    began = time.process_time()
    assert not same_value(ours, theirs)
    assert time.process_time() - began < 0.5  # comparing anew on each level takes 200 times as long


def test_the_lenient_comparison_is_named_in_the_verdict():
    problem = apps(["1"], ["1 2 3"])
    assert not grade_code(problem, block("print('3 2 1')")).correct
    verdict = code.grader(compare="legacy")(problem, block("print('3 2 1')"))
    assert verdict.correct and verdict.grader == "code-5 legacy"
    with pytest.raises(UserError, match="--compare exact: choose from"):
        code.grader(compare="exact")


def test_a_grader_with_options_travels_to_other_processes():
    grade = pickle.loads(pickle.dumps(code.grader(compare="legacy", all_tests=True)))
    assert grade(pickle.loads(pickle.dumps(SUM)), block(ADD)).correct


# --- rows ---


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no tests"),
        ("{}", "no tests"),
        ("[]", "no tests"),
        ('{"inputs": [], "outputs": []}', "no tests"),
        ('{"inputs": ["1"]}', "no tests"),
        ('{"inputs": ["1", "2"], "outputs": ["1"]}', "2 inputs and 1 outputs"),
        ('{"inputs": ["1"', "no JSON"),
        ("[" * 100_000, "no JSON|no tests"),
        ('{"fn_name": "f", "inputs": ["n = 5"], "outputs": ["1"]}', "no lists of arguments"),
        ('{"inputs": "12", "outputs": "12"}', "no lists"),
        ('{"inputs": null, "outputs": null}', "no tests"),
        ('{"inputs": {"a": 1}, "outputs": {"a": 1}}', "no lists"),
        ('{"fn_name": 5, "inputs": [[1]], "outputs": [1]}', "a function called 5"),
        ('{"fn_name": "a b", "inputs": [[1]], "outputs": [1]}', "a function called 'a b'"),
        ('{"inputs": ["\\ud800"], "outputs": ["1"]}', "an input that is no text"),
        ('{"inputs": ' + "[" * 100_000 + "]" * 100_000 + ', "outputs": ["1"]}', "nested too deeply|no JSON"),
        (
            '{"fn_name": "f", "inputs": [' + "[" * 100_000 + "]" * 100_000 + '], "outputs": ["1"]}',
            "nested too deeply|no JSON",
        ),
    ],
)
def test_a_row_without_usable_tests_says_why(text, words):
    with pytest.raises(BadRow, match=words):
        suite_of({"input_output": text}, "apps")


def test_a_problem_without_tests_is_never_passed():
    verdict = grade_code(Problem("17", "", None, unusable="no tests"), block(ADD))
    assert not verdict.correct and verdict.reason == "no_tests" and "problem 17" in verdict.detail


def test_tests_given_as_lists_of_lines_are_joined():
    assert grade_code(apps([["1", "2"]], [["1", "2"]]), block("print(input())\nprint(input())")).correct


def private(value):
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


TEST = {"input": "1", "output": "1", "testtype": "stdin"}
CALL = {"input": "1", "output": "1", "testtype": "functional"}


@pytest.mark.parametrize(
    ("tests", "words"),
    [
        ([], "no tests"),
        (5, "the public tests are no list"),
        (None, "the public tests are no list"),
        (["1"], "a test that is no object: '1'"),
        ([{"input": "1"}], "without an input and an output"),
        ([TEST | {"input": 1}], "without an input and an output"),
        ([TEST | {"testtype": "files"}], "a test of the kind 'files' where the row names no function"),
        ([TEST | {"input": "\ud800"}], "an input that is no text"),
    ],
)
def test_tests_of_livecodebench_that_cannot_be_used_say_why(tests, words):
    verdict = grade_code(lcb(tests), block(ADD))
    assert verdict.reason == "no_tests" and words in verdict.detail


def test_tests_that_call_need_a_name():
    with pytest.raises(BadRow, match="call a function, and the row does not name it"):
        lcb([CALL])
    with pytest.raises(BadRow, match="a function called 5"):
        lcb([CALL], 5)
    packed = lcb([], private=private(json.dumps([CALL])))  # not unpacked before an answer is graded
    assert "the row does not name it" in grade_code(packed, block(ADD)).detail
    tests = {"input_output": json.dumps({"fn_name": "total", "inputs": [[1]], "outputs": [1]})}
    with pytest.raises(BadRow, match="the starter code does not name the function"):
        suite_of(tests, "apps", starter_code="class Solution:\n    pass")
    assert suite_of(tests, "apps", starter_code="def total(a):").function == "total"


@pytest.mark.parametrize("text", [json.dumps([TEST]), private(json.dumps([TEST]))])
def test_private_tests_are_read_in_both_encodings(text):
    assert len(read_tests(lcb([TEST], private=text).reference).inputs) == 2


class Hostile:
    def __reduce__(self):
        return (print, ("unpickled",))


@pytest.mark.parametrize(
    "text",
    [
        private(Hostile()),
        private(["no text"]),
        private(5),
        private("[{"),
        private("5"),
        private(json.dumps([TEST]))[:-9],
        private(json.dumps([TEST]))[:20],
        base64.b64encode(zlib.compress(b"(" * 100_000 + b".")).decode(),
        base64.b64encode(zlib.compress(b"\x80\x04\x8b\xff\xff\xff\x7f.")).decode(),
        "AAAA",
        "!",
        "é",
        base64.b64encode(zlib.compress(b"\x80")).decode(),
    ],
)
def test_private_tests_that_are_no_text_are_refused_without_running_anything(text, capsys):
    verdict = grade_code(lcb([TEST], private=text), block("print(input())"))
    assert verdict.reason == "no_tests" and "unpickled" not in capsys.readouterr().out


def test_private_tests_that_unpack_to_more_than_may_be_are_refused(monkeypatch):
    monkeypatch.setattr(suites, "DECODED_BYTES", suites.DECODED_BYTES >> 20)  # a byte for each MB
    verdict = grade_code(lcb([TEST], private=private(json.dumps([TEST] * 100))), block("print(input())"))
    assert verdict.reason == "no_tests" and "do not unpack" in verdict.detail


def test_arguments_of_livecodebench_are_one_json_value_a_line():
    problem = lcb(
        [{"input": '[1, 2]\n"a=b,c"\ntrue', "output": '[3, "a=b,c", true]', "testtype": "functional"}], "f"
    )
    assert grade_code(
        problem, block("class Solution:\n    def f(self, a, s, t): return sum(a), s, t")
    ).correct


def test_tests_on_disk_are_read_when_a_row_is_graded(tmp_path):
    file = tmp_path / "test.jsonl"
    rows = [{"input_output": json.dumps({"inputs": [str(n)], "outputs": [str(n)]})} for n in range(3)]
    lines = [json.dumps(row).encode() + b"\n" for row in rows]
    file.write_bytes(b"".join(lines))
    at = {"file": str(file), "offset": len(lines[0])}
    problem = Problem("1", "", suite_of(rows[1] | {"tests_at": at}, "apps"))
    assert problem.reference.texts == () and len(pickle.dumps(problem)) < 1000
    assert grade_code(problem, block("print(1)")).correct
    read_tests.cache_clear()
    file.write_bytes(b"".join(lines).replace(b"1", b"9"))
    assert "have changed" in grade_code(problem, block("print(1)")).detail


def test_releases_and_dates_of_livecodebench():
    task = livecodebench.narrowed(
        livecodebench.task, release="v3", start_date="2024-01-01", end_date="2024-02-01"
    )
    assert task.source.files["test"] == ("test.jsonl", "test2.jsonl", "test3.jsonl")
    days = ["2023-12-31", "2024-01-01", "2024-02-01", "2024-02-02"]
    assert [task.source.keep({"contest_date": f"{day}T09:00:00"}) for day in days] == [
        False,
        True,
        True,
        False,
    ]
    with pytest.raises(UserError, match="--release v9"):
        livecodebench.files_of_release("v9")
    window = livecodebench.narrowed(livecodebench.task, release="v6-175")
    assert (
        window.source.keep({"contest_date": "2025-05-31T00:00:00"}) and window.choice["release"] == "v6-175"
    )
    assert not window.source.keep({"contest_date": "2025-01-31T00:00:00"})
    assert "2025-02-01 to 2025-05-31" in window.notes["contests"]
    with pytest.raises(UserError, match="leave --start-date"):
        livecodebench.narrowed(livecodebench.task, release="v6-454", start_date="2025-01-01")
    with pytest.raises(UserError, match="YYYY-MM-DD"):
        livecodebench.narrowed(livecodebench.task, start_date="2024")


def test_rows_of_the_errata_are_marked():
    row = {"question_id": "abc311_c", "question_title": "x"}
    assert livecodebench.erratum(row) == "several answers are right"
    assert livecodebench.erratum({"question_id": "1", "question_title": "Most Frequent IDs"}) == "wrong tests"


# --- labelled answers ---


def judged_otherwise(cases):
    wrong = []
    for case in cases:
        layout = "livecodebench" if case["dataset"] == "LiveCodeBench" else "apps"
        problem = Problem(case["id"], "", suite_of(case["problem"], layout))
        limits = SHORT if "loops" in case["id"] else code.DEFAULT_LIMITS
        verdict = grade_code(problem, case["response"], limits=limits)
        if verdict.correct != case["expected"]:
            wrong.append((case["id"], case["expected"], verdict))
    return wrong


def test_the_case_file_is_judged_as_labelled():
    cases = [json.loads(line) for line in CASES.read_bytes().splitlines()]
    assert len(cases) >= 20 and judged_otherwise(cases) == []


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no labelled answers at {SHARED}")
@pytest.mark.parametrize("file", ["code_dev.jsonl", "code_idioms_dev.jsonl"])
def test_labelled_answers_are_judged_as_labelled(file):
    cases = [json.loads(line) for line in (SHARED / file).read_bytes().splitlines()]
    cases = [case for case in cases if not case.get("debatable") and case["kind"] != "time-limit"]
    # That a program needs a fence was the convention when these were labelled.
    cases = [case for case in cases if "x_no_block" not in case["id"]]
    assert judged_otherwise(random.Random(7).sample(cases, 80)) == []


FORGED = """\
import os, struct
def frame(status, number=0):
    return struct.pack(">BiII", status, number, 0, 0)
os.write(4, frame(5, 1))
print(sum(map(int, input().split())))"""


@pytest.mark.parametrize(
    "problem, source, reason",
    [
        (apps(["4 7\n"], ["12\n"]), FORGED, "wrong_output"),
        (apps([[1]], [{"k": 2}], "table"), "def table(x):\n    return {7**9000: 2}", "wrong_output"),
        (apps(["5\n"], ["abc\n"]), "print('7' * 80_000 + 'q')", "wrong_output"),
        (apps(["5\n"], ["12\n"]), "print(str(2**400_000) + 'L')", "wrong_output"),
    ],
)
def test_no_program_makes_itself_unjudged(problem, source, reason):
    assert grade_code(problem, block("import sys\nsys.set_int_max_str_digits(0)\n" + source)).reason == reason


@pytest.mark.parametrize("printed, expected", [("101", "00000101"), ("0", "000"), ("-7", "-07")])
def test_zeros_in_front_that_a_test_expects_are_part_of_the_answer(printed, expected):
    assert not grade_code(apps(["1\n"], [expected + "\n"]), block(f"print({printed!r})")).correct
    assert not grade_code(apps(["1\n"], [printed + "\n"]), block(f"print({expected!r})")).correct
    assert grade_code(apps(["1\n"], [expected + "\n"]), block(f"print({expected!r})")).correct


@pytest.mark.parametrize(
    "problem, response",
    [
        (
            apps([[2, 6], [1, 1]], [8, 2], "total"),
            "```python\ndef total(a, b):\n    return a + b\n```\nUsage:\n```python\nprint(total(4, 9))\n```",
        ),
        (apps(["4 7\n"], ["11\n"]), f"```python\n{ADD}\n```\nA session:\n```python\n>>> solve(3, 5)\n8\n```"),
        (apps(["4 7\n"], ["11\n"]), ADD),
        (apps(["4 7\n"], ["11\n"]), f"```python {ADD}\n```"),
    ],
)
def test_the_program_is_found_among_samples_sessions_and_uses_of_it(problem, response):
    assert grade_code(problem, response).correct


@pytest.mark.parametrize(
    "response, reason",
    [
        ("```cpp\nint main() { return 0; }\n```", "unsupported_language"),
        ('```\n#include <cstdio>\nint main() { puts("3"); }\n```', "unsupported_language"),
        ('#include <cstdio>\nint main() {\n  puts("3");\n}\n', "unsupported_language"),
        (f"```cpp\nint main() {{ return 0; }}\n```\n```python\n{ADD}\n```", ""),
        (f"```python\n{ADD}\n```\n```cpp\nint main() {{ return 0; }}\n```", ""),
        (f"```javascript\n{ADD}\n```", ""),  # whatever its tag says: it compiles
        ("```python\nint main() { return 0; }\n```", "compile_error"),  # the tag decides
        ("```python\nprint(\n```\n```cpp\nint main() { return 0; }\n```", "compile_error"),
    ],
)
def test_an_answer_in_another_language_has_a_reason_of_its_own(response, reason):
    verdict = grade_code(SUM, response)
    assert verdict.reason == reason and (not reason or not verdict.correct)
    assert reason != "unsupported_language" or "C++" in verdict.detail
