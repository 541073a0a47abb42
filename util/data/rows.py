"""Which rows, and then which problems, of a benchmark does a run ask?

`open_rows` settles the revision, `problems` makes the rows ready to ask.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

from util.data import hub, streamed
from util.data.files import DamagedFile, RowFilter, read_rows
from util.data.hub import MissingFile, MissingRevision
from util.errors import UserError
from util.records import Problem
from util.task import Source, Task
from util.terminal import closest, say

LOCAL = "local:"  # begins the revision of files that have no commit: their hash follows
EDGE_BYTES = 1 << 20


@dataclass(frozen=True)
class Rows:
    """The rows of one split at one revision, read file after file; each is fetched when it is reached."""

    path: str
    split: str
    revision: str  # full commit, or "local:" and a hash for files of --data-dir and bundled files
    files: tuple[str, ...]
    columns: tuple[str, ...] | None
    folder: Path | None  # where the files lie; None: in the hub's cache
    with_places: bool = False  # each row says where it lies, under "tests_at"
    unread: tuple[str, ...] = ()  # columns that rows come without
    streamed_from: str | None = None  # configuration of a data set of any layout, which has no `files` here

    def __iter__(self) -> Iterator[dict]:
        return self.where(None, None)

    def where(self, column: str | None, value: str | None, *, seen: set[str] | None = None) -> Iterator[dict]:
        """The rows whose `column` is `value`, or all of them; every value met is added to `seen`."""
        wanted = RowFilter(column, value, seen)
        if self.streamed_from is not None:
            yield from streamed.rows(self.path, self.streamed_from, self.split, self.revision, wanted)
        for name in self.files:
            yield from self._of_file(name, wanted)

    def local(self, name: str) -> Path:
        """Where one of `files` lies on this machine, fetched if need be."""
        if self.folder is not None:
            return self.folder / name
        return hub.fetch(self.path, name, self.revision)

    def _of_file(self, name: str, wanted: RowFilter) -> Iterator[dict]:
        done = 0
        for attempt in (1, 2):
            local = self.local(name)
            rows = read_rows(
                local, wanted, columns=self.columns, unread=self.unread, with_places=self.with_places
            )
            try:
                for row in itertools.islice(rows, done, None):
                    yield row
                    done += 1
                return
            except DamagedFile as error:
                if os.path.isabs(self.path):
                    raise UserError(f"{self.path} cannot be read ({error}): mend the file") from error
                if attempt == 2 or self.folder is not None or hub.is_intact(local):
                    raise UserError(
                        f"{name} of {self.path} cannot be read ({error}): "
                        f"replace it or choose another --revision; it lies at {local}"
                    ) from error
                say(f"the cached copy of {name} of {self.path} is damaged; fetching it again")
                hub.discard(local)


@dataclass
class RowCounts:
    """What became of the rows that `problems` read; complete once all its problems were taken."""

    rows: int = 0  # of the benchmark and the source
    chosen: int = 0  # of these, between start and end
    unusable: Counter[str] = field(default_factory=Counter)  # reason -> how many of the chosen
    unlabelled: int = 0  # of the chosen: left out because they have no difficulty label
    outside: int = 0  # of the chosen: difficulty outside the bounds
    problems: int = 0  # given out


def open_rows(
    source: Source,
    *,
    split: str | None = None,
    revision: str | None = None,
    data_dir: str | Path | None = None,
    files: tuple[str, ...] | None = None,
) -> Rows:
    """The rows of a benchmark at one fixed revision: bundled, of a local copy (`data_dir`), or the hub's."""
    if source.is_streamed:
        if data_dir is not None:
            raise UserError(
                f"{source.path} is read as a stream from the hub, not from --data-dir {data_dir}: leave it "
                "out, or name one of its files as --dataset"
            )
        wanted = (source.config, split or source.split or None, revision or source.revision)
        config, split, commit = streamed.settle(source.path, *wanted)
        return Rows(source.path, split, commit, (), source.columns, None, streamed_from=config)
    split = source.split if split is None else split
    names = files or source.files.get(split)
    if not names:
        raise UserError(f"{source.path} has no split {split!r}: choose from {', '.join(source.files)}")
    here = Path(__file__).resolve().parents[2] / source.path  # bundled, or somebody's own file
    folder = here.parent if here.is_file() else None
    if folder is not None and revision is not None and not revision.startswith(LOCAL):
        raise UserError(f"{source.path} is a file of this machine: leave --revision {revision} out")
    if folder is None and data_dir is not None:
        folder = _local_folder(source.path, revision, Path(data_dir))
    if folder is None:
        found = _commit(source, revision, names[0])
        hub.fetch(source.path, names[0], found)
    else:
        found = _local_revision(source.path, folder, names, expected=revision)
    return Rows(
        source.path, split, found, tuple(names), source.columns, folder, source.tests_on_disk, source.unread
    )


