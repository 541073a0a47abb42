"""How is one benchmark run into its folder: which problems, which settings, and what is still missing?

`open_benchmark` opens the folder of an order and writes its problems down, `open_grading` the graders.
"""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path

from util.data.rows import RowCounts, Rows
from util.engines.options import Engine, EngineOptions
from util.errors import UserError
from util.generation.batches import check_no_batch_waits
from util.generation.judging import CarriedJudge, Grading, Judge, check_isolation, grade_as_recorded
from util.generation.loop import Asked, Outcome, missing_count, open_rounds, write_problems
from util.generation.model_judge import ModelJudge
from util.generation.order import Order, Plan
from util.generation.rounds import samples_at
from util.grading.cluster import ClusterGradingPool, GraderHost
from util.grading.pool import GradingPool
from util.machines.cores import usable_cores
from util.machines.versions import made_with
from util.records import Problem, exact_number
from util.results.counting import Counted, Tallies, Tally, counted, groups_of, stopped_early
from util.results.headline import Headline, Target, headline, target_in
from util.runs.batches import RunPlace, fetching_flag, read_parts
from util.runs.folder import SPENT, Run, find_run, read_run_json, writer_of
from util.runs.journal import make_folders, read_lines
from util.runs.lines import VERDICTS
from util.runs.lock import IsWritten
from util.runs.reader import has_samples, read_records, text_digest
from util.runs.repeat import LABELS
from util.runs.shards import SHARDS, Shard
from util.settings import BY_NAME, SETTINGS, difference, unrecorded
from util.task import Task
from util.terminal import number_of, say

BEGIN_TRIES, BEGIN_PAUSE_S = 30, 0.4
FEW_PROBLEMS = 100  # with one sample each, a result says little


