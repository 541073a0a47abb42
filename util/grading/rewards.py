"""What is a response worth to a trainer: is it right, wrong, or can nobody tell?

Call `read_call` on what the trainer sent, a `RewardGrader` on the call, and `answer_of` on its verdict.
What trainers and networks send is checked here: nothing of it names a file, and only text is read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from util.errors import UserError
from util.grading import choice
from util.grading.code import grade_code
from util.grading.code.outcomes import OUT_OF_TIME
from util.grading.code.places import BadRow
from util.grading.code.suites import LAYOUTS, suite_of
from util.grading.judged import is_of_judge
from util.grading.sandbox import Limits, require_isolation
from util.records import NOT_JUDGED, Problem, TestSuite, Verdict, as_finished

SHOWN = 1000  # characters of a detail and of an extracted answer that are sent back
START_S = 60.0  # that the grading of a program may take besides its tests
CALLED = "of this call"  # the name of its problem
SUITES_KEPT = 16  # tests of problems that a grader keeps, as the responses to one come together

Grade = Callable[[Problem, str], Verdict]


class BadCall(Exception):
    """A call that cannot be graded; says why."""


@dataclass(frozen=True)
class Kind:
    """How the responses to a kind of problem are judged."""

    grade: Grade
    is_code: bool = False
    is_letter: bool = False
    by_judge: bool = False  # another model decides, which no reward can wait for


def kind_of(grade: Grade, *, is_code: bool) -> Kind:
    """The kind of a benchmark's problems, by its grader."""
    probe = Problem("", "", "A", ("this", "that"))
    grader = "" if is_code else grade(probe, "").grader
    return Kind(grade, is_code, is_letter=grader == choice.GRADER, by_judge=is_of_judge(grader))


@dataclass(frozen=True)
class Call:
    """One response with what it is compared with."""

    kind: str
    truth: str = field(repr=False)  # an answer, a letter, or tests as JSON
    text: str = field(repr=False)
    question: str = ""
    choices: tuple[str, ...] = ()
    finish_reason: str = "stop"
    time_limit_s: float | None = None  # of each test, where the data set says so


def read_call(message: object, kinds: Mapping[str, Kind]) -> Call:
    """The call that a message describes; `kinds` by lower-case name. Raises BadCall where it describes none.

    A message has `solution` and `ground_truth`, `task` or `data_source`, and perhaps `question`, `choices`,
    `finish_reason` and `time_limit_s`.
    """
    if not isinstance(message, dict):
        raise BadCall(f"a call is a JSON object, and this is {_named(message)}")
    text = message.get("solution")
    if not isinstance(text, str):
        raise BadCall(f"the solution is {_named(text)}: it has to be text")
    kind = _kind_of(message, kinds)
    choices = message.get("choices")
    choices = [] if choices is None else choices
    if not isinstance(choices, list) or not all(isinstance(one, str) for one in choices):
        raise BadCall("the choices are no list of texts")
    if len(choices) > len(choice.LETTERS):
        raise BadCall(f"{len(choices)} choices are more than {len(choice.LETTERS)}")
    finish_reason, question = (message.get(name) for name in ("finish_reason", "question"))
    return Call(
        kind=kind,
        truth=_truth(message.get("ground_truth"), is_code=kinds[kind].is_code),
        text=text,
        question=question if isinstance(question, str) else "",
        choices=tuple(choices),
        finish_reason=finish_reason if isinstance(finish_reason, str) and finish_reason else "stop",
        time_limit_s=_seconds(message.get("time_limit_s")),
    )


def _kind_of(message: dict, kinds: Mapping[str, Kind]) -> str:
    named = [message[key] for key in ("task", "data_source") if message.get(key) is not None]
    for name in named:
        if isinstance(name, str) and name.lower() in kinds:
            if kinds[name.lower()].by_judge:
                raise BadCall(f"{name} is graded by a judge, another model, and rewards are given by rules")
            return name.lower()
    said = " and ".join(name[:100] if isinstance(name, str) else _named(name) for name in named)
    raise BadCall(
        f"unknown task: {said or 'none was named'}; name a benchmark of the suite, its data set, or maths, "
        "number, letter or code"
    )


def _truth(value: object, *, is_code: bool) -> str:
    if is_code and isinstance(value, dict | list):
        return json.dumps(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise BadCall(f"the ground truth is {value}: a row without an answer has no reward")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value).removesuffix(".0")
    if value is None or not isinstance(value, str):
        raise BadCall(f"the ground truth is {_named(value)}: it has to be text")
    if not value.strip():
        raise BadCall("there is no ground truth: it is an empty text")
    return value


