"""How is work on what this process holds in memory shared out over the processor's cores?"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from typing import TypeVar

from util.errors import RunStopped, UserError

Task, Result = TypeVar("Task"), TypeVar("Result")
AHEAD = 2  # tasks that a worker has waiting
LOOK_S = 1.0  # how often a waiting worker looks whether its parent is still there


def in_order(
    work: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    workers: int,
    prepare: Callable[[], None],
) -> Iterator[Result]:
    """Yield work(task) of each task, in the order of the tasks.

    Workers are forked, so `work` may use all that this process holds; `prepare` runs first in each of them,
    to open files anew. With fewer than two workers the work is done here. A bounded number of tasks is under
    way at any time.
    """
    if workers < 2:
        yield from map(work, tasks)
        return
    forked = [_fork(work, prepare) for _ in range(workers)]
    try:
        waiting: deque[Connection] = deque()
        for number, task in enumerate(tasks):
            line = forked[number % workers][1]
            line.send(task)
            waiting.append(line)
            if len(waiting) >= AHEAD * workers:
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())
    finally:
        for process, line in forked:
            process.terminate()
            process.join()
            line.close()


def _fork(work: Callable, prepare: Callable[[], None]) -> tuple[multiprocessing.Process, Connection]:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, work, prepare, os.getpid()), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _serve(line: Connection, work: Callable, prepare: Callable[[], None], parent: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    prepare()
    while True:
        while not line.poll(LOOK_S):
            if os.getppid() != parent:
                return
        try:
            line.send((work(line.recv()), None))
        except UserError as error:
            line.send((None, error))
        except (EOFError, BrokenPipeError):
            return


def _result(line: Connection):
    try:
        result, error = line.recv()
    except EOFError:
        raise RunStopped("a worker process ended (out of memory?): run the same command again") from None
    if error is not None:
        raise error
    return result
