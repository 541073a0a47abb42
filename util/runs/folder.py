"""What is in the folder of one model on one benchmark, and how is it written and read back?

    run.json        settings, data set commit, versions, summary
    problems.jsonl  one line per problem asked
    samples.jsonl   one line per completion
    formatted.jsonl one line per rewritten completion; unformatted.jsonl: why one could not be rewritten
    verdicts.jsonl  one line per grading; the last line about a sample holds, if it judged the text of today

Reading keeps offsets instead of texts, so a folder may be larger than memory.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from util.errors import UserError
from util.records import SCHEMA, Problem, Record, Sample, Verdict
from util.runs.journal import (
    Journal,
    hold_lock,
    read_line_at,
    read_lines,
    write_whole,
)
from util.runs.offsets import key_digest, name_digest, problem_offsets, sample_offsets

PROBLEMS, SAMPLES, FORMATTED, UNFORMATTED, VERDICTS = (
    "problems.jsonl",
    "samples.jsonl",
    "formatted.jsonl",
    "unformatted.jsonl",
    "verdicts.jsonl",
)
LOCK = "lock"


@dataclass(frozen=True)
class Wanted:
    """Which run a command means: its folder's usual name and the settings that must agree."""

    name: str
    settings: dict


def find_run(result_dir: Path, wanted: Wanted, *, fresh: bool = False) -> Path:
    """The folder of `wanted` under `result_dir`, whether it exists or not.

    A folder whose settings differ is refused with both values named, unless `fresh`, which takes the next
    free name beside it. Folders made that way are found again without `fresh`. A folder without samples
    binds nobody: the command that made it failed before the first one.
    """
    base = result_dir / wanted.name
    differences = []
    for number in range(1, 1000):
        folder = base if number == 1 else base.with_name(f"{base.name}-{number}")
        # os.path.exists is False for what may not be looked at, too: opening the folder says why.
        if not os.path.exists(folder / "run.json"):
            break
        difference = _difference(read_run_json(folder)["settings"], wanted.settings)
        if difference is None or next(read_lines(folder / SAMPLES), None) is None:
            return folder
        differences.append(difference)
    if not differences or fresh:
        return folder
    name, there, here = differences[-1]
    raise UserError(
        f"{base} was made with {name} = {there!r}, this command says {here!r}: "
        "use the same value, another --result-dir, or --overwrite-settings to start a fresh folder beside it"
    )


def run_name(model: str, task: str, split: str, source: str | None, start: int, end: int) -> str:
    return f"{model}_{task}_{split}_{source or 'all'}_{start}_{end}".replace("/", "-")


def read_run_json(folder: Path) -> dict:
    """run.json of a folder; raises UserError when it is missing, damaged or of another schema."""
    path = folder / "run.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"no run at {folder}: {_what_is_there(folder)}") from None
    except (ValueError, OSError) as error:
        raise UserError(
            f"{path} cannot be read ({error}): restore it or start in another --result-dir"
        ) from error
    if content.get("schema") != SCHEMA:
        raise UserError(
            f"{folder} has schema {content.get('schema')!r}, this version reads {SCHEMA}: "
            "use the version of the suite that wrote it (see made_with in run.json)"
        )
    return content


def _what_is_there(folder: Path) -> str:
    """What to do where a folder is no run."""
    if not folder.is_dir():
        kind = "it is a file" if folder.exists() else "there is no such folder"
        return f"{kind}; name the folder of a run, the one with run.json"
    below = next(folder.glob("*/run.json"), None)
    if below is None:
        return "the folder has no run.json; name the folder of a run"
    return f"it holds runs; name one of them, such as {below.parent}"


