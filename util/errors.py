"""Which mistakes can the person at the keyboard fix, and what stops a run without being anyone's mistake?

Raise `UserError` for the first, `RunStopped` for the second, `disk_trouble` for what a disk refuses; `why`
says what a library found wrong.
"""

from __future__ import annotations

import errno
from pathlib import Path

DO_ABOUT = {  # what the machine refuses, wherever it does, and what the person can do about it
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room within your quota",
    errno.EFBIG: "raise the limit of the size of files (ulimit -f)",
    errno.EROFS: "choose a folder that can be written, or mount its disk anew",
    errno.EIO: "see to the disk, which fails (dmesg says how)",
    errno.ESTALE: "mount the disk anew",
    errno.EACCES: "choose a folder that you may write",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "end programs that hold files open",
}


class UserError(Exception):
    """Something the user can fix: says what is wrong, the value seen and what to do next. Exit status 2."""

    status = 2


class RunStopped(Exception):
    """The run cannot go on although nobody gave wrong input (a dead engine, a lost endpoint).

    What is finished is on disk; the same command continues. Exit status 1.
    """

    status = 1


class DiskTrouble(RunStopped):
    """A disk takes nothing more: the run stops as any does, but the same command would stop again until a
    person has seen to it. Exit status 2."""

    status = 2


def not_writable(place: Path, error: OSError, flag: str) -> DiskTrouble:
    """Why nothing can be written to a place that a flag names, and what to do."""
    room = f"{DO_ABOUT[error.errno]}, or " if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return DiskTrouble(f"cannot write to {place}: {why(error)}; {room}choose another {flag}")


def disk_trouble(path: Path | str, error: OSError) -> DiskTrouble:
    """Why a file could not be written, that nothing is lost, and what to do."""
    if error.errno == errno.ENOSPC and isinstance(path, Path):
        what = f"the disk that holds {path.parent} is full"
    else:
        what = f"cannot write {path}: {why(error)}"
    do = DO_ABOUT.get(error.errno or 0, "put that right")
    return DiskTrouble(f"{what}; everything finished is kept: {do}, then run the same command again")


def why(error: Exception) -> str:
    """What an error of Python or the system says, without the system's number for it."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
