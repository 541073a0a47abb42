"""How do several benchmarks share one engine so that it never waits for data or for grading?

While benchmark k generates, the problems of k + 1 are loaded in one thread and the rest of k - 1 is graded in
another. The requests of k + 1 follow those of k without a gap.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from util.data.background import begin
from util.engines.failures import about_failures
from util.engines.metered import MeteredEngine
from util.engines.options import Engine
from util.errors import DiskTrouble, RunStopped, UserError
from util.generation.benchmark import (
    Benchmark,
    Results,
    counts_line,
    open_benchmark,
    open_grading,
    results_of,
)
from util.generation.judging import Grading
from util.generation.loop import Job, Outcome, generate
from util.generation.model_judge import judge_rest
from util.generation.order import Order
from util.generation.tracking import Tracking, progress_of, result_of
from util.grading.judged import LABEL
from util.records import exact_number
from util.results.headline import Headline, about_alike, about_graders, summary_line
from util.runs.folder import find_run, read_run_json
from util.runs.journal import write_whole
from util.runs.reader import has_samples
from util.settings import BY_NAME, difference
from util.terminal import Progress, number_of, say

# Opens the judge's engine after answers of so many prompt and completion tokens; None: the budget is spent.
OpenJudge = Callable[[int, int], MeteredEngine | None]


LOADED_S = 1.0  # rows that are here, when a command ends; a download is left


class ResultFiles:
    """The short result file and the details beside it; both are replaced as wholes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.details = path.with_suffix(".details.json")

    def write(self, accuracies: dict, details: dict) -> None:
        write_whole(self.path, json.dumps(accuracies, ensure_ascii=False) + "\n")
        write_whole(self.details, json.dumps(details, ensure_ascii=False, indent=1) + "\n")


def check_orders(orders: list[Order], result_dir: Path, *, fresh: bool) -> None:
    """Raise UserError for what none of the orders can be begun with, before anything is loaded or written."""
    for order in orders:
        order.check()
        folder = find_run(result_dir, order.wanted(), fresh=fresh)
        if not (folder / "run.json").exists() or not has_samples(folder):
            continue
        kept = order.continuing(read_run_json(folder)["settings"])
        changed = difference(kept.options.sampling, order.options.sampling)
        if changed is not None:  # the engine, which all benchmarks share, samples in one way
            name, there, here = changed
            raise UserError(
                f"{folder} was started when {name} was {there!r} by default, now it is {here!r}: "
                f"give {BY_NAME[name].flag} as well"
            )


@dataclass
class _Part:
    """One benchmark on its way through the evaluation."""

    opened: Benchmark
    grading: Grading
    resources: ExitStack
    job: Job
    failure: str = ""


class _Cancelled(Exception):
    """The evaluation ends early; what is graded is kept."""