class Run:
    """A run folder open for its one writer.

    Raises UserError when the folder cannot be written or another process writes to it.
    """

    def __init__(self, folder: Path, *, settings: dict, made_with: dict) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = hold_lock(folder / LOCK, str(folder))
        except OSError as error:
            raise UserError(
                f"cannot write to {folder}: {error.strerror}; choose another --result-dir"
            ) from error
        if (folder / "run.json").exists():
            self.info = read_run_json(folder)
        elif next(read_lines(folder / SAMPLES), None) is not None:
            self._lock.close()
            raise UserError(
                f"{folder} has samples but no run.json, which says how they were made: restore it, or choose "
                "another --result-dir"
            )
        else:
            self.info = {"schema": SCHEMA, "settings": settings, "dataset": {}, "made_with": made_with}
            self.save_info()
        self._problems = Journal(folder / PROBLEMS)
        self._samples = Journal(folder / SAMPLES)
        self._verdicts = Journal(folder / VERDICTS)
        self._formatted: dict[str, Journal] = {}  # opened when first needed: most runs never have them
        self._asked = {line["id"] for _, line in read_lines(folder / PROBLEMS)}
        self._have = samples_there(folder)

    def begin_anew(self, *, settings: dict, made_with: dict) -> None:
        """Forget what an earlier command wrote down before it failed without a sample."""
        assert not self._have, "a run with samples keeps its settings"
        self._problems.clear()
        self._asked.clear()
        self.info = {"schema": SCHEMA, "settings": settings, "dataset": {}, "made_with": made_with}
        self.save_info()

    def has(self, problem_id: str, temperature: float, index: int) -> bool:
        return self._have.has(problem_id, temperature, index)

    def count(self) -> int:
        return len(self._have)

    def add_problem(self, problem: Problem, prompt: str) -> None:
        """Write the problem's line unless it is there."""
        if problem.id in self._asked:
            return
        line = {
            "id": problem.id,
            "question": problem.question,
            "prompt": prompt,
            "answer": problem.reference if isinstance(problem.reference, str) else None,
        }
        if problem.choices:
            line["choices"] = list(problem.choices)
        if problem.about:
            line["about"] = problem.about
        self._problems.append(line)
        self._asked.add(problem.id)

    def add_sample(self, sample: Sample) -> int:
        """Write the sample's line and return its offset in samples.jsonl."""
        assert not self.has(*sample.key), f"sample {sample.key} was generated twice"
        offset = self._samples.append(asdict(sample))
        self._have.add(*sample.key)
        return offset

    def sample_at(self, offset: int) -> Sample:
        with open(self.folder / SAMPLES, "rb") as file:
            return sample_from(read_line_at(file, offset))

    def add_verdict(self, key: tuple[str, float, int], judged: str, verdict: Verdict) -> None:
        problem_id, temperature, index = key
        self._verdicts.append(
            {
                "problem_id": problem_id,
                "temperature": temperature,
                "index": index,
                "judged": judged,
                "verdict": asdict(verdict),
            }
        )

    def add_formatted(self, key: tuple[str, float, int], text: str, by: str) -> None:
        """Keep the text of a sample in thought and solution; `by` names the rule or the model."""
        self._add_format(FORMATTED, key, {"text": text, "by": by})

    def add_unformatted(self, key: tuple[str, float, int], reason: str, by: str) -> None:
        """Keep why a sample could not be formatted, so that nobody pays for it twice."""
        self._add_format(UNFORMATTED, key, {"text": None, "by": by, "reason": reason})

    def _add_format(self, name: str, key: tuple[str, float, int], said: dict) -> None:
        if name not in self._formatted:
            self._formatted[name] = Journal(self.folder / name)
        problem_id, temperature, index = key
        self._formatted[name].append(
            {"problem_id": problem_id, "temperature": temperature, "index": index, **said}
        )

    def save_info(self) -> None:
        write_whole(self.folder / "run.json", json.dumps(self.info, ensure_ascii=False, indent=1) + "\n")

    def close(self) -> None:
        for journal in (self._problems, self._samples, self._verdicts, *self._formatted.values()):
            journal.close()
        self._lock.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def samples_there(folder: Path) -> SampleSet:
    """Which samples the folder holds; none where there is no folder."""
    found = SampleSet()
    for _, line in read_lines(folder / SAMPLES):
        found.add(line["problem_id"], line["temperature"], line["index"])
    return found


