"""How are many gradings done at once, each with a hard time limit?

Call `GradingPool` in a `with` block, `submit` gradings and take what is `completed`.

A thread of the parent hands gradings to worker processes and takes the verdicts back, so it keeps going while
the main thread is busy. Workers are spawned, never forked: the parent may hold a GPU.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.util
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from typing import Any

from util.grading.maths import symbolic as symbolic_engine
from util.records import BY_THE_CLOCK, Problem, Verdict

GRADER = "pool-1"
WAITING_PER_WORKER = 64  # gradings queued or running per worker before `submit` waits
BATCH = 16  # short gradings handed over at once
SHORT_S = 60.0  # gradings with a higher limit travel alone
START_S = 120.0  # a worker has to say that it runs by then
LOWEST = 19  # niceness: at most 1.5 % of a core that somebody else wants
STOP_S = 3.0  # workers that are asked to end are killed after that

Grade = Callable[[Problem, str], Verdict]


@dataclass
class _Ungraded:
    key: Any
    payload: bytes  # (grade, problem, text), pickled
    timeout_s: float
    deaths: int = 0  # workers that died over it
    alone: bool = False  # the clock ended it: it is tried again by the worker for those


@dataclass
class _Worker:
    process: Any
    connection: Connection
    jobs: deque[_Ungraded] = field(default_factory=deque)  # the first one is being graded
    since: float = 0.0  # when it began; when the worker was started, before it runs
    running: bool = False
    alone: bool = False  # takes only gradings that are tried again alone


class Exchange:
    """Where a caller leaves gradings and finds verdicts, and a thread finds gradings and leaves verdicts."""

    def __init__(self, room: int) -> None:
        self.changed = threading.Condition()  # hold it while you touch `queue`
        self.queue: deque[Any] = deque()
        self.pending = 0  # gradings that were submitted and have no verdict yet
        self._room = room
        self._done: deque[tuple[Any, Verdict]] = deque()
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

    def completed(self, block: bool) -> Iterator[tuple[Any, Verdict]]:
        """Keys and verdicts that are ready; with `block`, at least one as long as any is pending."""
        with self.changed:
            if block:
                self.changed.wait_for(lambda: self._done or not self.pending or self._failure)
            if self._failure:
                raise self._failure
            ready = list(self._done)
            self._done.clear()
        yield from ready

    def finish(self, key: Any, verdict: Verdict) -> None:
        """Leave a verdict."""
        with self.changed:
            self._done.append((key, verdict))
            self.pending -= 1
            self.changed.notify_all()

    def fail(self, error: Exception) -> None:
        """Let every caller see `error`, unless another came first."""
        with self.changed:
            self._failure = self._failure or error
            self.changed.notify_all()


class GradingPool:
    """Worker processes that grade; verdicts come back in the order in which they are ready.

    Use as a context manager. `grade` is a plain top-level function: it travels by name. A grading over its
    limit, or one whose worker dies twice, gets a verdict with the reason grader_error; the worker is replaced
    and nothing else is lost. A program that the clock ended is tried again, one at a time.
    """

    def __init__(self, workers: int, *, symbolic: bool = True) -> None:
        self._count = max(1, workers)
        self._symbolic = symbolic
        self._context = multiprocessing.get_context("spawn")
        self._exchange = Exchange(self._count * WAITING_PER_WORKER)
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

    def has_room(self) -> bool:
        """Whether `submit` would take a grading without waiting."""
        return self._exchange.has_room()

    def submit(self, key: Any, grade: Grade, problem: Problem, text: str, timeout_s: float) -> None:
        """Queue one grading; waits while too many are queued."""
        self._exchange.submit(_Ungraded(key, bytes(ForkingPickler.dumps((grade, problem, text))), timeout_s))
        self._wake()

    def completed(self, block: bool) -> Iterator[tuple[Any, Verdict]]:
        """Keys and verdicts that are ready; with `block`, at least one as long as any is pending."""
        return self._exchange.completed(block)

    @property
    def pending(self) -> int:
        """How many gradings were submitted and have no verdict yet."""
        return self._exchange.pending

    # -- in the thread

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # the pool was closed meanwhile
            if not self._awake.poll(0):
                self._waker.send_bytes(b"!")

    def _serve(self) -> None:
        try:
            while not self._stopping:
                self._hand_out()
                self._listen()
        finally:
            failed = "the thread that hands out gradings has ended; see its traceback above"
            self._exchange.fail(RuntimeError(failed))

    def _hand_out(self) -> None:
        """Give queued gradings to workers with nothing to do; start workers as long as there is need."""
        with self._exchange.changed:
            usual = [worker for worker in self._workers if not worker.alone]
            idle = [worker for worker in usual if not worker.jobs]
            wanted = min(self._count - len(usual), max(0, len(self._exchange.queue) - len(idle)))
        idle += [self._start() for _ in range(wanted)]
        for worker in idle:
            jobs = self._next_jobs()
            if not jobs:
                break
            self._hand(worker, jobs)
        if self._again:
            lone = next((worker for worker in self._workers if worker.alone), None)
            if lone is None:
                lone = self._start(alone=True)
            if not lone.jobs:
                self._hand(lone, [self._again.popleft()])

    def _hand(self, worker: _Worker, jobs: list[_Ungraded]) -> None:
        worker.jobs.extend(jobs)
        if worker.running:
            worker.since = time.monotonic()
        try:
            worker.connection.send([job.payload for job in jobs])
        except OSError:  # it died while idle: no grading is to blame
            self._replace(worker, blame=False)

    def _next_jobs(self) -> list[_Ungraded]:
        with self._exchange.changed:
            jobs: list[_Ungraded] = []
            most = max(1, min(BATCH, len(self._exchange.queue) // (2 * self._count)))
            while self._exchange.queue and len(jobs) < most:
                if jobs and (self._exchange.queue[0].timeout_s > SHORT_S or self._exchange.queue[0].deaths):
                    break
                jobs.append(self._exchange.queue.popleft())
                if jobs[-1].timeout_s > SHORT_S or jobs[-1].deaths:
                    break
            return jobs

    def _start(self, *, alone: bool = False) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, self._symbolic, alone), name="grader")
        process.start()
        theirs.close()
        self._workers.append(_Worker(process, ours, since=time.monotonic(), alone=alone))
        return self._workers[-1]

    def _listen(self) -> None:
        """Wait for verdicts, deaths, new gradings or the next time limit."""
        deadlines = [deadline for worker in self._workers if (deadline := _deadline(worker)) is not None]
        rest = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
        by_connection: dict[Any, _Worker] = {worker.connection: worker for worker in self._workers}
        for ready in wait([self._awake, *by_connection], rest):
            if ready is self._awake:
                self._awake.recv_bytes()
            else:
                self._receive(by_connection[ready])
        now = time.monotonic()
        for worker in list(self._workers):
            deadline = _deadline(worker)
            if deadline is not None and now >= deadline and not worker.connection.poll(0):
                self._time_out(worker)

    def _receive(self, worker: _Worker) -> None:
        try:
            verdict = worker.connection.recv()
        except (EOFError, OSError):
            self._replace(worker, blame=True)
            return
        worker.since = time.monotonic()
        if verdict is None:  # the worker runs
            worker.running = True
            return
        job = worker.jobs.popleft()
        if verdict.reason == "timeout" and verdict.cause == BY_THE_CLOCK and not job.alone:
            job.alone, job.deaths = True, 0
            self._again.append(job)
        else:
            self._exchange.finish(job.key, verdict)

    def _time_out(self, worker: _Worker) -> None:
        if worker.running:
            job = worker.jobs.popleft()
            self._exchange.finish(job.key, _failure(f"over {job.timeout_s:g} s"))
        self._replace(worker, blame=not worker.running)

    def _replace(self, worker: _Worker, *, blame: bool) -> None:
        """End a worker; what it had is queued again, but for a grading that two workers died over."""
        _kill(worker)
        self._workers.remove(worker)
        if blame and worker.jobs:
            job = worker.jobs[0]
            job.deaths += 1
            if job.deaths > 1:
                worker.jobs.popleft()
                why = f"the worker died twice (exit status {worker.process.exitcode}), see standard error"
                self._exchange.finish(job.key, _failure(why))
        with self._exchange.changed:
            if not self._stopping:
                (self._again if worker.alone else self._exchange.queue).extendleft(reversed(worker.jobs))


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


def _work(connection: Connection, symbolic: bool, alone: bool) -> None:
    """Grade what comes until the parent says stop or is gone."""
    _yield(to_engine=not alone)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    threading.Thread(target=_end_with_parent, daemon=True).start()
    symbolic_engine.use(symbolic)
    with contextlib.suppress(BrokenPipeError):  # the parent is gone
        connection.send(None)
        while (payloads := _received(connection)) is not None:
            for payload in payloads:
                # A fault of a grader ends this worker with its traceback; after a second try the parent gives
                # the sample the reason grader_error.
                grade, problem, text = ForkingPickler.loads(payload)
                connection.send(grade(problem, text))


def _yield(*, to_engine: bool) -> None:
    """Be the first to go where memory is short and, unless an end by the clock is to be looked into, the last
    to get a core: engines run beside graders. What graders start, programs among it, is like them."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")
    if to_engine:
        os.nice(LOWEST)


def _received(connection: Connection) -> list[bytes] | None:
    """The next gradings; None when there are no more, or no parent."""
    try:
        return connection.recv()
    except (EOFError, OSError):
        return None


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
