"""Which difficulty did a model name, and where are its labels kept?

`parse_difficulty` reads an answer, a `LabelBook` keeps what was read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from util.errors import UserError
from util.runs.batches import QuestionsPlace
from util.runs.journal import Journal, json_list, make_folders, read_line_at, read_lines, write_lines
from util.runs.lines import LABELLED, UNLABELLED
from util.runs.lock import locked_folder

LOWEST, HIGHEST = 1, 10

_NUMBER = r"(\d+(?:\.\d+)?)"
_BRACKETS = re.compile(r"\[\[\s*(-?\d+(?:\.\d+)?)\s*\]\]")
_ALONE = re.compile(rf"\s*[*\[(]*\s*{_NUMBER}\s*[*\])]*\s*(?:/\s*10|out of 10)?\s*\.?\s*")
_NAMED = re.compile(
    rf"\b(?:difficulty|level|rating|rated?|score)\b[\s:*=]*(?:is|of|at|as|a)?[\s:*]*{_NUMBER}"
    r"(?![\d.]*\d|\s*(?:-|–|to|or)\s*\d|\s*(?:/|out of)\s*(?!10\b)\d)",
    re.IGNORECASE,
)


def parse_difficulty(text: str) -> float | None:
    """The difficulty from 1 to 10 that an answer names; None when it names none, or several.

    The number in double brackets counts, the last one if there are several; without brackets a number that
    stands alone or behind a word such as "level" does, if it is the only one.
    """
    found = _BRACKETS.findall(text)[-1:]
    if not found and (alone := _ALONE.fullmatch(text)):
        found = [alone[1]]
    if not found:
        found = sorted(set(_NAMED.findall(text)))
    if len(found) != 1 or not LOWEST <= float(found[0]) <= HIGHEST:
        return None
    return float(found[0])


class LabelBook:
    """The labels of one slice: a journal of rows beside the list that is written at the end.

    Problems without a usable answer are kept apart, in the folder `unlabelled`, with the reason; `batches` is
    the place of what is asked in batches. With `retry` the book does not know which these were before.
    """

    def __init__(self, folder: Path, name: str, *, retry: bool = False, read_only: bool = False) -> None:
        name = name.replace("/", "-")
        self.list_path = folder / f"labeled_{name}.json"
        self.journal_path = folder / f"labeled_{name}.jsonl"
        self.batches = QuestionsPlace(folder / "batches" / name, self.has, self._sync)
        self.unlabelled_path = folder / "unlabelled" / f"{name}.jsonl"
        self._open = ExitStack()
        self._read_only = read_only
        if not read_only:
            lock = locked_folder(folder, f".{name}.lock", flag="--output-dir", what=str(self.journal_path))
            self._open.enter_context(lock)
        elif folder.exists() and not folder.is_dir():
            raise UserError(f"--output-dir {folder} is a file: name a folder")
        # Made when there is something to write: an empty file of labels would hide those of the hub.
        self._journals: dict[Path, Journal] = {}
        self._offsets = {line["id"]: offset for offset, line in read_lines(self.journal_path, LABELLED)}
        given_up = {line["id"] for _, line in read_lines(self.unlabelled_path, UNLABELLED)}
        self._given_up = set() if retry else given_up
        # (problem, model) -> journal, offset
        self._elsewhere: dict[tuple[str | None, str | None], tuple[Path, int]] = {}
        for path in sorted(folder.glob("labeled_*.jsonl")):
            if path != self.journal_path:
                for offset, line in read_lines(path):
                    self._elsewhere[line.get("id"), line.get("model")] = (path, offset)

    def has(self, name: str) -> bool:
        """Whether a problem needs no asking: it has a label, or got no usable answer and is not retried."""
        return name in self._offsets or name in self._given_up

    def _sync(self) -> None:
        for journal in self._journals.values():
            journal.sync()

    def take_over(self, name: str, model: str) -> bool:
        """Whether another slice has a label of this problem by this model, which then is of this one, too."""
        place = self._elsewhere.get((name, model))
        if place is None:
            return False
        if not self._read_only:
            path, offset = place
            with open(path, "rb") as journal:
                self._offsets[name] = self._append(self.journal_path, read_line_at(journal, offset))
        return True

    def add(self, row: dict, words: str, difficulty: float, model: str) -> None:
        line = {**row, "gpt_difficulty": words, "gpt_difficulty_parsed": difficulty, "model": model}
        self._offsets[row["id"]] = self._append(self.journal_path, line)

    def add_unlabelled(self, row: dict, words: str, reason: str, model: str) -> None:
        line = {**row, "gpt_difficulty": words, "reason": reason, "model": model}
        self._append(self.unlabelled_path, line)
        self._given_up.add(row["id"])

    def _append(self, path: Path, line: dict) -> int:
        if path not in self._journals:
            make_folders(path.parent)
            self._journals[path] = Journal(path)
        return self._journals[path].append(line)

    def write_list(self, rows: Iterable[dict]) -> int:
        """Write the labels of `rows` as one JSON list, in their order; returns how many there are."""
        names = [row["id"] for row in rows if row["id"] in self._offsets]
        if not names:
            return 0
        with open(self.journal_path, "rb") as journal:
            labels = (read_line_at(journal, self._offsets[name]) for name in names)
            write_lines(self.list_path, json_list(labels))
        return len(names)

    def __enter__(self) -> LabelBook:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for journal in self._journals.values():
            journal.close()
        self._open.__exit__(kind, error, trace)