def is_here(source: Source, *, data_dir: str | Path | None = None) -> bool:
    """Whether the rows of a benchmark can be read without the hub."""
    return data_dir is not None or local_bytes(source) is not None


def local_bytes(source: Source, *, data_dir: str | Path | None = None) -> int | None:
    """How long the files of a benchmark's usual split are; None where they are not all on this machine."""
    bundled = Path(__file__).resolve().parents[2] / source.path
    pinned = hub.is_commit(source.revision)
    commit = source.revision if pinned else hub.remembered(source.path, source.revision)
    files: list[Path | None] = [bundled]
    if not bundled.is_file():
        names = source.files.get(source.split, ("",))
        if data_dir is not None:
            files = [Path(data_dir) / source.path / name for name in names]
        else:
            files = [commit and hub.cached(source.path, name, commit) or None for name in names]
    sizes = [file.stat().st_size for file in files if file is not None and file.is_file()]
    return sum(sizes) if len(sizes) == len(files) else None


def file_names(
    path: str, folder: str, *, revision: str | None = None, data_dir: str | Path | None = None
) -> list[str]:
    """Names of the files directly in a folder of a data set, sorted; none where there is no such folder."""
    if data_dir is not None:
        top = _local_folder(path, revision, Path(data_dir))
        return sorted(file.relative_to(top).as_posix() for file in (top / folder).glob("*"))
    try:
        return list(hub.files_below(path, folder, revision or "main"))
    except MissingFile:
        return []


def problems(
    task: Task,
    rows: Rows,
    *,
    source: str | None = None,
    start: int = 0,
    end: int = -1,
    difficulty: tuple[float | None, float | None] | None = None,
    labels: Callable[[str], float | None] | None = None,
    limit: int | None = None,
    counts: RowCounts | None = None,
) -> Iterator[Problem]:
    """The problems of a run, in the order of the rows.

    The steps: what belongs to the benchmark, `source`, the positions `start` to `end` of what is left,
    then unusable rows and `difficulty` (lowest, highest; None is open) by the `labels` of a question,
    then `limit`. `counts` is filled while the problems are taken.
    """
    wanted = None if source in (None, "", "all") else source
    check_positions(task, wanted, start, end)
    if limit is not None and limit < 0:
        raise UserError(f"--limit {limit} is negative")
    if difficulty is not None:
        check_bounds(task, difficulty, has_labels=labels is not None)
    counts = RowCounts() if counts is None else counts
    found = _sliced(task, rows, wanted, start, end, counts)
    found = _usable(found, counts)
    if difficulty is not None and labels is not None:
        found = _within(found, difficulty, labels, counts)
    return _limited(found, limit, counts)


def check_positions(task: Task, source: str | None, start: int, end: int) -> None:
    """Raise UserError when a benchmark cannot have such rows."""
    if source is not None and task.source.by is None:
        raise UserError(f"{task.name} has no sources to choose from: leave out --source {source}")
    check_slice(start, end)


def check_slice(start: int, end: int) -> None:
    """Raise UserError where no row can lie from `start` to before `end`; an end of -1 is that of the rows."""
    if start < 0:
        raise UserError(f"--start {start} is negative: positions count from 0")
    if end != -1 and end <= start:
        raise UserError(
            f"--start {start} and --end {end} select no rows: --end is the row after the last one, at least "
            f"{start + 1} here; -1 takes all"
        )


def check_bounds(task: Task, difficulty: tuple[float | None, float | None], *, has_labels: bool) -> None:
    """Raise UserError when no difficulty can lie within the bounds."""
    low, high = difficulty
    if low is not None and high is not None and low > high:
        raise UserError(f"the lower difficulty bound {low:g} is above the upper bound {high:g}")
    if not has_labels and difficulty != (None, None):
        raise UserError(f"{task.name} has no difficulty labels: leave out the difficulty bounds")


def _sliced(
    task: Task, rows: Rows, wanted: str | None, start: int, end: int, counts: RowCounts
) -> Iterator[Problem]:
    seen: set[str] = set()
    times: Counter[str] = Counter()  # from the first row on, so that ids do not depend on `start`
    for row in rows.where(task.source.by if wanted is not None else None, wanted, seen=seen):
        if task.source.keep is not None and not task.source.keep(row):
            continue
        position = counts.rows
        counts.rows += 1
        problem = _problem(task, rows, row)
        times[problem.id] += 1
        if position >= start:
            counts.chosen += 1
            repeat = times[problem.id]
            yield problem if repeat == 1 else replace(problem, id=f"{problem.id}-{repeat}")
        if counts.rows == end:
            return
    if wanted is not None and counts.rows == 0:
        raise closest(f"--source of {task.name}", wanted, sorted(seen) or ["none"])
    if 0 < counts.rows <= start:
        raise UserError(f"--start {start} is past the last of the {counts.rows} rows")