@dataclass(eq=False)
class Benchmark:
    """One order with its run folder open for writing and its problems written down."""

    order: Order
    run: Run
    asked: Asked
    counts: RowCounts
    may_be_new: bool = True
    asked_before: dict | None = None  # what run.json said of earlier commands
    has_generated: bool = False
    engine: Engine | None = None  # what makes the samples

    def missing(self) -> int:
        """How many samples this command still has to generate; where verdicts decide, those to begin with."""
        if self.order.plan.stopping is not None:
            return open_rounds(self.run, self.asked, self.order.plan).still_wanted()
        return missing_count(self.run, self.asked, self.order.plan)

    def judge(self) -> ModelJudge | None:
        """The judge of the answers, where one is named."""
        name, task = self.order.judging.judge, self.order.task
        return None if name is None or task.ask_judge is None else ModelJudge(self.run.folder, task, name)

    def end_run(self) -> bool:
        """Open the run as its one writer after what this one of several jobs had to do.

        False where another one lives, which ends it later.
        """
        alone = self.run.alone()
        if alone is not None:
            self.run = alone
        elif writer := writer_of(self.run.folder):
            say(f"the run goes on: {writer}")
        return alone is not None

    def __enter__(self) -> Benchmark:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close the run; a command that was refused before its first sample leaves none behind."""
        if kind is not None and issubclass(kind, UserError) and self.may_be_new:
            self._forget_asking()
            self.run.discard()
        else:
            self.run.close()

    def _forget_asking(self) -> None:
        """What a refused command would have asked is no part of the run, which would lack it from now on."""
        if self.asked_before is None or self.has_generated or self.order.options.batch is not None:
            return
        if self.run.info["asked"] != self.asked_before:
            self.run.info["asked"] = self.asked_before
            self.run.save_info()

    def note_generation(self, outcome: Outcome) -> None:
        """Add up how long generating took, for the forecasts of later commands, and what was not sent."""
        if not outcome.generated:
            return
        self.has_generated = True
        before = self.run.info.get("generation", {})
        made_with = self.run.info["made_with"]
        for name in ("left_out", "answered_as"):
            if told := {*made_with.get(name, ()), *getattr(self.engine, name, ())}:
                made_with[name] = sorted(told)
        self.run.info["generation"] = {
            name: before.get(name, 0) + getattr(outcome, name) for name in SPENT
        } | {"gpus": self.order.options.gpus}
        self.run.save_info()

    def note_engine(self, engine: Engine) -> None:
        """Write down which engine makes the samples from here on."""
        self.engine = engine
        name = self.order.options.engine_name
        made_with = self.run.info["made_with"]
        made_with["engine"] = getattr(engine, "version", None) or name
        before, held = made_with.get("model", {}), getattr(engine, "model", {})
        if any(before.get(name, value) != value for name, value in held.items()):
            say(
                f"WARNING: the engine has {held}, and earlier samples of {self.run.folder} come from {before}"
            )
        made_with["model"] = held
        self.run.save_info()


def open_benchmark(
    order: Order,
    result_dir: Path,
    *,
    fresh: bool = False,
    must_exist: bool = False,
    shard: Shard | None = None,
) -> Benchmark:
    """Open the run folder of `order` and write its problems down; the caller closes `run`.

    With a `shard` this is one of several jobs that write to it.
    The order of what is returned keeps the defaults that the folder was begun with.
    """
    order.check()
    folder = find_run(result_dir, order.wanted(), fresh=fresh, is_shard=shard is not None)
    if must_exist and not has_samples(folder):
        what = f"{folder} has no samples" if (folder / "run.json").exists() else f"no run at {folder}"
        how = " ".join(["--inference", *fetching_flag(read_parts(folder).open())])
        raise UserError(f"{what}: generate first (same command with {how} instead of --check)")
    if not must_exist:
        check_no_batch_waits(RunPlace(folder), order.options.batch, is_shard=shard is not None)
    versions = made_with()
    if shard is not None:
        _begin_anew_alone(folder, order, versions)
    run = Run(folder, settings=order.settings(), made_with=versions, shard=shard)
    try:
        if shard is None and run.is_empty():
            run.begin_anew(settings=order.settings(), made_with=versions)
        order = _as_begun(order, run)
        counts, asked_before = RowCounts(), run.info.get("asked")
        asked = _write_problems(order, run, counts, asks=not must_exist)
    except UserError:
        if must_exist:
            run.close()
        else:
            run.discard()
        raise
    except BaseException:
        run.close()
        raise
    return Benchmark(order, run, asked, counts, may_be_new=not must_exist, asked_before=asked_before)


def _begin_anew_alone(folder: Path, order: Order, versions: dict) -> None:
    """Forget what a command wrote down that failed without a sample, unless jobs write to the run by now.

    Of jobs that start at once one does, and none goes on before that is done.
    """
    for _ in range(BEGIN_TRIES):
        if not (folder / "run.json").exists() or has_samples(folder):
            return
        try:
            make_folders(folder / SHARDS)
            with Run(folder, settings=order.settings(), made_with=versions) as run:
                if run.is_empty():
                    run.begin_anew(settings=order.settings(), made_with=versions)
                return
        except (IsWritten, FileNotFoundError):  # another one does it just now
            if not _is_of_others(folder, order):
                return
        time.sleep(random.uniform(0, BEGIN_PAUSE_S))


def _is_of_others(folder: Path, order: Order) -> bool:
    """Whether a run has other settings than this command gives it."""
    try:
        there = read_run_json(folder)["settings"]
    except (UserError, FileNotFoundError):  # it is being made anew
        return True
    return difference(there, order.continuing(there).settings()) is not None


def _as_begun(order: Order, run: Run) -> Order:
    """The order with the defaults that the run was begun with."""
    there = run.info["settings"]
    order = order.continuing(there)
    if difference(there, order.settings()) is not None:  # since we looked, another command was faster
        raise UserError(f"{run.folder} has just been made with other settings: run this command again")
    unknown = unrecorded(there)
    if unknown:
        say(f"{run.folder} does not record {', '.join(unknown)}: further samples are as this command says")
    return order


def _write_problems(order: Order, run: Run, counts: RowCounts, *, asks: bool) -> Asked:
    """Load the rows of this command at the run's own commit and write their problems down.

    A command that `asks` for nothing leaves what earlier ones asked as it is.
    """
    known = run.info["dataset"].get("revision")
    rows = order.open_rows(known)
    if known is not None and rows.revision != known:
        raise UserError(
            f"{run.folder} was made with revision {known} of {rows.path}, this command reads "
            f"{rows.revision}: use the same one, or another --result-dir"
        )
    begun = run.info["dataset"].get("labels")
    labels = order.open_labels(rows, begun)
    is_unknown = labels is not None and begun is None and not run.is_empty()
    if is_unknown:
        say(f"{run.folder} does not record which {LABELS} chose its problems: those of today choose now")
    if labels is not None and labels.told:
        say(labels.told)
    elif labels is None and order.selection.filter_difficulty:
        say(f"{order.task.name} has no difficulty labels: --filter-difficulty leaves nothing out")
    found = _with_prompt_noted(order, run, order.problems(rows, labels, counts))
    asked = write_problems(run, found, order.prompt(), order.plan.model)
    run.info["dataset"] = about_rows(rows, counts, order.task)
    if labels is not None and not is_unknown:
        run.info["dataset"]["labels"] = labels.note
    run.info["groups"] = list(order.task.groups)
    if asks:
        run.info["asked"] = _asked_so_far(order, run.info.get("asked", {}), len(asked.ids))
    run.save_info()
    if not asked.ids:
        raise UserError(
            f"no problem of {order.task.name} is left: {counts.rows} rows of the source, {counts.chosen} "
            "between --start and --end; widen --source, --start/--end or the difficulty bounds"
        )
    return asked


def _with_prompt_noted(order: Order, run: Run, found: Iterator[Problem]) -> Iterator[Problem]:
    """The same problems; the wording made from the first one must be that of the run's other samples."""
    for first in itertools.islice(found, 1):
        text = order.prompt_template(first)
        wording = order.plan.wording
        name = order.plan.prompt if wording is None else wording.origin
        note = {"name": name, "hash": text_digest(text), "text": text}
        there = run.info.setdefault("prompt", note)
        if there["hash"] != note["hash"]:
            raise UserError(
                f"the wording of prompt {order.plan.prompt!r} of {order.task.name} has changed "
                f"since {run.folder} was started (hash {there['hash']}, now {note['hash']}): use the "
                f"version of the suite that started it ({run.info['made_with'].get('suite')}), "
                "or another --result-dir"
            )
        yield first
    yield from found


