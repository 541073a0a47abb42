"""How do several jobs write to one run folder, also where the file system knows no locks?

A job joins by a `Presence` and takes problems from `Groups`, a few at a time. Of the file system only this is
asked: where several processes create one file, one of them succeeds, and one clock dates all files.

    shards/job-3.0        there is a job that is shard 3; renewed as long as it lives
    shards/writer.0       a command alone writes to the run
    shards/ASKED/12.0     to whom group 12 of the problems is leased; 12.1: to whom after that one was lost
    shards/ASKED/12.done.0  all samples of group 12 were there after the first lease
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from util.errors import RunStopped, UserError, disk_trouble
from util.records import Key
from util.runs.journal import Closing, file_of, make_folders, sha256_of_text
from util.runs.lines import SAMPLES
from util.runs.lock import (
    ENDED,
    LOCK,
    holder_named,
    holder_of,
    is_of_this_machine,
    is_written,
    read_holder,
    this_process,
    time_of,
    why_stale,
)
from util.runs.offsets import read_samples
from util.terminal import number_of, say

SHARDS = "shards"
DONE = "done"
BEAT_S = 15.0  # a job says so often that it lives
DOUBT_S = 60.0  # a job that could not say so for that long asks whether others have taken it for dead
STALE_S = 150.0  # then it is taken for dead; NFS may show a time that is a minute old
UNSAID_S = 10.0  # a file says who made it as soon as it is there: its process was killed in between
SUSPECT_S = 3 * BEAT_S  # before nothing was heard for that long nobody waits to see what becomes of a job
LOOK_S, PAUSE_S = 5.0, 0.2  # between two looks at what others do, while there is work and when there is none
# Few files, as thousands of jobs share a metadata server: some minutes of work each, and no more than 4096;
# but of a small run two for each of 128 jobs, so that none of them goes without.
GROUP_SAMPLES, FEWEST_GROUPS, MOST_GROUPS = 64, 256, 4096
NEXT_FILES = 10_000  # the files of a shard that was taken for dead and may not be are left alone


@dataclass(frozen=True)
class Shard:
    """Which one of how many jobs; how many says only where each begins."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


AUTO = Shard(0, 0)  # that of a Slurm array: see `of_slurm_array`


def shard_of(text: str) -> Shard:
    """An argparse type: "3/8", or "auto"."""
    if text == "auto":
        return AUTO
    found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(
            f"{text!r} names no shard: write I/N with I from 1 to N, at most 9999, such as 3/8, or auto in a "
            "Slurm array"
        )
    return Shard(int(found[1]), int(found[2]))


def of_slurm_array() -> Shard:
    """The shard that is this task of a Slurm array; raises UserError outside one."""
    names = [f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "MIN", "COUNT", "MAX")]
    task, least, count, most = (os.environ.get(name, "") for name in names)
    if not task.isdecimal():
        raise UserError(
            f"--shard auto takes the shard from {names[0]}, which is {task!r}: submit with sbatch "
            "--array=1-N, or write --shard I/N"
        )
    first = int(least) if least.isdecimal() else 1
    number = int(task) - first + 1
    of = int(most) - first + 1 if most.isdecimal() else int(count or 1)
    if not 1 <= number < NEXT_FILES:
        raise UserError(
            f"{names[0]} is {task} and {names[1]} {least}: write --shard I/N with I from 1 to 9999"
        )
    return Shard(number, max(of, number))


@dataclass(frozen=True)
class Holder:
    """A file by which a process says that it lives."""

    path: Path
    said: dict
    why_stale: str  # "" where it lives as far as we know
    renewed_at: float

    @property
    def name(self) -> str:
        shard = f"shard {self.said['shard']}: " if self.said.get("shard") else ""
        return shard + holder_named(self.said)


