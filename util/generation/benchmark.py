"""How is one benchmark run into its folder: which problems, which settings, and what is still missing?"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from util import cli, hub, labels
from util.cores import usable_cores
from util.engines import Engine, EngineOptions, engine_name
from util.errors import UserError
from util.grading.cluster import ClusterGradingPool, GraderHost
from util.grading.pool import GradingPool
from util.models import short_name
from util.pipeline import Asked, Grading, Outcome, Plan, Prompt, missing_count, open_rounds, write_problems
from util.records import Problem
from util.runs import (
    Run,
    Wanted,
    find_run,
    read_records,
    run_name,
    text_digest,
)
from util.sampling import Stopping, samples_at
from util.statistics import stopped_early, summarise
from util.system_prompts import system_prompt
from util.task import Task
from util.versions import made_with

LABELS_FOLDER = Path(__file__).resolve().parent.parent / "labeled_numina_difficulty"
DEFAULT_PROMPT = "default"


@dataclass(frozen=True)
class Selection:
    """Which problems of a benchmark are asked, and where its rows are read from."""

    split: str | None = None  # None: the one that results are reported on
    source: str | None = None
    start: int = 0
    end: int = -1
    filter_difficulty: bool = False
    lower_bound: float | None = None
    upper_bound: float | None = None
    limit: int | None = None
    revision: str | None = None
    data_dir: Path | None = None


@dataclass(frozen=True)
class Judging:
    """How answers are graded; never a setting of the run, `--regrade` grades again in another way."""

    symbolic: bool = True  # ask the symbolic engine where the rules do not know
    compare: str = "ordered"  # how outputs of programs are compared
    all_tests: bool = False  # run a program's other tests after one has failed
    require_isolation: str = "no-namespace"  # least isolation under which programs may run
    on_cluster: bool = False  # on the CPUs of a Ray cluster instead of this machine's


@dataclass(frozen=True)
class Order:
    """What a command asks of one benchmark."""

    task: Task
    plan: Plan
    selection: Selection
    options: EngineOptions
    prompt: str = DEFAULT_PROMPT  # name of the prompt
    system_prompt_from: str | None = None  # where the system message was taken from
    judging: Judging = Judging()

    def check_selection(self) -> None:
        """Raise UserError for rows that cannot be chosen, before anything is fetched."""
        chosen = self.selection
        hub.check_positions(self.task, chosen.source, chosen.start, chosen.end)
        bounds = (chosen.lower_bound, chosen.upper_bound)
        if chosen.filter_difficulty:
            hub.check_bounds(self.task, bounds, has_labels=self.task.source.labels is not None)
        elif bounds != (None, None):
            raise UserError("difficulty bounds choose nothing without --filter-difficulty: add it")

    def wanted(self) -> Wanted:
        """The run folder's name and what must not change within it; temperatures, n and limit may."""
        chosen = self.selection
        split = chosen.split or self.task.source.split
        system = self.plan.system_prompt
        settings = {
            "task": self.task.name,
            "model": self.plan.model,
            "split": split,
            "source": chosen.source,
            "start": chosen.start,
            "end": chosen.end,
            "filter_difficulty": chosen.filter_difficulty,
            "difficulty_lower_bound": chosen.lower_bound,
            "difficulty_upper_bound": chosen.upper_bound,
            "prompt": self.prompt,
            "system_prompt": system,
            "system_prompt_hash": None if system is None else text_digest(system),
            "max_tokens": self.plan.max_tokens,
            "top_p": self.options.top_p,
            "top_k": self.options.top_k,
            "min_p": self.options.min_p,
            "stop": list(self.options.stop),
            "seed": self.plan.seed,
            **self.task.choice,
        }
        if "chat_template_kwargs" in self.options.engine_args:  # the one engine argument that changes prompts
            settings["chat_template_kwargs"] = self.options.engine_args["chat_template_kwargs"]
        model = short_name(self.plan.model)
        return Wanted(
            run_name(model, self.task.name, split, chosen.source, chosen.start, chosen.end), settings
        )


