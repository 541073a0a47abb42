"""Is work shared out over processes done in order and in bounded memory, and does an end reach everyone?"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import HANG_S, ROOT, at_a_terminal, is_running, wait_until

from util.errors import RunStopped, UserError
from util.machines.forked import AHEAD, in_order


def shared_out(work, tasks, prepare=lambda: None):
    return in_order(work, tasks, workers=2, prepare=prepare)


def all_children():
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


@pytest.fixture
def children():
    """Asks for the processes of this test that are still there: other tests may leave warm ones."""
    before = all_children()
    return lambda: all_children() - before


def test_results_come_in_the_order_of_the_tasks_from_other_processes():
    held = {"factor": 3}  # what this process holds need not be fit to travel
    found = list(shared_out(lambda task: (task * held["factor"], os.getpid()), range(100)))
    assert [result for result, _ in found] == [3 * task for task in range(100)]
    assert os.getpid() not in {process for _, process in found}


def test_each_worker_prepares_itself_first():
    prepared = []
    found = shared_out(lambda task: list(prepared), range(10), lambda: prepared.append(os.getpid()))
    assert all(len(one) == 1 for one in found) and prepared == []


def test_one_worker_is_this_process():
    assert list(in_order(lambda task: os.getpid(), [1], workers=1, prepare=pytest.fail)) == [os.getpid()]


def test_tasks_are_taken_only_as_results_are_used():
    taken = []
    results = shared_out(abs, (taken.append(number) or number for number in range(1000)))
    for used in range(1, 50):
        next(results)
        assert len(taken) < used + AHEAD * 2
    results.close()


@pytest.mark.parametrize("error", [UserError("a wrong row"), ZeroDivisionError("our mistake")])
def test_what_a_worker_raises_is_raised_here(error, children):
    def work(task):
        if task == 7:
            raise error
        return task

    results = shared_out(work, range(20))
    assert [next(results) for _ in range(7)] == list(range(7))
    with pytest.raises(type(error), match=str(error)):
        next(results)
    assert children() == set()


def test_a_worker_that_is_killed_stops_the_run(children):
    def work(task):
        if task == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return task

    with pytest.raises(RunStopped, match="a worker process ended .*run the same command again"):
        list(shared_out(work, range(20)))
    assert children() == set()


def test_nobody_is_left_when_results_are_no_longer_wanted(children):
    results = shared_out(abs, range(100))
    next(results)
    assert len(children()) == 2
    results.close()
    assert children() == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_parent(number):
    program = (
        "import os, time\nfrom util.machines.forked import in_order\n"
        "for process in in_order(lambda n: time.sleep(0.01) or os.getpid(), range(10**9), workers=2,"
        " prepare=lambda: None):\n    print(process, flush=True)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        start_new_session=True,
        preexec_fn=at_a_terminal,
    )
    workers = {int(parent.stdout.readline()) for _ in range(40)}
    (os.killpg if number == signal.SIGINT else os.kill)(parent.pid, number)
    parent.communicate(timeout=HANG_S)
    assert parent.returncode and workers
    wait_until(lambda: not any(map(is_running, workers)))
