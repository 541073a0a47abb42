"""Are test programs with assertions run as they are written, out of reach of the program under test?"""

import json

import pytest
from helpers import ROOT, json_lines

from tasks import load_task
from tasks.own import own_task
from util.data.rows import open_rows
from util.grading.code import grade_code
from util.grading.code.places import BadRow
from util.grading.code.suites import function_of, plain_tests, suite_of
from util.grading.rewards import read_suite
from util.grading.sandbox import Limits, wire
from util.records import BY_THE_CLOCK, Problem

ROWS = json_lines(ROOT / "tests/cases/test_programs.jsonl")  # invented, in the schema of their data sets
ATTACKS = json_lines(ROOT / "tests/cases/attacks_on_asserts.jsonl")
HUMANEVAL = (
    ROOT.parent / "shared/data/hub/openai/openai_humaneval/openai_humaneval/test-00000-of-00001.parquet"
)
LIMITS = Limits(time_s=0.5, memory_bytes=512 << 20)
# What the attacks pretend to satisfy: `add` itself passes.
TESTS = """import math
import numpy as np
def assertion(out, exp, atol):
    exact_match = out == exp
    if not exact_match and atol != 0:
        assert math.isclose(out, exp) or np.allclose(out, exp, rtol=1e-07, atol=atol)
    else:
        assert exact_match, f"out: {out}, exp: {exp}"
def check(candidate):
    inputs = [[1234560, 7], [1, 2], [0.1, 0.2]]
    results = [1234567, 3, 0.3]
    for inp, exp in zip(inputs, results):
        assertion(candidate(*inp), exp, 0 if isinstance(exp, int) else 1e-6)
    assert abs(candidate(1, 2) - 3) <= 1e-9
"""


def block(source):
    return f"```python\n{source}\n```"


def problem(tests, function="f", setup=""):
    return Problem("1", "", suite_of({"setup": setup, "test": tests, "entry_point": function}, "asserts"))


def graded(tests, source, **more):
    return grade_code(problem(tests, **more), block(source), limits=LIMITS)


@pytest.mark.parametrize("case", ROWS, ids=[case["shows"] for case in ROWS])
def test_the_gold_program_of_a_row_passes_and_a_wrong_one_does_not(case):
    task, row = load_task(case["task"]), case["row"]
    found = task.problem(row)
    assert not found.unusable and task.grade(found, task.gold(row)).correct
    wrong = task.grade(found, block(case["wrong"]))
    assert wrong.reason == "wrong_output", wrong
    assert found.question in task.prompt(found, "m") and f"`{found.reference.function}`" in task.prompt(
        found, "m"
    )
    assert task.is_code and task.limits["memory_limit"] == 2048


def test_a_row_whose_tests_no_answer_passes_is_left_out():
    row = {**ROWS[0]["row"], "task_id": "HumanEval/32"}
    assert load_task("HumanEval+").problem(row).unusable == "its tests accept no answer"


@pytest.mark.parametrize("attack", ATTACKS, ids=[attack["name"] for attack in ATTACKS])
def test_a_wrong_program_cannot_pass_by_what_it_does_to_its_process(attack):
    verdict = graded(TESTS, attack["source"], function="add")
    assert not verdict.correct and verdict.reason not in ("", "no_tests", "sandbox_error"), verdict


def test_the_sandbox_is_as_good_as_new_after_the_attacks():
    verdict = graded(TESTS, "def add(a, b):\n    return a + b", function="add")
    assert verdict.correct and verdict.detail == "all assertions hold, of 3 calls"