class Evaluation:
    """Runs the orders one after the other on one engine; a failure of one does not stop the others."""

    def __init__(
        self,
        orders: list[Order],
        result_dir: Path,
        files: ResultFiles,
        opening: Callable[[], MeteredEngine],  # starts the engine, once there is something to ask
        *,
        log: Path,
        fresh: bool = False,  # where settings differ, start another folder
        tracking: Tracking,
        open_judge: OpenJudge = lambda prompt_tokens, completion_tokens: None,
    ) -> None:
        self._tracking = tracking
        self._outcomes: list[Outcome] = []
        self._orders = orders
        self._in_batches = orders[0].options.batch is not None
        self._opening = opening
        self._open_judge = open_judge
        self._judge_engine: MeteredEngine | None = None
        self._for_judge: list[_Part] = []  # they wait until the engine of the answers has ended
        self._result_dir = result_dir
        self._files = files
        self._log = log
        self._fresh = fresh
        self.failures: dict[str, str] = {}  # benchmark -> why it is not complete
        self.status = 0  # of the command
        self._details: dict[str, dict] = {}
        self._found: dict[str, dict[str, Headline]] = {}  # benchmark -> temperature -> its result
        self._loading: list[Future[_Part | None]] = []  # the last one
        self._grader = ThreadPoolExecutor(1, thread_name_prefix="grade")
        self._endings: dict[str, Future[None]] = {}  # by benchmark
        self._gradings: list[Grading] = []
        self._opened = ExitStack()

    def __enter__(self) -> Evaluation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        wait(self._loading, None if kind is None else LOADED_S)
        if kind is not None:  # programs that run would be waited for
            for grading in self._gradings:
                grading.cancel(_Cancelled())
        self._grader.shutdown(wait=True, cancel_futures=kind is not None)
        self._opened.__exit__(kind, error, trace)

    def run(self) -> None:
        """Generate and grade everything; writes the result files after each benchmark."""
        parts = self._to_generate()
        first = self._load(parts).result()
        if first is not None:
            self._generate(first, parts)
        for ending in self._endings.values():
            ending.result()
        for part in self._for_judge:
            self._end(part)
        self._write()
        for name, found in self._found.items():
            self._tracking.result(result_of(name, found))
        self._say(f"\n{self._table()}")

    def accuracies(self) -> dict:
        """Benchmark -> accuracy, or temperature -> accuracy where several were asked; None: not complete."""
        found: dict[str, Any] = {}
        for order in self._orders:
            name, temperatures = order.task.name, order.plan.temperatures
            values = {exact_number(at): self._accuracy(name, exact_number(at)) for at in sorted(temperatures)}
            found[name] = values if len(values) > 1 else next(iter(values.values()))
        return found

    def _accuracy(self, name: str, temperature: str) -> float | None:
        found = self._found.get(name, {}).get(temperature)
        return found.avg.value if found is not None and found.complete and found.avg is not None else None

    def folders(self) -> list[Path]:
        """The run folders in which something is judged."""
        judged = (name for name, found in self._found.items() if any(one.judged for one in found.values()))
        return [Path(self._details[name]["run"]) for name in judged]

    def _table(self) -> str:
        """A line for each benchmark and temperature."""
        lines = [f"{'benchmark':<24}  {'avg':>5}  {'95 % interval':<13}  {'judged of asked':>15}"]
        for order in self._orders:
            name, temperatures = order.task.name, sorted(order.plan.temperatures)
            for temperature in map(exact_number, temperatures):
                label = name if len(temperatures) == 1 else f"{name} at {temperature}"
                found = self._found.get(name, {}).get(temperature)
                lines.append(f"{label:<24}  {_cells(found)}")
        judged = [order.task.name for order in self._orders if order.task.ask_judge is not None]
        return "\n".join([*lines, *([f"{', '.join(judged)}: {LABEL}"] if judged else [])])

    def _to_generate(self) -> Iterator[_Part]:
        """The benchmarks that have something to generate; of others, only grading and the report are left."""
        for order in self._orders:
            part = self._open(order)
            if part is not None and part.opened.missing():
                yield part
            elif part is not None:
                self._end_later(part)

    def _load(self, parts: Iterator[_Part]) -> Future[_Part | None]:
        """Begin to load the next one that has something to generate; None when there is none left."""
        self._loading = [begin(lambda: next(parts, None))]
        return self._loading[0]

    def _generate(self, first: _Part, parts: Iterator[_Part]) -> None:
        engine = self._opening()
        unfinished: list[_Part] = []
        try:
            if flag := first.opened.order.needs_begun():
                engine.check_goes_on(flag)
            with Progress(0, first.opened.order.task.name) as progress:

                def numbers() -> dict[str, float]:
                    gradings = {part.opened.order.task.name: part.grading for part in unfinished}
                    model = self._orders[0].plan.model
                    return progress_of(
                        self._outcomes,
                        model=model,
                        of=progress.total,
                        gradings=gradings,
                        in_batches=self._in_batches,
                    )

                def on_sample(job: Job, tokens: int) -> None:
                    self._tracking.progress(numbers)
                    part = next(part for part in unfinished if part.job is job)
                    progress.about(part.opened.order.task.name, part.grading.so_far)
                    progress.step(tokens)

                jobs = self._jobs(first, parts, engine, unfinished, progress)
                for job in generate(jobs, engine=engine, on_sample=on_sample):
                    part = next(part for part in unfinished if part.job is job)
                    unfinished.remove(part)
                    self._end_generation(part)
            if engine.exhausted:
                raise RunStopped(engine.exhausted)
        except RunStopped as error:
            self.status = error.status
            wait(self._loading)
            why, *commands = str(error).split("\n")
            if commands:  # by which the person has batches answered: said once
                self._say(str(error))
            why = why.rstrip(":")
            while unfinished:
                self._end_generation(unfinished.pop(0), why)
            names = [part.opened.order.task.name for part in self._for_judge]
            for order in self._orders:
                if order.task.name not in {*self.failures, *self._endings, *names}:
                    self._fail(order.task.name, f"not started: {why}")
        finally:
            engine.close()
            for part in unfinished:  # where a signal or a refusal ends the command
                part.opened.note_generation(part.job.outcome)

    def _jobs(
        self,
        first: _Part,
        parts: Iterator[_Part],
        engine: Engine,
        unfinished: list[_Part],
        progress: Progress,
    ) -> Iterator[Job | None]:
        part: _Part | None = first
        while part is not None:
            opened = part.opened
            opened.note_engine(engine)
            progress.expect(opened.missing())
            unfinished.append(part)
            self._outcomes.append(part.job.outcome)
            coming = self._load(parts)
            yield part.job
            while not coming.done() and not self._in_batches:  # batches are handed in all together
                yield None
            part = coming.result()

    def _end_generation(self, part: _Part, failure: str = "") -> None:
        outcome = part.job.outcome
        part.opened.note_generation(outcome)
        part.failure = failure
        if outcome.failed and not failure:
            part.failure = about_failures(outcome.failed, outcome.failure)
        self._end_later(part)

    def _end_later(self, part: _Part) -> None:
        """Grade what is left and report in the background, one benchmark at a time; where a judge grades,
        when the engine has ended."""
        if part.opened.order.task.ask_judge is not None:
            self._for_judge.append(part)
            return
        self._endings[part.opened.order.task.name] = self._grader.submit(self._end, part)

    def _end(self, part: _Part) -> None:
        try:
            with part.resources:
                self._grade_and_report(part)
        except _Cancelled:
            return
        self._write()

    def _grade_and_report(self, part: _Part) -> None:
        name = part.opened.order.task.name
        try:
            results = Results(part.opened)
            rest = part.grading.find_rest(results.add)
            if told := rest.about_earlier_tries():
                self._say(f"{name}: {told}")
            part.grading.grade_rest(on_counted=results.add, rest=rest)
            if (judge := part.opened.judge()) is not None:
                if not judge_rest(judge, part.opened.run, self._judge):
                    part.failure = part.failure or "not every answer has the judge's verdict"
                results = results_of(part.opened)
            self._report(part, results)
        except (UserError, RunStopped) as error:
            self._fail(name, error)

    def _report(self, part: _Part, results: Results) -> None:
        opened = part.opened
        name, info = opened.order.task.name, opened.run.info
        found = results.asked()
        info["summary"] = results.of_folder(found)
        opened.run.save_info()
        missing, without = opened.missing(), results.without_doubtful()
        self._details[name] = {
            "run": str(opened.run.folder),
            "model": opened.order.plan.model,
            "dataset": info["dataset"],
            "prompt": {key: info["prompt"][key] for key in ("name", "hash")},
            "max_tokens": opened.order.plan.max_tokens,
            "made_with": info["made_with"],
            "missing": missing,
            "unusable": dict(opened.counts.unusable),
            "temperatures": info["summary"] | {at: one.as_json() for at, one in found.items()},
            "without_doubtful": None
            if without is None
            else {at: one.as_json() for at, one in without.items()},
        }
        self._found[name] = found  # with its details: others write down what there is while we do this
        for temperature, one in found.items():
            label = name if len(found) == 1 else f"{name} at {temperature}"
            self._say(summary_line(label, one))
            for told in filter(None, (about_alike(float(temperature), one), about_graders(one))):
                self._say(f"{label}: {told}")
        if others := results.about_others():
            self._say(f"{name}: {others}")
        if part.failure or missing:
            self._fail(name, part.failure or number_of(missing, "sample is missing", "samples are missing"))
        elif not all(one.complete for one in found.values()):
            self._fail(name, "not every problem has a sample that could be judged")

    def _judge(self) -> MeteredEngine | None:
        """The judge's engine, which all benchmarks share."""
        if self._judge_engine is None:
            names = "prompt_tokens", "completion_tokens"
            spent = (sum(getattr(outcome, name) for outcome in self._outcomes) for name in names)
            self._judge_engine = self._open_judge(*spent)
            if self._judge_engine is not None:
                self._opened.callback(self._judge_engine.close)
        return self._judge_engine

    def _open(self, order: Order) -> _Part | None:
        """Load one benchmark; a failure that is its own is written down and None returned."""
        name = order.task.name
        try:
            opened = open_benchmark(order, self._result_dir, fresh=self._fresh)
        except (UserError, RunStopped) as error:
            self._fail(name, error)
            return None
        self._say(counts_line(order.task, opened.counts))
        resources = self._opened.enter_context(ExitStack())
        resources.enter_context(opened)
        try:
            if (judge := opened.judge()) is not None:
                judge.check_alone()
            grading = open_grading(opened, resources)
        except UserError as error:
            resources.__exit__(type(error), error, error.__traceback__)
            self._fail(name, error)
            return None
        self._gradings.append(grading)
        job = Job(opened.run, opened.asked, opened.order.plan, grading)
        return _Part(opened, grading, resources, job)

    def _fail(self, name: str, why: str | UserError | RunStopped) -> None:
        self.status = max(self.status, why.status if isinstance(why, DiskTrouble) else 1)
        self.failures[name] = str(why)
        self._say(f"{name} FAILED: {why}")

    def _say(self, message: str) -> None:
        say(message)
        try:
            with open(self._log, "a", encoding="utf-8") as log:
                log.write(message + "\n")
        except OSError:
            pass  # it repeats what was said: a full disk is for the samples to report

    def _write(self) -> None:
        """Replace the result files, once there is something to say: an earlier result outlives a command that
        came to nothing."""
        if not self.folders():
            return
        details = {"benchmarks": self._details, "failed": self.failures}
        self._files.write(self.accuracies(), details)


def _cells(found: Headline | None) -> str:
    if found is None or found.avg is None:
        return f"{'-':>5}  {'no result':<13}"
    value, low, high = (100 * number for number in (found.avg.value, found.avg.low, found.avg.high))
    counts = f"{found.judged} of {found.asked.samples}"
    cells = f"{value:>5.1f}  {f'[{low:.1f}, {high:.1f}]':<13}  {counts:>15}"
    return cells if found.complete else f"{cells}  INCOMPLETE"
