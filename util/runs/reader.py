"""What does a run folder hold, sample by sample?

`read_records` joins samples, problems, formatted texts and verdicts. Reading keeps offsets instead of texts,
so a folder may be larger than memory.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from util.errors import UserError
from util.records import Key, Problem, Record, Sample, Verdict, graded_text
from util.runs.journal import (
    Closing,
    JoinedFiles,
    files_of,
    open_to_read,
    parsed_line,
    read_line_at,
    read_lines,
    sha256_of_text,
)
from util.runs.lines import FORMATTED, PROBLEMS, SAMPLES, UNFORMATTED, VERDICTS, key_of
from util.runs.offsets import SampleLine, problem_offsets, read_samples, sample_offsets
from util.terminal import say


def sample_lines(folder: Path) -> Iterator[SampleLine]:
    """The line of each sample, once: of several lines about one sample the first counts, which is said."""
    met, doubled = SampleSet(), 0
    for line in read_samples(folder / SAMPLES):
        if met.add(*line.key):
            yield line
        else:
            doubled += 1
    if doubled and not is_sharded(folder):
        _say_doubled(folder, doubled)


def has_samples(folder: Path) -> bool:
    return next(read_lines(folder / SAMPLES), None) is not None


def is_sharded(folder: Path) -> bool:
    """Whether several jobs have written to the run: two may have answered one request, if one was taken for
    dead."""
    return len(files_of(folder / SAMPLES)) > 1


@cache  # said once a command, however often it reads
def _say_doubled(folder: Path, number: int) -> None:
    lines = "1 line" if number == 1 else f"{number} lines"
    say(
        f"{folder}: {lines} of {SAMPLES} name a sample that an earlier line has, and are not counted; "
        "to join runs, use\n  python -m util.runs merge RUN RUN -o RUN"
    )


def read_records(folder: Path) -> Iterator[Record]:
    """Join samples, problems, formatted texts and verdicts of a run, in the order of samples.jsonl.

    A verdict about another text than today's is left out. Memory: some 50 bytes a sample, no texts.
    """
    with RunReader(folder) as reader:
        for _, record in reader:
            yield record


class RunReader(Closing):
    """A run folder open for reading: its records in the order of samples.jsonl, or one again by its place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._samples = folder / SAMPLES
        self._samples_name = str(self._samples)  # made once
        self._open_files()
        self._last_problem: tuple[int, dict] = (-1, {})

    def _open_files(self) -> None:
        with ExitStack() as opened:  # closes what is open where another cannot be opened
            self._problem_file = _open_if_there(opened, self.folder / PROBLEMS)
            self._formatted_file = _open_if_there(opened, self.folder / FORMATTED)
            self._verdict_file = _open_if_there(opened, self.folder / VERDICTS)
            self._open = opened.pop_all()
        self._sample_file: BinaryIO | JoinedFiles | None = None

    def reopen(self) -> None:
        """Open the files anew, in a forked process: it shares its place in each file with its parent."""
        self._open.close()
        self._open_files()

    def __iter__(self) -> Iterator[tuple[RecordPlace, Record]]:
        for line in self.lines():
            yield line.place, self.record(line)

    def lines(self, *, below: int | None = None) -> Iterator[RecordLine]:
        """Each sample's line, and where its other parts lie; nothing is decoded.

        With `below`, only samples with a smaller index.
        """
        problems = problem_offsets(self.folder / PROBLEMS)
        formatted_texts = sample_offsets(self.folder / FORMATTED)
        verdicts = sample_offsets(self.folder / VERDICTS)
        problem_id, problem = None, -1  # of the last sample: those of a problem mostly follow one another
        for line in sample_lines(self.folder):
            if below is not None and line.key[2] >= below:
                continue
            if line.key[0] != problem_id:
                problem_id, problem = line.key[0], problems.find(hash(line.key[0]))
            if problem < 0:
                raise stray_sample(self.folder, problem_id)
            formatted = formatted_texts.find(line.digest) if formatted_texts else -1
            verdict = verdicts.find(line.digest) if verdicts else -1
            yield RecordLine(RecordPlace(line.offset, problem, formatted), verdict, line.raw)

    def record(self, line: RecordLine) -> Record:
        """The record on a line."""
        sample = sample_from(parsed_line(line.raw, self._samples_name, line.place.sample))
        formatted = self._formatted_text(line.place)
        verdict = self._verdict_at(line.verdict, graded_text(sample, formatted))
        return self._record(line.place, sample, formatted, verdict)

    def at(self, place: RecordPlace) -> Record:
        """The record at a place, without its verdict."""
        if self._sample_file is None:
            self._sample_file = open_to_read(self._samples)
            self._open.callback(self._sample_file.close)
        sample = sample_from(read_line_at(self._sample_file, place.sample))
        return self._record(place, sample, self._formatted_text(place), None)

    def formatted_by(self, place: RecordPlace) -> str:
        """The rule or the model that formatted the text at a place; "" where none did."""
        return "" if place.formatted < 0 else read_line_at(self._formatted_file, place.formatted)["by"]

    def problem_line(self, offset: int) -> dict:
        """The line of problems.jsonl at `offset`; the samples of a problem mostly follow one another."""
        if self._last_problem[0] != offset:
            self._last_problem = (offset, read_line_at(self._problem_file, offset))
        return self._last_problem[1]

    def close(self) -> None:
        self._open.close()

    def _formatted_text(self, place: RecordPlace) -> str | None:
        if place.formatted < 0:
            return None
        return read_line_at(self._formatted_file, place.formatted)["text"]

    def _verdict_at(self, offset: int, text: str) -> Verdict | None:
        if offset < 0:
            return None
        judged = read_line_at(self._verdict_file, offset)
        return Verdict(**judged["verdict"]) if judged["judged"] == text_digest(text) else None

    def _record(
        self, place: RecordPlace, sample: Sample, formatted: str | None, verdict: Verdict | None
    ) -> Record:
        problem = self.problem_line(place.problem)
        return Record(
            question=problem["question"],
            prompt=problem["prompt"],
            answer=problem["answer"],
            sample=sample,
            formatted=formatted,
            verdict=verdict,
            about=problem.get("about") or {},
            choices=tuple(problem.get("choices") or ()),
        )


