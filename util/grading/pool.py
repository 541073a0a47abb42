"""How are many gradings done at once, each with a hard time limit?

Call `GradingPool` in a `with` block, `submit` gradings and take what is `completed`.

A thread of the parent hands gradings to worker processes and takes the results back, so it keeps going while
the main thread is busy. Workers are spawned, never forked: the parent may hold a GPU. What a grading is and
what it results in is the caller's affair: the parent passes both on and looks at neither,
but for `by_the_clock` of a result.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.util
import os
import queue
import signal
import struct
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from typing import Any

from util.grading.maths import symbolic as symbolic_engine
from util.records import Verdict
from util.terminal import say

GRADER = "pool-1"
WAITING_PER_WORKER = 1024  # gradings queued or running per worker before `submit` waits
BATCH = 256  # most short gradings that a worker has at a time
PAUSE_S = 0.005  # results are sent and taken together after so long, not one by one
SHORT_S = 60.0  # gradings with a higher limit travel alone
START_S = 600.0  # a worker has to say that it runs by then, on a core that others want, too
LOWEST = 19  # niceness: at most 1.5 % of a core that somebody else wants
STOPPED_S = 1.0  # whoever wakes so much too late was stopped, by Ctrl-Z or with the machine, as were workers
STOP_S = 3.0  # workers that are asked to end are killed after that

_SIZE = struct.Struct("!I")  # before a list of results: how many bytes it has; 0: one more is finished
_READ_BYTES = 1 << 17


@dataclass
class _Ungraded:
    key: Any
    job: Any
    timeout_s: float
    deaths: int = 0  # workers that died over it
    alone: bool = False  # the clock ended it: it is tried again by the worker for those

    @property
    def travels_alone(self) -> bool:
        """Whether a worker has it with no other."""
        return self.timeout_s > SHORT_S or self.deaths > 0


@dataclass
class _Worker:
    process: Any
    connection: Connection
    jobs: deque[_Ungraded] = field(default_factory=deque)  # the first one is being graded
    finished: deque[_Ungraded] = field(default_factory=deque)  # their results are still to come
    since: float = 0.0  # when it began; when the worker was started, before it runs
    running: bool = False
    alone: bool = False  # takes only gradings that are tried again alone
    heard: bytes = b""  # the beginning of results whose end is still to come

    def room(self) -> int:
        """How many gradings more it should have now."""
        if self.jobs and self.jobs[-1].travels_alone or len(self.jobs) > BATCH // 2:
            return 0
        if self.finished and self.finished[-1].deaths:  # until its result is here, a death is its own
            return 0
        return BATCH - len(self.jobs)


class Exchange:
    """Where a caller leaves gradings and finds verdicts, and a thread finds gradings and leaves verdicts."""

    def __init__(self, room: int) -> None:
        self.changed = threading.Condition()  # hold it while you touch `queue`
        self.queue: deque[Any] = deque()
        self.pending = 0  # gradings that were submitted and have no verdict yet
        self._room = room
        self._done: list[tuple[Any, Any]] = []
        self._failure: Exception | None = None

    def has_room(self) -> bool:
        """Whether `submit` would take a grading without waiting."""
        return self.pending < self._room

    def submit(self, job: Any) -> None:
        """Queue one grading; waits while too many are queued. Raises what the thread failed with."""
        with self.changed:
            self.changed.wait_for(lambda: self.has_room() or self._failure)
            if self._failure:
                raise self._failure
            self.pending += 1
            self.queue.append(job)

    def completed(self, block: bool) -> list[tuple[Any, Any]]:
        """Keys and results that are ready; with `block`, at least one as long as any is pending."""
        if not (block or self._done or self._failure):  # without the lock: it is asked for each sample
            return []
        with self.changed:
            if block:
                self.changed.wait_for(lambda: self._done or not self.pending or self._failure)
            if self._failure:
                raise self._failure
            ready, self._done = self._done, []
        return ready

    def finish(self, results: list[tuple[Any, Any]]) -> None:
        """Leave results by their keys."""
        with self.changed:
            self._done += results
            self.pending -= len(results)
            self.changed.notify_all()

    def fail(self, error: Exception) -> None:
        """Let every caller see `error`, unless another came first."""
        with self.changed:
            self._failure = self._failure or error
            self.changed.notify_all()


class Pool:
    """What its owner sees of gradings that are under way, wherever they are done."""

    _exchange: Exchange

    def has_room(self) -> bool:
        """Whether `submit` would take a grading without waiting."""
        return self._exchange.has_room()

    @property
    def pending(self) -> int:
        """How many gradings were submitted and have no verdict yet."""
        return self._exchange.pending

    def completed(self, block: bool) -> list[tuple[Any, Any]]:
        """Keys and results that are ready; with `block`, at least one as long as any is pending."""
        return self._exchange.completed(block)

    def fail(self, error: Exception) -> None:
        """Let every caller see `error`."""
        self._exchange.fail(error)


class GradingPool(Pool):
    """Worker processes that grade; results come back in the order in which they are ready.

    Use as a context manager. Each worker has a copy of `work` for as long as it lives and calls it with each
    job; what it returns is the result. A grading over its limit, or one whose worker dies twice, results in a
    Verdict with the reason grader_error; the worker is replaced and nothing else is lost. A result that says
    it is `by_the_clock` is not taken: the job is done again, one such at a time, at the priority of the
    command (the others have `niceness`, by default the lowest). It does not wait until the others are idle:
    they leave it the core, while an engine runs they are never idle, and programs that sleep would all be
    left to the end.
    """

    together = 16  # short gradings that a job should hold: handing one out costs as much as a short one

    def __init__(
        self, workers: int, work: Callable[[Any], Any], *, symbolic: bool = True, niceness: int = LOWEST
    ) -> None:
        self.workers = max(1, workers)
        self._work = bytes(ForkingPickler.dumps(work))
        self._symbolic, self._niceness = symbolic, niceness
        self._is_listening = False  # the thread has to be woken for a new grading
        self._context = multiprocessing.get_context("spawn")
        self._exchange = Exchange(self.workers * WAITING_PER_WORKER)
        self._workers: list[_Worker] = []
        self._again: deque[_Ungraded] = deque()  # those that are tried again alone
        self._stopping = False

    def __enter__(self) -> GradingPool:
        self._awake, self._waker = self._context.Pipe(duplex=False)
        self._finalizer = multiprocessing.util.Finalize(
            None, _kill_all, args=(self._workers,), exitpriority=20
        )
        self._thread = threading.Thread(target=self._serve, name="grading", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._exchange.fail(RuntimeError("the pool is closed"))
        with self._exchange.changed:
            self._stopping = True
            self._exchange.queue.clear()
        self._wake()
        self._thread.join()
        if kind is None:
            _end_all(self._workers)
        _kill_all(self._workers)
        self._workers.clear()
        self._finalizer.cancel()
        self._awake.close()
        self._waker.close()

    def submit(self, key: Any, job: Any, timeout_s: float) -> None:
        """Queue one grading; waits while too many are queued."""
        self._exchange.submit(_Ungraded(key, job, timeout_s))
        if self._is_listening:
            self._wake()

    # -- in the thread

    def _wake(self) -> None:
        self._is_listening = False
        with contextlib.suppress(OSError):  # the pool was closed meanwhile
            self._waker.send_bytes(b"!")

    def _serve(self) -> None:
        # Workers inherit it: Ctrl-C must not find them before they can say that it is not for them. Starting
        # the tracker of multiprocessing, as the first worker would, unblocks it.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            while not self._stopping:
                self._is_listening = True  # what is queued from here on wakes us if it is not handed out now
                self._hand_out()
                self._listen()
        finally:
            failed = "the thread that hands out gradings has ended; see its traceback above"
            self._exchange.fail(RuntimeError(failed))

    def _hand_out(self) -> None:
        """Give queued gradings to workers that have few; start workers as long as there is need."""
        with self._exchange.changed:
            usual = [worker for worker in self._workers if not worker.alone]
            idle = sum(not worker.jobs for worker in usual)
            wanted = min(self.workers - len(usual), max(0, len(self._exchange.queue) - idle))
        usual += [self._start() for _ in range(wanted)]
        for worker in sorted(usual, key=lambda worker: len(worker.jobs)):
            self._hand(worker, self._next_jobs(worker))
        if self._again:
            lone = next((worker for worker in self._workers if worker.alone), None)
            if lone is None:
                lone = self._start(alone=True)
            if not lone.jobs and not lone.finished:
                self._hand(lone, [self._again.popleft()])

    def _hand(self, worker: _Worker, jobs: list[_Ungraded]) -> None:
        if not jobs:
            return
        try:
            worker.connection.send([job.job for job in jobs])
        except OSError:  # it has died; none of these is to blame, and `_receive` sees to what it had
            self._queue_again(worker, jobs)
            return
        if worker.running and not worker.jobs:
            worker.since = time.monotonic()
        worker.jobs.extend(jobs)

    def _next_jobs(self, worker: _Worker) -> list[_Ungraded]:
        """What a worker gets now: a share of what is queued, as the last gradings are for whoever is idle."""
        jobs: list[_Ungraded] = []
        with self._exchange.changed:
            waiting = self._exchange.queue
            share = len(waiting) // (2 * self.workers)
            most = min(worker.room(), share if worker.jobs else max(1, share))
            while waiting and len(jobs) < most:
                if waiting[0].travels_alone and (jobs or worker.jobs):
                    break
                jobs.append(waiting.popleft())
                if jobs[-1].travels_alone:
                    break
        return jobs

    def _start(self, *, alone: bool = False) -> _Worker:
        ours, theirs = self._context.Pipe()
        niceness = 0 if alone else self._niceness  # an end by the clock is looked into with a full share
        process = self._context.Process(
            target=_work, args=(theirs, self._work, self._symbolic, niceness), name="grader"
        )
        process.start()
        theirs.close()
        self._workers.append(_Worker(process, ours, since=time.monotonic(), alone=alone))
        return self._workers[-1]

    def _listen(self) -> None:
        """Wait for results, deaths, new gradings or the next time limit."""
        if self._workers and all(len(worker.jobs) > 1 for worker in self._workers if not worker.alone):
            time.sleep(PAUSE_S)
        deadlines = [deadline for worker in self._workers if (deadline := _deadline(worker)) is not None]
        began = time.monotonic()
        rest = max(0.0, min(deadlines) - began) if deadlines else None
        by_connection: dict[Any, _Worker] = {worker.connection: worker for worker in self._workers}
        for ready in wait([self._awake, *by_connection], rest):
            if ready is self._awake:
                self._awake.recv_bytes()
            else:
                self._receive(by_connection[ready])
        now = time.monotonic()
        was_stopped = rest is not None and now - began > rest + STOPPED_S
        for worker in list(self._workers):
            if was_stopped:
                worker.since += now - began
            deadline = _deadline(worker)
            if deadline is not None and now >= deadline and not worker.connection.poll(0):
                self._time_out(worker)

    def _receive(self, worker: _Worker) -> None:
        """Take what a worker has said, all of it at once."""
        try:
            data = os.read(worker.connection.fileno(), _READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self._replace(worker, blame=True)
            return
        worker.since = time.monotonic()
        results: list[tuple[Any, Any]] = []
        heard, at = worker.heard + data, 0
        while at + _SIZE.size <= len(heard):
            end = at + _SIZE.size + _SIZE.unpack_from(heard, at)[0]
            if end > len(heard):
                break
            if end > at + _SIZE.size:
                results += self._finished(worker, ForkingPickler.loads(heard[at + _SIZE.size : end]))
            elif worker.running:
                worker.finished.append(worker.jobs.popleft())
            else:  # its first word says that it runs
                worker.running = True
            at = end
        worker.heard = heard[at:]
        if results:
            self._exchange.finish(results)

    def _finished(self, worker: _Worker, results: list[Any]) -> Iterator[tuple[Any, Any]]:
        for result in results:
            job = worker.finished.popleft()
            if getattr(result, "by_the_clock", False) and not job.alone:
                job.alone, job.deaths = True, 0
                self._again.append(job)
            else:
                yield job.key, result

    def _time_out(self, worker: _Worker) -> None:
        if worker.running:
            job = worker.jobs.popleft()
            self._exchange.finish([(job.key, _failure(f"over {job.timeout_s:g} s"))])
        self._replace(worker, blame=not worker.running)

    def _replace(self, worker: _Worker, *, blame: bool) -> None:
        """End a worker; what it had is queued again, but for a grading that two workers died over."""
        _kill(worker)
        self._workers.remove(worker)
        left = [*worker.finished, *worker.jobs]
        if blame:  # the one that was being graded, or one whose result could not be sent
            status = f"exit status {worker.process.exitcode}"
            why = _failure(f"the worker died twice ({status}), see standard error")
            for job in left[: len(worker.finished) + 1]:
                job.deaths += 1
            self._exchange.finish([(job.key, why) for job in left if job.deaths > 1])
        self._queue_again(worker, [job for job in left if job.deaths < 2])

    def _queue_again(self, worker: _Worker, jobs: Sequence[_Ungraded]) -> None:
        """Put what a worker should have had first in its queue."""
        with self._exchange.changed:
            if not self._stopping:
                (self._again if worker.alone else self._exchange.queue).extendleft(reversed(jobs))


def _failure(detail: str) -> Verdict:
    return Verdict(False, "grader_error", detail=detail, grader=GRADER)


def _deadline(worker: _Worker) -> float | None:
    if not worker.running:
        return worker.since + START_S
    return worker.since + worker.jobs[0].timeout_s if worker.jobs else None


def _kill(worker: _Worker) -> None:
    worker.process.kill()
    worker.process.join()
    worker.connection.close()


def _end_all(workers: list[_Worker]) -> None:
    """Ask workers to end and give them a moment to close what they have open."""
    for worker in workers:
        with contextlib.suppress(OSError):
            worker.connection.send(None)
    end = time.monotonic() + STOP_S
    for worker in workers:
        worker.process.join(max(0.0, end - time.monotonic()))


def _kill_all(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.process.kill()
    for worker in workers:
        worker.process.join()


# ---------------------------------------------------------------- in a worker


def _work(connection: Connection, work: bytes, symbolic: bool, niceness: int) -> None:
    """Grade what comes until the parent says stop or is gone."""
    _be_first_to_go()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # programs may use it
    batches: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, batches), daemon=True).start()
    symbolic_engine.use(symbolic)
    grade, results = ForkingPickler.loads(work), _Results(connection)
    os.nice(niceness)  # from here on, so that it has begun soon: engines run beside graders
    results.mark()
    while (jobs := ForkingPickler.loads(batches.get())) is not None:
        for job in jobs:
            # A fault of a grader ends this worker with its traceback; after a second try the parent gives the
            # sample the reason grader_error.
            results.add(grade(job))


def _be_first_to_go() -> None:
    """Where memory is short. What graders start, programs among it, is like them."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")


