"""Which graders do the tests of the pool hand to its workers? They travel by name, so they need a module."""

import json
import os
import time
from pathlib import Path

from util.grading.maths import grade_maths, symbolic
from util.grading.pool import LOWEST
from util.grading.sandbox import warm_sandbox
from util.records import BY_THE_CLOCK, Problem, Verdict


def call(job: tuple) -> Verdict:
    """The work of a pool whose jobs say themselves who grades them."""
    grade, *given = job
    return grade(*given)


def right(problem: Problem, text: str) -> Verdict:
    return Verdict(text == problem.reference, extracted=text)


def maths(problem: Problem, text: str) -> Verdict:
    return grade_maths(problem.reference, text)


def sleep(problem: Problem, text: str) -> Verdict:
    time.sleep(60)
    return Verdict(True)


def wait(problem: Problem, text: str) -> Verdict:
    while not os.path.exists(text):
        time.sleep(0.01)
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


def ended_by_the_clock(problem: Problem, text: str) -> Verdict:
    """As a program that waits, or (with "busy") one that works where nobody takes its core."""
    if text == "busy" and os.nice(0) < LOWEST:
        return Verdict(True)
    return Verdict(False, "timeout", cause=BY_THE_CLOCK)


class NicenessWhenLoaded:
    """Knows what niceness a worker had when it took this up."""

    def __setstate__(self, state: dict) -> None:
        self.found = os.nice(0)

    def __getstate__(self) -> dict:
        return {"some": "state"}

    def __call__(self, job: object) -> Verdict:
        return Verdict(True, detail=f"{self.found}, then {os.nice(0)}")


def niceness_at_the_end(problem: Problem, text: str) -> Verdict:
    """Ended by the clock whenever it is graded; its detail is the niceness of the last time."""
    return Verdict(False, "timeout", detail=str(os.nice(0)), cause=BY_THE_CLOCK)


def priority(problem: Problem, text: str) -> Verdict:
    """The niceness and the score for being killed, of this grader and of its sandbox."""
    found = []
    for process in ("self", warm_sandbox().process_id):
        folder = Path("/proc", str(process))
        group = folder / "autogroup"  # not there, or empty, where sessions do not count
        words = group.read_text().split() if group.exists() else []
        found.append(
            {
                "nice": int((folder / "stat").read_text().rpartition(")")[2].split()[16]),
                "oom": int((folder / "oom_score_adj").read_text()),
                "group": int(words[-1]) if words else None,
            }
        )
    return Verdict(True, extracted=json.dumps(found))


def untransportable(problem: Problem, text: str) -> Verdict:
    return Verdict(True, extracted=lambda: text)
