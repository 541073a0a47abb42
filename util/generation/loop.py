"""How are missing samples asked of an engine and graded as they arrive?

Call `generate` with jobs: it is the only loop that asks an engine for samples. Which ones are
missing is either known before (n of each problem) or follows from the verdicts (`Rounds`), where an engine
that says how much it computes at a time is asked ahead of them rather than left half empty.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

from util.engines.options import Engine
from util.generation.judging import Grading
from util.generation.order import Plan, Prompt
from util.generation.rounds import Rounds, sample_seed, samples_at
from util.records import Completion, Failure, Key, Problem, Request, Sample, TestSuite
from util.runs.batches import RunPlace
from util.runs.folder import Run
from util.runs.reader import StoredProblems, read_records
from util.runs.shards import Groups


@dataclass
class Asked:
    """The problems of this command: ids in order, and references that are no text (test suites)."""

    ids: list[str] = field(default_factory=list)
    references: dict[str, TestSuite] = field(default_factory=dict)


@dataclass
class Outcome:
    """What came of the requests of this command."""

    generated: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    asked_ahead: int = 0  # of all requests, those that verdicts to come might have made unnecessary
    failed: int = 0
    failure: str = ""  # the last failure's message
    asked_at: float = 0.0  # when the first request went out, on a clock of its own
    seconds: float = 0.0  # from then to the last answer

    def add(self, sample: Sample) -> None:
        self.generated += 1
        self.prompt_tokens += sample.prompt_tokens
        self.completion_tokens += sample.completion_tokens
        self.seconds = time.monotonic() - self.asked_at


@dataclass
class Job:
    """What one run still wants from an engine."""

    run: Run
    asked: Asked
    plan: Plan
    grading: Grading | None
    rounds: Rounds | None = None  # where verdicts decide what is asked; needs `grading`
    groups: Groups | None = None  # where other jobs work on the same run
    outcome: Outcome = field(default_factory=Outcome)
    under_way: int = 0  # requests handed to the engine that have no answer yet
    all_asked: bool = False


OnSample = Callable[[Job, int], None]  # called with the number of completion tokens of each finished sample


@dataclass(frozen=True)
class _JobRequest(Request):
    """A request that knows which job it belongs to."""

    job: Job = field(kw_only=True)


def place_of(request: Request) -> RunPlace:
    """The run that a request is for, as a place of batches."""
    assert isinstance(request, _JobRequest)
    return RunPlace(request.job.run.folder)


def write_problems(run: Run, problems: Iterable[Problem], prompt: Prompt, model: str) -> Asked:
    """Write a line for each problem and remember which ones this command is about."""
    asked = Asked()
    for problem in problems:
        run.add_problem(problem, prompt(problem, model))
        asked.ids.append(problem.id)
        if isinstance(problem.reference, TestSuite):
            asked.references[problem.id] = problem.reference
    run.sync_problems()
    return asked


def missing_count(run: Run, asked: Asked, plan: Plan) -> int:
    return sum(1 for _ in _missing(run, asked.ids, plan))


def lease_groups(run: Run, asked: Asked, plan: Plan) -> Groups:
    """What one of several jobs is to ask, which all ask for the same."""
    assert run.presence is not None
    return Groups(
        run.presence,
        asked.ids,
        samples=sum(samples_at(temperature, plan.n) for temperature in plan.temperatures),
        asked=f"{plan.n} {sorted(plan.temperatures)}",
        is_missing=lambda ids: next(_missing(run, ids, plan), None) is not None,
    )


def open_rounds(run: Run, asked: Asked, plan: Plan) -> Rounds:
    """What the plan's stopping rule wants of the run, after the verdicts that are there."""
    names = ((problem_id, temperature) for problem_id in asked.ids for temperature in plan.temperatures)
    assert plan.stopping is not None, "without a rule all samples are asked"
    rounds = Rounds(names, n=plan.n, rule=plan.stopping, has=run.has)
    ids = set(asked.ids)
    for record in read_records(run.folder):
        if record.sample.problem_id in ids and record.sample.temperature in plan.temperatures:
            rounds.note_earlier(record.sample.key, record.verdict)
    return rounds


def generate(
    jobs: Iterable[Job | None], *, engine: Engine, on_sample: OnSample = lambda job, tokens: None
) -> Iterator[Job]:
    """Ask for every missing sample of the jobs, and yield each job when all its requests are answered.

    The requests of a job follow those of the one before without a gap, so the engine stays full while the
    last answers of a job come in; None among `jobs` means that the next one is not ready yet. Each sample is
    in its run's journal before the next is looked at, and goes to `grading`, which never makes the engine
    wait.
    """
    finished: deque[Job] = deque()
    for request, result in engine.generate(_chained(jobs, finished, engine)):
        assert isinstance(request, _JobRequest)  # engines give back what they were given
        job = request.job
        _take(job, request, result, on_sample)
        job.under_way -= 1
        if job.all_asked and not job.under_way:
            finished.append(job)
        while finished:
            yield finished.popleft()
    yield from finished