class Benchmark:
    """One order with its run folder open for writing and its problems written down."""

    def __init__(self, order: Order, run: Run) -> None:
        self.order = order
        self.run = run
        self.counts = hub.Counts()
        self.asked = self._ask_problems()

    def missing(self) -> int:
        """How many samples this command still has to generate; where verdicts decide, those to begin with."""
        if self.order.plan.stopping is not None:
            return open_rounds(self.run, self.asked, self.order.plan).still_wanted()
        return missing_count(self.run, self.asked, self.order.plan)

    def expected(self, temperature: float) -> int:
        """How many samples this command asks for at a temperature."""
        return len(self.asked.ids) * samples_at(temperature, self.order.plan.n)

    def note_generation(self, outcome: Outcome) -> None:
        """Add up how long generating took, for the forecasts of later commands."""
        if not outcome.generated:
            return
        options = self.order.options
        before = self.run.info.get("generation", {})
        self.run.info["generation"] = {
            name: before.get(name, 0) + getattr(outcome, name)
            for name in ("seconds", "generated", "prompt_tokens", "completion_tokens")
        } | {"gpus": options.gpus}
        self.run.save_info()

    def note_engine(self, engine: Engine) -> None:
        """Write down which engine makes the samples from here on."""
        name = engine_name(self.order.options)
        self.run.info["made_with"]["engine"] = getattr(engine, "version", None) or name
        self.run.save_info()

    def _ask_problems(self) -> Asked:
        """Load the rows of this command at the run's own commit and write their problems down."""
        task, chosen, run = self.order.task, self.order.selection, self.run
        known = run.info["dataset"].get("revision")
        rows = hub.open_rows(
            task.source, split=chosen.split, revision=chosen.revision or known, data_dir=chosen.data_dir
        )
        if known is not None and rows.revision != known:
            raise UserError(
                f"{run.folder} was made with revision {known} of {rows.path}, this command reads "
                f"{rows.revision}: use the same one, or another --result-dir"
            )
        marks = _open_labels(self.order)
        found = self._with_prompt_noted(_problems(self.order, rows, self.counts, marks))
        asked = write_problems(run, found, prompt_named(task, self.order.prompt), self.order.plan.model)
        run.info["dataset"] = {
            "path": rows.path,
            "split": rows.split,
            "revision": rows.revision,
            "rows": self.counts.rows,
            "licence": task.source.licence,
        }
        if marks is not None:
            run.info["dataset"]["labels"] = {"from": marks.origin, "revision": marks.revision}
        run.info["asked"] = self._asked_so_far()
        run.save_info()
        return asked

    def _with_prompt_noted(self, found: Iterator[Problem]) -> Iterator[Problem]:
        """The same problems; the wording made from the first one must be that of the run's other samples."""
        for first in itertools.islice(found, 1):
            text = prompt_template(self.order, first)
            note = {"name": self.order.prompt, "hash": text_digest(text), "text": text}
            there = self.run.info.setdefault("prompt", note)
            if there["hash"] != note["hash"]:
                raise UserError(
                    f"the wording of prompt {self.order.prompt!r} of {self.order.task.name} has changed "
                    f"since {self.run.folder} was begun (hash {there['hash']}, now {note['hash']}): use the "
                    f"version of the suite that began it ({self.run.info['made_with'].get('suite')}), "
                    "or another --result-dir"
                )
            yield first
        yield from found

    def _asked_so_far(self) -> dict:
        """What this and earlier commands asked that is no setting: enough to repeat the run."""
        plan, chosen = self.order.plan, self.order.selection
        before = self.run.info.get("asked", {})
        limits = [chosen.limit, before.get("limit", 0)]
        engine = {
            name: value
            for name, value in asdict(self.order.options).items()
            if name in ("engine", "tp", "pp", "dp", "replicas", "ray_address", "api_base", "engine_args")
        }
        return {
            "temperatures": sorted({*plan.temperatures, *before.get("temperatures", ())}),
            "n": max(plan.n, before.get("n", 1)),
            "stopping": before.get("stopping") if plan.stopping is None else plan.stopping.as_json(),
            "limit": None if None in limits else max(limits),
            "data_dir": None if chosen.data_dir is None else str(chosen.data_dir),
            "system_prompt_from": self.order.system_prompt_from,
            "engine": engine,
        }


def _open_labels(order: Order) -> labels.Labels | None:
    """The difficulties that choose among the rows; None where they choose nothing."""
    where = order.task.source.labels
    if where is None or not order.selection.filter_difficulty:
        return None
    return labels.read_labels(where, folder=LABELS_FOLDER, data_dir=order.selection.data_dir)


def _problems(
    order: Order, rows: hub.Rows, counts: hub.Counts, marks: labels.Labels | None
) -> Iterator[Problem]:
    chosen = order.selection
    return hub.problems(
        order.task,
        rows,
        source=chosen.source,
        start=chosen.start,
        end=chosen.end,
        difficulty=(chosen.lower_bound, chosen.upper_bound) if chosen.filter_difficulty else None,
        labels=None if marks is None else marks.of,
        limit=chosen.limit,
        counts=counts,
    )


def known_problems(order: Order, counts: hub.Counts) -> Iterator[Problem]:
    """The problems that `order` is about, read without a run folder; fills `counts`."""
    chosen = order.selection
    rows = hub.open_rows(
        order.task.source, split=chosen.split, revision=chosen.revision, data_dir=chosen.data_dir
    )
    return _problems(order, rows, counts, _open_labels(order))


def open_benchmark(
    order: Order, result_dir: Path, *, fresh: bool = False, must_exist: bool = False
) -> Benchmark:
    """Open the run folder of `order` and write its problems down; the caller closes `run`."""
    prompt_named(order.task, order.prompt)
    order.check_selection()
    wanted = order.wanted()
    folder = find_run(result_dir, wanted, fresh=fresh)
    if must_exist and not (folder / "run.json").exists():
        raise UserError(f"no run at {folder}: generate first (same command with --inference)")
    versions = made_with()
    run = Run(folder, settings=wanted.settings, made_with=versions)
    try:
        if not run.count():
            run.begin_anew(settings=wanted.settings, made_with=versions)
        elif run.info["settings"] != wanted.settings:  # since we looked, another command was faster
            raise UserError(f"{folder} was made with other settings just now: start this command again")
        opened = Benchmark(order, run)
        if not opened.asked.ids:
            raise UserError(
                f"no problem of {order.task.name} is left: {opened.counts.rows} rows of the source, "
                f"{opened.counts.chosen} between --start and --end; widen --source, --start/--end or the "
                "difficulty bounds"
            )
    except BaseException:
        run.close()
        raise
    return opened