def _seconds(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise BadCall(f"the time limit is {_named(value)}: it has to be a number of seconds")
    return float(value) or None  # rows that say nothing hold 0


def _named(value: object) -> str:
    """What a value is, for people, without writing out what it holds."""
    if value is None:
        return "missing"
    return f"{value!r}" if isinstance(value, bool | int | float) else f"a {type(value).__name__}"


@lru_cache(maxsize=SUITES_KEPT)
def read_suite(truth: str, time_limit_s: float | None) -> TestSuite:
    """The tests that a ground truth holds as JSON; raises BadRow where it holds none.

    Either {"inputs": [...], "outputs": [...], "fn_name"?}, as APPS, TACO and verl have it, the columns of
    LiveCodeBench, or a test program as "test" with "setup" and "entry_point". Packed tests are refused:
    unpacking them is not for what comes over a network.
    """
    try:
        found = json.loads(truth)
    except (ValueError, RecursionError) as error:
        raise BadRow(f"the tests are no JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadRow("the tests are no JSON object")
    by_columns = (name for name, layout in LAYOUTS.items() if set(layout.columns) <= found.keys())
    if (name := next(by_columns, None)) is None:
        return suite_of({"input_output": truth}, "apps", time_s=time_limit_s)
    row = {column: found[column] for column in LAYOUTS[name].columns}
    if not all(isinstance(text, str) for text in row.values()):
        raise BadRow("the tests are not text")
    if row.get("private_test_cases", "").strip()[:1] not in ("", "["):
        raise BadRow("the private tests are packed: write them as JSON")
    return suite_of(row, name, time_s=time_limit_s)


@lru_cache(maxsize=1)
def _trouble(isolation: str) -> str:
    """Why programs cannot be run in this process; "" where they can."""
    try:
        require_isolation(isolation)
    except UserError as error:
        return str(error)
    return ""


@dataclass(frozen=True)
class RewardGrader:
    """Judges calls as `--check` judges samples; fit to travel to worker processes."""

    kinds: Mapping[str, Kind]
    program_s: float  # for all tests of a program, by the clock
    isolation: str  # the weakest under which programs may run

    def __call__(self, call: Call) -> Verdict:
        kind = self.kinds[call.kind]
        verdict = self._program(call) if kind.is_code else self._answer(kind, call)
        return as_finished(verdict, call.finish_reason)

    def _answer(self, kind: Kind, call: Call) -> Verdict:
        problem = Problem(CALLED, call.question, call.truth, call.choices)
        if not kind.is_letter:
            return kind.grade(problem, call.text)
        valid = choice.LETTERS[: len(call.choices) or None]
        if call.truth not in tuple(valid):
            detail = f"the ground truth {call.truth[:20]!r} is no letter out of {valid}"
            return Verdict(False, "no_tests", detail=detail, grader=choice.GRADER)
        # A benchmark takes its letters from the options; where these were not sent, any may be one.
        if call.choices:
            return kind.grade(problem, call.text)
        return choice.grade_choice(call.truth, call.text, options=len(choice.LETTERS))

    def _program(self, call: Call) -> Verdict:
        if trouble := _trouble(self.isolation):
            return Verdict(False, "sandbox_error", detail=trouble)
        try:
            problem = Problem(CALLED, call.question, read_suite(call.truth, call.time_limit_s))
        except BadRow as error:
            problem = Problem(CALLED, call.question, None, unusable=str(error))
        limits = replace(Limits(), problem_s=self.program_s)
        return grade_code(problem, call.text, limits=limits, time_of_row=True)


def answer_of(verdict: Verdict) -> dict[str, Any]:
    """What a verdict comes to: `correct` is None where nobody can tell.

    `--check` gives programs half an hour for all tests. Where they have less here, one that uses that up may
    be right.
    """
    out_of_time = verdict.by_the_clock and OUT_OF_TIME in verdict.detail
    is_judged = verdict.reason not in NOT_JUDGED and verdict.reason != "undecided" and not out_of_time
    return {
        "correct": verdict.correct if is_judged else None,
        "reason": verdict.reason,
        "detail": f"{verdict.detail}; {verdict.cause}".strip("; ")[:SHOWN],
        "extracted": verdict.extracted[:SHOWN] if verdict.extracted else "",
        "grader": verdict.grader,
    }


def refusal(why: str) -> dict[str, Any]:
    """The answer to a call that cannot be graded."""
    return {"correct": None, "reason": "bad_call", "detail": why[:SHOWN], "extracted": "", "grader": ""}
