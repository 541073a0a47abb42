"""How are many gradings done at once, each with a hard time limit?"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from util.records import Problem, Verdict


class GradingPool:
    """Worker processes that grade; verdicts come back in order of completion."""

    def __init__(self, workers: int, *, symbolic: bool = True) -> None:
        self._workers, self._symbolic = workers, symbolic

    def __enter__(self) -> GradingPool:
        self._executor = ProcessPoolExecutor(self._workers, multiprocessing.get_context("spawn"))
        self._pending: dict[Future, Any] = {}
        return self

    def __exit__(self, *exception: object) -> None:
        self._executor.shutdown(cancel_futures=True)

    def has_room(self) -> bool:
        return len(self._pending) < 4 * self._workers

    def submit(
        self,
        key: Any,
        grade: Callable[[Problem, str], Verdict],
        problem: Problem,
        text: str,
        timeout_s: float,
    ) -> None:
        """Queue one grading; waits while the queue is full."""
        self._pending[self._executor.submit(grade, problem, text)] = key

    def completed(self, block: bool) -> Iterator[tuple[Any, Verdict]]:
        """Verdicts that are ready; with `block`, until everything submitted has come back."""
        while self._pending:
            done, _ = wait(self._pending, timeout=None if block else 0, return_when=FIRST_COMPLETED)
            if not done:
                return
            for future in done:
                key = self._pending.pop(future)
                try:
                    yield key, future.result()
                except BrokenProcessPool as error:
                    yield key, Verdict(False, "grader_error", detail=str(error))