def order_from(
    args: argparse.Namespace,
    task: Task,
    selection: Selection,
    options: EngineOptions,
    stopping: Stopping | None = None,
) -> Order:
    """The order that the flags of `cli.add_sampling_flags` describe for one task."""
    system, origin = system_prompt(args.system_prompt, args.model, data_dir=args.data_dir)
    plan = Plan(
        model=args.model,
        temperatures=tuple(dict.fromkeys(args.temperatures)),
        n=args.n,
        max_tokens=args.max_tokens,
        seed=args.seed,
        system_prompt=system,
        stopping=stopping,
    )
    judging = Judging(
        not args.no_symbolic, args.compare, args.all_tests, args.require_isolation, args.grade_on_cluster
    )
    return Order(task, plan, selection, options, args.prompt, origin, judging)


def open_grading(opened: Benchmark, resources: ExitStack) -> Grading:
    """Graders on all cores, of this machine or of a cluster, for one benchmark; they end with `resources`.

    Writes down how they grade.

    Raises UserError when programs would run with less isolation than was asked for.
    """
    judging, task, run = opened.order.judging, opened.order.task, opened.run
    run.info["grading"] = note = asdict(judging)
    if task.source.tests_on_disk:
        from util.grading.code import grade_code

        if not judging.on_cluster:
            note["isolation"] = _isolation_here(judging)
        task = replace(task, grade=partial(grade_code, compare=judging.compare, all_tests=judging.all_tests))
    if judging.on_cluster:
        isolation = judging.require_isolation if task.source.tests_on_disk else None
        pool, note["nodes"] = _cluster_pool(opened.order.options, judging, isolation)
    else:
        pool = GradingPool(usable_cores(), symbolic=judging.symbolic)
    run.save_info()
    resources.enter_context(pool)
    grading = Grading(run, task, pool, opened.asked.references)
    resources.callback(grading.close)
    return grading


def _isolation_here(judging: Judging) -> dict:
    from util.grading.sandbox import require_isolation

    found = require_isolation(judging.require_isolation)
    if found.warning():
        cli.say(found.warning())
    return {"tier": found.tier, **asdict(found)}


def _cluster_pool(
    options: EngineOptions, judging: Judging, isolation: str | None
) -> tuple[ClusterGradingPool, list[str]]:
    """Graders on each node of the cluster, and what each node is like."""
    from util.engines.ray_replicas import open_on_each_node

    workers = open_on_each_node(
        options.ray_address, "grading node", GraderHost, (judging.symbolic, isolation)
    )
    nodes = workers.replicas.versions()
    cli.say(f"grading on {workers.cores} cores of {len(nodes)} nodes of the cluster")
    for node in nodes:
        if "WARNING" in node:
            cli.say(node)
    return ClusterGradingPool(workers.replicas, workers.cores), nodes


def summary(opened: Benchmark) -> dict[str, dict]:
    """The numbers of everything in the folder."""
    return summarise(read_records(opened.run.folder), stopped=stopped_early(opened.run.info))


def summary_without_doubtful(opened: Benchmark) -> dict | None:
    """The summary without problems that are known to be judged wrongly; None where no such list exists."""
    mark = opened.order.task.notes.get("doubtful")
    if mark is None:
        return None
    records = (record for record in read_records(opened.run.folder) if not record.about.get(mark))
    return summarise(records, stopped=stopped_early(opened.run.info))


def prompt_named(task: Task, name: str) -> Prompt:
    """One of the wordings that a task knows."""
    if name == DEFAULT_PROMPT:
        return task.prompt
    if name not in task.prompts:
        known = ", ".join([DEFAULT_PROMPT, *task.prompts])
        raise UserError(f"{task.name} has no prompt {name!r}: choose from {known}")
    return task.prompts[name]


def prompt_template(order: Order, problem: Problem) -> str:
    """The user message around a question, with {question} and {A}, {B}, ... where its texts stand."""
    letters = tuple(f"{{{chr(ord('A') + number)}}}" for number in range(len(problem.choices)))
    return prompt_named(order.task, order.prompt)(
        replace(problem, question="{question}", choices=letters), order.plan.model
    )


def counts_line(task: Task, counts: hub.Counts) -> str:
    """How many problems there are and why others were left out, for people."""
    left_out = {
        **{reason: number for reason, number in counts.unusable.items()},
        "no difficulty label": counts.unlabelled,
        "difficulty outside the bounds": counts.outside,
    }
    parts = [f"{number} left out ({reason})" for reason, number in left_out.items() if number]
    return f"{task.name}: {', '.join([f'{counts.problems} problems', *parts])}"