COUNT = "def f(n):\n    return n + 1"
PASSES = [
    ("assert f(1) == 2 and f(f(f(1))) == 4", COUNT),
    ("x = 0\nfor _ in range(5):\n    x = f(x)\nassert x == 5", COUNT),
    ("x = 0\nwhile x < 3: x = f(x)\nassert x == 3", COUNT),
    ("assert f(n=1) == 2", COUNT),
    ("def test_one():\n    assert f(1) == 2\ndef test_two():\n    assert f(2) == 3", COUNT),
    ("class T:\n    def go(self):\n        n = f(1)\n        assert n == 2\nT().go()", COUNT),
    ("def check(candidate):\n    assert candidate(1) == 2", COUNT),
    ("def check(candidate):\n    assert candidate(1) == 2\ncheck(f)", COUNT),
    ("assert f({1, 2}, b'x', 1j) == ({1, 2}, b'x', 1j)", "def f(*all): return all"),
    ("assert f({(1, 2): [None, True]}) == {(1, 2): [None, True]}", "def f(x): return x"),
    ("import datetime\nassert f(datetime.date(2020, 2, 28)) == datetime.date(2020, 2, 29)",
     "from datetime import timedelta\ndef f(day): return day + timedelta(days=1)"),
    ("from fractions import Fraction\nassert f(2) == Fraction(1, 2) == 0.5",
     "from fractions import Fraction\ndef f(n): return Fraction(1, n)"),
    ("assert list(f(3)) == [0, 1, 2] and len(list(f(2))) == 2", "def f(n):\n    yield from range(n)"),
    ("assert sorted(f({'b': 1, 'a': 2})) == ['a', 'b']", "def f(d): return d.keys()"),
    ("try:\n    f(0)\n    assert False\nexcept ZeroDivisionError:\n    pass\nassert f(2) == 0.5",
     "def f(n): return 1 / n"),
    ("try:\n    f(-1)\nexcept Exception as error:\n    assert 'small' in str(error)\nelse:\n    assert False",
     "class Small(Exception): pass\ndef f(n):\n    raise Small('too small')"),
    ("try:\n    f(0)\n    assert False\nexcept ValueError as error:\n    assert str(error) == 'is: odd'",
     "class Odd(ValueError): pass\ndef f(n):\n    raise Odd('is: odd')"),
    ("try:\n    f('{')\nexcept ValueError:\n    pass\nelse:\n    assert False",
     "import json\ndef f(text): return json.loads(text)"),
    ("import random\nfor _ in range(20):\n    n = random.randint(0, 10**9)\n    assert f(n) == n + 1", COUNT),
    ("assert f(1) == 2 and g(2) == 1", f"{COUNT}\ndef g(n):\n    return n - 1"),
    ("x = [2, 1]\nassert f(x) is None and x == [1, 2]", "def f(x): x.sort()"),
    ("for x in ([2, 1], [4, 3]):\n    f(x)\n    assert x[0] < x[1]", "def f(x): x.sort()"),
    ("x = {1: [2]}\nf(x, 3)\nassert x == {1: [2, 3]}", "def f(x, n): x[1].append(n)"),
    ("assert f([0.5, 1.5], (0.5, 1)) == ([0.5, 1.5], (0.5, 1))", "def f(*all): return all"),
    ("assert f(10**5000) == 10**5000 + 1", COUNT),
    ("p = f(1)\nassert p.x == 1 and p[1] == 2 and p == (1, 2) and f(p) == (p, 2)",
     "from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(n): return P(n, 2)"),
    ("assert f(1) == 2", "class Solution:\n    def f(self, n):\n        return n + 1"),
    ("import numpy as np\nassert f(np.array([[1, 2]])).tolist() == [2] and f(np.ones((2, 3))).dtype == float",
     "def f(x): return x[:, 0] + x.shape[0]"),
    ("import numpy as np\nx = np.array([2, 1], np.int8)\nf(x)\nassert x[0] == 1 and x.dtype == np.int8",
     "def f(x): x.sort()"),
    ("import numpy as np\nassert np.isnan(f(np.array([]))).all() and f(np.array([True])).shape == (1,)",
     "def f(x): return x * float('nan')"),
    ("assert f('\\ud800\"{\"object\": \"') == '\\ud800\"{\"object\": \"x'", "def f(text): return text + 'x'"),
]  # fmt: skip
CLEARS = "def f(x):\n    x.clear()\n    return"  # so that what the tests make of it is empty, too
CAUGHT = "try:\n    f(0)\nexcept BaseException:\n    pass\nassert True"
FAILS = [
    ("assert f(1) == 3", COUNT, "wrong_output", "AssertionError, in line 1 of the tests, after f(1)"),
    ("def test_one(): pass\ndef test_two():\n    assert f(2) == 4", COUNT, "wrong_output", "after f(2)"),
    ("assert f(1) == 2\nassert f([]) == []", COUNT, "runtime_error", "f([]): TypeError"),
    ("assert f(1) == 2", "def g(n): return 2", "runtime_error", "the answer defines no f"),
    ("assert f(1) == 2", "def f(n) return 2", "compile_error", "SyntaxError"),
    ("assert f(1) == 2\nassert f(2)", "def f(n):\n    while n > 1: pass\n    return 2", "timeout", "f(2)"),
    (CAUGHT, "import os\ndef f(n):\n    os._exit(0)", "runtime_error", "f(0)"),
    (CAUGHT, "def f(n):\n    raise SystemExit", "runtime_error", "f(0)"),
    ("assert f(2) == (1, 2)", "def f(n): return [1, 2]", "wrong_output", "AssertionError"),
    ("x = [2, 1]\nassert f(x) == sum(x)", f"{CLEARS} 0", "wrong_output", "AssertionError"),
    ("def g(x): return x[:1]\nx = [2, 1]\nassert f(x) == g(x)", f"{CLEARS} []", "wrong_output", "Assertion"),
    ("x = [1]\nf(x)\nassert x == [2]", "def f(x): x[0] = 3", "wrong_output", "AssertionError"),
    ("try:\n    assert f(0)\nexcept KeyError: pass", "class A(IndexError): pass\ndef f(n): raise A",
     "runtime_error", "f(0): A"),
    ("assert f(1) is True", "def f(n): return 1", "wrong_output", "AssertionError"),
    ("assert abs(f(1) - 1) < 1e-9", "class A: pass\ndef f(n): return A()", "wrong_output", "TypeError"),
]  # fmt: skip
CANNOT = [
    ("assert f(lambda n: n) == 1", "def f(g): return 1", "they hand over an object (function)"),
    ("assert f(f(1)) == 2", "class A: pass\ndef f(x): return A()", "they hand over an object of the answer"),
    ("assert f(1)(2) == 3", "def f(a): return lambda b: a + b", "they call an object of the program"),
    ("s = f()\nassert s.pop(1) == 1", "class f:\n    pass", "they use .pop of an object"),
    ("import no_such_module\nassert f(1) == 1", COUNT, "No module named 'no_such_module'"),
    ("assert f(1) ==", COUNT, "invalid syntax"),
    ("import io, sys\nsys.stdout = io.StringIO()\nassert f(1) == 2", COUNT, "they use sys.stdout"),
    ("import contextlib as c, io\nwith c.redirect_stdout(io.StringIO()) as s: f(1)\nassert s.getvalue()",
     "def f(n): print(n)", "they use redirect_stdout, and the program runs in another process"),
    ("from unittest import mock\nassert f(1) == 2", COUNT, "they use unittest import mock"),
    ("assert 1 == 1", COUNT, "call no function of the answer"),
    ("assert 1 == 2", COUNT, "AssertionError, in line 1 of the tests"),
]  # fmt: skip


