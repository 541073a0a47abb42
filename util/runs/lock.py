"""How does one process at a time write to a folder, also where the file system knows no locks?

Call `hold_lock` or `locked_folder`; `holder_of` says who writes. Where flock does not work (Lustre without
-o flock, some network and FUSE mounts), a file beside the lock names the holder, who renews it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TextIO

from util.errors import UserError, not_writable
from util.runs.journal import make_folders, missing_folders, remove_empty
from util.terminal import say

LOCK = "lock"  # of a run
RENEWED_EVERY_S = 60.0
REBOOTED_AFTER_S, STALE_AFTER_S = 2 * RENEWED_EVERY_S, 5 * RENEWED_EVERY_S  # without being renewed
ENDED = "its process has ended"
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


class IsWritten(UserError):
    """Another process writes to the folder."""


class Lock(Protocol):
    def close(self) -> None: ...


def hold_lock(path: Path, what: str) -> Lock:
    """Lock `path` for this process until what is returned is closed; it names the holder to others.

    Raises UserError when another process writes to `what`.
    """
    lock = open(path, "a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "another process"
        lock.close()
        raise is_written(what, holder) from None
    except OSError as error:
        lock.close()
        if error.errno in NO_LOCKS:
            return _LockFile(path, what)
        raise
    if not _is_at(lock, path):  # whoever had it took it away with a folder that it did not begin
        lock.close()
        return hold_lock(path, what)
    try:
        lock.truncate(0)
        os.write(lock.fileno(), f"process {os.getpid()} on {platform.node()}".encode())
    except OSError:  # the disk is full
        lock.close()
        raise
    return lock


def _is_at(file: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def holder_of(path: Path) -> str | None:
    """Which process holds the lock just now; None when nobody does."""
    try:
        lock = open(path, encoding="utf-8")
    except OSError:  # copied without its lock file
        return None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return lock.read().strip() or "another process"
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            there = read_holder(_beside(path))
            return (
                None
                if there is None or why_stale(_beside(path), there, time_of(path))
                else holder_named(there)
            )
    return None


@contextmanager
def locked_folder(folder: Path, lock: str, *, flag: str, what: str = "") -> Iterator[None]:
    """Hold the lock of a folder, which is made where it is not there.

    A block that raises UserError has done nothing: then what was made for it is taken away, unless it holds
    something. Raises UserError when another process has the lock, DiskTrouble when the folder, which `flag`
    names, cannot be written.
    """
    made = missing_folders(folder)
    try:
        make_folders(folder)
        is_new = not (folder / lock).exists()
        held = hold_lock(folder / lock, what or str(folder))
    except OSError as error:
        raise not_writable(folder, error, flag) from error
    try:
        yield
    except UserError:
        if is_new:
            (folder / lock).unlink(missing_ok=True)
        held.close()
        remove_empty(made)
        raise
    finally:
        held.close()


def is_written(what: str, holder: str) -> IsWritten:
    return IsWritten(f"{what} is being written by {holder}: wait for it or stop it")


def _beside(lock: Path) -> Path:
    return lock.with_name(f"{lock.name}.held")


class _LockFile:
    """A file that is there as long as its holder writes, and is renewed every minute."""

    def __init__(self, lock: Path, what: str) -> None:
        self._path = _beside(lock)
        self._what = what
        self._text = json.dumps({**this_process(), "token": secrets.token_hex(8)})
        if not self._make():
            self._take_over(time_of(lock))
        self._closed = threading.Event()
        threading.Thread(target=self._renew, name="lock", daemon=True).start()

    def _make(self) -> bool:
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            return False
        os.write(file, self._text.encode())
        os.close(file)
        return True

    def _take_over(self, now: float) -> None:
        there = read_holder(self._path)
        if there is None:  # given up just now
            if self._make():
                return
            raise is_written(self._what, "another process")
        why = why_stale(self._path, there, now)
        if not why:
            raise is_written(self._what, holder_named(there))
        with self._one_at_a_time(now):
            if read_holder(self._path) != there:
                raise is_written(self._what, "another process")
            ours = self._path.with_name(f"{self._path.name}.{os.getpid()}")
            ours.write_text(self._text, encoding="utf-8")
            os.replace(ours, self._path)
        say(f"the lock of {self._what} is taken over from {holder_named(there)}: {why}")

    @contextmanager
    def _one_at_a_time(self, now: float) -> Iterator[None]:
        """Of several processes that find a lock stale, one replaces it."""
        folder = self._path.with_name(f"{self._path.name}.taken-over")
        try:
            folder.mkdir()
        except FileExistsError:
            try:
                if now - folder.stat().st_mtime > STALE_AFTER_S:  # who made it was killed
                    folder.rmdir()
            except FileNotFoundError:
                pass
            raise is_written(self._what, "another process") from None
        try:
            yield
        finally:
            folder.rmdir()

    def _renew(self) -> None:
        while not self._closed.wait(RENEWED_EVERY_S):
            try:
                os.utime(self._path)
                is_ours = self._is_ours()
            except FileNotFoundError:
                is_ours = False
            except OSError:  # the file system is away for a while
                continue
            if not is_ours and not self._closed.is_set():
                say(f"another command has taken over the lock of {self._what}, as it was not renewed in time")
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def _is_ours(self) -> bool:
        return self._path.read_text(encoding="utf-8") == self._text

    def close(self) -> None:
        if not self._closed.is_set():
            self._closed.set()
            try:
                if self._is_ours():
                    self._path.unlink()
            except OSError:  # gone with its folder; else it is stale at once, as its process ends
                pass


def this_process() -> dict[str, str | int]:
    return {
        "host": platform.node(),
        "pid": os.getpid(),
        "started": _started(os.getpid()),
        "boot": _contents("/proc/sys/kernel/random/boot_id"),
        "pids": _pid_space(),
    }


def read_holder(path: Path) -> dict | None:
    """What a lock file says; {} where it cannot be understood, None where there is none."""
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):  # being written just now
        return {}
    return there if isinstance(there, dict) else {}


def holder_named(there: dict) -> str:
    if not {"pid", "host"} <= there.keys():
        return "another process"
    return f"process {there['pid']} on {there['host']}"


def is_of_this_machine(there: dict) -> bool:
    """Whether a lock file was made where we can see its process: a number names one within its machine and
    its container."""
    here = this_process()
    return bool(here["boot"]) and all(there.get(name) == here[name] for name in ("host", "boot", "pids"))


def why_stale(path: Path, there: dict, now: float, *, stale_after_s: float = STALE_AFTER_S) -> str:
    """Why the process that a lock file names writes no longer; "" where it does, as far as we know."""
    here = this_process()
    if is_of_this_machine(there):
        is_there = isinstance(there.get("pid"), int) and _started(there["pid"]) == there.get("started")
        return "" if is_there else ENDED
    try:
        age_s = now - path.stat().st_mtime
    except FileNotFoundError:
        return "it has just been given up"
    # Not at once: in some clusters every machine calls itself localhost.
    if there.get("host") == here["host"] and there.get("boot") != here["boot"] and age_s > REBOOTED_AFTER_S:
        return "the machine has been started again since"
    return f"it was not renewed for {age_s / 60:.0f} minutes" if age_s > stale_after_s else ""


def time_of(file: Path) -> float:
    """The time by the clock of a file's machine, which also dates the renewals; by ours where we may not
    write there."""
    try:
        file.touch()
        return file.stat().st_mtime
    except OSError:
        return time.time()


def _started(pid: int) -> str:
    """When a process was started; "" where there is none, or it has ended and its parent has not looked."""
    state, *after_state = _contents(f"/proc/{pid}/stat").rpartition(")")[2].split() or [""]
    return after_state[18] if len(after_state) > 18 and state not in ("Z", "X") else ""


def _pid_space() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _contents(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""