class RecordPlace(NamedTuple):
    """Where the parts of a record lie, as offsets in bytes; -1: there is none."""

    sample: int
    problem: int
    formatted: int


class RecordLine(NamedTuple):
    """A sample as it stands in samples.jsonl, and where the rest of its record lies."""

    place: RecordPlace
    verdict: int  # offset of the last line about it in verdicts.jsonl, perhaps on another text; -1: none
    raw: bytes


class RecordPlaces:
    """Many places in little memory, and quick to send."""

    def __init__(self, offsets: Iterable[int] = ()) -> None:
        self._offsets = array("q", offsets)

    def append(self, place: RecordPlace) -> None:
        self._offsets.extend((place.sample, place.problem, place.formatted))

    def __iter__(self) -> Iterator[RecordPlace]:
        offsets = iter(self._offsets)
        return map(RecordPlace, offsets, offsets, offsets)

    def __len__(self) -> int:
        return len(self._offsets) // 3

    def part(self, begin: int, number: int) -> RecordPlaces:
        """So many places from the one at `begin` on, or as many as there are."""
        return RecordPlaces(self._offsets[3 * begin : 3 * (begin + number)])


class StoredProblems:
    """Problems of a run by id, rebuilt from problems.jsonl; a reference that is no text is None."""

    def __init__(self, folder: Path) -> None:
        self._offsets = {line["id"]: offset for offset, line in read_lines(folder / PROBLEMS)}
        self._file = open_to_read(folder / PROBLEMS)

    def get(self, problem_id: str) -> Problem | None:
        if problem_id not in self._offsets:
            return None
        line = read_line_at(self._file, self._offsets[problem_id])
        return Problem(
            id=line["id"],
            question=line["question"],
            reference=line["answer"],
            choices=tuple(line.get("choices") or ()),
            about=line.get("about") or {},
        )

    def ids(self) -> Iterable[str]:
        """Of all problems that were asked, answered or not."""
        return self._offsets.keys()

    def offset(self, problem_id: str) -> int:
        """Where the problem's line begins in problems.jsonl."""
        return self._offsets[problem_id]

    def prompt(self, problem_id: str) -> str:
        """The user message as it was sent."""
        return read_line_at(self._file, self._offsets[problem_id])["prompt"]

    def close(self) -> None:
        self._file.close()


def count_problems(folder: Path) -> int:
    """How many problems a run has written down, answered or not."""
    return len({line["id"] for _, line in read_lines(folder / PROBLEMS)})


def stray_sample(folder: Path, problem_id: str) -> UserError:
    """What is wrong with a folder that has samples of a problem which it does not hold."""
    return UserError(
        f"{folder / SAMPLES} has a sample of {problem_id!r}, which {PROBLEMS} does not name: the folder was "
        "put together from parts of different runs"
    )


class SampleSet:
    """Which samples exist: a bit per index, so that a million samples take little memory."""

    def __init__(self) -> None:
        self._bits: dict[tuple[str, float], int] = {}
        self._count = 0

    def add(self, problem_id: str, temperature: float, index: int) -> bool:
        """Whether it was not there yet."""
        bits = self._bits.get((problem_id, temperature), 0)
        is_new = not bits >> index & 1
        if is_new:
            self._bits[(problem_id, temperature)] = bits | 1 << index
            self._count += 1
        return is_new

    def has(self, problem_id: str, temperature: float, index: int) -> bool:
        return bool(self._bits.get((problem_id, temperature), 0) >> index & 1)

    def problems(self) -> set[str]:
        return {problem_id for problem_id, _ in self._bits}

    def temperatures(self) -> list[float]:
        return sorted({temperature for _, temperature in self._bits})

    def __iter__(self) -> Iterator[Key]:
        for name, bits in self._bits.items():
            yield from ((*name, index) for index in range(bits.bit_length()) if bits >> index & 1)

    def __len__(self) -> int:
        return self._count


def samples_there(folder: Path) -> SampleSet:
    """Which samples the folder holds; none where there is no folder."""
    return _samples_named(folder / SAMPLES)


def given_up(folder: Path) -> SampleSet:
    """The samples whose formatting was tried and failed."""
    return _samples_named(folder / UNFORMATTED)


def _samples_named(path: Path) -> SampleSet:
    found = SampleSet()
    for _, line in read_lines(path):
        found.add(*key_of(line))
    return found


def sample_from(line: dict) -> Sample:
    values: Iterator[Any] = map(line.get, Sample.__dataclass_fields__)
    return Sample(*values)


def text_digest(text: str) -> str:
    """Names the text that a verdict judged."""
    return sha256_of_text(text)[:16]


def _open_if_there(stack: ExitStack, path: Path) -> BinaryIO | JoinedFiles:
    """The file; one without a line where there is none, as nothing in it is ever looked for."""
    file = open_to_read(path if os.path.lexists(path) else Path(os.devnull))
    stack.callback(file.close)
    return file
