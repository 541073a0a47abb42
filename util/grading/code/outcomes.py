"""In which sandbox is a program run, and how did a test end?

Call `sandbox_kind` before, `failure_of` and `is_by_clock` for each outcome.
"""

from __future__ import annotations

import re

from util.grading.sandbox import Limits, TestOutcome, wire

# Programs with these words are run where numpy is loaded already.
_NUMPY = re.compile(r"\b(?:np|numpy|scipy|pandas|networkx|numba|sklearn)\b")


def sandbox_kind(sources: tuple[str, ...]) -> str:
    """In which kind of sandbox a program is best run."""
    return "numpy" if any(map(_NUMPY.search, sources)) else "plain"


OUT_OF_TIME = "s for all tests are over"  # said of a program that the clock ended before its last test


def out_of_time(limits: Limits) -> str:
    return f"ended by the clock: {limits.problem_s:g} {OUT_OF_TIME}"


_REASONS = {
    "not compiled": ("compile_error", ""),
    "timeout": ("timeout", ""),  # its note says which clock
    "too large": ("output_limit", "the output limit"),
    "lost": ("runtime_error", "it ended by itself"),
}


def is_by_clock(outcome: TestOutcome) -> bool:
    return outcome.status == "timeout" and outcome.code > 0


def failure_of(outcome: TestOutcome, limits: Limits, *, is_call: bool) -> tuple[str, str]:
    """Why a test failed, whatever it put out, and a short word about it; ("", "") where it ended well."""
    reason, detail = _REASONS.get(outcome.status, ("", ""))
    if outcome.status == "exit" and (outcome.code or is_call):
        reason, detail = _exit_reason(outcome.code, outcome.note)
    elif outcome.status == "timeout" and outcome.code == 2:
        detail = out_of_time(limits)
    return reason, (detail or outcome.note) if reason else ""


def _exit_reason(code: int, note: str) -> tuple[str, str]:
    """Why a process ended: by its exit status, negative for a signal, and its note about an exception."""
    if note == wire.NO_MEMORY:
        return "memory", note
    if code < 0:
        return "runtime_error", f"ended by signal {-code}"
    return "runtime_error", note or (f"exit status {code}" if code else "the program ended without a result")