def about_rows(rows: Rows, counts: RowCounts, task: Task) -> dict:
    """What run.json says of the data."""
    return {
        "path": rows.path,
        "split": rows.split,
        "revision": rows.revision,
        "rows": counts.rows,
        "licence": task.source.licence,
        **({"address": task.address} if task.address else {}),
    }


def _asked_so_far(order: Order, before: dict, problems: int) -> dict:
    """What this and earlier commands asked that is no setting of the run: enough to repeat it."""
    plan, chosen = order.plan, order.selection
    limits = [chosen.limit, before.get("limit", 0)]
    return {
        "temperatures": sorted({*plan.temperatures, *before.get("temperatures", ())}),
        "n": max(plan.n, before.get("n", 1)),
        "at": _asked_at(order.plan, before.get("at", {}), problems),
        "stopping": before.get("stopping") if plan.stopping is None else plan.stopping.as_json(),
        "limit": None if None in limits else max(limits),
        "data_dir": None if chosen.data_dir is None else str(chosen.data_dir),
        "system_prompt_from": _origin(order, before),
        "engine": {
            setting.name: order.options.recorded(setting.name)
            for setting in SETTINGS
            if setting.place == "engine"
        },
    }


def _asked_at(plan: Plan, before: dict[str, list], problems: int) -> dict[str, list]:
    """By temperature: of how many problems, the first ones, how many samples were asked, once each."""
    at = dict(before)
    for temperature in plan.temperatures:
        now, name = [problems, samples_at(temperature, plan.n)], exact_number(temperature)
        others = [step for step in at.get(name, ()) if step[0] > now[0] or step[1] > now[1]]
        is_new = not any(step[0] >= now[0] and step[1] >= now[1] for step in others)
        at[name] = [*others, now] if is_new else others
    return at