def _take(job: Job, request: Request, result: Completion | Failure, on_sample: OnSample) -> None:
    if job.groups is None:
        _keep(job, request, result, on_sample)
        return
    is_ours = job.groups.holds(request.problem_id)  # otherwise another job has been asked for it since
    if is_ours:
        _keep(job, request, result, on_sample)
    job.groups.answered(request.problem_id, is_kept=is_ours and not isinstance(result, Failure))


def _keep(job: Job, request: Request, result: Completion | Failure, on_sample: OnSample) -> None:
    if isinstance(result, Failure):
        job.outcome.failed += 1
        job.outcome.failure = result.message
        if job.rounds is not None:
            job.rounds.judged(request.key, None)
        return
    sample = Sample(*request.key, **vars(result))
    offset = job.run.add_sample(sample)
    job.outcome.add(sample)
    if job.rounds is not None and sample.finish_reason == "prompt_too_long":
        job.rounds.give_up(sample.key)
    if job.grading is not None:
        job.grading.offer(sample, offset)
        _collect_verdicts(job.grading, job.rounds)
    on_sample(job, sample.completion_tokens)


def _collect_verdicts(grading: Grading, rounds: Rounds | None) -> None:
    for one in grading.collect(block=False):
        if rounds is not None:
            rounds.judged(one.key, one.verdict)


def _chained(
    jobs: Iterable[Job | None], finished: deque[Job], engine: Engine
) -> Iterator[_JobRequest | None]:
    """The requests of all jobs; a job whose answers have all come by the time its last request was asked
    for goes to `finished`."""
    begun: list[Job] = []
    for job in jobs:
        if job is None:
            yield None
            continue
        begun.append(job)
        job.outcome.asked_at = time.monotonic()
        for request in _requests(job, partial(_has_empty_place, engine, begun)):
            job.under_way += request is not None
            yield request
        job.all_asked = True
        if not job.under_way:
            finished.append(job)


def _has_empty_place(engine: Engine, begun: Sequence[Job]) -> bool:
    """Whether the engine computes less at a time than it could, by what it says and how long answers were."""
    outcome, at_once = begun[-1].outcome, getattr(engine, "at_once", None)
    if at_once is None:
        return False
    tokens = begun[-1].plan.max_tokens
    if outcome.generated:
        tokens = (outcome.prompt_tokens + outcome.completion_tokens) // outcome.generated
    return sum(job.under_way for job in begun) < at_once(tokens)


def _missing(run: Run, ids: Iterable[str], plan: Plan) -> Iterator[Key]:
    """Keys of the samples still to ask; those of a problem come in a row, so its prompt is cached once."""
    for problem_id in ids:
        for temperature in plan.temperatures:
            for index in range(samples_at(temperature, plan.n)):
                if not run.has(problem_id, temperature, index):
                    yield problem_id, temperature, index


def _missing_of_groups(run: Run, groups: Groups, plan: Plan) -> Iterator[Key | None]:
    """As `_missing`, of the problems that are leased to this job; None while it is not known which."""
    for lease in groups.leased():
        if lease is None:
            yield None
            continue
        run.note_samples(lease.there)
        for key in _missing(run, lease.ids, plan):
            if groups.is_lost(lease):
                break
            groups.begin(key[0])
            yield key
        groups.all_asked(lease)


def _missing_by_rounds(
    grading: Grading, rounds: Rounds, outcome: Outcome, has_empty_place: Callable[[], bool]
) -> Iterator[Key | None]:
    """Keys of the samples that the verdicts so far call for, or most likely will; None while more verdicts
    have to come first."""
    while True:
        _collect_verdicts(grading, rounds)
        key = rounds.next()
        if key is None and not rounds.is_waiting:
            return
        if key is None and has_empty_place():
            key = rounds.next_ahead()
            outcome.asked_ahead += key is not None
        yield key


def _requests(job: Job, has_empty_place: Callable[[], bool]) -> Iterator[_JobRequest | None]:
    plan = job.plan
    system = [{"role": "system", "content": plan.system_prompt}] if plan.system_prompt else []
    begun = [{"role": "assistant", "content": plan.prefill}] if plan.prefill else []
    keys: Iterator[Key | None] = _missing(job.run, job.asked.ids, plan)
    if job.rounds is not None and job.grading is not None:
        keys = _missing_by_rounds(job.grading, job.rounds, job.outcome, has_empty_place)
    elif job.groups is not None:
        keys = _missing_of_groups(job.run, job.groups, plan)
    with closing(StoredProblems(job.run.folder)) as prompts:
        for key in keys:
            if key is None:
                yield None
                continue
            problem_id, temperature, index = key
            yield _JobRequest(
                problem_id=problem_id,
                messages=[*system, {"role": "user", "content": prompts.prompt(problem_id)}, *begun],
                temperature=temperature,
                index=index,
                seed=sample_seed(plan.seed, problem_id, temperature, index),
                max_tokens=plan.max_tokens,
                stop_loops=plan.ends_loops(temperature),
                job=job,
            )
