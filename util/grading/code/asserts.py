"""Does a test program that calls the answer find what it asserts?

`AssertedRun` has two processes of the sandbox talk through us. One runs the test program, the other the
answer; the first asks for calls, the second answers them, and only data goes from one to the other. So an
answer can neither end, see nor change the tests, and cannot say that they have passed.
"""

from __future__ import annotations

import ast
import functools
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from util.grading.code.outcomes import failure_of, is_by_clock, out_of_time, sandbox_kind
from util.grading.code.places import BadRow
from util.grading.code.suites import Asserted
from util.grading.sandbox import Limits, Program, checker, warm_sandbox, wire
from util.records import BY_THE_CLOCK, Verdict

CHECK_TIMES = 10  # the tests may take this many times what one call may
_RAISED = re.compile(r"[A-Za-z_]\w*(?: \(\w+\))?(?:: |$)")  # how the note about an exception begins
_FOR_GOOD = ("MemoryError", "KeyboardInterrupt", "GeneratorExit")  # end the program, whatever tests expect


class AssertedRun:
    """One answer under one test program."""

    def __init__(self, sources: tuple[str, ...], asserted: Asserted, limits: Limits) -> None:
        self._answers, self._asserted, self._limits = sources, asserted, limits
        helpers = _helpers(asserted)
        helped = [f"{helpers}\n{source}" for source in sources] if helpers else sources
        # The first that compiles is run.
        both = dict.fromkeys(chain.from_iterable(zip(helped, sources, strict=True)))
        self._program = Program(tuple(both), asserted.function, is_exact=True)
        self._kind = sandbox_kind(sources)
        self.kinds = tuple({self._kind, _kind_of_tests(asserted)})

    def run(self, all_tests: bool) -> None:
        """Run the tests until something fails or all has passed; raises BadRow where they cannot be run."""
        self._end = time.monotonic() + self._limits.problem_s
        self._known: dict[str, list] = {}  # call -> its result, and what it raised
        self._failures: dict[str, tuple[str, str, bool]] = {}  # call -> reason, detail, whether by the clock
        self._source = 0
        self._failure: tuple[str, str, bool] | None = None
        calls: Sequence[str] = _first_calls(self._asserted)
        while calls and self._failure is None:
            self._answer(calls)
            calls = self._check()

    def _answer(self, calls: Sequence[str]) -> None:
        """Have calls answered until one fails; one that fails behind others is tried again alone."""
        sandbox, at, alone = warm_sandbox(self._kind), 0, False
        while at < len(calls):
            left = self._end - time.monotonic()
            if left <= 0:
                self._failure = "timeout", out_of_time(self._limits), True
                return
            inputs = [call.encode() for call in (calls[at : at + 1] if alone else calls[at:])]
            outcomes = sandbox.run(self._program, inputs, replace(self._limits, problem_s=left))
            for outcome in outcomes:
                reason, detail = failure_of(outcome, self._limits, is_call=True)
                if reason and not outcome.is_first:
                    alone = True
                    break
                self._source = outcome.source
                if reason:
                    self._failures[calls[at]] = reason, detail, is_by_clock(outcome)
                    self._known[calls[at]] = [None, _raised(reason, outcome.code, detail)]
                    outcomes.close()
                    return
                self._known[calls[at]] = [outcome.output.decode("ascii", "replace"), ""]
                at += 1
            outcomes.close()

    def _check(self) -> Sequence[str]:
        """The calls that the tests ask for besides; none where they have come to an end."""
        unread = [failure for failure in self._failures.values() if failure[0] == "compile_error"]
        if self._failure is not None or unread:
            self._failure = self._failure or unread[0]
            return ()
        reason, said, by_clock = _checked(self._asserted, self._known, self._limits)
        if reason:
            self._failure = reason, f"the tests, given what the calls returned: {said}", by_clock
        elif "unfit" in said:
            raise BadRow(f"the tests cannot be used: {said['unfit']}")
        elif "failed" in said:
            reason, detail, by_clock = self._failures.get(said["failed"], ("wrong_output", "", False))
            self._failure = reason, ": ".join(filter(None, [said["why"], detail])), by_clock
        return () if self._failure is not None else said["calls"]

    def verdict(self, grader: str, note: str) -> Verdict:
        run = self._program.sources[self._source]
        code = next(source for source in self._answers if run.endswith(source))
        note = f" ({note})" if note else ""
        if self._failure is None:
            assert self._known
            return Verdict(True, "", code, f"all assertions hold, of {len(self._known)} calls{note}", grader)
        reason, detail, by_clock = self._failure
        return Verdict(False, reason, code, detail + note, grader, cause=BY_THE_CLOCK if by_clock else "")


def _raised(reason: str, code: int, note: str) -> str:
    """The exception that a failed call raised, as the tests meet it; "" where the process ended."""
    is_raised = reason == "runtime_error" and code >= 0 and _RAISED.match(note) is not None
    return note if is_raised and not note.startswith(_FOR_GOOD) else ""


def _kind_of_tests(asserted: Asserted) -> str:
    return sandbox_kind((asserted.setup, asserted.tests))


@functools.cache
def _checker() -> Program:
    return Program((Path(checker.__file__).read_text(encoding="utf-8"),), checker.check.__name__)


@functools.lru_cache(maxsize=2)  # the samples of one problem come one after the other
def _first_calls(asserted: Asserted) -> tuple[str, ...]:
    """The calls that the tests make before they know anything; raises BadRow where there are none."""
    reason, said, _ = _checked(asserted, {}, Limits())
    if reason:
        raise BadRow(f"the tests cannot be run: {said}")
    if "unfit" in said or "failed" in said:
        raise BadRow(f"the tests cannot be used: {said.get('unfit') or said['why']}")
    if not said["calls"]:
        raise BadRow("the tests call no function of the answer")
    return tuple(said["calls"])


def _checked(asserted: Asserted, known: dict[str, list], limits: Limits) -> tuple[str, Any, bool]:
    """What the tests say when they know so much; or why they did not end, a word about it, and whether
    the clock ended them."""
    given = wire.encode([asserted.setup, asserted.tests, asserted.function, known])
    limits = replace(limits, time_s=CHECK_TIMES * limits.time_s)
    (outcome,) = warm_sandbox(_kind_of_tests(asserted)).run(_checker(), [given], limits)
    reason, detail = failure_of(outcome, limits, is_call=True)
    return (reason, detail, is_by_clock(outcome)) if reason else ("", wire.decode(outcome.output), False)


def _helpers(asserted: Asserted) -> str:
    """What the answer may take as given: the setup without an unfinished definition of what is asked for."""
    try:
        tree = ast.parse(asserted.setup)
    except (SyntaxError, ValueError, RecursionError):
        return ""
    tree.body = [node for node in tree.body if getattr(node, "name", "") != asserted.function]
    return ast.unparse(tree)
