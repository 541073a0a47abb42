"""What can be done about requests that failed?

Call `about_failures`.
"""

from __future__ import annotations

from util.terminal import number_of

REFUSED = "refused with "  # how the message of a failure begins that asking again does not mend


def about_failures(failed: int, last: str, *, of: int | None = None) -> str:
    """How many requests failed, why the last one did, and what to do about it."""
    counted = number_of(failed, "request") if of is None else f"{failed:,} of {number_of(of, 'request')}"
    if last.startswith(REFUSED):
        todo = (
            "the same command would be refused again: change or leave out the setting that the message names"
        )
    else:
        todo = "the same command retries them"
    return f"{counted} failed (the last one: {last}); {todo}"
