"""The one loop: ask an engine for the samples that are missing, and grade them as they arrive."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from util.engines import Engine
from util.grading.pool import GradingPool
from util.records import Completion, Failure, Problem, Request, Sample, Verdict
from util.runs import Run, StoredProblems, read_records, text_digest
from util.sampling import sample_seed, samples_at
from util.task import Task


@dataclass(frozen=True)
class Plan:
    """What is asked of each problem."""

    model: str
    temperatures: tuple[float, ...]
    n: int  # samples per problem and temperature
    max_tokens: int
    seed: int
    system_prompt: str | None = None


@dataclass
class Asked:
    """The problems of this command: ids in order, and references that are no text (test suites)."""

    ids: list[str] = field(default_factory=list)
    references: dict[str, object] = field(default_factory=dict)


@dataclass
class Outcome:
    """What came of the requests of this command."""

    generated: int = 0
    failed: int = 0
    failure: str = ""  # the last failure's message


OnProgress = Callable[[int], None]  # called with the number of completion tokens of each finished sample


Prompt = Callable[[Problem, str], str]  # (problem, model) -> the user message


@dataclass
class Job:
    """What one run still wants from an engine."""

    run: Run
    asked: Asked
    plan: Plan
    grading: Grading | None
    outcome: Outcome = field(default_factory=Outcome)
    under_way: int = 0  # requests handed to the engine that have no answer yet
    all_asked: bool = False


@dataclass(frozen=True)
class _JobRequest(Request):
    """A request that knows which job it belongs to; engines give back the object they were given."""

    job: Job


def write_problems(run: Run, problems: Iterable[Problem], prompt: Prompt, model: str) -> Asked:
    """Write a line for each problem and remember which ones this command is about."""
    asked = Asked()
    for problem in problems:
        run.add_problem(problem, prompt(problem, model))
        asked.ids.append(problem.id)
        if not isinstance(problem.reference, str):
            asked.references[problem.id] = problem.reference
    return asked


def missing_count(run: Run, asked: Asked, plan: Plan) -> int:
    return sum(1 for _ in _missing(run, asked, plan))


def generate(
    jobs: Iterable[Job | None], *, engine: Engine, on_progress: OnProgress = lambda tokens: None
) -> Iterator[Job]:
    """Ask for every missing sample of the jobs, and yield each job when all its requests are answered.

    The requests of a job follow those of the one before without a gap, so the engine stays full while the
    last answers of a job come in; None among `jobs` means that the next one is not ready yet. Each sample is
    in its run's journal before the next is looked at. Samples are offered to `grading` as they arrive; those
    it has no room for are left to `Grading.grade_rest`, so the engine never waits.
    """
    finished: deque[Job] = deque()
    for request, result in engine.generate(_chained(jobs, finished)):
        job = request.job
        _take(job, request, result, on_progress)
        job.under_way -= 1
        if job.all_asked and not job.under_way:
            finished.append(job)
        while finished:
            yield finished.popleft()
    yield from finished


def _take(job: Job, request: Request, result: Completion | Failure, on_progress: OnProgress) -> None:
    if isinstance(result, Failure):
        job.outcome.failed += 1
        job.outcome.failure = result.message
        return
    sample = _sample(request, result)
    job.run.add_sample(sample)
    job.outcome.generated += 1
    on_progress(sample.completion_tokens)
    if job.grading is not None:
        job.grading.offer(sample, sample.text)


def _chained(jobs: Iterable[Job | None], finished: deque[Job]) -> Iterator[_JobRequest | None]:
    """The requests of all jobs; a job whose answers have all come by the time its last request was asked
    for goes to `finished`."""
    for job in jobs:
        if job is None:
            yield None
            continue
        for request in _requests(job):
            job.under_way += 1
            yield request
        job.all_asked = True
        if not job.under_way:
            finished.append(job)


class Grading:
    """Grades samples of one run in a pool of processes and writes the verdicts down as they come."""

    def __init__(self, run: Run, task: Task, pool: GradingPool, references: dict[str, object]) -> None:
        self._run = run
        self._task = task
        self._pool = pool
        self._references = references
        self._problems = StoredProblems(run.folder)
        self._in_flight: dict[
            tuple[str, float, int], tuple[str, str]
        ] = {}  # key -> text's digest, finish reason
        self._on_progress: OnProgress = lambda tokens: None  # for each sample done in `grade_rest`
        self.without_problem = 0  # samples whose problem has no reference any more

    def offer(self, sample: Sample, text: str) -> None:
        """Grade the sample now if there is room; never waits."""
        self._write_verdicts(block=False)
        if self._pool.has_room():
            self._submit(sample, text)

    def grade_rest(self, on_progress: OnProgress = lambda tokens: None, *, again: bool = False) -> None:
        """Grade every sample of the folder that has no verdict on its text of today, and wait for all.

        With `again`, samples that have one are graded too; their new verdicts are further lines.
        """
        self._on_progress = on_progress
        offered = set(self._in_flight)  # their verdicts come while the records are read
        for record in read_records(self._run.folder):
            if (record.verdict is not None and not again) or record.sample.key in offered:
                continue
            while not self._pool.has_room():
                self._write_verdicts(block=True)
            text = record.sample.text if record.formatted is None else record.formatted
            self._submit(record.sample, text)
            self._write_verdicts(block=False)
        while self._in_flight:
            self._write_verdicts(block=True)

    def close(self) -> None:
        self._problems.close()

    def _submit(self, sample: Sample, text: str) -> None:
        problem = self._problem(sample.problem_id)
        if problem is None:
            self.without_problem += 1
            self._on_progress(0)
        elif sample.finish_reason == "prompt_too_long":
            verdict = Verdict(False, "truncated", detail="the prompt did not fit into the model's context")
            self._write(sample.key, text_digest(text), verdict)
        else:
            self._in_flight[sample.key] = (text_digest(text), sample.finish_reason)
            self._pool.submit(sample.key, self._task.grade, problem, text, self._task.grade_timeout_s)

    def _problem(self, problem_id: str) -> Problem | None:
        stored = self._problems.get(problem_id)
        if stored is None or stored.reference is not None:
            return stored
        reference = self._references.get(problem_id)
        return None if reference is None else replace(stored, reference=reference)

    def _write_verdicts(self, *, block: bool) -> None:
        for key, verdict in self._pool.completed(block=block):
            digest, finish_reason = self._in_flight.pop(key)
            if finish_reason == "length" and verdict.reason in ("no_answer", "no_code"):
                verdict = replace(verdict, reason="truncated")
            self._write(key, digest, verdict)

    def _write(self, key: tuple[str, float, int], digest: str, verdict: Verdict) -> None:
        self._run.add_verdict(key, digest, verdict)
        self._on_progress(0)


def ungraded_count(folder: Path) -> int:
    return sum(1 for record in read_records(folder) if record.verdict is None)


def _missing(run: Run, asked: Asked, plan: Plan) -> Iterator[tuple[str, float, int]]:
    """Keys of the samples still to ask; those of a problem come in a row, so its prompt is cached once."""
    for problem_id in asked.ids:
        for temperature in plan.temperatures:
            for index in range(samples_at(temperature, plan.n)):
                if not run.has(problem_id, temperature, index):
                    yield problem_id, temperature, index


def _requests(job: Job) -> Iterator[_JobRequest]:
    plan, prompts = job.plan, StoredProblems(job.run.folder)
    system = [{"role": "system", "content": plan.system_prompt}] if plan.system_prompt else []
    try:
        for problem_id, temperature, index in _missing(job.run, job.asked, plan):
            yield _JobRequest(
                problem_id=problem_id,
                messages=[*system, {"role": "user", "content": prompts.prompt(problem_id)}],
                temperature=temperature,
                index=index,
                seed=sample_seed(plan.seed, problem_id, temperature, index),
                max_tokens=plan.max_tokens,
                job=job,
            )
    finally:
        prompts.close()


def _sample(request: Request, completion: Completion) -> Sample:
    return Sample(
        problem_id=request.problem_id,
        temperature=request.temperature,
        index=request.index,
        text=completion.text,
        reasoning=completion.reasoning,
        finish_reason=completion.finish_reason,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
    )
