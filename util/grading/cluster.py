"""How do graders on other machines grade?

Call `ClusterGradingPool` in a `with` block, as you would a `GradingPool`. Each node has a pool like this
machine's: limits and deaths are treated alike. Nodes share no disk with this machine, so what a grading needs
is read here and travels with it. What carries gradings to the nodes and results back is given, as
`util.machines.replicas.Replicas`.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from util.errors import RunStopped, UserError
from util.grading.pool import Exchange, GradingPool, Pool
from util.machines.replicas import Died, Event, Ready, Replicas
from util.records import Failure, Verdict

GRADER = "cluster-1"
WAITING_PER_WORKER = 64  # gradings queued or running per worker, each with its text, before `submit` waits
SAY_S = 5.0  # a host with nothing to say says so after so long


@dataclass(frozen=True)
class GradingRequest:
    """One grading on its way to a node."""

    key: Any
    problem_id: str  # gradings of a problem go to the same node, where they share its tests
    job: Any
    timeout_s: float


class ClusterGradingPool(Pool):
    """The same as a GradingPool, on the nodes of a cluster. Use as a context manager.

    `read` turns a job into its problem's id and what travels to a node. Gradings of a node that is lost are
    done again elsewhere. Raises RunStopped when no node is left: the samples are kept.
    """

    together = 1  # gradings that a job should hold: each takes its text along

    def __init__(self, graders: Replicas, workers: int, read: Callable[[Any], tuple[str, Any]]) -> None:
        self._graders = graders
        self.workers = workers
        self._read = read
        self._exchange = Exchange(workers * WAITING_PER_WORKER)

    def __enter__(self) -> ClusterGradingPool:
        self._thread = threading.Thread(target=self._serve, name="cluster grading", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._graders.stop()
        self._thread.join()
        self._graders.close()

    def submit(self, key: Any, job: Any, timeout_s: float) -> None:
        """Queue one grading; waits while too many are queued."""
        self._exchange.submit(GradingRequest(key, *self._read(job), timeout_s))

    def _serve(self) -> None:
        try:
            for request, answer in self._graders.generate(self._requests()):
                if isinstance(answer, Failure):
                    answer = Verdict(False, "grader_error", detail=answer.message, grader=GRADER)
                self._exchange.finish([(request.key, answer)])
        except (RunStopped, UserError) as error:
            self._exchange.fail(error)
        finally:
            self._exchange.fail(RunStopped("the graders on the cluster have ended"))

    def _requests(self) -> Iterator[GradingRequest | None]:
        while True:
            yield self._exchange.queue.popleft() if self._exchange.queue else None


class GraderHost:
    """The graders of one node, in an actor: a pool of `workers` processes that do `work`."""

    def __init__(
        self, workers: int, work: Callable[[Any], Any], symbolic: bool, isolation: str | None
    ) -> None:
        self._workers = workers
        self._work = work
        self._symbolic = symbolic
        self._isolation = isolation  # the least under which programs may run; None: no programs are run
        self._pool: GradingPool | None = None
        self._told = threading.Event()

    def tell(self, requests: list[tuple[int, GradingRequest]]) -> None:
        assert self._pool is not None
        for number, asked in requests:
            self._pool.submit(number, asked.job, asked.timeout_s)
        self._told.set()

    def listen(self) -> list[Event]:
        if self._pool is None:
            return [self._begin()]
        self._told.clear()
        if not self._pool.pending:
            self._told.wait(SAY_S)
        return list[Event](self._pool.completed(block=True))

    def _begin(self) -> Event:
        about = f"node {socket.gethostname()}"
        if self._isolation is not None:
            from util.grading.sandbox import require_isolation

            try:
                found = require_isolation(self._isolation)
            except UserError as error:
                return Died(f"{about}: {error}", refused=True)
            about += f": {found.warning() or 'full isolation'}"
        self._pool = GradingPool(self._workers, self._work, symbolic=self._symbolic).__enter__()
        return Ready(self._workers * WAITING_PER_WORKER // 2, about)