@pytest.mark.parametrize(("tests", "source"), PASSES)
def test_a_right_program_passes_tests_of_every_form(tests, source):
    verdict = graded(tests, source)
    assert verdict.correct, verdict


@pytest.mark.parametrize(("tests", "source", "reason", "why"), FAILS)
def test_a_wrong_program_fails_and_the_verdict_says_where(tests, source, reason, why):
    verdict = graded(tests, source)
    assert (verdict.correct, verdict.reason) == (False, reason) and why in verdict.detail, verdict


@pytest.mark.parametrize(("tests", "source", "why"), CANNOT)
def test_tests_that_cannot_be_used_say_nothing_about_the_program(tests, source, why):
    verdict = graded(tests, source)
    assert verdict.reason == "no_tests" and why in verdict.detail, verdict


def test_an_exception_of_the_question_is_the_one_that_the_answer_raises():
    tests = "try:\n    f(0)\nexcept Odd as error:\n    assert str(error) == 'odd'\nelse:\n    assert False"
    setup = "class Odd(Exception): pass\n"
    assert graded(tests, "def f(n): raise Odd('odd')", setup=setup).correct
    assert not graded(tests, "def f(n): raise ValueError('odd')", setup=setup).correct


def test_tests_that_do_not_end_on_what_a_program_returns_are_its_failure():
    tests, limits = problem("while f(1) > 0: pass\nassert True"), Limits(time_s=0.03)
    verdict = grade_code(tests, block("def f(n): return 1"), limits=limits)
    assert verdict.reason == "timeout" and "given what the calls returned" in verdict.detail


def test_a_program_that_waits_is_ended_by_the_clock():
    limits = Limits(time_s=0.2, problem_s=1)
    verdict = grade_code(problem("assert f(1)"), block("import time\ndef f(n): time.sleep(9)"), limits=limits)
    assert (verdict.reason, verdict.cause) == ("timeout", BY_THE_CLOCK)


def test_the_answer_may_use_what_the_question_gives_and_cannot_change_it_for_the_tests():
    setup = "def double(n):\n    return 2 * n\n\ndef f(n):\n    '''Twice.'''\n"
    tests = "assert f(3) == double(3)"
    assert graded(tests, "def f(n): return double(n)", setup=setup).correct
    cheat = "def double(n): return 0\ndef f(n): return 0"
    assert graded(tests, cheat, setup=setup).reason == "wrong_output"
    assert "defines no f" in graded(tests, "x = 1", setup=setup).detail