def _receive(connection: Connection, batches: queue.SimpleQueue[bytes]) -> None:
    """Take what the parent sends, so that it never waits for a grading to end; without a parent, end."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            batches.put(connection.recv_bytes())
    os._exit(1)


class _Results:
    """What a worker sends: at once that one more grading is finished, so that it is not blamed for what comes
    next, and its result soon after, together with others."""

    def __init__(self, connection: Connection) -> None:
        self._file = connection.fileno()
        self._lock = threading.Lock()
        self._waiting: list[Any] = []
        self._any_waiting = threading.Event()
        threading.Thread(target=self._send, daemon=True).start()

    def add(self, result: Any) -> None:
        with self._lock:
            self._waiting.append(result)
            self._write(_SIZE.pack(0))
        self._any_waiting.set()

    def mark(self) -> None:
        with self._lock:
            self._write(_SIZE.pack(0))

    def _send(self) -> None:
        try:
            while self._any_waiting.wait():
                time.sleep(PAUSE_S)
                self._any_waiting.clear()
                with self._lock:
                    results, self._waiting = self._waiting, []
                    data = bytes(ForkingPickler.dumps(results))
                    self._write(_SIZE.pack(len(data)) + data)
        finally:  # a fault of ours, such as a result that cannot travel: this worker is of no use any more
            say(traceback.format_exc())
            os._exit(1)

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # the parent is gone
            while data:
                data = data[os.write(self._file, data) :]
