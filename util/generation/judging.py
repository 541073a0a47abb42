"""How do samples of a run get their verdicts while an engine works, and afterwards?

`Grading.offer` takes a new sample and never waits; `grade_rest` grades what is left in the folder.
`grade_ungraded` does that where only the folder is given. In either case graders get places and read the
samples themselves: what this process does for a sample is a small part of what they do.
"""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from util.data.rows import open_rows, problems
from util.errors import UserError
from util.generation.order import OnProgress
from util.grading.cluster import ClusterGradingPool
from util.grading.code import grader, limits_of, longest_s
from util.grading.code.suites import carry_tests
from util.grading.judged import is_of_judge
from util.grading.pool import GradingPool
from util.grading.sandbox import Isolation, Limits, require_isolation
from util.machines.cores import usable_cores
from util.machines.versions import made_with
from util.records import (
    Key,
    Problem,
    Record,
    Sample,
    TestSuite,
    Verdict,
    as_finished,
    ending,
    worth_another_try,
)
from util.results.counting import OUTCOMES, Counted, counted
from util.runs.folder import Run, read_run_json, verdict_line
from util.runs.journal import file_number, read_lines
from util.runs.lines import PROBLEMS
from util.runs.reader import RecordPlace, RecordPlaces, RunReader, StoredProblems, text_digest
from util.settings import values_of
from util.task import Task
from util.terminal import number_of, say

LONG_S = 600.0  # people are told beforehand what may take longer
TOGETHER_S = 1.0  # a grader that has so many samples at once gives back those it has not begun by then
LAST = 64  # samples per worker that are handed out one by one, so that all workers end together
OnCounted = Callable[[Counted], None]


class ToGrade(NamedTuple):
    """Samples to grade: where they lie, and their problem's tests where problems.jsonl holds no reference."""

    places: RecordPlaces
    suite: TestSuite | None


class Graded(NamedTuple):
    """What comes of one sample. A tuple of few parts: the parent takes up hundreds of thousands."""

    line: bytes  # of verdicts.jsonl; empty: the sample cannot be judged, as its reference is not known
    counted: Counted
    worth_another_try: bool

    @property
    def key(self) -> Key:
        return self.counted[:3]

    @property
    def is_correct(self) -> bool:
        return OUTCOMES[self.counted.outcome] == "correct"

    @property
    def verdict(self) -> Verdict | None:
        """As much of the verdict as decides what is asked next."""
        return Verdict(self.is_correct, self.counted.reason) if self.line else None


class Gradings(NamedTuple):
    """What a grader sends back."""

    results: list[Graded | UserError]  # of the first samples, in their order: for others there was no time
    by_the_clock: bool


class Judge:
    """Grades the samples of a run: reads each where it lies, in the process that grades it."""

    def __init__(self, folder: Path, grade: Callable[[Problem, str], Verdict]) -> None:
        self._folder = folder
        self._grade = grade
        self._reader: RunReader | None = None  # opened in the process that reads

    def __call__(self, job: ToGrade) -> Gradings:
        return judged(self._grade, map(self._record, job.places), job.suite)

    def carried(self, job: ToGrade) -> tuple[str, tuple[list[Record], TestSuite | None]]:
        """What a machine that sees neither the run nor its tests has to be given, with the problem's id."""
        records = [self._record(place) for place in job.places]
        return records[0].sample.problem_id, (records, None if job.suite is None else _carried(job.suite))

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def _record(self, place: RecordPlace) -> Record:
        if self._reader is None:
            self._reader = RunReader(self._folder)
        return self._reader.at(place)


class CarriedJudge:
    """Grades on a machine that does not see the run."""

    def __init__(self, grade: Callable[[Problem, str], Verdict]) -> None:
        self._grade = grade

    def __call__(self, job: tuple[Sequence[Record], TestSuite | None]) -> Gradings:
        return judged(self._grade, iter(job[0]), job[1])


@lru_cache(maxsize=1)  # one object for all samples of a problem, so that its tests travel once a batch
def _carried(suite: TestSuite) -> TestSuite:
    return carry_tests(suite)


def judged(
    grade: Callable[[Problem, str], Verdict], records: Iterator[Record], suite: TestSuite | None
) -> Gradings:
    """Grade the texts of records, as many as there is time for."""
    results: list[Graded | UserError] = []
    by_the_clock, end = False, time.monotonic() + TOGETHER_S
    while not results or time.monotonic() < end:
        try:
            record = next(records)
        except StopIteration:
            break
        except UserError as error:  # a damaged line
            results.append(error)
            break
        verdict = _verdict(grade, record, suite)
        by_the_clock |= verdict is not None and verdict.by_the_clock
        results.append(graded(record, verdict))
    return Gradings(results, by_the_clock)


def _verdict(
    grade: Callable[[Problem, str], Verdict], record: Record, suite: TestSuite | None
) -> Verdict | None:
    sample, reference = record.sample, suite if record.answer is None else record.answer
    if reference is None:
        return None
    if sample.finish_reason == "prompt_too_long":
        return Verdict(False, "truncated", detail=ending(sample.finish_reason).cut_off)
    problem = Problem(sample.problem_id, record.question, reference, record.choices, record.about)
    return as_finished(grade(problem, record.graded_text), sample.finish_reason)