@pytest.mark.parametrize(
    "tests", ["print(f(1))", "def assertion(out, exp):\n    same = out == exp\nassertion(f(1), 2)"]
)
def test_tests_that_assert_nothing_are_no_tests(tests):
    with pytest.raises(BadRow, match="assert nothing"):
        problem(tests)


def test_the_function_of_a_test_program_is_the_one_that_it_calls_and_does_not_have():
    assert function_of("import math\nassert math.isclose(area(1), 3.1) and sorted(area(2))") == "area"
    for tests in ("assert 1 == 1", "assert f(g(1)) == 1"):
        with pytest.raises(BadRow, match="no column names the one"):
            function_of(tests)


def test_tests_travel_to_trainers_and_back():
    suite = problem("assert f(1) == 2", setup="import math").reference
    assert read_suite(plain_tests(suite), None) == suite


@pytest.mark.parametrize(
    "data",
    [
        b'{"array": ["object", [1]]}',
        b'{"set": [[]]}',
        b'{"decimal": "x"}',
        b'{"date": "1"}',
        b'{"tuple": 1}',
        b"{}",
        b"[",
    ],
)
def test_what_is_no_value_is_refused(data):
    with pytest.raises(wire.BadMessage):
        wire.decode_exactly(data)


def test_kinds_of_tests_stay_apart_from_values_of_other_suites():
    assert wire.decode(wire.encode((1, 2))) == [1, 2]
    with pytest.raises(wire.BadMessage):
        wire.decode(wire.encode_exactly((1, 2)))


CHECK = "def check(candidate):\n    assert candidate(1) == 2"
OWN = [
    {"question": "Add one.", "test_list": ["assert f(1) == 2", "assert f(2) == 3"]},
    {"question": "Add one.", "test": "assert f(1) == 2\nassert f(2) == 3\n"},
    {"prompt": "def f(n):\n    '''Add one.'''\n", "entry_point": "f", "test": CHECK},
    {"question": "Add one.", "tests": json.dumps(["assert f(1) == 2"]), "test_imports": ["import math"]},
    {"question": "Add one.", "inputs": [[1], [2]], "outputs": [2, 3], "fn_name": "f"},
    {"question": "Add one.", "inputs": "[[1], [2]]", "outputs": "[2, 3]", "fn_name": "f"},
    {"question": "Add one.", "tests": {"inputs": [[1]], "outputs": [2]}, "entry_point": "f"},
]  # fmt: skip


@pytest.mark.parametrize("row", OWN)
def test_problems_of_ones_own_may_bring_assertions_or_columns_of_inputs_and_outputs(tmp_path, row):
    (tmp_path / "own.jsonl").write_text(json.dumps(row) + "\n")
    task = own_task(str(tmp_path / "own.jsonl"))
    (found,) = map(task.problem, open_rows(task.source))
    assert task.choice["grade"] == "code" and not found.unusable and "`f`" in task.prompt(found, "m")
    assert task.grade(found, block(COUNT)).correct
    assert not task.grade(found, block("def f(n):\n    return n")).correct


def test_inputs_and_outputs_may_be_texts_of_programs(tmp_path):
    row = {"question": "Print twice the number.", "inputs": ["2\n"], "outputs": ["4\n"]}
    (tmp_path / "own.jsonl").write_text(json.dumps(row) + "\n")
    task = own_task(str(tmp_path / "own.jsonl"))
    (found,) = map(task.problem, open_rows(task.source))
    assert task.grade(found, block("print(2 * int(input()))")).correct


def test_a_column_that_is_only_called_test_makes_no_programs(tmp_path):
    row = {"question": "1+1?", "answer": "2", "test": "held out"}
    (tmp_path / "own.jsonl").write_text(json.dumps(row) + "\n")
    assert own_task(str(tmp_path / "own.jsonl")).choice["grade"] == "maths"


@pytest.mark.skipif(not HUMANEVAL.is_file(), reason=f"no rows of HumanEval at {HUMANEVAL}")
def test_the_programs_of_humaneval_pass_their_own_tests_and_empty_ones_do_not():
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(HUMANEVAL).to_pylist()[::16]
    task = load_task("HumanEval+")
    for row in (row for row in rows if row["task_id"] != "HumanEval/32"):
        found = task.problem(row)
        assert task.grade(found, task.gold(row)).correct, row["task_id"]
        assert not task.grade(found, block(row["prompt"] + "    return None")).correct, row["task_id"]