def holders(folder: Path, name: str, now: float) -> list[Holder]:
    """Those whose files begin with `name`, the earlier ones first."""
    found = []
    for path in folder.glob(f"{name}*"):
        if not path.suffix[1:].isdecimal():  # no file of a process
            continue
        try:
            renewed_at = path.stat().st_mtime
        except FileNotFoundError:  # it has ended just now
            continue
        said = read_holder(path)
        if said is not None:
            stale = why_stale(path, said, now, stale_after_s=STALE_S if said else UNSAID_S)
            found.append(Holder(path, said, stale, renewed_at))
    return sorted(found, key=lambda one: _generation(one.path))


def writer_among(run: Path) -> str | None:
    """Who of several jobs writes to a run just now, in words; None where nobody does."""
    folder = run / SHARDS
    if not folder.is_dir():
        return None
    alive = [one for one in holders(folder, "", time_of(folder / "clock")) if not one.why_stale]
    return _names(alive) if alive else None


def _names(alive: Sequence[Holder]) -> str:
    others = f" and {len(alive) - 1} other{'s' * (len(alive) > 2)}" if len(alive) > 1 else ""
    return f"{alive[0].name}{others}"


class Presence(Closing):
    """This process is one of several jobs that write to a run, or, without a shard, the only writer.

    Raises IsWritten where that cannot be.
    """

    def __init__(self, run: Path, shard: Shard | None) -> None:
        self.folder = run / SHARDS
        self.shard = shard
        self.number = 0  # of the files of the journals that this job writes
        self.token = secrets.token_hex(8)
        self._run = run
        self._name = "writer" if shard is None else f"job-{shard.number}"
        self._told: set[str] = set()
        self._gone = self._doubt = False
        self._heard = time.monotonic()
        self._closed = threading.Event()
        self._path = self.folder  # until this process has a file
        self._path = self._join()
        threading.Thread(target=self._renew, name="presence", daemon=True).start()

    def others(self) -> list[Holder]:
        """The jobs beside this one that live, as far as we know."""
        found = holders(self.folder, "job-", time_of(self.folder / "clock"))
        return [one for one in found if not one.why_stale and one.path != self._path]

    def about_to_ask(self, asked: str) -> None:
        """Say to other jobs what this one asks. Raises UserError where one of them asks for anything else."""
        beside = self._path.with_name(f".{self._path.name}")
        try:
            beside.write_text(json.dumps({**self._said(), "asked": asked}), encoding="utf-8")
            os.replace(beside, self._path)
        except FileNotFoundError:  # as in `Groups`
            raise self.lost_place() from None
        for one in self.others():
            if one.said.get("asked", asked) != asked:
                raise UserError(
                    f"{one.name} asks for other problems, temperatures or samples of {self._run}: give all "
                    "jobs of a run the same flags, or wait until that one ends"
                )

    def is_doubtful(self) -> bool:
        """Whether others may have taken this job for dead since `reassure` was last called."""
        return self._doubt or self._gone or time.monotonic() - self._heard > DOUBT_S

    def reassure(self) -> None:
        """Raise RunStopped where another job has taken this one's place."""
        self._beat()
        self._doubt = False
        ours = _generation(self._path)
        later = [path for path in self.folder.glob(f"{self._name}.[0-9]*") if _generation(path) > ours]
        if self._gone or later:
            raise self.lost_place()

    def lost_place(self) -> RunStopped:
        return RunStopped(
            f"shard {self.shard} of {self._run} was not heard of for too long, and its place was taken; "
            "everything finished is kept: run the same command again"
        )

    def close(self) -> None:
        if not self._closed.is_set():
            self._closed.set()
            if self.shard is None:
                self._clean()
            self._path.unlink(missing_ok=True)

    def _said(self) -> dict:
        number = {} if self.shard is None else {"shard": str(self.shard), "file": self.number}
        return {**this_process(), "token": self.token, **number}

    def _join(self) -> Path:
        seen: dict[Path, float] = {}
        while True:
            make_folders(self.folder)
            earlier = holders(self.folder, f"{self._name}.", time_of(self.folder / "clock"))
            if alive := [one for one in earlier if not one.why_stale]:
                self._see_whether_it_lives(alive[0], seen)
                continue
            if self.shard is None:
                self._refuse_others()
            path = self._create(earlier)
            if path is None:
                continue
            try:
                if self._is_free(path):
                    return path
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            path.unlink(missing_ok=True)
            time.sleep(PAUSE_S)

    def _create(self, earlier: Sequence[Holder]) -> Path | None:
        """Our file, after those of dead ones; None where another process was faster."""
        last = earlier[-1] if earlier else None
        generation = 0 if last is None else _generation(last.path) + 1
        if self.shard is not None:
            self.number = self.shard.number
            if last is not None:
                is_over = last.why_stale == ENDED and isinstance(last.said.get("file"), int)
                self.number = last.said["file"] if is_over else self.number + NEXT_FILES * generation
        path = _created(self.folder / f"{self._name}.{generation}", self._said())
        if path is not None:
            for one in earlier:
                if one.why_stale == ENDED:
                    one.path.unlink(missing_ok=True)
        return path

    def _is_free(self, ours: Path) -> bool:
        """Whether nobody lives whom we would disturb. Both who came at once may see the other: a job then
        tries again, a command alone is refused."""
        if self.shard is None:
            self._refuse_others()
            return True
        alive = [one for one in holders(self.folder, "", time_of(self.folder / "clock")) if not one.why_stale]
        if any(one.path.name.startswith(f"{self._name}.") and one.path != ours for one in alive):
            return False
        if not ours.exists():  # a writer alone that ended just now took it for one of a dead job
            return False
        for one in alive:
            if one.path.name.startswith("writer."):
                self._tell(f"waiting for {one.name}, which writes to {self._run}")
                return False
        if (holder := holder_of(self._run / LOCK)) is not None:
            raise is_written(str(self._run), holder)
        return True

    def _refuse_others(self) -> None:
        if others := self.others():
            raise is_written(str(self._run), _names(others))

    def _see_whether_it_lives(self, one: Holder, seen: dict[Path, float]) -> None:
        """Of a process that we cannot see: whether it renews its file."""
        before = seen.setdefault(one.path, one.renewed_at)
        if self.shard is None or is_of_this_machine(one.said) or one.renewed_at != before:
            what = str(self._run) if self.shard is None else f"shard {self.shard.number} of {self._run}"
            raise is_written(what, holder_named(one.said))
        self._tell(f"waiting up to {STALE_S:.0f} s to see whether {one.name} still runs")
        time.sleep(1)

    def _tell(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            say(line)

    def _renew(self) -> None:
        while not self._closed.wait(BEAT_S):
            self._beat()

    def _beat(self) -> None:
        try:
            os.utime(self._path)
        except FileNotFoundError:
            self._gone = True
            return
        except OSError:  # the file system is away for a while
            return
        now = time.monotonic()
        self._doubt |= now - self._heard > DOUBT_S
        self._heard = now

    def _clean(self) -> None:
        """Take away what only living jobs need: there is none."""
        alive = [
            one.path for one in holders(self.folder, "", time_of(self.folder / "clock")) if not one.why_stale
        ]
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path not in alive:  # one that is about to see us, too, and to wait
                path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Lease:
    """A group of problems that is this job's."""

    group: int
    ids: Sequence[str]
    path: Path
    there: Sequence[Key] = ()  # samples of it that were found since this job began


class Groups:
    """The problems that this job works on, leased a group at a time, each before it is needed."""

    def __init__(
        self,
        presence: Presence,
        ids: Sequence[str],
        *,
        samples: int,
        asked: str,
        is_missing: Callable[[Iterable[str]], bool],
    ) -> None:
        """`samples` are asked of each problem; `asked` names what else all jobs have to agree on."""
        assert presence.shard is not None
        size = group_size(len(ids), samples)
        self._presence = presence
        self._ids = [ids[at : at + size] for at in range(0, len(ids), size)]
        name = sha256_of_text("\n".join([asked, str(size), *ids]))[:16]
        presence.about_to_ask(name)
        self._folder = presence.folder / name
        make_folders(self._folder)
        # What was marked as done before the samples were looked at, and lacks some, has lost them since: to
        # a power cut, say.
        _, marked = self._found()
        of, first = presence.shard.of, presence.shard.number - 1
        self._open = {number for number, group in enumerate(self._ids) if is_missing(group)}
        self._lacking = {number: mark for number, mark in marked.items() if number in self._open}
        self._own = deque(number for number in sorted(self._open) if number % of == first % of)
        # Others are helped from their ends.
        others = self._open - set(self._own)
        self._others = sorted(others, key=lambda number: ((number - first) % of, -number))
        self._owners: dict[str, dict] = {}  # what leases of others say; they never change
        self._looked_at = -LOOK_S
        self._unfinished: set[int] = set()  # leased to this job
        self._failed: set[int] = set()  # with a request that failed: this job does not try again
        self._lost: set[int] = set()
        self._finished = 0
        self._is_over = False
        self._leases: dict[int, Lease] = {}
        self._group_of: dict[str, int] = {}
        self._under_way: dict[int, int] = {}  # requests of a group; one more until all were asked for
        self._closed = threading.Event()
        self._thread = ThreadPoolExecutor(1, "leases")
        self._ahead: Future[Lease | None] = self._thread.submit(self._lease)

    def has_work(self) -> bool:
        """Whether there is a group for this job; waits until that is known."""
        while self._ahead.result() is None:
            if self._is_over:
                return False
            self._ahead = self._thread.submit(self._lease)
        return True

    def leased(self) -> Iterator[Lease | None]:
        """Each group as soon as it is leased; None while that is not known. Ends with the last answer."""
        while not self._closed.is_set():
            if not self._ahead.done():
                yield None
                continue
            lease = self._ahead.result()
            if lease is None and self._is_over:
                return
            self._ahead = self._thread.submit(self._lease)
            if lease is not None:
                self._leases[lease.group] = lease
                self._group_of.update(dict.fromkeys(lease.ids, lease.group))
                self._under_way[lease.group] = 1
            yield lease

    def begin(self, problem_id: str) -> None:
        """A sample of the problem is asked for."""
        self._under_way[self._group_of[problem_id]] += 1

    def all_asked(self, lease: Lease) -> None:
        self._end_one(lease.group)

    def answered(self, problem_id: str, *, is_kept: bool) -> None:
        group = self._group_of[problem_id]
        if not is_kept:
            self._failed.add(group)
        self._end_one(group)

    def holds(self, problem_id: str) -> bool:
        """Whether the problem is still this job's; a job that was not heard of for a while may have lost
        it. Raises RunStopped where it has lost its own place."""
        if self._presence.is_doubtful():
            self._presence.reassure()
            lost = {group for group in self._unfinished & self._leases.keys() if self._is_lost(group)}
            if lost - self._lost:
                say(
                    f"other jobs have taken over {number_of(len(lost), 'group')} of problems that "
                    "this one was slow with"
                )
            self._lost |= lost
        return self._group_of[problem_id] not in self._lost

    def is_lost(self, lease: Lease) -> bool:
        return lease.group in self._lost

    def close(self) -> None:
        """Leave what is unfinished to others."""
        self._closed.set()
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _is_lost(self, group: int) -> bool:
        path = self._leases[group].path
        return not path.exists() or path.with_name(f"{group}.{_generation(path) + 1}").exists()

    def _end_one(self, group: int) -> None:
        self._under_way[group] -= 1
        if self._under_way[group]:
            return
        lease = self._leases.pop(group)
        for problem_id in lease.ids:
            del self._group_of[problem_id]
        self._finished += 1
        if group not in self._failed | self._lost:
            self._open.discard(group)
            self._thread.submit(self._mark_done, lease)
        self._unfinished.discard(group)

    # --- in the thread ---

    def _mark_done(self, lease: Lease) -> None:
        try:
            # The lease stays: nobody can take it once more.
            _created(self._folder / f"{lease.group}.{DONE}.{_generation(lease.path)}", {})
        except RunStopped:  # what is done is seen from the samples, too
            pass

    def _lease(self) -> Lease | None:
        """A group for this job; None where there is none just now, or, with `_is_over`, none at all."""
        while self._own:
            if lease := self._take(self._own.popleft()):
                return lease
        # Not before the others had time to begin: a job that has the engine first would take everything.
        may_look = self._finished or not self._unfinished
        is_soon = time.monotonic() - self._looked_at < LOOK_S
        if may_look and not (is_soon and self._unfinished):
            self._looked_at = time.monotonic()
            if lease := self._look():
                self._looked_at = -LOOK_S
                return lease
        self._closed.wait(PAUSE_S)
        return None

    def _look(self) -> Lease | None:
        """A group that nobody has taken yet, or one whose job has ended."""
        latest, marked = self._found()
        self._open -= {group for group, mark in marked.items() if mark > self._lacking.get(group, -1)}
        open_to_us = self._open - self._unfinished - self._failed - self._lost
        for group in self._others:
            if group in open_to_us and group not in latest and (lease := self._take(group)):
                return lease
        living = self._presence.others()
        tokens = {one.said.get("token") for one in living}
        held = [group for group in sorted(open_to_us) if group in latest]
        owners = {group: self._owner(group, latest[group]) for group in held}
        for group, owner in owners.items():
            is_left = owner.get("token") not in tokens if owner else self._is_old(group, latest[group])
            if is_left and (lease := self._take(group, latest[group] + 1)):
                return lease
        now = time_of(self._presence.folder / "clock")
        suspects = {one.said.get("token") for one in living if now - one.renewed_at > SUSPECT_S}
        is_waiting = any(not owner or owner.get("token") in suspects for owner in owners.values())
        self._is_over = not self._unfinished and not is_waiting
        return None

    def _found(self) -> tuple[dict[int, int], dict[int, int]]:
        """Of each group the latest lease, and the latest one after which it was done."""
        latest: dict[int, int] = {}
        marked: dict[int, int] = {}
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:  # who took this job for dead has ended the run meanwhile
            raise self._presence.lost_place() from None
        for name in names:
            number, *mark, generation = name.split(".")
            found = marked if mark else latest
            found[int(number)] = max(found.get(int(number), 0), int(generation))
        return latest, marked

    def _take(self, group: int, generation: int = 0) -> Lease | None:
        path = _created(
            self._folder / f"{group}.{generation}",
            {"token": self._presence.token, "file": self._presence.number},
        )
        if path is None:
            return None
        self._unfinished.add(group)
        return Lease(group, self._ids[group], path, self._there(group, generation) if generation else ())

    def _there(self, group: int, generation: int) -> list[Key]:
        """The samples of those who had the group before."""
        ids = set(self._ids[group])
        files = {self._owner(group, earlier).get("file") for earlier in range(generation)}
        samples = self._presence.folder.parent / SAMPLES
        paths = [file_of(samples, number) for number in files if isinstance(number, int)]
        return [line.key for path in paths for line in read_samples(path) if line.key[0] in ids]

    def _owner(self, group: int, generation: int) -> dict:
        """What a lease says; {} where it is being written, or whoever wrote it was killed."""
        name = f"{group}.{generation}"
        if not self._owners.get(name):
            self._owners[name] = read_holder(self._folder / name) or {}
        return self._owners[name]

    def _is_old(self, group: int, generation: int) -> bool:
        path = self._folder / f"{group}.{generation}"
        return path.exists() and time_of(self._presence.folder / "clock") - path.stat().st_mtime > UNSAID_S


def group_size(problems: int, samples: int) -> int:
    """How many problems are leased together, where each gets so many samples."""
    size = min(math.ceil(GROUP_SAMPLES / max(1, samples)), problems // FEWEST_GROUPS)
    return max(1, size, math.ceil(problems / MOST_GROUPS))


def _generation(path: Path) -> int:
    return int(path.suffix[1:])


def _created(path: Path, said: dict) -> Path | None:
    """A file that says so; None where another process has created it, or taken its folder away."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            os.write(file, json.dumps(said).encode())
        finally:
            os.close(file)
    except (FileExistsError, FileNotFoundError):
        return None
    except OSError as error:
        raise disk_trouble(path, error) from error
    return path
