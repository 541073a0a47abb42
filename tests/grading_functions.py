"""Which graders do the tests of the pool hand to its workers? They travel by name, so they need a module."""

import os
import time

from util.grading.maths import grade_maths, symbolic
from util.records import Problem, Verdict


def right(problem: Problem, text: str) -> Verdict:
    return Verdict(text == problem.reference, extracted=text)


def maths(problem: Problem, text: str) -> Verdict:
    return grade_maths(problem.reference, text)


def sleep(problem: Problem, text: str) -> Verdict:
    time.sleep(60)
    return Verdict(True)


def die(problem: Problem, text: str) -> Verdict:
    os._exit(3)


def die_once(problem: Problem, text: str) -> Verdict:
    if os.path.exists(text):
        return Verdict(True)
    open(text, "w").close()
    os._exit(3)


def fail(problem: Problem, text: str) -> Verdict:
    return Verdict(1 / 0 == 1)


def engine_state(problem: Problem, text: str) -> Verdict:
    return Verdict(symbolic.enabled())


def process(problem: Problem, text: str) -> Verdict:
    return Verdict(True, extracted=str(os.getpid()))
