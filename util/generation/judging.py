"""How do samples of a run get their verdicts while an engine works, and afterwards?

`Grading.offer` takes a new sample and never waits; `grade_rest` grades what is left in the folder.
`grade_ungraded` does that where only the folder is given.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path

from util.data.rows import open_rows, problems
from util.errors import UserError
from util.generation.order import OnProgress
from util.generation.rounds import Key
from util.grading.cluster import ClusterGradingPool
from util.grading.pool import GradingPool
from util.machines.cores import usable_cores
from util.machines.versions import made_with
from util.records import Problem, Sample, TestSuite, Verdict, as_finished, worth_another_try
from util.runs.folder import Run, read_run_json
from util.runs.journal import read_lines
from util.runs.reader import PROBLEMS, RecordPlaces, RunReader, StoredProblems, text_digest
from util.task import Task


@dataclass(frozen=True)
class Rest:
    """What is left to grade of a run; `count` is with what is being graded."""

    places: RecordPlaces
    count: int
    tried_before: int = 0  # of these, samples whose last grading failed or had no time

    def about_earlier_tries(self) -> str:
        """How many samples are judged again, for people; "" where none is."""
        if not self.tried_before:
            return ""
        samples = "1 sample is" if self.tried_before == 1 else f"{self.tried_before} samples are"
        return f"{samples} judged again: the grader failed or had no time when it was last asked"


class Grading:
    """Grades samples of one run in a pool of processes and writes the verdicts down as they come."""

    def __init__(
        self, run: Run, task: Task, pool: GradingPool | ClusterGradingPool, references: dict[str, TestSuite]
    ) -> None:
        self._run = run
        self._task = task
        self._pool = pool
        self._references = references
        self._problems = StoredProblems(run.folder)
        self._in_flight: dict[Key, tuple[str, str]] = {}  # text's digest, finish reason
        self._ready: list[tuple[Key, Verdict | None]] = []  # those that needed no grader
        self._waiting: deque[int] = deque()  # offsets of new samples for which the pool had no room
        self._tried: set[Key] = set()  # by this command, and worth another try by a later one
        self.without_problem = 0  # samples whose problem has no reference any more

    def offer(self, sample: Sample, offset: int) -> None:
        """Grade a new sample, which lies at `offset` of its file, as soon as there is room; never waits."""
        if self._waiting or not self._pool.has_room():
            self._waiting.append(offset)
        else:
            self._submit(sample, sample.text)

    def collect(self, *, block: bool) -> list[tuple[Key, Verdict | None]]:
        """Verdicts that came since the last call; None for a sample that cannot be judged.

        They are written down. With `block`, waits for at least one if any is due.
        """
        while self._waiting and self._pool.has_room():
            sample = self._run.sample_at(self._waiting.popleft())
            self._submit(sample, sample.text)
        ready, self._ready = self._ready, []
        for key, verdict in self._pool.completed(block=block and not ready):
            digest, finish_reason = self._in_flight.pop(key)
            verdict = as_finished(verdict, finish_reason)
            self._write(key, digest, verdict)
            if worth_another_try(verdict):
                self._tried.add(key)
            ready.append((key, verdict))
        return ready

    def find_rest(self, *, again: bool = False) -> Rest:
        """What is left to grade: the samples of the folder that have no verdict on their text of today, and
        those on which the grader failed or had no time, unless this command has tried them.

        With `again` it is all samples. The new verdicts are further lines.
        """
        self._waiting.clear()  # they are in the folder
        offered = set(self._in_flight)  # their verdicts come in any case
        places = RecordPlaces()
        tried_before = 0
        with RunReader(self._run.folder) as reader:
            for place, record in reader:
                key, verdict = record.sample.key, record.verdict
                try_again = verdict is not None and worth_another_try(verdict) and key not in self._tried
                if (again or verdict is None or try_again) and key not in offered:
                    places.append(place)
                    tried_before += try_again and not again
        return Rest(places, len(places) + len(offered) + len(self._ready), tried_before)

    def grade_rest(self, on_progress: OnProgress = lambda tokens: None, *, rest: Rest | None = None) -> None:
        """Grade what `find_rest` found, or finds now, and wait for all."""
        rest = rest or self.find_rest()
        with RunReader(self._run.folder) as reader:
            for record in map(reader.at, rest.places):
                while not self._pool.has_room():
                    self._collect_rest(on_progress, block=True)
                self._submit(record.sample, record.graded_text)
                self._collect_rest(on_progress, block=False)
        while self._in_flight or self._ready:
            self._collect_rest(on_progress, block=True)

    def _collect_rest(self, on_progress: OnProgress, *, block: bool) -> None:
        for _ in self.collect(block=block):
            on_progress(0)

    def close(self) -> None:
        self._problems.close()

    def _submit(self, sample: Sample, text: str) -> None:
        problem = self._problem(sample.problem_id)
        if problem is None:
            self.without_problem += 1
            self._ready.append((sample.key, None))
        elif sample.finish_reason == "prompt_too_long":
            verdict = Verdict(False, "truncated", detail="the prompt did not fit into the model's context")
            self._write(sample.key, text_digest(text), verdict)
            self._ready.append((sample.key, verdict))
        else:
            self._in_flight[sample.key] = (text_digest(text), sample.finish_reason)
            self._pool.submit(sample.key, self._task.grade, problem, text, self._task.grade_timeout_s)

    def _problem(self, problem_id: str) -> Problem | None:
        stored = self._problems.get(problem_id)
        if stored is None or stored.reference is not None:
            return stored
        reference = self._references.get(problem_id)
        return None if reference is None else replace(stored, reference=reference)

    def _write(self, key: Key, digest: str, verdict: Verdict) -> None:
        self._run.add_verdict(key, digest, verdict)


def grade_ungraded(
    folder: Path,
    task: Task,
    *,
    left: int,
    data_dir: Path | None = None,
    on_progress: OnProgress = lambda tokens: None,
) -> int:
    """Grade the `left` samples of a run that have no verdict on today's text; returns how many still have
    none.

    Rows are read again only where problems.jsonl does not hold the references (test suites).
    """
    if not os.access(folder, os.W_OK):
        raise UserError(
            f"{left} samples of {folder} are not graded, and the folder cannot be written to: copy it to "
            "where you may write, or grade it there with inference_and_check.py --check"
        )
    info = read_run_json(folder)
    references = _references(folder, task, info, data_dir)
    with Run(folder, settings=info["settings"], made_with=made_with()) as run:
        with GradingPool(usable_cores()) as pool:
            grading = Grading(run, task, pool, references)
            try:
                grading.grade_rest(on_progress)
            finally:
                grading.close()
            return grading.without_problem


def _references(folder: Path, task: Task, info: dict, data_dir: Path | None) -> dict[str, TestSuite]:
    """References that are no text, by problem, from the rows that the run was made with."""
    wanted = {line["id"] for _, line in read_lines(folder / PROBLEMS) if line["answer"] is None}
    if not wanted:
        return {}
    settings = info["settings"]
    rows = open_rows(
        task.source,
        split=settings.get("split"),
        revision=info["dataset"].get("revision"),
        data_dir=data_dir or info.get("asked", {}).get("data_dir"),
    )
    chosen = {name: settings[name] for name in ("source", "start", "end") if settings.get(name) is not None}
    return {
        problem.id: problem.reference
        for problem in problems(task, rows, **chosen)
        if problem.id in wanted and isinstance(problem.reference, TestSuite)
    }