def _origin(order: Order, before: dict) -> str | None:
    """Where the system message was taken from; as it was said first, where no flag says another."""
    if "system_prompt_from" in before and (
        order.plan.system_prompt is None or "system_prompt" not in order.given
    ):
        return before["system_prompt_from"]
    return order.system_prompt_from


def open_grading(opened: Benchmark, resources: ExitStack, *, again: bool = False) -> Grading:
    """Graders on all cores, of this machine or of a cluster, for one benchmark; they end with `resources`.

    Writes down how they grade, and warns where verdicts stay that were made otherwise: `again` says that all
    samples are judged again.

    Raises UserError when programs would run with less isolation than was asked for.
    """
    judging, task, run = opened.order.judging, opened.order.task, opened.run
    note = asdict(judging)
    if (model := opened.judge()) is not None:
        note["judge_prompt"] = model.prompt
    if task.is_code and not judging.on_cluster:
        found = check_isolation(judging.require_isolation)
        note["isolation"] = {"tier": found.tier, **asdict(found)}
    grade = grade_as_recorded(task, {**run.info, "grading": note})
    judge = Judge(run.folder, grade)
    resources.callback(judge.close)
    pool: GradingPool | ClusterGradingPool
    if judging.on_cluster:
        isolation = judging.require_isolation if task.is_code else None
        host = (CarriedJudge(grade), judging.symbolic, isolation)
        pool, note["nodes"] = _cluster_pool(opened.order.options, host, judge)
    else:
        pool = GradingPool(usable_cores(), judge, symbolic=judging.symbolic)
    if not again:
        note = _as_there(run, note, "compare" if task.is_code else "symbolic")
    run.info["grading"] = note
    run.save_info()
    resources.enter_context(pool)
    grading = Grading(run, pool, opened.asked.references, timeout_s=task.grade_timeout_s)
    resources.callback(grading.close)
    return grading


def _as_there(run: Run, note: dict, name: str) -> dict:
    """What is written down of grading: where verdicts stay that were made otherwise, how, which is said."""
    was, now = run.info.get("grading", {}).get(name, note[name]), note[name]
    if was == now or next(read_lines(run.folder / VERDICTS), None) is None:
        return note
    say(
        f"WARNING: there are verdicts that were made with {BY_NAME[name].label} = {was}, this command says "
        f"{now}: they stay as they are; --check --regrade judges all samples alike"
    )
    return {**note, name: was}


def _cluster_pool(options: EngineOptions, host: tuple, judge: Judge) -> tuple[ClusterGradingPool, list[str]]:
    """Graders on each node of the cluster, each a `GraderHost` of these arguments, and what each node is
    like."""
    from util.machines.ray_cluster import open_on_each_node

    workers = open_on_each_node(options.ray_address, "grading node", GraderHost, host)
    nodes = workers.replicas.versions()
    say(f"grading on {workers.cores} cores of {len(nodes)} nodes of the cluster")
    for node in nodes:
        if "WARNING" in node:
            say(node)
    return ClusterGradingPool(workers.replicas, workers.cores, judge.carried), nodes


