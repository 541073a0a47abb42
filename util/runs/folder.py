"""Which folder belongs to one model on one benchmark, and how is it written?

`find_run` names the folder, `Run` writes it; `reader.py` reads it back.

    run.json        settings, data set commit, versions, summary
    problems.jsonl  one line per problem asked
    samples.jsonl   one line per completion
    formatted.jsonl one line per completion in thought and solution; unformatted.jsonl: why one is not
    verdicts.jsonl  one line per grading; the last line about a sample holds, if it judged the text of today
    opinions.jsonl  one line per second opinion, see opinions.py
    theirs.jsonl    one line per sample and metric of another suite whose log was imported, see theirs.py
    budget.jsonl    one line per answer after a thought that was cut, see generation/budget.py
    batches.jsonl   one line per step of each batch, see batches.py

Each of several jobs that write to one run has files of its own (run.3.json, samples.3.jsonl); see shards.py.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from util.errors import UserError, not_writable, why
from util.records import SCHEMA, SHARDED_SCHEMA, Key, Problem, Sample, Verdict
from util.runs.batches import FOLDER as PARTS
from util.runs.batches import is_paid_for
from util.runs.journal import (
    Closing,
    Journal,
    check_is_file,
    encoded,
    file_of,
    files_of,
    make_folders,
    missing_folders,
    numbers_of,
    read_lines,
    remove_empty,
    whole_json,
    write_whole,
)
from util.runs.lines import (
    BATCHES,
    FORMATTED,
    PROBLEMS,
    SAMPLES,
    THEIRS,
    UNFORMATTED,
    VERDICTS,
    named,
    shortened,
)
from util.runs.lock import LOCK, IsWritten, hold_lock, holder_of, is_written
from util.runs.offsets import name_digest
from util.runs.reader import SampleSet, has_samples, samples_there, stray_sample
from util.runs.shape import unfitting
from util.runs.shards import SHARDS, Presence, Shard, writer_among
from util.runs.theirs import TheirScore, read_theirs, their_line
from util.settings import continued, difference, model_args
from util.terminal import say

# What run.json says of one job alone; of several, each says it in a file of its own.
OF_A_JOB = ("made_with", "generation", "grading", "summary", "opinions")
TOLD = 256  # samples that are written together behind what was said of them
ALONE_TRIES, ALONE_PAUSE_S = 5, 0.2
SPENT = ("seconds", "generated", "prompt_tokens", "completion_tokens", "asked_ahead")


@dataclass(frozen=True)
class Wanted:
    """Which run a command means: its folder's usual name and the settings that must agree."""

    name: str
    settings: dict
    given: frozenset[str] = frozenset()  # settings whose flags were given: the others keep older defaults
    older_name: str = ""  # under which earlier versions began such a run: it is continued there


def find_run(result_dir: Path, wanted: Wanted, *, fresh: bool = False, is_shard: bool = False) -> Path:
    """The folder of `wanted` under `result_dir`, whether it exists or not.

    A folder whose settings differ is refused with both values named, unless `fresh`, which takes the next
    free name beside it. Folders made that way are found again without `fresh`. A folder without samples
    and batches binds nobody: the command that made it failed before the first one. With `is_shard` nothing
    is said of --overwrite-settings, which one of several jobs may not give.
    """
    if wanted.older_name:
        for folder, found in _beside_each_other(result_dir / wanted.older_name, wanted):
            if found is None and _is_bound(folder):
                return folder
    base = result_dir / wanted.name
    differences = []
    for folder, found in _beside_each_other(base, wanted):
        if found is None or not _is_bound(folder):
            return folder
        differences.append(found)
    if not differences:
        return base
    if fresh:
        return base.with_name(f"{base.name}-{len(differences) + 1}")
    name, there, here = differences[-1]
    others = ", another --result-dir, or --overwrite-settings to start a fresh folder beside it"
    raise UserError(
        f"{base} was made with {name} = {shortened(there, 300)}, this command says {shortened(here, 300)}: "
        f"use the same value{' or another --result-dir' if is_shard else others}"
    )


