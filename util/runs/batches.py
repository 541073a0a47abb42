"""Which parts of a run were handed in as batches, and what became of each?

Call `waiting_parts` for what is still to be fetched, `BatchBook` to write down what becomes of parts. Each
step of a part is a line of batches.jsonl that is on the disk before the next step is taken; its requests and
results lie in batches/.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from util.errors import UserError
from util.records import exact_number
from util.runs.journal import (
    Journal,
    files_of,
    make_folders,
    read_lines,
    sha256_of_text,
    write_lines,
    write_whole,
)
from util.runs.lines import BATCHES, SAMPLES
from util.runs.reader import samples_there
from util.terminal import number_of

FOLDER = "batches"
FILES = "files"  # where parts are that a person has answered, and the word for it behind --batch
OF_PART = ("at", "nonce", "attempt", "requests", "tokens")  # what is written down of a part at its beginning
MOST_NAME = 64  # characters of a request's name
NOT_ASKED = '{"state": "withdrawn"}\n'  # stands where the requests of a part were


@dataclass
class Part:
    """Requests that are handed in together."""

    number: int
    at: str  # where: an endpoint's address as it may be shown, or FILES
    nonce: str  # by which its batch is found again
    attempt: int  # how often its requests are asked with this one
    path: Path  # of its requests
    requests: int = 0
    tokens: int = 0  # of its prompts, roughly
    file_id: str = ""
    batch_id: str = ""
    status: str = ""  # how its batch ended; "": it has not
    is_over: bool = False  # withdrawn, or all that it brought was taken
    names: dict[str, bool] = field(default_factory=dict)  # of its requests, and whether each has a limit
    left: dict[str, bool] = field(default_factory=dict)  # those to be taken

    @property
    def results(self) -> Path:
        return self.path.with_suffix(".results.jsonl")

    @property
    def earlier(self) -> Path:
        """Results that lay here before they are fetched once more, until they are."""
        return self.path.with_suffix(".earlier.jsonl")

    @property
    def is_withdrawn(self) -> bool:
        """Whether its file of requests says so, which a lost line of batches.jsonl cannot take away."""
        try:
            with open(self.path, encoding="utf-8", errors="replace") as file:
                return file.read(len(NOT_ASKED)) == NOT_ASKED
        except FileNotFoundError:
            return False


class Place(Protocol):
    """Where batches are written down, and what is known there of their requests."""

    @property
    def folder(self) -> Path: ...

    def lacking(self, names: Iterable[str]) -> Iterable[str]:
        """Those of the requests whose answers may still be wanted."""
        ...

    def keeps(self, name: str) -> bool:
        """Whether the answer that was just given is in the files of this place, and never wanted again."""
        ...

    @property
    def sync(self) -> Callable[[], None]:
        """Brings to the disk what came of answers."""
        ...


@dataclass(frozen=True)
class RunPlace:
    """The folder of a run: each answer is a sample."""

    folder: Path

    def lacking(self, names: Iterable[str]) -> list[str]:
        have = {name_of(*key) for key in samples_there(self.folder)}
        return [name for name in names if name not in have]

    def keeps(self, name: str) -> bool:
        return True

    def sync(self) -> None:
        for _, path in files_of(self.folder / SAMPLES):
            with open(path, "rb") as file:
                os.fsync(file)


@dataclass(frozen=True)
class QuestionsPlace:
    """A folder for batches of questions, each of which may be asked several times until it is done."""

    folder: Path
    is_done: Callable[[str], bool]  # by the name that `asked_about` gives
    sync: Callable[[], None]  # bring to the disk what is known of those that are done

    def keeps(self, name: str) -> bool:
        return self.is_done(asked_about(name))

    def lacking(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if not self.keeps(name)]


@dataclass
class Parts:
    """All parts of a run, and what endpoints have taught us meanwhile."""

    all: dict[int, Part] = field(default_factory=dict)
    lessons: set[str] = field(default_factory=set)

    def open(self) -> list[Part]:
        """Parts that may have been paid for and are not taken: of one that was only written down, too, nobody
        knows whether it was asked, as later lines may be lost."""
        return [part for part in self.all.values() if not part.is_over]


def read_parts(folder: Path) -> Parts:
    """What a run's folder says of its parts, without the names of their requests."""
    found = Parts()
    for number, (_, line) in enumerate(read_lines(folder / BATCHES), 1):
        wrong = _read_step(found, folder, line)
        if wrong:
            raise UserError(
                f"{folder / BATCHES}: line {number} {wrong}: restore the file ({BATCHES}.damaged may have "
                "what lacks), as nothing else says which batches are paid for"
            )
    for part in found.open():
        part.is_over = part.is_withdrawn
    return found


def _read_step(found: Parts, folder: Path, line: dict) -> str:
    """Take what a line says of a part; returns what is wrong with it."""
    number, state = line["part"], line["state"]
    if state == "written":
        path = folder / FOLDER / f"{number:04}.jsonl"
        if lacking := [name for name in OF_PART if name not in line]:
            return f"says no {' and no '.join(lacking)}"
        found.all[number] = Part(number, path=path, **{name: line[name] for name in OF_PART})
        return ""
    if number not in found.all:
        return f"is about part {number}, and no line before it says what that asks"
    part = found.all[number]
    if state == "lesson":
        found.lessons.add(line["lesson"])
    elif state in ("uploaded", "created", "ended"):
        for name in ("file_id", "batch_id", "status"):
            if name in line:
                setattr(part, name, line[name])
    elif state in ("withdrawn", "taken"):
        part.left = dict.fromkeys(line.get("left", ()), True)  # when taken: what is to be taken still
        part.is_over = not part.left
    else:
        return f"has the state {state!r}, which is none"
    return ""