def _problem(task: Task, rows: Rows, row: dict) -> Problem:
    try:
        return task.problem(row)
    except KeyError as error:
        if error.args and error.args[0] in row:
            raise
        raise UserError(
            f"a row of {rows.path} at revision {rows.revision} has no {error}, which {task.name} needs: "
            "choose another --revision or --split"
        ) from error


def _usable(found: Iterator[Problem], counts: RowCounts) -> Iterator[Problem]:
    for problem in found:
        if problem.unusable:
            counts.unusable[problem.unusable] += 1
        else:
            yield problem


def _within(
    found: Iterator[Problem],
    difficulty: tuple[float | None, float | None],
    labels: Callable[[str], float | None],
    counts: RowCounts,
) -> Iterator[Problem]:
    low, high = difficulty
    for problem in found:
        label = labels(problem.question)
        if label is None:
            counts.unlabelled += 1
        elif (low is not None and label < low) or (high is not None and label > high):
            counts.outside += 1
        else:
            yield replace(problem, about={**problem.about, "difficulty": label})


def _limited(found: Iterator[Problem], limit: int | None, counts: RowCounts) -> Iterator[Problem]:
    if limit == 0:
        return
    for problem in found:
        counts.problems += 1
        yield problem
        if counts.problems == limit:
            return


# --- which revision ---


def _commit(source: Source, revision: str | None, file: str) -> str:
    """The full commit to read: what was asked for, else the pinned one, else what `main` was at first use."""
    if revision is not None and revision.startswith(LOCAL):
        raise UserError(f"this run was made from local files ({revision}): give the same --data-dir again")
    wanted = source.revision if revision is None else revision
    if not hub.is_commit(wanted):
        # A name that the user gives is looked up each time; the task's own is looked up once.
        commit = hub.remembered(source.path, wanted) if revision is None else None
        if commit is None:
            commit = hub.resolve(source.path, file, wanted)
            hub.remember(source.path, wanted, commit)
            if revision is None:
                say(f"{source.path}: {wanted} is {commit} today; this machine stays with it")
        return commit
    if revision is not None or not hub.is_mirror() or hub.cached(source.path, file, wanted):
        return wanted
    try:
        hub.resolve(source.path, file, wanted)
    except MissingRevision:
        commit = hub.resolve(source.path, file, "main")
        say(
            f"WARNING: {hub.endpoint()} does not have commit {wanted} of {source.path}; "
            f"using its main instead, {commit}"
        )
        return commit
    return wanted


def _local_folder(path: str, revision: str | None, data_dir: Path) -> Path:
    folder = data_dir / path
    if revision is not None and not revision.startswith(LOCAL) and revision != "main":
        folder = folder.with_name(f"{folder.name}@{quote(revision, safe='')}")
    if not os.path.isdir(folder):  # also False for what may not be looked at
        raise UserError(f"--data-dir has no {path}: looked for {folder}")
    return folder


def _local_revision(path: str, folder: Path, names: tuple[str, ...], *, expected: str | None) -> str:
    """A hash of the files' names, sizes and both ends: cheap for gigabytes (parquet ends in its index).

    Of somebody's own file it is of all that is in it.
    """
    digest = hashlib.sha256()
    is_whole = os.path.isabs(path)  # somebody's own file: an answer may be mended anywhere in it
    for name in names:
        local = folder / name
        if not os.path.isfile(local):
            raise MissingFile(f"the local copy of {path} has no {name}: looked for {local}")
        size = local.stat().st_size
        digest.update(json.dumps([name, size]).encode())
        try:
            with local.open("rb") as data:
                if is_whole:
                    digest.update(hashlib.file_digest(data, "sha256").digest())
                    continue
                digest.update(data.read(EDGE_BYTES))
                data.seek(max(0, size - EDGE_BYTES))
                digest.update(data.read())
        except OSError as error:
            raise UserError(f"cannot read {local}: {error.strerror}") from error
    revision = LOCAL + digest.hexdigest()[:16]
    if expected is not None and expected.startswith(LOCAL) and expected != revision:
        raise UserError(
            f"the files of {path} in {folder} have changed since this run was made ({expected}, now "
            f"{revision}): restore them, or start a fresh folder with --overwrite-settings"
        )
    return revision
