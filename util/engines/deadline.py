"""When does the time of a job end, and may another request begin before it?

Call `moment` with what --until says, or `end_of_job` for what Slurm says, and make a `Deadline` of it.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from bisect import bisect_left, insort
from collections import deque
from datetime import datetime, timedelta

from util.errors import UserError

SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
SLURM = "SLURM_JOB_END_TIME"
KEPT = 1000  # durations of requests
SHARE = 0.95  # of the requests so far that a further one is taken to be no longer than
LAST_S = 30.0  # before the end nothing is waited for; of short jobs at most a tenth


def moment(text: str) -> float:
    """An argparse type: "2h30m", "18:30" or "2026-12-01T06:00" as seconds since 1970."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([dhms])", text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return time.time() + sum(float(number) * SECONDS[unit] for number, unit in parts)
    now = datetime.now()
    try:
        if re.fullmatch(r"\d{1,2}:\d{2}", text):
            hour, minute = map(int, text.split(":"))
            at = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
            return (at if at > now else at + timedelta(days=1)).timestamp()
        end = datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time: write a duration such as 2h30m, a time of day such as 18:30, or "
            "2026-12-01T06:00"
        ) from error
    if end <= time.time():
        raise argparse.ArgumentTypeError(f"{text} is past: it is {now:%Y-%m-%dT%H:%M} here")
    return end


def end_of_job() -> float | None:
    """When Slurm will end the job that this process belongs to, in seconds since 1970; None without one."""
    said = os.environ.get(SLURM, "")
    if not said:
        return None
    if not (said.isascii() and said.isdecimal()):
        raise UserError(f"{SLURM} is {said!r} and no number of seconds: unset it, or give --until")
    if float(said) <= time.time():
        raise UserError(
            f"{SLURM} says that the job ended at {shown_time(float(said))}: unset it where that job is not "
            "this one, or give --until"
        )
    return float(said)


class Deadline:
    """The end of a job's time, and how long requests have taken so far."""

    def __init__(self, end: float) -> None:
        """`end` in seconds since 1970. Raises UserError where it is past."""
        left = end - time.time()
        if left <= 0:
            raise UserError(f"the time of this job ended at {shown_time(end)}: give a later --until")
        self.end = end
        self.last_s = min(LAST_S, left / 10)
        self._durations: deque[float] = deque()
        self._sorted: list[float] = []

    def left_s(self) -> float:
        """Seconds in which requests may still end."""
        return self.end - self.last_s - time.time()

    def note(self, seconds: float) -> None:
        """A request was answered after so many seconds."""
        self._durations.append(seconds)
        insort(self._sorted, seconds)
        if len(self._durations) > KEPT:
            del self._sorted[bisect_left(self._sorted, self._durations.popleft())]

    def allows_another(self) -> bool:
        """Whether a request that begins now ends in time, by the durations so far."""
        return self.expected_s() < self.left_s()

    def expected_s(self) -> float:
        """How long a request takes; 0 where none was answered yet."""
        return self._sorted[int(SHARE * (len(self._sorted) - 1))] if self._sorted else 0.0


def shown_time(end: float) -> str:
    return f"{datetime.fromtimestamp(end):%Y-%m-%d %H:%M}"
