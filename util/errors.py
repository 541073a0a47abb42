"""Which mistakes can the person at the keyboard fix, and what stops a run without being anyone's mistake?

Raise `UserError` for the first, `RunStopped` for the second; `why` says what a library found wrong.
"""


class UserError(Exception):
    """Something the user can fix: says what is wrong, the value seen and what to do next. Exit status 2."""


class RunStopped(Exception):
    """The run cannot go on although nobody gave wrong input (a dead engine, a lost endpoint, a full disk).

    What is finished is on disk; the same command continues. Exit status 1.
    """


def why(error: Exception) -> str:
    """What an error of Python or the system says, without the system's number for it."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
