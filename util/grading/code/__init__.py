"""Does a program do what the tests of its problem ask?

Call `grade_code`, or `grader` for one with other options; `suites` reads the tests, `outputs` compares, and
the sandbox runs the program.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import replace

from util.errors import UserError
from util.grading.code.asserts import AssertedRun
from util.grading.code.outcomes import failure_of, is_by_clock, out_of_time, sandbox_kind
from util.grading.code.outputs import judge_text, judge_value
from util.grading.code.places import BadRow
from util.grading.code.suites import Tests, read_tests
from util.grading.sandbox import (
    START_S,
    Limits,
    Program,
    SandboxError,
    TestOutcome,
    discard_sandbox,
    warm_sandbox,
)
from util.records import BY_THE_CLOCK, Problem, TestSuite, Verdict
from util.response import language_of, programs, solution_part

GRADER = "code-5"
COMPARISONS = ("ordered", "legacy")
DEFAULT_LIMITS = Limits()
USUAL_LIMITS = {
    "time_limit": DEFAULT_LIMITS.time_s,
    "memory_limit": DEFAULT_LIMITS.memory_bytes >> 20,
}  # settings
GRADE_TIMEOUT_S = DEFAULT_LIMITS.problem_s + 2 * START_S  # above what one problem and starting again can take
BATCH_BYTES = 64 << 20  # inputs that are sent to the sandbox at a time
OnTest = Callable[[int, str, str], None]  # called with a test's number, from 0, and how it ended


def grader(
    *,
    compare: str = "ordered",
    all_tests: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    time_of_row: bool = False,
) -> Callable[[Problem, str], Verdict]:
    """`grade_code` with these options, fit to travel to worker processes."""
    if compare not in COMPARISONS:
        raise UserError(f"--compare {compare}: choose from {', '.join(COMPARISONS)}")
    return functools.partial(
        grade_code, compare=compare, all_tests=all_tests, limits=limits, time_of_row=time_of_row
    )


def limits_of(time_limit: float | str, memory_limit: int) -> Limits:
    """The limits that the settings of a run name: CPU seconds of a test ("row": as its row says), and MiB."""
    time_s = DEFAULT_LIMITS.time_s if isinstance(time_limit, str) else time_limit
    return replace(DEFAULT_LIMITS, time_s=time_s, memory_bytes=memory_limit << 20)


def longest_s(suite: TestSuite, limits: Limits, *, time_of_row: bool) -> float | None:
    """CPU seconds that one program may take at most; None where the number of tests is not known.

    A test that fails behind others is run once more, as the first of a process.
    """
    if suite.tests is None:
        return None
    limits = _limits_on(suite, limits, time_of_row)
    return min((suite.tests + (suite.tests > 1)) * limits.time_s, limits.problem_s)


def _limits_on(suite: TestSuite, limits: Limits, time_of_row: bool) -> Limits:
    if not time_of_row or suite.time_s is None:
        return limits
    return replace(limits, time_s=suite.time_s)


def grade_code(
    problem: Problem,
    text: str,
    *,
    compare: str = "ordered",
    all_tests: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    time_of_row: bool = False,
    on_test: OnTest = lambda test, reason, detail: None,
) -> Verdict:
    """Run the code of a response on the tests of its problem: right when all of them pass.

    With `time_of_row`, each test may take as long as the problem says, where it says so.
    """
    name = GRADER if compare == "ordered" else f"{GRADER} {compare}"
    solution = solution_part(text)
    if solution is None:
        return Verdict(False, "truncated", detail="the thought is not closed", grader=name)
    suite = problem.reference
    found = programs(solution, suite.function if isinstance(suite, TestSuite) else None)
    sources = tuple(block.code for block in found)
    if not sources:
        return Verdict(False, "no_code", detail="no program after the thought", grader=name)
    try:
        if not isinstance(suite, TestSuite):
            raise BadRow(problem.unusable or "no tests")
        tests = read_tests(suite)
    except BadRow as error:
        return Verdict(False, "no_tests", sources[0], f"problem {problem.id}: {error}", name)
    limits = _limits_on(suite, limits, time_of_row)
    judge: _ProgramRun | AssertedRun
    if tests.asserted is not None:
        judge = AssertedRun(sources, tests.asserted, limits)
    else:
        judge = _ProgramRun(Program(sources, suite.function), tests, compare, limits, on_test)
    for attempt in (1, 2):
        try:
            judge.run(all_tests)
            break
        except BadRow as error:
            return Verdict(False, "no_tests", sources[0], f"problem {problem.id}: {error}", name)
        except SandboxError as error:
            for kind in judge.kinds:
                discard_sandbox(kind)
            if attempt == 2:
                return Verdict(False, "sandbox_error", sources[0], str(error), name)
    verdict = judge.verdict(name, suite.note)
    foreign = next((block for block in found if language_of(block)), None)
    if verdict.reason != "compile_error" or foreign is None:
        return verdict
    detail = f"the program is written in {language_of(foreign)}, not in Python"
    return replace(verdict, reason="unsupported_language", extracted=foreign.code, detail=detail)


class _ProgramRun:
    """One program, test by test."""

    def __init__(self, program: Program, tests: Tests, compare: str, limits: Limits, on_test: OnTest) -> None:
        self._program, self._tests, self._compare, self._limits = program, tests, compare, limits
        self._on_test = on_test
        self.kinds = (sandbox_kind(program.sources),)
        self._end = time.monotonic() + limits.problem_s

    def run(self, all_tests: bool) -> None:
        """Run tests until one fails, or all of them.

        One process runs many tests. What it did in one test may disturb the next, so a test counts as failed
        only when it fails as the first test of a process.
        """
        self.passed, self._source, self._failure = 0, 0, None
        self._by_clock = False  # whether the clock ended the test that failed
        sandbox = warm_sandbox(*self.kinds)
        count = len(self._tests.inputs)
        next_test, one_by_one = 0, False
        while next_test < count:
            left = self._end - time.monotonic()
            if left <= 0:
                if self._failure is None:
                    self._by_clock = True
                    self._failure = "timeout", next_test, out_of_time(self._limits)
                return
            last = next_test + 1 if one_by_one else self._batch_end(next_test)
            begin = next_test
            limits = replace(self._limits, problem_s=left)
            outcomes = sandbox.run(self._program, self._tests.inputs[begin:last], limits)
            for outcome in outcomes:
                self._source = outcome.source
                reason, detail = self._judged(begin + outcome.test, outcome)
                if reason and not outcome.is_first:
                    one_by_one = True
                    break
                self._on_test(next_test, reason, detail)
                next_test += 1
                if not reason:
                    self.passed += 1
                    continue
                if self._failure is None:
                    self._failure = (reason, begin + outcome.test, detail)
                    self._by_clock = is_by_clock(outcome)
                break
            outcomes.close()
            if self._failure is not None and (not all_tests or self._failure[0] == "compile_error"):
                return

    def _batch_end(self, begin: int) -> int:
        size = 0
        for test in range(begin, len(self._tests.inputs)):
            size += len(self._tests.inputs[test])
            if size > BATCH_BYTES and test > begin:
                return test
        return len(self._tests.inputs)

    def _judged(self, test: int, outcome: TestOutcome) -> tuple[str, str]:
        """("", "") when the test passed, else the reason and a short word about it."""
        reason, detail = failure_of(outcome, self._limits, is_call=self._program.function is not None)
        if reason:
            return reason, detail
        expected = self._tests.expected[test]
        if self._program.function is None:
            return judge_text(outcome.output, expected, self._compare)
        return judge_value(outcome.output, expected, self._tests.wrapped, self._compare)

    def verdict(self, grader: str, note: str) -> Verdict:
        count = len(self._tests.inputs)
        code = self._program.sources[self._source]
        note = f" ({note})" if note else ""
        if self._failure is None:
            assert self.passed == count > 0
            return Verdict(True, "", code, f"passed {count} of {count} tests{note}", grader)
        reason, test, detail = self._failure
        text = f"test {test + 1} of {count}: {detail}; {self.passed} passed{note}"
        return Verdict(False, reason, code, text, grader, cause=BY_THE_CLOCK if self._by_clock else "")
