"""Does one process at a time write to a folder, also where the file system has no flock?"""

import contextlib
import errno
import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from helpers import HANG_S, ROOT, wait_until

from util.errors import UserError
from util.runs import lock
from util.runs.folder import Run, writer_of
from util.runs.lock import hold_lock, holder_of, locked_folder
from util.training.formats import ExampleFile


@pytest.fixture
def no_flock(monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)


def a_run(folder):
    return Run(folder, settings={"task": "T", "model": "m"}, made_with={})


def held_by(folder, *, age_s=0.0, **changes):
    """A lock file as another process leaves it."""
    path = folder / "lock.held"
    path.write_text(json.dumps({**lock.this_process(), **changes}))
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_a_training_file_is_written_by_one_export_where_no_locks_are(tmp_path, no_flock):
    path = tmp_path / "train.json"
    with ExampleFile(path, "sharegpt") as file:
        with pytest.raises(UserError, match=f"train.json is being written by process {os.getpid()} on"):
            ExampleFile(path, "sharegpt")
        file.finish()
        file.commit()
    assert [found.name for found in tmp_path.iterdir()] == ["train.json"]


ELSEWHERE = {"host": "node7", "boot": "b", "pid": 4, "pids": "pid:[4]"}


def test_without_flock_a_second_writer_is_refused_and_told_who_writes(tmp_path, no_flock):
    with a_run(tmp_path):
        assert writer_of(tmp_path) == f"process {os.getpid()} on {os.uname().nodename}"
        with pytest.raises(UserError, match=f"is being written by process {os.getpid()} on"):
            a_run(tmp_path)
    assert writer_of(tmp_path) is None and not (tmp_path / "lock.held").exists()
    a_run(tmp_path).close()


def test_without_flock_a_refused_command_leaves_nothing_behind(tmp_path, no_flock):
    a_run(tmp_path / "run").discard()
    with (
        pytest.raises(UserError, match="no"),
        locked_folder(tmp_path / "labels", ".lock", flag="--output-dir"),
    ):
        raise UserError("no")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "age_s", "why"),
    [
        ({"started": "1"}, 0, "its process has ended"),
        ({"pid": 0}, 0, "its process has ended"),
        ({**ELSEWHERE}, 301, "it was not renewed for 5 minutes"),
        ({"boot": "another"}, 121, "the machine has been started again since"),
    ],
)
def test_a_stale_lock_is_taken_over_with_a_sentence(tmp_path, no_flock, capsys, changes, age_s, why):
    held_by(tmp_path, age_s=age_s, **changes)
    (tmp_path / "lock").touch()
    assert writer_of(tmp_path) is None
    with a_run(tmp_path):
        assert json.loads((tmp_path / "lock.held").read_text())["pid"] == os.getpid()
    said = capsys.readouterr().err
    assert f"the lock of {tmp_path} is taken over from process" in said and why in said
    assert sorted(path.name for path in tmp_path.glob("lock*")) == ["lock"]


@pytest.mark.parametrize(
    ("changes", "age_s"),
    [
        (ELSEWHERE, 290),
        ({}, 10_000),  # a process of this machine that was stopped for a while
        ({"boot": "another"}, 60),  # another machine may have this one's name
        ({"pids": "pid:[4]", "pid": 1, "started": "0"}, 200),  # another container
    ],
)
def test_a_lock_whose_holder_may_live_is_respected(tmp_path, no_flock, monkeypatch, changes, age_s):
    now = time.time()
    monkeypatch.setattr(lock, "time_of", lambda file: now)  # however long what follows takes
    path = held_by(tmp_path, age_s=age_s, **changes)
    with pytest.raises(UserError, match=r"is being written by process \d+ on \w+"):
        a_run(tmp_path)
    assert path.exists() and holder_of(tmp_path / "lock")


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000])
def test_a_lock_file_that_says_nothing_is_stale_once_it_is_old(tmp_path, no_flock, content):
    path = tmp_path / "lock.held"
    path.write_text(content)
    with pytest.raises(UserError, match="is being written by another process"):
        a_run(tmp_path)
    os.utime(path, (0, 0))
    a_run(tmp_path).close()


def test_a_lock_that_was_taken_away_while_it_was_waited_for_holds_nothing(tmp_path, monkeypatch):
    path, flock, calls = tmp_path / "lock", fcntl.flock, []

    def taken_away(file, how):
        calls.append(how)
        if len(calls) == 1:  # by a command that found nothing to do
            path.unlink()
        return flock(file, how)

    monkeypatch.setattr(fcntl, "flock", taken_away)
    with contextlib.closing(hold_lock(path, "x")):
        assert "process" in (holder_of(path) or "")


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path, no_flock):
    program = f"""
import errno, fcntl, os
def flock(*_):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = flock
from pathlib import Path
from util.runs.lock import hold_lock
held = hold_lock(Path({str(tmp_path)!r}) / "lock", "x")
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == -9
    assert (tmp_path / "lock.held").exists()
    hold_lock(tmp_path / "lock", "x").close()


def test_a_lock_is_renewed_and_its_loss_ends_the_process(tmp_path, no_flock, monkeypatch):
    monkeypatch.setattr(lock, "RENEWED_EVERY_S", 0.01)
    ended = threading.Event()
    monkeypatch.setattr(os, "kill", lambda *_: ended.set())
    held, path = hold_lock(tmp_path / "lock", "x"), tmp_path / "lock.held"
    os.utime(path, (0, 0))
    wait_until(lambda: path.stat().st_mtime >= 1)
    path.write_text("{}")
    assert ended.wait(HANG_S)
    held.close()
    assert path.exists(), "it is another's now"


def test_of_many_that_take_over_one_gets_the_lock(tmp_path, no_flock):
    for _ in range(20):
        held_by(tmp_path, age_s=1000, **ELSEWHERE)
        begin, got = threading.Barrier(8), []

        def take(begin=begin, got=got):
            begin.wait()
            try:
                got.append(hold_lock(tmp_path / "lock", "x"))
            except UserError:
                pass

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 1
        got[0].close()


def test_a_process_that_ended_and_that_nobody_has_looked_after_holds_nothing():
    """As after an out-of-memory kill in a container whose first process waits for no child."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    said = {**lock.this_process(), "pid": child.pid, "started": lock._started(child.pid)}
    try:
        assert lock.why_stale(Path("nothing"), said, 0.0) == ""
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is still listed
        assert Path(f"/proc/{child.pid}").exists()
        assert lock.why_stale(Path("nothing"), said, 0.0) == lock.ENDED
    finally:
        child.communicate()