def graded(record: Record, verdict: Verdict | None) -> Graded:
    """What follows from a verdict on today's text of a record."""
    return Graded(
        line=b""
        if verdict is None
        else verdict_line(record.sample.key, text_digest(record.graded_text), verdict),
        counted=counted(replace(record, verdict=verdict)),
        worth_another_try=verdict is not None and worth_another_try(verdict),
    )


@dataclass(frozen=True)
class Rest:
    """What is left to grade of a run; `count` is with what is being graded."""

    places: RecordPlaces
    count: int
    tried_before: int = 0  # of these, samples whose last grading failed or had no time
    beyond: int = 0  # samples of the folder that were not looked at

    def about_earlier_tries(self) -> str:
        """How many samples are judged again, for people; "" where none is."""
        if not self.tried_before:
            return ""
        samples = number_of(self.tried_before, "sample is", "samples are")
        return f"{samples} judged again: the grader failed or had no time when it was last asked"


class Grading:
    """Hands out the places of a run's samples to graders and writes the verdicts down as they come."""

    def __init__(
        self,
        run: Run,
        pool: GradingPool | ClusterGradingPool,
        references: dict[str, TestSuite],
        *,
        timeout_s: float,
    ) -> None:
        self._run = run
        self._pool = pool
        self._references = references
        self._timeout_s = timeout_s  # of one sample
        self._reader = RunReader(run.folder)
        self._problems = StoredProblems(run.folder)
        # Samples are known by their offset.
        self._waiting: deque[RecordPlaces] = deque()  # those for which the pool had no room
        self._in_flight: dict[int, int] = {}  # sample -> its problem
        self._tried: set[int] = set()  # by this command, and worth another try by a later one
        self.without_problem = 0  # samples whose problem has no reference any more
        self.judged = self.correct = 0  # by this command

    def offer(self, sample: Sample, offset: int) -> None:
        """Grade a new sample, which lies at `offset` of its file, as soon as there is room; never waits."""
        self._waiting.append(RecordPlaces((offset, self._problems.offset(sample.problem_id), -1)))
        self._fill()

    def collect(self, *, block: bool) -> list[Graded]:
        """What has been graded since the last call, and is written down now.

        With `block`, waits for at least one if any is due. Raises UserError when a line is damaged.
        """
        self._fill()
        found: list[Graded] = []
        refused = None
        for places, gradings in self._pool.completed(block=block):
            results = self._instead(places, gradings) if isinstance(gradings, Verdict) else gradings.results
            for place in places:
                del self._in_flight[place.sample]
            for place, one in zip(places, results, strict=False):
                if isinstance(one, UserError):
                    refused = one
                    continue
                if one.worth_another_try:
                    self._tried.add(place.sample)
                self.without_problem += not one.line
                found.append(one)
            self._waiting.extend(places.part(left, 1) for left in range(len(results), len(places)))
        # Where a judge decides, these are the wrong ones alone: what they say so far is said by nobody.
        by_rules = [one.counted for one in found if not is_of_judge(one.counted.grader)]
        self.judged += sum(OUTCOMES[one.outcome] != "not_judged" for one in by_rules)
        self.correct += sum(one.is_correct for one in found)
        if lines := b"".join(one.line for one in found):
            self._run.add_verdict_lines(lines)
        if refused is not None:
            raise refused
        self._fill()
        return found

    def _instead(self, places: RecordPlaces, verdict: Verdict) -> list[Graded]:
        """What follows where the pool says a verdict of its own, as there was no grader to say it: of several
        samples nothing, as it is not known which is to blame, and each is graded by itself."""
        return [graded(self._reader.at(place), verdict) for place in places] if len(places) == 1 else []

    def cancel(self, error: Exception) -> None:
        """Let whoever waits for verdicts, in another thread, see `error` at once."""
        self._pool.fail(error)

    def so_far(self) -> str:
        """The accuracy of what this command has graded, for people; "" before the first verdict."""
        if not self.judged:
            return ""
        return f"{100 * self.correct / self.judged:.1f} % of {self.judged:,} judged"

    def find_rest(
        self,
        on_counted: OnCounted = lambda one: None,
        *,
        again: bool = False,
        below: int | None = None,
    ) -> Rest:
        """What is left to grade: the samples of the folder that have no verdict on their text of today, and
        those on which the grader failed or had no time, unless this command has tried them. One of several
        jobs looks at its own samples alone.

        With `again` it is all samples. The new verdicts are further lines. `on_counted` gets the others. With
        `below`, samples of that index and larger ones are left as they are.
        """
        self._waiting.clear()  # they are in the folder
        places = RecordPlaces()
        tried_before = seen = 0
        with RunReader(self._run.folder) as reader:
            for line in reader.lines(below=below):
                seen += 1
                if self._run.number and file_number(line.place.sample) != self._run.number:
                    continue
                if line.place.sample in self._in_flight:
                    continue  # its verdict comes in any case
                if again or line.verdict < 0:
                    places.append(line.place)
                    continue
                record = reader.record(line)
                verdict, is_tried = record.verdict, line.place.sample in self._tried
                if verdict is not None and (is_tried or not worth_another_try(verdict)):
                    on_counted(counted(record))
                    continue
                places.append(line.place)
                tried_before += verdict is not None
        beyond = 0 if below is None else self._run.count() - seen
        return Rest(places, len(places) + len(self._in_flight), tried_before, beyond)

    def grade_rest(
        self,
        on_progress: OnProgress = lambda tokens: None,
        on_counted: OnCounted = lambda one: None,
        *,
        rest: Rest | None = None,
    ) -> None:
        """Grade what `find_rest` found, or finds now, and wait for all.

        `on_counted` gets what was graded.
        """
        rest = rest or self.find_rest(on_counted)
        if told := self._about_time(rest):
            say(told)

        def collect(*, block: bool) -> None:
            for one in self.collect(block=block):
                on_counted(one.counted)
                on_progress(0)

        for places in self._together(rest.places):
            while not self._pool.has_room():
                collect(block=True)
            self._submit(places)
        while self._in_flight:
            collect(block=True)

    def _about_time(self, rest: Rest) -> str:
        """By when programs are graded at the latest, for people; "" where that is soon or nobody knows."""
        if not self._references:
            return ""
        limits, time_of_row = recorded_limits(self._run.info)
        problems = Counter(place.problem for place in rest.places) + Counter(self._in_flight.values())
        total = longest = 0.0
        for problem, samples in problems.items():
            suite = self._references.get(self._reader.problem_line(problem)["id"])
            one = None if suite is None else longest_s(suite, limits, time_of_row=time_of_row)
            if one is None:
                return ""
            total, longest = total + one * samples, max(longest, one)
        at_most_s = total / self._pool.workers + longest
        if at_most_s < LONG_S:
            return ""
        time = f"{at_most_s / 60:.0f} minutes" if at_most_s < 7200 else f"{at_most_s / 3600:,.0f} hours"
        return (
            f"grading {number_of(rest.count, 'program')} takes at most {time} on {self._pool.workers} cores "
            "that nothing else needs, which it would if each of them used up the time of all its tests "
            "(--time-limit)"
        )

    def close(self) -> None:
        self._problems.close()
        self._reader.close()

    def _fill(self) -> None:
        while self._waiting and self._pool.has_room():
            self._submit(self._waiting.popleft())

    def _together(self, places: RecordPlaces) -> Iterator[RecordPlaces]:
        """The places as they are handed out: many at once, as each may take less than handing it out; the
        last ones, and programs, one by one."""
        begin, most = 0, 1 if self._references else self._pool.together
        while begin < len(places):
            number = max(1, min(most, (len(places) - begin) // (LAST * self._pool.workers)))
            yield places.part(begin, number)
            begin += number

    def _submit(self, places: RecordPlaces) -> None:
        suite = None
        for place in places:
            self._in_flight[place.sample] = place.problem
            if self._references:
                suite = self._references.get(self._reader.problem_line(place.problem)["id"])
        self._pool.submit(places, ToGrade(places, suite), self._timeout_s)


def grade_as_recorded(task: Task, info: dict) -> Callable[[Problem, str], Verdict]:
    """The task's grader as a run.json describes it: programs under the limits of that run."""
    if not task.is_code:
        return task.grade
    values = values_of(info)
    limits, time_of_row = recorded_limits(info)
    return grader(
        compare=values["compare"], all_tests=values["all_tests"], limits=limits, time_of_row=time_of_row
    )


def recorded_limits(info: dict) -> tuple[Limits, bool]:
    """What programs may use as a run.json says, and whether their rows say how much time."""
    values = values_of(info)
    return limits_of(values["time_limit"], values["memory_limit"]), values["time_limit"] == "row"


def check_isolation(wanted: str) -> Isolation:
    """How programs are isolated here; says what is missing. Raises UserError where it is less than wanted."""
    found = require_isolation(wanted)
    if warning := found.warning():
        say(warning)
    return found


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
    if task.ask_judge is not None:
        raise UserError(
            f"{left} samples of {folder} have no verdict, and a judge has to be asked: do that with "
            "inference_and_check.py --check --judge openai/NAME"
        )
    info = read_run_json(folder)
    values = values_of(info)
    if task.is_code:
        check_isolation(values["require_isolation"])
    references = references_of(folder, task, info, data_dir)
    with Run(folder, settings=info["settings"], made_with=made_with()) as run:
        judge = Judge(folder, grade_as_recorded(task, info))
        with GradingPool(usable_cores(), judge, symbolic=values["symbolic"]) as pool:
            with closing(Grading(run, pool, references, timeout_s=task.grade_timeout_s)) as grading:
                grading.grade_rest(on_progress)
            return grading.without_problem


def references_of(folder: Path, task: Task, info: dict, data_dir: Path | None) -> dict[str, TestSuite]:
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
