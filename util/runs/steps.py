"""Which steps of a longer work are done, and what did each find out?

Open a `StepBook` on a file: `get` finds what a step has found, `add` keeps it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from util.runs.journal import Journal, read_line_at, read_lines
from util.runs.offsets import name_digest


class StepBook:
    """A journal whose lines are found again by what they are about."""

    def __init__(self, path: Path) -> None:
        self._offsets = {_digest(line["step"]): offset for offset, line in read_lines(path)}
        self._journal = Journal(path)
        self._file = open(path, "rb")

    def get(self, *step: object) -> dict | None:
        offset = self._offsets.get(_digest(step))
        return None if offset is None else read_line_at(self._file, offset)

    def add(self, *step: object, **found: object) -> dict:
        line = {"step": step, **found}
        self._offsets[_digest(step)] = self._journal.append(line)
        return line

    def has(self, name: str) -> bool:
        """Whether the step of this `name_of_step` is kept."""
        return int(name, 16) in self._offsets

    def sync(self) -> None:
        self._journal.sync()

    def close(self) -> None:
        self._journal.close()
        self._file.close()


def name_of_step(*step: object) -> str:
    """A short name of a step."""
    return f"{_digest(step):x}"


def _digest(step: Iterable[object]) -> int:
    return name_digest(json.dumps(list(step), ensure_ascii=False))