class SampleSet:
    """Which samples exist: a bit per index, so that a million samples take little memory."""

    def __init__(self) -> None:
        self._bits: dict[tuple[str, float], int] = {}
        self._count = 0

    def add(self, problem_id: str, temperature: float, index: int) -> None:
        bits = self._bits.get((problem_id, temperature), 0)
        self._count += not bits >> index & 1
        self._bits[(problem_id, temperature)] = bits | 1 << index

    def has(self, problem_id: str, temperature: float, index: int) -> bool:
        return bool(self._bits.get((problem_id, temperature), 0) >> index & 1)

    def __len__(self) -> int:
        return self._count


def writer_of(folder: Path) -> str | None:
    """Which process is writing to the run just now; None when nobody is."""
    try:
        lock = open(folder / LOCK, encoding="utf-8")
    except OSError:  # copied without its lock file
        return None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return lock.read().strip() or "another process"
    return None


def read_records(folder: Path) -> Iterator[Record]:
    """Join samples, problems, formatted texts and verdicts of a run, in the order of samples.jsonl.

    A verdict about another text than today's is left out. Memory: some 50 bytes a sample, no texts.
    """
    with RunReader(folder) as reader:
        for _, record in reader:
            yield record


@dataclass(frozen=True)
class Place:
    """Where the parts of a record lie, as offsets in bytes; -1: there is none."""

    sample: int
    problem: int
    formatted: int


class Places:
    """Many places in little memory."""

    def __init__(self) -> None:
        self._offsets = array("q")

    def append(self, place: Place) -> None:
        self._offsets.extend((place.sample, place.problem, place.formatted))

    def __iter__(self) -> Iterator[Place]:
        offsets = iter(self._offsets)
        return map(Place, offsets, offsets, offsets)

    def __len__(self) -> int:
        return len(self._offsets) // 3


