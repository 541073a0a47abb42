"""How is work on what this process holds in memory shared out over the processor's cores?

Call `in_order`. It forks this process, so it is never called by one that holds an engine.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any, TypeVar

from util.errors import RunStopped

T = TypeVar("T")
R = TypeVar("R")
AHEAD = 2  # tasks that a worker has waiting

_work: Callable[[Any], Any]  # what a worker does: it comes with the fork, as it need not be fit to travel


def in_order(
    work: Callable[[T], R],
    tasks: Iterable[T],
    *,
    workers: int,
    prepare: Callable[[], None],
) -> Iterator[R]:
    """Yield work(task) of each task, in the order of the tasks.

    Workers are forked, so `work` may use all that this process holds; `prepare` runs first in each of them,
    to open files anew. With fewer than two workers the work is done here. A bounded number of tasks is under
    way at any time. What `work` raises is raised here.
    """
    if workers < 2:
        yield from map(work, tasks)
        return
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("fork"), initializer=_begin, initargs=(work, prepare)
    )
    waiting: deque[Future[R]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(_do, task))
            if len(waiting) >= AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise RunStopped("a worker process ended (out of memory?): run the same command again") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(work: Callable[[T], R], prepare: Callable[[], None]) -> None:
    global _work
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    threading.Thread(target=_end_with_parent, daemon=True).start()
    prepare()
    _work = work


def _do(task: Any) -> Any:
    return _work(task)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