def _beside_each_other(base: Path, wanted: Wanted) -> Iterator[tuple[Path, tuple[str, Any, Any] | None]]:
    """The folders of a name and its numbered neighbours, each with the first setting that differs."""
    for number in range(1, 1000):
        folder = base if number == 1 else base.with_name(f"{base.name}-{number}")
        # os.path.exists is False for what may not be looked at, too: opening the folder says why.
        if not os.path.exists(folder / "run.json"):
            return
        there = read_run_json(folder)["settings"]
        yield folder, difference(there, continued(there, wanted.settings, wanted.given))


def run_name(model: str, task: str, split: str, source: str | None, start: int, end: int) -> str:
    return f"{model}_{task}_{split}_{source or 'all'}_{start}_{end}".replace("/", "-")


def find_runs(folder: Path) -> list[Path]:
    """The run folders at and below `folder`, in order of their names.

    One without samples is named. Raises UserError when none has any, when one was written by another version,
    or when one is being written.
    """
    found = at_and_below(folder)
    if not found:
        raise UserError(
            f"no run under {folder}: generate first with inference_and_check.py, or import samples of "
            "another suite with\n  python -m util.runs import FILE"
        )
    for run in found:
        read_run_json(run)
        check_nobody_writes(run)
    empty = [run for run in found if not has_samples(run)]
    if len(empty) == len(found):
        how = "fetch those of its batches" if any(map(is_paid_for, found)) else "generate them"
        raise UserError(
            f"{folder} has no samples: {how} with inference_and_check.py, then run this command again"
        )
    for run in empty:
        say(f"{run} has no samples")
    return found


def at_and_below(folder: Path) -> list[Path]:
    """The folders of runs; one that lost its run.json is damaged, not gone, and what may not be looked at is
    told."""
    walk = os.walk(folder, onerror=lambda error: _say_unseen(error.filename, error.strerror))
    return sorted(Path(path) for path, *names in walk if {"run.json", SAMPLES} & {*chain(*names)})


@cache  # said once a command, however often it looks
def _say_unseen(folder: str, why: str) -> None:
    if os.path.isdir(folder):
        say(f"WARNING: {folder} cannot be looked into ({why}): runs in it are left out")


def check_nobody_writes(run: Path) -> None:
    """Raise UserError where a command, or a shard, writes to the run just now."""
    writer = writer_of(run)
    if writer is not None:
        raise is_written(str(run), writer)