def waiting_parts(place: Place, parts: Parts | None = None) -> list[Part]:
    """Parts that may bring answers that the place does not have, with the names of their requests."""
    found = (parts or read_parts(place.folder)).open()
    for part in found:
        part.names = _names(part)
    listed = [[name for name in part.left or part.names if name in part.names] for part in found]
    lacking = set(place.lacking(name for names in listed for name in names)) if found else set()
    for part, names in zip(found, listed, strict=True):
        part.left = {name: part.names[name] for name in names if name in lacking}
    return [part for part in found if part.left]


def questions_waiting(place: QuestionsPlace) -> Callable[[str], bool]:
    """Tells of a question, by its name, whether a batch was asked it and the answer is not taken yet."""
    asked = {asked_about(name) for part in waiting_parts(place) for name in part.left}
    return lambda question: asked_about(name_of(question, 0.0, 0)) in asked


def is_paid_for(folder: Path) -> bool:
    """Whether batches of a run may bring samples that are paid for."""
    return bool(read_parts(folder).open())


def fetching_flag(parts: Sequence[Part]) -> list[str]:
    """The words of a command that takes what these parts bring; none for no parts."""
    return ["--batch", *([FILES] if parts[0].at == FILES else [])] if parts else []


class BatchBook:
    """The parts of a run that is open for writing."""

    def __init__(self, place: Place) -> None:
        self._place, self._folder = place, place.folder
        make_folders(self._folder)
        self._journal = Journal(self._folder / BATCHES)
        self._parts = read_parts(self._folder)
        self.lessons = self._parts.lessons
        waiting_parts(place, self._parts)
        for part in self.open():
            if part.status and not part.left:  # its command ended before it could say that all is taken
                self.taken(part)

    def open(self) -> list[Part]:
        """Parts that may have been paid for and are not taken, in the order of their numbers."""
        return self._parts.open()

    def write(self, part_of: dict[str, Any], names: dict[str, bool], lines: Iterable[str]) -> Part:
        """Write a new part down; its fields and `names` are filled while its `lines` are drawn."""
        folder = self._folder / FOLDER
        make_folders(folder)
        number = max([*self._parts.all, *_numbers_there(folder)], default=0) + 1
        path = folder / f"{number:04}.jsonl"
        write_lines(path, lines)
        part = Part(number, path=path, names=names, left=dict(names), requests=len(names), **part_of)
        self._parts.all[number] = part
        self._note(part, "written", **{name: getattr(part, name) for name in OF_PART})
        return part

    def note(self, part: Part, state: str, **found: str) -> None:
        """Something has become of a part: it is on the disk when this returns."""
        self._note(part, state, **found)
        for name, value in found.items():
            setattr(part, name, value)

    def withdraw(self, part: Part) -> None:
        """A part is asked otherwise: nothing was paid for it."""
        part.is_over = True
        self._note(part, "withdrawn")
        write_whole(part.path, NOT_ASKED)

    def taken(self, part: Part) -> None:
        """All that this command wants of a part is taken; its answers are on the disk before this says so."""
        self._place.sync()
        lacking = {*self._place.lacking(part.left)} if part.left else set()
        part.left = {name: has_limit for name, has_limit in part.left.items() if name in lacking}
        part.is_over = not part.left
        self._note(part, "taken", left=[*part.left])

    def learn(self, part: Part, lesson: str) -> None:
        self.lessons.add(lesson)
        self._note(part, "lesson", lesson=lesson)

    def _note(self, part: Part, state: str, **found: Any) -> None:
        self._journal.append({"part": part.number, "state": state, **found})
        self._journal.sync()

    def close(self) -> None:
        self._journal.close()


def name_of(problem_id: str, temperature: float, index: int) -> str:
    """The name of a sample's request in its batch; a long or odd problem is named by a digest."""
    rest = f"/{exact_number(temperature)}/{index}"
    if len(problem_id + rest) > MOST_NAME or not (problem_id.isascii() and problem_id.isprintable()):
        problem_id = sha256_of_text(problem_id)[:32]
    return problem_id + rest


def asked_about(name: str) -> str:
    """The problem in the name of a request; its digest where it is long or odd."""
    return name.rsplit("/", 2)[0]


def result_lines(path: Path) -> Iterator[dict | None]:
    """Each line of a file of results; None for one that is damaged."""
    with open(path, "rb") as file:
        for raw in file:
            try:
                line = json.loads(raw) if raw.strip() else {}
            except (ValueError, RecursionError):
                line = None
            if line != {}:
                yield line if isinstance(line, dict) and isinstance(line.get("custom_id"), str) else None


def model_asked(path: Path) -> str:
    """The model that the requests of a part are for."""
    return next((line["body"]["model"] for _, line in read_lines(path)), "")


def _numbers_there(folder: Path) -> Iterator[int]:
    """The numbers of parts that have files: one whose lines are lost keeps its requests and results."""
    for path in folder.iterdir():
        number = path.name.partition(".")[0]
        if number.isdecimal():
            yield int(number)


def _names(part: Part) -> dict[str, bool]:
    """The requests of a part by name, and whether each says how long its answer may be."""
    names: dict[str, bool] = {}
    try:
        for _, line in read_lines(part.path):
            limits = ("max_tokens", "max_completion_tokens")
            names[line["custom_id"]] = any(name in line["body"] for name in limits)
    except (KeyError, TypeError, UserError):  # it is damaged: what lacks is counted
        pass
    if len(names) != part.requests:
        raise UserError(
            f"{part.path} has {len(names)} of {number_of(part.requests, 'request')} that a batch was asked: "
            f"restore it, or delete batches.jsonl beside {part.path.parent} to pay for its answers again"
        )
    return names