class Results:
    """What a command asked and what else its folder holds, counted sample by sample as each has its last
    verdict.

    A check asks for what is there, as far as its flags do not say less.
    """

    def __init__(self, opened: Benchmark, *, is_check: bool = False) -> None:
        order = opened.order
        said = order.given if is_check else frozenset({"temperatures", "n"})
        self._run = opened.run
        self._is_check = is_check
        self._temperatures = order.plan.temperatures if "temperatures" in said else None
        self._n = order.plan.n if "n" in said else None
        self._ids = frozenset(opened.asked.ids)
        self._mark = order.task.notes.get("doubtful")
        groups = groups_of(opened.run.info)
        self._asked, self._certain = Tallies(groups), Tallies(groups)
        self._all = self._asked  # as long as this command asked for all that is there
        self.others = 0  # samples that it did not ask for

    def add(self, one: Counted) -> None:
        is_asked = self._is_asked(one)
        if not is_asked:
            if self._all is self._asked:
                self._all = deepcopy(self._asked)
            self.others += 1
            self._all.add(one)
            return
        if self.others:
            self._all.add(one)
        self._asked.add(one)
        if self._mark is not None and not one.about.get(self._mark):
            self._certain.add(one)

    def asked(self) -> dict[str, Headline]:
        """The result at each temperature that was asked."""
        stopped, tallies = stopped_early(self._run.info), self._asked.rising()
        at = sorted(tallies if self._temperatures is None else {*self._temperatures})
        empty = Tally(groups_of(self._run.info))
        return {
            exact_number(one): headline(tallies.get(one, empty), self._target(one, tallies), stopped)
            for one in at
        }

    def of_folder(self, asked: Mapping[str, Headline]) -> dict[str, dict]:
        """The result of the whole folder for run.json; equal to what was `asked` where nothing else is
        there."""
        info, found = self._run.info, {}
        for one, tally in self._all.rising().items():
            target, name = target_in(info, one, tally, self._run.problems), exact_number(one)
            is_same = not self.others and name in asked and asked[name].asked == target
            result = asked[name] if is_same else headline(tally, target, stopped_early(info))
            found[name] = result.as_json()
        return found

    def without_doubtful(self) -> dict[str, Headline] | None:
        """The result without problems that are known to be judged wrongly; None where no such list is."""
        if self._mark is None:
            return None
        stopped = stopped_early(self._run.info)
        tallies = self._certain.rising()
        return {exact_number(one): headline(tally, None, stopped) for one, tally in tallies.items()}

    def about_others(self) -> str:
        """That the folder holds more than was asked; "" where it does not."""
        if not self.others:
            return ""
        return (
            f"{self.others} further samples of the folder are not counted here: this command asks for other "
            f"problems, temperatures or fewer samples (report.py {self._run.folder} shows all)"
        )

    def _is_asked(self, one: Counted) -> bool:
        return (
            one.problem_id in self._ids
            and (self._temperatures is None or one.temperature in self._temperatures)
            and (self._n is None or one.sample_index < samples_at(one.temperature, self._n))
        )

    def _target(self, temperature: float, tallies: Mapping[float, Tally]) -> Target:
        problems = len(self._ids)
        most = Target(problems, problems * samples_at(temperature, self._n or 1))
        if not self._is_check or temperature not in tallies:
            return most
        there = target_in(self._run.info, temperature, tallies[temperature], self._run.problems)
        samples = there.samples if self._n is None else min(there.samples, most.samples)
        return Target(min(there.problems, problems), samples)


def results_of(opened: Benchmark, *, is_check: bool = False) -> Results:
    """What a folder comes to where nothing is graded now."""
    results = Results(opened, is_check=is_check)
    for record in read_records(opened.run.folder):
        results.add(counted(record))
    return results


def about_few_samples(problems: int, n: int) -> str:
    """How wide the interval of a result will be that rests on one sample each of few problems; else ""."""
    if n > 1 or problems >= FEW_PROBLEMS or not problems:
        return ""
    points = 98 / math.sqrt(problems)  # half of Wald's interval of 95 % at one half, its widest
    return (
        f"one sample each of {number_of(problems, 'problem')}: the result is known to about ±{points:.0f} "
        "points; more samples (--temperatures 0.7 --n 8) narrow it"
    )


def counts_line(task: Task, counts: RowCounts) -> str:
    """How many problems there are and why others were left out, for people."""
    left_out = {
        **{reason: number for reason, number in counts.unusable.items()},
        "no difficulty label": counts.unlabelled,
        "difficulty outside the bounds": counts.outside,
    }
    parts = [f"{number} left out ({reason})" for reason, number in left_out.items() if number]
    which = f" ({task.notes['contests']})" if "contests" in task.notes else ""
    lacking = task.lacking() if task.lacking else ""
    line = f"{task.name}: {', '.join([number_of(counts.problems, 'problem') + which, *parts])}"
    return f"{line}\n{lacking}" if lacking else line