class Run(Closing):
    """A run folder open for its one writer, or for one of several jobs, which has files of its own there.

    Raises UserError when the folder cannot be written or another process writes to it.
    """

    def __init__(self, folder: Path, *, settings: dict, made_with: dict, shard: Shard | None = None) -> None:
        self.folder = folder
        self._made = missing_folders(folder)
        self.presence: Presence | None = None
        with ExitStack() as stack:
            try:
                make_folders(folder)
                if shard is not None or (folder / SHARDS).is_dir():
                    self.presence = stack.enter_context(Presence(folder, shard))
                self.number = 0 if self.presence is None else self.presence.number
                if shard is None:
                    stack.callback(hold_lock(folder / LOCK, str(folder)).close)
                else:
                    for name in (PROBLEMS, SAMPLES, VERDICTS):  # there is a run where these are
                        (folder / name).touch()
            except OSError as error:
                raise not_writable(folder, error, "--result-dir") from error
            self.info = self._read_info(settings, made_with)
            self._problems = stack.enter_context(Journal(folder / PROBLEMS, number=self.number))
            self._samples = stack.enter_context(Journal(folder / SAMPLES, number=self.number))
            self._verdicts = stack.enter_context(Journal(folder / VERDICTS, number=self.number))
            self._others: dict[str, Journal] = {}  # opened when first needed: most runs never have them
            self._told: list[Sample] = []  # of which all is said, and no line written
            self._theirs: set[int] | None = None  # digests of sample and metric, read when first needed
            self._asked = {line["id"] for _, line in read_lines(folder / PROBLEMS)}
            self._found: SampleSet | None = None
            self._open = stack.pop_all()

    def _read_info(self, settings: dict, made_with: dict) -> dict:
        """What run.json says, and what this job has said beside it; it is written where there is none yet."""
        folder = self.folder
        self._common, self._saved = {"made_with": made_with}, ""
        if (folder / "run.json").exists():
            common = _read_own(folder)
            if not self.number:
                return common
            self._common = {name: common.pop(name) for name in OF_A_JOB if name in common}
            self._saved = whole_json({**common, **self._common})
            own = file_of(folder / "run.json", self.number)
            return common | (_json_object(own) if own.exists() else {"made_with": made_with})
        if _is_bound(folder):
            raise UserError(
                f"{folder} has samples but no run.json, which says how they were made: restore it, or choose "
                "another --result-dir"
            )
        self.info = self._new_info(settings, made_with)
        self.save_info()
        return self.info

    def _new_info(self, settings: dict, made_with: dict) -> dict:
        return {"schema": SCHEMA, "settings": settings, "dataset": {}, "made_with": made_with}

    @property
    def _have(self) -> SampleSet:
        """Which samples are there, looked for when it is first asked: a check never asks."""
        if self._found is None:
            self._found = samples_there(self.folder)
            for stray in self._found.problems() - self._asked:
                raise stray_sample(self.folder, stray)
        return self._found

    def begin_anew(self, *, settings: dict, made_with: dict) -> None:
        """Forget what an earlier command wrote down before it failed without a sample."""
        assert self.is_empty() and not self.number, "a run with samples keeps its settings"
        for name in (PROBLEMS, SAMPLES, VERDICTS):
            for number, path in files_of(self.folder / name):
                if number:
                    path.unlink()
        for number in numbers_of(self.folder / "run.json"):
            file_of(self.folder / "run.json", number).unlink()
        self._problems.clear()
        self._asked.clear()
        self.info = self._new_info(settings, made_with)
        self.save_info()

    def note_samples(self, keys: Iterable[Key]) -> None:
        """Know of samples that other jobs have written since this one looked."""
        for key in keys:
            self._have.add(*key)

    def has(self, problem_id: str, temperature: float, index: int) -> bool:
        return self._have.has(problem_id, temperature, index)

    def is_empty(self) -> bool:
        """Whether there is no sample, and none is paid for."""
        return not _is_bound(self.folder)

    def count(self) -> int:
        return len(self._have)

    @property
    def problems(self) -> int:
        """How many problems are written down, answered or not."""
        return len(self._asked)

    def add_problem(self, problem: Problem, prompt: str) -> None:
        """Write the problem's line unless it is there."""
        if problem.id in self._asked:
            return
        line: dict[str, object] = {
            "id": problem.id,
            "question": problem.question,
            "prompt": prompt,
            "answer": problem.reference if isinstance(problem.reference, str) else None,
        }
        if problem.choices:
            line["choices"] = list(problem.choices)
        if problem.about:
            line["about"] = problem.about
        self.add_problem_line(line)

    def sync_problems(self) -> None:
        """Bring the problems to the disk before there is a sample of one: none stands without its problem."""
        self._problems.sync()

    def add_problem_line(self, line: dict) -> None:
        """Write a line of another run's problems.jsonl unless the problem is there."""
        if line["id"] not in self._asked:
            self._problems.append(line)
            self._asked.add(line["id"])

    def add_sample(self, sample: Sample) -> int:
        """Write the sample's line and return its offset."""
        assert not self.has(*sample.key), f"sample {sample.key} was generated twice"
        offset = self._samples.append(vars(sample))
        self._have.add(*sample.key)
        return offset

    def add_told(self, sample: Sample) -> None:
        """Write the sample's line once all that was said of it is on the disk, at the latest when the run
        is closed: a crash or a power cut then repeats all of it."""
        assert not self.has(*sample.key), f"sample {sample.key} is there"
        self._have.add(*sample.key)
        self._told.append(sample)
        if len(self._told) >= TOLD:
            self._write_told()

    def _write_told(self) -> None:
        told, self._told = self._told, []
        if told:
            for journal in (self._problems, self._verdicts, *self._others.values()):
                journal.sync()
        for sample in told:
            self._samples.append(vars(sample))

    def add_verdict(self, key: Key, judged: str, verdict: Verdict) -> None:
        self.add_verdict_lines(verdict_line(key, judged, verdict))

    def add_verdict_lines(self, lines: bytes) -> None:
        """Write verdicts that a grader has made lines of."""
        self._verdicts.append_encoded(lines)

    def add_formatted(self, key: Key, text: str, by: str) -> None:
        """Keep the text of a sample in thought and solution; `by` names the rule or the model."""
        self._add_format(FORMATTED, key, {"text": text, "by": by})

    def add_unformatted(self, key: Key, reason: str, by: str) -> None:
        """Keep why a sample could not be formatted, so that nobody pays for it twice."""
        self._add_format(UNFORMATTED, key, {"text": None, "by": by, "reason": reason})

    def _add_format(self, name: str, key: Key, said: dict) -> None:
        self._other(name).append({**named(key), **said})

    def sync_formats(self) -> None:
        """Bring to the disk which samples are formatted, and which could not be."""
        for name in (FORMATTED, UNFORMATTED):
            if name in self._others:
                self._others[name].sync()

    def add_theirs(self, key: Key, their: TheirScore) -> None:
        """Keep what another suite said of a sample by a metric, unless it is there.

        The sample itself may be missing: where they scored a response that their log does not have.
        """
        if self._theirs is None:
            self._theirs = {name_digest(*one, said.metric) for _, one, said in read_theirs(self.folder)}
        problem_id, temperature, index = key
        digest = name_digest(problem_id, float(temperature), index, their.metric)
        if digest not in self._theirs:
            self._other(THEIRS).append(their_line(key, their))
            self._theirs.add(digest)

    def _other(self, name: str) -> Journal:
        if name not in self._others:
            self._others[name] = Journal(self.folder / name)
        return self._others[name]

    def save_info(self) -> None:
        info = {**self.info, "schema": SHARDED_SCHEMA if self.presence is not None else SCHEMA}
        if self.number:
            own = {name: info.pop(name) for name in OF_A_JOB if name in info}
            write_whole(file_of(self.folder / "run.json", self.number), whole_json(own))
            info |= self._common
        text = whole_json(info)
        if text != self._saved:  # jobs of one run say the same, and say it once
            write_whole(self.folder / "run.json", text)
            self._saved = text

    def close(self) -> None:
        with self._open:
            for journal in self._others.values():
                self._open.enter_context(journal)
            self._write_told()

    def alone(self) -> Run | None:
        """This run, open for its one writer after what this one of several jobs had to do; None where another
        one lives."""
        self.close()
        for _ in range(ALONE_TRIES):
            try:
                return Run(self.folder, settings=self.info["settings"], made_with=self.info["made_with"])
            except IsWritten:  # perhaps by one that was about to say the same of us
                time.sleep(ALONE_PAUSE_S)
            if writer_of(self.folder):
                return None
        return None

    def discard(self) -> None:
        """Close a run that a command could not begin: where it has no samples, and nobody else writes to it,
        it is taken away."""
        if self.number:
            alone = self.alone()  # whoever is the last of several jobs takes it away
            if alone is not None:
                alone._made = self._made or alone._made
                alone.discard()
            return
        try:
            is_empty = self.is_empty()
        except UserError:  # a damaged line
            is_empty = False
        if is_empty:
            self._take_away()
        self.close()
        if is_empty:
            remove_empty([self.folder / SHARDS])
            remove_empty(self._made or [self.folder])

    def _take_away(self) -> None:
        for name in ("run.json", PROBLEMS, SAMPLES, VERDICTS, BATCHES):
            for number in (0, *numbers_of(self.folder / name)):
                file_of(self.folder / name, number).unlink(missing_ok=True)
        shutil.rmtree(self.folder / PARTS, ignore_errors=True)
        for log in self.folder.glob("*.log"):
            if not log.stat().st_size:
                log.unlink()
        (self.folder / LOCK).unlink(missing_ok=True)