class RunReader:
    """A run folder open for reading: its records in the order of samples.jsonl, or one again by its place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open = ExitStack()
        self._open_files()
        self._last_problem: tuple[int, dict] = (-1, {})

    def _open_files(self) -> None:
        self._problem_file = _open_if_there(self._open, self.folder / PROBLEMS)
        self._formatted_file = _open_if_there(self._open, self.folder / FORMATTED)
        self._verdict_file = _open_if_there(self._open, self.folder / VERDICTS)
        self._sample_file: BinaryIO | None = None

    def reopen(self) -> None:
        """Open the files anew, in a forked process: it shares its place in each file with its parent."""
        self._open.close()
        self._open_files()

    def __iter__(self) -> Iterator[tuple[Place, Record]]:
        problems = problem_offsets(self.folder / PROBLEMS)
        formatted_texts = sample_offsets(self.folder / FORMATTED)
        verdicts = sample_offsets(self.folder / VERDICTS)
        problem_id, problem = None, -1  # of the last sample: those of a problem mostly follow one another
        for offset, line in read_lines(self.folder / SAMPLES):
            sample = sample_from(line)
            if sample.problem_id != problem_id:
                problem_id, problem = sample.problem_id, problems.find(name_digest(sample.problem_id))
            if problem < 0:
                raise UserError(
                    f"{self.folder / SAMPLES} has a sample of {problem_id!r}, which {PROBLEMS} does "
                    "not name: the folder was put together from parts of different runs"
                )
            digest = key_digest(*sample.key)
            place = Place(offset, problem, formatted_texts.find(digest))
            formatted = self._formatted_text(place)
            text = sample.text if formatted is None else formatted
            verdict = self._verdict_at(verdicts.find(digest), text)
            yield place, self._record(place, sample, formatted, verdict)

    def at(self, place: Place) -> Record:
        """The record at a place, without its verdict."""
        if self._sample_file is None:
            self._sample_file = self._open.enter_context(open(self.folder / SAMPLES, "rb"))
        sample = sample_from(read_line_at(self._sample_file, place.sample))
        return self._record(place, sample, self._formatted_text(place), None)

    def problem_line(self, offset: int) -> dict:
        """The line of problems.jsonl at `offset`; the samples of a problem mostly follow one another."""
        if self._last_problem[0] != offset:
            self._last_problem = (offset, read_line_at(self._problem_file, offset))
        return self._last_problem[1]

    def close(self) -> None:
        self._open.close()

    def __enter__(self) -> RunReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _formatted_text(self, place: Place) -> str | None:
        if place.formatted < 0:
            return None
        return read_line_at(self._formatted_file, place.formatted)["text"]

    def _verdict_at(self, offset: int, text: str) -> Verdict | None:
        if offset < 0:
            return None
        judged = read_line_at(self._verdict_file, offset)
        return Verdict(**judged["verdict"]) if judged["judged"] == text_digest(text) else None

    def _record(self, place: Place, sample: Sample, formatted: str | None, verdict: Verdict | None) -> Record:
        problem = self.problem_line(place.problem)
        return Record(
            question=problem["question"],
            prompt=problem["prompt"],
            answer=problem["answer"],
            sample=sample,
            formatted=formatted,
            verdict=verdict,
            about=problem.get("about", {}),
            choices=tuple(problem.get("choices", ())),
        )


def given_up(folder: Path) -> SampleSet:
    """The samples whose formatting was tried and failed."""
    failed = SampleSet()
    for _, line in read_lines(folder / UNFORMATTED):
        failed.add(line["problem_id"], line["temperature"], line["index"])
    return failed


def find_runs(folder: Path) -> list[Path]:
    """The run folders at and below `folder`, in order of their names.

    Raises UserError when there is none, when one was written by another version, or when one is being
    written.
    """
    found = sorted(path.parent for path in folder.glob("**/run.json"))
    if not found:
        raise UserError(
            f"no run under {folder}: generate first with inference_and_check.py, or import a result file of "
            "the older layout with: python -m util.runs import FILE --dataset NAME"
        )
    for run in found:
        read_run_json(run)
        writer = writer_of(run)
        if writer is not None:
            raise UserError(f"{run} is being written by {writer}: wait for it or stop it")
    return found


class VerdictLines:
    """Finds the earlier line about a sample while verdicts.jsonl is read; keeps offsets, no texts."""

    def __init__(self, path: Path) -> None:
        self._offsets: dict[int, int] = {}
        self._file = open(path, "rb")

    def replace(self, line: dict, offset: int) -> dict | None:
        """The last line about the same sample, if there was one; `line` is from now on the last."""
        digest = key_digest(line["problem_id"], line["temperature"], line["index"])
        before = self._offsets.get(digest)
        self._offsets[digest] = offset
        return None if before is None else read_line_at(self._file, before)

    def __enter__(self) -> VerdictLines:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class StoredProblems:
    """Problems of a run by id, rebuilt from problems.jsonl; a reference that is no text is None."""

    def __init__(self, folder: Path) -> None:
        self._offsets = {line["id"]: offset for offset, line in read_lines(folder / PROBLEMS)}
        self._file = open(folder / PROBLEMS, "rb")

    def __contains__(self, problem_id: str) -> bool:
        return problem_id in self._offsets

    def get(self, problem_id: str) -> Problem | None:
        if problem_id not in self._offsets:
            return None
        line = read_line_at(self._file, self._offsets[problem_id])
        return Problem(
            id=line["id"],
            question=line["question"],
            reference=line["answer"],
            choices=tuple(line.get("choices", ())),
            about=line.get("about", {}),
        )

    def prompt(self, problem_id: str) -> str:
        """The user message as it was sent."""
        return read_line_at(self._file, self._offsets[problem_id])["prompt"]

    def close(self) -> None:
        self._file.close()


def sample_from(line: dict) -> Sample:
    return Sample(*map(line.get, Sample.__dataclass_fields__))


def text_digest(text: str) -> str:
    """Names the text that a verdict judged."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _difference(there: dict, here: dict) -> tuple[str, object, object] | None:
    for name in sorted(set(there) | set(here)):
        if there.get(name) != here.get(name):
            return name, there.get(name), here.get(name)
    return None


def _open_if_there(stack: ExitStack, path: Path) -> BinaryIO | None:
    return stack.enter_context(open(path, "rb")) if path.exists() else None
