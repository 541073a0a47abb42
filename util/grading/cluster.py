"""How do graders on other machines grade? Each node has a pool like this machine's: limits and deaths are
treated alike.

What carries gradings to the nodes and verdicts back is given, as `util.replicas.Replicas`.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from util.errors import RunStopped, UserError
from util.grading.code.suites import carry_tests
from util.grading.pool import WAITING_PER_WORKER, Grade, GradingPool
from util.machines.replicas import Died, Event, Ready, Replicas
from util.records import Failure, Problem, TestSuite, Verdict

GRADER = "cluster-1"
SAY_S = 5.0  # a host with nothing to say says so after so long


@dataclass(frozen=True)
class GradingRequest:
    """One grading on its way to a node."""

    problem_id: str
    key: Any
    grade: Grade
    problem: Problem
    text: str
    timeout_s: float


class ClusterGradingPool:
    """The same as a GradingPool, on the nodes of a cluster. Use as a context manager.

    Gradings of a node that is lost are done again elsewhere. Raises RunStopped when no node is left: the
    samples are kept.
    """

    def __init__(self, graders: Replicas, workers: int) -> None:
        self._graders = graders
        self._room = workers * WAITING_PER_WORKER
        self._changed = threading.Condition()
        self._queue: deque[GradingRequest] = deque()
        self._done: deque[tuple[Any, Verdict]] = deque()
        self._failure: RunStopped | UserError | None = None
        self._last: Problem | None = None  # as it was given
        self._carried: Problem | None = None  # the same with its tests
        self.pending = 0  # gradings that were submitted and have no verdict yet

    def __enter__(self) -> ClusterGradingPool:
        self._thread = threading.Thread(target=self._serve, name="cluster grading", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._graders.stop()
        self._thread.join()
        self._graders.close()

    def has_room(self) -> bool:
        """Whether `submit` would take a grading without waiting."""
        return self.pending < self._room

    def submit(self, key: Any, grade: Grade, problem: Problem, text: str, timeout_s: float) -> None:
        """Queue one grading; waits while too many are queued."""
        request = GradingRequest(problem.id, key, grade, self._with_tests(problem), text, timeout_s)
        with self._changed:
            self._changed.wait_for(lambda: self.has_room() or self._failure)
            if self._failure:
                raise self._failure
            self.pending += 1
            self._queue.append(request)

    def completed(self, block: bool) -> Iterator[tuple[Any, Verdict]]:
        """Keys and verdicts that are ready; with `block`, at least one as long as any is pending."""
        with self._changed:
            if block:
                self._changed.wait_for(lambda: self._done or not self.pending or self._failure)
            if self._failure:
                raise self._failure
            ready = list(self._done)
            self._done.clear()
        yield from ready

    def _with_tests(self, problem: Problem) -> Problem:
        """The problem with its tests, which lie on this machine's disk; one object for all its samples, so
        that they travel once a batch."""
        if self._last is None or (self._last.id, self._last.reference) != (problem.id, problem.reference):
            self._last = self._carried = problem
            if isinstance(problem.reference, TestSuite):
                self._carried = replace(problem, reference=carry_tests(problem.reference))
        return self._carried

    def _serve(self) -> None:
        try:
            for request, answer in self._graders.generate(self._requests()):
                if isinstance(answer, Failure):
                    answer = Verdict(False, "grader_error", detail=answer.message, grader=GRADER)
                with self._changed:
                    self._done.append((request.key, answer))
                    self.pending -= 1
                    self._changed.notify_all()
        except (RunStopped, UserError) as error:
            self._failure = error
        finally:
            with self._changed:
                self._failure = self._failure or RunStopped("the graders on the cluster have ended")
                self._changed.notify_all()

    def _requests(self) -> Iterator[GradingRequest | None]:
        while True:
            yield self._queue.popleft() if self._queue else None


class GraderHost:
    """The graders of one node, in an actor: a pool of `workers` processes."""

    def __init__(self, workers: int, symbolic: bool, isolation: str | None) -> None:
        self._workers = workers
        self._symbolic = symbolic
        self._isolation = isolation  # the least under which programs may run; None: no programs are run
        self._pool: GradingPool | None = None
        self._told = threading.Event()

    def tell(self, requests: list[tuple[int, GradingRequest]]) -> None:
        for number, asked in requests:
            self._pool.submit(number, asked.grade, asked.problem, asked.text, asked.timeout_s)
        self._told.set()

    def listen(self) -> list[Event]:
        if self._pool is None:
            return [self._begin()]
        self._told.clear()
        if not self._pool.pending:
            self._told.wait(SAY_S)
        return list(self._pool.completed(block=True))

    def _begin(self) -> Event:
        about = f"node {socket.gethostname()}"
        if self._isolation is not None:
            from util.grading.sandbox import require_isolation

            try:
                found = require_isolation(self._isolation)
            except UserError as error:
                return Died(f"{about}: {error}", refused=True)
            about += f": {found.warning() or 'full isolation'}"
        self._pool = GradingPool(self._workers, symbolic=self._symbolic).__enter__()
        return Ready(self._workers * WAITING_PER_WORKER // 2, about)