def _is_bound(folder: Path) -> bool:
    """Whether the settings of a run may not change any more: it has samples, or batches that bring some."""
    return has_samples(folder) or is_paid_for(folder)


def verdict_line(key: Key, judged: str, verdict: Verdict) -> bytes:
    """A line of verdicts.jsonl: what was said of the text with the digest `judged`."""
    said = {field: value for field, value in vars(verdict).items() if value or field != "rules"}
    return encoded({**named(key), "judged": judged, "verdict": said})


def read_run_json(folder: Path) -> dict:
    """run.json of a folder, with what each of several jobs says of itself; raises UserError when it is
    missing, damaged or of another schema."""
    content = _read_own(folder)
    own = [_json_object(file_of(folder / "run.json", number)) for number in numbers_of(folder / "run.json")]
    if not own:
        return content
    made = [one["made_with"] for one in (content, *own)]
    left_out = sorted({name for one in made for name in one.get("left_out", ())})
    content["made_with"] = {
        **{name: value for one in reversed(made) for name, value in one.items()},
        **({"left_out": left_out} if left_out else {}),
    }
    spent = [one["generation"] for one in (content, *own) if "generation" in one]
    graded = [one["grading"] for one in (content, *own) if "grading" in one]
    return content | spent_by_all(spent) | ({"grading": graded[0]} if graded else {})


def spent_by_all(parts: Sequence[dict]) -> dict[str, dict]:
    """What generating took several jobs or runs together, as run.json says it."""
    if not parts:
        return {}
    sums = {name: sum(one.get(name, 0) for one in parts) for name in SPENT}
    return {"generation": {**sums, "gpus": max(one.get("gpus", 0) for one in parts)}}


def _read_own(folder: Path) -> dict:
    """run.json alone."""
    path = folder / "run.json"
    try:
        content = _json_object(path)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"no run at {folder}: {_what_is_there(folder)}") from None
    if content.get("schema") not in (SCHEMA, SHARDED_SCHEMA):
        raise UserError(
            f"{folder} has schema {content.get('schema')!r}, this version reads {SCHEMA} and "
            f"{SHARDED_SCHEMA}: use the version of the suite that wrote it (see made_with in run.json)"
        )
    wrong = unfitting(content)
    if wrong is not None:
        raise UserError(f"{path} is damaged ({wrong}): restore it or start in another --result-dir")
    if "model_args" not in content["settings"]:  # of a run made when they were no settings
        engine = content.get("asked", {}).get("engine") or {}
        content["settings"]["model_args"] = model_args(engine.get("engine_args") or {})
    return content


def _json_object(path: Path) -> dict:
    try:
        check_is_file(path)
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        raise
    except (ValueError, OSError, RecursionError) as error:
        raise UserError(
            f"{path} cannot be read ({why(error)}): restore it or start in another --result-dir"
        ) from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no JSON object: restore it or start in another --result-dir")
    return content


def writer_of(folder: Path) -> str | None:
    """Which process is writing to the run just now; None when nobody is."""
    return holder_of(folder / LOCK) or writer_among(folder)


def _what_is_there(folder: Path) -> str:
    """What to do where a folder is no run."""
    if not folder.is_dir():
        kind = "it is a file" if folder.exists() else "there is no such folder"
        return f"{kind}; name the folder of a run, the one with run.json"
    if (folder / SAMPLES).exists() and not _is_bound(folder):
        return "nothing was asked there yet; run the command that began it again"
    if (folder / SAMPLES).exists():
        return f"{SAMPLES} is there, and run.json, which says how it was made, is not; restore it"
    below = next(folder.glob("*/run.json"), None)
    if below is None:
        return "the folder has no run.json; name the folder of a run"
    return f"it holds runs; name one of them, such as {below.parent}"
